# ruff: noqa: D103 - each writes the operation of its name
"""Loops that put entries elsewhere, and views that need none."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence, Set

import numpy as np

from tinygrad_lstm.exporting.loop_sums import SUMS, write_contraction
from tinygrad_lstm.exporting.loop_values import ZERO, Index, Language, Places, Value, aligned
from tinygrad_lstm.exporting.loops import Loops, Writer
from tinygrad_lstm.exporting.subject import Layer
from tinygrad_lstm.kernels.names import distinct
from tinygrad_lstm.plain_style import Piece
from tinygrad_lstm.tensor import TABLE, Array, Tensor


def write_concat(loops: Loops, node: Tensor, operands: list[Value]) -> Value:
    axis = int(node.attributes["axis"]) % node.ndim
    return _joined(loops, node, operands, axis, [v.shape[axis] for v in operands], False)


def write_stack(loops: Loops, node: Tensor, operands: list[Value]) -> Value:
    axis = int(node.attributes["axis"]) % node.ndim
    return _joined(loops, node, operands, axis, [1] * len(operands), True)


def _joined(
    loops: Loops, node: Tensor, operands: list[Value], axis: int, lengths: list[int], new: bool
) -> Value:
    name = _name_of_joined(loops, operands) or loops.fresh()
    loops.arrays[name] = node.size
    made, start = loops.view(name, node.shape), 0
    for value, n in zip(operands, lengths, strict=True):
        with loops.over(value.shape) as places:
            to = list(places)
            if new:
                to.insert(axis, Index((), start))
            else:
                to[axis] = to[axis].plus(Index((), start))
            entry = value.at(places).text
            loops.block.say(f"{made.at(to).text} = {entry};")
        start += n
    return made


def _name_of_joined(loops: Loops, operands: list[Value]) -> str:
    """[h, x] is hx."""
    parts = [(v.array or "").removesuffix("_prev") for v in operands]
    name = "".join(parts)
    free = all(parts) and len(name) <= 12 and name not in loops.taken
    return distinct(name, loops.taken) if free else ""


def write_getitem(loops: Loops, node: Tensor, operands: list[Value]) -> Value:
    (x,), index = operands, node.attributes["index"]
    index = index if isinstance(index, tuple) else (index,)
    ways: list[Callable[[list[Index]], Index | None]] = []
    axis = 0
    lists = [np.asarray(p) for p in index if isinstance(p, np.ndarray) and p.ndim]
    if len(lists) > 1:
        raise loops.unwritten("getitem with several lists of places")
    for part in index:
        if part is None:
            ways.append(_skip)
            continue
        n = x.shape[axis]
        axis += 1
        if isinstance(part, slice):
            start, _, step = part.indices(n)
            ways.append(_sliced(start, step))
        elif np.ndim(part):
            ways.append(_listed(loops, np.asarray(part)))
        else:
            ways.append(_chosen(int(part) % n))

    def at(places: Places) -> Piece:
        left = list(places)
        found = [way(left) for way in ways]
        return x.at([place for place in found if place is not None])

    return Value(node.shape, at, None, x.costly)


def _listed(loops: Loops, part: Array) -> Callable[[list[Index]], Index | None]:
    name = loops.table(part.reshape(-1).astype(np.int64))

    def take(left: list[Index]) -> Index:
        place, shape = ZERO, part.shape
        for k in range(part.ndim):
            stride = math.prod(shape[k + 1 :])
            place = place.plus(left.pop(0).times(stride))
        return Index(((f"{name}[{place}]", 1),))

    return take


def write_swapaxes(loops: Loops, node: Tensor, operands: list[Value]) -> Value:
    a, b = (node.attributes[key] % node.ndim for key in "ab")
    order = list(range(node.ndim))
    order[a], order[b] = order[b], order[a]
    return _permuted(loops, node, operands[0], order)


def write_transpose(loops: Loops, node: Tensor, operands: list[Value]) -> Value:
    return _permuted(loops, node, operands[0], list(node.attributes["axes"]))


def _permuted(loops: Loops, node: Tensor, x: Value, order: list[int]) -> Value:
    def at(places: Places) -> Piece:
        return x.at([places[order.index(a)] for a in range(node.ndim)])

    return Value(node.shape, at, None, x.costly)


def write_broadcast_to(loops: Loops, node: Tensor, operands: list[Value]) -> Value:
    x = loops.simple(operands[0])
    return Value(node.shape, lambda places: x.at(aligned(places, x.shape)))


def write_reshape(loops: Loops, node: Tensor, operands: list[Value]) -> Value:
    (x,) = operands
    x = x if x.array else loops.stored(x)
    assert x.array is not None
    return loops.view(x.array, node.shape)


def _skip(left: list[Index]) -> None:
    left.pop(0)


def _sliced(start: int, step: int) -> Callable[[list[Index]], Index]:
    return lambda left: left.pop(0).times(step).plus(Index((), start))


def _chosen(place: int) -> Callable[[list[Index]], Index]:
    return lambda left: Index((), place)


PLACES: dict[str, Writer] = {
    "concat": write_concat,
    "stack": write_stack,
    "getitem": write_getitem,
    "swapaxes": write_swapaxes,
    "transpose": write_transpose,
    "broadcast_to": write_broadcast_to,
    "reshape": write_reshape,
}


def step_loops(layer: Layer, kept: Sequence[str], language: Language, taken: Set[str]) -> Loops:
    """The loops of a layer's step; names in `taken` are not used."""
    products = {
        op: write_contraction
        for op, record in TABLE.items()
        if op == "einsum" or record.signature.startswith("(")
    }
    return Loops(layer, kept, language, taken, {**products, **SUMS, **PLACES})
