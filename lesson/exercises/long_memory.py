"""The last exercise: a cell of one's own that learns to remember a bit for 50 steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from lesson.exercises.tasks import Answer, make_exercise
from lesson.exercises.words import Words
from tinygrad_lstm import softplus, vecdot
from tinygrad_lstm.differentiate import value_and_grad
from tinygrad_lstm.errors import DataError
from tinygrad_lstm.learning import Adam, clip_by_norm
from tinygrad_lstm.running import unroll
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array, Tensor

EARLY, KEPT, HIDDEN, BATCH, STEPS, RATE = 10, 50, 8, 32, 300, 0.02
STARTS, ENOUGH, TESTED = 3, 0.95, 500


@dataclass
class TrainedMemory:
    """A cell with a read-out, trained; the share of fresh sequences whose marked bit it tells."""

    steps: int
    share: float
    gradients: list[float]  # |dL/d state| after each step, before training


def marked(seed: int, count: int) -> tuple[Array, Array]:
    """Sequences of random bits, (60, count, 2), one of the first ten marked, and the marked bits.

    The mark is the second input: 1 at that step, else 0.
    """
    random = np.random.default_rng(seed)
    xs = np.zeros((EARLY + KEPT, count, 2))
    xs[..., 0] = random.choice([-1.0, 1.0], xs.shape[:2])
    where = random.integers(EARLY, size=count), np.arange(count)
    xs[(*where, 1)] = 1.0
    return xs, xs[(*where, 0)]


def _score(cell: Cell, p: Mapping[str, Any], xs: Array) -> tuple[Any, Any]:
    run = unroll(cell, {name: p[name] for name in cell.parameters}, xs)
    return vecdot(run.final[cell.output], p["read-out"]), run


def _loss(cell: Cell, xs: Array, bits: Array, p: Mapping[str, Any]) -> Tensor:
    score, _ = _score(cell, p, xs)
    return softplus(-score * bits).mean()


def _gradients(cell: Cell, p: Mapping[str, Array], seed: int) -> list[float]:
    leaves = {name: Tensor(value, name) for name, value in p.items()}
    xs, bits = marked(seed, BATCH)
    score, run = _score(cell, leaves, xs)
    softplus(-score * bits).mean().backward()
    found = []
    for step in run.steps:
        every = [step[name].grad for name in cell.state]
        squares = [float(np.sum(g.numpy() ** 2)) for g in every if g is not None]
        found.append(float(np.sqrt(sum(squares))))
    return found


def _share(cell: Cell, p: Mapping[str, Array], seed: int, count: int) -> float:
    xs, bits = marked(seed, count)
    score, _ = _score(cell, p, xs)
    return float(np.mean(score.numpy() * bits > 0))


def train(
    cell: Cell,
    fills: Mapping[str, float],
    seed: int,
    progress: Callable[[str], None] = lambda line: None,
) -> TrainedMemory:
    """Train a cell to tell the marked bit from its last output; the same seed, the same run.

    Adam on batches of 32 fresh sequences, at most 300 steps, fewer once every sequence is right.
    DataError if it comes to a nan.
    """
    start = cell.init(seed=seed, inputs=2, hidden=HIDDEN, **fills)
    random = np.random.default_rng(seed)
    width = cell.program(inputs=2, hidden=HIDDEN).outputs[cell.output].shape[-1]
    p: Mapping[str, Array] = {
        **{name: tensor.numpy() for name, tensor in start.items()},
        "read-out": random.normal(0.0, width**-0.5, width),
    }
    seeds = _fresh(random)
    gradients = _gradients(cell, p, next(seeds))
    adam, step = Adam(RATE), 0
    averages = adam.start(p)
    for step in range(1, STEPS + 1):
        xs, bits = marked(next(seeds), BATCH)
        _, slopes = value_and_grad(partial(_loss, cell, xs, bits))(p)
        clipped, norm = clip_by_norm({name: g.numpy() for name, g in slopes.items()}, 1.0)
        if not np.isfinite(norm):
            raise DataError(f"{cell}: the gradient is {norm} at training step {step}.")
        p, averages = adam.update(p, clipped, averages, step)
        if step % 25 == 0:
            share = _share(cell, p, next(seeds), 100)
            progress(f"{step}/{STEPS}: {share:.0%}")
            if share == 1.0:
                break
    return TrainedMemory(step, _share(cell, p, next(seeds), TESTED), gradients)


def best(
    cell: Cell,
    fills: Mapping[str, float],
    seed: int,
    progress: Callable[[str], None] = lambda line: None,
) -> TrainedMemory:
    """The best of up to three trainings from different starts; the first that is good enough."""
    found: list[TrainedMemory] = []
    for start in range(STARTS):
        found.append(train(cell, fills, seed + start, progress))
        if found[-1].share >= ENOUGH:
            break
    return max(found, key=lambda trained: trained.share)


def _fresh(random: np.random.Generator) -> Iterator[int]:
    while True:
        yield int(random.integers(2**62))


def _facts(seed: int) -> Mapping[str, Words]:
    numbers = {
        "steps": STEPS,
        "starts": STARTS,
        "early": EARLY,
        "kept": KEPT,
        "length": EARLY + KEPT,
        "hidden": HIDDEN,
        "tested": TESTED,
    }
    return {"enough": f"{ENOUGH:.0%}", **{name: str(n) for name, n in numbers.items()}}


@make_exercise(11, "fifty-steps", facts=_facts)
def fifty_steps(answer: Answer) -> None:
    """The cell is trained, up to three times."""
    own, fills = answer.cell("memory"), answer.value("fills")
    if not isinstance(fills, dict):
        answer.stop(answer.says["no_fills"], value=repr(fills))
    for name, value in fills.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            answer.stop(answer.says["bad_fill"], name=name, value=repr(value))
    if own.sequences or own.constants:
        answer.stop(answer.says["further"], names=", ".join([*own.sequences, *own.constants]))
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            found = best(own, fills, answer.seed, answer.progress)
    except DataError as error:
        answer.stop(answer.says["diverged"], error=str(error))
    facts = {
        "share": f"{found.share:.0%}",
        "tested": TESTED,
        "steps": found.steps,
        "enough": f"{ENOUGH:.0%}",
        "first": f"{found.gradients[EARLY - 1]:.1e}",
        "last": f"{found.gradients[-1]:.1e}",
        "kept": KEPT,
    }
    if found.share >= ENOUGH:
        answer.right(answer.says["remembers"], **facts)
        if _takes_inputs_apart(own):
            answer.right(answer.says["by_hand"])
        return
    answer.wrong(answer.says["forgets"], **facts)
    lost = found.gradients[EARLY - 1] < 1e-3 * found.gradients[-1]
    answer.wrong(answer.says["vanishes" if lost else "arrives"], **facts)


def _takes_inputs_apart(own: Cell) -> bool:
    """Whether the cell reads an entry of x by its place, as x[1]."""
    program = own.program(inputs=2, hidden=HIDDEN)
    return any(n.op == "getitem" and n.inputs[0] is program.inputs["x"] for n in program.nodes())
