"""Writing out a wave without input: the clockwork network beside the plain one and the LSTM."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from benchmarks.experiments.parts import Part, beside, learnt, spread, table
from lesson import plots
from tinygrad_lstm.cells.clocked import clock, mask
from tinygrad_lstm.learning import Adam, tasks

PERIODS = tuple(2**k for k in range(9))
SIZES = {"rnn": 31, "lstm": 15, "clockwork": 40}
RATES, WAVES, STEPS, LENGTH = (0.001, 0.003, 0.01), 5, 2500, 320


def _run(cell: str, wave: int, rate: float, steps: int) -> dict[str, Any]:
    task, hidden = tasks.find("sequence-generation", wave=wave), SIZES[cell]
    if cell == "clockwork":
        ticks = clock(PERIODS, hidden, LENGTH)[:, None]
        task = beside(task, clock=ticks, mask=mask(PERIODS, hidden))
    return learnt(task, cell, steps, wave, max(1, steps // 50), False, hidden=hidden,
                  optimiser=Adam(rate), batch=1)  # fmt: skip


def parts(budget: float) -> list[Part]:
    """A part for each cell, wave and rate."""
    waves = max(1, math.ceil(WAVES * min(1.0, budget)))
    steps = max(50, round(STEPS * budget))

    def run(cell: str, wave: int, rate: float) -> Callable[[], dict[str, Any]]:
        return lambda: _run(cell, wave, rate, steps)

    return [
        Part(f"{cell}, wave {wave}, rate {rate:g}", run(cell, wave, rate))
        for wave in range(waves)
        for rate in RATES
        for cell in SIZES
    ]


def _best(found: dict[str, Any]) -> dict[str, dict[int, tuple[float, float, dict[str, Any]]]]:
    """By cell and wave: the lowest error over rates, with its rate and training."""
    best: dict[str, dict[int, tuple[float, float, dict[str, Any]]]] = {c: {} for c in SIZES}
    for key, row in found.items():
        cell, wave, rate = (part.split()[-1] for part in key.split(", "))
        before = best[cell].get(int(wave))
        if before is None or row["best"] < before[0]:
            best[cell][int(wave)] = (row["best"], float(rate), row)
    return best


def pictures(found: dict[str, Any]) -> dict[str, str]:
    """Learning curves of the first wave, each cell at its best rate."""
    lines = {
        cell: [(float(step), value) for step, value in waves[0][2]["curve"] if step]
        for cell, waves in _best(found).items()
        if 0 in waves
    }
    title = "Writing out a wave: error while learning, first wave, best rate of each"
    return {
        "clockwork.svg": plots.curves(
            lines, title, "steps", "squared error over the variance", y_log=True
        )
    }


def page(found: dict[str, Any]) -> str:
    """The error of each at its best rate."""
    rows = []
    for cell, waves in _best(found).items():
        if waves:
            values = [v for v, _, _ in waves.values()]
            rates = sorted({rate for _, rate, _ in waves.values()})
            count = next(iter(waves.values()))[2]["parameters"]
            rows.append((cell, SIZES[cell], count, len(values), spread(values),
                         ", ".join(f"{r:g}" for r in rates)))  # fmt: skip
    return f"""
A network without input is to write out a wave of 320 steps, a sum of eight sines: all it has is its
state. Sizes are of about a thousand weights (those of the clockwork network that a mask takes away
are counted). Each cell has the same small search over Adam's rate; the lowest error met is given,
which is the squared error over the variance of the wave: 1 is the mean.

{table(["cell", "units", "parameters", "waves", "lowest error", "rates that won"], rows)}

The task is that of Koutník et al. (2014), who write 7 ms of music; their figures could not be
checked against the paper and are not repeated. The starts of the parameters are ours.

![Learning curves of the first wave.](clockwork.svg)
"""
