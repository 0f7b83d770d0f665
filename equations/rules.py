"""How adjoints pass through what mixes units: linear algebra, sums, parts of vectors.

Functions of each unit need no rule: SymPy differentiates them. These operations are differentiated
by hand, once: for y = op(x, …) with adjoint g of y, each rule gives the share of every operand.
`g`, `y` and the operands are SymPy expressions; the engine's own rules are not looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy
from sympy import Expr

from equations.algebra import (
    Operation,
    Quantity,
    equal,
    extent,
    is_transpose,
    minus,
    operation,
    plus,
    power,
    replaced,
    times,
)
from tinygrad_lstm.text import over

Shape = tuple[int, ...]
Rule = Callable[[Expr, Expr, Operation, list[Shape]], list[Expr]]


def transposed(expr: Expr) -> Expr:
    """The last two axes exchanged; a transpose and an outer product are turned back instead."""
    if isinstance(expr, Operation):
        if expr.op == "outer":
            return operation("outer", *reversed(expr.operands))
        if is_transpose(expr):
            return expr.operands[0]
    return operation("swapaxes", expr, a=-1, b=-2)


def summed(share: Expr, shape: Shape, wanted: Shape) -> Expr:
    """Undo broadcasting: sum a share over the axes along which its operand was repeated."""
    lead = len(shape) - len(wanted)
    if lead > 0:
        axes = tuple(range(-len(shape), -len(wanted)))
        share = operation("sum", share, axis=axes, keepdims=False, **over(axes, shape))
    repeated = tuple(
        k - len(wanted) for k, n in enumerate(wanted) if n == 1 and shape[lead + k] != 1
    )
    if not repeated:
        return share
    named = over(repeated, shape[lead:])
    return operation("sum", share, axis=repeated, keepdims=True, **named)


def reduced(of: Operation, shape: Shape) -> tuple[int, ...]:
    """The axes that a reduction takes away."""
    axis = of.attributes["axis"]
    axes = range(len(shape)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return tuple(a % len(shape) for a in axes)


def spread(g: Expr, of: Operation, shape: Shape) -> Expr:
    """A reduction's adjoint, repeated along the axes that were reduced."""
    kept = [1 if k in reduced(of, shape) else n for k, n in enumerate(shape)]
    return operation("spread", g, kept=tuple(kept), shape=shape)


def per_entry(of: Operation, shape: Shape) -> list[Expr]:
    """One over the number of entries that a reduction takes together."""
    return [power(extent(shape[k]), -1) for k in reduced(of, shape)]


def _matvec(g: Expr, y: Expr, e: Operation, shapes: list[Shape]) -> list[Expr]:
    W, x = e.operands
    w, v = shapes
    lead = np.broadcast_shapes(w[:-2], v[:-1])
    return [
        summed(operation("outer", g, x), lead + w[-2:], w),
        summed(operation("matvec", transposed(W), g), lead + v[-1:], v),
    ]


def _matmul(g: Expr, y: Expr, e: Operation, shapes: list[Shape]) -> list[Expr]:
    a, b = e.operands
    lead = np.broadcast_shapes(shapes[0][:-2], shapes[1][:-2])
    return [
        summed(operation("matmul", g, transposed(b)), lead + shapes[0][-2:], shapes[0]),
        summed(operation("matmul", transposed(a), g), lead + shapes[1][-2:], shapes[1]),
    ]


def _vecdot(g: Expr, y: Expr, e: Operation, shapes: list[Shape]) -> list[Expr]:
    whole = np.broadcast_shapes(*shapes)
    wide = operation("spread", g, kept=(*whole[:-1], 1), shape=whole)
    a, b = e.operands
    return [summed(times(wide, b), whole, shapes[0]), summed(times(wide, a), whole, shapes[1])]


def _outer(g: Expr, y: Expr, e: Operation, shapes: list[Shape]) -> list[Expr]:
    a, b = e.operands
    lead = np.broadcast_shapes(shapes[0][:-1], shapes[1][:-1])
    return [
        summed(operation("matvec", g, b), lead + shapes[0][-1:], shapes[0]),
        summed(operation("matvec", transposed(g), a), lead + shapes[1][-1:], shapes[1]),
    ]


def _einsum(g: Expr, y: Expr, e: Operation, shapes: list[Shape]) -> list[Expr]:
    a, b = e.operands
    before, _, after = e.attributes["subscripts"].partition("->")
    first, second = before.split(",")
    return [
        operation("einsum", g, b, subscripts=f"{after},{second}->{first}"),
        operation("einsum", g, a, subscripts=f"{after},{first}->{second}"),
    ]


def _untimed(expr: Expr) -> Expr:
    """An expression with every time index equal, to see whether labels without one are unique."""
    return replaced(expr, lambda e: Quantity(e.label, None) if isinstance(e, Quantity) else None)


def _blocks(g: Expr, e: Operation, indices: list[Any]) -> list[Expr]:
    timed = len({_untimed(part) for part in e.operands}) < len(e.operands)
    return [
        operation("block", g, part, index=index, timed=timed)
        for part, index in zip(e.operands, indices, strict=True)
    ]


