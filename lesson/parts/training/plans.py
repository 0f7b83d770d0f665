"""What the page trains a cell with: its step as JavaScript, its start, and its further inputs.

A parameter starts as `init(seed=1)` draws it. The page draws the same numbers itself, by NumPy's
generator PCG64:

    θ_k = bound (2 u_k - 1)        u_k uniform in [0, 1), numbers `at`, `at` + 1, … of a stream

so that only what is drawn otherwise has to be carried.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from lesson.page_models import bare
from tinygrad_lstm import cells, compiled
from tinygrad_lstm.cells.clocked import clock, mask
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.learning import readout
from tinygrad_lstm.learning.readouts import Readout
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array

SYMBOLS, UNITS, INPUTS = 72, 32, 16  # what the plans are made for
LENGTH = 24  # time steps of a batch; sequences among the further inputs repeat after it
SEED = 1
STREAMS = SEED, [SEED, 1]  # of a cell's own parameters, and of those around it


@dataclass(frozen=True)
class Further:
    """What text does not give a cell: its further inputs by name, and sizes that go with them."""

    inputs: Mapping[str, Array] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)


PERIODS, BLOCKS = (1, 2, 4, 8), 8
FURTHER: Mapping[Cell, Further] = {
    cells.lstm_1997: Further(
        {"expand": np.kron(np.eye(BLOCKS), np.ones((UNITS // BLOCKS, 1)))}, {"blocks": BLOCKS}
    ),
    cells.clockwork: Further(
        {"clock": clock(PERIODS, UNITS, LENGTH), "mask": mask(PERIODS, UNITS)}
    ),
}


def further(cell: Cell) -> Further:
    """What a cell is given beside the letters: nothing, or what `FURTHER` has."""
    return FURTHER.get(cell, Further())


def sizes(cell: Cell) -> dict[str, int]:
    """The cell's sizes in the page: all as wide as the state, but the input."""
    own = {name: INPUTS if name == "inputs" else UNITS for name in cell.sizes}
    return own | dict(further(cell).sizes)


def model(cell: Cell) -> Readout:
    """The cell between an embedding of letters and the guess of the next one."""
    return readout(cell, SYMBOLS, symbols=SYMBOLS)


@cache
def printed(cell: Cell) -> str:
    """The step with read-out and loss as JavaScript, or "" if there is none."""
    try:
        code: str = compiled(model(cell).step(**sizes(cell))).source("js", np.float64)
    except TinygradError:
        return ""
    return bare(code)


def start(cell: Cell) -> dict[str, Array]:
    """The parameters before the first step, as the page draws them."""
    return unpacked(packed(cell))


def packed(cell: Cell) -> dict[str, Any]:
    """The start for the page, by name: what is drawn, what is one number, or all numbers."""
    fresh = model(cell).init(seed=SEED, dtype=np.float64, **sizes(cell))
    found, places = {}, [0, 0]
    for name, value in fresh.items():
        stream = int(name not in cell.parameters)
        numbers, at = value.reshape(-1), places[stream]
        places[stream] += numbers.size
        drawn, shape = uniform(stream, at, numbers.size), list(value.shape)
        bound = float(numbers @ drawn / (drawn @ drawn))
        if (numbers == numbers[0]).all():
            found[name] = {"shape": shape, "all": float(numbers[0])}
        elif np.allclose(numbers, bound * drawn, rtol=1e-9, atol=1e-15):
            found[name] = {"shape": shape, "stream": stream, "at": at, "bound": bound}
        else:
            found[name] = {"shape": shape, "numbers": numbers.tolist()}
    return found


def unpacked(kept: Mapping[str, Any]) -> dict[str, Array]:
    """The parameters that `packed` tells of."""
    found = {}
    for name, one in kept.items():
        count = int(np.prod(one["shape"], dtype=int))
        if "bound" in one:
            numbers = one["bound"] * uniform(one["stream"], one["at"], count)
        else:
            numbers = np.asarray(one.get("numbers", one.get("all")), float)
        found[name] = np.broadcast_to(numbers, count).reshape(one["shape"])
    return found


def uniform(stream: int, at: int, count: int) -> Array:
    """Numbers of a stream, uniform within ±1."""
    drawn: Array = 2 * np.random.default_rng(STREAMS[stream]).random(at + count)[at:] - 1
    return drawn


def generators() -> list[list[str]]:
    """State and increment of each stream's PCG64, as text: they have 128 bits."""
    states = (np.random.default_rng(seed).bit_generator.state["state"] for seed in STREAMS)
    return [[str(state["state"]), str(state["inc"])] for state in states]
