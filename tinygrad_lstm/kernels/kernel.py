"""A compiled cell at work: forward over a sequence, backward through time, for arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lstm.batching import Lifted
from tinygrad_lstm.kernels.c_code import CCode
from tinygrad_lstm.kernels.c_operations import Unsupported
from tinygrad_lstm.kernels.memory import Pool, Views
from tinygrad_lstm.kernels.numpy_code import NumpyCode
from tinygrad_lstm.kernels.plan import Buffer, Plan
from tinygrad_lstm.kernels.rewriting import simplified
from tinygrad_lstm.kernels.toolchain import NoCompiler, say
from tinygrad_lstm.tensor import Array, Tensor

Gradients = tuple[dict[str, Array], dict[str, Array], dict[str, Array]]


def _code(plan: Plan, dtype: Any, kind: str) -> Any:
    if kind != "numpy":
        try:
            return CCode(plan, dtype)
        except (NoCompiler, Unsupported) as error:
            if kind == "c" and isinstance(error, NoCompiler):
                raise
            say(f"compiled cells use NumPy, since {error}")
    return NumpyCode(plan)


@dataclass
class Record:
    """A forward run: what the backward pass and the reader of its values need.

    `arrays` are (time, batch, width) in the order of time; a state's has one step more, the
    first, or the last if the sequence was read from its end.
    """

    kernel: Kernel
    arrays: dict[str, Array]
    weights: dict[str, Array]
    inputs: Mapping[str, Array]
    gone: Sequence[Array | None]
    reverse: bool
    time: int
    batch: int

    @property
    def lengths(self) -> bool:
        """Whether some sequences ended before others."""
        return any(gone is not None for gone in self.gone)

    def equation(self, name: str) -> Array:
        """A named equation at all steps, (time, batch, width)."""
        if name in self.kernel.plan.states:
            return self.after(name)
        node = self.kernel.plan.step.equations[name]
        place = self.kernel.plan.place(node)
        assert place is not None
        return self.arrays[place.buffer.name][..., place.start : place.start + node.size]

    def backward(self, given: Mapping[str, Array], final: Mapping[str, Array]) -> Gradients:
        """Gradients of the packed weights, the inputs and the initial states."""
        return self.kernel.backward(self, given, final)

    def before(self, state: str) -> Array:
        """A state as each step found it."""
        return self.arrays[state][1:] if self.reverse else self.arrays[state][:-1]

    def after(self, state: str) -> Array:
        """A state as each step left it."""
        return self.arrays[state][:-1] if self.reverse else self.arrays[state][1:]

    def final(self, state: str) -> Array:
        """A state after the last step that was read."""
        last: Array = self.arrays[state][0 if self.reverse else -1]
        return last


def _carried_out(lifted: Lifted, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return lifted.arrays([arrays.get(name) for name in lifted.inputs])


class Kernel:
    """A plan and the code made of it, for one dtype."""

    def __init__(self, plan: Plan, dtype: Any, code: str = "auto") -> None:
        self.plan, self.dtype = plan, np.dtype(dtype)
        self.code: Any = _code(plan, self.dtype, code)
        self.pool = Pool()
        once = plan.once
        self._pack = Lifted(once.outputs, once.inputs, dtype=self.dtype)
        gradient = once.gradient() if once.outputs else once
        self._unpack = Lifted(simplified(gradient, (), {}), gradient.inputs, dtype=self.dtype)

    # --- weights --------------------------------------------------------------------------------
    def weights(self, parameters: Mapping[str, Array]) -> dict[str, Array]:
        """The packed weights."""
        packed = {**_carried_out(self._pack, parameters), **self.plan.fixed}
        return {name: np.asarray(value, self.dtype, order="C") for name, value in packed.items()}

    def parameter_gradients(
        self, parameters: Mapping[str, Array], packed: Mapping[str, Array]
    ) -> dict[str, Array]:
        """From gradients of the packed weights those of the parameters."""
        seeds = {f"seed.{name}": value for name, value in packed.items()}
        return _carried_out(self._unpack, {**parameters, **seeds})

    # --- forward --------------------------------------------------------------------------------
    def forward(
        self,
        parameters: Mapping[str, Array],
        inputs: Mapping[str, Array],
        initial: Mapping[str, Array],
        gone: Sequence[Array | None],
        reverse: bool = False,
    ) -> Record:
        """Run over a sequence. inputs: (time, batch, width); initial: (batch, width)."""
        plan = self.plan
        time, batch = next(iter(inputs.values())).shape[:2] if inputs else (len(gone), 1)
        shapes: dict[str, tuple[int, ...]] = {}
        for name in plan.states:
            shapes[name] = (time + 1, batch, plan.buffers[name].width)
        for name, buffer in plan.buffers.items():
            if self._forward_time(buffer):
                shapes[name] = (time, batch, buffer.width)
        shapes |= {b.name: (batch, b.width) for b in self._rows()}
        arrays = self.pool.arrays(shapes, self.dtype)
        weights = self.weights(parameters)
        read = {f"in.{name}": value for name, value in inputs.items()}
        record = Record(self, arrays, weights, read, gone, reverse, time, batch)
        for name, value in initial.items():
            arrays[name][-1 if reverse else 0] = value
        if plan.ahead:
            self.code.ahead(self._views(record, slice(None)))
        turn = slice(None, None, -1 if reverse else 1)
        self.code.forward(self._views(record, turn))
        return record

    def _forward_time(self, buffer: Buffer) -> bool:
        plan = self.plan
        return (
            buffer.kind == "time"
            and not buffer.given
            and buffer.name not in plan.states
            and buffer.name not in plan.backward_buffers
            and buffer.name not in self.code.brief
        )

    def _rows(self) -> list[Buffer]:
        return [
            *(b for b in self.plan.buffers.values() if b.kind == "row"),
            *self.code.rows.values(),
        ]

    def _views(self, record: Record, turn: slice, more: Mapping[str, Array] | None = None) -> Views:
        arrays: dict[str, Array] = {}
        for name, value in {**record.inputs, **record.arrays, **(more or {})}.items():
            buffer = self.plan.buffers.get(name)
            timed = buffer is not None and buffer.kind == "time" and name not in self.plan.states
            arrays[name] = value[turn] if timed else value
        for state in self.plan.states:
            arrays[f"prev.{state}"] = record.before(state)[turn]
            arrays[state] = record.after(state)[turn]
        arrays |= record.weights
        gone = record.gone[turn]
        return Views(arrays, {}, gone, self.plan.states, record.batch, self.pool)

    # --- backward -------------------------------------------------------------------------------
    def backward(
        self, record: Record, given: Mapping[str, Array], final: Mapping[str, Array]
    ) -> Gradients:
        """Gradients of the packed weights, of the inputs, and of the initial states.

        given: adjoints of equations, (time, batch, width); final: of the final states.
        """
        plan, time, batch = self.plan, record.time, record.batch
        shapes: dict[str, tuple[int, ...]] = {}
        for name in plan.backward_buffers:
            if name not in plan.shares and name not in self.code.brief:
                shapes[name] = (time, batch, plan.buffers[name].width)
        for name in plan.states:
            shapes[f"carry.{name}"] = shapes[f"out.{name}"] = (batch, plan.buffers[name].width)
        more = self.pool.arrays(shapes, self.dtype)
        for name, old in plan.shares.items():
            if name not in self.code.brief:
                more[name] = record.arrays[old]
        totals = {
            name: np.zeros(b.width, self.dtype)
            for name, b in plan.buffers.items()
            if b.kind == "total"
        }
        for name in plan.states:
            more[f"carry.{name}"][...] = final.get(name, 0.0)
        more |= {f"given.{name}": value for name, value in given.items()}
        turn = slice(None, None, 1 if record.reverse else -1)
        views = self._views(record, turn, {**more, **totals})
        views.carry = {s: (more[f"carry.{s}"], more[f"out.{s}"]) for s in plan.states}
        products = self.code.backward(views)
        flat = _Flat(self, record, more)
        weights = {
            name: totals[f"bar.{name}"].reshape(node.shape)
            for name, node in plan.once.outputs.items()
            if f"bar.{name}" in totals
        }
        if products is None:
            products = {}
            for deferred in plan.weight_products:
                product = flat(deferred.left).T @ flat(deferred.right)
                products[deferred.target] = products.get(deferred.target, 0.0) + product
        for name, product in products.items():
            weights[name] = weights.get(name, 0.0) + product.reshape(plan.once.outputs[name].shape)
        inputs: dict[str, Array] = {}
        for name in plan.wants:
            if name not in plan.unwritten or self.code.whole:
                inputs[name] = more[f"bar.in.{name}"]
        for deferred in [] if self.code.whole else plan.input_products:
            W = record.weights[deferred.right.name or ""]
            product = (flat(deferred.left) @ W).reshape(time, batch, -1)
            known = inputs.get(deferred.target)
            inputs[deferred.target] = product if known is None else known + product
        initial = {s: views.carry[s][time % 2] for s in plan.states}
        return weights, inputs, initial


class Segmented:
    """A forward run that keeps the states of every k-th step alone.

    Going back, and when an equation is read, a segment at a time is computed again.
    """

    def __init__(
        self,
        kernel: Kernel,
        every: int,
        parameters: Mapping[str, Array],
        inputs: Mapping[str, Array],
        initial: Mapping[str, Array],
        gone: Sequence[Array | None],
        reverse: bool,
    ) -> None:
        self.kernel, self._parameters, self._inputs, self._gone = kernel, parameters, inputs, gone
        self._reverse, self.time = reverse, len(gone)
        self.batch = next(iter(inputs.values())).shape[1]
        starts = range(0, self.time, every)
        self._segments = [slice(k, min(k + every, self.time)) for k in starts]
        if reverse:
            self._segments.reverse()
        self._kept: list[dict[str, Array]] = []
        states = dict(initial)
        for segment in self._segments:
            self._kept.append(states)
            record = self._run(segment, states)
            states = {name: np.array(record.final(name)) for name in kernel.plan.states}
        self._final = states

    @property
    def lengths(self) -> bool:
        """Whether some sequences ended before others."""
        return any(gone is not None for gone in self._gone)

    def _run(self, segment: slice, states: Mapping[str, Array]) -> Record:
        inputs = {name: value[segment] for name, value in self._inputs.items()}
        gone = self._gone[segment]
        return self.kernel.forward(self._parameters, inputs, states, gone, self._reverse)

    def final(self, state: str) -> Array:
        """A state after the last step that was read."""
        return self._final[state]

    def equation(self, name: str) -> Array:
        """A named equation at all steps, (time, batch, width), computed again."""
        width = self.kernel.plan.step.equations[name].size
        whole = np.empty((self.time, self.batch, width), self.kernel.dtype)
        for segment, states in zip(self._segments, self._kept, strict=True):
            whole[segment] = self._run(segment, states).equation(name)
        return whole

    def backward(self, given: Mapping[str, Array], final: Mapping[str, Array]) -> Gradients:
        """Gradients of the packed weights, the inputs and the initial states."""
        weights: dict[str, Array] = {}
        inputs: dict[str, Array] = {}
        carry = dict(final)
        for segment, states in zip(reversed(self._segments), reversed(self._kept), strict=True):
            record = self._run(segment, states)
            part = {name: np.ascontiguousarray(value[segment]) for name, value in given.items()}
            more, own, initial = record.backward(part, carry)
            for name, value in more.items():
                weights[name] = value if name not in weights else weights[name] + value
            for name, value in own.items():
                if name not in inputs:
                    inputs[name] = np.empty((self.time, *value.shape[1:]), value.dtype)
                inputs[name][segment] = value
            carry = {name: np.array(value) for name, value in initial.items()}
        return weights, inputs, carry


class _Flat:
    """A value at all steps as a matrix with a row for each step and sample."""

    def __init__(self, kernel: Kernel, record: Record, more: Mapping[str, Array]) -> None:
        self._kernel, self._record, self._more = kernel, record, more

    def __call__(self, node: Tensor) -> Array:
        place = self._kernel.plan.place(node)
        assert place is not None
        name, record = place.buffer.name, self._record
        if name in self._more:
            whole = self._more[name]
        elif name.startswith("prev."):
            whole = record.before(name[5:])
        elif name in self._kernel.plan.states:
            whole = record.after(name)
        elif name in record.arrays:
            whole = record.arrays[name]
        else:
            whole = record.inputs[name]
        rows = whole.reshape(-1, whole.shape[-1])
        return rows[:, place.start : place.start + node.size]
