"""A compiled cell at work: forward over a sequence, backward through time, for arrays.

    kernel = Kernel(plan, float32)             the code of a plan
    call = Call(kernel, time, batch, reverse)  its memory, views and addresses for sequences so long
    call.forward(given, initial)               packs the weights, and runs the loop over time
    call.backward(seeds, final)                the loop back, and gradients of the parameters

A call is made ready once and used again and again: by its owner, or by `Kernel.forward`, which
lends one of the right shape for as long as somebody looks at what it computed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from tinygrad_lstm.kernels.backend import Code, Unsupported
from tinygrad_lstm.kernels.c_code import CCode
from tinygrad_lstm.kernels.js_code import JavaScriptCode
from tinygrad_lstm.kernels.loop import lower
from tinygrad_lstm.kernels.memory import Lending, Views, address, carved
from tinygrad_lstm.kernels.numpy_code import NumpyCode
from tinygrad_lstm.kernels.packing import Packing
from tinygrad_lstm.kernels.patterns import WEIGHT
from tinygrad_lstm.kernels.plan import Kind, Plan, Space
from tinygrad_lstm.kernels.threads import threads
from tinygrad_lstm.kernels.toolchain import NoCompiler, say
from tinygrad_lstm.kernels.wasm_code import WasmCode
from tinygrad_lstm.tensor import Array

Arrays = Mapping[str, Array]
Carry = Mapping[str, tuple[Array, Array]]
Shapes = dict[str, tuple[int, ...]]
Gradients = tuple[dict[str, Array], dict[str, Array], dict[str, Array]]

BACKENDS: dict[str, type[Code]] = {
    "c": CCode,
    "numpy": NumpyCode,
    "js": JavaScriptCode,
    "wasm": WasmCode,
}


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

    ended: for each step the samples of the batch that have ended before it, None for none; None in
    its place where no sequence ends before the others; reverse: from the last step to the first.
    """

    once: Arrays
    sequences: Arrays
    ended: Sequence[Array | None] | None = None
    reverse: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of steps and of samples."""
        time, batch, _ = next(iter(self.sequences.values())).shape
        return time, batch

    def part(self, steps: slice) -> Given:
        """The same for some of the steps."""
        cut = {name: value[steps] for name, value in self.sequences.items()}
        return replace(self, sequences=cut, ended=self.ended and self.ended[steps])


class Kernel:
    """A plan and the code made of it, for one dtype."""

    def __init__(self, plan: Plan, dtype: Any, backend: str = "auto") -> None:
        self.plan, self.dtype = plan, np.dtype(dtype)
        self.code = code_of(plan, self.dtype, backend)
        self.totals = plan.layout.of(Space.WEIGHT_ADJOINT)
        trained = {f"{WEIGHT}{label}" for label in self.totals}
        trained |= {d.target for d in plan.weight_products}
        self.packing = Packing(plan.once, self.dtype, trained)
        self._lending = Lending()

    def forward(self, given: Given, initial: Arrays) -> Record:
        """Run over a sequence from the states before it, (batch, width)."""
        time, batch = given.shape
        key = (time, batch, given.reverse, threads(time * batch * self.code.work))
        call, block = self._lending.lend(key, partial(Call, self, *key))
        call.forward(given, initial)
        return Record(call, block, given)


class Call:
    """A kernel's runs over sequences of one shape: memory, views and addresses, used again.

    One run at a time: the next one overwrites `arrays`, which are (time, batch, width) in the order
    of time. A state's has one step more, the first, or the last if a sequence is read from its end.
    """

    def __init__(
        self, kernel: Kernel, time: int, batch: int, reverse: bool = False, workers: int = 1
    ) -> None:
        plan, transient = kernel.plan, kernel.code.transient
        self.kernel, self.time, self.batch, self.reverse = kernel, time, batch, reverse
        self.key, self.workers = (time, batch, reverse, workers), workers
        kept = [b for b in plan.kept_buffers if b not in transient]
        rows = [b for b in plan.buffers.values() if b.kind is Kind.ROW]
        shapes: Shapes = {b.name: (time + (b.name in plan.states), batch, b.width) for b in kept}
        shapes |= {b.name: (batch, b.width) for b in (*rows, *kernel.code.rows)}
        shapes |= {name: node.shape for name, node in plan.once.outputs.items()}
        shapes |= {name: value.shape for name, value in plan.fixed.items()}
        self.block, self.arrays = carved(shapes, kernel.dtype)
        self.nbytes = self.block.nbytes
        self.places: dict[tuple[str, str], Any] = {}  # of what was read, within the block
        for name, value in plan.fixed.items():
            self.arrays[name][...] = value
        self._first = [(name, self.arrays[name][-1 if reverse else 0]) for name in plan.states]
        self.inputs = [b.name for b in plan.layout.of(Space.INPUT).values()]
        self._views = self.ordered({}, {}, self.inputs, reverse)
        self._forward = kernel.code.forward(self._views, workers)
        self._back: _Back | None = None
        self._lock = threading.Lock()  # of the memory of the loop back

    def ordered(self, more: Arrays, carry: Carry, given: Sequence[str], backwards: bool) -> Views:
        """The arrays in the order of a loop; `given` names those that come later."""
        plan, order = self.kernel.plan, slice(None, None, -1 if backwards else 1)
        arrays = {**self.arrays, **more}
        for name, buffer in plan.buffers.items():
            if buffer.kind is Kind.TIME and name in arrays:
                arrays[name] = arrays[name][order]
        for state in plan.states:
            arrays[f"prev.{state}"] = self.before(state)[order]
            arrays[state] = self.after(state)[order]
        return Views(arrays, carry, given, plan.states, (self.time, self.batch), backwards)

    # --- values ---------------------------------------------------------------------------------
    def before(self, state: str) -> Array:
        """A state as each step found it."""
        return self.arrays[state][1:] if self.reverse else self.arrays[state][:-1]

    def after(self, state: str) -> Array:
        """A state as each step left it."""
        return self.arrays[state][:-1] if self.reverse else self.arrays[state][1:]

    def equation(self, name: str) -> Array:
        """A named equation at all steps, (time, batch, width)."""
        if name in self.kernel.plan.states:
            return self.after(name)
        place = self.kernel.plan.layout.at(self.kernel.plan.step.equations[name])
        return self.arrays[place.buffer.name][..., place.start : place.start + place.size]

    def final(self, state: str) -> Array:
        """A state after the last step that was read."""
        last: Array = self.arrays[state][0 if self.reverse else -1]
        return last

    # --- the loops ------------------------------------------------------------------------------
    def forward(self, given: Given, initial: Arrays) -> None:
        """Pack the weights, and run the loop over time from these states, (batch, width)."""
        self.kernel.packing.pack(given.once, self.arrays)
        for name, first in self._first:
            first[...] = initial[name]
        for name, value in given.sequences.items():
            self._views.put(f"in.{name}", value)
        self._views.end(given.ended)
        self._forward()

    def backward(self, given: Given, seeds: Arrays, final: Arrays, into: Any = None) -> Gradients:
        """Gradients of parameters and constants, of the inputs, and of the initial states.

        given: as in `forward`; seeds: adjoints of equations, (time, batch, width), by the names in
        `Plan.seeds`, all of them; final: of the final states, 0 where there is none. The results
        are fresh arrays, but those of parameters may be written `into` others.
        """
        with self._lock:
            back = self._back = self._back or _Back(self)
            for name, value in given.sequences.items():
                back.views.put(f"in.{name}", value)
            for name, value in seeds.items():
                back.views.put(f"given.{name}", value)
            inputs = {}
            for name, shape in back.inputs.items():
                inputs[name] = np.empty(shape, self.kernel.dtype)
                back.views.put(f"bar.in.{name}", inputs[name])
            back.views.end(given.ended)
            back.sums[...] = 0.0
            for name, (first, _) in back.carry.items():
                first[...] = final.get(name, 0.0)
            weights = back.gradients(back.run())
            parameters = self.kernel.packing.unpack(given.once, weights, into)
            return (
                parameters,
                inputs,
                {n: np.array(c[self.time % 2]) for n, c in back.carry.items()},
            )

    def clear(self) -> None:
        """Let go of the arrays that were given."""
        self._views.clear()
        if self._back is not None:
            self._back.views.clear()


class _Back:
    """What the loop back of a call needs: made when it first runs."""

    def __init__(self, call: Call) -> None:
        kernel, time, batch = call.kernel, call.time, call.batch
        plan, transient = kernel.plan, kernel.code.transient
        own = [b for b in plan.backward_buffers if b not in transient]
        self.inputs = {
            b.label: (time, batch, b.width) for b in own if b.space is Space.INPUT_ADJOINT
        }
        kept = [b for b in own if b.space is not Space.INPUT_ADJOINT]
        shapes: Shapes = {b.name: (time, batch, b.width) for b in kept if b not in plan.reuses}
        carries = plan.layout.of(Space.CARRY)
        shapes |= {f"{k} {s}": (batch, b.width) for k in (0, 1) for s, b in carries.items()}
        totals = kernel.totals.values()
        block, more = carved({**shapes, "": (sum(b.width for b in totals),)}, kernel.dtype)
        call.nbytes += block.nbytes
        self.sums, start = more.pop(""), 0
        more |= {b.name: call.arrays[plan.reuses[b].name] for b in kept if b in plan.reuses}
        for b in totals:
            more[b.name] = self.sums[start : start + b.width]
            start += b.width
        self.carry = {state: (more[f"0 {state}"], more[f"1 {state}"]) for state in plan.states}
        given = [*call.inputs, *(f"given.{n}" for n in plan.seeds)]
        given += [f"bar.in.{n}" for n in self.inputs]
        self.views = call.ordered(more, self.carry, given, not call.reverse)
        self.run = kernel.code.backward(self.views, call.workers)
        self._weights = [
            (name, node.shape, None if total is None else total.reshape(node.shape))
            for name, node in plan.once.outputs.items()
            for total in [more.get(f"bar.{name}")]
        ]

    def gradients(self, products: Arrays) -> dict[str, Array]:
        """Those of the packed weights: of products after the loop, and of sums in it."""
        found = {}
        for name, shape, total in self._weights:
            if (product := products.get(name)) is not None:
                product = product.reshape(shape)
                found[name] = product if total is None else product + total
            elif total is not None:
                found[name] = total
        return found


@dataclass
class Record:
    """A forward run: what the backward pass and the reader of its values need.

    block: the call's memory, which nobody else gets as long as this is held, or a view of it.
    """

    call: Call
    block: Array
    given: Given

    @property
    def kernel(self) -> Kernel:
        """The code that ran."""
        return self.call.kernel

    def equation(self, name: str) -> Array:
        """A named equation at all steps, (time, batch, width), not to be written to."""
        return self._shown(name, self.call.equation)

    def final(self, state: str) -> Array:
        """A state after the last step that was read, (batch, width), not to be written to."""
        return self._shown(state, self.call.final)

    def _shown(self, name: str, find: Callable[[str], Array]) -> Array:
        """What is found, as a view of the block, which is lent as long as the view lives."""
        places, key = self.call.places, (name, find.__name__)
        if key not in places:
            array = find(name)
            places[key] = array.shape, address(array) - address(self.call.block), array.strides
        shape, place, strides = places[key]
        return np.ndarray(shape, self.call.kernel.dtype, self.block, place, strides)

    def backward(self, seeds: Arrays, final: Arrays) -> Gradients:
        """Gradients of parameters and constants, of the inputs, and of the initial states."""
        return self.call.backward(self.given, seeds, final)


class Segmented:
    """A forward run that keeps the states of every k-th step alone.

    Going back, and when an equation is read, a segment at a time is computed again.
    """

    def __init__(self, kernel: Kernel, every: int, given: Given, initial: Arrays) -> None:
        self.kernel, self.given = kernel, given
        self._segments: list[tuple[slice, Arrays]] = []  # and the states before it
        self._time, self._batch = given.shape
        segments = [slice(k, min(k + every, self._time)) for k in range(0, self._time, every)]
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
        whole = np.empty((self._time, self._batch, width), self.kernel.dtype)
        for segment, states in self._segments:
            whole[segment] = self._run(segment, states).equation(name)
        return whole

    def backward(self, seeds: Arrays, final: Arrays) -> Gradients:
        """Gradients of parameters and constants, of the inputs, and of the initial states."""
        parameters: dict[str, Array] = {}
        inputs: dict[str, Array] = {}
        carry = dict(final)
        for segment, states in reversed(self._segments):
            record = self._run(segment, states)
            part = {name: np.ascontiguousarray(value[segment]) for name, value in seeds.items()}
            more, own, initial = record.backward(part, carry)
            for name, value in more.items():
                parameters[name] = parameters[name] + value if name in parameters else value
            for name, value in own.items():
                whole = (self._time, *value.shape[1:])
                inputs.setdefault(name, np.empty(whole, value.dtype))[segment] = value
            carry = initial
        return parameters, inputs, carry
