"""Where to go on, and the sources."""

from __future__ import annotations

from lesson import prose
from lesson.chapters import Content
from lesson.subject import Subject


def content(subject: Subject) -> Content:
    """The papers, in the order in which the page says what it took from each."""
    keys = list(prose.load("en", "page")["sources"])
    return Content(more={"papers": prose.load("papers"), "keys": keys})
