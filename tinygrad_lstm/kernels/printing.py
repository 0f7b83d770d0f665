"""What C and JavaScript print alike: passes over units, and operations on one sample's values."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any, ClassVar, Protocol

import numpy as np

from tinygrad_lstm.graph import opened
from tinygrad_lstm.kernels.backend import Unsupported
from tinygrad_lstm.kernels.loop import Apply, Assign, Join, Number, Operand, Statement, Sweep
from tinygrad_lstm.kernels.names import distinct
from tinygrad_lstm.kernels.plan import Buffer, Place
from tinygrad_lstm.tensor import TABLE, Array, Tensor

_REARRANGED = ["getitem", "reshape", "transpose", "swapaxes", "broadcast_to", "concat", "stack"]
_REDUCTIONS = {  # what a sum begins with, and how an entry enters it: see samples.c, functions.js
    "sum": (0, "add_up"),
    "mean": (0, "add_up"),
    "prod": (1, "multiply_up"),
    "max": (-math.inf, "largest"),
}


@dataclass(frozen=True)
class At:
    """Where a value begins: so many entries on in an array, none if `offset` is empty."""

    array: str
    offset: str = ""

    def plus(self, more: str) -> At:
        """Further on."""
        return At(self.array, " + ".join(n for n in (self.offset, more) if n and n != "0"))

    def __getitem__(self, place: str) -> str:
        return f"{self.array}[{self.plus(place).offset or 0}]"


class Dialect(Protocol):
    """How a language writes what `Rows` prints; the functions it calls have one name in all.

    face: the column of the table of operations with its templates; whole: how a variable is
    declared that counts, real: one that holds a number; constant: one that does not change;
    null: no table; independent: a line before loops whose entries do not depend on one another.
    """

    face: ClassVar[str]
    whole: ClassVar[str]
    real: ClassVar[str]
    constant: ClassVar[str]
    null: ClassVar[str]
    independent: ClassVar[tuple[str, ...]]

    def literal(self, value: Any, sized: bool = False) -> str:
        """A number; sized: one that is made of sizes."""
        ...

    def stored(self, text: str, truth: bool = False) -> str:
        """A value as it is kept; truth: whether it is not 0."""
        ...

    def pointer(self, at: At) -> str:
        """Where a value begins, as a function takes it."""
        ...

    def count(self, name: str, value: int) -> str:
        """A whole number that depends on sizes."""
        ...

    def table(self, numbers: Array | None) -> str:
        """A table of places; None for one that says of each entry its own."""
        ...

    def comment(self, text: str) -> str:
        """A line of the plan."""
        ...


class Rows:
    """Statements for one sample; `used` are the buffers whose rows they name.

    at: where a value begins in its row.
    """

    def __init__(self, dialect: Dialect, at: Callable[[Place], At]) -> None:
        self._dialect, self._at = dialect, at
        self.used: dict[Buffer, None] = {}

    def at(self, place: Place) -> At:
        """Where a value begins."""
        self.used[place.buffer] = None
        return self._at(place)

    def entry(self, operand: Operand, shape: tuple[int, ...]) -> str:
        """The entry of an operand that belongs to entry j of a result."""
        if isinstance(operand, Number):
            return self._dialect.literal(operand.value, bool(operand.words))
        assert isinstance(operand, Place)
        if operand.shape == shape:
            return self.at(operand)["j"]
        if operand.size == 1:
            return self.at(operand)["0"]
        numbers = np.broadcast_to(np.arange(operand.size).reshape(operand.shape), shape)
        return self.at(operand)[f"{self._dialect.table(numbers.reshape(-1))}[j]"]

    def lines(self, s: Statement) -> Iterator[str]:
        """What a sweep, a join or an operation alone does for one sample."""
        if isinstance(s, Sweep):
            yield from self._dialect.independent if s.shape else ()
            yield from self._each(s.shape, self._sweep(s))
        elif isinstance(s, Join):
            for out, x in s.copies:
                copied = f"{self.at(out)['j']} = {self.entry(x, out.shape)};"
                yield from self._each(out.shape, [copied])
        else:
            assert isinstance(s, Apply)
            operands = [self.at(place) for place in s.operands]
            yield from single(s.node, self.at(s.out), operands, self._dialect)

    def _each(self, shape: tuple[int, ...], lines: Iterable[str]) -> Iterator[str]:
        """A loop over the entries of a shape."""
        count = self._dialect.count("units", math.prod(map(int, shape))) if shape else "1"
        yield f"{_loop(self._dialect, 'j', count)} {{"
        yield from lines
        yield "}"

    def _sweep(self, sweep: Sweep) -> Iterator[str]:
        """What is done for unit j."""
        local: dict[Assign, str] = {}
        taken: set[str] = set()
        write = self._dialect

        def value(i: Operand) -> str:
            return local[i] if isinstance(i, Assign) else self.entry(i, sweep.shape)

        for assign in sweep.assigns:
            own = assign.node.name or str(len(local) + 1)
            name = f"v_{distinct(own, taken, ascii_only=True)}"
            text = expression(assign.node, [value(i) for i in assign.operands], write)
            note = f"  {write.comment(assign.line)}" if assign.line else ""
            yield f"{write.constant} {name} = {write.stored(text)};{note}"
            local[assign] = name
            for place in assign.places:
                yield f"{self.at(place)['j']} = {name};"
        for place, operand in sweep.copies:
            yield f"{self.at(place)['j']} = {value(operand)};"
        for place, operand in sweep.totals:
            yield f"{self.at(place)['j']} += {value(operand)};"


def _loop(write: Dialect, variable: str, count: str) -> str:
    return f"for ({write.whole} {variable} = 0; {variable} < {count}; {variable}++)"


# --- operations -----------------------------------------------------------------------------------
def expression(node: Tensor, operands: list[str], write: Dialect) -> str:
    """One entry of an elementwise operation; that of a composite is its definition's."""
    op = node.op or ""
    if op == "clip":
        text = operands[0]
        for end, sign in (("high", ">"), ("low", "<")):
            if (edge := node.attributes[end]) is not None:
                limit = write.literal(edge, hasattr(edge, "words"))
                text = f"({operands[0]} {sign} {limit} ? {limit} : {text})"
        return text

    def make(n: Tensor, parts: list[str]) -> str:
        return f"({expression(n, parts, write) if parts else write.literal(n.data.item())})"

    template = getattr(TABLE[op], write.face)
    if template is not None:
        text = template.format(*operands)
    elif TABLE[op].definition is not None:
        text = opened(op, operands, make)
    else:
        raise Unsupported(f"operation {op!r} has no {write.face.upper()}")
    # a sum of truth values is one
    return write.stored(text, truth=True) if op == "add" and node.dtype.kind == "b" else text


