"""Arrays as figures show them: checked, as dark as they are large, one rectangle a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from tinygrad_lstm.tensor import Array, Tensor
from viz.figure import FigureError
from viz.glyphs import glyphs
from viz.scene import Shape, label
from viz.symbols import Written

LEVELS = 32  # shades that are told apart
MOST = 40_000  # rectangles of one figure


def array(figure: str, name: str, given: Any, axes: str, batched: int | None = None) -> Array:
    """Numbers as an array with these axes, in words; `batched`: where a batch of one may stand.

    Raises FigureError for another rank, for no numbers, and where one is not finite.
    """
    own = f"viz.{figure}: {name}"
    if isinstance(given, Tensor):
        given = given.numpy()
    try:
        found = np.asarray(given, float)
    except (TypeError, ValueError):
        raise FigureError(
            f"{own} is to be an array ({axes}) of numbers, got {given!r:.60}."
        ) from None
    rank = axes.count(",") + 1
    if batched is not None and found.ndim == rank + 1:
        if found.shape[batched] != 1:
            places = ", ".join([":"] * batched + ["0"])
            raise FigureError(
                f"{own} has shape {found.shape}: a batch of {found.shape[batched]} samples.\n"
                f"  A figure shows one, ({axes}): pass {name}[{places}]."
            )
        found = found.squeeze(batched)
    if found.ndim != rank or not found.size:
        raise FigureError(f"{own} is to be ({axes}), got an array of shape {found.shape}.")
    wrong = np.argwhere(~np.isfinite(found))
    if len(wrong):
        at = ", ".join(str(k) for k in wrong[0])
        raise FigureError(
            f"{own}[{at}] is {found[tuple(wrong[0])]}: a figure shows finite numbers.\n"
            f"  Find where it comes from with step_through(run.loss), breaking at nan."
        )
    return found


def runs(values: Sequence[Any]) -> Iterator[tuple[int, int, Any]]:
    """Where each run of equal values starts, how long it is, and the value."""
    start = 0
    for value, several in groupby(values):
        n = len(list(several))
        yield start, n, value
        start += n


def level(values: Array) -> Array:
    """Numbers between 0 and 1, as shades that are told apart."""
    shades: Array = np.rint(np.clip(values, 0.0, 1.0) * LEVELS) / LEVELS
    return shades


def mark(
    own: str,
    left: float,
    top: float,
    width: float,
    height: float,
    paint: tuple[str, float],
    title: str = "",
) -> Shape:
    """A rectangle that is a value of data."""
    x, y = left + width / 2, top + height / 2
    return Shape(own, "mark", x, y, width, height, title=title, paint=paint)


def word(
    own: str,
    what: Written,
    x: float,
    y: float,
    size: float,
    side: int = 0,
    turned: bool = False,
    kind: str = "label",
) -> list[Shape]:
    """A label among others on one line: letters without a tail do not stand lower than others."""
    if not what.text:
        return []
    ink = glyphs(what.latex, size)
    off = ink.y + ink.height / 2 + 0.33 * size  # from the middle of the line to that of the ink
    place = (x + off, y) if turned else (x, y + off)
    return [label(own, what, *place, size, side, kind, turned=turned)]


def check_room(figure: str, marks: int, fix: str) -> None:
    """Raise FigureError where a figure would have too many rectangles."""
    if marks > MOST:
        raise FigureError(
            f"viz.{figure} would draw {marks:,} rectangles, more than {MOST:,}.\n  {fix}"
        )
