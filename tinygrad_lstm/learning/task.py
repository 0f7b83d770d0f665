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
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.errors import CellError, DataError
from tinygrad_lstm.learning.models import Model
from tinygrad_lstm.learning.own_losses import OWN, OwnLoss
from tinygrad_lstm.learning.readouts import INPUTS, Readout, readout
from tinygrad_lstm.networks import System
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array

PASS = 250  # batches of one random generator: so many are drawn again at most to go on from a file
_LEARNING = 3  # apart from other uses of a seed: default_rng(k) and default_rng([k, 0]) are alike


Predict = Callable[..., tuple[Array, Mapping[str, Any]]]


def never(found: Mapping[str, float]) -> bool:
    """Whether a task is solved that has no end."""
    return False


@dataclass(frozen=True, eq=False)
class Batch:
    """What a model learns from at once, or is tested on.

    xs: vectors (time, batch, inputs), or the numbers of symbols (time, batch). target: of a task
    at "every" step (time, batch) indices or (time, batch, outputs), of one at the "end" (batch,)
    or (batch, outputs); nothing of it is read where the network has a loss of its own. lengths:
    (batch,) of padded sequences, of a system by the names of its inputs where they differ. weights:
    how much each position counts, (time, batch) or (batch,). further: the network's further inputs,
    by name. start: how many steps of the same sequences came before; above 0 the states go on from
    the last batch.
    seed: of the network's noise, that of the step of learning unless given.
    """

    xs: Array
    target: Array
    lengths: Array | Mapping[str, Array] | None = None
    weights: Array | None = None
    further: Mapping[str, Any] = field(default_factory=dict)
    start: int = 0
    seed: int | None = None

    def counts(self, z: Array) -> Array:
        """How much each position of predictions z (…, outputs) counts: an array of shape (…)."""
        counts: Array = np.ones(z.shape[:-1])
        if isinstance(self.lengths, np.ndarray) and counts.ndim > self.lengths.ndim:  # every step
            counts *= np.arange(len(counts))[:, None] < self.lengths
        return counts if self.weights is None else counts * self.weights


