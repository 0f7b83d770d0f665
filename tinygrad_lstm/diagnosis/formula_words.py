"""What is said of a formula, in three languages, and the mark below a place in it."""

from __future__ import annotations

import tomllib
import unicodedata
from functools import cache
from importlib import resources

WIDTH = 76  # of a line of a formula that a place is shown in


@cache
def _words() -> dict[str, dict[str, str]]:
    text = resources.files(__package__).joinpath("formula.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def say(key: str, language: str, **words: object) -> str:
    """A sentence of formula.toml, filled; in English where the language is not there."""
    texts = _words()[key]
    return texts.get(language, texts["en"]).format(**words)


def marked(text: str, start: int, end: int) -> str:
    """A formula, and ^^^ below a part of it, whatever accents and wide letters stand before it."""
    text = "".join(" " if c.isspace() else c for c in text)
    begin = max(0, min(start, len(text)) - WIDTH * 2 // 3) if len(text) > WIDTH else 0
    shown = text[begin : begin + WIDTH]
    shown = "".join(c for c in shown if unicodedata.category(c) != "Cc")
    before, marked = text[begin:start], text[start : min(end, begin + WIDTH)]
    lead, tail = "… " if begin else "", " …" if begin + WIDTH < len(text) else ""
    mark = " " * (len(lead) + width(before)) + "^" * max(1, width(marked))
    return f"    {lead}{unicodedata.normalize('NFC', shown)}{tail}\n    {mark}"


def width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
        if unicodedata.category(c) != "Cc"
    )
