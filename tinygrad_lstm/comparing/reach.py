"""How far gradients reach: |∂h_T/∂s_t| over the lag T - t."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_lstm import functions
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.learning.readouts import Readout
from tinygrad_lstm.learning.task import Batch, Task
from tinygrad_lstm.running import Run
from tinygrad_lstm.tensor import Array, Tensor

SEQUENCES, LONGEST = 8, 512  # that are looked at, and how many steps back


def reach(task: Task, model: Readout, p: Mapping[str, Array]) -> list[float]:
    """For each lag k = 1, 2, …: |∂h_T/∂s_{T-k}| of a model on sequences of its task's.

    h_T is the cell's output at the end of a sequence, s_t the whole state that is carried from step
    t to the next, as independent of one another. The norm of the gradient of h_T, taken in a random
    direction of length 1; the root of its mean square over sequences. [] for networks that do not
    run step by step.
    """
    try:
        return _reach(task.tests()[0], model, p)
    except TinygradError:  # such as a network with a part that reads backward
        return []


def _reach(batch: Batch, model: Readout, p: Mapping[str, Array]) -> list[float]:
    xs, dtype = batch.xs[:, :SEQUENCES], next(iter(p.values())).dtype
    lengths = batch.lengths
    time = int(lengths[:SEQUENCES].min()) if isinstance(lengths, np.ndarray) else len(xs)
    steps: list[tuple[dict[str, Tensor], Run]] = []  # the states before a step, cut off; the step
    states = dict[str, Any]()
    for t in range(time):
        before = {n: Tensor(value, n) for n, value in states.items()}
        run = model.run(p, xs[t : t + 1], initial=before or None, seed=t)
        states = {n: state.data.astype(dtype) for n, state in run.final.items()}
        steps.append((before, run))
    last = steps[-1][1]
    h = last[last.cell.output][-1]
    direction = np.random.default_rng(0).standard_normal((h.shape[0], h.size // h.shape[0]))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    toward = [(h, direction.reshape(h.shape))]
    found: list[float] = []
    adjoints = dict[str, Array]()
    for before, run in reversed(steps[1:][-LONGEST:]):
        if found:
            toward = [(run.final[n], adjoint) for n, adjoint in adjoints.items()]
        parts = [(value * a.astype(value.dtype)).sum() for value, a in toward]
        functions.stack(parts).sum().backward()
        adjoints = {n: _gradient(leaf) for n, leaf in before.items()}
        squares = [(a.reshape(len(a), -1).astype(float) ** 2).sum(1) for a in adjoints.values()]
        found.append(float(np.sqrt(np.mean(np.sum(squares, axis=0)))))
    return found


def _gradient(leaf: Tensor) -> Array:
    gradient: Array = np.zeros(leaf.shape) if leaf.grad is None else leaf.grad.data
    return gradient
