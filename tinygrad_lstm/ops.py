"""The operations: each is one record with its forward, its derivative rules, and how it is written.

A rule is written in the project's own functions. It receives the adjoint `g` of the result, the
result `y` and the operands, and runs on arrays (backward) and on Tensors (gradients as programs)
alike. It may ignore broadcasting: the engine sums a share back to its operand's shape.

Forwards are analytic in the complex sense wherever they are smooth, so that the complex step
f(x + ih) checks derivatives to machine precision: comparisons look at real parts only.

    y = tanh(x)                     an operation takes Tensors, arrays or numbers
    @composite                      an elementwise operation made of others: one line,
    def softsign(x): ...            from which derivative, C, JavaScript and SymPy follow
    spike = with_gradient(f, rule)  an operation with a derivative of one's own
"""

from __future__ import annotations

import functools
import inspect
import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinygrad_lstm import forwards
from tinygrad_lstm.errors import ShapeError
from tinygrad_lstm.forwards import axes_of, indexed, lettered, negative_axes, permuted, shaped
from tinygrad_lstm.program import Program
from tinygrad_lstm.sizes import ATOM, POWER, PRODUCT, SUM
from tinygrad_lstm.tensor import TABLE, Operation, Tensor, apply, fold, stacked

Function = Callable[..., Any]
_TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)
Examples = tuple[tuple[tuple[tuple[int, ...], ...], dict[str, Any]], ...]
DEFINITIONS: dict[str, Program] = {}  # of the composite operations
_origins: dict[str, Function] = {}  # what composites were made of


def register(
    name: str,
    forward: Function,
    derivatives: Any,
    signature: str = "elementwise",
    *,
    domain: tuple[float, float] = (-2.0, 2.0),
    distance: Function | None = None,
    examples: Examples = (),
    doc: str = "",
    **faces: Any,
) -> Function:
    """Add an operation to the table, and return the function that applies it.

    The columns: `tensor.Operation`.

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

    def function(*operands: Any) -> Any:
        return apply(name, *operands)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    rules = [r for r in (derivatives if isinstance(derivatives, tuple) else ()) if r]
    if rules:  # (g, y, *inputs)
        whole = inspect.signature(rules[0])
        function.__signature__ = whole.replace(  # type: ignore[attr-defined]
            parameters=list(whole.parameters.values())[2:]
        )
    return function


# --- the operations on axes, as functions ---------------------------------------------------------
def clip(x: Any, low: float | None = None, high: float | None = None) -> Any:
    """x limited to [low, high]; its derivative is 1 inside and on the limits."""
    return apply("clip", x, low=_plain(low), high=_plain(high))


def less(a: Any, b: Any) -> Any:
    """Whether a < b."""
    return apply("greater", b, a)


def less_equal(a: Any, b: Any) -> Any:
    """Whether a <= b."""
    return apply("greater_equal", b, a)


def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The sum over an axis, several, or all."""
    return apply("sum", x, axis=axis, keepdims=keepdims)


def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The mean over an axis, several, or all."""
    return apply("mean", x, axis=axis, keepdims=keepdims)


def var(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The variance over an axis, several, or all: the mean of (x - mean(x))², as NumPy's."""
    away = x - mean(x, axis, True)
    return mean(away * away, axis, keepdims)


