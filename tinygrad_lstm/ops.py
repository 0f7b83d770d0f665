"""The table of derivatives: every operation's forward, its derivative rules, and where to test it.

A rule is written in the project's own functions. It receives the adjoint `g` of the result, the
result `y` and the operands, and runs on arrays (backward) and on Tensors (gradients as programs)
alike. It may ignore broadcasting: the engine sums a share back to its operand's shape.

Forwards are analytic in the complex sense wherever they are smooth, so that the complex step
f(x + ih) checks derivatives to machine precision: comparisons look at real parts only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lstm.functions import (
    abs,
    add,
    broadcast_to,
    clip,
    concat,
    cos,
    cumsum,
    divide,
    equal,
    exp,
    getitem,
    greater,
    greater_equal,
    less,
    less_equal,
    log,
    matmul,
    matvec,
    max,
    maximum,
    mean,
    minimum,
    multiply,
    negative,
    not_equal,
    outer,
    power,
    reshape,
    sigmoid,
    sin,
    sqrt,
    stack,
    subtract,
    sum,
    swapaxes,
    tanh,
    transpose,
    vecdot,
    where,
)  # fmt: skip  # isort: skip
from tinygrad_lstm.tensor import FUNCTIONS, TABLE, UFUNCS, Operation, apply

Examples = tuple[tuple[tuple[tuple[int, ...], ...], dict[str, Any]], ...]


def register(
    name: str, forward: Callable[..., Any], derivatives: Any, signature: str = "elementwise", *,
    domain: tuple[float, float] = (-2.0, 2.0), distance: Callable[..., Any] | None = None,
    examples: Examples = (),
) -> None:  # fmt: skip
    """Add an operation to the table (the columns: `tensor.Operation`).

    Its name must be new and every face of it present.
    """
    if name in TABLE:
        raise ValueError(f"operation {name!r} is registered already; choose another name.")
    if not callable(forward) or not (callable(derivatives) or isinstance(derivatives, tuple)):
        raise ValueError(
            f"operation {name!r} needs a forward function and a tuple with one rule an operand."
        )
    if signature in ("reduction", "along", "structural") and not examples:
        raise ValueError(
            f"operation {name!r} works on axes: give examples=((shapes, attributes), …) so that "
            f"tests can sample it."
        )
    TABLE[name] = Operation(name, forward, derivatives, signature, domain, distance, examples)


# --- what rules share ----------------------------------------------------------------------------
def along(g: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """Undo a reduction: `g` with the reduced axes of x put back as length one."""
    if keepdims:
        return g
    n = x.ndim
    gone = range(n) if axis is None else [a % n for a in np.atleast_1d(axis)]
    return reshape(g, tuple(1 if k in gone else size for k, size in enumerate(x.shape)))


def outer_sum(g: Any, x: Any, W: Any) -> Any:
    """The adjoint of W in W · x: g ⊗ x, summed over a batch in one matrix product."""
    if W.ndim == 2 and g.ndim > 1 and g.shape[:-1] == x.shape[:-1]:
        rows, columns = reshape(g, (-1, g.shape[-1])), reshape(x, (-1, x.shape[-1]))
        return matmul(swapaxes(rows, 0, 1), columns)
    return outer(g, x)


def at(axis: int, n: int, index: Any) -> tuple[Any, ...]:
    """The index that takes `index` along one of n axes and everything along the others."""
    return (slice(None),) * (axis % n) + (index,)


def flip(x: Any, axis: int) -> Any:
    """x in reverse order along an axis."""
    return getitem(x, at(axis, x.ndim, slice(None, None, -1)))


def part(k: int) -> Callable[..., Any]:
    """The rule of the k-th part of a concatenation: its own slice of g."""

    def rule(g: Any, y: Any, *parts: Any, axis: int) -> Any:
        ends = np.cumsum([0, *(p.shape[axis] for p in parts)])
        return getitem(g, at(axis, y.ndim, slice(int(ends[k]), int(ends[k + 1]))))

    return rule


def layer(k: int) -> Callable[..., Any]:
    """The rule of the k-th part of a stack: its own layer of g."""
    return lambda g, y, *parts, axis: getitem(g, at(axis, y.ndim, k))


def column(g: Any) -> Any:
    """g with a new last axis of length one."""
    return reshape(g, (*g.shape, 1))


def inside(x: Any, low: float | None, high: float | None) -> Any:
    """1 where low <= x <= high, else 0."""
    above = 1.0 if low is None else greater_equal(x, low)
    return above if high is None else above * less_equal(x, high)


def one_less(b: Any) -> Any:
    """The exponent b - 1, or 1 where b = 0, so that 0 * a^(b-1) is 0 even at a = 0."""
    return where(equal(b, 0.0), 1.0, b - 1)


def top(x: Any, y: Any, axis: Any, keepdims: bool) -> Any:
    """The share of each entry in the maximum y: 1, or equal parts where several are largest."""
    largest = equal(x, along(y, x, axis, keepdims)) * 1.0
    return largest / sum(largest, axis, True)


def scatter(g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of `shape` with g added at `index`: the adjoint of getitem."""
    return apply("scatter", g, index=index, shape=shape)


