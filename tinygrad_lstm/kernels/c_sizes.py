"""Numbers that a C source leaves open, so that one compiled text serves all sizes of a cell."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, ClassVar

import numpy as np

from tinygrad_lstm.kernels.names import comment_text, number
from tinygrad_lstm.kernels.printing import At
from tinygrad_lstm.tensor import Array


class Sizes:
    """C as `Rows` prints it, with the members of `struct sizes` and their values, collected.

    Two plans of one structure print the same text, and differ in these alone. No number is shared
    because it happens to be equal to another one: then sizes that coincide would change the text.
    """

    face: ClassVar[str] = "c"
    whole: ClassVar[str] = "count"
    real: ClassVar[str] = "real"
    constant: ClassVar[str] = "const real"
    null: ClassVar[str] = "NULL"
    independent: ClassVar[tuple[str, ...]] = ("INDEPENDENT",)

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.tables: dict[str, Array | None] = {}
        self.reals: list[float] = []
        self._known: dict[Hashable, str] = {}

    def count(self, name: str, value: int, key: Hashable = None) -> str:
        """A whole number as the source reads it; with the same `key` it is the same member."""
        if key not in self._known or key is None:
            made, k = name, 2
            while made in self.counts:
                made, k = f"{name}_{k}", k + 1
            self.counts[made] = int(value)
            if key is None:
                return f"n->{made}"
            self._known[key] = made
        return f"n->{self._known[key]}"

    def table(self, numbers: Array | None) -> str:
        """A table of places; None for one that says of each entry its own."""
        name = f"table_{len(self.tables)}"
        self.tables[name] = None if numbers is None else np.ascontiguousarray(numbers, np.intc)
        return f"n->{name}"

    def literal(self, value: Any, sized: bool = False) -> str:
        """A number; sized: one that is made of sizes."""
        if not sized:
            return f"(real){number(value, 'INFINITY', 'NAN')}"
        self.reals.append(value)
        return f"n->reals[{len(self.reals) - 1}]"

    def stored(self, text: str, truth: bool = False) -> str:
        """A value as it is kept; truth: whether it is not 0."""
        return f"({text}) != 0" if truth else text

    def pointer(self, at: At) -> str:
        """Where a value begins."""
        return f"({at.array} + {at.offset})" if at.offset else at.array

    def comment(self, text: str) -> str:
        """A comment."""
        return c_comment(text)

    def declaration(self) -> str:
        """The struct."""
        lines = [f"    count {name};" for name in self.counts]
        lines += [f"    const int *{name};" for name in self.tables]
        lines += ["    const real *reals;"] * bool(self.reals)
        return "\n".join(["struct sizes {", *lines, "};"])

    def values(self, dtype: np.dtype[np.floating]) -> tuple[Array, list[Array]]:
        """The struct in memory, a word a member, and the arrays that it points to."""
        kept = [t for t in self.tables.values() if t is not None]
        kept += [np.array(self.reals, dtype)] * bool(self.reals)
        addresses = iter([array.ctypes.data for array in kept])
        tables = [0 if t is None else next(addresses) for t in self.tables.values()]
        return np.array([*self.counts.values(), *tables, *addresses], np.intp), kept

    def definition(self, told: str) -> Iterator[str]:
        """The struct with these values, in C."""
        members = [f".{name} = {value}" for name, value in self.counts.items()]
        for name, table in self.tables.items():
            if table is not None:
                yield f"static const int {name}[] = {{{', '.join(map(str, table.tolist()))}}};"
            members.append(f".{name} = {'NULL' if table is None else name}")
        if self.reals:
            numbers = ", ".join(f"(real){number(v, 'INFINITY', 'NAN')}" for v in self.reals)
            yield f"static const real reals[] = {{{numbers}}};"
            members.append(".reals = reals")
        yield c_comment(told)
        yield f"const struct sizes sizes = {{\n    {f',{chr(10)}    '.join(members)}}};"


def c_comment(text: str) -> str:
    """A comment, which nothing in it ends."""
    text = text if "\n" in text else comment_text(text, 160)
    return f"/* {text.replace('*/', '* /').replace('/*', '/ *')} */"
