# ruff: noqa: D103 - each writes the operation of its name
"""Loops of sums: products of matrices, reductions, shares along an axis."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinygrad_lstm.exporting.loop_values import ZERO, Index, Places, Value
from tinygrad_lstm.exporting.loops import Loops, Writer
from tinygrad_lstm.forwards import axes_of
from tinygrad_lstm.kernels.printing import letters_of
from tinygrad_lstm.plain_style import Piece
from tinygrad_lstm.tensor import Tensor


def write_clip(loops: Loops, node: Tensor, operands: list[Value]) -> Value:
    (x,) = operands

    def at(places: Places) -> Piece:
        found = x.at(places)
        for end, op in (("low", "maximum"), ("high", "minimum")):
            if (edge := node.attributes[end]) is not None:
                found = loops.entry(op, [found, loops.style.number(edge)], {}, [False] * 2)
        return found

    return Value(node.shape, at, None, costly=True)


# --- sums -------------------------------------------------------------------------------------


def write_contraction(loops: Loops, node: Tensor, operands: list[Value]) -> Value:
    """A sum of products, over the letters that the result does not have."""
    operands = [loops.simple(v) for v in operands]
    groups = letters_of(node)
    sizes: dict[str, int] = {}
    for group, t in zip(groups, (*node.inputs, node), strict=True):
        for c, n in zip(group, t.shape, strict=True):
            sizes[c] = max(int(n), sizes.get(c, 1))
    summed = [c for c in dict.fromkeys("".join(groups[:-1])) if c not in groups[-1]]

    def at(places: Places) -> Piece:
        where = dict(zip(groups[-1], places, strict=True))

        def product(inner: Places) -> Piece:
            full = {**where, **dict(zip(summed, inner, strict=True))}
            factors = [
                v.at([full[c] if n != 1 else ZERO for c, n in zip(group, v.shape, strict=True)])
                for v, group in zip(operands, groups, strict=False)
            ]
            return loops.style.operation("multiply", factors, {})

        if not summed:
            return product([])
        name = loops.kept("sum", loops.style.number(0).text, changes=True)
        with loops.over([sizes[c] for c in summed]) as inner:
            loops.block.say(f"{name} += {product(inner).text};")
        return Piece(name)

    return Value(node.shape, at, None, costly=True)


def _reduced(
    loops: Loops, node: Tensor, x: Value, start: str, update: Callable[[str, str], str]
) -> Callable[[Places], str]:
    axes = axes_of(node.attributes["axis"], len(x.shape))
    keep = node.attributes["keepdims"]

    def at(places: Places) -> str:
        outside = list(places)
        if keep:
            outside = [p for a, p in enumerate(places) if a not in axes]
        name = loops.kept("sum", start, changes=True)
        with loops.over([x.shape[a] for a in axes]) as inner:
            rest, within = iter(outside), iter(inner)
            full = [next(within) if a in axes else next(rest) for a in range(len(x.shape))]
            loops.block.say(update(name, x.at(full).text))
        return name

    return at


def write_sum(loops: Loops, node: Tensor, operands: list[Value]) -> Value:
    zero = loops.style.number(0).text
    read = _reduced(loops, node, operands[0], zero, lambda to, v: f"{to} += {v};")
    return Value(node.shape, lambda places: Piece(read(places)), None, True)


def write_mean(loops: Loops, node: Tensor, operands: list[Value]) -> Value:
    total = write_sum(loops, node, operands)
    count = loops.style.number(node.inputs[0].size // max(node.size, 1))

    def at(places: Places) -> Piece:
        found: Piece = loops.style.operation("divide", [total.at(places), count], {})
        return found

    return Value(node.shape, at, None, True)


def write_prod(loops: Loops, node: Tensor, operands: list[Value]) -> Value:
    one = loops.style.number(1).text
    read = _reduced(loops, node, operands[0], one, lambda to, v: f"{to} *= {v};")
    return Value(node.shape, lambda places: Piece(read(places)), None, True)


def write_max(loops: Loops, node: Tensor, operands: list[Value]) -> Value:
    x, least = loops.simple(operands[0]), loops.style.number(-np.inf).text
    larger = _reduced(loops, node, x, least, lambda to, v: f"{to} = {v} > {to} ? {v} : {to};")
    return Value(node.shape, lambda places: Piece(larger(places)), None, True)


def write_logsumexp(loops: Loops, node: Tensor, operands: list[Value]) -> Value:
    x = loops.simple(operands[0])
    most = write_max(loops, node, [x])

    def at(places: Places) -> Piece:
        top = most.at(places)

        def update(to: str, v: str) -> str:
            difference = loops.style.operation("subtract", [Piece(v), top], {})
            return f"{to} += {loops.entry('exp', [difference], {}, [False]).text};"

        total = _reduced(loops, node, x, loops.style.number(0).text, update)(places)
        log = loops.entry("log", [Piece(total)], {}, [False])
        found: Piece = loops.style.operation("add", [top, log], {})
        return found

    return Value(node.shape, at, None, True)


def _along(loops: Loops, node: Tensor) -> tuple[int, list[int], Value]:
    """The axis that an operation goes along, the lengths of the others, and room for the result."""
    axis = int(node.attributes["axis"]) % node.ndim
    name = loops.fresh()
    loops.arrays[name] = node.size
    others = [n for a, n in enumerate(node.shape) if a != axis]
    return axis, others, loops.view(name, node.shape)


def _at(rest: list[Index], axis: int, inner: Index) -> list[Index]:
    """A place along the axis, among those of the others."""
    return [*rest[:axis], inner, *rest[axis:]]


def write_softmax(loops: Loops, node: Tensor, operands: list[Value]) -> Value:
    """Entries without the largest, their powers, and each one's share."""
    return _shares(loops, node, loops.simple(operands[0]), logarithm=False)


