"""A compiled cell: one node of the graph for a whole sequence, forward and backward."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lstm.errors import CellError, TinygradError
from tinygrad_lstm.kernels.kernel import Kernel, Record, Segmented
from tinygrad_lstm.kernels.plan import Plan
from tinygrad_lstm.networks import Network
from tinygrad_lstm.parameters import Parameters
from tinygrad_lstm.program import Program
from tinygrad_lstm.recurrent import Cell
from tinygrad_lstm.sequence import Fixed, Moments, Prepared, Reading, Run, over, prepared
from tinygrad_lstm.tensor import (
    TABLE,
    Array,
    Operation,
    Tensor,
    ancestors,
    apply,
    computed,
    pullback,
)

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
    if isinstance(network, Network):
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
        self._seeds = {plain.output}
        self._narrow: dict[Any, set[str]] = {}

    def plan(self, **sizes: int) -> Plan:
        """How the cell is computed at these sizes, with the gradient of x."""
        return self._plan(self.plain.program(**sizes), frozenset({self.output}), frozenset({"x"}))

    def source(self, code: str = "c", dtype: Any = np.float32, **sizes: int) -> str:
        """The code for these sizes as text, "c" or "numpy"."""
        from tinygrad_lstm.kernels.c_writer import c_source
        from tinygrad_lstm.kernels.numpy_code import NumpyCode

        plan = self.plan(**sizes)
        return c_source(plan, dtype) if code == "c" else NumpyCode(plan).source

    def _plan(
        self, program: Program, seeds: frozenset[str], wants: frozenset[str],
        moving: frozenset[str] = frozenset(),
    ) -> Plan:  # fmt: skip
        once = {*self.parameters, *(n for n in self.constants if n not in moving)}
        return Plan(program, once, seeds, wants)

    def kernel(
        self, program: Program, dtype: Any, seeds: frozenset[str], wants: frozenset[str],
        moving: frozenset[str],
    ) -> Kernel:  # fmt: skip
        """The compiled code for sizes, dtype, and gradients wanted; made at its first use."""
        key = (tuple(program.sizes.items()), np.dtype(dtype), seeds, wants, moving)
        if key not in self._kernels:
            plan = self._plan(program, seeds, wants, moving)
            self._kernels[key] = Kernel(plan, dtype, self.code)
        return self._kernels[key]


# --- the node -------------------------------------------------------------------------------------
class Seeds:
    """Adjoints of the equations and final states of a sequence: the adjoint of its one node."""

    def __init__(self, like: Any, parts: Mapping[tuple[str, str], Any]) -> None:
        self.shape, self.dtype, self.parts = like.shape, like.dtype, dict(parts)
        self.found: list[Any] | None = None

    def __abs__(self) -> float:
        return max(float(np.max(np.abs(part), initial=0.0)) for part in self.parts.values())

    def __add__(self, other: Seeds) -> Seeds:
        total = dict(self.parts)
        for key, value in other.parts.items():
            total[key] = total[key] + value if key in total else value
        return Seeds(self, total)


@dataclass
class Sequence:
    """What the node of a sequence knows: how it was computed, and how to go back."""

    cell: Compiled
    reading: Reading
    ready: Prepared
    parameters: Parameters
    names: list[str]  # of the node's inputs
    wants: frozenset[str]
    moving: frozenset[str]
    record: Record | Segmented

    def shares(self, g: Seeds, values: tuple[Any, ...]) -> list[Any]:
        """The adjoints of the node's inputs, in their order; computed once."""
        if g.found is None:
            raw = not any(isinstance(v, Tensor) for v in g.parts.values())
            g.found = self._compiled(g, values) if raw else self._interpreted(g, values)
        return g.found

    def _interpreted(self, g: Seeds, inputs: tuple[Tensor, ...]) -> list[Any]:
        """Gradients that can be differentiated again: those of the interpreter."""
        run = over(self.cell.plain, self.parameters, self.reading)
        seeds = {
            (run[name] if kind == "steps" else run.final[name]): share
            for (kind, name), share in g.parts.items()
        }
        found = pullback(seeds, raw=False, wrt=inputs)
        return [found.get(i, i * 0.0) for i in inputs]

    def _compiled(self, g: Seeds, values: tuple[Array, ...]) -> list[Array]:
        steps = {name: share for (kind, name), share in g.parts.items() if kind == "steps"}
        final = {name: share for (kind, name), share in g.parts.items() if kind == "final"}
        if not set(steps) <= set(self.record.kernel.plan.seeds):
            self.cell._seeds |= set(steps)  # from now on they are expected
            self.record = _forward(self)
        kernel, record = self.record.kernel, self.record
        time, batch, program = record.time, record.batch, self.ready.program
        given = {}
        for name in kernel.plan.seeds:
            width = program.equations[name].size
            if name not in steps:
                given[name] = np.zeros((time, batch, width), kernel.dtype)
                continue
            share = np.asarray(steps[name], kernel.dtype)
            if name in self.shared:
                spread = np.zeros((time, batch, width), kernel.dtype)
                spread[:, 0] = share.reshape(time, width)
                share = spread
            share = share.reshape(time, batch, width)
            masked = record.lengths and name not in self.shared  # what all share never ends
            given[name] = self._present(share) if masked else np.ascontiguousarray(share)
        ends = {name: np.reshape(share, (batch, -1)) for name, share in final.items()}
        weights, inputs, initial = record.backward(given, ends)
        parameters = kernel.parameter_gradients(self.once_values(), weights)
        found = []
        for name, value in zip(self.names, values, strict=True):
            if name.startswith("prev."):
                found.append(initial[name[5:]].reshape(value.shape))
            elif name in parameters:
                found.append(parameters[name])
            elif name in inputs:
                found.append(self._gathered(name, inputs[name], value.shape))
            else:
                found.append(np.broadcast_to(np.zeros((), value.dtype), value.shape))
        return found

    def _gathered(self, name: str, gradient: Array, shape: tuple[int, ...]) -> Array:
        """The gradient of an input in its own shape, summed where it was repeated."""
        own = self.ready.program.inputs[name].shape
        lead = self.reading.lead
        whole = gradient.reshape(gradient.shape[0], *lead, *own)
        if name in self.moving:
            whole = whole.sum(axis=0)
        surplus = whole.ndim - len(shape)
        if surplus:
            first = 0 if name in self.moving else 1
            whole = whole.sum(axis=tuple(range(first, first + surplus)))
        repeated = tuple(k for k, n in enumerate(shape) if n == 1 and whole.shape[k] != 1)
        return whole.sum(axis=repeated, keepdims=True) if repeated else whole

    @property
    def shared(self) -> set[str]:
        """Equations that are the same for the whole batch."""
        if not self.reading.lead:
            return set()
        wide = _wide(self.ready, self.cell, self.moving)
        key = (self.ready.program, frozenset(wide))
        if key not in self.cell._narrow:
            self.cell._narrow[key] = _narrow(self.ready.program, wide)
        return self.cell._narrow[key]

    def once_values(self) -> dict[str, Array]:
        """Parameters and constants, which all steps share."""
        values = {name: self.parameters[name].data for name in self.cell.parameters}
        for name in self.cell.constants:
            if name not in self.moving:
                values[name] = self.ready.further[name].value.data
        return values

    def _present(self, share: Array) -> Array:
        """Zero where a sequence has ended."""
        share = np.array(share)
        for t, present in enumerate(self.reading.present):
            if present is not None:
                share[t][~present.ravel()] = 0.0
        return share

    def value(self, kind: str, name: str) -> Array:
        """The value of an equation at all steps, or of a final state, in the shape of the batch."""
        own = self.ready.program.equations[name].shape
        lead = self.reading.lead
        if kind == "final":
            return self.record.final(name).reshape((*lead, *own))
        array = self.record.equation(name)
        if name in self.shared:
            return array[:, 0].reshape((self.reading.time, *own))
        if self.record.lengths:
            array = self._present(array)
        return array.reshape(self.reading.time, *lead, *own)


