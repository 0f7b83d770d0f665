"""The terms of the page in all of its languages."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

from lesson import languages
from lesson.chapters import Content
from lesson.prose import Texts
from lesson.subject import Subject

ORDER = 270
APPENDIX = True


_EMPHASISED = re.compile(r"<(em|strong)>([^<>]+)</\1>")


def content(subject: Subject) -> Content:
    """A row for each term: its names in all languages, and what it means."""
    every = {tag: languages.texts(tag, "glossary") for tag in languages.languages()}
    meanings = Texts("meanings")
    terms = [
        {
            "key": key,
            "names": [(tag, texts[key]) for tag, texts in every.items()],
            "means": meanings.line(key),
        }
        for key in every[languages.DEFAULT]
    ]
    names = {tag: languages.language(tag).name for tag in every}
    return Content(more={"terms": terms, "names": names})


def linked(page: str) -> str:
    """A page in which terms that are emphasised lead to the glossary, and tell what they mean."""
    known: dict[str, tuple[str, str]] = {}
    for tag in languages.languages():
        meanings = languages.texts(tag, "meanings")
        for key, term in languages.texts(tag, "glossary").items():
            known.setdefault(term.lower(), (key, meanings[key].replace("$", "")))

    def link(found: re.Match[str]) -> str:
        key, means = known.get(found[2].lower(), ("", ""))
        if not key:
            return found[0]
        opening = Markup('<a class="term" href="#term-{}" title="{}">').format(key, escape(means))
        return f"<{found[1]}>{opening}{found[2]}</a></{found[1]}>"

    return _EMPHASISED.sub(link, page)
