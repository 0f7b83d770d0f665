"""Schedules: what share of the optimiser's rate a step of learning has.

    learning.Training(task, model, optimiser=Adam(0.01), schedule=Cosine(2000, warm_up=100))

A schedule is called with the number of a step, 1, 2, …, and gives the share.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from tinygrad_lstm.errors import DataError
from tinygrad_lstm.learning.optimisers import Optimiser


@dataclass(frozen=True)
class Constant:
    """The whole rate at every step; after a rise from 0 over the first `warm_up` steps."""

    warm_up: int = 0

    def __post_init__(self) -> None:
        _least(self, warm_up=0)

    def __call__(self, step: int) -> float:
        """The share of the rate that step number `step` has."""
        return _risen(step, self.warm_up)


@dataclass(frozen=True)
class Linear:
    """From 1 in a straight line to the share `last`, reached after so many steps, and kept.

    warm_up: so many first steps are taken step / warm_up of that.
    """

    steps: int
    last: float = 0.0
    warm_up: int = 0

    def __post_init__(self) -> None:
        _least(self, steps=1, last=0, warm_up=0)

    def __call__(self, step: int) -> float:
        """The share of the rate that step number `step` has."""
        done = min((step - 1) / self.steps, 1.0)
        return _risen(step, self.warm_up) * (1.0 + (self.last - 1.0) * done)


@dataclass(frozen=True)
class Cosine:
    """last + (1 - last) (1 + cos(π done)) / 2, done going from 0 to 1 over so many steps.

    warm_up: as in `Linear` (Loshchilov & Hutter 2017, without restarts).
    """

    steps: int
    last: float = 0.0
    warm_up: int = 0

    def __post_init__(self) -> None:
        _least(self, steps=1, last=0, warm_up=0)

    def __call__(self, step: int) -> float:
        """The share of the rate that step number `step` has."""
        done = min((step - 1) / self.steps, 1.0)
        share = self.last + (1.0 - self.last) * 0.5 * (1.0 + math.cos(math.pi * done))
        return _risen(step, self.warm_up) * share


@dataclass(frozen=True)
class StepDecay:
    """Times `factor` after every so many steps: factor ^ ⌊steps before / every⌋.

    warm_up: as in `Linear`.
    """

    every: int
    factor: float = 0.5
    warm_up: int = 0

    def __post_init__(self) -> None:
        _least(self, every=1, factor=0, warm_up=0)

    def __call__(self, step: int) -> float:
        """The share of the rate that step number `step` has."""
        return _risen(step, self.warm_up) * self.factor ** ((step - 1) // self.every)


@dataclass(frozen=True)
class InverseRoot:
    """1 / √(1 + steps before / steps): without an end, as Robbins & Monro (1951) ask of a rate.

    warm_up: as in `Linear`.
    """

    steps: int
    warm_up: int = 0

    def __post_init__(self) -> None:
        _least(self, steps=1, warm_up=0)

    def __call__(self, step: int) -> float:
        """The share of the rate that step number `step` has."""
        return _risen(step, self.warm_up) / math.sqrt(1.0 + (step - 1) / self.steps)


Schedule = Constant | Linear | Cosine | StepDecay | InverseRoot


def scheduled(optimiser: Optimiser, schedule: Schedule, step: int) -> Optimiser | None:
    """The optimiser with the rate of this step; None where that is 0, and nothing moves."""
    if schedule == Constant():
        return optimiser
    rate = optimiser.rate * schedule(step)
    return replace(optimiser, rate=rate) if rate else None


def _risen(step: int, warm_up: int) -> float:
    return min(step / warm_up, 1.0) if warm_up else 1.0


def _least(schedule: Schedule, **least: int) -> None:
    for name, smallest in least.items():
        value = getattr(schedule, name)
        if not (value >= smallest and math.isfinite(value)):
            kind = type(schedule).__name__
            raise DataError(f"{name} of {kind} must be at least {smallest}, got {value}.")
