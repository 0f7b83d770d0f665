"""Probes: what can be told of each place of a text, to be compared with the units of a network.

    from tinygrad_lstm.learning import PROBES
    PROBES["place in word"]("To be")            # 1, 2, 0, 1, 2

A probe is a function of a text; it returns one value for each character, which may hang on all of
the text: a number, nan where it says nothing; or a word, and then each word that occurs is a
question of yes or no of its own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_lstm.errors import DataError, unknown
from tinygrad_lstm.tensor import Array

Probe = Callable[[str], Sequence[Any] | Array]
KINDS = 12  # words that a probe may return, at most
KNOWN_BY = 3  # characters of a line after which a name in capitals can be told from a sentence
OPENING, CLOSING = "([{⟨（［｛【〔", ")]}⟩）］｝】〕"
QUOTES = {"“": "”", "«": "»", "「": "」", "『": "』", "„": "“", "‹": "›", "《": "》"}
VOWELS = "aeiouaeiouаеёиоуыэюяαεηιουω"


def place_in_word(text: str) -> Array:
    """How many letters of a word have been read, 0 between words; it's is one word."""
    return _count(text, lambda before, c: c.isalnum() or (c in "'’" and before.isalnum()))


def place_in_line(text: str) -> Array:
    """How many characters of a line have been read, 0 at its end."""
    return _count(text, lambda before, c: c != "\n")


def speaker_line(text: str) -> Array:
    """1 in a line of capitals, as names of speakers stand in plays; 0 in others.

    nan for the first 3 characters of a line, which do not tell yet, and at its end.
    """
    values = np.full(len(text), np.nan)
    for line in re.finditer(r"[^\n]+", text):
        letters = [c for c in line[0] if c.isupper() or c.islower()]
        capitals = len(letters) > 1 and all(c.isupper() for c in letters)
        values[line.start() + KNOWN_BY : line.end()] = capitals
    return values


def in_quotes(text: str) -> Array:
    """1 within quotation marks, 0 outside; an empty line ends what was left open."""
    values, until, straight = np.zeros(len(text)), "", False
    for t, (before, c) in enumerate(zip("\n" + text, text, strict=False)):
        if c == "\n" == before:
            until, straight = "", False
        if until:
            until = "" if c == until else until
        elif c in QUOTES:
            until = QUOTES[c]
        straight ^= c == '"'
        values[t] = bool(until) or straight
    return values


def in_brackets(text: str) -> Array:
    """How many brackets are open; an empty line ends what was left open."""
    values, open_ = np.zeros(len(text)), 0
    for t, (before, c) in enumerate(zip("\n" + text, text, strict=False)):
        open_ = 0 if c == "\n" == before else open_
        open_ = max(0, open_ + (c in OPENING) - (c in CLOSING))
        values[t] = open_
    return values


def last_vowel(text: str) -> list[str]:
    """The vowel that was read last, without its accents; "" before the first one."""
    values, last = [], ""
    for c in text:
        plain = unicodedata.normalize("NFD", c.casefold())[:1]
        last = plain if plain and plain in VOWELS else last
        values.append(last)
    return values


PROBES: Mapping[str, Probe] = {
    "place in word": place_in_word,
    "place in line": place_in_line,
    "speaker line": speaker_line,
    "quotes": in_quotes,
    "brackets": in_brackets,
    "last vowel": last_vowel,
}


def chosen(probes: Iterable[str | Probe] | Mapping[str, str | Probe] | None) -> dict[str, Probe]:
    """Probes by name, from names of `PROBES` and functions; all of `PROBES` for None."""
    if probes is None:
        return dict(PROBES)
    if isinstance(probes, str) or callable(probes):
        probes = [probes]
    named = (
        list(probes.items())
        if isinstance(probes, Mapping)
        else [(getattr(p, "__name__", str(p)).replace("_", " "), p) for p in probes]
    )
    found: dict[str, Probe] = {}
    for name, probe in named:
        if not callable(probe) and probe not in PROBES:
            raise unknown(f"there is no probe {probe!r}", "write a function, or one of", PROBES)
        if name in found:
            raise DataError(f"there are two probes {name!r}; give {{name: function}} for them.")
        found[name] = probe if callable(probe) else PROBES[probe]
    if not found:
        raise DataError("there is no probe; name one, or leave probes out for all of them.")
    return found


def ask(name: str, probe: Probe, text: str) -> dict[str, Array]:
    """What a probe says of a text: numbers by name, more than one where it answers with words."""
    said = probe(text)
    values = np.asarray(said)
    if values.shape != (len(text),):
        raise DataError(
            f"probe {name!r} returned values of shape {values.shape} for {len(text)} characters; "
            f"return one for each."
        )
    if values.dtype.kind in "biuf":
        return {name: values.astype(float)}
    words = sorted({str(v) for v in values} - {""})
    if values.dtype.kind not in "UO" or len(words) > KINDS:
        raise DataError(
            f"probe {name!r} returned {len(words)} kinds of {values.dtype} values; return "
            f"numbers, or at most {KINDS} different words."
        )
    told = values.astype(str)
    return {f"{name} {word}": np.where(told == "", np.nan, told == word) for word in words}


def _count(text: str, goes_on: Callable[[str, str], bool]) -> Array:
    values, count, before = np.zeros(len(text)), 0, "\n"
    for t, c in enumerate(text):
        count = count + 1 if goes_on(before, c) else 0
        values[t], before = count, c
    return values
