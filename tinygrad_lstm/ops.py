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
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinygrad_lstm.errors import ShapeError
from tinygrad_lstm.program import Program
from tinygrad_lstm.sizes import ATOM, POWER, PRODUCT, SUM
from tinygrad_lstm.tensor import (
    FUNCTIONS,
    TABLE,
    UFUNCS,
    Operation,
    Tensor,
    apply,
    fold,
    stacked,
)

Function = Callable[..., Any]
_TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)
Examples = tuple[tuple[tuple[tuple[int, ...], ...], dict[str, Any]], ...]
DEFINITIONS: dict[str, Program] = {}  # of the composite operations


def register(
    name: str, forward: Function, derivatives: Any, signature: str = "elementwise", *,
    domain: tuple[float, float] = (-2.0, 2.0), distance: Function | None = None,
    examples: Examples = (), doc: str = "", **faces: Any,
) -> Function:  # fmt: skip
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
    return apply("concat", *map(stacked, parts), axis=axis)


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
    plain = all(len(set(g)) == len(g) and g.isalpha() for g in (*groups, *([after] * bool(after))))
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
        return transpose(operands[0], tuple(groups[0].index(c) for c in after))
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


def axes_of(axis: Any, n: int) -> tuple[int, ...]:
    """The axes that a reduction of n axes goes over, counted from the front."""
    return tuple(range(n)) if axis is None else tuple(int(a) % n for a in np.atleast_1d(axis))


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


# --- forwards that NumPy does not have, or not for complex numbers --------------------------------
def _relu(x: Any) -> Any:
    x = np.asarray(x)
    return np.where(np.real(x) <= 0, np.zeros((), x.dtype), x)  # nan stays nan


def _abs(x: Any) -> Any:
    return np.where(np.real(x) < 0, -x, x) if np.iscomplexobj(x) else np.abs(x)


def _sigmoid(x: Any) -> Any:
    x = np.asarray(x)
    if x.dtype.kind != "c":  # exact to the last digits for small values too; without overflow
        return 1 / (1 + np.exp(np.minimum(-x, _largest_exponent(x.dtype))))
    small = np.exp(-_abs(x))
    return np.where(np.real(x) < 0, small, 1.0) / (1 + small)


@functools.cache
def _largest_exponent(dtype: Any) -> float:
    kind = dtype if dtype.kind == "f" else np.dtype(float)
    return float(np.floor(np.log(np.finfo(kind).max)))


def _softplus(x: Any) -> Any:
    part = np.where(np.real(x) < 0, np.zeros((), x.dtype), x)  # splits where _abs does, at 0 too
    return part + np.log1p(np.exp(-_abs(x)))


def _maximum(a: Any, b: Any) -> Any:
    if not (np.iscomplexobj(a) or np.iscomplexobj(b)):
        return np.maximum(a, b)
    return np.where((np.real(a) >= np.real(b)) | np.isnan(a), a, b)


def _minimum(a: Any, b: Any) -> Any:
    if not (np.iscomplexobj(a) or np.iscomplexobj(b)):
        return np.minimum(a, b)
    return np.where((np.real(a) <= np.real(b)) | np.isnan(a), a, b)


def _erf(x: Any) -> Any:
    x = np.asarray(x)
    if not np.iscomplexobj(x):
        return np.vectorize(math.erf, otypes=[x.dtype])(x)
    # Abramowitz and Stegun 7.1.6 near 0, 7.1.14 farther out, both analytic
    term = series = 2 / math.sqrt(math.pi) * x * np.exp(-x * x)
    for n in range(1, 120):
        term = term * (2 * x * x / (2 * n + 1))
        series = series + term
    z = np.where(np.real(x) < 0, -x, x)
    z = np.where(np.real(z) < 2.5, 2.5, z)
    fraction: Any = z
    for n in range(80, 0, -1):
        fraction = z + n / 2 / fraction
    far = 1 - np.exp(-z * z) / (math.sqrt(math.pi) * fraction)
    far = np.where(np.real(x) < 0, -far, far)
    return np.where(np.abs(np.real(x)) < 2.5, series, far)


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
    most = np.where(np.isinf(most), np.zeros((), most.dtype), most)
    with np.errstate(divide="ignore"):  # the logarithm of nothing at all is -inf
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


