"""A compiled cell: one node of the graph for a whole sequence, forward and backward."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, cast

import numpy as np

from tinygrad_lstm.errors import CellError, TinygradError
from tinygrad_lstm.kernels.kernel import Kernel, Record, Segmented
from tinygrad_lstm.kernels.plan import Plan
from tinygrad_lstm.kernels.toolchain import say
from tinygrad_lstm.networks import System
from tinygrad_lstm.ops import register
from tinygrad_lstm.parameters import Parameters
from tinygrad_lstm.program import Program
from tinygrad_lstm.running import Moments, Run, interpret
from tinygrad_lstm.sequence_inputs import Fixed, Prepared, SequenceInputs, prepare
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import TABLE, Array, Tensor, ancestors, computed, pullback, remade

CODES = ("auto", "c", "numpy")


def compiled(
    network: Any, code: str = "auto", memory: str = "full", every: int | None = None
) -> Any:
    """A cell or a network that computes the same, faster.

        fast = compiled(cells.lstm)
        run = unroll(fast, p, xs)          # as with the cell itself; so are training and checks

    code: "c" (a C compiler is needed), "numpy", or "auto", which is C where there is a compiler.
    memory: "full" keeps what the backward pass needs of every step; "low" keeps the states of
    every k-th step alone and computes the rest again, k = `every` or √T: what is kept grows with
    √T, but for the equations that are read and their adjoints, and it takes about twice the time.
    Results equal the
    interpreter's up to rounding. What is compiled is compiled when it is first used.
    """
    if code not in CODES:
        raise CellError(f"code is 'auto', 'c' or 'numpy', got {code!r}.")
    if memory not in ("full", "low"):
        raise CellError(f"memory is 'full' or 'low', got {memory!r}.")
    if every is not None and (memory != "low" or not isinstance(every, int) or every < 1):
        raise CellError(f"every is a whole number of steps, with memory='low', got {every!r}.")
    if isinstance(network, System):
        fast = copy.copy(network)
        fast.parts = {n: compiled(part, code, memory, every) for n, part in network.parts.items()}
        return fast
    if not isinstance(network, Cell):
        raise CellError(f"compiled needs a cell or a network, got {network!r}.")
    plain = network.plain if isinstance(network, Compiled) else network
    return Compiled(plain, code, memory, every)


class Compiled(Cell):
    """A cell whose sequences are computed by compiled code; otherwise the cell it was made of.

    `plain` is that cell; `plan(hidden=…, inputs=…)` shows how it is computed and `source(…)` the
    code.
    """

    def __init__(self, plain: Cell, code: str, memory: str, every: int | None) -> None:
        self.__dict__.update(plain.__dict__)
        self.plain, self.code, self.memory, self.every = plain, code, memory, every
        self._kernels: dict[Any, Kernel] = {}
        self._seeds: dict[Program, frozenset[str]] = {}
        self._direct: dict[Program, dict[str, frozenset[str]]] = {}
        self._whole: dict[Program, Program] = {}

    def __reduce__(self) -> Any:
        return compiled, (self.plain, self.code, self.memory, self.every)

    def over(self, p: Parameters, inputs: SequenceInputs) -> Run:
        """Run over a sequence that has been checked."""
        return run_compiled(self, p, inputs)

    def plan(self, **sizes: int) -> Plan:
        """How the cell is computed at these sizes, with the gradient of x."""
        program = self.whole(self.plain.program(**sizes))
        return self._plan(program, self.seeds(program), frozenset({"x"}))

    def whole(self, program: Program) -> Program:
        """The Program with Tensors from outside, of which gradients are wanted, as inputs."""
        if program not in self._whole:
            known = {*program.inputs.values()}
            found = [
                n for n in program.nodes() if n.requires_grad and not n.inputs and n not in known
            ]
            inputs = {**program.inputs, **{f"outer.{k}": node for k, node in enumerate(found)}}
            self._whole[program] = Program(
                program.name,
                inputs,
                program.equations,
                program.outputs,
                program.dimensions,
                program.sizes,
                program.static,
            )
        return self._whole[program]

    def seeds(self, program: Program) -> frozenset[str]:
        """Equations that a loss is expected to read: the output, and what no other one reads."""
        if program not in self._seeds:
            read = {i for node in program.nodes() for i in node.inputs}
            last = {n for n, e in program.equations.items() if e not in read} - {*self.state}
            self._seeds[program] = frozenset({self.output} | last)
        return self._seeds[program]

    def source(self, code: str = "c", dtype: Any = np.float32, **sizes: int) -> str:
        """The code for these sizes as text, "c" or "numpy"."""
        from tinygrad_lstm.kernels.c_writer import c_source
        from tinygrad_lstm.kernels.numpy_code import NumpyCode

        plan = self.plan(**sizes)
        return c_source(plan, dtype) if code == "c" else NumpyCode(plan).source

    def direct(self, program: Program) -> dict[str, frozenset[str]]:
        """For each equation the inputs of the step to which its adjoint flows."""
        if program not in self._direct:
            found = {node: frozenset([name]) for name, node in program.inputs.items()}
            for node in program.nodes():
                rules = [TABLE[node.op or ""].rule(k) for k in range(len(node.inputs))]
                parts = [found[i] for i, rule in zip(node.inputs, rules, strict=True) if rule]
                found.setdefault(node, frozenset().union(*parts))
            self._direct[program] = {name: found[e] for name, e in program.equations.items()}
        return self._direct[program]

    def _plan(
        self,
        program: Program,
        seeds: frozenset[str],
        wants: frozenset[str],
        moving: frozenset[str] = frozenset(),
    ) -> Plan:
        by_step = {"x", *self.sequences, *moving, *(f"prev.{name}" for name in self.state)}
        return Plan(program, set(program.inputs) - by_step, seeds, wants)

    def kernel(
        self,
        program: Program,
        dtype: Any,
        seeds: frozenset[str],
        wants: frozenset[str],
        moving: frozenset[str],
    ) -> Kernel:
        """The compiled code for sizes, dtype, and gradients wanted; made at its first use."""
        key = (tuple(program.sizes.items()), np.dtype(dtype), seeds, wants, moving)
        if key not in self._kernels:
            plan = self._plan(program, seeds, wants, moving)
            self._kernels[key] = Kernel(plan, dtype, self.code)
        return self._kernels[key]


# --- the node -------------------------------------------------------------------------------------
class Seeds:
    """Adjoints of the equations and final states of a sequence: the adjoint of its one node."""

    def __init__(self, like: Any, parts: Mapping[tuple[str, Moment], Any]) -> None:
        self.shape, self.dtype, self.parts = like.shape, like.dtype, dict(parts)
        self.found: list[Any] | None = None

    def __abs__(self) -> float:
        return max(float(np.max(np.abs(part), initial=0.0)) for part in self.parts.values())

    def __add__(self, other: Seeds) -> Seeds:
        total = dict(self.parts)
        for key, value in other.parts.items():
            total[key] = total[key] + value if key in total else value
        return Seeds(self, total)


Moment = int | str  # a step; "all" of them; or "final", after the last one


@dataclass
class Sequence:
    """What the node of a sequence knows: how it was computed, and how to go back."""

    cell: Compiled
    reading: SequenceInputs
    ready: Prepared
    parameters: Parameters
    names: list[str]  # of the node's inputs
    wants: frozenset[str]
    moving: frozenset[str]
    dtype: np.dtype[Any]
    record: Record | Segmented = field(init=False)

    def __post_init__(self) -> None:
        self.record = self.forward(self.cell.seeds(self.ready.program))

    def forward(self, seeds: frozenset[str]) -> Record | Segmented:
        """Run the compiled code over the sequence, so that adjoints of these can be given."""
        cell, reading, ready = self.cell, self.reading, self.ready
        time, batch = reading.time, int(np.prod(reading.batch_shape, dtype=int))
        kernel = cell.kernel(ready.program, self.dtype, seeds, self.wants, self.moving)
        inputs = {"x": self._batched("x", reading.x.sequence.data)}
        for name, value in ready.extra_inputs.items():
            if name in self.moving:
                data = self._batched(name, value.value.data[None])
                inputs[name] = np.broadcast_to(data, (time, *data.shape[1:]))
                if kernel.plan.ahead:  # which reads all steps as one matrix
                    inputs[name] = np.ascontiguousarray(inputs[name])
            elif not isinstance(value, Fixed):
                inputs[name] = self._batched(name, value.sequence.data)
        initial = {name: node.data.reshape(batch, -1) for name, node in ready.initial.items()}
        gone = [None if p is None else np.flatnonzero(~p.ravel()) for p in reading.mask]
        given = self.once_values(), inputs, initial, gone, reading.reverse
        if cell.memory == "low":
            return Segmented(kernel, cell.every or max(1, round(time**0.5)), *given)
        return kernel.forward(*given)

    def _batched(self, name: str, data: Array) -> Array:
        """A sequence, the batch's own or each sample's, as (time, batch, width)."""
        own, lead = self.ready.program.inputs[name].shape, self.reading.batch_shape
        if data.ndim == 1 + len(own):
            data = data.reshape(len(data), *(1,) * len(lead), *own)
            data = np.broadcast_to(data, (len(data), *lead, *own))
        width = math.prod(map(int, own))
        return np.ascontiguousarray(data, self.dtype).reshape(len(data), -1, width)

    def once_values(self) -> dict[str, Array]:
        """Parameters, constants and Tensors from outside, which all steps share."""
        values = {name: self.parameters[name].data for name in self.cell.parameters}
        for name in self.cell.constants:
            if name not in self.moving:
                values[name] = self.ready.extra_inputs[name].value.data
        return values | {name: node.data for name, node in _outer(self.ready.program).items()}

    # --- gradients ------------------------------------------------------------------------------
    def shares(self, g: Seeds, values: tuple[Any, ...]) -> list[Any]:
        """The adjoints of the node's inputs in their order, None where none flows; found once."""
        if g.found is None:
            raw = not any(isinstance(v, Tensor) for v in g.parts.values())
            g.found = self._compiled(g, values) if raw else self._interpreted(g, values)
        return g.found

    def _interpreted(self, g: Seeds, inputs: tuple[Tensor, ...]) -> list[Any]:
        """Gradients that can be differentiated again: those of the interpreter."""
        run = interpret(self.cell.plain, self.parameters, self.reading)
        seeds = {valued(run, *key): share for key, share in g.parts.items()}
        found = pullback(seeds, numeric=False, wrt=inputs)
        return [found.get(i) for i in inputs]

    def _compiled(self, g: Seeds, values: tuple[Array, ...]) -> list[Array | None]:
        parts: dict[str, dict[Moment, Array]] = {}
        ends: dict[str, Array] = {}
        for (name, moment), share in g.parts.items():
            if moment == "final":
                ends[name] = np.reshape(share, (self.record.batch, -1))
            else:
                parts.setdefault(name, {})[moment] = share
        record = self.record
        if not set(parts) <= {*record.kernel.plan.seeds}:
            record = self.forward(frozenset(parts))
        seeds = record.kernel.plan.seeds
        given = {name: self._given(name, parts.get(name, {}), record) for name in seeds}
        weights, inputs, initial = record.backward(given, ends)
        found = record.kernel.parameter_gradients(self.once_values(), weights)
        found |= {f"prev.{name}": value for name, value in initial.items()} | inputs
        reached = self._reached(set(g.parts))
        return [
            self._gathered(n, found[n], value.shape) if n in reached and n in found else None
            for n, value in zip(self.names, values, strict=True)
        ]

    def _given(self, name: str, parts: dict[Moment, Array], record: Record | Segmented) -> Array:
        """The adjoint of an equation from outside, (time, batch, width)."""
        width = record.kernel.plan.buffers[f"given.{name}"].width
        shape, dtype = (record.time, record.batch, width), record.kernel.dtype
        if not parts:
            return np.broadcast_to(np.zeros((1, *shape[1:]), dtype), shape)
        if [*parts] == ["all"] and not record.lengths:
            return np.ascontiguousarray(parts["all"], dtype).reshape(shape)
        whole = np.array(parts.get("all", np.zeros(shape)), dtype).reshape(shape)
        for moment, share in parts.items():
            if moment != "all":
                whole[int(moment)] += np.reshape(share, shape[1:])
        self._end(whole)
        return whole

    def _reached(self, seeds: set[tuple[str, Moment]]) -> set[str]:
        """The inputs to which some adjoint flows, be it zero: what depends on none has none."""
        direct = self.cell.direct(self.ready.program)
        at: dict[Moment, set[str]] = {}
        for name, moment in seeds:
            at.setdefault(moment, set()).add(name)
        carried, always = at.pop("final", set()), at.pop("all", set())
        found: set[str] = set()
        steps = range(self.reading.time)
        for t in steps if self.reading.reverse else reversed(steps):
            before = carried
            reached = set[str]().union(*(direct[n] for n in before | always | at.pop(t, set())))
            found |= reached
            carried = {name[5:] for name in reached if name.startswith("prev.")}
            if self.reading.mask[t] is not None:
                carried |= before
            elif carried == before and not at:  # the other steps are like this one
                break
        return {n for n in found if not n.startswith("prev.")} | {f"prev.{n}" for n in carried}

    def _gathered(self, name: str, gradient: Array, shape: tuple[int, ...]) -> Array:
        """The gradient of an input in its own shape, summed where it was repeated."""
        if name not in ("x", *self.cell.sequences, *self.moving):
            return gradient.reshape(shape)
        own, lead = self.ready.program.inputs[name].shape, self.reading.batch_shape
        whole = gradient.reshape(len(gradient), *lead, *own)
        if name in self.moving:
            return np.asarray(whole.sum(axis=0))
        shared = whole.ndim != len(shape)
        return whole.sum(axis=tuple(range(1, 1 + len(lead)))) if shared else whole

    def _end(self, values: Array) -> None:
        """Zero where a sequence has ended; values: (time, batch, width)."""
        for t, present in enumerate(self.reading.mask):
            if present is not None:
                values[t][~present.ravel()] = 0.0

    # --- values ---------------------------------------------------------------------------------
    def value(self, name: str, moment: Moment) -> Array:
        """The value of an equation in the shape of the batch, as the interpreter has it."""
        equation, lead = self.ready.program.equations[name], self.reading.batch_shape
        if moment == "final":
            array = self.record.final(name).reshape((*lead, *equation.shape))
        else:
            array = self.record.equation(name)
            if self.record.lengths:
                self._end(array := np.array(array))
            array = array.reshape(self.reading.time, *lead, *equation.shape)
            array = array if moment == "all" else array[int(moment), ...]
        return array if equation.dtype.kind == "f" else array.astype(equation.dtype)