# --- forwards that NumPy does not have, or not for complex numbers -------------------------------
def _relu(x: Any) -> Any:
    x = np.asarray(x)
    return np.where(np.real(x) > 0, x, np.zeros((), x.dtype))


def _abs(x: Any) -> Any:
    return np.where(np.real(x) < 0, -x, x) if np.iscomplexobj(x) else np.abs(x)


def _softplus(x: Any) -> Any:
    part = np.where(np.real(x) < 0, np.zeros((), x.dtype), x)  # splits where _abs does, at 0 too
    return part + np.log1p(np.exp(-_abs(x)))


def _clip(x: Any, low: float | None, high: float | None) -> Any:
    below = False if low is None else np.real(x) < low
    above = False if high is None else np.real(x) > high
    edge = np.where(below, low or 0.0, high or 0.0).astype(np.asarray(x).dtype)
    return np.where(np.logical_or(below, above), edge, x)


def _max(x: Any, axis: Any, keepdims: bool) -> Any:
    if not np.iscomplexobj(x):
        return np.max(x, axis=axis, keepdims=keepdims)
    largest = x.real == np.max(x.real, axis=axis, keepdims=True)
    return np.mean(x, axis=axis, keepdims=keepdims, where=largest)


def _logsumexp(x: Any, axis: Any, keepdims: bool) -> Any:
    most = np.max(np.real(x), axis=axis, keepdims=True)
    y = most + np.log(np.sum(np.exp(x - most), axis=axis, keepdims=True))
    return y if keepdims else np.squeeze(y, axis=axis)


