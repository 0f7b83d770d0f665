"""Which cell of a framework a cell is, whatever its author called it and its values.

Two cells are the same if their equations are, up to names and to how sums are written: what is
added may stand in any order, and a product with a matrix may be one with [h, x], two with its
parts, or some rows of one that is made for all gates.

    W·[h, x] + b        U·h + V·x + b        (A·[x, h] + a)[:hidden]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lstm.program import Program
from tinygrad_lstm.running import unroll
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import TABLE, Array, Tensor, ancestors, fold
from tinygrad_lstm.weights.gates import LAYOUTS

_EITHER_WAY = ("add", "multiply")


class Part(NamedTuple):
    """Some rows and columns of a matrix, or some entries of a vector, made of parameters."""

    node: Tensor
    rows: tuple[int, int]
    columns: tuple[int, int] = (0, 0)


class Sum(NamedTuple):
    """What is added: products of matrices with vectors, vectors of parameters, other values."""

    products: list[tuple[Part, Tensor]]
    biases: list[Part]
    others: list[Tensor]


@dataclass(frozen=True)
class Found:
    """What stands for what: values for values, and parts of parameters for a cell's parameters."""

    values: dict[Tensor, Tensor]
    matrices: dict[Part, Part] = field(default_factory=dict)
    biases: dict[tuple[Part, ...], tuple[Part, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Recognised:
    """A cell of `gates.LAYOUTS` that another one is; `states`: what its states are called there."""

    like: Cell
    states: Mapping[str, str]
    _found: Found
    _inputs: Mapping[str, Tensor]
    _program: Program

    def parameters(self, own: Mapping[str, Any]) -> dict[str, Array]:
        """The parameters of `like`, from those of the cell."""
        arrays = {n: np.asarray(getattr(v, "data", v)) for n, v in own.items()}
        kind = np.result_type(*(a.dtype for a in arrays.values())) if arrays else np.dtype(float)
        leaves = {self._program.inputs[n]: a for n, a in arrays.items()}

        def value(part: Part) -> Array:
            whole = fold([part.node], leaves, _computed)[part.node]
            cut = np.broadcast_to(whole, part.node.shape)[slice(*part.rows)]
            return cut[:, slice(*part.columns)] if part.columns[1] else cut

        made = {n: np.zeros(self._inputs[n].shape, kind) for n in self.like.parameters}
        names = {self._inputs[n]: n for n in self.like.parameters}
        for place, part in self._found.matrices.items():
            made[names[place.node]][slice(*place.rows), slice(*place.columns)] = value(part)
        for places, parts in self._found.biases.items():
            for part in parts:  # a sum of biases is the first one
                made[names[places[0].node]] += value(part)
        for other, node in self._found.values.items():
            if other in names:
                whole = (0, node.shape[0] if node.ndim else 1)
                made[names[other]] = np.array(value(Part(node, whole)), kind)
        return made


def _computed(node: Tensor, operands: list[Any]) -> Any:
    if not node.inputs:
        return node.data
    return TABLE[node.op or ""].forward(*operands, **node.attributes)


def recognise(cell: Cell, framework: str, program: Program | None = None) -> Recognised | None:
    """The cell of `gates.LAYOUTS` with the same equations, if there is one.

    Names do not count, and a run with random numbers must give the same.
    """
    program = program or cell.program()
    x = program.inputs["x"]
    widths = {node.shape for name, node in program.inputs.items() if name.startswith("prev.")}
    if cell.extra_inputs or x.ndim != 1 or len(widths) != 1 or len(next(iter(widths))) != 1:
        return None
    sizes = {"inputs": int(x.shape[0]), "hidden": int(next(iter(widths))[0])}
    for like in LAYOUTS[framework]:
        if len(like.state) != len(cell.state):
            continue
        other = like.program(**sizes)
        for order in permutations(cell.state):
            states = dict(zip(like.state, order, strict=True))
            if states.get(like.output) != cell.output:
                continue
            found = _Match(cell, program, like, other).whole(states)
            if found is None:
                continue
            made = Recognised(like, states, found, other.inputs, program)
            if _agree(cell, made, sizes):
                return made
    return None


class _Match:
    """The ways in which a Program is another one."""

    def __init__(self, cell: Cell, program: Program, like: Cell, other: Program) -> None:
        self.program, self.other = program, other
        self.own = {program.inputs[n] for n in cell.parameters}
        self.wanted = {other.inputs[n] for n in like.parameters}

    def whole(self, states: Mapping[str, str]) -> Found | None:
        """What stands for each parameter of `other`, if it is the same."""
        values = {self.other.inputs["x"]: self.program.inputs["x"]}
        for a, b in states.items():
            values[self.other.inputs[f"prev.{a}"]] = self.program.inputs[f"prev.{b}"]
        roots = [(self.program.outputs[b], self.other.outputs[a]) for a, b in states.items()]
        return next(self.all(roots, Found(values)), None)

    def all(self, todo: list[tuple[Tensor, Tensor]], known: Found) -> Iterator[Found]:
        """Every way in which all pairs are the same."""
        if not todo:
            yield known
            return
        (node, other), *rest = todo
        for found in self.ways(node, other, known):
            yield from self.all(rest, found)

    def ways(self, node: Tensor, other: Tensor, known: Found) -> Iterator[Found]:
        """Every way in which two values are the same."""
        node, other = _plain(node), _plain(other)
        if other in known.values:
            if known.values[other] is node:
                yield known
            return
        if node.shape != other.shape:
            return
        if not other.inputs:
            constants = not (other.traced or node.inputs or node.traced)
            if other in self.wanted and self.static(node):
                yield replace(known, values={**known.values, other: node})
            elif constants and np.array_equal(node.data, other.data):
                yield known
            return
        if other.op in ("add", "matvec"):
            yield from self.sums(node, other, known)
            return
        if node.op != other.op or not _alike(node.attributes, other.attributes):
            return
        for order in [node.inputs] + [node.inputs[::-1]] * (node.op in _EITHER_WAY):
            for found in self.all(list(zip(order, other.inputs, strict=True)), known):
                yield replace(found, values={**found.values, other: node})

    def sums(self, node: Tensor, other: Tensor, known: Found) -> Iterator[Found]:
        """Every way in which two sums are the same."""
        mine, theirs = self.taken_apart(node), self.taken_apart(other)
        counts = len(mine.products) == len(theirs.products), len(mine.others) == len(theirs.others)
        if not all(counts) or (mine.biases and not theirs.biases):
            return
        biases = dict(known.biases)
        if theirs.biases:
            key = tuple(theirs.biases)
            if biases.setdefault(key, tuple(mine.biases)) != tuple(mine.biases):
                return
        start = replace(known, biases=biases)
        for products in permutations(mine.products):
            matrices = dict(known.matrices)
            todo = []
            for (part, vector), (place, theirs_vector) in zip(
                products, theirs.products, strict=True
            ):
                if matrices.setdefault(place, part) != part:
                    break
                todo.append((vector, theirs_vector))
            else:
                for others in permutations(mine.others):
                    rest = list(zip(others, theirs.others, strict=True))
                    for found in self.all(todo + rest, replace(start, matrices=matrices)):
                        yield replace(found, values={**found.values, other: node})

    def static(self, node: Tensor) -> bool:
        """Whether a value depends on nothing but parameters and numbers."""
        leaves = [n for n in ancestors([node]) if not n.inputs]
        return all(n in self.own or n in self.wanted or not n.traced for n in leaves)

    def taken_apart(self, node: Tensor) -> Sum:
        """What is added in a value."""
        found = Sum([], [], [])
        self._take(node, (0, int(node.shape[0]) if node.ndim else 0), found)
        return found

    def _take(self, node: Tensor, rows: tuple[int, int], found: Sum) -> None:
        node = _plain(node)
        if self.static(node) and node.ndim == 1:
            found.biases.append(Part(node, rows))
        elif node.op == "add" and all(i.shape == node.shape for i in node.inputs):
            for i in node.inputs:
                self._take(i, rows, found)
        elif node.op == "matvec" and self.static(node.inputs[0]) and node.ndim == 1:
            W, vector = node.inputs
            for part, columns in _pieces(vector):
                found.products.append((Part(W, rows, columns), part))
        elif node.op == "getitem" and (cut := _cut(node)) is not None:
            self._take(node.inputs[0], (cut + rows[0], cut + rows[1]), found)
        else:
            found.others.append(node)


def _pieces(vector: Tensor) -> Iterator[tuple[Tensor, tuple[int, int]]]:
    """The parts of [h, x], each with its columns."""
    vector, start = _plain(vector), 0
    parts = vector.inputs if vector.op == "concat" else (vector,)
    for part in parts:
        yield _plain(part), (start, start + int(part.shape[0]))
        start += int(part.shape[0])


def _cut(node: Tensor) -> int | None:
    """Where a slice of a vector begins."""
    index = node.attributes["index"]
    index = index if isinstance(index, tuple) else (index,)
    if len(index) != 1 or not isinstance(index[0], slice) or node.inputs[0].ndim != 1:
        return None
    start, _, step = index[0].indices(int(node.inputs[0].shape[0]))
    return start if step == 1 else None


def _plain(node: Tensor) -> Tensor:
    while node.op == "identity":
        (node,) = node.inputs
    return node


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return one.keys() == other.keys() and all(str(one[k]) == str(other[k]) for k in one)


def _agree(cell: Cell, made: Recognised, sizes: Mapping[str, int]) -> bool:
    """Whether both compute the same from random numbers."""
    draw, like, states = np.random.default_rng(0).standard_normal, made.like, made.states
    shapes = {n: made._program.inputs[n].shape for n in cell.parameters}
    p = {n: 0.5 * draw(shape) for n, shape in shapes.items()}
    xs = draw((3, 2, sizes["inputs"]))
    initial = {n: draw((2, sizes["hidden"])) for n in cell.state}
    one = unroll(cell, p, xs, initial)
    first = {n: initial[states[n]] for n in like.state}
    other = unroll(like, made.parameters(p), xs, first)
    pairs = [(one.final[states[n]], other.final[n]) for n in like.state]
    pairs.append((one[cell.output], other[like.output]))
    return all(np.allclose(a.data, b.data, rtol=1e-9, atol=1e-12) for a, b in pairs)
