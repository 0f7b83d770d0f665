"""The cells of the tables, and problems for them: built in, posted by people, drawn at random."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import corpus
import numpy as np

from tinygrad_lstm import Cell, Tensor, cells, unroll
from tinygrad_lstm.tensor import Array

CELLS: dict[str, Cell] = {**corpus.CELLS, **cells.all()}


def draw(cell: Cell, time: int, batch: int | None, seed: int = 0, **sizes: int) -> corpus.Problem:
    """A problem for a cell: every number random, each sample with inputs of its own."""
    return corpus.draw(cell, time, batch, seed, **sizes)


def equal_sizes(cell: Cell) -> tuple[int, dict[str, int]]:
    """The smallest size of at least 3 that all sizes of a cell can have."""
    n = max(3, *cell.bounds.values()) if cell.bounds else 3
    return n, dict.fromkeys(cell.sizes, n)


def alone(problem: corpus.Problem, k: int) -> corpus.Problem:
    """The k-th sample of a batch."""
    return corpus.Problem(
        problem.cell,
        problem.sizes,
        problem.p,
        problem.xs[:, k],
        {n: v[k] for n, v in problem.initial.items()},
        {n: v[:, k] for n, v in problem.sequences.items()},
        {n: v[k] for n, v in problem.constants.items()},
    )


class Result:
    """A run of a problem, and the gradient of a random sum of every equation at every step."""

    def __init__(self, problem: corpus.Problem, network: Any = None, start: int = 0) -> None:
        cell = problem.cell
        self.leaves: dict[str, Tensor] = {n: Tensor(v, n) for n, v in problem.p.items()}
        self.leaves["xs"] = Tensor(problem.xs)
        self.leaves |= {f"initial {n}": Tensor(v) for n, v in problem.initial.items()}
        self.leaves |= {n: Tensor(v) for n, v in problem.further.items()}
        self.run = unroll(
            network or cell,
            {n: self.leaves[n] for n in problem.p},
            self.leaves["xs"],
            {n: self.leaves[f"initial {n}"] for n in problem.initial},
            **{n: self.leaves[n] for n in problem.further},
        )
        loss: Any = Tensor(0.0)
        program = cell.program(**problem.sizes)
        for k, (name, node) in enumerate(program.equations.items()):
            value = self.run[name]
            if value.dtype.kind != "f":
                continue
            lead = (1,) * (value.ndim - 1 - node.ndim)
            weights = np.random.default_rng(k).uniform(0.5, 1.5, (len(self.run), *node.shape))
            loss = loss + (value * weights.reshape(len(self.run), *lead, *node.shape)).sum()
        if loss.requires_grad:
            loss.backward()
        self.gradients: Mapping[str, Array | None] = {
            n: None if t.grad is None else t.grad.numpy() for n, t in self.leaves.items()
        }

    def value(self, name: str) -> Array:
        """An equation at all steps."""
        return self.run[name].numpy()


def close(one: Any, other: Any, tolerance: float, what: str) -> None:
    """Two arrays differ by no more than `tolerance` of the larger one's size, or of 1."""
    one, other = np.asarray(one, float), np.asarray(other, float)
    assert one.shape == other.shape, f"{what}: shapes {one.shape} and {other.shape}"
    scale = max(1.0, float(np.max(np.abs(other), initial=0.0)))
    worst = float(np.max(np.abs(one - other), initial=0.0))
    assert worst <= tolerance * scale, f"{what}: {worst:.3g} off at a scale of {scale:.3g}"