def _softmax(x: Any, axis: int) -> Any:
    e = np.exp(x - np.max(np.real(x), axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


def _matvec(W: Any, x: Any) -> Any:
    # one matrix product for a whole batch
    return np.matmul(x, np.transpose(W)) if np.ndim(W) == 2 else np.matvec(W, x)


def _scatter(g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape, g.dtype)
    if any(isinstance(i, np.ndarray) for i in (index if isinstance(index, tuple) else (index,))):
        np.add.at(out, index, g)  # an entry may be read more than once
    else:
        out[index] = g
    return out


# --- how far operands are from a kink -------------------------------------------------------------
def _gap(a: Any, b: Any) -> Any:
    return np.abs(a - b)


def _edge_gap(x: Any, low: float | None, high: float | None) -> Any:
    gaps = [np.abs(x - edge) for edge in (low, high) if edge is not None]
    return np.min(gaps, axis=0) if gaps else np.full(np.shape(x), np.inf)


def _rank_gap(x: Any, axis: Any, keepdims: bool) -> Any:
    largest = x == np.max(x, axis=axis, keepdims=True)
    gap = np.max(x, axis=axis) - np.max(np.where(largest, -np.inf, x), axis=axis)
    return np.where(np.sum(largest, axis=axis) > 1, 0.0, gap)


# --- the table -----------------------------------------------------------------------------------
# fmt: off
positive, nonzero = (0.2, 3.0), (0.5, 2.0)

register("identity", lambda x: x,  (lambda g, y, x: g,))
register("detach",   lambda x: x,  (None,))
register("negative", np.negative,  (lambda g, y, x: -g,))
register("exp",      np.exp,       (lambda g, y, x: g * y,))
register("log",      np.log,       (lambda g, y, x: g / x,),                domain=positive)
register("sqrt",     np.sqrt,      (lambda g, y, x: 0.5 * g / y,),          domain=positive)
register("sin",      np.sin,       (lambda g, y, x: g * cos(x),))
register("cos",      np.cos,       (lambda g, y, x: -g * sin(x),))
register("tanh",     np.tanh,      (lambda g, y, x: g * (1 - y * y),))
register("sigmoid",  lambda x: 0.5 * (1 + np.tanh(0.5 * x)),
                                   (lambda g, y, x: g * y * (1 - y),))
register("softplus", _softplus,
                                   (lambda g, y, x: g * sigmoid(x),))
register("relu",     _relu,        (lambda g, y, x: g * greater(x, 0.0),),  distance=np.abs)
register("abs",      _abs,         (lambda g, y, x: where(greater_equal(x, 0.0), g, -g),),
                                                                            distance=np.abs)

register("add",      np.add,       (lambda g, y, a, b: g,      lambda g, y, a, b: g))
register("subtract", np.subtract,  (lambda g, y, a, b: g,      lambda g, y, a, b: -g))
register("multiply", np.multiply,  (lambda g, y, a, b: g * b,  lambda g, y, a, b: g * a))
register("divide",   np.divide,    (lambda g, y, a, b: g / b,  lambda g, y, a, b: -g * y / b),
                                                                            domain=nonzero)
register("power",    np.power,     (lambda g, y, a, b: g * b * a ** one_less(b),
                                    lambda g, y, a, b: g * y * log(a)),     domain=positive)
register("maximum",  lambda a, b: np.where(np.real(a) >= np.real(b), a, b),
                                   (lambda g, y, a, b: g * greater_equal(a, b),
                                    lambda g, y, a, b: g * greater(b, a)),  distance=_gap)
register("minimum",  lambda a, b: np.where(np.real(a) <= np.real(b), a, b),
                                   (lambda g, y, a, b: g * less_equal(a, b),
                                    lambda g, y, a, b: g * less(b, a)),     distance=_gap)
register("where",    np.where,     (None,  lambda g, y, c, a, b: where(c, g, 0.0),
                                           lambda g, y, c, a, b: where(c, 0.0, g)))
register("greater",        lambda a, b: np.real(a) >  np.real(b), (None, None), distance=_gap)
register("greater_equal",  lambda a, b: np.real(a) >= np.real(b), (None, None), distance=_gap)
register("equal",          lambda a, b: np.real(a) == np.real(b), (None, None))
register("not_equal",      lambda a, b: np.real(a) != np.real(b), (None, None))
register("clip",     _clip,        (lambda g, y, x, low, high: g * inside(x, low, high),),
         "structural", distance=_edge_gap, examples=(
    (((2, 3),), {"low": -1.0, "high": 0.5}), (((4,),), {"low": None, "high": 1.0})))

register("matmul",   np.matmul,    (lambda g, y, A, B: matmul(g, swapaxes(B, -1, -2)),
                                    lambda g, y, A, B: matmul(swapaxes(A, -1, -2), g)),
         "(m,k),(k,n)->(m,n)")
register("matvec",   _matvec,      (lambda g, y, W, x: outer_sum(g, x, W),
                                    lambda g, y, W, x: matvec(swapaxes(W, -1, -2), g)),
         "(m,n),(n)->(m)")
register("vecdot",   lambda a, b: np.sum(a * b, axis=-1),
                                   (lambda g, y, a, b: column(g) * b,
                                    lambda g, y, a, b: column(g) * a),
         "(n),(n)->()")
register("outer",    lambda a, b: a[..., :, None] * b[..., None, :],
                                   (lambda g, y, a, b: matvec(g, b),
                                    lambda g, y, a, b: matvec(swapaxes(g, -1, -2), a)),
         "(m),(n)->(m,n)")

axes: Examples = (
    (((2, 3),), {"axis": None, "keepdims": False}), (((2, 3),), {"axis": 0, "keepdims": False}),
    (((2, 3, 2),), {"axis": -1, "keepdims": True}), (((3,),), {"axis": None, "keepdims": True}),
    (((2, 3, 2),), {"axis": (0, 2), "keepdims": False}))
register("sum",       np.sum,      (lambda g, y, x, axis, keepdims:
                                    broadcast_to(along(g, x, axis, keepdims), x.shape),),
         "reduction", examples=axes)
register("mean",      np.mean,     (lambda g, y, x, axis, keepdims:
                                    broadcast_to(along(g, x, axis, keepdims), x.shape)
                                    * (y.size / x.size),),
         "reduction", examples=axes)
register("max",       _max,        (lambda g, y, x, axis, keepdims:
                                    along(g, x, axis, keepdims) * top(x, y, axis, keepdims),),
         "reduction", examples=axes, distance=_rank_gap)
register("logsumexp", _logsumexp,  (lambda g, y, x, axis, keepdims:
                                    along(g, x, axis, keepdims)
                                    * exp(x - along(y, x, axis, keepdims)),),
         "reduction", examples=axes)

axis: Examples = ((((3,),), {"axis": -1}), (((2, 3),), {"axis": 0}), (((2, 3, 2),), {"axis": 1}))
register("softmax",   _softmax,    (lambda g, y, x, axis: y * (g - sum(g * y, axis, True)),),
         "along", examples=axis)
register("log_softmax", lambda x, axis: x - _logsumexp(x, axis, True),
                                   (lambda g, y, x, axis: g - exp(y) * sum(g, axis, True),),
         "along", examples=axis)
register("cumsum",    np.cumsum,   (lambda g, y, x, axis:
                                    flip(cumsum(flip(g, axis), axis), axis),),
         "along", examples=axis)

register("concat",    lambda *parts, axis: np.concatenate(parts, axis=axis), part,
         "structural", examples=(
    (((2,), (3,), (1,)), {"axis": -1}), (((2, 3), (1, 3)), {"axis": 0})))
register("stack",     lambda *parts, axis: np.stack(parts, axis=axis), layer,
         "structural", examples=(
    (((3,), (3,)), {"axis": 0}), (((2, 3), (2, 3), (2, 3)), {"axis": 1})))
register("reshape",   np.reshape,  (lambda g, y, x, shape: reshape(g, x.shape),),
         "structural", examples=((((2, 3),), {"shape": (6,)}), (((4,),), {"shape": (2, -1)})))
register("transpose", np.transpose, (lambda g, y, x, axes:
                                     transpose(g, tuple(int(k) for k in np.argsort(axes))),),
         "structural", examples=(
    (((2, 3),), {"axes": (1, 0)}), (((2, 3, 4),), {"axes": (2, 0, 1)})))
register("swapaxes",  lambda x, a, b: np.swapaxes(x, a, b),
                                   (lambda g, y, x, a, b: swapaxes(g, a, b),),
         "structural", examples=((((2, 3),), {"a": 0, "b": 1}), (((2, 3, 4),), {"a": -1, "b": 0})))
register("broadcast_to", np.broadcast_to, (lambda g, y, x, shape: g,),
         "structural", examples=((((3,),), {"shape": (2, 3)}), (((2, 1),), {"shape": (2, 4)})))
register("getitem",   lambda x, index: x[index],
                                   (lambda g, y, x, index: scatter(g, index, x.shape),),
         "structural", examples=(
    (((4,),), {"index": slice(1, 3)}), (((3, 2),), {"index": np.array([0, 2, 0])}),
    (((3, 4),), {"index": (slice(None), 1)}), (((4,),), {"index": slice(None, None, -1)})))
register("scatter",   _scatter,    (lambda g, y, x, index, shape: getitem(g, index),),
         "structural", examples=(
    (((2,),), {"index": slice(1, 3), "shape": (4,)}),
    (((3, 2),), {"index": np.array([0, 2, 0]), "shape": (3, 2)})))
# fmt: on

# --- NumPy's names -------------------------------------------------------------------------------
UFUNCS.update(
    {f.__name__: f for f in (
        add, subtract, multiply, divide, power, negative, exp, log, sqrt, sin, cos, tanh, maximum,
        minimum, matmul, matvec, vecdot, greater, greater_equal, less, less_equal, equal, not_equal,
    )}
)  # fmt: skip
UFUNCS.update(absolute=abs, square=lambda x: x * x)
FUNCTIONS.update(
    sum=lambda a, axis=None, keepdims=False: sum(a, axis, keepdims),
    mean=lambda a, axis=None, keepdims=False: mean(a, axis, keepdims),
    max=lambda a, axis=None, keepdims=False: max(a, axis, keepdims),
    amax=lambda a, axis=None, keepdims=False: max(a, axis, keepdims),
    cumsum=lambda a, axis=None: cumsum(reshape(a, -1) if axis is None else a, axis or 0),
    concatenate=lambda arrays, axis=0: concat(*arrays, axis=axis),
    stack=lambda arrays, axis=0: stack(arrays, axis),
    clip=lambda a, a_min=None, a_max=None: clip(a, a_min, a_max),
    outer=lambda a, b: outer(reshape(a, -1), reshape(b, -1)),  # which is what NumPy's does
    where=where, reshape=reshape, transpose=transpose, swapaxes=swapaxes,
    broadcast_to=broadcast_to, matmul=matmul, getitem=getitem,
    ndim=lambda a: a.ndim, shape=lambda a: a.shape, size=lambda a: a.size,
)  # fmt: skip