def single(node: Tensor, out: At, operands: list[At], write: Dialect) -> Iterator[str]:
    """Lines that compute one sample of an operation of values that lie at places."""
    op, to, x = node.op or "", write.pointer(out), write.pointer(operands[0])
    n, m = write.count("entries", node.inputs[0].size), write.count("entries", node.size)
    if op == "scatter":
        yield f"fill({m}, {to}, 0);"
        yield f"add_up({n}, {to}, {write.table(_scatter_places(node))}, {x});"
    elif op in _REARRANGED:
        yield from _rearranged(node, out, operands, write)
    elif op in _REDUCTIONS or op == "logsumexp":
        table = write.null if (groups := _groups(node)) is None else write.table(groups)
        if op == "logsumexp":
            yield f"log_sum_exp({m}, {n}, {to}, {table}, {x});"
        else:
            start, function = _REDUCTIONS[op]
            yield f"fill({m}, {to}, {write.literal(start)});"
            yield f"{function}({n}, {to}, {table}, {x});"
        if op == "mean":
            yield f"average({m}, {n}, {to});"
    elif op in ("softmax", "log_softmax", "cumsum"):
        axis, shape = node.attributes["axis"] % node.ndim, node.shape
        outer = write.count("outer", math.prod(map(int, shape[:axis]))) if axis else "1"
        inner = math.prod(map(int, shape[axis + 1 :]))
        within = write.count("inner", inner) if axis + 1 < node.ndim else "1"
        yield f"{op}_({outer}, {write.count('length', shape[axis])}, {within}, {to}, {x});"
    elif op == "einsum" or TABLE[op].signature.startswith("("):
        yield from _contracted(node, out, operands, write)
    else:
        raise Unsupported(f"operation {op!r} has no {write.face.upper()}")
    if node.dtype.kind == "b":
        yield f"truth({m}, {to});"


