"""A compiled cell at work: forward over a sequence, backward through time, for arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np

from tinygrad_lstm.batching import Lifted
from tinygrad_lstm.kernels.backend import Code, Unsupported
from tinygrad_lstm.kernels.builder import simplified
from tinygrad_lstm.kernels.c_code import CCode
from tinygrad_lstm.kernels.js_code import JavaScriptCode
from tinygrad_lstm.kernels.loop import lower
from tinygrad_lstm.kernels.memory import Pool, Views
from tinygrad_lstm.kernels.numpy_code import NumpyCode
from tinygrad_lstm.kernels.plan import Kind, Plan, Space
from tinygrad_lstm.kernels.toolchain import NoCompiler, say
from tinygrad_lstm.tensor import Array

Arrays = Mapping[str, Array]
Gradients = tuple[dict[str, Array], dict[str, Array], dict[str, Array]]

BACKENDS: dict[str, type[Code]] = {"c": CCode, "numpy": NumpyCode, "js": JavaScriptCode}


def code_of(plan: Plan, dtype: Any, backend: str) -> Code:
    """The code of a plan by a backend, or NumPy's where that has not got all; "auto" is C."""
    loops, asked = lower(plan), "c" if backend == "auto" else backend
    try:
        return BACKENDS[asked](loops, dtype)
    except (NoCompiler, Unsupported) as error:
        if asked == "numpy" or (asked == backend and isinstance(error, NoCompiler)):
            raise
        say(f"compiled cells use {NumpyCode.title}, since {error}")
    return NumpyCode(loops, dtype)


@dataclass(frozen=True)
class Given:
    """What a run reads: parameters and constants, and sequences (time, batch, width).

    ended: for each step the samples of the batch that have ended before it, None for none; reverse:
    from the last step to the first.
    """

    once: Arrays
    sequences: Arrays
    ended: Sequence[Array | None]
    reverse: bool

    @property
    def time(self) -> int:
        """The number of steps."""
        return len(self.ended)

    @property
    def batch(self) -> int:
        """The number of samples."""
        return int(next(iter(self.sequences.values())).shape[1])

    @property
    def ragged(self) -> bool:
        """Whether some sequences ended before others."""
        return any(ended is not None for ended in self.ended)

    def part(self, steps: slice) -> Given:
        """The same for some of the steps."""
        cut = {name: value[steps] for name, value in self.sequences.items()}
        return replace(self, sequences=cut, ended=self.ended[steps])


@dataclass
class Record:
    """A forward run: what the backward pass and the reader of its values need.

    `arrays` are (time, batch, width) in the order of time; a state's has one step more, the
    first, or the last if the sequence was read from its end.
    """

    kernel: Kernel
    given: Given
    arrays: dict[str, Array]
    weights: dict[str, Array]

    def equation(self, name: str) -> Array:
        """A named equation at all steps, (time, batch, width)."""
        if name in self.kernel.plan.states:
            return self.after(name)
        place = self.kernel.plan.layout.at(self.kernel.plan.step.equations[name])
        return self.arrays[place.buffer.name][..., place.start : place.start + place.size]

    def backward(self, seeds: Arrays, final: Arrays) -> Gradients:
        """Gradients of the packed weights, the inputs and the initial states."""
        return self.kernel.backward(self, seeds, final)

    def before(self, state: str) -> Array:
        """A state as each step found it."""
        return self.arrays[state][1:] if self.given.reverse else self.arrays[state][:-1]

    def after(self, state: str) -> Array:
        """A state as each step left it."""
        return self.arrays[state][:-1] if self.given.reverse else self.arrays[state][1:]

    def final(self, state: str) -> Array:
        """A state after the last step that was read."""
        last: Array = self.arrays[state][0 if self.given.reverse else -1]
        return last


def _carried_out(lifted: Lifted, arrays: Arrays) -> dict[str, Array]:
    return lifted.arrays([arrays.get(name) for name in lifted.inputs])