# --- on a batch: the attributes that do to each sample what they do to one ------------------------
def _axes(node: Tensor, lead: tuple[int, ...]) -> dict[str, Any]:
    """Axes counted from the end, which further ones in front do not move."""
    n = node.inputs[0].ndim + (node.op == "stack")
    found = dict(node.attributes)
    for key in ("axis", "a", "b"):
        if key in found:
            axes = tuple(a - n for a in axes_of(found[key], n))
            found[key] = axes[0] if isinstance(found[key], int) else axes
    return found


def _permuted(node: Tensor, lead: tuple[int, ...]) -> dict[str, Any]:
    k = len(lead)
    return {"axes": (*range(k), *(k + a for a in node.attributes["axes"]))}


def _shaped(node: Tensor, lead: tuple[int, ...]) -> dict[str, Any]:
    return {"shape": (*lead, *node.shape)}


def _indexed(node: Tensor, lead: tuple[int, ...]) -> dict[str, Any]:
    index = node.attributes["index"]
    index = index if isinstance(index, tuple) else (index,)
    found = {"index": (*(slice(None),) * len(lead), *index)}
    return found | _shaped(node, lead) if node.op == "scatter" else found


def _lettered(node: Tensor, lead: tuple[int, ...]) -> dict[str, Any]:
    before, after = node.attributes["subscripts"].split("->")
    groups = ",".join(f"...{group}" for group in before.split(","))
    return {"subscripts": f"{groups}->...{after}"}


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
sigmoid  = register("sigmoid",  _sigmoid,     (lambda g, y, x: g * y * (1 - y),),
    c="sigmoid_({0})", js="sigmoid({0})", doc="σ(x) = 1 / (1 + e^-x), between 0 and 1.")
softplus = register("softplus", _softplus,    (lambda g, y, x: g * sigmoid(x),),
    c="softplus_({0})", js="softplus({0})", doc="log(1 + e^x), without overflow.")
erf      = register("erf",      _erf,
    (lambda g, y, x: g * exp(-x * x) * _TWO_OVER_ROOT_PI,),
    c="ERF({0})", js="erf({0})", sympy="erf", doc="2/√π ∫₀ˣ e^(-t²) dt, the error function.")
relu     = register("relu",     _relu,        (lambda g, y, x: g * greater(x, 0.0),),
    distance=np.abs, c="{0} <= 0 ? 0 : {0}", js="({0} <= 0 ? 0 : {0})",
    doc="x where x > 0, else 0.")
abs      = register("abs",      _abs,
    (lambda g, y, x: where(greater_equal(x, 0.0), g, -g),),
    distance=np.abs, c="{0} < 0 ? -{0} : {0}", js="Math.abs({0})", doc="|x|.")
floor    = register("floor",    lambda x: np.floor(np.real(x)), (None,),
    distance=lambda x: np.abs(x - np.round(x)), c="FLOOR({0})", js="Math.floor({0})",
    sympy="floor", doc="The largest whole number that is not larger than x; no gradient.")
sign     = register("sign",     lambda x: np.sign(np.real(x)), (None,),
    distance=np.abs, c="{0} != {0} ? {0} : ({0} > 0) - ({0} < 0)", js="Math.sign({0})",
    sympy="sign",
    doc="1 where x > 0, -1 where x < 0, else 0; no gradient.")

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
maximum  = register("maximum",  _maximum,     (lambda g, y, a, b: g * greater_equal(a, b),
                                               lambda g, y, a, b: g * greater(b, a)),
    distance=_gap, c="{0} >= {1} || {0} != {0} ? {0} : {1}", js="Math.max({0}, {1})",
    doc="The larger of a and b, entry by entry; a where they are equal.")
minimum  = register("minimum",  _minimum,     (lambda g, y, a, b: g * less_equal(a, b),
                                               lambda g, y, a, b: g * less(b, a)),
    distance=_gap, c="{0} <= {1} || {0} != {0} ? {0} : {1}", js="Math.min({0}, {1})",
    doc="The smaller of a and b, entry by entry; a where they are equal.")