def _rule(k: int) -> Callable[..., Any]:
    return lambda g, y, *inputs, sequence: sequence.shares(g, inputs)[k]


def _refuse(*arrays: Any, **attributes: Any) -> Any:
    raise TinygradError("a compiled sequence is computed by unroll alone.")


def _read(y: Any, sequence: Sequence, kind: str, name: str) -> Array:
    return sequence.value(kind, name)


def _read_rule(g: Any, y: Any, node: Any, sequence: Sequence, kind: str, name: str) -> Any:
    return Seeds(node, {(kind, name): g})


WHOLE = "whole"
TABLE["sequence"] = Operation("sequence", _refuse, _rule, WHOLE, (0.0, 1.0), None, ())
TABLE["read"] = Operation("read", _read, (_read_rule,), WHOLE, (0.0, 1.0), None, ())


# --- over a sequence ------------------------------------------------------------------------------
@over.register
def _(cell: Compiled, p: Parameters, reading: Reading) -> Run:
    ready = prepared(cell, p, reading)
    further = {n: v.value if isinstance(v, Fixed) else v.sequence for n, v in ready.further.items()}
    inputs = {"x": reading.x.sequence, **further}
    inputs |= {f"prev.{name}": node for name, node in ready.initial.items()}
    inputs |= {name: p[name] for name in cell.parameters}
    dtype = np.result_type(*(node.dtype for node in inputs.values()))
    usable = dtype in (np.float32, np.float64) and not any(n.traced for n in inputs.values())
    if not usable:
        return over(cell.plain, p, reading)
    moving = frozenset(
        n for n in cell.constants if inputs[n].ndim > len(ready.program.inputs[n].shape)
    )
    wants = frozenset(n for n in ("x", *cell.sequences, *moving) if inputs[n]._live)
    sequence = Sequence(cell, reading, ready, p, list(inputs), wants, moving, None)  # type: ignore[arg-type]
    sequence.record = _forward(sequence)
    node = computed(
        np.empty(0, sequence.record.kernel.dtype), "sequence", tuple(inputs.values()),
        {"sequence": sequence},
    )  # fmt: skip

    def read(kind: str, name: str) -> Tensor:
        found: Tensor = apply("read", node, sequence=sequence, kind=kind, name=name)
        found.name = reading.prefix + name
        return found

    wholes: dict[str, Tensor] = {}

    def whole(name: str) -> Tensor:
        if name not in wholes:
            wholes[name] = read("steps", name)
            wholes[name].name = None
        return wholes[name]

    def step(t: int) -> dict[str, Tensor]:
        values = {name: whole(name)[t] for name in ready.program.equations}
        for name, value in values.items():
            value.name, value.time = reading.prefix + name, t
        return values

    last = 0 if reading.reverse else reading.time - 1
    final = {name: read("final", name) for name in cell.state}
    for value in final.values():
        value.time = last
    return Run(
        cell, p, Moments(reading.time, reading.x), ready.initial, Moments(reading.time, step),
        final, whole, list(ready.program.equations),
    )  # fmt: skip


