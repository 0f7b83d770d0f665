"""Curves: a wave to be generated without input, and sunspots."""

from __future__ import annotations

from functools import cache

import numpy as np

from tinygrad_lstm.errors import DataError
from tinygrad_lstm.learning.task import Batch, Task
from tinygrad_lstm.learning.tasks import measures
from tinygrad_lstm.learning.tasks.drawn import Random, endless
from tinygrad_lstm.learning.tasks.measures import DRAWN, Measure
from tinygrad_lstm.learning.tasks.packages import packaged
from tinygrad_lstm.learning.tasks.registry import Lazily, at_least, task
from tinygrad_lstm.tensor import Array

SINES, FIRST_HELD_OUT = 8, 1921


def of_variance(variance: float) -> Measure:
    """The mean squared error as a share of a variance."""
    return lambda z, batch: measures.squared(z, batch) / variance


def wave_of(wave: int, length: int) -> Array:
    """A sum of sines, periods log-uniform in [6, 320], between -1 and 1: (length,)."""
    random = np.random.default_rng([wave, 320])
    periods = np.exp(random.uniform(np.log(6), np.log(320), SINES))
    sizes, phases = random.uniform(0.2, 1.0, SINES), random.uniform(0.0, 2 * np.pi, SINES)
    t = np.arange(length)[:, None]
    curve = (sizes * np.sin(2 * np.pi * t / periods + phases)).sum(1)
    middle = (curve.max() + curve.min()) / 2
    scaled: Array = (curve - middle) / ((curve.max() - curve.min()) / 2 or 1.0)
    return scaled


@task("sequence-generation", wave="which wave, a number", length="steps of the wave")
def sequence_generation(*, wave: int = 0, length: int = 320) -> Task:
    """A wave is to be written out, with no input to tell where in it one is.

    The clockwork paper takes 7 ms of music, 320 samples; here the wave is a sum of 8 sines whose
    periods are log-uniform in [6, 320], scaled to [-1, 1]. x is 0 at all steps. There is one
    sequence, which is learnt and tested; the error is the squared error over the variance of the
    wave.
    """
    at_least("sequence-generation", wave=(wave, 0), length=(length, 2))
    curve = wave_of(wave, length).astype(np.float32)[:, None, None]
    one = Batch(np.zeros((length, 1, 1), np.float32), curve)
    return Task(
        "sequence-generation",
        inputs=1,
        outputs=1,
        loss="squared-error",
        at="every",
        batches=endless(lambda random, batch: one),
        test=lambda: one,
        measures={"error": of_variance(float(curve.var())), "squared error": measures.squared},
        solved=lambda found: found["error"] < 0.01,
        baselines={"error of the mean": 1.0},
        source="Koutník, Greff, Gomez and Schmidhuber 2014, A Clockwork RNN, task 1",
        licence=DRAWN,
        size=f"one sequence of {length:,} steps",
    )


@cache
def _sunspots() -> tuple[Array, Array]:
    (file,) = packaged("sunspots", "statsmodels", "sunspots/sunspots.csv")
    rows = np.loadtxt(file, delimiter=",", skiprows=1)
    return rows[:, 0].astype(int), rows[:, 1]


@task("sunspots", needs="statsmodels", length="years of a sequence to learn from")
def sunspots(*, length: int = 80) -> Task:
    """How many sunspots will there be next year?

    Yearly numbers since 1700, over 100. Learnt from sequences of `length` years before 1921; tested
    on the years from 1921 on, with all that came before as context. The error is the squared error
    over the variance of all years. Solved: better than a linear prediction from nine years, which
    is fitted to the years before 1921.
    """
    years, numbers = _sunspots()
    known = int((years < FIRST_HELD_OUT).sum())
    at_least("sunspots", length=(length, 2))
    if length >= known:
        raise DataError(f"sunspots: length must be below {known}, the years learnt from.")
    values = (numbers / 100.0).astype(np.float32)
    variance = float(values.var())

    def draw(random: Random, batch: int) -> Batch:
        places = random.integers(0, known - length, batch) + np.arange(length + 1)[:, None]
        return Batch(values[places[:-1], None], values[places[1:], None])

    @cache
    def test() -> Batch:
        weights = (years[1:] >= FIRST_HELD_OUT).astype(float)[:, None]
        return Batch(values[:-1, None, None], values[1:, None, None], weights=weights)

    @cache
    def baselines() -> dict[str, float]:
        held = values[known:]
        rows = np.stack([values[9 - k - 1 : len(values) - k - 1] for k in range(9)], axis=1)
        rows = np.hstack([rows, np.ones((len(rows), 1))])
        w, *_ = np.linalg.lstsq(rows[: known - 9], values[9:known], rcond=None)
        found = {
            "error of the mean": values[:known].mean() - held,
            "error of the last value": values[known - 1 : -1] - held,
            "error of nine years": rows[known - 9 :] @ w - held,
        }
        return {name: float((wrong**2).mean() / variance) for name, wrong in found.items()}

    return Task(
        "sunspots",
        inputs=1,
        outputs=1,
        loss="squared-error",
        at="every",
        batches=endless(draw),
        test=test,
        measures={"error": of_variance(variance), "squared error": measures.squared},
        solved=lambda found: found["error"] < baselines()["error of nine years"],
        baselines=Lazily(baselines),
        source="the yearly sunspot numbers in the package statsmodels, from NOAA",
        licence="public domain",
        size=f"{len(years)} years, {len(years) - known} of them held out",
    )
