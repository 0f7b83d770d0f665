"""What `identify` is given, checked: arrays, a sequence, an output, first states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tinygrad_lstm.diagnosis.trials import Recording
from tinygrad_lstm.errors import DataError, DTypeError, ShapeError
from tinygrad_lstm.weights.gates import array

Array = npt.NDArray[Any]
DIRECTIONS = ("forward", "reverse", "go_backwards")
_OWNER = "identify"


class Frame(NamedTuple):
    """Axes in one order: xs (time, batch, inputs), output (time or 1, batch, hidden).

    batch_first: whether the arrays that were given have the batch first.
    """

    xs: Array
    output: Array
    every: bool
    batch_first: bool


def read_weights(weights: Any) -> dict[str, Array]:
    """The arrays by name; of a list by their places."""
    if not isinstance(weights, Mapping):
        if not isinstance(weights, Sequence) or isinstance(weights, str):
            raise DTypeError(
                f"{_OWNER}: weights are a mapping of names to arrays or a list of arrays, got "
                f"{type(weights).__name__}."
            )
        weights = {str(k): value for k, value in enumerate(weights)}
    found = {str(name): array(_OWNER, str(name), value) for name, value in weights.items()}
    if not found or not any(value.size for value in found.values()):
        raise DataError(f"{_OWNER}: no weights were given.")
    return {name: value.astype(float) for name, value in found.items()}


def check_given(output: Any) -> None:
    """DataError where there is no output."""
    if output is None:
        raise DataError(
            f"{_OWNER}: an output is needed, what was computed for xs: (time, batch, hidden) or of "
            f"the last step, (batch, hidden)."
        )


def frames(xs: Any, output: Any) -> list[Frame]:
    """The orders in which the axes of xs and of the output may stand, time first before others."""
    check_given(output)
    if isinstance(output, tuple | list) and len(output) and hasattr(output[0], "shape"):
        output = output[0]  # with the states, as libraries return it
    x, y = array(_OWNER, "xs", xs), array(_OWNER, "the output", output)
    if x.ndim not in (2, 3) or not x.size or not y.size:
        raise ShapeError(
            f"{_OWNER}: xs has shape {x.shape}, but it is (time, inputs), (time, batch, inputs) or "
            f"(batch, time, inputs)."
        )
    x, y = x.astype(float), y.astype(float)
    found = list(_frames(x, y)) if x.ndim == 3 else list(_single(x, y))
    if not found:
        raise ShapeError(
            f"{_OWNER}: xs has shape {x.shape} and the output {y.shape}; they must share time and "
            f"batch, (time, batch, …) or (batch, time, …), or the output is that of the last step, "
            f"(batch, hidden)."
        )
    return found


def _single(x: Array, y: Array) -> Iterator[Frame]:
    """Of one sequence without the axis of a batch."""
    lines = y.reshape(*[n for n in y.shape[:-1] if n != 1], y.shape[-1])
    rows = x[:, None]
    if lines.ndim == 2 and len(lines) == len(x):
        yield Frame(rows, lines[:, None], True, False)
    elif lines.ndim == 1:
        yield Frame(rows, lines[None, None], len(x) == 1, False)


def _frames(x: Array, y: Array) -> Iterator[Frame]:
    for batch_first in (False, True):
        rows = x.swapaxes(0, 1) if batch_first else x
        time, batch = rows.shape[:2]
        for own in _without_direction(y):
            if own.shape[:2] == ((batch, time) if batch_first else (time, batch)) and own.ndim == 3:
                yield Frame(rows, own.swapaxes(0, 1) if batch_first else own, True, batch_first)
            elif own.ndim == 3 and own.shape[:2] == (batch, time) and not batch_first:
                yield Frame(rows, own.swapaxes(0, 1), True, False)
            if own.ndim == 2 and len(own) == batch:
                yield Frame(rows, own[None], time == 1, batch_first)


def _without_direction(y: Array) -> list[Array]:
    """The output without an axis of length one for the directions, as ONNX has it."""
    found = [y]
    if y.ndim == 4:
        found = [np.take(y, 0, axis=k) for k in (1, 2) if y.shape[k] == 1]
    elif y.ndim == 3 and y.shape[0] == 1:
        found.append(y[0])  # the last state
    return found


Sides = tuple[Mapping[str, Array], Mapping[str, Array]]


def halves(arrays: Mapping[str, Array]) -> list[Sides]:
    """The arrays of two directions: along the first axis of each, or the first half of them."""
    found: list[Sides] = []
    if all(a.ndim > 1 and len(a) == 2 for a in arrays.values()):
        found.append(({n: a[0] for n, a in arrays.items()}, {n: a[1] for n, a in arrays.items()}))
    items = list(arrays.items())
    if len(items) % 2 == 0:
        found.append((dict(items[: len(items) // 2]), dict(items[len(items) // 2 :])))
    return found


def two_directions(
    arrays: Mapping[str, Array], output: Any
) -> Iterator[tuple[Sides, tuple[Array, Array]]]:
    """Weights and outputs of two directions apart, if they may be such."""
    y = array(_OWNER, "the output", output[0] if isinstance(output, tuple | list) else output)
    outputs: list[tuple[Array, Array]] = []
    if y.ndim and y.shape[-1] % 2 == 0 and y.shape[-1]:
        half = y.shape[-1] // 2
        outputs.append((y[..., :half], y[..., half:]))
    for axis in {4: (1, 2), 3: (0,)}.get(y.ndim, ()):  # as ONNX has it
        if y.shape[axis] == 2:
            outputs.append((np.take(y, 0, axis=axis), np.take(y, 1, axis=axis)))
    for sides in halves(arrays):
        for pair in outputs:
            yield sides, pair


def first_states(names: Sequence[str], initial: Any, batch: int, hidden: int) -> list[Array | None]:
    """The first states of a cell by the order of its states, (batch, hidden); None: its own."""
    if initial is None:
        return [None] * len(names)
    given: list[Any]
    if isinstance(initial, Mapping):
        lower = {str(name).lower(): value for name, value in initial.items()}
        every = all(name.lower() in lower for name in names)
        given = [lower[name.lower()] for name in names] if every else list(initial.values())
    else:
        given = list(initial) if isinstance(initial, tuple | list) else [initial]
    found: list[Array | None] = []
    for k in range(len(names)):
        if k >= len(given) or given[k] is None:
            found.append(None)
            continue
        value = array(_OWNER, f"the first state {k + 1}", given[k]).astype(float)
        rows = value.reshape(-1, value.shape[-1]) if value.ndim else value.reshape(1, 1)
        if rows.shape not in ((batch, hidden), (1, hidden)):
            raise ShapeError(
                f"{_OWNER}: a first state has shape {value.shape}, but it is (batch, hidden) = "
                f"({batch}, {hidden}), or (hidden)."
            )
        found.append(np.broadcast_to(rows, (batch, hidden)))
    return found


def frames_with(several: Sequence[Frame], initial: Any) -> list[Frame]:
    """The frames whose batch is that of the first states; ShapeError where there is none."""
    fitting, errors = [], []
    for frame in several:
        try:
            first_states("12345", initial, *frame.output.shape[1:])
            fitting.append(frame)
        except ShapeError as error:
            errors.append(error)
    if not fitting:
        raise errors[0]
    return fitting


def directed(frame: Frame, initial: Sequence[Array], direction: str, samples: slice) -> Recording:
    """The recording as a cell reads it that goes forward."""
    xs, y = frame.xs[:, samples], frame.output[:, samples]
    if direction != "forward":
        xs = xs[::-1]
    if direction == "reverse" and frame.every:
        y = y[::-1]
    return Recording(xs, y, tuple(s[samples] for s in initial), frame.every)