class Kernel:
    """A plan and the code made of it, for one dtype."""

    def __init__(self, plan: Plan, dtype: Any, backend: str = "auto") -> None:
        self.plan, self.dtype = plan, np.dtype(dtype)
        self.code = code_of(plan, self.dtype, backend)
        self.pool = Pool()
        once = plan.once
        self._pack = Lifted(once.outputs, once.inputs, dtype=self.dtype)
        gradient = once.gradient() if once.outputs else once
        self._unpack = Lifted(simplified(gradient, (), {}), gradient.inputs, dtype=self.dtype)
        self._carries = plan.layout.of(Space.CARRY)
        rows = [b for b in plan.buffers.values() if b.kind is Kind.ROW]
        self._rows = {b.name: b.width for b in (*rows, *self.code.rows)}
        self._timed = [n for n, b in plan.buffers.items() if b.kind is Kind.TIME]
        self._totals = plan.layout.of(Space.WEIGHT_ADJOINT)

    # --- weights --------------------------------------------------------------------------------
    def weights(self, parameters: Arrays) -> dict[str, Array]:
        """The packed weights."""
        packed = {**_carried_out(self._pack, parameters), **self.plan.fixed}
        return {name: np.asarray(value, self.dtype, order="C") for name, value in packed.items()}

    def parameter_gradients(self, parameters: Arrays, packed: Arrays) -> dict[str, Array]:
        """From gradients of the packed weights those of the parameters."""
        seeds = {f"seed.{name}": value for name, value in packed.items()}
        return _carried_out(self._unpack, {**parameters, **seeds})

    # --- the loops ------------------------------------------------------------------------------
    def forward(self, given: Given, initial: Arrays) -> Record:
        """Run over a sequence from the states before it, (batch, width)."""
        plan, time, batch = self.plan, given.time, given.batch
        shapes: dict[str, tuple[int, ...]] = {}
        for b in plan.kept_buffers:
            if b not in self.code.transient:
                more = b.name in plan.states  # the state before the first step
                shapes[b.name] = (time + more, batch, b.width)
        shapes |= {name: (batch, width) for name, width in self._rows.items()}
        arrays = self.pool.arrays(shapes, self.dtype)
        record = Record(self, given, arrays, self.weights(given.once))
        for name, value in initial.items():
            arrays[name][-1 if given.reverse else 0] = value
        self.code.forward(self._views(record, {}, {}, given.reverse))
        return record

    def _views(
        self,
        record: Record,
        more: Arrays,
        carry: Mapping[str, tuple[Array, Array]],
        backwards: bool,
    ) -> Views:
        order = slice(None, None, -1 if backwards else 1)
        arrays = {f"in.{name}": value for name, value in record.given.sequences.items()}
        arrays |= {**record.arrays, **more}
        for name in self._timed:
            if name in arrays:
                arrays[name] = arrays[name][order]
        for state in self.plan.states:
            arrays[f"prev.{state}"] = record.before(state)[order]
            arrays[state] = record.after(state)[order]
        arrays |= record.weights
        ended = record.given.ended[order]
        return Views(arrays, carry, ended, self.plan.states, record.given.batch, self.pool)

    def backward(self, record: Record, seeds: Arrays, final: Arrays) -> Gradients:
        """Gradients of the packed weights, of the inputs, and of the initial states.

        seeds: adjoints of equations, (time, batch, width); final: of the final states.
        """
        plan, time, batch = self.plan, record.given.time, record.given.batch
        own = [b for b in plan.backward_buffers if b not in self.code.transient]
        shapes: dict[str, tuple[int, ...]] = {
            b.name: (time, batch, b.width) for b in own if b not in plan.reuses
        }
        shapes |= {f"{k} {s}": (batch, b.width) for k in (0, 1) for s, b in self._carries.items()}
        more = self.pool.arrays(shapes, self.dtype)
        more |= {b.name: record.arrays[plan.reuses[b].name] for b in own if b in plan.reuses}
        more |= {f"given.{name}": value for name, value in seeds.items()}
        totals = {b.name: np.zeros(b.width, self.dtype) for b in self._totals.values()}
        carry = {state: (more[f"0 {state}"], more[f"1 {state}"]) for state in plan.states}
        for name, (first, _) in carry.items():
            first[...] = final.get(name, 0.0)
        backwards = not record.given.reverse
        products = self.code.backward(self._views(record, {**more, **totals}, carry, backwards))
        weights: dict[str, Array] = {}
        for name, node in plan.once.outputs.items():
            both = totals.get(f"bar.{name}"), products.get(name)
            parts = [part.reshape(node.shape) for part in both if part is not None]
            if parts:
                weights[name] = reduce(np.add, parts)
        inputs = {name: more[f"bar.in.{name}"] for name in plan.wants}
        return weights, inputs, {s: pair[time % 2] for s, pair in carry.items()}


class Segmented:
    """A forward run that keeps the states of every k-th step alone.

    Going back, and when an equation is read, a segment at a time is computed again.
    """

    def __init__(self, kernel: Kernel, every: int, given: Given, initial: Arrays) -> None:
        self.kernel, self.given = kernel, given
        self._segments: list[tuple[slice, Arrays]] = []  # and the states before it
        segments = [slice(k, min(k + every, given.time)) for k in range(0, given.time, every)]
        states = initial
        for segment in reversed(segments) if given.reverse else segments:
            self._segments.append((segment, states))
            record = self._run(segment, states)
            states = {name: np.array(record.final(name)) for name in kernel.plan.states}
        self._final = states

    def _run(self, segment: slice, states: Arrays) -> Record:
        return self.kernel.forward(self.given.part(segment), states)

    def final(self, state: str) -> Array:
        """A state after the last step that was read."""
        return self._final[state]

    def equation(self, name: str) -> Array:
        """A named equation at all steps, (time, batch, width), computed again."""
        width = self.kernel.plan.step.equations[name].size
        whole = np.empty((self.given.time, self.given.batch, width), self.kernel.dtype)
        for segment, states in self._segments:
            whole[segment] = self._run(segment, states).equation(name)
        return whole

    def backward(self, seeds: Arrays, final: Arrays) -> Gradients:
        """Gradients of the packed weights, the inputs and the initial states."""
        weights: dict[str, Array] = {}
        inputs: dict[str, Array] = {}
        carry = dict(final)
        for segment, states in reversed(self._segments):
            record = self._run(segment, states)
            part = {name: np.ascontiguousarray(value[segment]) for name, value in seeds.items()}
            more, own, initial = record.backward(part, carry)
            for name, value in more.items():
                weights[name] = value if name not in weights else weights[name] + value
            for name, value in own.items():
                whole = (self.given.time, *value.shape[1:])
                inputs.setdefault(name, np.empty(whole, value.dtype))[segment] = value
            carry = {name: np.array(value) for name, value in initial.items()}
        return weights, inputs, carry
