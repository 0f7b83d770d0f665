"""Small problems for any cell: its sizes, and values for its further inputs."""

from typing import Any

import numpy as np

from tinygrad_lstm import Cell
from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.cells import clocked


def sizes_of(cell: Cell, hidden: int = 2, inputs: int = 1) -> dict[str, int]:
    """Sizes: `inputs` where the cell has that size, `hidden` for every other."""
    return {name: inputs if name == "inputs" else hidden for name in cell.sizes}


def further(cell: Cell, sizes: dict[str, int], *lead: int, seed: int = 11) -> dict[str, Any]:
    """Random values of the further inputs; lead is (time,) or (time, batch)."""
    random = np.random.default_rng(seed)
    found = {
        name: random.normal(size=(*lead, *dimensions.shape(words, sizes)))
        for name, words in cell.sequences.items()
    }
    for name, words in cell.constants.items():
        found[name] = random.normal(size=dimensions.shape(words, sizes))
    return found


def useful(cell: Cell, units: int) -> Any:
    """A function of (start, shape) that gives the further inputs of a cell that is to learn.

    One cell a block, a layer below that says nothing, and periods 1, 2, 4 and 8.
    """
    periods = [1, 2, 4, 8]

    def values(start: int, shape: tuple[int, ...]) -> dict[str, Any]:
        known = {
            "expand": np.eye(units),
            "C_below": np.zeros((*shape, units)),
            "clock": clocked.clock(periods, units, shape[0], start),
            "mask": clocked.mask(periods, units),
        }
        return {name: known[name] for name in (*cell.sequences, *cell.constants)}

    return values if cell.sequences or cell.constants else None