@dataclass(frozen=True, eq=False)
class Task:
    """A task: what is read and predicted, where batches come from, and what is measured.

    name, options: what it is found by again, and remembered by in a checkpoint; inputs: entries of
    x, or of one-hot vectors, symbols; outputs, loss, at, symbols: as `readout` takes them, or the
    loss "own", outputs 0, for networks that declare one.
    batches(random, batch): one batch of so many sequences after another, without end or to the end
    of the data. test(): always the same held-out data. measures: numbers of predictions z and a
    batch, such as the share of wrong ones; the first is the main one. solved: of measures by name.
    baselines: measures without learning, by what guesses so ("chance"). fingerprint: of data from
    a file. alphabet, classes: what its symbols, and outputs that are other things, are called.
    source, licence, size, about: what to tell of it.
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
    in_bits: bool = False
    alphabet: Sequence[str] = ()
    classes: Sequence[str] = ()
    source: str = ""
    licence: str = ""
    size: str = ""
    about: str = ""

    def __str__(self) -> str:
        options = ", ".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.name}({options})" if options else self.name

    __repr__ = __str__

    def model(self, network: Cell | System, *, input: str | None = None) -> Readout:
        """The network with the read-out and loss of this task: see `readout`.

        input: what is made of symbols; or "linear", where vectors are read through a matrix. Where
        it is not said, the network reads them itself, one-hot or as they are, unless its x is as
        long as its state, as that of the cells MUT: then symbols are embedded, and vectors linear.
        """
        if self.loss == OWN:
            return OwnLoss(network)
        x = dimensions.names({"x": network.x})
        tied = bool(x) and {*x} <= {*dimensions.names(dict(network.state))}
        if input is None:
            input = ("embedding" if self.symbols else "linear") if tied else "one-hot"
        if input not in (INPUTS if self.symbols else ("linear", "one-hot")):
            raise DataError(f"{self}: its input is no {input!r}, but {' or '.join(INPUTS)}.")
        return readout(
            network,
            self.outputs,
            loss=self.loss,
            at=self.at,
            symbols=self.symbols,
            input=input if self.symbols else "embedding",
            vectors=self.inputs if input == "linear" else 0,
        )

    def by_own_loss(self) -> Task:
        """The same sequences, for networks that declare a loss: nothing else is to be predicted."""
        return replace(
            self,
            outputs=0,
            loss=OWN,
            at="every",
            symbols=0,
            batches=lambda random, batch: map(self._read_alone, self.batches(random, batch)),
            test=lambda: list(map(self._read_alone, self.tests())),
            measures={"loss": lambda z, batch: float(z.mean())},
            solved=never,
            baselines={},
        )

    def _read_alone(self, batch: Batch) -> Batch:
        xs = np.eye(self.symbols)[batch.xs] if self.symbols else batch.xs
        return replace(batch, xs=xs, target=np.empty(0), weights=None)

    def fitted(self, model: Model | Readout | Cell | System, /, **options: Any) -> Model:
        """The model with sizes that fit what is read; options are those of a `Model`.

        DataError where it predicts or reads something else, ShapeError, CellError where it cannot.
        """
        if isinstance(model, Cell | System):
            model = self.model(model)
        head = model.readout if isinstance(model, Model) else model
        if not isinstance(head, Readout):
            raise CellError(f"{self}: a cell, a network or a readout is needed, got {head!r}.")
        own = {name: getattr(self, name) for name in ("outputs", "loss", "at", "symbols")}
        theirs = {**{name: getattr(head, name) for name in own}, "loss": head.loss.name}
        if other := [f"{name}={own[name]!r}" for name in own if own[name] != theirs[name]]:
            raise DataError(
                f"{head} does not fit the task {self}, which has {', '.join(other)}.\n"
                f"  Make it by task.model(network)."
            )
        noise = getattr(head.network, "noise", ())
        further = model.further if isinstance(model, Model) else options.get("further")
        if further is None and (names := [n for n in head.network.extra_inputs if n not in noise]):
            given = self.tests()[0].further
            if missing := ", ".join(name for name in names if name not in given):
                raise CellError(
                    f"{head.network} has further inputs ({missing}), which {self} does not give.\n"
                    "  Make them parameters, or pass further=f in Python, a function "
                    "f(start, shape) of their values."
                )
        if isinstance(model, Model):
            return model
        return Model(model, reads=self.inputs, **options)

    def reading(self, seed: int, number: int, batch: int) -> Iterator[Batch]:
        """The batches of pass `number` over the data, which depend on the seed and it alone."""
        random = np.random.default_rng([seed, number, _LEARNING])
        for found in itertools.islice(self.batches(random, batch), PASS):
            if not isinstance(found, Batch):
                raise DataError(f"{self}: batches are to be of the class Batch, got {type(found)}.")
            yield found

    def tests(self) -> Sequence[Batch]:
        """The held-out data as batches."""
        found = self.test()
        return [found] if isinstance(found, Batch) else list(found)

    def example(self, step: int) -> str:
        """What a record keeps to be looked at, after so many steps."""
        return ""


def measured(
    task: Task, batches: Sequence[Batch], model: Model, predict: Predict
) -> dict[str, float]:
    """A task's measures of a model's predictions: their mean over batches, as much as each counts.

    predict: as `Objective.predict`, of parameters as they are. DataError where a prediction or a
    measure is not finite.
    """
    total, weight, states = dict.fromkeys(task.measures, 0.0), 0.0, None
    for batch in batches:
        z, states = predict(
            batch.xs,
            initial=states if batch.start else None,
            lengths=batch.lengths,
            seed=batch.seed or 0,
            further={**batch.further, **model.inputs(batch.xs, batch.start)},
        )
        counts = batch.counts(z)
        if not np.isfinite(z[counts > 0]).all():
            raise DataError("its predictions of held-out data are infinite or nan")
        for name, measure in task.measures.items():
            total[name] += float(measure(z, batch)) * counts.sum()
        weight += counts.sum()
    found = {name: float(value / weight) for name, value in total.items()}
    for name, value in found.items():
        if not np.isfinite(value):
            raise DataError(f"{name} on held-out data is {value}")
    return found
