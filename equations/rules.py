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
    SymbolicOperation,
    SymbolicValue,
    equal,
    extent,
    is_transpose,
    minus,
    operation,
    plus,
    power,
    replace_parts,
    times,
)
from tinygrad_lstm.text import over

Shape = tuple[int, ...]
Rule = Callable[[Expr, Expr, SymbolicOperation, list[Shape]], list[Expr]]


def transpose_last(expr: Expr) -> Expr:
    """The last two axes exchanged; a transpose and an outer product are turned back instead."""
    if isinstance(expr, SymbolicOperation):
        if expr.op == "outer":
            return operation("outer", *reversed(expr.operands))
        if is_transpose(expr):
            return expr.operands[0]
    return operation("swapaxes", expr, a=-1, b=-2)


def sum_back(share: Expr, shape: Shape, wanted: Shape) -> Expr:
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


def reduced_axes(of: SymbolicOperation, shape: Shape) -> tuple[int, ...]:
    """The axes that a reduction takes away."""
    axis = of.attributes["axis"]
    axes = range(len(shape)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return tuple(a % len(shape) for a in axes)


def spread(g: Expr, of: SymbolicOperation, shape: Shape) -> Expr:
    """A reduction's adjoint, repeated along the axes that were reduced."""
    kept = [1 if k in reduced_axes(of, shape) else n for k, n in enumerate(shape)]
    return operation("spread", g, kept=tuple(kept), shape=shape)


def per_entry(of: SymbolicOperation, shape: Shape) -> list[Expr]:
    """One over the number of entries that a reduction takes together."""
    return [power(extent(shape[k]), -1) for k in reduced_axes(of, shape)]


def _matvec(g: Expr, y: Expr, e: SymbolicOperation, shapes: list[Shape]) -> list[Expr]:
    (W, x), (w, v) = e.operands, shapes
    lead = np.broadcast_shapes(w[:-2], v[:-1])
    return [
        sum_back(operation("outer", g, x), lead + w[-2:], w),
        sum_back(operation("matvec", transpose_last(W), g), lead + v[-1:], v),
    ]


def _matmul(g: Expr, y: Expr, e: SymbolicOperation, shapes: list[Shape]) -> list[Expr]:
    (a, b), (m, n) = e.operands, shapes
    lead = np.broadcast_shapes(m[:-2], n[:-2])
    return [
        sum_back(operation("matmul", g, transpose_last(b)), lead + m[-2:], m),
        sum_back(operation("matmul", transpose_last(a), g), lead + n[-2:], n),
    ]


def _vecdot(g: Expr, y: Expr, e: SymbolicOperation, shapes: list[Shape]) -> list[Expr]:
    whole = np.broadcast_shapes(*shapes)
    wide = operation("spread", g, kept=(*whole[:-1], 1), shape=whole)
    a, b = e.operands
    return [sum_back(times(wide, b), whole, shapes[0]), sum_back(times(wide, a), whole, shapes[1])]


def _outer(g: Expr, y: Expr, e: SymbolicOperation, shapes: list[Shape]) -> list[Expr]:
    a, b = e.operands
    lead = np.broadcast_shapes(shapes[0][:-1], shapes[1][:-1])
    return [
        sum_back(operation("matvec", g, b), lead + shapes[0][-1:], shapes[0]),
        sum_back(operation("matvec", transpose_last(g), a), lead + shapes[1][-1:], shapes[1]),
    ]


def _einsum(g: Expr, y: Expr, e: SymbolicOperation, shapes: list[Shape]) -> list[Expr]:
    a, b = e.operands
    before, _, after = e.attributes["subscripts"].partition("->")
    first, second = before.split(",")
    return [
        operation("einsum", g, b, subscripts=f"{after},{second}->{first}"),
        operation("einsum", g, a, subscripts=f"{after},{first}->{second}"),
    ]


def _without_time(expr: Expr) -> Expr:
    """An expression with every time index equal, to see whether labels without one are unique."""
    return replace_parts(
        expr, lambda e: SymbolicValue(e.label, None) if isinstance(e, SymbolicValue) else None
    )


def _blocks(g: Expr, e: SymbolicOperation, indices: list[Any]) -> list[Expr]:
    timed = len({_without_time(part) for part in e.operands}) < len(e.operands)
    return [
        operation("block", g, part, index=index, timed=timed)
        for part, index in zip(e.operands, indices, strict=True)
    ]


def _concat(g: Expr, y: Expr, e: SymbolicOperation, shapes: list[Shape]) -> list[Expr]:
    axis = e.attributes["axis"]
    ends = np.cumsum([shape[axis] for shape in shapes]).tolist()
    before = (slice(None),) * (axis % len(shapes[0]))
    return _blocks(
        g, e, [(*before, slice(a, b)) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    )


def _stack(g: Expr, y: Expr, e: SymbolicOperation, shapes: list[Shape]) -> list[Expr]:
    before = (slice(None),) * (e.attributes["axis"] % (len(shapes[0]) + 1))
    return _blocks(g, e, [(*before, k) for k in range(len(shapes))])


def _getitem(g: Expr, y: Expr, e: SymbolicOperation, shapes: list[Shape]) -> list[Expr]:
    index = e.attributes["index"]
    parts = index if isinstance(index, tuple) else (index,)
    whole = (slice(None), None, ...)
    if all(isinstance(p, type(None) | type(...) | slice) and p in whole for p in parts):
        back = tuple(0 if part is None else part for part in parts)  # only new axes
        return [operation("getitem", g, index=back)]
    return [operation("scatter", g, index=index, shape=shapes[0])]


def _transpose(g: Expr, e: SymbolicOperation) -> Expr:
    if is_transpose(e):
        return transpose_last(g)
    if e.op == "swapaxes":
        return operation("swapaxes", g, **e.attributes)
    return operation("transpose", g, axes=tuple(int(k) for k in np.argsort(e.attributes["axes"])))


def _total(expr: Expr, e: SymbolicOperation, shape: Shape) -> Expr:
    """The sum along the axis that an operation works along."""
    axis = e.attributes["axis"]
    return operation("sum", expr, axis=axis, keepdims=True, **over(axis, shape))


def _exp(expr: Expr) -> Expr:
    return sympy.exp(expr, evaluate=False)


def _shares(y: Expr, e: SymbolicOperation) -> Expr:
    """The softmax that y is the logarithm of: exp(y) where y has a name."""
    return operation("softmax", *e.operands, **e.attributes) if y == e else _exp(y)


# the adjoint of each operand, from the adjoint g of the value y of the operation e
RULES: dict[str, Rule] = {
    "matvec": _matvec,
    "matmul": _matmul,
    "vecdot": _vecdot,
    "outer": _outer,
    "einsum": _einsum,
    "concat": _concat,
    "stack": _stack,
    "getitem": _getitem,
    "scatter": lambda g, y, e, s: [operation("getitem", g, index=e.attributes["index"])],
    "reshape": lambda g, y, e, s: [operation("reshape", g, shape=s[0])],
    "transpose": lambda g, y, e, s: [_transpose(g, e)],
    "swapaxes": lambda g, y, e, s: [_transpose(g, e)],
    "broadcast_to": lambda g, y, e, s: [sum_back(g, e.attributes["shape"], s[0])],
    "sum": lambda g, y, e, s: [spread(g, e, s[0])],
    "mean": lambda g, y, e, s: [times(spread(g, e, s[0]), *per_entry(e, s[0]))],
    "max": lambda g, y, e, s: [
        times(spread(g, e, s[0]), equal(*e.operands, spread(y, e, s[0]), evaluate=False))
    ],
    "prod": lambda g, y, e, s: [
        times(
            spread(g, e, s[0]), operation("prod_of_others", *e.operands, axis=reduced_axes(e, s[0]))
        )
    ],
    "logsumexp": lambda g, y, e, s: [
        times(spread(g, e, s[0]), _exp(plus(*e.operands, minus(spread(y, e, s[0])))))
    ],
    "softmax": lambda g, y, e, s: [times(y, plus(g, minus(_total(times(g, y), e, s[0]))))],
    "log_softmax": lambda g, y, e, s: [plus(g, minus(times(_shares(y, e), _total(g, e, s[0]))))],
    "cumsum": lambda g, y, e, s: [operation("reversed_cumsum", g, axis=e.attributes["axis"])],
}
