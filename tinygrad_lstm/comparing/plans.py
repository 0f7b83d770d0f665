"""What is to be compared, and how: `Plan`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tinygrad_lstm.errors import DataError, TinygradError
from tinygrad_lstm.learning.optimisers import SGD, Adam, Optimiser, RMSProp
from tinygrad_lstm.learning.task import Task
from tinygrad_lstm.learning.tasks.files import find_task

OPTIMISERS: Mapping[str, type[Adam | RMSProp | SGD]] = {
    "adam": Adam,
    "rmsprop": RMSProp,
    "sgd": SGD,
}
FORGET = {"b_f": 2.0}  # what a forget gate's bias starts at, where nothing else is said


class ComparisonError(TinygradError, ValueError):
    """A comparison that cannot go on, or cannot be written."""


@dataclass(frozen=True)
class Plan:
    """Which cells are trained on what, and how; with it every number but the seconds is fixed.

    cells: names, or path/to/file.py:NAME. task, options: as `find_task` takes them. seeds: so many
    trainings of each, with seeds 0, 1, …; the same seed has the same batches for every cell.
    hidden: units; equal: "units", or "parameters", for which the first cell has `hidden` and the
    others as many as come closest to its number of parameters. sizes, starts: for those cells that
    have them; where no start is given, a `b_f` starts at 2. rate, optimiser, batch, clip: of
    learning. steps, seconds: the end of a training that has not solved the task before. every:
    steps from one measurement to the next.
    """

    cells: tuple[str, ...]
    task: str
    options: Mapping[str, int | float | str] = field(default_factory=dict)
    seeds: int = 5
    hidden: int = 32
    equal: str = "units"
    sizes: Mapping[str, int] = field(default_factory=dict)
    starts: Mapping[str, float | str] | None = None
    rate: float = 0.005
    optimiser: str = "adam"
    batch: int = 32
    clip: float | None = 1.0
    steps: int = 1500
    seconds: float | None = None
    every: int = 50

    def __post_init__(self) -> None:
        if not self.cells:
            raise DataError("name a cell at least.")
        if twice := {cell for cell in self.cells if self.cells.count(cell) > 1}:
            raise DataError(f"{', '.join(sorted(twice))} is named twice.")
        for name in ("seeds", "hidden", "batch", "steps", "every"):
            if getattr(self, name) < 1:
                raise DataError(f"{name} must be at least 1, got {getattr(self, name)}.")
        for name in ("rate", "clip", "seconds"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise DataError(f"{name} must be a number above 0, got {value}.")
        if self.equal not in ("units", "parameters"):
            raise DataError(f"equal is 'units' or 'parameters', got {self.equal!r}.")
        if self.optimiser not in OPTIMISERS:
            raise DataError(f"optimiser is {', '.join(OPTIMISERS)}, got {self.optimiser!r}.")

    def found_task(self) -> Task:
        """The task."""
        return find_task(self.task, **self.options)

    def rule(self) -> Optimiser:
        """The optimiser."""
        return OPTIMISERS[self.optimiser](rate=self.rate)

    @property
    def settings(self) -> dict[str, object]:
        """All but the cells and the number of seeds: what results must share to stand together."""
        kept = ("rate", "optimiser", "batch", "clip", "steps", "seconds", "every")
        return {name: getattr(self, name) for name in kept}
