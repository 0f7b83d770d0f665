"""The table of derivatives: every operation's forward, its derivative rules, and where to test it.

A rule is written in the project's own operations and receives the adjoint `g` of the result, the
result `y` and the operands. It runs on arrays (backward) and on Tensors (gradients as programs)
alike. It may ignore broadcasting: the engine sums a share back to its operand's shape.

Forwards are analytic in the complex sense wherever they are smooth, so that the complex step
f(x + ih) checks derivatives to machine precision: comparisons look at real parts only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lstm.tensor import FUNCTIONS, TABLE, UFUNCS, Operation, Tensor, apply

Examples = tuple[tuple[tuple[tuple[int, ...], ...], dict[str, Any]], ...]


def register(
    name: str, forward: Callable[..., Any], derivatives: Any, signature: str, *,
    domain: tuple[float, float] = (-2.0, 2.0), distance: Callable[..., Any] | None = None,
    examples: Examples = (),
) -> None:  # fmt: skip
    """Add an operation to the table. Its name must be new and every face of it present."""
    if name in TABLE:
        raise ValueError(f"operation {name!r} is registered already; choose another name.")
    if not callable(forward) or not (callable(derivatives) or isinstance(derivatives, tuple)):
        raise ValueError(
            f"operation {name!r} needs a forward function and a tuple with one rule an input."
        )
    if signature in ("reduction", "along", "structural") and not examples:
        raise ValueError(
            f"operation {name!r} works on axes: give examples=((shapes, attributes), …) so that "
            f"tests can sample it."
        )
    TABLE[name] = Operation(name, forward, derivatives, signature, domain, distance, examples)


# --- the operations as functions --------------------------------------------------------------
# Each takes Tensors, arrays or numbers and returns a Tensor, or an array if no operand is one.
# fmt: off
def add(a: Any, b: Any) -> Any: """a + b"""; return apply("add", a, b)
def subtract(a: Any, b: Any) -> Any: """a - b"""; return apply("subtract", a, b)
def multiply(a: Any, b: Any) -> Any: """a ⊙ b, entry by entry"""; return apply("multiply", a, b)
def divide(a: Any, b: Any) -> Any: """a / b, entry by entry"""; return apply("divide", a, b)
def power(a: Any, b: Any) -> Any: """a to the b, entry by entry; a > 0 where a gradient in b is wanted"""; return apply("power", a, b)
def maximum(a: Any, b: Any) -> Any: """the larger of a and b, entry by entry; a where they are equal"""; return apply("maximum", a, b)
def minimum(a: Any, b: Any) -> Any: """the smaller of a and b, entry by entry; a where they are equal"""; return apply("minimum", a, b)
def negative(x: Any) -> Any: """-x"""; return apply("negative", x)
def exp(x: Any) -> Any: """e to the x"""; return apply("exp", x)
def log(x: Any) -> Any: """natural logarithm of x > 0"""; return apply("log", x)
def sqrt(x: Any) -> Any: """square root of x > 0"""; return apply("sqrt", x)
def sin(x: Any) -> Any: """sine of x in radians"""; return apply("sin", x)
def cos(x: Any) -> Any: """cosine of x in radians"""; return apply("cos", x)
def tanh(x: Any) -> Any: """(e^x - e^-x) / (e^x + e^-x), between -1 and 1"""; return apply("tanh", x)
def sigmoid(x: Any) -> Any: """σ(x) = 1 / (1 + e^-x), between 0 and 1"""; return apply("sigmoid", x)
def relu(x: Any) -> Any: """x where x > 0, else 0"""; return apply("relu", x)
def softplus(x: Any) -> Any: """log(1 + e^x), without overflow"""; return apply("softplus", x)
def abs(x: Any) -> Any: """|x|"""; return apply("abs", x)
def clip(x: Any, low: float | None = None, high: float | None = None) -> Any: """x limited to [low, high]; its derivative is 1 inside and on the limits"""; return apply("clip", x, low=low, high=high)
def where(condition: Any, a: Any, b: Any) -> Any: """a where the condition holds, else b"""; return apply("where", condition, a, b)
def greater(a: Any, b: Any) -> Any: """whether a > b"""; return apply("greater", a, b)
def greater_equal(a: Any, b: Any) -> Any: """whether a >= b"""; return apply("greater_equal", a, b)
def less(a: Any, b: Any) -> Any: """whether a < b"""; return apply("greater", b, a)
def less_equal(a: Any, b: Any) -> Any: """whether a <= b"""; return apply("greater_equal", b, a)
def equal(a: Any, b: Any) -> Any: """whether a = b"""; return apply("equal", a, b)
def not_equal(a: Any, b: Any) -> Any: """whether a ≠ b"""; return apply("not_equal", a, b)
def matvec(W: Any, x: Any) -> Any: """W · x over the last axis: (m,n),(n)->(m); leading axes broadcast"""; return apply("matvec", W, x)
def vecdot(a: Any, b: Any) -> Any: """the sum of a ⊙ b over the last axis: (n),(n)->()"""; return apply("vecdot", a, b)
def outer(a: Any, b: Any) -> Any: """a_i b_j over the last axes: (m),(n)->(m,n); leading axes broadcast"""; return apply("outer", a, b)
def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Any: """the sum over an axis, several, or all"""; return apply("sum", x, axis=axis, keepdims=keepdims)
def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any: """the mean over an axis, several, or all"""; return apply("mean", x, axis=axis, keepdims=keepdims)
def max(x: Any, axis: Any = None, keepdims: bool = False) -> Any: """the largest entry over an axis, several, or all; equal ones share the derivative"""; return apply("max", x, axis=axis, keepdims=keepdims)
def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any: """log Σ e^x without overflow"""; return apply("logsumexp", x, axis=axis, keepdims=keepdims)
def softmax(x: Any, axis: int = -1) -> Any: """e^x / Σ e^x along an axis, without overflow"""; return apply("softmax", x, axis=axis)
def log_softmax(x: Any, axis: int = -1) -> Any: """x - log Σ e^x along an axis, without overflow"""; return apply("log_softmax", x, axis=axis)
def cumsum(x: Any, axis: int = -1) -> Any: """running sums along an axis"""; return apply("cumsum", x, axis=axis)
def swapaxes(x: Any, a: int, b: int) -> Any: """x with the axes a and b exchanged"""; return apply("swapaxes", x, a=a, b=b)
def broadcast_to(x: Any, shape: tuple[int, ...]) -> Any: """x repeated along new or one-long axes"""; return apply("broadcast_to", x, shape=tuple(shape))
def concat(*parts: Any, axis: int = -1) -> Any: """the parts one after another along an axis, the last unless told: [a, b]"""; return apply("concat", *parts, axis=axis)
def stack(parts: Any, axis: int = 0) -> Any: """the parts side by side along a new axis, the first unless told"""; return apply("stack", *parts, axis=axis)
# fmt: on


def matmul(a: Any, b: Any) -> Any:
    """The matrix product (…,m,k),(…,k,n)->(…,m,n), with NumPy's meaning of vectors."""
    if np.ndim(a) < 2 and np.ndim(b) < 2:
        return vecdot(a, b)
    if np.ndim(b) == 1:
        return matvec(a, b)
    if np.ndim(a) == 1:
        return matvec(swapaxes(b, -1, -2), a)
    return apply("matmul", a, b)