def _forward(s: Sequence) -> Record | Segmented:
    """Run the compiled code over the sequence."""
    cell, reading, ready = s.cell, s.reading, s.ready
    time, batch = reading.time, int(np.prod(reading.lead, dtype=int))
    dtypes = [reading.x.sequence.dtype, *(n.dtype for n in ready.initial.values()), ready.dtype]
    dtypes += [
        (v.value if isinstance(v, Fixed) else v.sequence).dtype for v in ready.further.values()
    ]
    dtype = np.result_type(*dtypes)
    kernel = cell.kernel(ready.program, dtype, frozenset(cell._seeds), s.wants, s.moving)
    inputs = {"x": _batched(reading.x.sequence.data, ready.program, "x", reading, dtype)}
    for name, value in ready.further.items():
        if name in s.moving:
            data = _batched(value.value.data[None], ready.program, name, reading, dtype)
            inputs[name] = np.broadcast_to(data, (time, *data.shape[1:]))
            if kernel.plan.ahead:  # which reads all steps as one matrix
                inputs[name] = np.ascontiguousarray(inputs[name])
        elif not isinstance(value, Fixed):
            inputs[name] = _batched(value.sequence.data, ready.program, name, reading, dtype)
    initial = {name: node.data.reshape(batch, -1) for name, node in ready.initial.items()}
    gone = [None if p is None else np.flatnonzero(~p.ravel()) for p in reading.present]
    if cell.memory == "low":
        every = cell.every or max(1, round(time**0.5))
        return Segmented(kernel, every, s.once_values(), inputs, initial, gone, reading.reverse)
    return kernel.forward(s.once_values(), inputs, initial, gone, reading.reverse)


def _batched(data: Array, program: Program, name: str, reading: Reading, dtype: Any) -> Array:
    """A sequence as (time, batch, width)."""
    own = program.inputs[name].shape
    time, width = data.shape[0], int(np.prod(own, dtype=int))
    between = data.shape[1 : data.ndim - len(own)]
    if between != reading.lead:
        data = data.reshape(time, *(1,) * (len(reading.lead) - len(between)), *between, *own)
        data = np.broadcast_to(data, (time, *reading.lead, *own))
    return np.ascontiguousarray(data, dtype).reshape(time, -1, width)


def _wide(ready: Prepared, cell: Compiled, moving: frozenset[str]) -> set[str]:
    """Inputs of the step that have the axes of the batch."""
    wide = {"x", *(f"prev.{name}" for name in cell.state), *moving}
    for name in cell.sequences:
        if ready.further[name].sequence.ndim > 1 + ready.program.inputs[name].ndim:
            wide.add(name)
    return wide


def _narrow(program: Program, wide: set[str]) -> set[str]:
    """Equations without the axes of the batch: they depend on nothing that has them."""
    having = {program.inputs[name] for name in wide}
    return {
        name for name, node in program.equations.items() if not having & set(ancestors([node]))
    }


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
            runs[node] = over(s.cell.plain, s.parameters, s.reading)
            new[node] = node
        elif node.op == "read":
            run, name = runs[node.inputs[0]], node.attributes["name"]
            new[node] = run[name] if node.attributes["kind"] == "steps" else run.final[name]
        elif _a_step(node) and node.name is not None and node.time is not None:
            read = node.inputs[0]
            new[node] = runs[read.inputs[0]].steps[node.time][read.attributes["name"]]
        elif any(new[i] is not i for i in node.inputs):
            made = apply(node.op or "", *(new[i] for i in node.inputs), **node.attributes)
            made.name, made.time = node.name, node.time
            new[node] = made
        else:
            new[node] = node
    return [new[root] for root in roots]


def _a_step(node: Tensor) -> bool:
    return node.op == "getitem" and node.inputs[0].op == "read"
