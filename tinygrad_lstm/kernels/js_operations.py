"""JavaScript as `Rows` prints it, and the helpers that it calls."""

from __future__ import annotations

import math
import re
from typing import Any, ClassVar

import numpy as np

from tinygrad_lstm.kernels.backend import Unsupported
from tinygrad_lstm.kernels.names import comment_text, file, number
from tinygrad_lstm.kernels.printing import At
from tinygrad_lstm.tensor import Array

_MOST = 1 << 16  # entries of an index table in the source


class JavaScript:
    """The dialect. `tables` are the index tables that it uses, by text.

    single: in single precision, to which `F` rounds a number; JavaScript has the other one alone.
    """

    face: ClassVar[str] = "js"
    whole: ClassVar[str] = "let"
    real: ClassVar[str] = "let"
    constant: ClassVar[str] = "const"
    null: ClassVar[str] = "null"
    independent: ClassVar[tuple[str, ...]] = ()

    def __init__(self, single: bool) -> None:
        self._single = single
        self.tables: dict[str, str] = {}

    def literal(self, value: Any, sized: bool = False) -> str:
        """A number of the cell."""
        text = number(value, "Infinity", "NaN")
        exact = not math.isfinite(value) or (value == int(value) and abs(value) < 1 << 24)
        text = text if exact else self.stored(text)
        return f"({text})" if text.startswith("-") else text

    def stored(self, text: str, truth: bool = False) -> str:
        """A value as it is kept; truth: whether it is not 0."""
        if truth:
            return f"Number({text} !== 0)"
        return f"F({text})" if self._single else text

    def pointer(self, at: At) -> str:
        """Where a value begins: two arguments."""
        return f"{at.array}, {at.offset or 0}"

    def count(self, name: str, value: int) -> str:
        """A whole number that depends on sizes."""
        return str(value)

    def table(self, numbers: Array | None) -> str:
        """The name of a table of places; no table for one that says of each entry its own."""
        if numbers is None:
            return self.null
        return self.tables.setdefault(_table(numbers), f"table_{len(self.tables)}")

    def comment(self, text: str) -> str:
        """A comment, to the end of the line."""
        return js_comment(text)


def js_comment(text: str) -> str:
    """A comment, to the end of the line."""
    return f"// {comment_text(text, 160)}".replace("</", "< /").rstrip()


def functions(code: str) -> str:
    """The helpers that some JavaScript calls, and those that they call."""
    parts = file("functions.js").strip().split("\n\n")
    known = {re.findall(r"^(?:const|function) (\w+)", part, re.M)[0]: part for part in parts}
    found, todo = dict[str, None](), [code]
    while todo:
        text = todo.pop()
        calls = [n for n in known if n not in found and re.search(rf"\b{n}\(", text)]
        found |= dict.fromkeys(calls)
        todo += [known[name] for name in calls]
    return "\n\n".join(part for name, part in known.items() if name in found)


def _table(numbers: Array) -> str:
    """An index table, as the runs that it is made of where it is regular."""
    runs, rest = list[int](), np.asarray(numbers).reshape(-1)
    start = int(rest[0]) if rest.size else 0
    while rest.size > 1:
        steps = np.diff(rest)
        other = np.flatnonzero(steps != steps[0])
        n = int(other[0]) + 1 if other.size else rest.size
        if rest.size % n or (rest.reshape(-1, n) != rest[::n, None] + rest[:n] - rest[0]).any():
            if numbers.size > _MOST:
                raise Unsupported(f"an index table of {numbers.size:,} entries")
            return f"Int32Array.of({', '.join(map(str, numbers.reshape(-1).tolist()))})"
        runs += [n, int(steps[0])]
        rest = rest[::n]
    return f"places({', '.join(map(str, [start, *runs]))})"
