"""The papers, and what was taken from each."""

from __future__ import annotations

from lesson import languages
from lesson.chapters import Content
from lesson.subject import Subject
from tinygrad_lstm.cells import papers

ORDER = 280
APPENDIX = True


def content(subject: Subject) -> Content:
    """The papers, first those of which the page says what it took from them."""
    told = list(languages.texts(languages.DEFAULT, "page")["taken"])
    keys = dict.fromkeys([*told, *papers()])
    return Content(more={"papers": [(key, papers()[key]) for key in keys], "told": told})
