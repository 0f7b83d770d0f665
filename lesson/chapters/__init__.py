"""The chapters of the page, in order.

Each is a module with a function `content(subject)`, a template `lesson/page/chapters/NAME.html` and
a table [NAME] in `lesson/texts/LANGUAGE/page.toml`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lesson.subject import Subject
from viz import Figure

CHAPTERS = (
    "loops",
    "forgets",
    "module",
    "state",
    "steps",
    "variants",
    "gradients",
    "walk",
    "model",
    "compiled",
    "own",
    "next",
)


@dataclass(frozen=True)
class Content:
    """What a chapter shows besides its texts.

    facts: numbers and words for {{name}} in the texts of any chapter. figures: by the name of
    their place. more: what the chapter's template reads, under the chapter's name.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)


def content(chapter: str, subject: Subject) -> Content:
    """What a chapter shows of a subject."""
    made: Content = importlib.import_module(f"lesson.chapters.{chapter}").content(subject)
    return made
