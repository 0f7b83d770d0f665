"""Examples of a task as text: what is read, step by step, and what is asked for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinygrad_lstm.learning.task import Batch, Task
from tinygrad_lstm.tensor import Array

BARS = "▁▂▃▄▅▆▇█"
STEPS = 60  # that are shown of a sequence


def examples(task: Task, random: np.random.Generator, count: int, width: int) -> Iterator[str]:
    """So many sequences of a batch, each a few lines."""
    batch = next(task.batches(random, count))
    for b in range(min(count, np.shape(batch.xs)[1])):
        yield example(task, batch, b, width)


def example(task: Task, batch: Batch, b: int, width: int) -> str:
    """One sequence: rows of what is read, one column a step where there is room; the target."""
    steps = int(batch.lengths[b]) if isinstance(batch.lengths, np.ndarray) else len(batch.xs)
    shown = max(8, min(steps, STEPS, width - 12))
    rows = _inputs(task, batch.xs[:steps, b])
    if task.at == "every":
        rows["predicts"] = _outputs(task, batch.target[:steps, b])
    lines = [f"{name:>8}  {_cut(cells, shown)}" for name, cells in rows.items()]
    if task.at == "end":
        lines.append(f"  answer  {_answer(task, batch.target[b])}")
    return f"sequence of {steps} steps\n" + "\n".join(lines)


def _inputs(task: Task, xs: Array) -> dict[str, list[str]]:
    if task.symbols:
        return {"reads": [_symbol(task, int(k)) for k in xs]}
    if xs.shape[-1] > 12:
        return {"reads": [f"({', '.join(map(str, np.flatnonzero(x)))})" for x in xs]}
    low, high = float(xs.min()), float(xs.max())
    return {f"x{k}": [_bar(v, low, high) for v in xs[:, k]] for k in range(xs.shape[-1])}


def _outputs(task: Task, target: Array) -> list[str]:
    if task.loss == "cross-entropy":
        return [_symbol(task, int(k)) for k in target]
    if target.shape[-1] > 12:
        return [f"({', '.join(map(str, np.flatnonzero(y)))})" for y in target]
    low, high = float(target.min()), float(target.max())
    return [_bar(float(y[0]), low, high) for y in target]


def _answer(task: Task, target: Array) -> str:
    if task.loss != "cross-entropy":
        return ", ".join(f"{value:.3f}" for value in np.reshape(target, -1))
    named = task.classes[int(target)] if task.classes else f"class {int(target)}"
    return f"{named} (of {task.outputs})"


def _symbol(task: Task, number: int) -> str:
    return task.alphabet[number] if task.alphabet else str(number)


def _bar(value: float, low: float, high: float) -> str:
    return BARS[round((len(BARS) - 1) * (value - low) / (high - low))] if high > low else BARS[0]


def _cut(cells: list[str], shown: int) -> str:
    wide = max(map(len, cells)) > 1
    cells = [{"\n": "↵", "\t": "→"}.get(cell, cell) for cell in cells]
    if wide:  # words: as many as there is room for
        room = [sum(map(len, cells[:k])) + k for k in range(len(cells) + 1)]
        shown = max(2, sum(length <= shown for length in room) - 1)
    end = " …" if len(cells) > shown else ""
    return (" " if wide else "").join(cells[:shown]) + end
