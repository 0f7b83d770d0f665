"""The lengths of the sequences of a padded batch, checked, and which are there at each step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_lstm.errors import DataError, DTypeError, ShapeError, unknown
from tinygrad_lstm.tensor import Array
from tinygrad_lstm.types import Network

MASK = "(time, batch) with padding at the end"
SHIFT = "\n  For padding at the front shift each sequence to step 0 first."


def lengths_of(network: Network, lengths: Any) -> tuple[Any, Mapping[str, Any]]:
    """The lengths that go with xs, and those of inputs that have steps of their own."""
    wiring = getattr(network, "wiring", None)
    if wiring is None:
        if isinstance(lengths, Mapping):
            raise DTypeError(f"{network}: lengths are whole numbers, one for each sequence.")
        return lengths, {}
    clocks = {n: wiring.clocks[f"input.{n}"] for n in wiring.sequences}
    if not isinstance(lengths, Mapping):
        if lengths is not None and len({*clocks.values()}) > 1:
            said = ", ".join(f"{n!r}: …" for n in clocks)
            raise DTypeError(
                f"{network} reads several sequences, {' and '.join(clocks)}, each of lengths of "
                f"its own.\n  Write lengths={{{said}}}, or some of them."
            )
        return lengths, {}
    for name in lengths:
        if name not in clocks:
            raise unknown(f"{network}: lengths has {name!r}", "the inputs with steps are", clocks)
    first = clocks[network.first]  # type: ignore[attr-defined]
    own = next((lengths[n] for n in lengths if clocks[n] == first), None)
    return own, {n: each for n, each in lengths.items() if clocks[n] != first}


def mask_of(
    network: Network, lengths: Any, time: int, batch_shape: tuple[int, ...]
) -> list[Array | None]:
    """For each step which sequences have not ended, None where none has."""
    if lengths is None:
        return [None] * time
    array = np.asarray(lengths)
    if array.dtype.kind not in "iu":
        fix = f"\n  Of a mask {MASK} they are mask.sum(axis=0).{SHIFT}"
        raise DTypeError(
            f"{network}: lengths are whole numbers of steps, got {array.dtype}."
            + fix * (array.dtype.kind == "b")
        )
    if array.shape != batch_shape:
        raise ShapeError(
            f"{network}: lengths has shape {array.shape}, but the batch is {batch_shape}: one for "
            f"each sequence."
        )
    wrong = np.argwhere((array < 1) | (array > time))
    if len(wrong):
        place = tuple(int(k) for k in wrong[0])
        raise DataError(
            f"{network}: lengths holds {array[place]} at index {list(place)}, but xs has {time} "
            f"steps: a length is between 1 and {time}."
        )
    return [None if (array > t).all() else array > t for t in range(time)]
