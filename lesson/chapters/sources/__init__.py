"""The papers, and what was taken from each."""

from __future__ import annotations

from importlib import metadata

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
    listed = [(key, papers()[key]) for key in keys]
    return Content(more={"papers": listed, "told": told, "project": project()})


def project() -> list[tuple[str, str]]:
    """Where the project stands on the web, as its package says: (label, address)."""
    try:
        told = metadata.metadata("tinygrad-lstm").get_all("Project-URL") or []
    except metadata.PackageNotFoundError:
        return []
    pairs = [entry.partition(",") for entry in told]
    return [(name.strip(), link.strip()) for name, _, link in pairs if "://" in link]
