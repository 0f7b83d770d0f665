"""The loss of a model on a batch and its gradient, computed without a graph where it is compiled.

    objective = Objective(model, parameters, hidden=128, inputs=64)
    outcome = objective(parameters, symbols, following, initial=states)
    outcome.loss, outcome.gradient["W_f"], outcome.final["h"]

What the first batch of a shape is checked for and made ready for is not done again for the next.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lstm.differentiate import value_and_grad
from tinygrad_lstm.kernels import compiled
from tinygrad_lstm.kernels.compiled_cell import Compiled, with_outer_inputs
from tinygrad_lstm.kernels.kernel import Call, Given
from tinygrad_lstm.kernels.threads import threads
from tinygrad_lstm.learning.flat import Flat, entries
from tinygrad_lstm.learning.losses import check_indices, check_weights
from tinygrad_lstm.learning.passes import add_rows
from tinygrad_lstm.learning.readouts import LOSS, TARGET, E, Readout, Z
from tinygrad_lstm.parameters import Parameters
from tinygrad_lstm.sequence_inputs import (
    Fixed,
    Prepared,
    SequenceInputs,
    Steps,
    prepare,
    read_inputs,
)
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array, Tensor

_KEPT = 16  # shapes of batches whose memory is kept


@dataclass(frozen=True)
class Outcome:
    """The mean loss of a batch, its gradient, and the network's states after the last step."""

    loss: float
    gradient: Flat
    final: Mapping[str, Array]


class Objective:
    """A model's loss and gradient on batches, in the dtype of its parameters.

    sizes: those of the network. eager: by the interpreter, operation by operation. Networks of
    several parts, and numbers that are neither float32 nor float64, are compiled part by part.
    """

    def __init__(self, model: Readout, p: Flat, *, eager: bool = False, **sizes: int) -> None:
        self.model, self.network = model, model.network if eager else compiled(model.network)
        self._cell = None if eager else self._joined(p.vector.dtype, sizes)
        self._batches: dict[Any, _Batches] = {}

    def _joined(self, dtype: Any, sizes: dict[str, int]) -> Compiled | None:
        """The step with read-out and loss, where it is one Program that compiled code reads."""
        one = self.model.joined and isinstance(self.model.network, Cell)
        if not one or dtype not in (np.float32, np.float64):
            return None
        cell = self.model.step(**sizes)
        outside = with_outer_inputs(cell.program()).inputs.keys() - cell.program().inputs
        return None if outside else compiled(cell)

    def __call__(
        self,
        p: Flat,
        xs: Any,
        target: Any,
        *,
        initial: Mapping[str, Any] | None = None,
        lengths: Any = None,
        weights: Any = None,
        seed: int = 0,
        further: Mapping[str, Any] | None = None,
    ) -> Outcome:
        """The mean loss over all positions that have a target, and its gradient.

        xs: vectors (time, batch, …), or the numbers of symbols (time, batch); target: for each
        position, or for each sequence where the model reads out at the end; weights: how much each
        of these counts; initial, lengths and seed as `unroll` takes them; further: the network's
        further inputs by name. What lies past the end of a sequence counts nothing.
        """
        options = {"initial": initial, "lengths": lengths, "seed": seed}
        if self._cell is None:
            return self._by_graph(p, xs, target, weights, {**options, **(further or {})})
        batches, read = self._read(p, xs, np.asarray(target), options, further or {})
        return batches.learn(p, read, weights)

    def predict(
        self,
        p: Flat,
        xs: Any,
        *,
        initial: Mapping[str, Any] | None = None,
        lengths: Any = None,
        seed: int = 0,
        further: Mapping[str, Any] | None = None,
    ) -> tuple[Array, Mapping[str, Array]]:
        """The model's predictions z, as `Readout.predict` gives them, and the final states."""
        model, xs = self.model, np.asarray(xs)
        options = {"initial": initial, "lengths": lengths, "seed": seed}
        if self._cell is None:
            run = model.run(p, xs, self.network, **options, **(further or {}))
            final = {name: state.data for name, state in run.final.items()}
            return model.predict(p, run, lengths).data, final
        vectors = xs.ndim - (not model.symbols)
        shape = xs.shape[1 if model.at == "end" else 0 : vectors]
        shape = shape if model.loss.indices else (*shape, model.outputs)
        unknown = np.zeros(shape, np.intp if model.loss.indices else p.vector.dtype)
        batches, read = self._read(p, xs, unknown, options, further or {})
        return batches.predict(p, read)

    def _read(
        self,
        p: Flat,
        xs: Any,
        target: Array,
        options: Mapping[str, Any],
        further: Mapping[str, Any],
    ) -> tuple[_Batches, _Read]:
        """A batch once it is checked, and what compiled code has for one of its shape."""
        assert self._cell is not None
        initial, lengths, seed = options["initial"], options["lengths"], options["seed"]
        model, given, xs = self.model, {**(initial or {}), **further}, np.asarray(xs)
        if model.symbols:
            check_indices("symbols", xs, model.symbols)
        if model.loss.indices:
            check_indices("targets", target, model.outputs)
        key = xs.shape, target.shape, *((n, np.shape(v)) for n, v in given.items())
        batches = self._batches.get(key)
        if batches is None or lengths is not None or self._cell.noise:
            x = np.zeros((*xs.shape, p[E].shape[1])) if model.embeds else xs
            x = np.zeros((*xs.shape, model.symbols)) if model.symbols and not model.embeds else x
            more = {**further, TARGET: target.astype(p.vector.dtype)}
            inputs = read_inputs(self._cell, x, initial, lengths, False, seed, more)
            names = self._cell.parameters
            ready = prepare(self._cell, Parameters({n: Tensor(p[n], n) for n in names}, ""), inputs)
            if batches is None:
                if len(self._batches) >= _KEPT:
                    del self._batches[next(iter(self._batches))]
                batches = self._batches[key] = _Batches(model, self._cell, ready, inputs, p)
            further = {n: _whole(value) for n, value in ready.extra_inputs.items() if n != TARGET}
        present = None
        if lengths is not None:
            present = np.arange(len(xs))[:, None] < np.reshape(lengths, -1)
        return batches, _Read(xs, target, initial or {}, present, further)

    def _by_graph(
        self, p: Flat, xs: Any, target: Any, weights: Any, options: Mapping[str, Any]
    ) -> Outcome:
        model, final = self.model, dict[str, Array]()

        def loss(leaves: Mapping[str, Tensor]) -> Tensor:
            run = model.run(leaves, xs, self.network, **options)
            final.update({name: state.data for name, state in run.final.items()})
            return model.batch_loss(leaves, run, target, weights, options["lengths"])

        value, gradients = value_and_grad(loss)({name: p[name] for name in p})
        return Outcome(value.item(), p.fit(gradients), final)


