"""An operation on one sample as an operation on a batch of samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_lstm.tensor import TABLE, Array, Tensor

_CORE = {"matmul": (2, 2), "matvec": (2, 1), "vecdot": (1, 1), "outer": (1, 1)}


def lifted(node: Tensor, batched: Sequence[bool]) -> Callable[..., Array]:
    """A function of operands with a leading batch axis, where `batched`, that computes `node`."""
    op, forward = node.op or "", TABLE[node.op or ""].forward
    attributes = _attributes(node)
    if not any(batched):
        return lambda *arrays: forward(*arrays, **node.attributes)
    if op in ("getitem", "scatter"):
        own = node.inputs[0].shape if op == "getitem" else node.shape
        return lambda array: _indexed(op, array, node.attributes["index"], own)
    ranks = [i.ndim - c for i, c in zip(node.inputs, _core(node), strict=True)]
    most = max(ranks)
    shapes = [
        (1,) * (most - rank) + i.shape for rank, i in zip(ranks, node.inputs, strict=True)
    ]

    def apply_to_batch(*arrays: Array) -> Array:
        size = next(len(a) for a, b in zip(arrays, batched, strict=True) if b)
        aligned = [
            a.reshape((size, *s) if b else (1, *s))
            for a, b, s in zip(arrays, batched, shapes, strict=True)
        ]
        if op in ("concat", "stack"):  # they do not broadcast
            aligned = [np.broadcast_to(a, (size, *a.shape[1:])) for a in aligned]
        if op == "reshape" or op == "broadcast_to":
            made: Array = forward(aligned[0], shape=(size, *attributes["shape"]))
            return made
        if op == "matvec":
            return np.asarray(np.matvec(*aligned))
        return np.asarray(forward(*aligned, **attributes))

    return apply_to_batch


def _core(node: Tensor) -> tuple[int, ...]:
    """How many axes of each operand are not broadcast."""
    if node.op in _CORE:
        return _CORE[node.op]
    if TABLE[node.op or ""].signature == "elementwise":
        return (0,) * len(node.inputs)
    return tuple(i.ndim for i in node.inputs)


def _attributes(node: Tensor) -> dict[str, Any]:
    """Attributes that count axes from the end, or leave the batch axis alone."""
    found = dict(node.attributes)
    n = node.inputs[0].ndim
    if "axis" in found:
        last = n + 1 if node.op == "stack" else n
        axis = found["axis"]
        if axis is None:
            axis = tuple(range(n))
        found["axis"] = (
            tuple(a % last - last for a in axis) if isinstance(axis, tuple) else axis % last - last
        )
    if node.op == "swapaxes":
        found = {k: v % n - n for k, v in found.items()}
    if node.op == "transpose":
        axes = found["axes"] if found["axes"] is not None else tuple(reversed(range(n)))
        found["axes"] = (0, *(a % n + 1 for a in axes))
    return found


def _indexed(op: str, array: Array, index: Any, own: tuple[int, ...]) -> Array:
    """Read or add at the places that an index has in a sample of shape `own`."""
    parts = index if isinstance(index, tuple) else (index,)
    if op == "getitem" and all(type(i) in (slice, int, type(None), type(...)) for i in parts):
        return np.asarray(array[(slice(None), *parts)])
    places = np.arange(math.prod(own)).reshape(own)[index]
    if op == "getitem":
        return array.reshape(len(array), -1)[:, places]
    made = np.zeros((len(array), math.prod(own)), array.dtype)
    np.add.at(made, (slice(None), places), array)
    return made.reshape(len(array), *own)
