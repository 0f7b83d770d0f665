"""The chapters of the page: each a folder, found by its existence.

`lesson/chapters/NAME/` is a module with its place among the chapters, `ORDER`, `APPENDIX = True` if
it is a page of its own, and, where it shows more than its texts, a function `content(subject)`;
beside it stands its template `NAME.html`. Its texts are the table [NAME] in `page.toml` of each
language, its questions those in `questions.toml`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from lesson.page import folders
from lesson.subject import Subject
from viz import Figure


@dataclass(frozen=True)
class Content:
    """What a chapter shows besides its texts.

    facts: numbers and words for {{name}} in the texts of any chapter. figures: by the name of
    their place. more: what the chapter's template reads, under the chapter's name.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)


def chapters() -> dict[str, ModuleType]:
    """The module of every chapter by name, in order."""
    found = folders(sys.modules[__name__])
    return dict(sorted(found.items(), key=lambda item: item[1].ORDER))


def appendices() -> tuple[str, ...]:
    """The chapters that are pages of their own, out of the lesson's way: APPENDIX = True."""
    return tuple(name for name, each in chapters().items() if getattr(each, "APPENDIX", False))


def places() -> dict[str, str]:
    """What each chapter is called in the contents: 1, 2, … and, of appendices, A, B, …"""
    apart = appendices()
    lesson = [name for name in chapters() if name not in apart]
    numbers = {name: str(k + 1) for k, name in enumerate(lesson)}
    return numbers | {name: chr(ord("A") + k) for k, name in enumerate(apart)}


def following() -> dict[str, str]:
    """What is read after each chapter of the lesson; "" after the last."""
    apart = appendices()
    lesson = [name for name in chapters() if name not in apart]
    return dict(zip(lesson, [*lesson[1:], ""], strict=True))


def contents(subject: Subject) -> dict[str, Content]:
    """What every chapter shows of a subject, in order."""
    return {
        name: chapter.content(subject) if hasattr(chapter, "content") else Content()
        for name, chapter in chapters().items()
    }