def _concat(g: Expr, y: Expr, e: Operation, shapes: list[Shape]) -> list[Expr]:
    axis = e.attributes["axis"]
    ends = np.cumsum([shape[axis] for shape in shapes]).tolist()
    before = (slice(None),) * (axis % len(shapes[0]))
    return _blocks(
        g, e, [(*before, slice(a, b)) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    )


def _stack(g: Expr, y: Expr, e: Operation, shapes: list[Shape]) -> list[Expr]:
    before = (slice(None),) * (e.attributes["axis"] % (len(shapes[0]) + 1))
    return _blocks(g, e, [(*before, k) for k in range(len(shapes))])


def _sum(g: Expr, y: Expr, e: Operation, shapes: list[Shape]) -> list[Expr]:
    return [spread(g, e, shapes[0])]


def _mean(g: Expr, y: Expr, e: Operation, shapes: list[Shape]) -> list[Expr]:
    return [times(spread(g, e, shapes[0]), *per_entry(e, shapes[0]))]


def _max(g: Expr, y: Expr, e: Operation, shapes: list[Shape]) -> list[Expr]:
    (x,) = e.operands
    return [times(spread(g, e, shapes[0]), equal(x, spread(y, e, shapes[0]), evaluate=False))]


def _prod(g: Expr, y: Expr, e: Operation, shapes: list[Shape]) -> list[Expr]:
    others = operation("prod_of_others", *e.operands, axis=reduced(e, shapes[0]))
    return [times(spread(g, e, shapes[0]), others)]


def _logsumexp(g: Expr, y: Expr, e: Operation, shapes: list[Shape]) -> list[Expr]:
    (x,) = e.operands
    gap = plus(x, minus(spread(y, e, shapes[0])))
    return [times(spread(g, e, shapes[0]), sympy.exp(gap, evaluate=False))]


def _softmax(g: Expr, y: Expr, e: Operation, shapes: list[Shape]) -> list[Expr]:
    axis = e.attributes["axis"]
    named = over(axis, shapes[0])
    total = operation("sum", times(g, y), axis=axis, keepdims=True, **named)
    return [times(y, plus(g, minus(total)))]


def _log_softmax(g: Expr, y: Expr, e: Operation, shapes: list[Shape]) -> list[Expr]:
    axis = e.attributes["axis"]
    total = operation("sum", g, axis=axis, keepdims=True, **over(axis, shapes[0]))
    return [plus(g, minus(times(sympy.exp(y, evaluate=False), total)))]


def _cumsum(g: Expr, y: Expr, e: Operation, shapes: list[Shape]) -> list[Expr]:
    return [operation("reversed_cumsum", g, axis=e.attributes["axis"])]


def _reshape(g: Expr, y: Expr, e: Operation, shapes: list[Shape]) -> list[Expr]:
    return [operation("reshape", g, shape=shapes[0])]


def _transpose(g: Expr, y: Expr, e: Operation, shapes: list[Shape]) -> list[Expr]:
    if is_transpose(e):
        return [transposed(g)]
    back = tuple(int(k) for k in np.argsort(e.attributes["axes"]))
    return [operation("transpose", g, axes=back)]


def _swapaxes(g: Expr, y: Expr, e: Operation, shapes: list[Shape]) -> list[Expr]:
    return [transposed(g) if is_transpose(e) else operation("swapaxes", g, **e.attributes)]


def _broadcast_to(g: Expr, y: Expr, e: Operation, shapes: list[Shape]) -> list[Expr]:
    return [summed(g, e.attributes["shape"], shapes[0])]


def _getitem(g: Expr, y: Expr, e: Operation, shapes: list[Shape]) -> list[Expr]:
    index = e.attributes["index"]
    parts = index if isinstance(index, tuple) else (index,)
    whole = (slice(None), None, ...)
    if all(isinstance(p, type(None) | type(...) | slice) and p in whole for p in parts):
        back = tuple(0 if part is None else part for part in parts)  # only new axes
        return [operation("getitem", g, index=back)]
    return [operation("scatter", g, index=index, shape=shapes[0])]


def _scatter(g: Expr, y: Expr, e: Operation, shapes: list[Shape]) -> list[Expr]:
    return [operation("getitem", g, index=e.attributes["index"])]


RULES: dict[str, Rule] = {
    "matvec": _matvec,
    "matmul": _matmul,
    "vecdot": _vecdot,
    "outer": _outer,
    "einsum": _einsum,
    "concat": _concat,
    "stack": _stack,
    "sum": _sum,
    "mean": _mean,
    "max": _max,
    "prod": _prod,
    "logsumexp": _logsumexp,
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "cumsum": _cumsum,
    "reshape": _reshape,
    "transpose": _transpose,
    "swapaxes": _swapaxes,
    "broadcast_to": _broadcast_to,
    "getitem": _getitem,
    "scatter": _scatter,
}
