# ruff: noqa: D103 - the table says what each one is
"""What operations compute on arrays where NumPy has no function of that name, or not for complex
numbers; how far operands are from a kink; and attributes on a batch. The table is in `ops.py`."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from tinygrad_lstm.tensor import Tensor

TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)


def axes_of(axis: Any, n: int) -> tuple[int, ...]:
    """The axes that a reduction of n axes goes over, counted from the front."""
    return tuple(range(n)) if axis is None else tuple(int(a) % n for a in np.atleast_1d(axis))


# --- forwards that NumPy does not have, or not for complex numbers --------------------------------
def relu(x: Any) -> Any:
    x = np.asarray(x)
    return np.where(np.real(x) <= 0, np.zeros((), x.dtype), x)  # nan stays nan


def abs(x: Any) -> Any:
    return np.where(np.real(x) < 0, -x, x) if np.iscomplexobj(x) else np.abs(x)


def sigmoid(x: Any) -> Any:
    x = np.asarray(x)
    if x.dtype.kind != "c":  # exact to the last digits for small values too; without overflow
        return 1 / (1 + np.exp(np.minimum(-x, _largest_exponent(x.dtype))))
    small = np.exp(-abs(x))
    return np.where(np.real(x) < 0, small, 1.0) / (1 + small)


@functools.cache
def _largest_exponent(dtype: Any) -> float:
    kind = dtype if dtype.kind == "f" else np.dtype(float)
    return float(np.floor(np.log(np.finfo(kind).max)))


def softplus(x: Any) -> Any:
    part = np.where(np.real(x) < 0, np.zeros((), x.dtype), x)  # splits where abs does, at 0 too
    return part + np.log1p(np.exp(-abs(x)))


def broadcast_to(x: Any, shape: tuple[int, ...]) -> Any:
    if type(x) is not np.ndarray or x.ndim:
        return np.broadcast_to(x, shape)
    whole: Any = np.ndarray(shape, x.dtype, x, 0, (0,) * len(shape))  # the same, much sooner
    whole.flags.writeable = False
    return whole


def maximum(a: Any, b: Any) -> Any:
    return _chosen(np.maximum, np.greater_equal, a, b)


def minimum(a: Any, b: Any) -> Any:
    return _chosen(np.minimum, np.less_equal, a, b)


def _chosen(real: Any, first: Any, a: Any, b: Any) -> Any:
    if not (np.iscomplexobj(a) or np.iscomplexobj(b)):
        return real(a, b)
    return np.where(first(np.real(a), np.real(b)) | np.isnan(a), a, b)


def erf(x: Any) -> Any:
    x = np.asarray(x)
    if not np.iscomplexobj(x):
        return np.vectorize(math.erf, otypes=[x.dtype])(x)
    # Abramowitz and Stegun 7.1.6 near 0, 7.1.14 farther out, both analytic
    term = series = TWO_OVER_ROOT_PI * x * np.exp(-x * x)
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


def clip(x: Any, low: float | None, high: float | None) -> Any:
    below = False if low is None else np.real(x) < low
    above = False if high is None else np.real(x) > high
    edge = np.where(below, low or 0.0, high or 0.0).astype(np.asarray(x).dtype)
    return np.where(np.logical_or(below, above), edge, x)


def mean(x: Any, axis: Any, keepdims: bool) -> Any:
    n = math.prod(np.shape(x)[a] for a in axes_of(axis, np.ndim(x)))
    if not n:
        raise ValueError("there is nothing to take the mean of")
    return np.mean(x, axis=axis, keepdims=keepdims)


def max(x: Any, axis: Any, keepdims: bool) -> Any:
    if not np.iscomplexobj(x):
        return np.max(x, axis=axis, keepdims=keepdims)
    largest = x.real == np.max(x.real, axis=axis, keepdims=True)
    return np.mean(x, axis=axis, keepdims=keepdims, where=largest)


def logsumexp(x: Any, axis: Any, keepdims: bool) -> Any:
    most = np.max(np.real(x), axis=axis, keepdims=True)
    most = np.where(np.isinf(most), np.zeros((), most.dtype), most)
    with np.errstate(divide="ignore"):  # the logarithm of nothing at all is -inf
        y = most + np.log(np.sum(np.exp(x - most), axis=axis, keepdims=True))
    return y if keepdims else np.squeeze(y, axis=axis)


def softmax(x: Any, axis: int) -> Any:
    e = np.exp(x - np.max(np.real(x), axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


def matvec(W: Any, x: Any) -> Any:
    # one matrix product for a whole batch
    return np.matmul(x, np.transpose(W)) if np.ndim(W) == 2 else np.matvec(W, x)


def scatter(g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape, g.dtype)
    if any(isinstance(i, np.ndarray) for i in (index if isinstance(index, tuple) else (index,))):
        np.add.at(out, index, g)  # an entry may be read more than once
    else:
        out[index] = g
    return out


# --- how far operands are from a kink -------------------------------------------------------------
def gap(a: Any, b: Any) -> Any:
    return np.abs(a - b)


def edge_gap(x: Any, low: float | None, high: float | None) -> Any:
    gaps = [np.abs(x - edge) for edge in (low, high) if edge is not None]
    return np.min(gaps, axis=0) if gaps else np.full(np.shape(x), np.inf)


def rank_gap(x: Any, axis: Any, keepdims: bool) -> Any:
    largest = x == np.max(x, axis=axis, keepdims=True)
    gap = np.max(x, axis=axis) - np.max(np.where(largest, -np.inf, x), axis=axis)
    return np.where(np.sum(largest, axis=axis) > 1, 0.0, gap)


# --- on a batch: the attributes that do to each sample what they do to one ------------------------
def negative_axes(node: Tensor, batch_shape: tuple[int, ...]) -> dict[str, Any]:
    """Axes counted from the end, which further ones in front do not move."""
    n = node.inputs[0].ndim + (node.op == "stack")
    found = dict(node.attributes)
    for key in ("axis", "a", "b"):
        if key in found:
            axes = tuple(a - n for a in axes_of(found[key], n))
            found[key] = axes[0] if isinstance(found[key], int) else axes
    return found


def permuted(node: Tensor, batch_shape: tuple[int, ...]) -> dict[str, Any]:
    k = len(batch_shape)
    return {"axes": (*range(k), *(k + a for a in node.attributes["axes"]))}


def shaped(node: Tensor, batch_shape: tuple[int, ...]) -> dict[str, Any]:
    return {"shape": (*batch_shape, *node.shape)}


def indexed(node: Tensor, batch_shape: tuple[int, ...]) -> dict[str, Any]:
    index = node.attributes["index"]
    index = index if isinstance(index, tuple) else (index,)
    found = {"index": (*(slice(None),) * len(batch_shape), *index)}
    return found | shaped(node, batch_shape) if node.op == "scatter" else found


def lettered(node: Tensor, batch_shape: tuple[int, ...]) -> dict[str, Any]:
    before, after = node.attributes["subscripts"].split("->")
    groups = ",".join(f"...{group}" for group in before.split(","))
    return {"subscripts": f"{groups}->...{after}"}


def vecdot(a: Any, b: Any) -> Any:
    """Σ a ⊙ b over the last axis; an axis of length one is no vector of another length."""
    if a.shape[-1:] != b.shape[-1:]:
        raise ValueError(
            f"vectors of {a.shape[-1:]} and {b.shape[-1:]} entries have no dot product"
        )
    return np.sum(a * b, axis=-1)
