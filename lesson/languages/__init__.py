"""The languages of the lesson: each is a folder, found by its existence.

`lesson/languages/TAG/`, called by its BCP 47 tag, holds `language.toml` (its name, how words are
spaced, what stays on a line with a formula), `language.css` where its script needs rules of its
own, and the texts: `page.toml`, a file for each part of the page, `exercises.toml`, `glossary.toml`
and `sentences.toml`, from English sentences of figures to its own. What it lacks is English.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tinygrad_lstm.errors import UnknownNameError

DEFAULT = "en"


@dataclass(frozen=True)
class Language:
    """What `language.toml` says of a language.

    space: what stands between words and sentences. together: a regular expression for what no line
    break may part from a formula; {formula} stands for the formula. quotes: the marks around what
    is quoted, with … in its place. locale: what previews of pages call the language. font: the
    family of `lesson/assets` that sheets for a class are set in.
    """

    name: str
    space: str = " "
    together: str = ""
    quotes: str = "‘…’"
    locale: str = ""
    font: str = "Noto Sans CJK KR"

    def set_apart(self, name: str) -> str:
        """A name in Latin letters: apart from its neighbours where words are not."""
        return name if self.space else f" {name} "


def languages() -> tuple[str, ...]:
    """The tags of all languages, English first."""
    found = {folder.name for root in __path__ for folder in Path(root).iterdir() if folder.is_dir()}
    tags = sorted(tag for tag in found if list(_files(tag, "language.toml")))
    return tuple(sorted(tags, key=lambda tag: tag != DEFAULT))


def language(tag: str) -> Language:
    """What is said of a language."""
    return Language(**texts(tag, "language"))


def check_language(tag: str, what: str = "lesson") -> None:
    """Raise an UnknownNameError for a language that there is no folder of."""
    if tag not in languages():
        raise UnknownNameError(
            f"there is no {what} in language {tag!r}; there are {', '.join(languages())}."
        )


def texts(tag: str, name: str) -> dict[str, Any]:
    """The texts of a file `NAME.toml` in a language; what is missing there is English."""
    return _merged(own_texts(DEFAULT, name), own_texts(tag, name))


def own_texts(tag: str, name: str) -> dict[str, Any]:
    """The texts that a language itself has in its file `NAME.toml`."""
    found: dict[str, Any] = {}
    for file in _files(tag, f"{name}.toml"):
        found = _merged(found, _parsed(file, file.stat().st_mtime_ns))
    return found


def style() -> str:
    """The rules of all languages for the page."""
    found = [file for tag in languages() for file in _files(tag, "language.css")]
    return "".join(file.read_text(encoding="utf-8") for file in found)


@lru_cache(maxsize=256)
def _parsed(file: Path, changed: int) -> dict[str, Any]:
    return tomllib.loads(file.read_text(encoding="utf-8"))


def _files(tag: str, name: str) -> Iterator[Path]:
    """A file of a language, once for each place in which languages are looked for."""
    return (file for root in __path__ if (file := Path(root, tag, name)).is_file())


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two nested tables as one: what both have is that of the table above."""
    merged = {**below, **above}
    for key in below.keys() & above.keys():
        if isinstance(below[key], dict) and isinstance(above[key], dict):
            merged[key] = _merged(below[key], above[key])
    return merged
