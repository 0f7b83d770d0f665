"""Which cell somebody's own step is: every cell tried, with its own names of parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinygrad_lstm.cells import all as built_in
from tinygrad_lstm.diagnosis.answers import Forward, name_of, unread
from tinygrad_lstm.diagnosis.diagnosis import LANGUAGES, Diagnosis, say
from tinygrad_lstm.diagnosis.steps import Comparison, compare, smallest, try_forward
from tinygrad_lstm.errors import CellError, DataError, TinygradError
from tinygrad_lstm.grids import Grid
from tinygrad_lstm.step import Cell


@dataclass(frozen=True)
class Match(Diagnosis):
    """Which cell a step is, and what it does otherwise.

    As a `Diagnosis`, with cell: the cell's name; same: the names of other cells that compute the
    same of the same parameters; candidates: those for which the step ran at all.
    """

    cell: str = ""
    same: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()


def candidates(cells: Any) -> dict[str, Cell]:
    """Cells by name, of a mapping, of several or of all that are built in."""
    if cells is None or cells is True:
        return built_in()
    given: Iterable[Any] = cells.values() if isinstance(cells, Mapping) else cells
    if isinstance(cells, Cell):
        given = [cells]
    found = {}
    for cell in given:
        if not isinstance(cell, Cell) or isinstance(cell, Grid):
            own = "the grid's block" if isinstance(cell, Grid) else "cells=[cells.lstm, my_cell]"
            raise CellError(f"a cell is needed, got {cell!r}; write {own}.")
        found[cell.name] = cell
    if not found:
        raise CellError("no cell to compare with; leave cells out for all that are built in.")
    return found


def diagnose_among(forward: Forward, cells: Any = None, seed: int = 0) -> Match:
    """Which of several cells a step or a sequence function is; see `diagnose`."""
    if not callable(forward):
        raise DataError(f"a function of (p, x, prev) is needed, got {type(forward).__name__}.")
    ran: dict[str, tuple[Cell, Any, Any, Any]] = {}
    refused: dict[str, TinygradError] = {}
    for name, cell in candidates(cells).items():
        try:
            ran[name] = cell, *try_forward(cell, forward, seed)
        except TinygradError as error:
            refused[name] = error
    if not ran:
        first, why = next(iter(refused.items()))
        raise DataError(
            f"{name_of(forward)} runs with the parameters of none of {', '.join(refused)}; of "
            f"{first}: {why}\n  Name the parameters as one of the cells does; or, for weights "
            f"with other names, record one output and use identify(weights, xs, output)."
        ) from why
    found: dict[str, Diagnosis] = {}
    distance: dict[str, float] = {}
    for name, (_, form, problem, answer) in ran.items():
        comparison = Comparison(problem, answer)
        lost = len(problem.cell.state) - sum(n in answer for n in problem.cell.state)
        right = not comparison.wrong() and not lost
        lost += len(unread(forward, form, problem))  # what it does not read it can hardly be
        distance[name] = 0.0 if right else lost + float(np.median(comparison.off(comparison.right)))
    exact = [name for name in ran if distance[name] == 0.0]
    for name in exact or ran:
        cell, form, problem, answer = ran[name]
        small = lambda c=cell, f=form: smallest(c, forward, f, seed)  # noqa: E731
        found[name] = compare(problem, answer, small)
    best = min(found, key=lambda n: (_order(found[n]), distance[n]))
    key = _order(found[best])
    alike = [n for n in found if n != best and key[0] < 3 and _same(found[n], found[best])]
    return _told(found[best], best, tuple(alike), tuple(ran))


def _order(found: Diagnosis) -> tuple[int, float]:
    """Right before one mistake, one before two, two before none that explains it."""
    if found.right:
        return 0, 0.0
    return (3, 0.0) if found.kind == "unexplained" else (len(found.kinds), -found.confidence)


def _same(one: Diagnosis, other: Diagnosis) -> bool:
    return (
        _order(one)[0] == _order(other)[0]
        and one.text() == other.text()
        or (one.right and other.right)
    )


def _told(found: Diagnosis, cell: str, same: tuple[str, ...], ran: tuple[str, ...]) -> Match:
    key = "among is" if found.right else "among with"
    if found.kind == "unexplained":
        key = "among nearest"
    lines = {}
    for tag in LANGUAGES:
        shown = [say(key, tag, cells=cell), *found.lines[tag][found.right :]]
        if same:
            shown.append(say("among apart", tag, cells=", ".join([cell, *same])))
        shown.append(say("among ran", tag, cells=", ".join(ran)))
        lines[tag] = tuple(shown)
    own = {name: getattr(found, name) for name in Diagnosis.__dataclass_fields__}
    return replace(Match(**own), lines=lines, cell=cell, same=same, candidates=ran)
