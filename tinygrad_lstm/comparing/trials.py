"""One training of a comparison, which goes on from its checkpoint where it was stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinygrad_lstm.cell_files import find_part
from tinygrad_lstm.comparing.entrants import Entrant
from tinygrad_lstm.comparing.plans import Plan
from tinygrad_lstm.comparing.reach import reach
from tinygrad_lstm.comparing.results import Trial
from tinygrad_lstm.learning.checkpoint_files import CheckpointError
from tinygrad_lstm.learning.learner import DivergenceError
from tinygrad_lstm.learning.task import Task
from tinygrad_lstm.learning.training import Training
from tinygrad_lstm.learning.training_state import Progress

SAVED = 3.0  # seconds of a training that may be lost where it is killed
Tell = Callable[[int, dict[str, float]], bool]


class Stopped(Exception):
    """A training that was asked to stop; its checkpoint is kept."""


def checkpoint_of(folder: Path, entrant: Entrant, seed: int) -> Path:
    """Where a training is kept while it is not done."""
    plain = "".join(c if c.isalnum() or c in "-_" else "_" for c in entrant.name)
    return folder / f"{plain}-{entrant.fingerprint[:8]}-seed{seed}.npz"


def train(
    plan: Plan, task: Task, entrant: Entrant, seed: int, checkpoint: Path, tell: Tell
) -> Trial:
    """Train a cell until the task is solved, or for as long as the plan says.

    tell: told steps and measures at every step; where it returns True the training is kept and
    `Stopped` raised.
    """
    part = find_part(entrant.spec)
    saved = time.monotonic()
    training = _begun(plan, task, part, entrant, seed, checkpoint)
    head = training.model.readout
    fresh = task.fitted(part, seed=seed, **entrant.given)
    before = reach(task, head, fresh.parameters)
    asked = False

    def report(progress: Progress) -> bool:
        nonlocal asked, saved
        if progress.record and time.monotonic() - saved > SAVED:
            training.save(checkpoint)
            saved = time.monotonic()
        measures = training.history[-1].measures if training.history else {}
        asked = tell(progress.step, measures)
        return asked

    left = plan.steps - training.state.step
    limit = None if plan.seconds is None else max(0.0, plan.seconds - training.state.seconds)
    message = ""
    try:
        training.run(left, limit, report, until="solved")
    except DivergenceError as error:
        message = str(error).partition("\n")[0]
    if asked and not training.solved:
        training.save(checkpoint)
        raise Stopped
    last = training.history[-1] if training.history else None
    if message:
        end = "diverged"
    elif training.solved:
        end = "solved"
    else:
        end = "steps" if training.state.step >= plan.steps else "seconds"
    names = list(task.measures)
    return Trial(
        seed=seed,
        end=end,
        steps=training.state.step,
        seconds=round(training.state.seconds, 3),
        measures=dict(last.measures) if last and not message else {},
        history=[
            [r.step, round(r.seconds, 3), *(r.measures[n] for n in names)] for r in training.history
        ],
        reach_before=_short(before),
        reach_after=[] if message else _short(reach(task, head, training.parameters)),
        message=message,
    )


def _begun(
    plan: Plan, task: Task, part: Any, entrant: Entrant, seed: int, checkpoint: Path
) -> Training:
    if checkpoint.exists():
        try:
            return Training.resume(checkpoint, task, part)
        except CheckpointError:
            checkpoint.unlink()  # damaged, or of another plan: the training is done anew
    return Training(
        task,
        part,
        seed=seed,
        optimiser=plan.rule(),
        batch=plan.batch,
        clip=plan.clip,
        every=plan.every,
        **entrant.given,
    )


def _short(values: list[float]) -> list[float]:
    """Numbers with as many digits as are of interest."""
    return [float(f"{value:.4g}") for value in values]