def _outer(program: Program) -> dict[str, Tensor]:
    return {name: node for name, node in program.inputs.items() if name.startswith("outer.")}


def valued(run: Run, name: str, moment: Moment) -> Tensor:
    """A value of an interpreted run."""
    if moment == "final":
        return run.final[name]
    return run[name] if moment == "all" else run.steps[int(moment)][name]


def _rule(k: int) -> Callable[..., Any]:
    return lambda g, y, *inputs, sequence: sequence.shares(g, inputs)[k]


def _refuse(*arrays: Any, **attributes: Any) -> Any:
    raise TinygradError("a compiled sequence is computed by unroll alone.")


def _read(y: Any, sequence: Sequence, name: str, moment: Moment) -> Array:
    return sequence.value(name, moment)


def _read_rule(g: Any, y: Any, node: Any, sequence: Sequence, name: str, moment: Moment) -> Any:
    return Seeds(node, {(name, moment): g})


register("sequence", _refuse, _rule, "whole", expand=lambda roots: expanded(roots))
register("read", _read, (_read_rule,), "whole")


# --- over a sequence ------------------------------------------------------------------------------
def run_compiled(cell: Compiled, p: Parameters, reading: SequenceInputs) -> Run:
    """Run a compiled cell over a sequence that has been checked, as one node of the graph."""
    ready = prepare(cell, p, reading)
    ready = replace(ready, program=cell.whole(ready.program))
    further = {
        n: v.value if isinstance(v, Fixed) else v.sequence for n, v in ready.extra_inputs.items()
    }
    inputs = {"x": reading.x.sequence, **further}
    inputs |= {f"prev.{name}": node for name, node in ready.initial.items()}
    inputs |= {name: p[name] for name in cell.parameters} | _outer(ready.program)
    dtype = np.result_type(*(node.dtype for node in inputs.values()))
    if dtype not in (np.float32, np.float64) or any(n.traced for n in inputs.values()):
        if dtype.kind == "f" and dtype not in (np.float32, np.float64):
            say(f"compiled cells of {dtype} are interpreted, slowly; use float32 or float64")
        return interpret(cell.plain, p, reading)
    moving = ready.each & {*cell.constants}
    wants = frozenset(n for n in ("x", *cell.sequences, *moving) if inputs[n].requires_grad)
    sequence = Sequence(cell, reading, ready, p, list(inputs), wants, moving, dtype)
    node = computed(np.empty(0, dtype), "sequence", tuple(inputs.values()), {"sequence": sequence})

    def read(name: str, moment: Moment, value: Array) -> Tensor:
        attributes = {"sequence": sequence, "name": name, "moment": moment}
        if value.flags.writeable:  # the block that it lies in is written again, but not by callers
            value = np.asarray(memoryview(cast(Any, value)).toreadonly())
        found = computed(value, "read", (node,), attributes)
        if moment != "all":
            found.name = reading.prefix + name
            found.time = last if moment == "final" else int(moment)
        return found

    @cache
    def whole(name: str) -> Tensor:
        return read(name, "all", sequence.value(name, "all"))

    def step(t: int) -> dict[str, Tensor]:
        return {name: read(name, t, whole(name).data[t, ...]) for name in ready.program.equations}

    last = 0 if reading.reverse else reading.time - 1
    final = {name: read(name, "final", sequence.value(name, "final")) for name in cell.state}
    return Run(
        cell,
        p,
        Moments(reading.time, reading.x),
        ready.initial,
        Moments(reading.time, step),
        final,
        whole,
        list(ready.program.equations),
    )


def expanded(roots: list[Tensor]) -> list[Tensor]:
    """The same values by the interpreter, for readers who want to see every operation."""
    nodes = ancestors(roots)
    if not any(node.op == "sequence" for node in nodes):
        return roots
    runs: dict[Tensor, Run] = {}
    new: dict[Tensor, Tensor] = {}
    for node in nodes:
        if node.op == "sequence":
            s = node.attributes["sequence"]
            runs[node] = interpret(s.cell.plain, s.parameters, s.reading)
            new[node] = node
        elif node.op == "read":
            known = node.attributes
            new[node] = valued(runs[node.inputs[0]], known["name"], known["moment"])
        else:
            kept = all(new[i] is i for i in node.inputs)
            new[node] = node if kept else remade(node, [new[i] for i in node.inputs])
    return [new[root] for root in roots]