@dataclass(frozen=True)
class _Read:
    """A batch; present: whether a sequence has not ended, (time, batch), None where all last."""

    xs: Array
    target: Array
    initial: Mapping[str, Any]
    present: Array | None
    further: Mapping[str, Any]


class _Batches:
    """Batches of one shape: their memory, and how compiled code is given them."""

    def __init__(
        self, model: Readout, cell: Compiled, ready: Prepared, inputs: SequenceInputs, p: Flat
    ) -> None:
        program, dtype = ready.program, p.vector.dtype
        self.model, self.cell, self.dtype = model, cell, dtype
        self.own = {name: tuple(map(int, node.shape)) for name, node in program.inputs.items()}
        self.lead, end = inputs.batch_shape, {TARGET} & {*cell.constants}
        self.time, self.batch = inputs.time, math.prod(self.lead)
        self.moving = frozenset(ready.each & {*cell.constants} | end)
        wants = frozenset({"x"} if model.embeds else ())
        kernel = cell.kernel(program, dtype, frozenset({LOSS}), wants, self.moving)
        self.call = Call(kernel, self.time, self.batch, workers=threads())
        self.first = {
            n: self._states(cell.initial(n, self.own[f"prev.{n}"], dtype), n) for n in cell.state
        }
        self.x = np.empty((self.time, self.batch, entries(self.own["x"])), dtype)
        self.rows = None if model.embeds else np.eye(model.symbols, dtype=dtype)
        alike = np.zeros((self.time, self.batch), dtype)
        alike[-1 if end else slice(None)] = 1.0
        self._alike: Array = alike / alike.sum()
        self._losses = self.call.equation(LOSS)[..., 0]  # (time, batch)
        shapes = {n: (*self.lead, *self.own[f"prev.{n}"]) for n in cell.state}
        self._final = {n: self.call.final(n).reshape(shape) for n, shape in shapes.items()}

    def _forward(self, p: Flat, read: _Read) -> Given:
        """Run over one of them."""
        model, xs = self.model, read.xs
        if model.symbols:  # checked, so that nothing is clipped
            rows = p[E] if self.rows is None else self.rows
            np.take(rows, xs.reshape(self.x.shape[:2]), axis=0, out=self.x, mode="clip")
        else:
            self.x[...] = xs.reshape(self.x.shape)
        once, sequences = {n: p[n] for n in self.cell.parameters}, {"x": self.x}
        for name, value in {**read.further, TARGET: read.target}.items():
            steady = name in self.cell.constants and name not in self.moving
            (once if steady else sequences)[name] = self._given(name, value, steady)
        present = read.present
        ended = None if present is None else [np.flatnonzero(~now) for now in present]
        given = Given(once, sequences, ended)
        first = {n: self._states(v, n) for n, v in read.initial.items()}
        self.call.forward(given, {**self.first, **first} if first else self.first)
        return given

    def learn(self, p: Flat, read: _Read, weights: Any) -> Outcome:
        """The loss of one of them, its gradient and the final states."""
        given, counts = self._forward(p, read), self._counts(read.present, weights)
        if counts is self._alike:
            loss = np.vdot(self._losses, counts)
        else:  # what does not count may be nan
            loss = np.sum(self._losses * counts, dtype=float, where=counts > 0)
        gradient = p.like(np.zeros(p.vector.size, self.dtype))
        once = given.once
        into = {n: gradient[n] if n in gradient else np.empty_like(v) for n, v in once.items()}
        _, inputs, _ = self.call.backward(given, {LOSS: counts[..., None]}, {}, into)
        if self.model.embeds:
            add_rows(gradient[E], read.xs.reshape(-1), inputs["x"].reshape(read.xs.size, -1))
        return Outcome(float(loss), gradient, self._ends())

    def predict(self, p: Flat, read: _Read) -> tuple[Array, Mapping[str, Array]]:
        """The predictions for one of them, and the final states."""
        self._forward(p, read)
        z, places = self.call.equation(Z), np.arange(self.batch)
        if self.model.at == "end":
            last = -1 if read.present is None else read.present.sum(axis=0) - 1
            return z[last, places].reshape(*self.lead, -1), self._ends()
        return z.reshape(self.time, *self.lead, -1).copy(), self._ends()

    def _ends(self) -> dict[str, Array]:
        return {name: value.copy() for name, value in self._final.items()}

    def _states(self, value: Any, name: str) -> Array:
        """States of all samples, (batch, width)."""
        data, own = _array(value, self.dtype), self.own[f"prev.{name}"]
        whole: Array = np.broadcast_to(data, (*self.lead, *own)).reshape(self.batch, -1)
        return whole

    def _given(self, name: str, value: Any, steady: bool) -> Array:
        """A further input: as it is if steady, else (time, batch, width)."""
        data, own = _array(value, self.dtype), self.own[name]
        if steady:
            return data
        if name in self.moving:
            data = data.reshape(1, self.batch, -1)
        else:
            data = data.reshape(self.time, 1 if data.ndim == 1 + len(own) else self.batch, -1)
        whole = self.time, self.batch, data.shape[-1]
        return np.ascontiguousarray(data if data.shape == whole else np.broadcast_to(data, whole))

    def _counts(self, present: Array | None, weights: Any) -> Array:
        """How much each position counts, 1 in all: (time, batch)."""
        if present is None and weights is None:
            return self._alike
        counts = np.ones((self.time, self.batch)) if present is None else present.astype(float)
        if self.model.at == "end":
            last = counts.astype(bool).sum(axis=0) - 1
            counts = np.zeros_like(counts)
            counts[last, np.arange(self.batch)] = 1.0
        if weights is not None:
            shape = self.lead if self.model.at == "end" else (self.time, *self.lead)
            counts *= check_weights(weights, shape, self.dtype)[0].reshape(-1, self.batch)
        shares: Array = (counts / counts.sum()).astype(self.dtype)
        return shares


def _whole(value: Steps | Fixed) -> Array:
    """A further input as an array, once checked."""
    tensor: Tensor = value.value if isinstance(value, Fixed) else value.sequence
    return tensor.data


def _array(value: Any, dtype: Any) -> Array:
    data: Array = np.asarray(value.data if isinstance(value, Tensor) else value, dtype)
    return data
