"""A run that is small enough to be calculated by hand, of any cell."""

from __future__ import annotations

import numpy as np

from tinygrad_lstm import Tensor, unroll
from tinygrad_lstm.step import Cell


def small_run(cell: Cell) -> Tensor:
    """A cell of the smallest size over two inputs, after backward; the loss is (h - 1)² / 2."""
    sizes = {name: cell.bounds.get(name, 1) for name in cell.sizes}
    p = cell.init(seed=3, **sizes)
    shape = cell.program(**sizes).inputs["x"].shape
    run = unroll(cell, p, np.stack([np.full(shape, 1.0), np.full(shape, -0.5)]))
    loss: Tensor = 0.5 * (run.steps[-1][cell.output] - 1.0) ** 2
    loss = loss.sum()
    loss.name = "L"
    loss.backward()
    return loss
