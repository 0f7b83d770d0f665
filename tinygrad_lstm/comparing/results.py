"""What a comparison found, in one JSON file that it goes on from."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from statistics import median
from typing import Any

from tinygrad_lstm.atomic import check_regular, replace_whole
from tinygrad_lstm.comparing.entrants import Entrant
from tinygrad_lstm.comparing.plans import ComparisonError, Plan
from tinygrad_lstm.learning.task import Task, never
from tinygrad_lstm.version import __version__

FORMAT = "tinygrad-lstm comparison 1"


@dataclass(frozen=True)
class Trial:
    """One training: of a cell, with a seed.

    end: "solved", or what ended it: "steps", "seconds", "diverged". history: steps, seconds and the
    task's measures at each record. reach_before, reach_after: |∂h_T/∂s_{T-k}| for k = 1, 2, …,
    before the first step and at the end. message: of a divergence.
    """

    seed: int
    end: str
    steps: int
    seconds: float
    measures: dict[str, float]
    history: list[list[float]] = field(default_factory=list)
    reach_before: list[float] = field(default_factory=list)
    reach_after: list[float] = field(default_factory=list)
    message: str = ""

    @property
    def solved(self) -> bool:
        """Whether the task was solved."""
        return self.end == "solved"


@dataclass(frozen=True)
class Runs:
    """All trainings of a cell, in the order of their seeds."""

    entrant: Entrant
    trials: tuple[Trial, ...]

    @property
    def solved(self) -> int:
        """How many solved the task."""
        return sum(trial.solved for trial in self.trials)

    def middle(self, what: str) -> float | None:
        """The median of steps or seconds of those that solved the task."""
        values = [getattr(trial, what) for trial in self.trials if trial.solved]
        return float(median(values)) if values else None

    def last(self, measure: str) -> list[float]:
        """A measure at the end of each training; infinite where it diverged."""
        return [t.measures.get(measure, math.inf) for t in self.trials]


class Results:
    """The trainings of a comparison that are done, cell by cell.

    `runs` has an entry for each cell of the plan; `missing` names what is still to be trained, as
    (place of the cell, seed).
    """

    def __init__(self, plan: Plan, entrants: Sequence[Entrant], task: Task) -> None:
        self.plan, self.entrants, self.task = plan, list(entrants), task
        self.measures = list(task.measures)
        self.ends = task.solved is not never
        self._done: dict[tuple[str, int], Trial] = {}
        self._others: list[dict[str, Any]] = []  # cells of the file that are not asked for now

    @property
    def main(self) -> str:
        """The measure that says how far it is from solved."""
        return self.measures[0]

    @property
    def runs(self) -> list[Runs]:
        """What is done of each cell."""
        return [
            Runs(one, tuple(self._done[k] for k in self._keys(one) if k in self._done))
            for one in self.entrants
        ]

    @property
    def missing(self) -> list[tuple[int, int]]:
        """What is still to be trained, seed by seed."""
        return [
            (k, seed)
            for seed in range(self.plan.seeds)
            for k, one in enumerate(self.entrants)
            if (one.spec, seed) not in self._done
        ]

    def add(self, entrant: Entrant, trial: Trial) -> None:
        """Keep a training that is done."""
        self._done[entrant.spec, trial.seed] = trial

    def _keys(self, entrant: Entrant) -> list[tuple[str, int]]:
        return [(entrant.spec, seed) for seed in range(self.plan.seeds)]

    # --- the file ---------------------------------------------------------------------------------
    def described(self, said: Sequence[str] = ()) -> dict[str, Any]:
        """All of it as JSON."""
        mine = [self._of(one) for one in self.entrants]
        task = self.task
        return {
            "format": FORMAT,
            "version": __version__,
            "task": {"name": task.name, "options": dict(task.options)},
            "fingerprint": task.fingerprint,
            "about": task.about,
            "source": task.source,
            "licence": task.licence,
            "size": task.size,
            "baselines": {n: float(v) for n, v in task.baselines.items()},
            "settings": self.plan.settings,
            "measures": self.measures,
            "cells": [*mine, *self._others],
            "conclusions": list(said),
        }

    def _of(self, one: Entrant) -> dict[str, Any]:
        own = [trial for (spec, _), trial in self._done.items() if spec == one.spec]
        every = sorted(own, key=lambda trial: trial.seed)
        return {**asdict(one), "trials": [asdict(trial) for trial in every]}

    def write(self, path: Path, said: Sequence[str] = ()) -> None:
        """Write the file in place of the one before."""
        text = json.dumps(_finite(self.described(said)), indent=1, allow_nan=False)
        try:
            with replace_whole(path) as file:
                file.write(f"{text}\n".encode())
        except OSError as error:
            raise ComparisonError(f"{path} cannot be written: {error.strerror}.") from error

    def take(self, path: Path) -> None:
        """Take what a file of the same comparison has; ComparisonError where it is another."""
        if not path.exists():
            return
        try:
            check_regular(path)
            found = json.loads(path.read_bytes())
            self._take(path, found)
        except OSError as error:
            raise ComparisonError(f"{path} cannot be read: {error.strerror}.") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            if isinstance(error, ComparisonError):
                raise
            raise ComparisonError(
                f"{path} is no results of a comparison, or damaged ({error!r}).\n{_ANEW}"
            ) from error

    def _take(self, path: Path, found: dict[str, Any]) -> None:
        if found["format"] != FORMAT:
            raise ComparisonError(f"{path} has the format {found['format']!r}.\n{_ANEW}")
        now = self.described()
        for what in ("task", "fingerprint", "settings"):
            if found[what] != json.loads(json.dumps(now[what])):
                raise ComparisonError(
                    f"{path} is of another comparison: {_differing(what, found[what], now[what])}."
                    f"\n{_ANEW}"
                )
        known = {one.spec: one for one in self.entrants}
        for cell in found["cells"]:
            one = known.get(cell["spec"])
            if one is None:
                self._others.append(cell)
                continue
            for what in ("given", "fingerprint"):
                if cell[what] != json.loads(json.dumps(getattr(one, what))):
                    why = _differing("its sizes and starts", cell[what], getattr(one, what))
                    why = why if what == "given" else "its equations have changed"
                    raise ComparisonError(
                        f"{path} has results of another {one.name}: {why}.\n{_ANEW}"
                    )
            names = {f.name for f in fields(Trial)}
            for trial in cell["trials"]:
                if set(trial) != names or not isinstance(trial["seed"], int):
                    raise ValueError(f"a training has {', '.join(trial)}")
                self.add(one, Trial(**trial))


_ANEW = "  Name another file with --out to begin anew, or remove it."


def _differing(what: str, then: Any, now: Any) -> str:
    if isinstance(then, dict) and isinstance(now, dict):
        names = [n for n in {**then, **now} if then.get(n) != now.get(n)]
        return ", ".join(f"{n} was {then.get(n)}, and is {now.get(n)}" for n in names)
    return f"{what} was {then}, and is {now}"


def _finite(found: Any) -> Any:
    """The same with None for what is no number, which JSON has no words for."""
    if isinstance(found, float) and not math.isfinite(found):
        return None
    if isinstance(found, dict):
        return {name: _finite(value) for name, value in found.items()}
    return [_finite(value) for value in found] if isinstance(found, list | tuple) else found
