"""Gradients as they were given: checked, as arrays, and what a wrong shape says by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_lstm.diagnosis.backward import Recorded
from tinygrad_lstm.diagnosis.changes import Changes, Mistake
from tinygrad_lstm.diagnosis.rules import Array
from tinygrad_lstm.errors import DataError, DTypeError, ShapeError, unknown
from tinygrad_lstm.tensor import Tensor


def as_numbers(what: str, value: Any) -> Array:
    """A value as a floating-point array; a framework's tensor is taken out of its graph."""
    if isinstance(value, Tensor):
        value = value.numpy()
    elif hasattr(value, "detach"):
        value = value.detach()
        value = value.cpu() if hasattr(value, "cpu") else value
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ShapeError(f"{what} is ragged: its rows differ in length.") from error
    except Exception as error:
        raise DTypeError(f"{what} is no array: {error}") from error
    if array.dtype.kind in "iu":
        raise DTypeError(
            f"{what} holds whole numbers ({array.dtype}); it was rounded. Begin with np.zeros of "
            f"floating-point numbers, as np.zeros_like(p[…]) makes."
        )
    if array.dtype.kind == "c":
        raise DTypeError(f"{what} holds complex numbers ({array.dtype}); pass its real part.")
    if array.dtype.kind != "f":
        raise DTypeError(f"{what} holds {array.dtype}, not numbers.")
    if array.dtype.itemsize < 4:
        raise DTypeError(
            f"{what} holds {array.dtype}, whose three digits do not tell a mistake from rounding; "
            f"compute it in float32 or float64."
        )
    if not np.isfinite(array).all():
        where = [int(k) for k in np.argwhere(~np.isfinite(array))[0]]
        raise DataError(f"{what} is {array[tuple(where)]} at {where}.")
    return array.astype(float)


def checked(graph: Recorded, answer: Mapping[str, Any]) -> tuple[dict[str, Array], list[Mistake]]:
    """The gradients as arrays with one axis of batch, and shapes that are mistakes with a name.

    What has a wrong shape that tells which mistake it is has been put right.
    """
    right, found = graph.backward(), dict[str, Array]()
    misshapen: dict[tuple[Any, ...], list[str]] = {}
    cell, shapes = graph.cell, dict[str, tuple[int, ...]]()
    for name, value in answer.items():
        if value is None:
            continue
        if name not in right:
            raise unknown(f"{cell}: there is no gradient of {name!r}", "there are", list(right))
        array = as_numbers(f"{cell}: the gradient of {name}", value)
        true, flat = right[name], _flat(graph, name, array)
        if flat.shape == true.shape:
            found[name] = flat
            continue
        mended = _mended(graph, name, array, true)
        if mended is None:
            raise ShapeError(_wrong_shape(graph, name, array, true))
        found[name] = mended[-1]
        shapes[name] = array.shape
        misshapen.setdefault(mended[:-1], []).append(name)
    if not found:
        raise DataError(f"{cell}: no gradient was given; there are {', '.join(right)}.")
    mistakes = []
    for (kind, message, axis), names in misshapen.items():
        words = {"name": ", ".join(names), "names": names, "shape": shapes[names[0]]}
        words |= {} if axis is None else {"axis": axis}
        mistakes.append(Mistake(kind, message, Changes(), words=words))
    return found, mistakes


def _flat(graph: Recorded, name: str, array: Array) -> Array:
    """An adjoint over time with one axis of batch, whatever axes the batch has."""
    axis = 1 if name in graph.over_time else 0
    front = graph.batch_shape
    if name in graph.parameters or array.shape[axis : axis + len(front)] != front:
        return array
    return graph.flat(array, axis)


def _wrong_shape(graph: Recorded, name: str, array: Array, true: Array) -> str:
    own = graph.program.inputs.get(name)
    if name in graph.parameters and own is not None:
        wanted = f"{name} is {graph.program.shape_text(own)}"
        fix = ""
        if array.size == true.size:
            fix = f"\n  Write .reshape({true.size})." if true.ndim == 1 else ""
    else:
        front = ("time", "batch") if name in graph.over_time else ("batch",)
        names = dict(zip(front, true.shape, strict=False))
        axes = ", ".join(
            [*(f"{k}={n}" for k, n in names.items()), *map(str, true.shape[len(front) :])]
        )
        wanted, fix = f"it is needed as ({axes})", ""
    return f"{graph.cell}: the gradient of {name} has shape {array.shape}, but {wanted}.{fix}"


def _mended(
    graph: Recorded, name: str, array: Array, true: Array
) -> tuple[str, str, int | None, Array] | None:
    """The mistake that a wrong shape is, and the gradient without it."""
    time, batch = len(graph), graph.batch_shape
    if name in graph.parameters:
        fronts = {batch: 0, (time,): 1, (time, *batch): 2}
        for front, axis in fronts.items():
            if front and array.shape == (*front, *true.shape):
                return "sum", "not summed", axis, array.sum(axis=tuple(range(len(front))))
        if array.ndim == 2 and array.shape == true.shape[::-1]:
            return "transpose", "gradient transposed", None, array.T
        if len(graph.xs.shape) > 2 and array.shape == (*batch, time, *true.shape):
            axes = tuple(range(len(batch) + 1))
            return "sum", "not summed", 2, array.sum(axis=axes)
    elif name in graph.over_time:
        turned = np.swapaxes(array, 0, 1) if array.ndim > 1 else array
        if turned.shape == true.shape:
            return "transpose", "axes exchanged", None, turned
        if array.ndim == true.ndim and array.shape[:2] == true.shape[:2]:
            last = np.swapaxes(array, -1, -2)
            if last.shape == true.shape:
                return "transpose", "axes exchanged", None, last
    return None
