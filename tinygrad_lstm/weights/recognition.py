"""Which cell of a framework a cell is, whatever its author called it and its values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import permutations
from typing import Any

import numpy as np

from tinygrad_lstm.program import Program
from tinygrad_lstm.running import unroll
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Tensor
from tinygrad_lstm.weights.gates import LAYOUTS

_EITHER_WAY = ("add", "multiply")
_Pairs = dict[Tensor, Tensor]


def recognise(
    cell: Cell, framework: str, program: Program | None = None
) -> tuple[Cell, dict[str, str], dict[str, str]] | None:
    """The cell of `gates.LAYOUTS` with the same equations under other names, if there is one.

    With it come what its parameters and its states are called here. Names of values and of
    equations do not count, nor the order of sums and products of two; a run with random numbers
    must give the same.
    """
    program = program or cell.program()
    x = program.inputs["x"]
    widths = {node.shape for name, node in program.inputs.items() if name.startswith("prev.")}
    if cell.extra_inputs or x.ndim != 1 or len(widths) != 1 or len(next(iter(widths))) != 1:
        return None
    sizes = {"inputs": int(x.shape[0]), "hidden": int(next(iter(widths))[0])}
    for like in LAYOUTS[framework]:
        if len(like.state) != len(cell.state) or len(like.parameters) != len(cell.parameters):
            continue
        other = like.program(**sizes)
        for order in permutations(cell.state):
            states = dict(zip(like.state, order, strict=True))
            if states.get(like.output) != cell.output:
                continue
            pairs = _paired(program, other, states)
            if pairs is None:
                continue
            named = {node: name for name, node in program.inputs.items()}
            renamed = {n: named[pairs[other.inputs[n]]] for n in like.parameters}
            if _agree(cell, like, renamed, states, program.sizes, sizes):
                return like, renamed, states
    return None


def _paired(program: Program, other: Program, states: Mapping[str, str]) -> _Pairs | None:
    """For each input of `other` the one of `program` that stands in its place."""
    pairs: _Pairs = {other.inputs["x"]: program.inputs["x"]}
    pairs |= {other.inputs[f"prev.{a}"]: program.inputs[f"prev.{b}"] for a, b in states.items()}
    roots = [(program.outputs[b], other.outputs[a]) for a, b in states.items()]
    found = next(_all(roots, pairs, set(program.inputs.values())), None)
    complete = found is not None and all(node in found for node in other.inputs.values())
    return found if complete else None


def _all(todo: list[tuple[Tensor, Tensor]], pairs: _Pairs, inputs: set[Tensor]) -> Iterator[_Pairs]:
    """Every way to pair all of these."""
    if not todo:
        yield pairs
        return
    (node, other), *rest = todo
    for found in _ways(node, other, pairs, inputs):
        yield from _all(rest, found, inputs)


def _ways(node: Tensor, other: Tensor, pairs: _Pairs, inputs: set[Tensor]) -> Iterator[_Pairs]:
    while node.op == "identity":
        (node,) = node.inputs
    while other.op == "identity":
        (other,) = other.inputs
    if other in pairs:
        if pairs[other] is node:
            yield pairs
        return
    if node.shape != other.shape or any(node is taken for taken in pairs.values()):
        return
    if not other.inputs:
        if other.traced and node in inputs:
            yield {**pairs, other: node}
        constants = not (other.traced or node.inputs or node.traced)
        if constants and np.array_equal(node.data, other.data):
            yield pairs
        return
    if node.op != other.op or not _alike(node.attributes, other.attributes):
        return
    orders = [node.inputs]
    if node.op in _EITHER_WAY:
        orders.append(node.inputs[::-1])
    for order in orders:
        for found in _all(list(zip(order, other.inputs, strict=True)), pairs, inputs):
            yield {**found, other: node}


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return one.keys() == other.keys() and all(str(one[k]) == str(other[k]) for k in one)


def _agree(
    cell: Cell,
    like: Cell,
    renamed: Mapping[str, str],
    states: Mapping[str, str],
    own_sizes: Mapping[str, int],
    sizes: Mapping[str, int],
) -> bool:
    """Whether both compute the same from random numbers."""
    random = np.random.default_rng(0)
    draw = random.standard_normal
    p = {
        n: draw(t.shape) * 0.5
        for n, t in cell.program(**own_sizes).inputs.items()
        if n in cell.parameters
    }
    xs = draw((3, 2, sizes["inputs"]))
    initial = {n: draw((2, sizes["hidden"])) for n in cell.state}
    one = unroll(cell, p, xs, initial)
    q = {n: p[renamed[n]] for n in like.parameters}
    other = unroll(like, q, xs, {n: initial[states[n]] for n in like.state})
    return all(
        np.allclose(one.final[states[n]].data, other.final[n].data, rtol=1e-9, atol=1e-12)
        for n in like.state
    ) and np.allclose(one[cell.output].data, other[like.output].data, rtol=1e-9, atol=1e-12)
