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

import inspect
import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from tinygrad_lstm import forwards
from tinygrad_lstm.forwards import axes_of, indexed, lettered, negative_axes, permuted, shaped
from tinygrad_lstm.functions import *  # noqa: F403
from tinygrad_lstm.functions import at
from tinygrad_lstm.operation import TABLE, Operation
from tinygrad_lstm.sizes import ATOM, POWER, PRODUCT, SUM
from tinygrad_lstm.tensor import Axis, Tensor, TensorLike, apply

_Function = Callable[..., Any]
_Examples = tuple[tuple[tuple[tuple[int, ...], ...], dict[str, Any]], ...]
_Unary = Callable[[TensorLike], Tensor]
_Binary = Callable[[TensorLike, TensorLike], Tensor]
_Ternary = Callable[[TensorLike, TensorLike, TensorLike], Tensor]
_POSITIVE, _NONZERO, _FULL = (0.2, 3.0), (0.5, 2.0), slice(None)
_LINES: _Examples = ((((3,),), {"axis": -1}), (((2, 3),), {"axis": 0}), (((2, 3, 2),), {"axis": 1}))
_REDUCED: _Examples = tuple(
    ((shape,), {"axis": axis, "keepdims": keepdims})
    for shape, axis, keepdims in (
        ((2, 3), None, False),
        ((2, 3), 0, False),
        ((2, 3, 2), -1, True),
        ((3,), None, True),
        ((2, 3, 2), (0, 2), False),
    )
)