def _rearranged(node: Tensor, out: At, operands: list[At], write: Dialect) -> Iterator[str]:
    """Each entry of the result is an entry of an operand."""
    ends = np.cumsum([0, *(i.size for i in node.inputs)])
    spans = list(zip(node.inputs, operands, ends, ends[1:], strict=False))
    numbers = [np.arange(start, stop).reshape(i.shape) for i, _, start, stop in spans]
    source = np.asarray(TABLE[node.op or ""].forward(*numbers, **node.attributes)).reshape(-1)

    def entries(at: At, numbers: Array) -> str:
        """Where they begin, and a table of places, none for a run of them."""
        run = bool((np.diff(numbers) == 1).all())
        start = write.count("from", numbers[0] if run and numbers.size else 0)
        return f"{write.pointer(at.plus(start))}, {write.table(None if run else numbers)}"

    for _, operand, start, stop in spans:
        (to,) = np.nonzero((source >= start) & (source < stop))
        n = write.count("entries", to.size)
        yield f"move({n}, {entries(out, to)}, {entries(operand, source[to] - start)});"


def _scatter_places(node: Tensor) -> Array:
    """Where `scatter` adds each entry of its operand."""
    shape, index = node.attributes["shape"], node.attributes["index"]
    whole = np.arange(math.prod(shape)).reshape(shape)
    return np.asarray(whole[index]).reshape(-1)


def _groups(node: Tensor) -> Array | None:
    """For each entry of the operand that of the result it is reduced to; None if there is one."""
    shape = node.inputs[0].shape
    axis = node.attributes["axis"]
    axes = tuple(range(len(shape))) if axis is None else tuple(np.atleast_1d(axis) % len(shape))
    if len(axes) == len(shape):
        return None
    kept = tuple(1 if k in axes else n for k, n in enumerate(shape))
    numbers = np.arange(math.prod(kept)).reshape(kept)
    return np.broadcast_to(numbers, shape).reshape(-1)


def letters_of(node: Tensor) -> list[str]:
    """A letter for each axis of the operands and of the result of a sum of products."""
    if node.op == "einsum":
        return re.split(",|->", node.attributes["subscripts"])
    groups, after = TABLE[node.op or ""].letters()
    cores = ["".join(group) for group in (*groups, after)]
    free = ascii_uppercase[: node.ndim - len(cores[-1])]
    axes = [t.ndim - len(own) for t, own in zip((*node.inputs, node), cores, strict=True)]
    return [free[len(free) - n :] + own for n, own in zip(axes, cores, strict=True)]


def _contracted(node: Tensor, out: At, operands: list[At], write: Dialect) -> Iterator[str]:
    """A sum of products, over all letters that the result does not have."""
    groups, tensors = letters_of(node), (*node.inputs, node)
    most: dict[str, int] = {}
    for group, t in zip(groups, tensors, strict=True):
        for c, n in zip(group, t.shape, strict=True):
            most[c] = max(n, most.get(c, 1))
    count = {c: write.count(f"axis_{c}", n) for c, n in most.items()}

    def entry(at: At, group: str, shape: tuple[int, ...]) -> str:
        place = ""
        for c, n in zip(group, shape, strict=True):
            if n == most[c]:  # else it is repeated along this axis
                place = f"({place}) * {count[c]} + i_{c}" if place else f"i_{c}"
        return at[place]

    def each(letters: Iterable[str]) -> str:
        return " ".join(_loop(write, f"i_{c}", count[c]) for c in letters)

    left, right, to = map(entry, (*operands, out), groups, (t.shape for t in tensors))
    yield f"{each(dict.fromkeys(groups[-1]))} {{"
    yield f"{write.real} total = 0;"
    yield f"{each(sorted(most.keys() - set(groups[-1])))} total += {left} * {right};"
    yield f"{to} = total;"
    yield "}"
