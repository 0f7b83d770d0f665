"""Operations on axes as functions: they put what they are given into the form of the table's.

Each takes Tensors, arrays or numbers, and works for one sample; a batch is lifted (`batching.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_lstm.errors import ShapeError
from tinygrad_lstm.sizes import Size
from tinygrad_lstm.tensor import Tensor, TensorLike, apply, stacked

__all__ = ["broadcast_to", "clip", "concat", "einsum", "getitem", "less", "less_equal", "matmul"]
__all__ += ["reshape", "split", "swapaxes", "transpose"]  # stack: of networks, too

Parts = TensorLike | Sequence[TensorLike]


def less(a: TensorLike, b: TensorLike) -> Tensor:
    """Whether a < b."""
    return apply("greater", b, a)


def less_equal(a: TensorLike, b: TensorLike) -> Tensor:
    """Whether a <= b."""
    return apply("greater_equal", b, a)


def clip(x: TensorLike, low: float | None = None, high: float | None = None) -> Tensor:
    """x limited to [low, high]; its derivative is 1 inside and on the limits."""
    edges = {"low": low, "high": high}
    return apply("clip", x, **{k: None if v is None else float(v) for k, v in edges.items()})


def swapaxes(x: TensorLike, a: int, b: int) -> Tensor:
    """x with the axes a and b exchanged."""
    return apply("swapaxes", x, a=a, b=b)


def broadcast_to(x: TensorLike, shape: tuple[int, ...]) -> Tensor:
    """x repeated along new or one-long axes."""
    return apply("broadcast_to", x, shape=tuple(shape))


def reshape(x: TensorLike, shape: int | Sequence[int]) -> Tensor:
    """x with its entries in another shape; one length may be -1."""
    lengths = (shape,) if isinstance(shape, int) else tuple(shape)
    own = np.shape(x)
    if lengths == (-1,) and any(isinstance(n, Size) for n in own):
        lengths = (math.prod(own),)  # a length that knows what sizes it is made of
    return apply("reshape", x, shape=lengths)


def transpose(x: TensorLike, axes: Sequence[int] | None = None) -> Tensor:
    """x with its axes permuted, reversed unless told."""
    n = np.ndim(x)
    return apply("transpose", x, axes=tuple(a % n for a in axes or reversed(range(n))))


def concat(*parts: Parts, axis: int = -1) -> Tensor:
    """The parts one after another along an axis, the last unless told: [a, b]."""
    several: Any = parts
    if len(parts) == 1 and isinstance(parts[0], list | tuple):
        several = parts[0]
    joined = [stacked(part) for part in several]
    return apply("concat", *joined, axis=axis - np.ndim(joined[0]) if axis >= 0 else axis)


def stack(parts: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """The parts side by side along a new axis, the first unless told."""
    return apply("stack", *map(stacked, parts), axis=axis)


def split(x: TensorLike, parts: int | Sequence[int], axis: int = -1) -> list[Tensor]:
    """x cut along an axis: into so many equal parts, or before each of the places in a list."""
    shape = np.shape(x)
    n = shape[axis]
    if isinstance(parts, int):
        if n % parts:
            raise ShapeError(f"split: {n} entries do not make {parts} equal parts.")
        parts = [k * (n // parts) for k in range(1, parts)]
    edges = [None, *parts, None]
    return [
        getitem(x, at(axis, len(shape), slice(start, stop)))
        for start, stop in zip(edges, edges[1:], strict=False)
    ]


def matmul(a: TensorLike, b: TensorLike) -> Tensor:
    """The matrix product (…,m,k),(…,k,n)->(…,m,n), with NumPy's meaning of vectors."""
    a, b = stacked(a), stacked(b)
    vectors = np.ndim(a) < 2, np.ndim(b) < 2
    if vectors == (True, False):
        a, b = swapaxes(b, -1, -2), a
    return apply("vecdot" if all(vectors) else "matvec" if any(vectors) else "matmul", a, b)


def einsum(subscripts: str, *operands: TensorLike) -> Tensor:
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
    summed = list(operands)
    for k, group in enumerate(groups):  # an index of one operand alone is summed at once
        elsewhere = {*after, *"".join(groups[:k] + groups[k + 1 :])}
        alone = tuple(m for m, c in enumerate(group) if c not in elsewhere)
        if alone:
            summed[k] = apply("sum", operands[k], axis=alone, keepdims=False)
            groups[k] = "".join(c for c in group if c in elsewhere)
    if len(groups) == 1:
        order = tuple(groups[0].index(c) for c in after)
        return summed[0] if groups[0] == after else transpose(summed[0], order)  # type: ignore[return-value]
    if "" in groups:
        number, other = summed if not groups[0] else summed[::-1]
        return apply("multiply", number, einsum(f"{''.join(groups)}->{after}", other))
    return apply("einsum", *summed, subscripts=f"{','.join(groups)}->{after}")


def getitem(x: TensorLike, index: Any) -> Tensor:
    """x[index], for slices, numbers, None, and lists or arrays of integers or booleans."""
    parts, axes = normal_index(index, np.shape(x))
    return apply("getitem", x if axes is None else transpose(x, axes), index=parts)


def normal_index(
    index: Any, shape: tuple[int, ...]
) -> tuple[tuple[Any, ...], tuple[int, ...] | None]:
    """An index with a part for every axis: slices, None, numbers, or arrays of integers.

    Arrays that stand apart select axes that NumPy puts first; the second result is the order of
    axes in which they stand together, or None where they do.
    """
    parts: list[Any] = []
    for part in index if isinstance(index, tuple) else (index,):
        part = part.numpy() if isinstance(part, Tensor) else part
        if isinstance(part, list | tuple | range | np.ndarray):
            part = np.array(part, dtype=None if np.size(part) else int)
            parts += map(np.asarray, np.nonzero(part)) if part.dtype == bool else [part]
        else:
            parts.append(part)
    wide = [k for k, part in enumerate(parts) if part is Ellipsis]
    n = len(shape) - len([part for part in parts if part is not None and part is not Ellipsis])
    if n < 0 or len(wide) > 1:
        raise IndexError(f"too many indices for an array of shape {shape}")
    place = wide[0] if wide else len(parts)
    parts[place : place + len(wide)] = [slice(None)] * n
    if not any(isinstance(part, np.ndarray) for part in parts):
        return tuple(parts), None
    chosen = [k for k, p in enumerate(parts) if isinstance(p, int | np.integer | np.ndarray)]
    for k in chosen:
        parts[k] = np.array(parts[k])
        parts[k].flags.writeable = False
    if chosen == list(range(chosen[0], chosen[-1] + 1)):
        return tuple(parts), None
    order = [*chosen, *(k for k in range(len(parts)) if k not in chosen)]
    axis_of = {k: axis for axis, k in enumerate(k for k, p in enumerate(parts) if p is not None)}
    return tuple(parts[k] for k in order), tuple(axis_of[k] for k in order if k in axis_of)


def at(axis: int, n: int, index: Any) -> tuple[Any, ...]:
    """The index that takes `index` along one of n axes and everything along the others."""
    axis %= n
    return (*(slice(None),) * axis, index, *(slice(None),) * (n - axis - 1))