class _Reduction(Protocol):
    """An operation that makes one number of the entries along an axis, several, or all."""

    def __call__(self, x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor: ...


class _Along(Protocol):
    """An operation on the entries along an axis that keeps their number."""

    def __call__(self, x: TensorLike, axis: int = -1) -> Tensor: ...


def register(
    name: str,
    forward: _Function,
    derivatives: Any,
    signature: str = "elementwise",
    *,
    domain: tuple[float, float] = (-2.0, 2.0),
    distance: _Function | None = None,
    examples: _Examples = (),
    doc: str = "",
    **faces: Any,
) -> Callable[..., Tensor]:
    """Add an operation to the table, and return the function that applies it.

    The columns: `operation.Operation`.

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
    TABLE[name] = Operation(
        name, forward, derivatives, signature, domain, distance, examples, **faces
    )

    def function(*operands: TensorLike) -> Tensor:
        return apply(name, *operands)

    rules = [r for r in (derivatives if isinstance(derivatives, tuple) else ()) if r]
    if rules:  # (g, y, *inputs)
        whole = inspect.signature(rules[0])
        function.__signature__ = whole.replace(  # type: ignore[attr-defined]
            parameters=list(whole.parameters.values())[2:]
        )
    return _described(function, name, doc)  # type: ignore[no-any-return]


_unary: Callable[..., _Unary] = register
_binary: Callable[..., _Binary] = register


def _described(function: Any, name: str, doc: str) -> Any:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def _reduction(
    name: str, forward: _Function, rule: _Function, doc: str, **faces: Any
) -> _Reduction:
    register(name, forward, (rule,), "reduction", batch=negative_axes, examples=_REDUCED, **faces)

    def function(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return apply(name, x, axis=axis, keepdims=keepdims)

    return _described(function, name, doc)  # type: ignore[no-any-return]


def _axes(name: str, forward: _Function, rules: Any, **faces: Any) -> None:
    """An operation that rearranges entries; its function stands in `functions.py`."""
    register(name, forward, rules, "structural", **faces)


def _line(name: str, forward: _Function, rule: _Function, doc: str) -> _Along:
    register(name, forward, (rule,), "along", batch=negative_axes, examples=_LINES)

    def function(x: TensorLike, axis: int = -1) -> Tensor:
        return apply(name, x, axis=axis)

    return _described(function, name, doc)  # type: ignore[no-any-return]


# --- what rules share -----------------------------------------------------------------------------
def _along(g: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """Undo a reduction: `g` with the reduced axes of x put back as length one."""
    if keepdims:
        return g
    gone = axes_of(axis, x.ndim)
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
    rows = reshape(transpose(x, order), (*(x.shape[a] for a in kept), 1, n))
    products = prod(where(np.eye(n, dtype=bool), 1.0, rows), -1)
    shape = tuple(x.shape[a] for a in order)
    return transpose(reshape(products, shape), tuple(int(k) for k in np.argsort(order)))


def _outer_sum(g: Any, x: Any, W: Any) -> Any:
    """The adjoint of W in W · x: g ⊗ x, summed over a batch in one matrix product."""
    if W.ndim == 2 and g.ndim > 1 and g.shape[:-1] == x.shape[:-1]:
        rows, columns = reshape(g, (-1, g.shape[-1])), reshape(x, (-1, x.shape[-1]))
        return matmul(swapaxes(rows, 0, 1), columns)
    return outer(g, x)


def _flip(x: Any, axis: int) -> Any:
    """x in reverse order along an axis."""
    return apply("getitem", x, index=at(axis, x.ndim, slice(None, None, -1)))


def _part(k: int) -> _Function:
    """The rule of the k-th part of a concatenation: its own slice of g."""

    def rule(g: Any, y: Any, *parts: Any, axis: int) -> Any:
        start = 0
        for p in parts[:k]:
            start += p.shape[axis]
        own = at(axis, y.ndim, slice(start, start + parts[k].shape[axis]))
        return apply("getitem", g, index=own)

    return rule


def _layer(k: int) -> _Function:
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
identity = _unary("identity", lambda x: x,  (lambda g, y, x: g,), c="{0}", js="{0}",
    doc="x itself.")
detach = _unary("detach",   lambda x: x,  (None,),              c="{0}", js="{0}",
    doc="x, through which no gradient flows.")
negative = _unary("negative", np.negative,  (lambda g, y, x: -g,), c="-{0}", js="-{0}",
    infix=("-{}", SUM, (PRODUCT,)), doc="-x.")
exp = _unary("exp",      np.exp,       (lambda g, y, x: g * y,),
    c="EXP({0})", js="Math.exp({0})", sympy="exp", doc="e^x.")
expm1 = _unary("expm1",    np.expm1,     (lambda g, y, x: g * (y + 1),),
    c="EXPM1({0})", js="Math.expm1({0})", doc="e^x - 1, exact for small x.")
log = _unary("log",      np.log,       (lambda g, y, x: g / x,),           domain=_POSITIVE,
    c="LOG({0})", js="Math.log({0})", sympy="log", doc="Natural logarithm of x > 0.")
log1p = _unary("log1p",    np.log1p,     (lambda g, y, x: g / (1 + x),),     domain=_POSITIVE,
    c="LOG1P({0})", js="Math.log1p({0})", doc="log(1 + x) of x > -1, exact for small x.")
sqrt = _unary("sqrt",     np.sqrt,      (lambda g, y, x: 0.5 * g / y,),     domain=_POSITIVE,
    c="SQRT({0})", js="Math.sqrt({0})", doc="Square root of x > 0.")
sin = _unary("sin",      np.sin,       (lambda g, y, x: g * cos(x),),
    c="SIN({0})", js="Math.sin({0})", sympy="sin", doc="Sine of x in radians.")
cos: _Unary = _unary("cos",      np.cos,       (lambda g, y, x: -g * sin(x),),
    c="COS({0})", js="Math.cos({0})", sympy="cos", doc="Cosine of x in radians.")
tanh = _unary("tanh",     np.tanh,      (lambda g, y, x: g * (1 - y * y),),
    c="tanh_({0})", js="Math.tanh({0})", sympy="tanh",
    doc="(e^x - e^-x) / (e^x + e^-x), between -1 and 1.")
sigmoid = _unary("sigmoid",  forwards.sigmoid,     (lambda g, y, x: g * y * (1 - y),),
    c="sigmoid_({0})", js="sigmoid({0})", doc="σ(x) = 1 / (1 + e^-x), between 0 and 1.")
softplus = _unary("softplus", forwards.softplus,    (lambda g, y, x: g * sigmoid(x),),
    c="softplus_({0})", js="softplus({0})", doc="log(1 + e^x), without overflow.")
erf = _unary("erf",      forwards.erf,
    (lambda g, y, x: g * exp(-x * x) * forwards.TWO_OVER_ROOT_PI,),
    c="ERF({0})", js="erf({0})", sympy="erf", doc="2/√π ∫₀ˣ e^(-t²) dt, the error function.")
relu = _unary("relu",     forwards.relu,        (lambda g, y, x: g * greater(x, 0.0),),
    distance=np.abs, c="{0} <= 0 ? 0 : {0}", js="({0} <= 0 ? 0 : {0})",
    doc="x where x > 0, else 0.")
abs = _unary("abs",      forwards.abs,
    (lambda g, y, x: where(greater_equal(x, 0.0), g, -g),),
    distance=np.abs, c="{0} < 0 ? -{0} : {0}", js="Math.abs({0})", doc="|x|.")
floor = _unary("floor",    lambda x: np.floor(np.real(x)), (None,),
    distance=lambda x: np.abs(x - np.round(x)), c="FLOOR({0})", js="Math.floor({0})",
    sympy="floor", doc="The largest whole number that is not larger than x; no gradient.")
sign = _unary("sign",     lambda x: np.sign(np.real(x)), (None,),
    distance=np.abs, c="{0} != {0} ? {0} : ({0} > 0) - ({0} < 0)", js="Math.sign({0})",
    sympy="sign", doc="1 where x > 0, -1 where x < 0, else 0; no gradient.")

add = _binary("add",      np.add,       (lambda g, y, a, b: g,     lambda g, y, a, b: g),
    c="{0} + {1}", js="({0} + {1})", infix=("{} + {}", SUM, (SUM, SUM)), doc="a + b.")
subtract = _binary("subtract", np.subtract,  (lambda g, y, a, b: g,     lambda g, y, a, b: -g),
    c="{0} - {1}", js="({0} - {1})", infix=("{} - {}", SUM, (SUM, PRODUCT)), doc="a - b.")
multiply = _binary("multiply", np.multiply,  (lambda g, y, a, b: g * b, lambda g, y, a, b: g * a),
    c="{0} * {1}", js="({0} * {1})", infix=("{} * {}", PRODUCT, (PRODUCT, PRODUCT)),
    doc="a ⊙ b, entry by entry.")
divide = _binary("divide",   np.divide,    (lambda g, y, a, b: g / b,
                                               lambda g, y, a, b: -g * y / b),
    domain=_NONZERO, c="{0} / {1}", js="({0} / {1})",
    infix=("{} / {}", PRODUCT, (PRODUCT, POWER)), doc="a / b, entry by entry.")
power = _binary("power",    np.power,     (lambda g, y, a, b: g * b * a ** _one_less(b),
                                               lambda g, y, a, b: g * y * log(_not_zero(a))),
    domain=_POSITIVE, c="POW({0}, {1})", js="Math.pow({0}, {1})",
    infix=("{} ** {}", POWER, (ATOM, ATOM)),
    doc="a to the b, entry by entry; a >= 0 where a gradient in b is wanted.")
maximum = _binary("maximum",  forwards.maximum,  (lambda g, y, a, b: g * greater_equal(a, b),
                                               lambda g, y, a, b: g * greater(b, a)),
    distance=forwards.gap, c="{0} >= {1} || {0} != {0} ? {0} : {1}", js="Math.max({0}, {1})",
    doc="The larger of a and b, entry by entry; a where they are equal.")
minimum = _binary("minimum",  forwards.minimum,     (lambda g, y, a, b: g * less_equal(a, b),
                                               lambda g, y, a, b: g * less(b, a)),
    distance=forwards.gap, c="{0} <= {1} || {0} != {0} ? {0} : {1}", js="Math.min({0}, {1})",
    doc="The smaller of a and b, entry by entry; a where they are equal.")
where: _Ternary = register("where",    np.where,     (None, lambda g, y, c, a, b: where(c, g, 0.0),
                                                     lambda g, y, c, a, b: where(c, 0.0, g)),
    c="{0} != 0 ? {1} : {2}", js="({0} ? {1} : {2})",
    doc="a where the condition holds, else b. A gradient flows to the chosen one alone, but one\n"
        "    that is infinite there still makes nan: choose safe operands before the function.")
greater: _Binary = _binary("greater",       lambda a, b: np.real(a) >  np.real(b), (None, None),
    distance=forwards.gap, c="{0} > {1}", js="Number({0} > {1})",
    infix=("{} > {}", 0, (SUM, SUM)), doc="Whether a > b.")
greater_equal: _Binary = _binary("greater_equal",
    lambda a, b: np.real(a) >= np.real(b), (None, None), distance=forwards.gap,
    c="{0} >= {1}", js="Number({0} >= {1})", infix=("{} >= {}", 0, (SUM, SUM)),
    doc="Whether a >= b.")
equal: _Binary = _binary("equal",         lambda a, b: np.real(a) == np.real(b), (None, None),
    c="{0} == {1}", js="Number({0} === {1})", infix=("{} == {}", 0, (SUM, SUM)),
    doc="Whether a = b.")
not_equal: _Binary = _binary("not_equal",     lambda a, b: np.real(a) != np.real(b), (None, None),
    c="{0} != {1}", js="Number({0} !== {1})", infix=("{} != {}", 0, (SUM, SUM)),
    doc="Whether a ≠ b.")
register("clip",     forwards.clip,        (lambda g, y, x, low, high: g * _inside(x, low, high),),
         "structural", distance=forwards.edge_gap, batch=lambda node, lead: dict(node.attributes),
         examples=((((2, 3),), {"low": -1.0, "high": 0.5}),
                   (((4,),), {"low": None, "high": 1.0})))

register("matmul",   np.matmul,    (lambda g, y, A, B: matmul(g, swapaxes(B, -1, -2)),
                                    lambda g, y, A, B: matmul(swapaxes(A, -1, -2), g)),
         "(m,k),(k,n)->(m,n)", infix=("{} · {}", PRODUCT, (ATOM, ATOM)))
matvec: _Binary = _binary("matvec", forwards.matvec, (lambda g, y, W, x: _outer_sum(g, x, W),
                                      lambda g, y, W, x: matvec(swapaxes(W, -1, -2), g)),
         "(m,n),(n)->(m)", infix=("{} · {}", PRODUCT, (ATOM, ATOM)),
         doc="W · x over the last axis: (m,n),(n)->(m); leading axes broadcast.")
vecdot = _binary("vecdot", lambda a, b: np.sum(a * b, axis=-1),
                                     (lambda g, y, a, b: _column(g) * b,
                                      lambda g, y, a, b: _column(g) * a),
         "(n),(n)->()", infix=("{} · {}", PRODUCT, (ATOM, ATOM)),
         doc="The sum of a ⊙ b over the last axis: (n),(n)->().")
outer: _Binary = _binary("outer", lambda a, b: a[..., :, None] * b[..., None, :],
                                     (lambda g, y, a, b: matvec(g, b),
                                      lambda g, y, a, b: matvec(swapaxes(g, -1, -2), a)),
         "(m),(n)->(m,n)", infix=("{} ⊗ {}", PRODUCT, (ATOM, ATOM)),
         doc="a_i b_j over the last axes: (m),(n)->(m,n); leading axes broadcast.")
_axes("einsum", lambda a, b, subscripts: np.einsum(subscripts, a, b),
                             (lambda g, y, a, b, subscripts: _contracted(g, b, subscripts, 0),
                              lambda g, y, a, b, subscripts: _contracted(g, a, subscripts, 1)),
         batch=lettered, examples=(
    (((2, 3), (3,)), {"subscripts": "ij,j->i"}), (((2,), (3,)), {"subscripts": "i,j->ji"}),
    (((2, 3, 2), (2, 3)), {"subscripts": "kij,ki->kj"})))

sum  = _reduction("sum",  np.sum,  lambda g, y, x, axis, keepdims:
                  broadcast_to(_along(g, x, axis, keepdims), x.shape),
    "The sum over an axis, several, or all.")
mean = _reduction("mean", forwards.mean, lambda g, y, x, axis, keepdims:
                  broadcast_to(_along(g, x, axis, keepdims), x.shape) / _count(x, axis),
    "The mean over an axis, several, or all.")
max  = _reduction("max",  forwards.max,  lambda g, y, x, axis, keepdims:
                  _along(g, x, axis, keepdims) * _top(x, y, axis, keepdims),
    "The largest entry over an axis, several, or all; equal ones share the derivative.",
                  distance=forwards.rank_gap)
prod = _reduction("prod", np.prod, lambda g, y, x, axis, keepdims:
                  _along(g, x, axis, keepdims) * _others(x, axis),
    "The product over an axis, several, or all.")
logsumexp = _reduction("logsumexp", forwards.logsumexp, lambda g, y, x, axis, keepdims:
                  _along(g, x, axis, keepdims) * exp(x - _along(y, x, axis, keepdims)),
    "log Σ e^x without overflow.")

softmax     = _line("softmax",     forwards.softmax, lambda g, y, x, axis:
                    y * (g - sum(g * y, axis, True)),
    "e^x / Σ e^x along an axis, without overflow.")
log_softmax = _line("log_softmax", lambda x, axis: x - forwards.logsumexp(x, axis, True),
                    lambda g, y, x, axis: g - exp(y) * sum(g, axis, True),
    "x - log Σ e^x along an axis, without overflow.")
cumsum: _Along = _line("cumsum",      np.cumsum, lambda g, y, x, axis:
                    _flip(cumsum(_flip(g, axis), axis), axis),
    "Running sums along an axis.")

_axes("concat",    lambda *parts, axis: np.concatenate(parts, axis=axis), _part,
          batch=negative_axes,
          examples=((((2,), (3,), (1,)), {"axis": -1}), (((2, 3), (1, 3)), {"axis": 0})))
_axes("stack",     lambda *parts, axis: np.stack(parts, axis=axis), _layer, batch=negative_axes,
          examples=((((3,), (3,)), {"axis": 0}), (((2, 3), (2, 3), (2, 3)), {"axis": 1})))
_axes("reshape",   np.reshape,  (lambda g, y, x, shape: reshape(g, x.shape),), batch=shaped,
          examples=((((2, 3),), {"shape": (6,)}), (((4,),), {"shape": (2, -1)})))
_axes("transpose", np.transpose, (lambda g, y, x, axes:
                                      transpose(g, tuple(int(k) for k in np.argsort(axes))),),
          batch=permuted,
          examples=((((2, 3),), {"axes": (1, 0)}), (((2, 3, 4),), {"axes": (2, 0, 1)})))
_axes("swapaxes",  lambda x, a, b: np.swapaxes(x, a, b),
                                    (lambda g, y, x, a, b: swapaxes(g, a, b),), batch=negative_axes,
          examples=((((2, 3),), {"a": 0, "b": 1}), (((2, 3, 4),), {"a": -1, "b": 0})))
_axes("broadcast_to", np.broadcast_to, (lambda g, y, x, shape: g,), batch=shaped,
          examples=((((3,),), {"shape": (2, 3)}), (((2, 1),), {"shape": (2, 4)})))
_axes("getitem",   lambda x, index: x[index], (lambda g, y, x, index:
                                    apply("scatter", g, index=index, shape=x.shape),),
          batch=indexed, examples=(
    (((4,),), {"index": (slice(1, 3),)}), (((3, 2),), {"index": (np.array([0, 2, 0]), _FULL)}),
    (((3, 4),), {"index": (_FULL, 1)}), (((4,),), {"index": (slice(None, None, -1),)})))
_axes("scatter",   forwards.scatter,    (lambda g, y, x, index, shape:
                                     apply("getitem", g, index=index),), batch=indexed, examples=(
    (((2,),), {"index": (slice(1, 3),), "shape": (4,)}),
    (((3, 2),), {"index": (np.array([0, 2, 0]), _FULL), "shape": (3, 2)})))
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
