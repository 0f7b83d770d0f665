# ruff: noqa: F405 - the functions on axes are operations, too
"""The operations: each is one record with its forward, its derivative rules, and how it is written.

A rule is written in the project's own functions. It receives the adjoint `g` of the result, the
result `y` and the operands, and runs on arrays (backward) and on Tensors (gradients as programs)
alike. It may ignore broadcasting: the engine sums what it gives back to its operand's shape.

Forwards are analytic in the complex sense wherever they are smooth, so that the complex step
f(x + ih) checks derivatives to machine precision: comparisons look at real parts only.

An operation takes Tensors, arrays or numbers, `y = tanh(x)`, and gives a Tensor; on plain arrays
alone, which types do not tell, an array. What is made of others is one line in `composites.py`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_lstm import forwards
from tinygrad_lstm import registration as row
from tinygrad_lstm.forwards import axes_of, indexed, lettered, negative_axes, permuted, shaped
from tinygrad_lstm.functions import *  # noqa: F403
from tinygrad_lstm.functions import at
from tinygrad_lstm.operation import TABLE
from tinygrad_lstm.registration import register as register
from tinygrad_lstm.sizes import ATOM, POWER, PRODUCT, SUM
from tinygrad_lstm.tensor import Axis, Tensor, TensorLike, apply


# --- what rules share -----------------------------------------------------------------------------
def _along(g: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """Undo a reduction: `g` with the reduced axes of x put back as length one."""
    if keepdims:
        return g
    gone = axes_of(axis, x.ndim)
    if len(gone) == x.ndim and type(g) is np.ndarray:
        return g  # one number, which needs no axes to be repeated
    return reshape(g, tuple(1 if k in gone else size for k, size in enumerate(x.shape)))


def _count(x: Any, axis: Any) -> Any:
    """How many entries of x a reduction makes one of."""
    return math.prod(x.shape[a] for a in axes_of(axis, x.ndim))


def _others(x: Any, axis: Any) -> Any:
    """For each entry the product of the other ones that are reduced with it."""
    gone = axes_of(axis, x.ndim)
    kept = tuple(a for a in range(x.ndim) if a not in gone)
    order = (*kept, *gone)
    n = int(_count(x, axis))
    rows = reshape(transpose(x, order), (*(x.shape[a] for a in kept), 1, n))  # (kept, 1, n)
    products = prod(where(np.eye(n, dtype=bool), 1.0, rows), -1)  # (kept, n): without the own one
    shape = tuple(x.shape[a] for a in order)
    return transpose(reshape(products, shape), tuple(int(k) for k in np.argsort(order)))


def _outer_sum(g: Any, x: Any, W: Any) -> Any:
    """The adjoint of W in W · x: g ⊗ x, summed over a batch in one matrix product."""
    if W.ndim == 2 and g.ndim > 1 and g.shape[:-1] == x.shape[:-1]:
        rows = reshape(g, (-1, g.shape[-1]))  # (time · batch, m)
        columns = reshape(x, (-1, x.shape[-1]))  # (time · batch, n)
        return matmul(swapaxes(rows, 0, 1), columns)  # (m, n)
    return outer(g, x)  # (…, m, n)


def _flip(x: Any, axis: int) -> Any:
    """x in reverse order along an axis."""
    return apply("getitem", x, index=at(axis, x.ndim, slice(None, None, -1)))


def _part(k: int) -> row.Function:
    """The rule of the k-th part of a concatenation: its own slice of g."""

    def rule(g: Any, y: Any, *parts: Any, axis: int) -> Any:
        start = 0
        for p in parts[:k]:
            start += p.shape[axis]
        own = at(axis, y.ndim, slice(start, start + parts[k].shape[axis]))
        return apply("getitem", g, index=own)

    return rule


def _layer(k: int) -> row.Function:
    """The rule of the k-th part of a stack: its own layer of g."""
    return lambda g, y, *parts, axis: apply("getitem", g, index=at(axis, y.ndim, k))


def _column(g: Any) -> Any:
    """g with a new last axis of length one."""
    return reshape(g, (*g.shape, 1))


def _inside(x: Any, low: float | None, high: float | None) -> Any:
    """1 where low <= x <= high, else 0."""
    above = 1.0 if low is None else greater_equal(x, low)
    return above if high is None else above * less_equal(x, high)


def _one_less(b: Any) -> Any:
    """The exponent b - 1, or 1 where b = 0, so that 0 * a^(b-1) is 0 even at a = 0."""
    return where(equal(b, 0.0), 1.0, b - 1)


def _not_zero(a: Any) -> Any:
    """The base a, or 1 where a = 0, so that a^b * log(a) is 0 there."""
    return where(equal(a, 0.0), 1.0, a)


def _top(x: Any, y: Any, axis: Any, keepdims: bool) -> Any:
    """The share of each entry in the maximum y: 1, or equal parts where several are largest."""
    largest = equal(x, _along(y, x, axis, keepdims)) * 1.0
    return largest / sum(largest, axis, True)


def _contracted(g: Any, other: Any, subscripts: str, k: int) -> Any:
    """The adjoint of the k-th of two operands of einsum, which is an einsum again."""
    before, after = subscripts.split("->")
    groups = before.split(",")
    back = f"{after},{groups[1 - k]}->{groups[k]}"
    return apply("einsum", g, other, subscripts=back)


# --- the table ------------------------------------------------------------------------------------
# fmt: off
identity = row.unary("identity", lambda x: x,      (lambda g, y, x: g,),  c="{0}", js="{0}",
                 doc="x itself.")
detach   = row.unary("detach",   lambda x: x,      (None,),               c="{0}", js="{0}",
                  doc="x, through which no gradient flows.")
negative = row.unary("negative", np.negative,      (lambda g, y, x: -g,), c="-{0}", js="-{0}",
                  infix=("-{}", SUM, (PRODUCT,)), doc="-x.")
exp      = row.function("exp",   np.exp,   lambda g, y, x: g * y,       "e^x.", sympy="exp")
expm1    = row.function("expm1", np.expm1, lambda g, y, x: g * (y + 1),
                 "e^x - 1, exact for small x.")
log      = row.function("log",   np.log,   lambda g, y, x: g / x,
                 "Natural logarithm of x > 0.", sympy="log", domain=(0.2, 3.0))
log1p    = row.function("log1p", np.log1p, lambda g, y, x: g / (1 + x),
                 "log(1 + x) of x > -1, exact for small x.", domain=(0.2, 3.0))
sqrt     = row.function("sqrt",  np.sqrt,  lambda g, y, x: 0.5 * g / y, "Square root of x > 0.",
                 domain=(0.2, 3.0))
sin      = row.function("sin",   np.sin,   lambda g, y, x: g * cos(x),  "Sine of x in radians.",
                 sympy="sin")
cos: row.Unary = row.function("cos", np.cos, lambda g, y, x: -g * sin(x),
                 "Cosine of x in radians.", sympy="cos")
tanh     = row.function("tanh",  np.tanh,  lambda g, y, x: g * (1 - y * y),
                 "(e^x - e^-x) / (e^x + e^-x), between -1 and 1.", c="tanh_({0})", sympy="tanh")
sigmoid  = row.function("sigmoid",  forwards.sigmoid,  lambda g, y, x: g * y * (1 - y),
                 "σ(x) = 1 / (1 + e^-x), between 0 and 1.", c="sigmoid_({0})", js="sigmoid({0})")
softplus = row.function("softplus", forwards.softplus, lambda g, y, x: g * sigmoid(x),
                 "log(1 + e^x), without overflow.", c="softplus_({0})", js="softplus({0})")
erf      = row.function("erf", forwards.erf,
                 lambda g, y, x: g * exp(-x * x) * forwards.TWO_OVER_ROOT_PI,
                 "2/√π ∫₀ˣ e^(-t²) dt, the error function.", js="erf({0})", sympy="erf")
relu     = row.function("relu", forwards.relu, lambda g, y, x: g * greater(x, 0.0),
                 "x where x > 0, else 0.", distance=np.abs,
                 c="{0} <= 0 ? 0 : {0}", js="({0} <= 0 ? 0 : {0})")
abs      = row.function("abs",  forwards.abs,  lambda g, y, x: where(greater_equal(x, 0.0), g, -g),
                 "|x|.", distance=np.abs, c="{0} < 0 ? -{0} : {0}")
floor    = row.function("floor", lambda x: np.floor(np.real(x)), None,
                 "The largest whole number that is not larger than x; no gradient.",
                 distance=lambda x: np.abs(x - np.round(x)), sympy="floor")
sign     = row.function("sign",  lambda x: np.sign(np.real(x)), None,
                 "1 where x > 0, -1 where x < 0, else 0; no gradient.", distance=np.abs,
                 sympy="sign", c="{0} != {0} ? {0} : ({0} > 0) - ({0} < 0)")

add      = row.infix("add",      "+", np.add,
                  lambda g, y, a, b: g, lambda g, y, a, b: g, "a + b.", SUM, SUM, SUM)
subtract = row.infix("subtract", "-", np.subtract,
                  lambda g, y, a, b: g, lambda g, y, a, b: -g, "a - b.", SUM, SUM, PRODUCT)
multiply = row.infix("multiply", "*", np.multiply,
                  lambda g, y, a, b: g * b, lambda g, y, a, b: g * a, "a ⊙ b, entry by entry.",
                  PRODUCT, PRODUCT, PRODUCT)
divide   = row.infix("divide",   "/", np.divide,
                  lambda g, y, a, b: g / b, lambda g, y, a, b: -g * y / b, "a / b, entry by entry.",
                  PRODUCT, PRODUCT, POWER, domain=(0.5, 2.0))
power    = row.infix("power",   "**", np.power,    lambda g, y, a, b: g * b * a ** _one_less(b),
                                                lambda g, y, a, b: g * y * log(_not_zero(a)),
                  "a to the b, entry by entry; a >= 0 where a gradient in b is wanted.",
                  POWER, ATOM, ATOM, c="POW({0}, {1})", js="Math.pow({0}, {1})", domain=(0.2, 3.0))
maximum  = row.binary("maximum", forwards.maximum, (lambda g, y, a, b: g * greater_equal(a, b),
                                                 lambda g, y, a, b: g * greater(b, a)),
                   c="{0} >= {1} || {0} != {0} ? {0} : {1}", js="Math.max({0}, {1})",
                   distance=forwards.gap,
                   doc="The larger of a and b, entry by entry; a where they are equal.")
minimum  = row.binary("minimum", forwards.minimum, (lambda g, y, a, b: g * less_equal(a, b),
                                                 lambda g, y, a, b: g * less(b, a)),
                   c="{0} <= {1} || {0} != {0} ? {0} : {1}", js="Math.min({0}, {1})",
                   distance=forwards.gap,
                   doc="The smaller of a and b, entry by entry; a where they are equal.")
where: row.Ternary = register("where", np.where,   (None, lambda g, y, c, a, b: where(c, g, 0.0),
                                                       lambda g, y, c, a, b: where(c, 0.0, g)),
    c="{0} != 0 ? {1} : {2}", js="({0} ? {1} : {2})",
    doc="a where the condition holds, else b. A gradient flows to the chosen one alone, but one\n"
        "    that is infinite there still makes nan: choose safe operands before the function.")
greater: row.Binary = row.infix("greater", ">", lambda a, b: np.real(a) > np.real(b), None, None,
    "Whether a > b.", 0, SUM, SUM, js="Number({0} > {1})", distance=forwards.gap)
greater_equal: row.Binary = row.infix("greater_equal", ">=",
    lambda a, b: np.real(a) >= np.real(b), None, None, "Whether a >= b.", 0, SUM, SUM,
    js="Number({0} >= {1})", distance=forwards.gap)
equal: row.Binary = row.infix("equal", "==", lambda a, b: np.real(a) == np.real(b), None, None,
    "Whether a = b.", 0, SUM, SUM, js="Number({0} === {1})")
not_equal: row.Binary = row.infix("not_equal", "!=",
    lambda a, b: np.real(a) != np.real(b), None, None, "Whether a ≠ b.", 0, SUM, SUM,
    js="Number({0} !== {1})")
register("clip",     forwards.clip,        (lambda g, y, x, low, high: g * _inside(x, low, high),),
         "structural", distance=forwards.edge_gap, batch=lambda node, _: dict(node.attributes),
         examples=((((2, 3),), {"low": -1.0, "high": 0.5}),
                   (((4,),), {"low": None, "high": 1.0})))

register("matmul",   np.matmul,    (lambda g, y, A, B: matmul(g, swapaxes(B, -1, -2)),
                                    lambda g, y, A, B: matmul(swapaxes(A, -1, -2), g)),
         "(m,k),(k,n)->(m,n)", infix=("{} · {}", PRODUCT, (ATOM, ATOM)))
matvec: row.Binary = row.binary("matvec", forwards.matvec, (lambda g, y, W, x: _outer_sum(g, x, W),
                                      lambda g, y, W, x: matvec(swapaxes(W, -1, -2), g)),
         "(m,n),(n)->(m)", infix=("{} · {}", PRODUCT, (ATOM, ATOM)),
         doc="W · x over the last axis: (m,n),(n)->(m); leading axes broadcast.")
vecdot = row.binary("vecdot", forwards.vecdot,
                                     (lambda g, y, a, b: _column(g) * b,
                                      lambda g, y, a, b: _column(g) * a),
         "(n),(n)->()", infix=("{} · {}", PRODUCT, (ATOM, ATOM)),
         doc="The sum of a ⊙ b over the last axis: (n),(n)->().")
outer: row.Binary = row.binary("outer", lambda a, b: a[..., :, None] * b[..., None, :],
                                     (lambda g, y, a, b: matvec(g, b),
                                      lambda g, y, a, b: matvec(swapaxes(g, -1, -2), a)),
         "(m),(n)->(m,n)", infix=("{} ⊗ {}", PRODUCT, (ATOM, ATOM)),
         doc="a_i b_j over the last axes: (m),(n)->(m,n); leading axes broadcast.")
row.rearranging("einsum", lambda a, b, subscripts: np.einsum(subscripts, a, b),
                             (lambda g, y, a, b, subscripts: _contracted(g, b, subscripts, 0),
                              lambda g, y, a, b, subscripts: _contracted(g, a, subscripts, 1)),
         batch=lettered, examples=(
    (((2, 3), (3,)), {"subscripts": "ij,j->i"}), (((2,), (3,)), {"subscripts": "i,j->ji"}),
    (((2, 3, 2), (2, 3)), {"subscripts": "kij,ki->kj"})))

sum  = row.reduction("sum",  np.sum,  lambda g, y, x, axis, keepdims:
                  broadcast_to(_along(g, x, axis, keepdims), x.shape),
    "The sum over an axis, several, or all.")
mean = row.reduction("mean", forwards.mean, lambda g, y, x, axis, keepdims:
                  broadcast_to(_along(g, x, axis, keepdims), x.shape) / _count(x, axis),
    "The mean over an axis, several, or all.")
max  = row.reduction("max",  forwards.max,  lambda g, y, x, axis, keepdims:
                  _along(g, x, axis, keepdims) * _top(x, y, axis, keepdims),
    "The largest entry over an axis, several, or all; equal ones share the derivative.",
                  distance=forwards.rank_gap)
prod = row.reduction("prod", np.prod, lambda g, y, x, axis, keepdims:
                  _along(g, x, axis, keepdims) * _others(x, axis),
    "The product over an axis, several, or all.")
logsumexp = row.reduction("logsumexp", forwards.logsumexp, lambda g, y, x, axis, keepdims:
                  _along(g, x, axis, keepdims) * exp(x - _along(y, x, axis, keepdims)),
    "log Σ e^x without overflow.")

softmax     = row.along("softmax",     forwards.softmax, lambda g, y, x, axis:
                    y * (g - sum(g * y, axis, True)),
    "e^x / Σ e^x along an axis, without overflow.")
log_softmax = row.along("log_softmax", lambda x, axis: x - forwards.logsumexp(x, axis, True),
                    lambda g, y, x, axis: g - exp(y) * sum(g, axis, True),
    "x - log Σ e^x along an axis, without overflow.")
cumsum: row.Along = row.along("cumsum",      np.cumsum, lambda g, y, x, axis:
                    _flip(cumsum(_flip(g, axis), axis), axis),
    "Running sums along an axis.")

row.rearranging("concat",    lambda *parts, axis: np.concatenate(parts, axis=axis), _part,
          batch=negative_axes,
          examples=((((2,), (3,), (1,)), {"axis": -1}), (((2, 3), (1, 3)), {"axis": 0})))
row.rearranging("stack",     lambda *parts, axis: np.stack(parts, axis=axis), _layer,
          batch=negative_axes,
          examples=((((3,), (3,)), {"axis": 0}), (((2, 3), (2, 3), (2, 3)), {"axis": 1})))
row.rearranging("reshape",   np.reshape,  (lambda g, y, x, shape: reshape(g, x.shape),),
          batch=shaped, examples=((((2, 3),), {"shape": (6,)}), (((4,),), {"shape": (2, -1)})))
row.rearranging("transpose", np.transpose, (lambda g, y, x, axes:
                                      transpose(g, tuple(int(k) for k in np.argsort(axes))),),
          batch=permuted,
          examples=((((2, 3),), {"axes": (1, 0)}), (((2, 3, 4),), {"axes": (2, 0, 1)})))
row.rearranging("swapaxes",  lambda x, a, b: np.swapaxes(x, a, b),
                                    (lambda g, y, x, a, b: swapaxes(g, a, b),), batch=negative_axes,
          examples=((((2, 3),), {"a": 0, "b": 1}), (((2, 3, 4),), {"a": -1, "b": 0})))
row.rearranging("broadcast_to", forwards.broadcast_to, (lambda g, y, x, shape: g,), batch=shaped,
          examples=((((3,),), {"shape": (2, 3)}), (((2, 1),), {"shape": (2, 4)})))
row.rearranging("getitem",   lambda x, index: x[index], (lambda g, y, x, index:
                                    apply("scatter", g, index=index, shape=x.shape),),
          batch=indexed, examples=(
    (((4,),), {"index": (slice(1, 3),)}), (((3, 4),), {"index": (slice(None), 1)}),
    (((3, 2),), {"index": (np.array([0, 2, 0]), slice(None))}),
    (((4,),), {"index": (slice(None, None, -1),)})))
row.rearranging("scatter",   forwards.scatter,    (lambda g, y, x, index, shape:
                                     apply("getitem", g, index=index),), batch=indexed, examples=(
    (((2,),), {"index": (slice(1, 3),), "shape": (4,)}),
    (((3, 2),), {"index": (np.array([0, 2, 0]), slice(None)), "shape": (3, 2)})))
# fmt: on


# --- made of those above --------------------------------------------------------------------------
def min(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest entry over an axis, several, or all; equal ones share the derivative."""
    return -max(negative(x), axis, keepdims)


def var(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The variance over an axis, several, or all: the mean of (x - mean(x))², as NumPy's."""
    away = subtract(x, mean(x, axis, True))
    return mean(away * away, axis, keepdims)


# Public is every operation but the adjoint of another. A type checker, which would take a computed
# __all__ for an empty one, is shown none: to it public is what has no underscore in front.
globals()["__all__"] = sorted(
    {name for name in TABLE if name in globals() and name not in ("stack", "identity")}
    | {"einsum", "less", "less_equal", "min", "split", "var"}
)
