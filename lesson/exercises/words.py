"""Words in the reader's language, and lines of a terminal's width."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from lesson import languages, prose
from lesson.terminal_stepper import width_of
from tinygrad_lstm.errors import UnknownNameError

Words = str | Mapping[str, str]  # words, or words by language; plain words count as English
DEFAULT = languages.DEFAULT
_CLOSING = "，。、；：？！）」』】》”’％"  # never at the beginning of a line
_OPENING = "（「『【《“‘"  # never at the end of one


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


def chosen(asked: str | None, known: Iterable[str]) -> str:
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


def wrapped(text: str, width: int, indent: str = "") -> str:
    """Paragraphs in lines of at most `width` columns; lines that begin with a space stay apart.

    Words stay whole; Chinese breaks between any two characters, but not before a closing sign.
    """
    lines: list[str] = []
    for paragraph in text.strip("\n").split("\n\n"):
        running = ""
        for line in paragraph.split("\n"):
            if line.startswith((" ", "- ")):
                margin = indent + line[: len(line) - len(line.lstrip())]
                lines += _broken(running, width, indent)
                lines += _broken(line.lstrip(), width, margin, "  ")
                running = ""
            else:
                running = _joined(running, line)
        lines += [*_broken(running, width, indent), ""]
    return "\n".join(lines[:-1])


def _joined(before: str, after: str) -> str:
    if not before or (_breaks(before[-1]) and _breaks(after[:1])):
        return before + after
    return f"{before} {after}"


def _breaks(sign: str) -> bool:
    """Whether a line may break beside this sign without a space: Chinese, not Korean."""
    wide = bool(sign) and unicodedata.east_asian_width(sign) in "WF"
    return wide and not unicodedata.name(sign, "").startswith("HANGUL")


def _pieces(text: str) -> list[str]:
    """The text cut where a line may end."""
    pieces: list[str] = []
    for sign in text:
        last = pieces[-1] if pieces else ""
        ends = last.endswith(" ") or (_breaks(last[-1:]) or _breaks(sign))
        glued = sign == " " or sign in _CLOSING or last[-1:] in _OPENING
        if last and (glued or not ends):
            pieces[-1] += sign
        else:
            pieces.append(sign)
    return pieces


def _broken(text: str, width: int, indent: str, hanging: str = "") -> list[str]:
    lines, line = [], indent
    for piece in _pieces(text):
        if line.strip() and width_of((line + piece).rstrip()) > width:
            lines.append(line.rstrip())
            line = indent + hanging
        line += piece
    return [*lines, line.rstrip()] if line.strip() else lines
