"""Running a system: part after part, or together where parts read one another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.errors import DataError, ShapeError, UnknownNameError
from tinygrad_lstm.functions import transpose
from tinygrad_lstm.lengths import mask_of
from tinygrad_lstm.parameters import Parameters, under
from tinygrad_lstm.part_sizes import sizes_of_parts
from tinygrad_lstm.running import Run, over
from tinygrad_lstm.sequence_inputs import SequenceInputs, Steps, tensor_of
from tinygrad_lstm.step import Cell
from tinygrad_lstm.system_result import part_of, result_of
from tinygrad_lstm.tensor import Array, Tensor, apply, constant
from tinygrad_lstm.wire_values import FromRun, Joined, Late, Repeated, Spread, Value
from tinygrad_lstm.wires import Read
from tinygrad_lstm.wiring import CONSTANT, INITIAL, SEQUENCE, declared_of


@dataclass(frozen=True)
class _Clock:
    """The steps that some parts and inputs have in common."""

    time: int
    mask: list[Array | None]
    ragged: bool

    def read(self, inputs: SequenceInputs, **changes: Any) -> SequenceInputs:
        """Inputs that go by these steps."""
        own: dict[str, Any] = {"time": self.time, "mask": self.mask, "ragged": self.ragged}
        return replace(inputs, lengths={}, **own, **changes)


def run_system(system: Any, p: Parameters, inputs: SequenceInputs) -> Run:
    """Run the parts of a system in their order, each on what its wires bring."""
    return _Running(system, p, inputs).run()


class _Running:
    def __init__(self, system: Any, p: Parameters, inputs: SequenceInputs) -> None:
        self.system, self.p, self.inputs = system, p, inputs
        self.wiring = system.wiring
        self.runs: dict[str, Run] = {}
        self.given = {n: self._input(n) for n in self.wiring.inputs}
        self.clocks = {
            clock: self._clock(clock) for clock in dict.fromkeys(self.wiring.clocks.values())
        }
        self.firsts: dict[str, Tensor] = {}
        self.lasts: dict[str, Callable[[], Tensor]] = {}

    # --- inputs -----------------------------------------------------------------------------------
    def _input(self, name: str) -> Value:
        """An input of the system: a function of the step, or a Tensor where it has no steps."""
        inputs, outer = self.inputs, self.wiring.inputs[name]
        if name == self.system.first:
            return inputs.x
        if name in inputs.below:
            return inputs.below[name]
        if name not in inputs.extra_inputs:
            kind = "(time, …)" if outer.kind == SEQUENCE else "one for all steps"
            raise UnknownNameError(
                f"{self.system} needs its input {name!r}, {kind}: unroll(…, {name}=…)."
            )
        node = tensor_of(f"{self.system}: {name}", inputs.extra_inputs[name])
        if outer.kind == CONSTANT:
            return node
        if node.ndim == 0 or 0 in node.shape:
            raise DataError(f"{self.system}: {name} has shape {node.shape}; it needs steps.")
        return Steps(node, inputs.prefix + name)

    def _clock(self, clock: str) -> _Clock:
        names = self.wiring.clock_inputs(clock)
        times = {n: self._time(n) for n in names}
        if len({*times.values()}) > 1:
            said = ", ".join(f"{n} has {time}" for n, time in times.items())
            raise ShapeError(
                f"{self.system}: {' and '.join(names)} are read together, step by step, but {said} "
                f"steps."
            )
        time = times[names[0]]
        if self.system.first in names:
            return _Clock(self.inputs.time, self.inputs.mask, self.inputs.ragged)
        given = [n for n in names if n in self.inputs.lengths]
        lengths = self.inputs.lengths[given[0]] if given else None
        mask = mask_of(self.system, lengths, time, self.inputs.batch_shape)
        return _Clock(time, mask, any(present is not None for present in mask))

    def _time(self, name: str) -> int:
        if name == self.system.first or name in self.inputs.below:
            return self.inputs.time
        return int(self.given[name].sequence.shape[0])

    # --- parts ------------------------------------------------------------------------------------
    def run(self) -> Run:
        for group in self.wiring.order:
            looped = len(group) > 1 or any(
                read.part == group[0]
                for reads in self.wiring.wired[group[0]].values()
                for read in reads
            )
            if looped:
                self._run_together(group)
            else:
                self._run_part(group[0])
        times = {clock: own.time for clock, own in self.clocks.items()}
        own = self.runs, times, self.firsts, self.lasts
        return result_of(self.system, self.p, self.inputs, *own)

    def _parameters(self, name: str) -> Parameters:
        start, part = f"{self.system.home[name]}.", str(self.system.parts[name])
        return Parameters(under(start, self.p.tensors), part, under(start, self.p.sizes))

    def _run_part(self, name: str) -> None:
        part, once = self.system.parts[name], name in self.wiring.once
        p = self._parameters(name)
        clock = _Clock(1, [None], False) if once else self.clocks[self.wiring.clocks[name]]
        turned = self.inputs.reverse != (name in self.system.turned)
        constants, below, initial, x = self._read(name, p, clock, turned, once)
        own = self._inputs_of(name, part, constants)
        own = {n: v for n, v in own.items() if n not in below}
        inputs = self.inputs.part(name, extra_inputs=own)
        first = {**initial, **inputs.initial}
        inputs = clock.read(inputs, x=x, below=below, reverse=turned, initial=first)
        self.runs[name] = over(part, p, inputs)

    def _inputs_of(self, name: str, part: Any, constants: Mapping[str, Any]) -> dict[str, Any]:
        """The further inputs of a part: by wires, by its name, or by a name of all parts."""
        wired = self.wiring.wired[name]
        bare = {n.rpartition(".")[2] for n in part.extra_inputs if n not in wired}
        own = {n: v for n, v in self.inputs.extra_inputs.items() if n in bare and n not in wired}
        own = {n: v for n, v in own.items() if n not in self.wiring.inputs}
        named = under(f"{name}.", self.inputs.extra_inputs)
        for target, value in {**own, **named}.items():
            if target in part.constants:
                self._check_batch(f"{name}.{target}", part.constants[target], np.shape(value))
        return {**own, **named, **constants}

    def _check_batch(self, name: str, words: str, shape: tuple[int, ...]) -> None:
        """ShapeError where what is given has other axes in front than those of the batch."""
        lead = self.inputs.batch_shape
        if shape[: max(len(shape) - len(dimensions.parse(words)), 0)] not in ((), lead):
            batch = f", with the batch's axes {lead} in front or without them" if lead else ""
            raise ShapeError(
                f"{self.system}: {name} is given with shape {shape}, but it is ({words}){batch}."
            )

    def _read(
        self, name: str, p: Parameters, clock: _Clock, turned: bool, once: bool
    ) -> tuple[dict[str, Any], dict[str, Value], dict[str, Any], Value]:
        """What wires bring to a part: constants, sequences, first states, and x."""
        constants: dict[str, Any] = {}
        below: dict[str, Value] = {}
        initial: dict[str, Any] = {}
        declared = declared_of(self.system.parts[name])
        for target, reads in self.wiring.wired[name].items():
            kind, words = declared[target]
            if kind == SEQUENCE:
                values = [self._sequence(target, words, r, clock, turned, once) for r in reads]
                several = len(values) > 1
                below[target] = Joined(values) if several else values[0]
                self._check(name, target, words, below[target].like()[0], p)
                continue
            nodes = [self._once(read) for read in reads]
            node = nodes[0] if len(nodes) == 1 else Joined([Repeated(n, 1) for n in nodes])(0)
            self._check(name, target, words, node.shape, p)
            if target.startswith(INITIAL):
                initial[target.removeprefix(INITIAL)] = node
            else:
                constants[target] = node
        return constants, below, initial, below.pop("x")

    def _sequence(
        self, target: str, words: str, read: Read, clock: _Clock, turned: bool, once: bool
    ) -> Value:
        if once or self.wiring.is_once(read):
            value: Value = Repeated(self._once(read), clock.time)
        else:
            value = self.given[read.name] if read.part is None else self._of_run(read)
        shared = len(value.like()[0]) == len(dimensions.parse(words))
        if shared and self.inputs.batch_shape and (target == "x" or read.kind == "before"):
            value = Spread(value, self.inputs.batch_shape)
        if read.kind != "before":
            return value
        first = self._first(read, value, turned)
        self.lasts.setdefault(read.state, lambda: self._last(value, clock, turned))
        return Late(value, first, clock.time, turned)

    def _of_run(self, read: Read) -> Value:
        return FromRun(self.runs[read.part or ""], read.name)

    def _first(self, read: Read, value: Value, turned: bool) -> Tensor:
        """What a wire to the step before carries at the first step."""
        shape, dtype = value.like()
        given = self.inputs.initial.get(read.state)
        if given is None and read.part and read.name in self.runs[read.part].initial:
            return self.runs[read.part].initial[read.name]
        lead = self.inputs.batch_shape
        if given is None:
            node = constant(np.zeros(shape, dtype))
        else:
            node = tensor_of(f"{self.system}: initial {read.state}", given)
            if node.shape != shape and node.shape == shape[len(lead) :]:
                node = apply("broadcast_to", node, shape=shape)
            if node.shape != shape:
                raise ShapeError(
                    f"{self.system}: initial {read.state} has shape {node.shape}, but it stands "
                    f"for {read.state} before the first step, which is {shape}."
                )
        self.firsts[read.state] = node
        return node

    def _last(self, value: Value, clock: _Clock, turned: bool) -> Tensor:
        """The value of the last step that was read, of each sequence its own."""
        last: Tensor = value(0 if turned else clock.time - 1)
        if turned or not clock.ragged:
            return last
        whole: Tensor = value.sequence
        present = [1 if m is None else m for m in clock.mask]
        ends = np.broadcast_arrays(*present, np.zeros(self.inputs.batch_shape))[:-1]
        places = np.sum(np.stack(ends), axis=0).astype(int) - 1
        if whole.ndim <= len(self.inputs.batch_shape):
            return last
        return whole[(places, *np.indices(places.shape))]

    def _once(self, read: Read) -> Tensor:
        """What a wire carries that has no steps."""
        if read.kind == "mask":
            return self._mask(read)
        if read.part is None:
            value = self.given[read.name]
            return value if isinstance(value, Tensor) else self._memory(value.sequence)
        run = self.runs[read.part]
        if read.kind == "final":
            return run.final[read.name]
        if read.part in self.wiring.once:
            return run.steps[0][read.name]
        return self._memory(run[read.name])

    def _memory(self, sequence: Tensor) -> Tensor:
        """(time, batch, …) as (batch, time, …)."""
        lead = len(self.inputs.batch_shape)
        if not lead or sequence.shape[1 : 1 + lead] != self.inputs.batch_shape:
            return sequence
        axes = (*range(1, 1 + lead), 0, *range(1 + lead, sequence.ndim))
        return transpose(sequence, axes)

    def _mask(self, read: Read) -> Tensor:
        clock = self.clocks[self.wiring.clocks[read.part or f"input.{read.name}"]]
        lead = self.inputs.batch_shape
        dtype = self.inputs.x.like()[1]
        present = [np.broadcast_to(1.0 if m is None else m, lead) for m in clock.mask]
        return constant(np.stack(present, axis=-1).astype(dtype))

    def _check(
        self, name: str, target: str, words: str, shape: tuple[int, ...], p: Parameters
    ) -> None:
        """ShapeError where what a wire brings is not what it leads to, naming both ends."""
        part, lead = self.system.parts[name], self.inputs.batch_shape
        axes = dimensions.parse(words)
        known = {**(part.infer_sizes(p) if isinstance(part, Cell) else {}), **p.sizes}
        own = shape[max(len(shape) - len(axes), 0) :]
        expected = [
            dimensions.value(a, known) if all(n in known for n in dimensions.names_in(a)) else None
            for a in axes
        ]
        front = shape[: len(shape) - len(own)]
        fits = len(own) == len(axes) and all(
            e is None or e == n for e, n in zip(expected, own, strict=True)
        )
        if fits and (front == lead or not front and target != "x"):
            return
        sources = ", ".join(map(str, self.wiring.wired[name][target]))
        sizes = {n: known[n] for a in axes for n in dimensions.names_in(a) if n in known}
        said = "".join(f", {n}={k}" for n, k in sizes.items())
        batch = f" after the batch's {lead}" if lead else ""
        at_a_step = " at a step" if declared_of(part)[target][0] == SEQUENCE else ""
        raise ShapeError(
            f"{self.system}: {name}.{target} is ({words}){said}, but {sources}, which is wired to "
            f"it, has shape {shape}{at_a_step}.\n  It has to be ({words}){batch}."
        )

    # --- parts that run together ------------------------------------------------------------------
    def _run_together(self, group: Sequence[str]) -> None:
        """Parts that read one another's step before: one cell, made of their steps."""
        system, wiring = self.system, self.wiring
        clock = self.clocks[wiring.clocks[group[0]]]
        turned = self.inputs.reverse != (group[0] in system.turned)
        wires: dict[str, Any] = {}
        below: dict[str, Value] = {}
        initial: dict[str, Any] = {}
        constants: dict[str, str] = {}
        noise: list[str] = []
        tensors: dict[str, Tensor] = {}
        for name in group:
            part, p = system.parts[name], self._parameters(name)
            outside = {
                target: reads
                for target, reads in wiring.wired[name].items()
                if not any(read.part in group for read in reads)
            }
            tensors |= {f"{system.home[name]}.{n}": t for n, t in p.tensors.items()}
            declared = declared_of(part)
            for target, reads in wiring.wired[name].items():
                kind, words = declared[target]
                for k, read in enumerate(reads, 1):
                    if read.part in group:
                        continue
                    called = f"{name}.{target}" if len(reads) == 1 else f"{name}.{target}_{k}"
                    if kind == SEQUENCE:
                        value = self._sequence(target, words, read, clock, turned, False)
                        if target in outside and len(reads) == 1:
                            self._check(name, target, words, value.like()[0], p)
                        below[called] = value
                    elif target.startswith(INITIAL):
                        initial[f"{name}.{target.removeprefix(INITIAL)}"] = self._once(read)
                    else:
                        wires[called] = self._once(read)
                        constants[called] = words
            unwired = self._inputs_of(name, part, {})
            wires |= {f"{name}.{n}": v for n, v in unwired.items()}
            constants |= {
                f"{name}.{n}": w for n, w in part.constants.items() if n not in wiring.wired[name]
            }
            noise += [f"{name}.{n}" for n in part.noise if n not in wiring.wired[name]]
        sizes = self._sizes_together(group, {**wires, **below})
        cell = system.together(tuple(group), sizes, constants, noise)
        for called, value in below.items():
            shape, wanted = value.like()[0], cell.program().inputs[called].shape
            if shape[len(shape) - len(wanted) :] != wanted:
                raise ShapeError(
                    f"{system}: what is wired to {called} has shape {shape} at a step, but "
                    f"{wanted} is left for it beside what is joined with it."
                )
        own = Parameters(tensors, str(cell))
        x = Steps(constant(np.zeros((clock.time, *self.inputs.batch_shape))), "x")
        known = {n: v for n, v in self.inputs.initial.items() if n in cell.state}
        inputs = clock.read(
            self.inputs, x=x, below=below, reverse=turned, extra_inputs=wires,
            initial={**initial, **known},
        )  # fmt: skip
        together = over(cell, own, inputs)
        for name in group:
            self.runs[name] = part_of(system.parts[name], name, together, self._parameters(name))

    def _sizes_together(
        self, group: Sequence[str], given: Mapping[str, Any]
    ) -> dict[str, dict[str, int]]:
        """The sizes of parts that run together, of what is known of them."""
        known: dict[str, int] = {}
        for name in group:
            part, p = self.system.parts[name], self._parameters(name)
            own = {**(part.infer_sizes(p) if isinstance(part, Cell) else {}), **p.sizes}
            for target, (_, words) in declared_of(part).items():
                value = given.get(f"{name}.{target}")
                if value is not None:
                    shape = np.shape(value) if not hasattr(value, "like") else value.like()[0]
                    dimensions.learn(own, words, shape)
            known |= {f"{name}.{size}": n for size, n in own.items()}
        every = sizes_of_parts(self.system, known).every
        return {n: {s: every[n][s] for s in self.system.parts[n].sizes} for n in group}
