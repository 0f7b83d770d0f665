"""The terms of the page in all of its languages."""

from __future__ import annotations

from lesson import languages
from lesson.chapters import Content
from lesson.subject import Subject

ORDER = 270
APPENDIX = True


def content(subject: Subject) -> Content:
    """A row for each term, a column for each language."""
    every = {tag: languages.texts(tag, "glossary") for tag in languages.languages()}
    terms = [[(tag, texts[key]) for tag, texts in every.items()] for key in every["en"]]
    names = {tag: languages.language(tag).name for tag in every}
    return Content(more={"terms": terms, "names": names})