def write_log_softmax(loops: Loops, node: Tensor, operands: list[Value]) -> Value:
    return _shares(loops, node, loops.simple(operands[0]), logarithm=True)


def _shares(loops: Loops, node: Tensor, x: Value, logarithm: bool) -> Value:
    axis, others, made = _along(loops, node)
    n, style = node.shape[axis], loops.style
    with loops.over(others) as rest:
        most = loops.kept("most", style.number(-np.inf).text, changes=True)
        total = loops.kept("sum", style.number(0).text, changes=True)

        with loops.over([n]) as (j,):
            entry = x.at(_at(rest, axis, j)).text
            loops.block.say(f"{most} = {entry} > {most} ? {entry} : {most};")
        with loops.over([n]) as (j,):
            place = _at(rest, axis, j)
            apart = style.operation("subtract", [x.at(place), Piece(most)], {})
            to = made.at(place).text
            power = loops.entry("exp", [Piece(to) if logarithm else apart], {}, [False]).text
            loops.block.say(f"{to} = {apart.text if logarithm else power};")
            loops.block.say(f"{total} += {power if logarithm else to};")
        with loops.over([n]) as (j,):
            to = made.at(_at(rest, axis, j)).text
            log = loops.entry("log", [Piece(total)], {}, [False]).text
            loops.block.say(f"{to} {f'-= {log}' if logarithm else f'/= {total}'};")
    return made


def write_cumsum(loops: Loops, node: Tensor, operands: list[Value]) -> Value:
    axis, others, made = _along(loops, node)
    x = loops.simple(operands[0])
    with loops.over(others) as rest:
        total = loops.kept("sum", loops.style.number(0).text, changes=True)
        with loops.over([node.shape[axis]]) as (j,):
            place = _at(rest, axis, j)
            loops.block.say(f"{total} += {x.at(place).text};")
            loops.block.say(f"{made.at(place).text} = {total};")
    return made


SUMS: dict[str, Writer] = {
    "clip": write_clip,
    "sum": write_sum,
    "mean": write_mean,
    "prod": write_prod,
    "max": write_max,
    "logsumexp": write_logsumexp,
    "softmax": write_softmax,
    "log_softmax": write_log_softmax,
    "cumsum": write_cumsum,
}
