"""NumPy's own functions on Tensors: np.tanh(t), np.concatenate([a, b]), and so on, by name."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_lstm.ops import (
    Function,
    abs,
    add,
    broadcast_to,
    clip,
    concat,
    cos,
    cumsum,
    divide,
    einsum,
    equal,
    exp,
    expm1,
    floor,
    getitem,
    greater,
    greater_equal,
    less,
    less_equal,
    log,
    log1p,
    matmul,
    matvec,
    max,
    maximum,
    mean,
    min,
    minimum,
    mod,
    multiply,
    negative,
    not_equal,
    outer,
    power,
    prod,
    reshape,
    sign,
    sin,
    split,
    sqrt,
    stack,
    subtract,
    sum,
    swapaxes,
    tanh,
    transpose,
    var,
    vecdot,
    where,
)
from tinygrad_lstm.tensor import FUNCTIONS, UFUNCS

UFUNCS.update(
    {
        f.__name__: f
        for f in (
            add,
            subtract,
            multiply,
            divide,
            power,
            negative,
            exp,
            log,
            sqrt,
            sin,
            cos,
            tanh,
            maximum,
            minimum,
            matmul,
            matvec,
            vecdot,
            greater,
            greater_equal,
            less,
            less_equal,
            equal,
            not_equal,
            floor,
            sign,
            expm1,
            log1p,
        )
    }
)
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
    {
        name: _as_numpy(f, *ignored)
        for name, f, *ignored in (
            ("sum", sum, "dtype", "out"),
            ("mean", mean, "dtype", "out"),
            ("prod", prod, "dtype", "out"),
            ("var", var, "dtype", "out", "ddof"),
            ("max", max, "out"),
            ("min", min, "out"),
            ("amax", max, "out"),
            ("amin", min, "out"),
        )
    }
)
FUNCTIONS.update(
    cumsum=lambda a, axis=None: cumsum(reshape(a, -1) if axis is None else a, axis or 0),
    concatenate=lambda arrays, axis=0: (
        concat(*(reshape(a, -1) for a in arrays), axis=0)
        if axis is None
        else concat(*arrays, axis=axis)
    ),
    stack=lambda arrays, axis=0: stack(arrays, axis),
    split=lambda ary, indices_or_sections, axis=0: split(ary, indices_or_sections, axis),
    clip=lambda a, a_min=None, a_max=None, *, min=None, max=None: clip(
        a, min if a_min is None else a_min, max if a_max is None else a_max
    ),
    outer=lambda a, b: outer(reshape(a, -1), reshape(b, -1)),  # which is what NumPy's does
    dot=lambda a, b: matmul(a, b) if np.ndim(a) and np.ndim(b) else multiply(a, b),
    einsum=einsum,
    std=lambda a, axis=None, keepdims=False: sqrt(var(a, axis, keepdims)),
    hstack=lambda tup: concat(*tup, axis=0 if np.ndim(tup[0]) < 2 else 1),
    vstack=lambda tup: concat(*(reshape(a, (1, -1)) if np.ndim(a) < 2 else a for a in tup), axis=0),
    append=lambda arr, values, axis=None: (
        concat(reshape(arr, -1), reshape(values, -1))
        if axis is None
        else concat(arr, values, axis=axis)
    ),
    norm=lambda x, ord=None, axis=None, keepdims=False: sqrt(sum(x * x, axis, keepdims)),
    where=where,
    reshape=lambda a, shape: reshape(a, shape),
    transpose=lambda a, axes=None: transpose(a, axes),
    swapaxes=lambda a, axis1, axis2: swapaxes(a, axis1, axis2),
    broadcast_to=lambda array, shape: broadcast_to(array, shape),
    matmul=matmul,
    getitem=getitem,
    ndim=lambda a: a.ndim,
    shape=lambda a: a.shape,
    size=lambda a, axis=None: a.size if axis is None else a.shape[axis],
)
