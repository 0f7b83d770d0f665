"""Dimensions in words: `"hidden, hidden + inputs"`, their values, and their values' inference."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

from tinygrad_lstm.errors import CellError, ShapeError

Linear = dict[str, int]  # a sum of sizes: {"hidden": 2, "inputs": 1}; "" is the constant
_TERM = re.compile(r"(?:(\d+)\s*\*?\s*)?([A-Za-z_]\w*)?$")


@functools.cache
def parse(words: str) -> tuple[Linear, ...]:
    """The axes of a shape: `"hidden, hidden + inputs"` is ({hidden: 1}, {hidden: 1, inputs: 1})."""
    return tuple(_axis(axis, words) for axis in words.split(",") if axis.strip())


def _axis(axis: str, words: str) -> Linear:
    total: Linear = {}
    for term in axis.split("+"):
        found = _TERM.match(term.strip())
        if not found or not found[0]:
            raise CellError(
                f"cannot read the dimension {axis.strip()!r} in {words!r}.\n"
                f"  Write sums of names and numbers: 'hidden, hidden + inputs', '3 * hidden'."
            )
        count, name = int(found[1] or 1), found[2] or ""
        total[name] = total.get(name, 0) + count
    return total


def value(axis: Linear, sizes: Mapping[str, int]) -> int:
    """The length of an axis when the sizes in it are known."""
    return sum(count * (sizes[name] if name else 1) for name, count in axis.items())


def shape(words: str, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """The shape that a declaration means for given sizes."""
    return tuple(value(axis, sizes) for axis in parse(words))


def names(declarations: Mapping[str, str]) -> list[str]:
    """The names of the sizes in several declarations, in the order in which they first occur."""
    found: dict[str, None] = {}
    for words in declarations.values():
        for axis in parse(words):
            found.update(dict.fromkeys(name for name in axis if name))
    return list(found)


def infer(
    declarations: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]], owner: str
) -> dict[str, int]:
    """The sizes that make declared shapes equal actual ones.

    An axis with one size not yet known gives that size; every other axis must agree.
    """
    sizes: dict[str, int] = {}
    source: dict[str, str] = {}
    todo = []
    for name, actual in shapes.items():
        axes = parse(declarations[name])
        if len(axes) != len(actual):
            raise ShapeError(
                f"{owner}: {name} is ({declarations[name]}), which has {len(axes)} "
                f"{'axis' if len(axes) == 1 else 'axes'}, but the array given has shape {actual}."
            )
        todo += [(name, axis, n) for axis, n in zip(axes, actual, strict=True)]
    progress = True
    while progress:
        progress = False
        for name, axis, n in todo:
            unknown = [s for s in axis if s and s not in sizes]
            if len(unknown) != 1:
                continue
            (size,) = unknown
            rest = value({k: c for k, c in axis.items() if k != size}, sizes)
            found, left = divmod(n - rest, axis[size])
            if left or found < 1:
                raise ShapeError(
                    f"{owner}: {name} is ({declarations[name]}), but the array given has shape "
                    f"{shapes[name]}{_known(sizes, source)}, which leaves no {size}."
                )
            sizes[size], source[size], progress = found, name, True
    for name, axis, n in todo:
        if any(s and s not in sizes for s in axis):
            missing = next(s for s in axis if s and s not in sizes)
            raise ShapeError(f"{owner}: the shapes given do not determine {missing}; pass it.")
        if value(axis, sizes) != n:
            expected = tuple(value(a, sizes) for a in parse(declarations[name]))
            raise ShapeError(
                f"{owner}: {name} is ({declarations[name]}) = {expected}"
                f"{_known(sizes, source)}, but the array given has shape {shapes[name]}."
            )
    return sizes


def _known(sizes: Mapping[str, int], source: Mapping[str, str]) -> str:
    return "".join(f", {size}={n} by {source[size]}" for size, n in sizes.items())


def declared(parameters: Mapping[str, str], line: str) -> str:
    """The parameters that a line of code reads as p.NAME with their shapes' words, and the fix."""
    read = [f"{n} ({words})" for n, words in parameters.items() if re.search(rf"p\.{n}\b", line)]
    if not read:
        return ""
    return f"\n  Declared: {', '.join(read)}. Change the declaration, or what it meets here."