def reshape(x: Any, shape: Any) -> Any:
    """x with its entries in another shape; one length may be -1."""
    return apply("reshape", x, shape=(shape,) if isinstance(shape, int) else tuple(shape))


def transpose(x: Any, axes: tuple[int, ...] | None = None) -> Any:
    """x with its axes permuted, reversed unless told."""
    return apply("transpose", x, axes=tuple(axes or reversed(range(np.ndim(x)))))


def getitem(x: Any, index: Any) -> Any:
    """x[index], for slices, numbers and integer or boolean arrays."""
    if isinstance(index, Tensor):
        index = index.numpy()
    if isinstance(index, list):
        index = np.asarray(index)
    return apply("getitem", x, index=index)


# --- what rules share ---------------------------------------------------------------------------
def along(g: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """Undo a reduction: `g` with the reduced axes of x put back as length one."""
    if keepdims or axis is None:
        return g if axis is not None or keepdims else reshape(g, (1,) * x.ndim)
    axes = {a % x.ndim for a in (axis if isinstance(axis, tuple) else (axis,))}
    return reshape(g, tuple(1 if k in axes else n for k, n in enumerate(x.shape)))


def outer_sum(g: Any, x: Any, W: Any) -> Any:
    """The adjoint of W in W · x: g ⊗ x, summed over a batch in one matrix product."""
    if W.ndim == 2 and g.ndim > 1 and g.shape[:-1] == x.shape[:-1]:
        flat = reshape(g, (-1, g.shape[-1])), reshape(x, (-1, x.shape[-1]))
        return matmul(swapaxes(flat[0], 0, 1), flat[1])
    return outer(g, x)


def flip(x: Any, axis: int) -> Any:
    return getitem(x, (slice(None),) * (axis % x.ndim) + (slice(None, None, -1),))


def part(k: int) -> Callable[..., Any]:
    """The rule of the k-th part of a concatenation: its own slice of g."""

    def rule(g: Any, y: Any, *parts: Any, axis: int) -> Any:
        n = y.ndim
        start = 0
        for before in parts[:k]:
            start += before.shape[axis]
        own = slice(start, start + parts[k].shape[axis])
        return getitem(g, (slice(None),) * (axis % n) + (own,))

    return rule


def layer(k: int) -> Callable[..., Any]:
    """The rule of the k-th part of a stack: its own layer of g."""
    return lambda g, y, *parts, axis: getitem(g, (slice(None),) * (axis % y.ndim) + (k,))


# --- forwards that NumPy does not have, or not for complex numbers ------------------------------
def _relu(x: Any) -> Any:
    return np.where(np.real(x) > 0, x, np.zeros((), x.dtype))


def _abs(x: Any) -> Any:
    return np.abs(x) if x.dtype.kind == "f" else np.where(x.real < 0, -x, x)


def _max(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    if x.dtype.kind == "f":
        return np.max(x, axis=axis, keepdims=keepdims)
    largest = np.real(x) == np.max(np.real(x), axis=axis, keepdims=True)
    return np.sum(x * largest, axis=axis, keepdims=keepdims) / np.sum(
        largest, axis=axis, keepdims=keepdims
    )


def _logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    top = np.max(np.real(x), axis=axis, keepdims=True)
    y = top + np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True))
    return y if keepdims else np.squeeze(y, axis=axis)


