"""Places, values and lines of generated loops, and how a language writes what differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from tinygrad_lstm.exporting.entry_style import Entries
from tinygrad_lstm.plain_style import Piece


class Index(NamedTuple):
    """A place: a sum of multiples of variables, and a number."""

    terms: tuple[tuple[str, int], ...] = ()
    number: int = 0

    def times(self, factor: int) -> Index:
        """The place times a number."""
        terms = tuple((v, n * factor) for v, n in self.terms) if factor else ()
        return Index(terms, self.number * factor)

    def plus(self, other: Index) -> Index:
        """The sum of two places."""
        total = dict(self.terms)
        for v, n in other.terms:
            total[v] = total.get(v, 0) + n
        terms = tuple((v, n) for v, n in total.items() if n)
        return Index(terms, self.number + other.number)

    def __str__(self) -> str:
        text = ""
        for v, n in self.terms:
            term = v if abs(n) == 1 else f"{v} * {abs(n)}"
            text += f" {'-' if n < 0 else '+'} {term}" if text else f"{'-' * (n < 0)}{term}"
        if self.number or not text:
            sign = "-" if self.number < 0 else "+"
            text = f"{text} {sign} {abs(self.number)}" if text else str(self.number)
        return text


ZERO = Index()
Places = Sequence[Index]


class Language(Protocol):
    """How a language writes what differs."""

    def style(self) -> Entries:
        """The style of an entry's expression, a `Plain`."""

    def loop(self, variable: str, n: int) -> str:
        """The head of a loop."""

    def scalar(self, name: str, value: str) -> str:
        """The declaration of a number that changes."""

    def fixed(self, name: str, value: str) -> str:
        """The declaration of a number that does not."""

    def comment(self, text: str) -> str:
        """A line that is only read."""


@dataclass
class Block:
    """Lines of code, indented by their braces."""

    lines: list[str]
    depth: int = 0

    def say(self, line: str) -> None:
        """Add a line."""
        if line.startswith("}"):
            self.depth -= 1
        self.lines.append("    " * self.depth + line)
        if line.endswith("{"):
            self.depth += 1


@dataclass(frozen=True)
class Value:
    """How an entry is read; `array`: where all lie in order; costly: whether reading computes."""

    shape: tuple[int, ...]
    at: Callable[[Places], Piece]
    array: str | None = None
    costly: bool = False


def aligned(places: Places, shape: tuple[int, ...]) -> list[Index]:
    """The place in an operand that broadcasts."""
    own = list(places)[len(places) - len(shape) :] if shape else []
    return [ZERO if n == 1 else place for place, n in zip(own, shape, strict=True)]


def wrapped(parts: Sequence[str], width: int, indent: str) -> Iterator[str]:
    """Parts with commas, as many on a line as fit."""
    line = indent
    for k, part in enumerate(parts):
        piece = part + ("," if k + 1 < len(parts) else "")
        if len(line) + len(piece) + 1 > width and line.strip():
            yield line.rstrip()
            line = indent
        line += piece + " "
    if line.strip():
        yield line.rstrip()
