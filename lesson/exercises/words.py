"""Words in the reader's language."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from lesson import languages, prose
from tinygrad_lstm.diagnosis.diagnosis import Diagnosis
from tinygrad_lstm.errors import UnknownNameError

Words = str | Mapping[str, str]  # words, or words by language; plain words count as English
DEFAULT = languages.DEFAULT


def say(text: Words, language: str, /, **facts: Any) -> str:
    """A text in a language (else in English, else in what there is), {{facts}} filled in."""
    if isinstance(text, str):
        words = text
    else:
        words = text.get(language) or text.get(DEFAULT) or next(iter(text.values()))
    given = {
        name: say(value, language) if isinstance(value, str | Mapping) else str(value)
        for name, value in facts.items()
    }
    return prose.fill(words, given)


def told(found: Diagnosis, language: str) -> tuple[str, ...]:
    """The lines of a diagnosis in a language, else in English."""
    return found.lines.get(language) or found.lines[DEFAULT]


def languages_of(text: Words) -> frozenset[str]:
    """The languages that a text is written in."""
    return frozenset((DEFAULT,)) if isinstance(text, str) else frozenset(text)


@cache
def _files() -> dict[str, dict[str, Any]]:
    return {tag: languages.texts(tag, "exercises") for tag in languages.languages()}


def table(*path: str) -> dict[str, dict[str, str]]:
    """A table of the exercises' texts, each key with its words by language."""
    found: dict[str, dict[str, str]] = {}
    for language, part in _files().items():
        for key in path:
            part = part.get(key, {})
        for key, words in part.items():
            if isinstance(words, str):
                found.setdefault(key, {})[language] = words.strip("\n")
    return found


SAYS = table("says")  # what the checks of several exercises may say


def hints(name: str) -> list[dict[str, str]]:
    """The hints of a built-in exercise, each by language."""
    lists = {x: file[name]["hints"] for x, file in _files().items()}
    count = max(map(len, lists.values()))
    return [{x: several[k].strip("\n") for x, several in lists.items()} for k in range(count)]


def choose_language(asked: str | None, known: Iterable[str]) -> str:
    """The language asked for, which must be known; else the locale's, if known, else English."""
    known = sorted(known)
    if asked is not None:
        if asked not in known:
            raise UnknownNameError(
                f"there is no language {asked!r}; there are {', '.join(known)}.\n"
                f"  Write --language {DEFAULT if DEFAULT in known else known[0]}."
            )
        return asked
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if locale := os.environ.get(variable):
            own = locale.replace("_", ".").split(".")[0].lower()
            return own if own in known else DEFAULT
    return DEFAULT
