"""The operations as functions.

Each takes Tensors, arrays or numbers. The result is a Tensor if an operand is one, and an array
otherwise. Shapes broadcast as in NumPy; derivatives are in the table, `ops.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_lstm.tensor import Tensor, apply


def add(a: Any, b: Any) -> Any:
    """a + b."""
    return apply("add", a, b)


def subtract(a: Any, b: Any) -> Any:
    """a - b."""
    return apply("subtract", a, b)


def multiply(a: Any, b: Any) -> Any:
    """a ⊙ b, entry by entry."""
    return apply("multiply", a, b)


def divide(a: Any, b: Any) -> Any:
    """a / b, entry by entry."""
    return apply("divide", a, b)


def power(a: Any, b: Any) -> Any:
    """a to the b, entry by entry; a > 0 where a gradient in b is wanted."""
    return apply("power", a, b)


def maximum(a: Any, b: Any) -> Any:
    """The larger of a and b, entry by entry; a where they are equal."""
    return apply("maximum", a, b)


def minimum(a: Any, b: Any) -> Any:
    """The smaller of a and b, entry by entry; a where they are equal."""
    return apply("minimum", a, b)


def negative(x: Any) -> Any:
    """-x."""
    return apply("negative", x)


def exp(x: Any) -> Any:
    """E to the x."""
    return apply("exp", x)


def log(x: Any) -> Any:
    """Natural logarithm of x > 0."""
    return apply("log", x)


def sqrt(x: Any) -> Any:
    """Square root of x > 0."""
    return apply("sqrt", x)


def sin(x: Any) -> Any:
    """Sine of x in radians."""
    return apply("sin", x)


def cos(x: Any) -> Any:
    """Cosine of x in radians."""
    return apply("cos", x)


def tanh(x: Any) -> Any:
    """(e^x - e^-x) / (e^x + e^-x), between -1 and 1."""
    return apply("tanh", x)


def sigmoid(x: Any) -> Any:
    """σ(x) = 1 / (1 + e^-x), between 0 and 1."""
    return apply("sigmoid", x)


def relu(x: Any) -> Any:
    """x where x > 0, else 0."""
    return apply("relu", x)


def softplus(x: Any) -> Any:
    """log(1 + e^x), without overflow."""
    return apply("softplus", x)


def abs(x: Any) -> Any:
    """|x|."""
    return apply("abs", x)


def clip(x: Any, low: float | None = None, high: float | None = None) -> Any:
    """x limited to [low, high]; its derivative is 1 inside and on the limits."""
    return apply("clip", x, low=low, high=high)


def where(condition: Any, a: Any, b: Any) -> Any:
    """a where the condition holds, else b."""
    return apply("where", condition, a, b)


def greater(a: Any, b: Any) -> Any:
    """Whether a > b."""
    return apply("greater", a, b)


def greater_equal(a: Any, b: Any) -> Any:
    """Whether a >= b."""
    return apply("greater_equal", a, b)


def less(a: Any, b: Any) -> Any:
    """Whether a < b."""
    return apply("greater", b, a)


def less_equal(a: Any, b: Any) -> Any:
    """Whether a <= b."""
    return apply("greater_equal", b, a)


def equal(a: Any, b: Any) -> Any:
    """Whether a = b."""
    return apply("equal", a, b)


def not_equal(a: Any, b: Any) -> Any:
    """Whether a ≠ b."""
    return apply("not_equal", a, b)


def matvec(W: Any, x: Any) -> Any:
    """W · x over the last axis: (m,n),(n)->(m); leading axes broadcast."""
    return apply("matvec", W, x)


def vecdot(a: Any, b: Any) -> Any:
    """The sum of a ⊙ b over the last axis: (n),(n)->()."""
    return apply("vecdot", a, b)


def outer(a: Any, b: Any) -> Any:
    """a_i b_j over the last axes: (m),(n)->(m,n); leading axes broadcast."""
    return apply("outer", a, b)


def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The sum over an axis, several, or all."""
    return apply("sum", x, axis=axis, keepdims=keepdims)


def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The mean over an axis, several, or all."""
    return apply("mean", x, axis=axis, keepdims=keepdims)


def max(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The largest entry over an axis, several, or all; equal ones share the derivative."""
    return apply("max", x, axis=axis, keepdims=keepdims)


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
    return apply("concat", *parts, axis=axis)


def stack(parts: Any, axis: int = 0) -> Any:
    """The parts side by side along a new axis, the first unless told."""
    return apply("stack", *parts, axis=axis)


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
