"""The cells of a comparison with the sizes that they are trained at."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tinygrad_lstm.array_files import equations_of
from tinygrad_lstm.cell_files import find_part
from tinygrad_lstm.comparing.plans import FORGET, Plan
from tinygrad_lstm.errors import DataError, ShapeError, UnknownNameError
from tinygrad_lstm.learning.models import Model
from tinygrad_lstm.learning.task import Task
from tinygrad_lstm.networks import Part, fillable

LARGEST = 4096  # units that are tried for a number of parameters


@dataclass(frozen=True)
class Entrant:
    """A cell of a comparison.

    spec: how it was named; name: what it is called in tables; given: its sizes and start values as
    a training takes them; sizes: all of them; parameters: how many numbers are learnt;
    fingerprint: of its equations.
    """

    spec: str
    name: str
    given: dict[str, Any]
    sizes: dict[str, int]
    parameters: int
    fingerprint: str

    @property
    def starts(self) -> dict[str, Any]:
        """The start values that were given."""
        return {n: v for n, v in self.given.items() if n not in self.sizes}


def entrants_of(plan: Plan) -> list[Entrant]:
    """Each cell of the plan, found, fitted to the task and counted; what does not fit is told."""
    task, parts = plan.found_task(), {spec: find_part(spec) for spec in plan.cells}
    for what, given, known in (
        ("size", plan.sizes, {n for part in parts.values() for n in part.sizes}),
        ("parameter", plan.starts or {}, {n for part in parts.values() for n in fillable(part)}),
    ):
        if unknown := [name for name in given if name not in known]:
            cells = " and ".join(str(part) for part in parts.values())
            raise UnknownNameError(
                f"there is no {what} {unknown[0]!r} in {cells}; there are "
                f"{', '.join(sorted(known)) or 'none'}."
            )
    names = _names(plan.cells, list(parts.values()))
    found: list[Entrant] = []
    for (spec, part), name in zip(parts.items(), names, strict=True):
        given = _given(plan, part)
        model = _fitted(task, part, {**given, **_hidden(part, plan.hidden)})
        if plan.equal == "parameters" and found and "hidden" not in plan.sizes:
            if "hidden" not in part.sizes:
                raise ShapeError(
                    f"{part} has no size hidden that could be chosen for its parameters."
                )
            hidden = closest(partial(_count, task, part, given), found[0].parameters)
            model = _fitted(task, part, {**given, "hidden": hidden})
        equations = "\n".join(equations_of(part, **model.sizes))
        print_ = hashlib.sha256(equations.encode()).hexdigest()
        whole = {**model.sizes, **{n: v for n, v in given.items() if n not in part.sizes}}
        found.append(Entrant(spec, name, whole, dict(model.sizes), model.count, print_))
    return found


def _given(plan: Plan, part: Part) -> dict[str, Any]:
    """Sizes and start values for a cell, of those that it has."""
    starts = plan.starts
    if starts is None:  # a start that the cell itself declares stays
        own = getattr(part, "start", {})
        starts = {n: v for n, v in FORGET.items() if n not in own}
    known = fillable(part)
    given: dict[str, Any] = {n: v for n, v in plan.sizes.items() if n in part.sizes}
    return given | {n: v for n, v in starts.items() if n in known}


def _hidden(part: Part, hidden: int) -> dict[str, int]:
    return {"hidden": hidden} if "hidden" in part.sizes else {}


def _fitted(task: Task, part: Part, given: dict[str, Any]) -> Model:
    try:
        return task.fitted(part, **given)
    except ShapeError as error:
        raise ShapeError(f"{error}\n  Give a size by --size NAME=N.") from error


def _count(task: Task, part: Part, given: dict[str, Any], hidden: int) -> int:
    return _fitted(task, part, {**given, "hidden": hidden}).count


def closest(count: Callable[[int], int], wanted: int) -> int:
    """The number of units whose count of parameters, which grows with it, is closest to one."""
    high = 1
    while count(high) < wanted:
        if (high := 2 * high) > LARGEST:
            raise DataError(f"no cell of at most {LARGEST} units has {wanted:,} parameters.")
    low = max(1, high // 2)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if count(middle) >= wanted else (middle, high)
    return min((low, high), key=lambda n: abs(count(n) - wanted))


def _names(specs: tuple[str, ...], parts: list[Part]) -> list[str]:
    """A name for each: the cell's own, with its file where two are called alike."""
    own = [str(getattr(part, "name", part)) for part in parts]
    found = []
    for spec, name in zip(specs, own, strict=True):
        file = spec.rpartition(":")[0] or spec
        alike = own.count(name) > 1
        found.append(f"{Path(file).stem}:{name}" if alike and ".py" in spec else name)
    return [n if found.count(n) == 1 else spec for n, spec in zip(found, specs, strict=True)]
