"""NumPy's own functions on Tensors: np.tanh(t), np.concatenate([a, b]), and so on, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lstm import composites, functions, ops
from tinygrad_lstm.functions import broadcast_to, concat, matmul, reshape, stack, swapaxes
from tinygrad_lstm.numpy_protocol import FUNCTIONS, UFUNCS

_SAME = (
    "add subtract multiply divide power negative exp log sqrt sin cos tanh maximum minimum matmul "
    "matvec vecdot greater greater_equal less less_equal equal not_equal floor sign expm1 log1p"
)
UFUNCS.update({name: getattr(ops, name) for name in _SAME.split()})
UFUNCS.update(absolute=ops.abs, square=lambda x: x * x, remainder=composites.mod)


def _as_numpy(reduce: Any, *ignored: str) -> Callable[..., Any]:
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


_REDUCTIONS = "sum dtype out, mean dtype out, prod dtype out, var dtype out ddof, max out, min out"
for _name, *_ignored in map(str.split, _REDUCTIONS.split(",")):
    FUNCTIONS[_name] = _as_numpy(getattr(ops, _name), *_ignored)
FUNCTIONS.update(
    amax=FUNCTIONS["max"],
    amin=FUNCTIONS["min"],
    std=lambda a, axis=None, keepdims=False: ops.sqrt(ops.var(a, axis, keepdims)),
    norm=lambda x, ord=None, axis=None, keepdims=False: ops.sqrt(ops.sum(x * x, axis, keepdims)),
    cumsum=lambda a, axis=None: ops.cumsum(reshape(a, -1) if axis is None else a, axis or 0),
    concatenate=lambda arrays, axis=0: (
        concat(*(reshape(a, -1) for a in arrays), axis=0)
        if axis is None
        else concat(*arrays, axis=axis)
    ),
    hstack=lambda tup: concat(*tup, axis=0 if np.ndim(tup[0]) < 2 else 1),
    vstack=lambda tup: concat(*(reshape(a, (1, -1)) if np.ndim(a) < 2 else a for a in tup), axis=0),
    append=lambda arr, values, axis=None: (
        concat(reshape(arr, -1), reshape(values, -1))
        if axis is None
        else concat(arr, values, axis=axis)
    ),
    stack=lambda arrays, axis=0: stack(arrays, axis),
    split=lambda ary, indices_or_sections, axis=0: functions.split(ary, indices_or_sections, axis),
    clip=lambda a, a_min=None, a_max=None, *, min=None, max=None: functions.clip(
        a, min if a_min is None else a_min, max if a_max is None else a_max
    ),
    outer=lambda a, b: ops.outer(reshape(a, -1), reshape(b, -1)),  # which is what NumPy's does
    dot=lambda a, b: matmul(a, b) if np.ndim(a) and np.ndim(b) else ops.multiply(a, b),
    where=ops.where,
    einsum=functions.einsum,
    matmul=matmul,
    getitem=functions.getitem,
    reshape=lambda a, shape: reshape(a, shape),
    transpose=lambda a, axes=None: functions.transpose(a, axes),
    swapaxes=lambda a, axis1, axis2: swapaxes(a, axis1, axis2),
    broadcast_to=lambda array, shape: broadcast_to(array, shape),
    ndim=lambda a: a.ndim,
    shape=lambda a: a.shape,
    size=lambda a, axis=None: a.size if axis is None else a.shape[axis],
)