where: Function = register("where",    np.where,     (None, lambda g, y, c, a, b: where(c, g, 0.0),
                                                     lambda g, y, c, a, b: where(c, 0.0, g)),
    c="{0} != 0 ? {1} : {2}", js="({0} ? {1} : {2})",
    doc="a where the condition holds, else b. A gradient flows to the chosen one alone, but one\n"
        "    that is infinite there still makes nan: choose safe operands before the function.")
greater: Function = register("greater",       lambda a, b: np.real(a) >  np.real(b), (None, None),
    distance=_gap, c="{0} > {1}",  js="Number({0} > {1})",  infix=("{} > {}", 0, (SUM, SUM)),
    doc="Whether a > b.")
greater_equal: Function = register("greater_equal",
    lambda a, b: np.real(a) >= np.real(b), (None, None), distance=_gap,
    c="{0} >= {1}", js="Number({0} >= {1})", infix=("{} >= {}", 0, (SUM, SUM)),
    doc="Whether a >= b.")
equal         = register("equal",         lambda a, b: np.real(a) == np.real(b), (None, None),
    c="{0} == {1}", js="Number({0} === {1})", infix=("{} == {}", 0, (SUM, SUM)),
    doc="Whether a = b.")
not_equal     = register("not_equal",     lambda a, b: np.real(a) != np.real(b), (None, None),
    c="{0} != {1}", js="Number({0} !== {1})", infix=("{} != {}", 0, (SUM, SUM)),
    doc="Whether a ≠ b.")
register("clip",     _clip,        (lambda g, y, x, low, high: g * inside(x, low, high),),
         "structural", distance=_edge_gap, batch=lambda node, lead: dict(node.attributes),
         examples=((((2, 3),), {"low": -1.0, "high": 0.5}),
                   (((4,),), {"low": None, "high": 1.0})))

register("matmul",   np.matmul,    (lambda g, y, A, B: matmul(g, swapaxes(B, -1, -2)),
                                    lambda g, y, A, B: matmul(swapaxes(A, -1, -2), g)),
         "(m,k),(k,n)->(m,n)", infix=("{} · {}", PRODUCT, (ATOM, ATOM)))