def _softmax(x: Any, axis: int) -> Any:
    e = np.exp(x - np.max(np.real(x), axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


def _matvec(W: Any, x: Any) -> Any:
    return np.matmul(x, W.T) if W.ndim == 2 else np.matvec(W, x)


def _scatter(g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape, g.dtype)
    steps = index if isinstance(index, tuple) else (index,)
    if any(isinstance(i, np.ndarray | list) for i in steps):
        np.add.at(out, index, g)  # an entry may be read more than once
    else:
        out[index] = g
    return out


def scatter(g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of `shape` with g added at `index`: the adjoint of getitem."""
    return apply("scatter", g, index=index, shape=shape)


def _clip(x: Any, low: float | None, high: float | None) -> Any:
    below = False if low is None else np.real(x) < low
    above = False if high is None else np.real(x) > high
    edge = np.where(below, low or 0.0, high or 0.0).astype(x.dtype)
    return np.where(np.logical_or(below, above), edge, x)


def _inside(x: Any, low: float | None, high: float | None) -> Any:
    above = 1.0 if low is None else greater_equal(x, low)
    return above if high is None else above * less_equal(x, high)


def _clip_distance(x: Any, low: float | None, high: float | None) -> Any:
    gaps = [np.abs(x - edge) for edge in (low, high) if edge is not None]
    return np.min(gaps, axis=0) if gaps else np.full(np.shape(x), np.inf)


def _rank_gap(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """How far the largest entry is from the next: where they meet, max has a kink."""
    top = x == np.max(x, axis=axis, keepdims=True)
    rest = np.where(top, -np.inf, x)
    gap = np.max(x, axis=axis) - np.max(rest, axis=axis)
    return np.where(np.sum(top, axis=axis) > 1, 0.0, gap)


# --- the table ----------------------------------------------------------------------------------
# fmt: off
E = "elementwise"
positive, away = (0.2, 3.0), (0.5, 2.0)
edge0 = np.abs

register("identity",     lambda x: x,                      (lambda g, y, x: g,), E)
register("detach",       lambda x: x,                      (None,), E)
register("add",          np.add,                           (lambda g, y, a, b: g,
                                                            lambda g, y, a, b: g), E)
register("subtract",     np.subtract,                      (lambda g, y, a, b: g,
                                                            lambda g, y, a, b: -g), E)
register("multiply",     np.multiply,                      (lambda g, y, a, b: g * b,
                                                            lambda g, y, a, b: g * a), E)
register("divide",       np.divide,                        (lambda g, y, a, b: g / b,
                                                            lambda g, y, a, b: -g * y / b), E, domain=away)
register("power",        np.power,                         (lambda g, y, a, b: g * b * a ** where(equal(b, 0.0), 1.0, b - 1),
                                                            lambda g, y, a, b: g * y * log(a)), E, domain=positive)
register("negative",     np.negative,                      (lambda g, y, x: -g,), E)
register("exp",          np.exp,                           (lambda g, y, x: g * y,), E)
register("log",          np.log,                           (lambda g, y, x: g / x,), E, domain=positive)
register("sqrt",         np.sqrt,                          (lambda g, y, x: 0.5 * g / y,), E, domain=positive)
register("sin",          np.sin,                           (lambda g, y, x: g * cos(x),), E)
register("cos",          np.cos,                           (lambda g, y, x: -g * sin(x),), E)
register("tanh",         np.tanh,                          (lambda g, y, x: g * (1 - y * y),), E)
register("sigmoid",      lambda x: 0.5 * (1 + np.tanh(0.5 * x)), (lambda g, y, x: g * y * (1 - y),), E)
register("softplus",     lambda x: _relu(x) + np.log1p(np.exp(-_abs(x))), (lambda g, y, x: g * sigmoid(x),), E)
register("relu",         _relu,                            (lambda g, y, x: g * greater(x, 0.0),), E, distance=edge0)
register("abs",          _abs,                             (lambda g, y, x: where(greater_equal(x, 0.0), g, -g),), E, distance=edge0)
register("maximum",      lambda a, b: np.where(np.real(a) >= np.real(b), a, b),
                                                           (lambda g, y, a, b: g * greater_equal(a, b),
                                                            lambda g, y, a, b: g * greater(b, a)), E, distance=lambda a, b: np.abs(a - b))
register("minimum",      lambda a, b: np.where(np.real(a) <= np.real(b), a, b),
                                                           (lambda g, y, a, b: g * less_equal(a, b),
                                                            lambda g, y, a, b: g * less(b, a)), E, distance=lambda a, b: np.abs(a - b))
register("clip",         _clip,                            (lambda g, y, x, low, high: g * _inside(x, low, high),), "structural", distance=_clip_distance,
         examples=((((2, 3),), {"low": -1.0, "high": 0.5}), (((4,),), {"low": None, "high": 1.0}), (((4,),), {"low": 0.0, "high": None})))
register("where",        np.where,                         (None,
                                                            lambda g, y, c, a, b: where(c, g, 0.0),
                                                            lambda g, y, c, a, b: where(c, 0.0, g)), E)
register("greater",      lambda a, b: np.real(a) > np.real(b),  (None, None), E, distance=lambda a, b: np.abs(a - b))
register("greater_equal", lambda a, b: np.real(a) >= np.real(b), (None, None), E, distance=lambda a, b: np.abs(a - b))
register("equal",        lambda a, b: np.real(a) == np.real(b), (None, None), E)
register("not_equal",    lambda a, b: np.real(a) != np.real(b), (None, None), E)

register("matmul",       np.matmul,                        (lambda g, y, a, b: matmul(g, swapaxes(b, -1, -2)),
                                                            lambda g, y, a, b: matmul(swapaxes(a, -1, -2), g)), "(m,k),(k,n)->(m,n)")
register("matvec",       _matvec,                          (lambda g, y, W, x: outer_sum(g, x, W),
                                                            lambda g, y, W, x: matvec(swapaxes(W, -1, -2), g)), "(m,n),(n)->(m)")
register("vecdot",       lambda a, b: np.sum(a * b, axis=-1), (lambda g, y, a, b: reshape(g, (*g.shape, 1)) * b,
                                                            lambda g, y, a, b: reshape(g, (*g.shape, 1)) * a), "(n),(n)->()")
register("outer",        lambda a, b: a[..., :, None] * b[..., None, :], (lambda g, y, a, b: matvec(g, b),
                                                            lambda g, y, a, b: matvec(swapaxes(g, -1, -2), a)), "(m),(n)->(m,n)")

axes: Examples = ((((2, 3),), {"axis": None, "keepdims": False}), (((2, 3),), {"axis": 0, "keepdims": False}),
        (((2, 3, 2),), {"axis": -1, "keepdims": True}), (((2, 3, 2),), {"axis": (0, 2), "keepdims": False}), (((3,),), {"axis": None, "keepdims": True}))
axis: Examples = ((((3,),), {"axis": -1}), (((2, 3),), {"axis": 0}), (((2, 3, 2),), {"axis": 1}))
register("sum",          np.sum,                           (lambda g, y, x, axis, keepdims: broadcast_to(along(g, x, axis, keepdims), x.shape),), "reduction", examples=axes)
register("mean",         np.mean,                          (lambda g, y, x, axis, keepdims: broadcast_to(along(g, x, axis, keepdims), x.shape) * (y.size / x.size),), "reduction", examples=axes)
register("max",          _max,                             (lambda g, y, x, axis, keepdims: along(g, x, axis, keepdims) * (top := equal(x, along(y, x, axis, keepdims)) * 1.0) / sum(top, axis, True),),
                                                            "reduction", distance=_rank_gap, examples=axes)
register("logsumexp",    _logsumexp,                       (lambda g, y, x, axis, keepdims: along(g, x, axis, keepdims) * exp(x - along(y, x, axis, keepdims)),), "reduction", examples=axes)
register("softmax",      _softmax,                         (lambda g, y, x, axis: y * (g - sum(g * y, axis, True)),), "along", examples=axis)
register("log_softmax",  lambda x, axis: x - _logsumexp(x, axis, True), (lambda g, y, x, axis: g - exp(y) * sum(g, axis, True),), "along", examples=axis)
register("cumsum",       np.cumsum,                        (lambda g, y, x, axis: flip(cumsum(flip(g, axis), axis), axis),), "along", examples=axis)

register("concat",       lambda *parts, axis: np.concatenate(parts, axis=axis), part, "structural",
         examples=((((2,), (3,), (1,)), {"axis": -1}), (((2, 3), (1, 3)), {"axis": 0}), (((2, 3), (2, 1)), {"axis": -1})))
register("stack",        lambda *parts, axis: np.stack(parts, axis=axis), layer, "structural",
         examples=((((3,), (3,)), {"axis": 0}), (((2, 3), (2, 3), (2, 3)), {"axis": 1}), (((2,), (2,)), {"axis": -1})))
register("reshape",      lambda x, shape: np.reshape(x, shape), (lambda g, y, x, shape: reshape(g, x.shape),), "structural",
         examples=((((2, 3),), {"shape": (6,)}), (((4,),), {"shape": (2, -1)})))
register("transpose",    lambda x, axes: np.transpose(x, axes), (lambda g, y, x, axes: transpose(g, tuple(int(k) for k in np.argsort(axes))),), "structural",
         examples=((((2, 3),), {"axes": (1, 0)}), (((2, 3, 4),), {"axes": (2, 0, 1)})))
register("swapaxes",     lambda x, a, b: np.swapaxes(x, a, b), (lambda g, y, x, a, b: swapaxes(g, a, b),), "structural",
         examples=((((2, 3),), {"a": 0, "b": 1}), (((2, 3, 4),), {"a": -1, "b": 0})))
register("broadcast_to", lambda x, shape: np.broadcast_to(x, shape), (lambda g, y, x, shape: g,), "structural",
         examples=((((3,),), {"shape": (2, 3)}), (((2, 1),), {"shape": (2, 4)})))
register("getitem",      lambda x, index: x[index],         (lambda g, y, x, index: scatter(g, index, x.shape),), "structural",
         examples=((((4,),), {"index": slice(1, 3)}), (((3, 2),), {"index": np.array([0, 2, 0])}), (((3, 4),), {"index": (slice(None), 1)}), (((4,),), {"index": slice(None, None, -1)})))
register("scatter",      _scatter,                          (lambda g, y, x, index, shape: getitem(g, index),), "structural",
         examples=((((2,),), {"index": slice(1, 3), "shape": (4,)}), (((3, 2),), {"index": np.array([0, 2, 0]), "shape": (3, 2)})))
# fmt: on

# --- NumPy's names -------------------------------------------------------------------------------
UFUNCS.update(
    {f.__name__: f for f in (
        add, subtract, multiply, divide, power, negative, exp, log, sqrt, sin, cos, tanh, maximum,
        minimum, matmul, matvec, vecdot, greater, greater_equal, less, less_equal, equal, not_equal,
    )}
)  # fmt: skip
UFUNCS.update(absolute=abs, square=lambda x: x * x)


def _np_outer(a: Any, b: Any) -> Any:
    return outer(reshape(a, -1), reshape(b, -1))  # as np.outer does


FUNCTIONS.update(
    sum=lambda a, axis=None, keepdims=False: sum(a, axis, keepdims),
    mean=lambda a, axis=None, keepdims=False: mean(a, axis, keepdims),
    max=lambda a, axis=None, keepdims=False: max(a, axis, keepdims),
    amax=lambda a, axis=None, keepdims=False: max(a, axis, keepdims),
    cumsum=lambda a, axis=None: cumsum(reshape(a, -1) if axis is None else a, axis or 0),
    concatenate=lambda arrays, axis=0: concat(*arrays, axis=axis),
    stack=lambda arrays, axis=0: stack(arrays, axis),
    clip=lambda a, a_min=None, a_max=None: clip(a, a_min, a_max),
    outer=_np_outer,
    where=where, reshape=reshape, transpose=transpose, swapaxes=swapaxes,
    broadcast_to=broadcast_to, matmul=matmul, getitem=getitem,
    ndim=lambda a: a.ndim, shape=lambda a: a.shape, size=lambda a: a.size,
)  # fmt: skip