def max(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The largest entry over an axis, several, or all; equal ones share the derivative."""
    return apply("max", x, axis=axis, keepdims=keepdims)


def min(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The smallest entry over an axis, several, or all; equal ones share the derivative."""
    return -max(-np.asarray(x) if not isinstance(x, Tensor) else -x, axis, keepdims)


def prod(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The product over an axis, several, or all."""
    return apply("prod", x, axis=axis, keepdims=keepdims)


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """log Σ e^x without overflow."""
    return apply("logsumexp", x, axis=axis, keepdims=keepdims)


def softmax(x: Any, axis: int = -1) -> Any:
    """e^x / Σ e^x along an axis, without overflow."""
    return apply("softmax", x, axis=axis)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """x - log Σ e^x along an axis, without overflow."""
    return apply("log_softmax", x, axis=axis)


def cumsum(x: Any, axis: int = -1) -> Any:
    """Running sums along an axis."""
    return apply("cumsum", x, axis=axis)


def swapaxes(x: Any, a: int, b: int) -> Any:
    """x with the axes a and b exchanged."""
    return apply("swapaxes", x, a=a, b=b)


def broadcast_to(x: Any, shape: tuple[int, ...]) -> Any:
    """x repeated along new or one-long axes."""
    return apply("broadcast_to", x, shape=tuple(shape))


def concat(*parts: Any, axis: int = -1) -> Any:
    """The parts one after another along an axis, the last unless told: [a, b]."""
    if len(parts) == 1 and isinstance(parts[0], list | tuple):
        (parts,) = parts
    joined = [stacked(part) for part in parts]
    return apply("concat", *joined, axis=axis - np.ndim(joined[0]) if axis >= 0 else axis)


def stack(parts: Any, axis: int = 0) -> Any:
    """The parts side by side along a new axis, the first unless told."""
    return apply("stack", *map(stacked, parts), axis=axis)


def split(x: Any, parts: Any, axis: int = -1) -> list[Any]:
    """x cut along an axis: into so many equal parts, or before each of the places in a list."""
    n = x.shape[axis]
    if isinstance(parts, int):
        if n % parts:
            raise ShapeError(f"split: {n} entries do not make {parts} equal parts.")
        places = [k * (n // parts) for k in range(1, parts)]
    else:
        places = list(parts)
    ends = [*places, None]
    starts = [None, *places]
    return [
        getitem(x, at(axis, len(x.shape), slice(start, stop)))
        for start, stop in zip(starts, ends, strict=True)
    ]


def matmul(a: Any, b: Any) -> Any:
    """The matrix product (…,m,k),(…,k,n)->(…,m,n), with NumPy's meaning of vectors."""
    a, b = stacked(a), stacked(b)
    if np.ndim(a) < 2 and np.ndim(b) < 2:
        return apply("vecdot", a, b)
    if np.ndim(b) == 1:
        return apply("matvec", a, b)
    if np.ndim(a) == 1:
        return apply("matvec", swapaxes(b, -1, -2), a)
    return apply("matmul", a, b)


def einsum(subscripts: str, *operands: Any) -> Any:
    """Σ of products as subscripts tell, of one operand or two: `einsum("ij,j->i", W, x)`.

    An index stands once in an operand; what does not stand after the arrow is summed over.
    """
    before, arrow, after = subscripts.replace(" ", "").partition("->")
    groups = before.split(",")
    if not arrow:
        letters = "".join(groups)
        after = "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    plain = all(len(set(g)) == len(g) and (not g or g.isalpha()) for g in (*groups, after))
    known = plain and set(after) <= set(before)
    if len(groups) != len(operands) or len(groups) > 2 or not known:
        raise ShapeError(
            f"einsum({subscripts!r}) takes one operand or two, each with letters of its own such "
            f"as 'ij,jk->ik'; got {len(operands)}.\n  Write larger ones as products of two."
        )
    for k, group in enumerate(groups):  # an index of one operand alone is summed at once
        others = set("".join(g for m, g in enumerate(groups) if m != k)) | set(after)
        alone = tuple(m for m, c in enumerate(group) if c not in others)
        if alone:
            summed = list(operands)
            summed[k], groups[k] = sum(operands[k], alone), "".join(c for c in group if c in others)
            return einsum(f"{','.join(groups)}->{after}", *summed)
    if len(groups) == 1:
        order = tuple(groups[0].index(c) for c in after)
        return operands[0] if groups[0] == after else transpose(operands[0], order)
    if "" in groups:
        number, other = operands if not groups[0] else operands[::-1]
        return number * einsum(f"{''.join(groups)}->{after}", other)
    return apply("einsum", *operands, subscripts=f"{','.join(groups)}->{after}")


def reshape(x: Any, shape: Any) -> Any:
    """x with its entries in another shape; one length may be -1."""
    return apply("reshape", x, shape=(shape,) if isinstance(shape, int) else tuple(shape))


def transpose(x: Any, axes: tuple[int, ...] | None = None) -> Any:
    """x with its axes permuted, reversed unless told."""
    n = np.ndim(x)
    return apply("transpose", x, axes=tuple(a % n for a in axes or reversed(range(n))))


def getitem(x: Any, index: Any) -> Any:
    """x[index], for slices, numbers, None, and lists or arrays of integers or booleans."""
    parts, axes = normal_index(index, x.shape)
    if axes is not None:
        x = transpose(x, axes)
    return apply("getitem", x, index=parts)


def normal_index(
    index: Any, shape: tuple[int, ...]
) -> tuple[tuple[Any, ...], tuple[int, ...] | None]:
    """An index with a part for every axis: slices, None, numbers, or arrays of integers.

    Arrays that stand apart select axes that NumPy puts first; the second result is the order of
    axes in which they stand together, or None where they do.
    """
    given = index if isinstance(index, tuple) else (index,)
    found: list[Any] = []
    for part in given:
        if isinstance(part, Tensor):
            part = part.numpy()
        if isinstance(part, list | tuple | range | np.ndarray):
            part = np.array(part, dtype=None if np.size(part) else int)
            found += map(np.asarray, np.nonzero(part)) if part.dtype == bool else [part]
        else:
            found.append(part)
    wide = [k for k, part in enumerate(found) if part is Ellipsis]
    n = len(shape) - len([part for part in found if part is not None and part is not Ellipsis])
    if n < 0 or len(wide) > 1:
        raise IndexError(f"too many indices for an array of shape {shape}")
    place = wide[0] if wide else len(found)
    found[place : place + len(wide)] = [slice(None)] * n
    arrays = [k for k, part in enumerate(found) if isinstance(part, np.ndarray)]
    if not arrays:
        return tuple(found), None
    for k, part in enumerate(found):
        if isinstance(part, int | np.integer):
            found[k] = np.array(part)
        if isinstance(found[k], np.ndarray):
            found[k].flags.writeable = False
    chosen = [k for k, part in enumerate(found) if isinstance(part, np.ndarray)]
    if chosen == list(range(chosen[0], chosen[-1] + 1)):
        return tuple(found), None
    others = [k for k in range(len(found)) if k not in chosen]
    axis_of = dict(zip((k for k, p in enumerate(found) if p is not None), range(99), strict=False))
    axes = tuple(axis_of[k] for k in (*chosen, *others) if k in axis_of)
    return tuple(found[k] for k in (*chosen, *others)), axes


# --- what rules share -----------------------------------------------------------------------------
def along(g: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """Undo a reduction: `g` with the reduced axes of x put back as length one."""
    if keepdims:
        return g
    gone = axes_of(axis, x.ndim)
    return reshape(g, tuple(1 if k in gone else size for k, size in enumerate(x.shape)))


def count(x: Any, axis: Any) -> Any:
    """How many entries of x a reduction makes one of."""
    return math.prod(x.shape[a] for a in axes_of(axis, x.ndim))


def others(x: Any, axis: Any) -> Any:
    """For each entry the product of the other ones that are reduced with it."""
    gone = axes_of(axis, x.ndim)
    kept = tuple(a for a in range(x.ndim) if a not in gone)
    order = (*kept, *gone)
    n = int(count(x, axis))
    rows = reshape(transpose(x, order), (*(x.shape[a] for a in kept), 1, n))
    products = prod(where(np.eye(n, dtype=bool), 1.0, rows), -1)
    shape = tuple(x.shape[a] for a in order)
    return transpose(reshape(products, shape), tuple(int(k) for k in np.argsort(order)))


def outer_sum(g: Any, x: Any, W: Any) -> Any:
    """The adjoint of W in W · x: g ⊗ x, summed over a batch in one matrix product."""
    if W.ndim == 2 and g.ndim > 1 and g.shape[:-1] == x.shape[:-1]:
        rows, columns = reshape(g, (-1, g.shape[-1])), reshape(x, (-1, x.shape[-1]))
        return matmul(swapaxes(rows, 0, 1), columns)
    return outer(g, x)


def at(axis: int, n: int, index: Any) -> tuple[Any, ...]:
    """The index that takes `index` along one of n axes and everything along the others."""
    axis %= n
    return (*(slice(None),) * axis, index, *(slice(None),) * (n - axis - 1))


def flip(x: Any, axis: int) -> Any:
    """x in reverse order along an axis."""
    return apply("getitem", x, index=at(axis, x.ndim, slice(None, None, -1)))


def part(k: int) -> Function:
    """The rule of the k-th part of a concatenation: its own slice of g."""

    def rule(g: Any, y: Any, *parts: Any, axis: int) -> Any:
        start = 0
        for p in parts[:k]:
            start += p.shape[axis]
        own = at(axis, y.ndim, slice(start, start + parts[k].shape[axis]))
        return apply("getitem", g, index=own)

    return rule


def layer(k: int) -> Function:
    """The rule of the k-th part of a stack: its own layer of g."""
    return lambda g, y, *parts, axis: apply("getitem", g, index=at(axis, y.ndim, k))


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


def not_zero(a: Any) -> Any:
    """The base a, or 1 where a = 0, so that a^b * log(a) is 0 there."""
    return where(equal(a, 0.0), 1.0, a)


def top(x: Any, y: Any, axis: Any, keepdims: bool) -> Any:
    """The share of each entry in the maximum y: 1, or equal parts where several are largest."""
    largest = equal(x, along(y, x, axis, keepdims)) * 1.0
    return largest / sum(largest, axis, True)


def scatter(g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of `shape` with g added at `index`: the adjoint of getitem."""
    return apply("scatter", g, index=index, shape=shape)


def contracted(g: Any, other: Any, subscripts: str, k: int) -> Any:
    """The adjoint of the k-th of two operands of einsum, which is an einsum again."""
    before, after = subscripts.split("->")
    groups = before.split(",")
    back = f"{after},{groups[1 - k]}->{groups[k]}"
    return apply("einsum", g, other, subscripts=back)


def _plain(edge: Any) -> float | None:
    return None if edge is None else float(edge)


# --- the table ------------------------------------------------------------------------------------
# fmt: off
positive, nonzero = (0.2, 3.0), (0.5, 2.0)

identity = register("identity", lambda x: x,  (lambda g, y, x: g,), c="{0}", js="{0}",
    doc="x itself.")
detach   = register("detach",   lambda x: x,  (None,),              c="{0}", js="{0}",
    doc="x, through which no gradient flows.")
negative = register("negative", np.negative,  (lambda g, y, x: -g,), c="-{0}", js="-{0}",
    infix=("-{}", SUM, (PRODUCT,)), doc="-x.")
exp      = register("exp",      np.exp,       (lambda g, y, x: g * y,),
    c="EXP({0})", js="Math.exp({0})", sympy="exp", doc="e^x.")
expm1    = register("expm1",    np.expm1,     (lambda g, y, x: g * (y + 1),),
    c="EXPM1({0})", js="Math.expm1({0})", doc="e^x - 1, exact for small x.")
log      = register("log",      np.log,       (lambda g, y, x: g / x,),           domain=positive,
    c="LOG({0})", js="Math.log({0})", sympy="log", doc="Natural logarithm of x > 0.")
log1p    = register("log1p",    np.log1p,     (lambda g, y, x: g / (1 + x),),     domain=positive,
    c="LOG1P({0})", js="Math.log1p({0})", doc="log(1 + x) of x > -1, exact for small x.")
sqrt     = register("sqrt",     np.sqrt,      (lambda g, y, x: 0.5 * g / y,),     domain=positive,
    c="SQRT({0})", js="Math.sqrt({0})", doc="Square root of x > 0.")
sin      = register("sin",      np.sin,       (lambda g, y, x: g * cos(x),),
    c="SIN({0})", js="Math.sin({0})", sympy="sin", doc="Sine of x in radians.")
cos: Function = register("cos",      np.cos,       (lambda g, y, x: -g * sin(x),),
    c="COS({0})", js="Math.cos({0})", sympy="cos", doc="Cosine of x in radians.")
tanh     = register("tanh",     np.tanh,      (lambda g, y, x: g * (1 - y * y),),
    c="tanh_({0})", js="Math.tanh({0})", sympy="tanh",
    doc="(e^x - e^-x) / (e^x + e^-x), between -1 and 1.")
sigmoid  = register("sigmoid",  forwards.sigmoid,     (lambda g, y, x: g * y * (1 - y),),
    c="sigmoid_({0})", js="sigmoid({0})", doc="σ(x) = 1 / (1 + e^-x), between 0 and 1.")
softplus = register("softplus", forwards.softplus,    (lambda g, y, x: g * sigmoid(x),),
    c="softplus_({0})", js="softplus({0})", doc="log(1 + e^x), without overflow.")
erf      = register("erf",      forwards.erf,
    (lambda g, y, x: g * exp(-x * x) * _TWO_OVER_ROOT_PI,),
    c="ERF({0})", js="erf({0})", sympy="erf", doc="2/√π ∫₀ˣ e^(-t²) dt, the error function.")
relu     = register("relu",     forwards.relu,        (lambda g, y, x: g * greater(x, 0.0),),
    distance=np.abs, c="{0} <= 0 ? 0 : {0}", js="({0} <= 0 ? 0 : {0})",
    doc="x where x > 0, else 0.")
abs      = register("abs",      forwards.abs,
    (lambda g, y, x: where(greater_equal(x, 0.0), g, -g),),
    distance=np.abs, c="{0} < 0 ? -{0} : {0}", js="Math.abs({0})", doc="|x|.")
floor    = register("floor",    lambda x: np.floor(np.real(x)), (None,),
    distance=lambda x: np.abs(x - np.round(x)), c="FLOOR({0})", js="Math.floor({0})",
    sympy="floor", doc="The largest whole number that is not larger than x; no gradient.")
sign     = register("sign",     lambda x: np.sign(np.real(x)), (None,),
    distance=np.abs, c="{0} != {0} ? {0} : ({0} > 0) - ({0} < 0)", js="Math.sign({0})",
    sympy="sign", doc="1 where x > 0, -1 where x < 0, else 0; no gradient.")

add      = register("add",      np.add,       (lambda g, y, a, b: g,     lambda g, y, a, b: g),
    c="{0} + {1}", js="({0} + {1})", infix=("{} + {}", SUM, (SUM, SUM)), doc="a + b.")
subtract = register("subtract", np.subtract,  (lambda g, y, a, b: g,     lambda g, y, a, b: -g),
    c="{0} - {1}", js="({0} - {1})", infix=("{} - {}", SUM, (SUM, PRODUCT)), doc="a - b.")
multiply = register("multiply", np.multiply,  (lambda g, y, a, b: g * b, lambda g, y, a, b: g * a),
    c="{0} * {1}", js="({0} * {1})", infix=("{} * {}", PRODUCT, (PRODUCT, PRODUCT)),
    doc="a ⊙ b, entry by entry.")
divide   = register("divide",   np.divide,    (lambda g, y, a, b: g / b,
                                               lambda g, y, a, b: -g * y / b),
    domain=nonzero, c="{0} / {1}", js="({0} / {1})",
    infix=("{} / {}", PRODUCT, (PRODUCT, POWER)), doc="a / b, entry by entry.")
power    = register("power",    np.power,     (lambda g, y, a, b: g * b * a ** one_less(b),
                                               lambda g, y, a, b: g * y * log(not_zero(a))),
    domain=positive, c="POW({0}, {1})", js="Math.pow({0}, {1})",
    infix=("{} ** {}", POWER, (ATOM, ATOM)),
    doc="a to the b, entry by entry; a >= 0 where a gradient in b is wanted.")
maximum  = register("maximum",  forwards.maximum,  (lambda g, y, a, b: g * greater_equal(a, b),
                                               lambda g, y, a, b: g * greater(b, a)),
    distance=forwards.gap, c="{0} >= {1} || {0} != {0} ? {0} : {1}", js="Math.max({0}, {1})",
    doc="The larger of a and b, entry by entry; a where they are equal.")
minimum  = register("minimum",  forwards.minimum,     (lambda g, y, a, b: g * less_equal(a, b),
                                               lambda g, y, a, b: g * less(b, a)),
    distance=forwards.gap, c="{0} <= {1} || {0} != {0} ? {0} : {1}", js="Math.min({0}, {1})",
    doc="The smaller of a and b, entry by entry; a where they are equal.")
where: Function = register("where",    np.where,     (None, lambda g, y, c, a, b: where(c, g, 0.0),
                                                     lambda g, y, c, a, b: where(c, 0.0, g)),
    c="{0} != 0 ? {1} : {2}", js="({0} ? {1} : {2})",
    doc="a where the condition holds, else b. A gradient flows to the chosen one alone, but one\n"
        "    that is infinite there still makes nan: choose safe operands before the function.")
greater: Function = register("greater",       lambda a, b: np.real(a) >  np.real(b), (None, None),
    distance=forwards.gap, c="{0} > {1}", js="Number({0} > {1})",
    infix=("{} > {}", 0, (SUM, SUM)), doc="Whether a > b.")
greater_equal: Function = register("greater_equal",
    lambda a, b: np.real(a) >= np.real(b), (None, None), distance=forwards.gap,
    c="{0} >= {1}", js="Number({0} >= {1})", infix=("{} >= {}", 0, (SUM, SUM)),
    doc="Whether a >= b.")
equal         = register("equal",         lambda a, b: np.real(a) == np.real(b), (None, None),
    c="{0} == {1}", js="Number({0} === {1})", infix=("{} == {}", 0, (SUM, SUM)),
    doc="Whether a = b.")
not_equal     = register("not_equal",     lambda a, b: np.real(a) != np.real(b), (None, None),
    c="{0} != {1}", js="Number({0} !== {1})", infix=("{} != {}", 0, (SUM, SUM)),
    doc="Whether a ≠ b.")
register("clip",     forwards.clip,        (lambda g, y, x, low, high: g * inside(x, low, high),),
         "structural", distance=forwards.edge_gap, batch=lambda node, lead: dict(node.attributes),
         examples=((((2, 3),), {"low": -1.0, "high": 0.5}),
                   (((4,),), {"low": None, "high": 1.0})))

register("matmul",   np.matmul,    (lambda g, y, A, B: matmul(g, swapaxes(B, -1, -2)),
                                    lambda g, y, A, B: matmul(swapaxes(A, -1, -2), g)),
         "(m,k),(k,n)->(m,n)", infix=("{} · {}", PRODUCT, (ATOM, ATOM)))
matvec: Function = register("matvec", forwards.matvec, (lambda g, y, W, x: outer_sum(g, x, W),
                                      lambda g, y, W, x: matvec(swapaxes(W, -1, -2), g)),
         "(m,n),(n)->(m)", infix=("{} · {}", PRODUCT, (ATOM, ATOM)),
         doc="W · x over the last axis: (m,n),(n)->(m); leading axes broadcast.")
vecdot = register("vecdot", lambda a, b: np.sum(a * b, axis=-1),
                                     (lambda g, y, a, b: column(g) * b,
                                      lambda g, y, a, b: column(g) * a),
         "(n),(n)->()", infix=("{} · {}", PRODUCT, (ATOM, ATOM)),
         doc="The sum of a ⊙ b over the last axis: (n),(n)->().")
outer  = register("outer", lambda a, b: a[..., :, None] * b[..., None, :],
                                     (lambda g, y, a, b: matvec(g, b),
                                      lambda g, y, a, b: matvec(swapaxes(g, -1, -2), a)),
         "(m),(n)->(m,n)", infix=("{} ⊗ {}", PRODUCT, (ATOM, ATOM)),
         doc="a_i b_j over the last axes: (m),(n)->(m,n); leading axes broadcast.")
register("einsum", lambda a, b, subscripts: np.einsum(subscripts, a, b),
                                   (lambda g, y, a, b, subscripts: contracted(g, b, subscripts, 0),
                                    lambda g, y, a, b, subscripts: contracted(g, a, subscripts, 1)),
         "structural", batch=lettered, examples=(
    (((2, 3), (3,)), {"subscripts": "ij,j->i"}), (((2,), (3,)), {"subscripts": "i,j->ji"}),
    (((2, 3, 2), (2, 3)), {"subscripts": "kij,ki->kj"})))

reduced: Examples = (
    (((2, 3),), {"axis": None, "keepdims": False}), (((2, 3),), {"axis": 0, "keepdims": False}),
    (((2, 3, 2),), {"axis": -1, "keepdims": True}), (((3,),), {"axis": None, "keepdims": True}),
    (((2, 3, 2),), {"axis": (0, 2), "keepdims": False}))
reduction = functools.partial(
    register, signature="reduction", batch=negative_axes, examples=reduced)
reduction("sum",       np.sum,     (lambda g, y, x, axis, keepdims:
                                    broadcast_to(along(g, x, axis, keepdims), x.shape),))
reduction("mean",      np.mean,    (lambda g, y, x, axis, keepdims:
                                    broadcast_to(along(g, x, axis, keepdims), x.shape)
                                    / count(x, axis),))
reduction("max",       forwards.max,       (lambda g, y, x, axis, keepdims:
                                    along(g, x, axis, keepdims) * top(x, y, axis, keepdims),),
          distance=forwards.rank_gap)
reduction("prod",      np.prod,    (lambda g, y, x, axis, keepdims:
                                    along(g, x, axis, keepdims) * others(x, axis),))
reduction("logsumexp", forwards.logsumexp, (lambda g, y, x, axis, keepdims:
                                    along(g, x, axis, keepdims)
                                    * exp(x - along(y, x, axis, keepdims)),))

lines: Examples = ((((3,),), {"axis": -1}), (((2, 3),), {"axis": 0}), (((2, 3, 2),), {"axis": 1}))
line = functools.partial(register, signature="along", batch=negative_axes, examples=lines)
line("softmax",     forwards.softmax,  (lambda g, y, x, axis: y * (g - sum(g * y, axis, True)),))
line("log_softmax", lambda x, axis: x - forwards.logsumexp(x, axis, True),
                               (lambda g, y, x, axis: g - exp(y) * sum(g, axis, True),))
line("cumsum",      np.cumsum, (lambda g, y, x, axis: flip(cumsum(flip(g, axis), axis), axis),))

structure = functools.partial(register, signature="structural")
structure("concat",    lambda *parts, axis: np.concatenate(parts, axis=axis), part,
          batch=negative_axes,
          examples=((((2,), (3,), (1,)), {"axis": -1}), (((2, 3), (1, 3)), {"axis": 0})))
structure("stack",     lambda *parts, axis: np.stack(parts, axis=axis), layer, batch=negative_axes,
          examples=((((3,), (3,)), {"axis": 0}), (((2, 3), (2, 3), (2, 3)), {"axis": 1})))
structure("reshape",   np.reshape,  (lambda g, y, x, shape: reshape(g, x.shape),), batch=shaped,
          examples=((((2, 3),), {"shape": (6,)}), (((4,),), {"shape": (2, -1)})))
structure("transpose", np.transpose, (lambda g, y, x, axes:
                                      transpose(g, tuple(int(k) for k in np.argsort(axes))),),
          batch=permuted,
          examples=((((2, 3),), {"axes": (1, 0)}), (((2, 3, 4),), {"axes": (2, 0, 1)})))
structure("swapaxes",  lambda x, a, b: np.swapaxes(x, a, b),
                                    (lambda g, y, x, a, b: swapaxes(g, a, b),), batch=negative_axes,
          examples=((((2, 3),), {"a": 0, "b": 1}), (((2, 3, 4),), {"a": -1, "b": 0})))
structure("broadcast_to", np.broadcast_to, (lambda g, y, x, shape: g,), batch=shaped,
          examples=((((3,),), {"shape": (2, 3)}), (((2, 1),), {"shape": (2, 4)})))
full = slice(None)
structure("getitem",   lambda x, index: x[index],
                                    (lambda g, y, x, index: scatter(g, index, x.shape),),
          batch=indexed, examples=(
    (((4,),), {"index": (slice(1, 3),)}), (((3, 2),), {"index": (np.array([0, 2, 0]), full)}),
    (((3, 4),), {"index": (full, 1)}), (((4,),), {"index": (slice(None, None, -1),)})))
structure("scatter",   forwards.scatter,    (lambda g, y, x, index, shape:
                                     apply("getitem", g, index=index),), batch=indexed, examples=(
    (((2,),), {"index": (slice(1, 3),), "shape": (4,)}),
    (((3, 2),), {"index": (np.array([0, 2, 0]), full), "shape": (3, 2)})))
# fmt: on


# --- operations made of those above ---------------------------------------------------------------
def evaluate(program: Program, name: str, operands: Mapping[str, Any]) -> Any:
    """One output of a Program at Tensors or arrays, by the operations themselves."""
    root = program.outputs[name]
    leaves = {node: operands[n] for n, node in program.inputs.items() if n in operands}

    def make(node: Tensor, inputs: list[Any]) -> Any:
        if not node.inputs:
            return node.data.item() if not node.ndim else node.data
        return apply(node.op or "", *inputs, **node.attributes)

    return fold([root], leaves, make)[root]


def composite(function: Function, **faces: Any) -> Function:
    """An elementwise operation defined by others, as a decorator.

    Its derivative, and what SymPy, C and JavaScript know of it, follow from the definition.
    """
    name, names = function.__name__, list(inspect.signature(function).parameters)
    program = Program.trace(function, **{n: () for n in names})
    gradient = program.gradient()
    inner = [n for n in program.nodes() if n.op and TABLE[n.op].distance]

    def rule(of: str) -> Function:
        def share(g: Any, y: Any, *inputs: Any) -> Any:
            return evaluate(gradient, of, {**dict(zip(names, inputs, strict=True)), "seed.y": g})

        share.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(n, inspect.Parameter.POSITIONAL_ONLY) for n in ("g", "y", *names)]
        )
        return share

    def value(*inputs: Any) -> Any:  # as traced: Python's abs of a complex array is another one
        return _in_kind(evaluate(program, "y", dict(zip(names, inputs, strict=True))), inputs)

    def distance(*inputs: Any) -> Any:
        leaves = dict(zip(program.inputs.values(), inputs, strict=True))

        def make(node: Tensor, operands: list[Any]) -> Any:
            if not node.inputs:
                return node.data
            return TABLE[node.op or ""].forward(*operands, **node.attributes)

        values = fold(inner, leaves, make)
        gaps = [TABLE[n.op or ""].distance(*(values[i] for i in n.inputs)) for n in inner]  # type: ignore[misc]
        return np.min(np.broadcast_arrays(*gaps), axis=0)

    DEFINITIONS[name] = program
    _take(name, function)
    return register(
        name,
        value,
        tuple(map(rule, names)),
        distance=distance if inner else None,
        definition=program,
        doc=function.__doc__ or "",
        **faces,
    )


def _known_again(name: str, function: Function) -> bool:
    """Whether a name is that of the same line of a file that is run once more.

    A name may be taken anew then, as when a cell's file is read again; two functions that one run
    of a file makes at the same line, in a loop, are two.
    """
    before = _origins.get(name)
    if before is None or name not in TABLE:
        return False
    code, old = function.__code__, before.__code__
    at, was = (code.co_filename, code.co_firstlineno), (old.co_filename, old.co_firstlineno)
    return at == was and function.__globals__ is not before.__globals__


def _take(name: str, function: Function) -> None:
    if _known_again(name, function):
        del TABLE[name]
    _origins[name] = function


def _in_kind(y: Any, inputs: Any) -> Any:
    """A value in the precision of what it was computed from."""
    kind = np.result_type(*inputs)
    y = np.asarray(y)
    return y.astype(kind) if kind.kind == "f" and y.dtype.kind in "fb" else y


@functools.partial(composite, domain=nonzero)
def mod(a: Any, b: Any) -> Any:
    """The rest a - b ⌊a / b⌋, between 0 and b; its derivative in b is -⌊a / b⌋."""
    return a - b * floor(a / b)


@composite
def softsign(x: Any) -> Any:
    """x / (1 + |x|), between -1 and 1."""
    return x / (1 + abs(x))


@composite
def silu(x: Any) -> Any:
    """x σ(x), which is also called swish."""
    return x * sigmoid(x)


@composite
def gelu(x: Any) -> Any:
    """x Φ(x), with Φ the distribution function of the standard normal."""
    return 0.5 * x * (1 + erf(x * math.sqrt(0.5)))


def with_gradient(forward: Function, rule: Function, name: str = "") -> Function:
    """An elementwise operation with a derivative of one's own: a surrogate gradient.

    forward: its value, a function of one Tensor or several. rule: `rule(g, y, *inputs)`, the
    adjoint of the input, or a tuple with one for each, from the adjoint g of the value y. Both are
    written in operations. `check_gradients` takes the rule as given and checks all around it.

        spike = with_gradient(lambda v: v > 1.0, lambda g, y, v: g / (1 + abs(v - 1)) ** 2)
    """
    own = name or getattr(forward, "__name__", "")
    own = own if own.isidentifier() else "surrogate"
    numbered = (f"{own}_{k}" if k > 1 else own for k in itertools.count(1))
    own = next(n for n in numbered if n not in TABLE or _known_again(n, forward))
    _take(own, forward)
    names = list(inspect.signature(forward).parameters)
    definition = Program.trace(lambda **v: forward(**v) * 1.0, **{n: () for n in names})

    def shares(g: Any, y: Any, *inputs: Any) -> tuple[Any, ...]:
        found = rule(g, y, *inputs)
        found = found if isinstance(found, tuple) else (found,)
        if len(found) != len(names):
            raise ShapeError(
                f"{own}: the rule gives {len(found)} adjoints, but there are {len(names)} inputs."
            )
        return found

    def value(*inputs: Any) -> Any:
        real = [np.real(v) for v in inputs]
        y = _in_kind(evaluate(definition, "y", dict(zip(names, real, strict=True))), real)
        moved = [np.iscomplexobj(v) for v in inputs]
        if not any(moved):
            return y
        # the direction of a complex step goes through the author's rule
        slopes = shares(np.ones_like(y), y, *real)
        steps = [s * np.imag(v) for s, v, m in zip(slopes, inputs, moved, strict=True) if m]
        return y + 1j * np.sum(np.broadcast_arrays(*steps), axis=0)

    def adjoint(k: int) -> Function:
        return lambda g, y, *inputs: evaluate(
            slopes, names[k], dict(zip(("g", "y", *names), (g, y, *inputs), strict=True))
        )

    traced = {n: () for n in ("g", "y", *names)}
    slopes = Program.trace(
        lambda **v: dict(zip(names, shares(v["g"], v["y"], *(v[n] for n in names)), strict=True)),
        **traced,
    )
    DEFINITIONS[own] = definition
    doc = f"{inspect.getdoc(forward) or own}: with a derivative of its author's own."
    return register(
        own,
        value,
        tuple(map(adjoint, range(len(names)))),
        definition=definition,
        slopes=slopes,
        doc=doc,
    )


# Public is every operation but the adjoint of another, and how to make more. A type checker, which
# would take a computed __all__ for an empty one, is shown none.
globals()["__all__"] = sorted(
    {name for name in TABLE if name in globals() and name not in ("scatter", "stack", "identity")}
    | {"composite", "einsum", "less", "less_equal", "min", "split", "var", "with_gradient"}
)