matvec: Function = register("matvec", _matvec, (lambda g, y, W, x: outer_sum(g, x, W),
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
         "structural", batch=_lettered, examples=(
    (((2, 3), (3,)), {"subscripts": "ij,j->i"}), (((2,), (3,)), {"subscripts": "i,j->ji"}),
    (((2, 3, 2), (2, 3)), {"subscripts": "kij,ki->kj"})))

reduced: Examples = (
    (((2, 3),), {"axis": None, "keepdims": False}), (((2, 3),), {"axis": 0, "keepdims": False}),
    (((2, 3, 2),), {"axis": -1, "keepdims": True}), (((3,),), {"axis": None, "keepdims": True}),
    (((2, 3, 2),), {"axis": (0, 2), "keepdims": False}))
reduction = functools.partial(register, signature="reduction", batch=_axes, examples=reduced)
reduction("sum",       np.sum,     (lambda g, y, x, axis, keepdims:
                                    broadcast_to(along(g, x, axis, keepdims), x.shape),))
reduction("mean",      np.mean,    (lambda g, y, x, axis, keepdims:
                                    broadcast_to(along(g, x, axis, keepdims), x.shape)
                                    / count(x, axis),))
reduction("max",       _max,       (lambda g, y, x, axis, keepdims:
                                    along(g, x, axis, keepdims) * top(x, y, axis, keepdims),),
          distance=_rank_gap)
reduction("prod",      np.prod,    (lambda g, y, x, axis, keepdims:
                                    along(g, x, axis, keepdims) * others(x, axis),))
reduction("logsumexp", _logsumexp, (lambda g, y, x, axis, keepdims:
                                    along(g, x, axis, keepdims)
                                    * exp(x - along(y, x, axis, keepdims)),))

lines: Examples = ((((3,),), {"axis": -1}), (((2, 3),), {"axis": 0}), (((2, 3, 2),), {"axis": 1}))
line = functools.partial(register, signature="along", batch=_axes, examples=lines)
line("softmax",     _softmax,  (lambda g, y, x, axis: y * (g - sum(g * y, axis, True)),))
line("log_softmax", lambda x, axis: x - _logsumexp(x, axis, True),
                               (lambda g, y, x, axis: g - exp(y) * sum(g, axis, True),))
line("cumsum",      np.cumsum, (lambda g, y, x, axis: flip(cumsum(flip(g, axis), axis), axis),))

structure = functools.partial(register, signature="structural")
structure("concat",    lambda *parts, axis: np.concatenate(parts, axis=axis), part, batch=_axes,
          examples=((((2,), (3,), (1,)), {"axis": -1}), (((2, 3), (1, 3)), {"axis": 0})))
structure("stack",     lambda *parts, axis: np.stack(parts, axis=axis), layer, batch=_axes,
          examples=((((3,), (3,)), {"axis": 0}), (((2, 3), (2, 3), (2, 3)), {"axis": 1})))
structure("reshape",   np.reshape,  (lambda g, y, x, shape: reshape(g, x.shape),), batch=_shaped,
          examples=((((2, 3),), {"shape": (6,)}), (((4,),), {"shape": (2, -1)})))
structure("transpose", np.transpose, (lambda g, y, x, axes:
                                      transpose(g, tuple(int(k) for k in np.argsort(axes))),),
          batch=_permuted,
          examples=((((2, 3),), {"axes": (1, 0)}), (((2, 3, 4),), {"axes": (2, 0, 1)})))
structure("swapaxes",  lambda x, a, b: np.swapaxes(x, a, b),
                                    (lambda g, y, x, a, b: swapaxes(g, a, b),), batch=_axes,
          examples=((((2, 3),), {"a": 0, "b": 1}), (((2, 3, 4),), {"a": -1, "b": 0})))
structure("broadcast_to", np.broadcast_to, (lambda g, y, x, shape: g,), batch=_shaped,
          examples=((((3,),), {"shape": (2, 3)}), (((2, 1),), {"shape": (2, 4)})))
full = slice(None)
structure("getitem",   lambda x, index: x[index],
                                    (lambda g, y, x, index: scatter(g, index, x.shape),),
          batch=_indexed, examples=(
    (((4,),), {"index": (slice(1, 3),)}), (((3, 2),), {"index": (np.array([0, 2, 0]), full)}),
    (((3, 4),), {"index": (full, 1)}), (((4,),), {"index": (slice(None, None, -1),)})))
structure("scatter",   _scatter,    (lambda g, y, x, index, shape:
                                     apply("getitem", g, index=index),), batch=_indexed, examples=(
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
            return evaluate(
                gradient, of, {**dict(zip(names, inputs, strict=True)), "seed.y": g}
            )

        share.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(n, inspect.Parameter.POSITIONAL_ONLY) for n in ("g", "y", *names)]
        )
        return share

    def value(*inputs: Any) -> Any:
        return _in_kind(function(*inputs), inputs)

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
    return register(
        name, value, tuple(map(rule, names)), distance=distance if inner else None,
        definition=program, doc=function.__doc__ or "", **faces,
    )  # fmt: skip


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
    known = 1
    while (f"{own}_{known}" if known > 1 else own) in TABLE:
        known += 1
    own = f"{own}_{known}" if known > 1 else own
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
        return lambda g, y, *inputs: shares(g, y, *inputs)[k]

    traced = {n: () for n in ("g", "y", *names)}
    slopes = Program.trace(
        lambda **v: dict(zip(names, shares(v["g"], v["y"], *(v[n] for n in names)), strict=True)),
        **traced,
    )
    DEFINITIONS[own] = definition
    doc = f"{inspect.getdoc(forward) or own}: with a derivative of its author's own."
    return register(
        own, value, tuple(map(adjoint, range(len(names)))), definition=definition, slopes=slopes,
        doc=doc,
    )  # fmt: skip


# Public is every operation but the adjoint of another, and how to make more. A type checker, which
# would take a computed __all__ for an empty one, is shown none.
globals()["__all__"] = sorted(
    {name for name in TABLE if name in globals() and name not in ("scatter", "stack", "identity")}
    | {"composite", "einsum", "less", "less_equal", "min", "split", "var", "with_gradient"}
)

# --- NumPy's names --------------------------------------------------------------------------------
UFUNCS.update(
    {f.__name__: f for f in (
        add, subtract, multiply, divide, power, negative, exp, log, sqrt, sin, cos, tanh, maximum,
        minimum, matmul, matvec, vecdot, greater, greater_equal, less, less_equal, equal, not_equal,
        floor, sign, expm1, log1p,
    )}
)  # fmt: skip
UFUNCS.update(absolute=abs, square=lambda x: x * x, remainder=mod)


def _as_numpy(reduce: Function, *ignored: str) -> Function:
    """A reduction with the arguments in NumPy's order, of which some have no meaning here."""

    def function(a: Any, axis: Any = None, *rest: Any, **options: Any) -> Any:
        given = {**dict(zip((*ignored, "keepdims"), rest, strict=False)), **options}
        keepdims = given.pop("keepdims", False)
        named = [name for name, value in given.items() if value is not None]
        if named:
            raise TypeError(
                f"np.{reduce.__name__} with {', '.join(named)} does not work on Tensors: "
                f"leave it out."
            )
        return reduce(a, axis, bool(keepdims))

    return function


FUNCTIONS.update(
    {name: _as_numpy(f, *ignored) for name, f, *ignored in (
        ("sum", sum, "dtype", "out"), ("mean", mean, "dtype", "out"),
        ("prod", prod, "dtype", "out"),
        ("var", var, "dtype", "out", "ddof"), ("max", max, "out"), ("min", min, "out"),
        ("amax", max, "out"), ("amin", min, "out"),
    )}
)  # fmt: skip
FUNCTIONS.update(
    cumsum=lambda a, axis=None: cumsum(reshape(a, -1) if axis is None else a, axis or 0),
    concatenate=lambda arrays, axis=0: (
        concat(*(reshape(a, -1) for a in arrays), axis=0) if axis is None
        else concat(*arrays, axis=axis)
    ),
    stack=lambda arrays, axis=0: stack(arrays, axis),
    split=lambda ary, indices_or_sections, axis=0: split(ary, indices_or_sections, axis),
    clip=lambda a, a_min=None, a_max=None, *, min=None, max=None: clip(
        a, min if a_min is None else a_min, max if a_max is None else a_max
    ),
    outer=lambda a, b: outer(reshape(a, -1), reshape(b, -1)),  # which is what NumPy's does
    dot=lambda a, b: matmul(a, b) if np.ndim(a) and np.ndim(b) else multiply(a, b),
    einsum=einsum, std=lambda a, axis=None, keepdims=False: sqrt(var(a, axis, keepdims)),
    hstack=lambda tup: concat(*tup, axis=0 if np.ndim(tup[0]) < 2 else 1),
    vstack=lambda tup: concat(*(reshape(a, (1, -1)) if np.ndim(a) < 2 else a for a in tup), axis=0),
    append=lambda arr, values, axis=None: (
        concat(reshape(arr, -1), reshape(values, -1)) if axis is None
        else concat(arr, values, axis=axis)
    ),
    norm=lambda x, ord=None, axis=None, keepdims=False: sqrt(sum(x * x, axis, keepdims)),
    where=where, reshape=lambda a, shape: reshape(a, shape),
    transpose=lambda a, axes=None: transpose(a, axes),
    swapaxes=lambda a, axis1, axis2: swapaxes(a, axis1, axis2),
    broadcast_to=lambda array, shape: broadcast_to(array, shape), matmul=matmul, getitem=getitem,
    ndim=lambda a: a.ndim, shape=lambda a: a.shape,
    size=lambda a, axis=None: a.size if axis is None else a.shape[axis],
)  # fmt: skip
