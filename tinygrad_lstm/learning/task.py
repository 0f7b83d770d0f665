"""What is learnt: batches to learn from, held-out data to be tested on, and when it is solved.

task = Task(
    "sign", inputs=1, outputs=2, loss="cross-entropy", at="end",
    batches=draw, test=lambda: next(draw(np.random.default_rng(1), 500)),
    measures={"error": wrong}, solved=lambda found: found["error"] < 0.01,
)
training = learning.Training(task, task.model(cells.lstm), hidden=16, seed=0)
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_lstm.learning.readouts import Readout, readout
from tinygrad_lstm.networks import System
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array

PASS = 250  # batches of one random generator: so many are drawn again at most to go on from a file


def never(found: Mapping[str, float]) -> bool:
    """Whether a task is solved that has no end."""
    return False


@dataclass(frozen=True, eq=False)
class Batch:
    """What a model learns from at once, or is tested on.

    xs: vectors (time, batch, inputs), or the numbers of symbols (time, batch). target: of a task
    at "every" step (time, batch) indices or (time, batch, outputs), of one at the "end" (batch,)
    or (batch, outputs). lengths: (batch,) of padded sequences. weights: how much each position
    counts, (time, batch) or (batch,). further: the network's further inputs, by name. start: how
    many steps of the same sequences came before; above 0 the states go on from the last batch.
    """

    xs: Array
    target: Array
    lengths: Array | None = None
    weights: Array | None = None
    further: Mapping[str, Any] = field(default_factory=dict)
    start: int = 0

    def counts(self, z: Array) -> Array:
        """How much each position of predictions z (…, outputs) counts: an array of shape (…)."""
        counts: Array = np.ones(z.shape[:-1])
        if self.lengths is not None and counts.ndim > self.lengths.ndim:  # not only at the end
            counts *= np.arange(len(counts))[:, None] < self.lengths
        return counts if self.weights is None else counts * self.weights


@dataclass(frozen=True, eq=False)
class Task:
    """A task: what is read and predicted, where batches come from, and what is measured.

    name, options: what it is found by again, and remembered by in a checkpoint; inputs: entries of
    x, or of one-hot vectors, symbols; outputs, loss, at, symbols: as `readout` takes them.
    batches(random, batch): one batch of so many sequences after another, without end or to the end
    of the data. test(): always the same held-out data. measures: numbers of predictions z and a
    batch, such as the share of wrong ones; the first is the main one. solved: of measures by name.
    baselines: measures without learning, by what guesses so ("chance"). fingerprint: of data from
    a file. source, licence, size, about: what to tell of it.
    """

    name: str
    inputs: int
    outputs: int
    loss: str
    at: str
    batches: Callable[[np.random.Generator, int], Iterator[Batch]]
    test: Callable[[], Batch | Sequence[Batch]]
    measures: Mapping[str, Callable[[Array, Batch], float]]
    solved: Callable[[Mapping[str, float]], bool] = never
    symbols: int = 0
    options: Mapping[str, int | float | str] = field(default_factory=dict)
    baselines: Mapping[str, float] = field(default_factory=dict)
    fingerprint: str = ""
    source: str = ""
    licence: str = ""
    size: str = ""
    about: str = ""

    def __str__(self) -> str:
        options = ", ".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.name}({options})" if options else self.name

    __repr__ = __str__

    def model(self, network: Cell | System, *, input: str = "one-hot") -> Readout:
        """The network with the read-out and loss of this task: see `readout`."""
        return readout(
            network,
            self.outputs,
            loss=self.loss,
            at=self.at,
            symbols=self.symbols,
            input=input if self.symbols else "embedding",
        )

    def reading(self, seed: int, number: int, batch: int) -> Iterator[Batch]:
        """The batches of pass `number` over the data, which depend on the seed and it alone."""
        random = np.random.default_rng([seed, number])
        return itertools.islice(self.batches(random, batch), PASS)
