"""One step of learning after another, for a network of one's own: `Learner`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lstm.errors import DataError, TinygradError
from tinygrad_lstm.learning.flat import Flat
from tinygrad_lstm.learning.objectives import Objective
from tinygrad_lstm.learning.optimisers import Adam, Averages, Optimiser, clipped
from tinygrad_lstm.learning.readouts import Readout
from tinygrad_lstm.learning.schedules import Constant, Schedule, scheduled
from tinygrad_lstm.tensor import Array


class DivergenceError(TinygradError, ArithmeticError):
    """A training that has left the finite numbers."""


@dataclass(frozen=True)
class Step:
    """What a step of learning found.

    loss: the mean loss of its batch, before the step; norm: of the gradient before clipping; final:
    the network's states after the last time step, to carry into the next batch.
    """

    loss: float
    norm: float
    final: Mapping[str, Array]


@dataclass(frozen=True)
class Rule:
    """How a gradient moves parameters: within limits, by an optimiser, at a rate by schedule."""

    optimiser: Optimiser
    clip: float | None = None
    clip_entries: float | None = None
    schedule: Schedule = Constant()

    def step(
        self,
        objective: Objective,
        parameters: Flat,
        averages: Averages,
        number: int,
        xs: Any,
        target: Any,
        at: Flat | None = None,
        **options: Any,
    ) -> tuple[Flat, Averages, Step]:
        """New parameters and averages, those of step `number`; DivergenceError says what is not.

        at: where the gradient is taken, the parameters themselves unless given.
        """
        with np.errstate(all="ignore"):  # what overflows is found and named below
            found = objective(parameters if at is None else at, xs, target, **options)
            gradient, norm = clipped(found.gradient, self.clip, self.clip_entries)
            if not np.isfinite([found.loss, norm]).all():
                raise DivergenceError(f"loss is {found.loss} and the gradient's norm {norm}")
            optimiser = scheduled(self.optimiser, self.schedule, number)
            moved = parameters, averages
            if optimiser is not None:
                moved = optimiser.update(parameters, gradient, averages, number)
        for name, values in [*moved[0].items(), *found.final.items()]:
            if not np.isfinite(values).all():
                raise DivergenceError(f"step makes {name} infinite or nan")
        return *moved, Step(found.loss, norm, found.final)


class Learner:
    """A model, its parameters, and an optimiser that moves them, batch by batch.

        model = learning.readout(cells.gru, outputs=1, loss="squared-error", at="end")
        learner = learning.Learner(model, inputs=2, hidden=32, optimiser=learning.Adam(0.01))
        for xs, target in batches:                    # (time, batch, 2) and (batch, 1)
            print(learner.step(xs, target).loss)
        learner.parameters["W_z"]

    sizes: those of the network, and start values as its `init` takes them. seed, dtype: of the
    parameters, which `parameters` gives in place of fresh ones. clip: limit of the gradient's
    global norm, clip_entries: of each of its entries. schedule: the share of the rate that each
    step has. eager: computed by the interpreter. The forward and backward pass of a batch,
    read-out, loss and gradient are compiled as one.
    """

    def __init__(
        self,
        model: Readout,
        *,
        optimiser: Optimiser | None = None,
        clip: float | None = None,
        clip_entries: float | None = None,
        schedule: Schedule | None = None,
        parameters: Mapping[str, Any] | None = None,
        seed: int = 0,
        dtype: Any = np.float32,
        eager: bool = False,
        **sizes: Any,
    ) -> None:
        for what, limit in {"clip": clip, "clip_entries": clip_entries}.items():
            if limit is not None and not limit > 0:
                raise DataError(f"{what} must be a number above 0, got {limit}.")
        fresh = model.init(seed, dtype, **sizes)
        self.model, self.optimiser = model, optimiser or Adam()
        self.rule = Rule(self.optimiser, clip, clip_entries, schedule or Constant())
        self.parameters = fresh if parameters is None else fresh.fit(parameters)
        self.averages: Averages = self.optimiser.start(self.parameters)
        self.steps = 0
        own = {name: n for name, n in sizes.items() if name in model.network.sizes}
        self.objective = Objective(model, self.parameters, eager=eager, **own)

    def step(self, xs: Any, target: Any, **options: Any) -> Step:
        """Learn from a batch: xs, target and options are those of an `Objective`.

        DivergenceError where loss, gradient or what follows are not finite; nothing is changed
        then.
        """
        before = self.parameters, self.averages, self.steps + 1
        try:
            self.parameters, self.averages, found = self.rule.step(
                self.objective, *before, xs, target, **options
            )
        except DivergenceError as error:
            raise DivergenceError(
                f"after step {self.steps} the {error}.\n"
                f"  Try a rate below {self.optimiser.rate:g}, or a smaller clip."
            ) from error
        self.steps += 1
        return found

    def loss(self, xs: Any, target: Any, **options: Any) -> float:
        """The mean loss of a batch, without learning from it."""
        return self.objective(self.parameters, xs, target, **options).loss
