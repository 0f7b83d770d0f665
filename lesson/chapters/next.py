"""Where to go on, and the sources."""

from __future__ import annotations

from lesson import languages
from lesson.chapters import Content
from lesson.subject import Subject
from tinygrad_lstm.cells import papers


def content(subject: Subject) -> Content:
    """The papers, in the order in which the page says what it took from each."""
    keys = list(languages.texts(languages.DEFAULT, "page")["sources"])
    return Content(more={"papers": papers(), "keys": keys})
