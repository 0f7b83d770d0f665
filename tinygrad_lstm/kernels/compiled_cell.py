"""Compiled cells: `compiled(cell)` computes what the cell computes, faster."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np

from tinygrad_lstm.errors import CellError
from tinygrad_lstm.grids import Grid
from tinygrad_lstm.kernels.kernel import BACKENDS, Kernel
from tinygrad_lstm.kernels.loop import lower
from tinygrad_lstm.kernels.plan import Plan
from tinygrad_lstm.kernels.planning import plan_step
from tinygrad_lstm.kernels.sequence_node import Bound, SequenceNode, run_node
from tinygrad_lstm.kernels.toolchain import say
from tinygrad_lstm.networks import System
from tinygrad_lstm.parameters import Parameters
from tinygrad_lstm.program import Program
from tinygrad_lstm.running import Run, interpret
from tinygrad_lstm.sequence_inputs import Fixed, SequenceInputs, prepare
from tinygrad_lstm.step import Cell

CODES = ("auto", *BACKENDS)
Names = frozenset[str]
OUTER = "outer."  # how inputs are called that the author's function took from outside


def compiled(
    network: Any, code: str = "auto", memory: str = "full", every: int | None = None
) -> Any:
    """A cell or a network that computes the same, faster.

        fast = compiled(cells.lstm)
        run = unroll(fast, p, xs)          # as with the cell itself; so are training and checks

    code: "c" (a C compiler is needed), "numpy", or "auto", which is C where there is a compiler;
    "js" and "wasm" run what `source` prints for a page in a node process, to check it.
    memory: "full" keeps what the backward pass needs of every step; "low" keeps the states of
    every k-th step alone and computes the rest again, k = `every` or √T: what is kept grows with
    √T, but for the equations that are read and their adjoints, and it takes about twice the time.
    Results equal the
    interpreter's up to rounding. What is compiled is compiled when it is first used.
    """
    if code not in CODES:
        raise CellError(f"code is {one_of(CODES)}, got {code!r}.")
    if memory not in ("full", "low"):
        raise CellError(f"memory is 'full' or 'low', got {memory!r}.")
    if every is not None and (memory != "low" or not isinstance(every, int) or every < 1):
        raise CellError(f"every is a whole number of steps, with memory='low', got {every!r}.")
    if isinstance(network, System):
        fast = copy.copy(network)
        fast.parts = {n: compiled(part, code, memory, every) for n, part in network.parts.items()}
        fast.compile = partial(compiled, code=code, memory=memory, every=every)
        fast.forget_together()
        return fast
    if isinstance(network, Grid):
        return network.with_compiled(partial(compiled, code=code, memory=memory, every=every))
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
        vars(self).update(vars(plain))
        self.plain, self.code, self.memory, self.every = plain, code, memory, every
        self._kernels: dict[Any, Kernel] = {}
        self._bound: dict[Any, Bound] = {}

    def program(self, **sizes: int) -> Program:
        """One step as a Program, that of the cell."""
        return self.plain.program(**sizes)

    def complete(
        self, given: Mapping[str, float], needed: Collection[str] | None = None
    ) -> dict[str, int]:
        """Every size from those that are free, as the cell finds them."""
        return self.plain.complete(given, needed)

    def infer_sizes(
        self, parameters: Mapping[str, Any], given: Mapping[str, int] | None = None
    ) -> dict[str, int]:
        """The sizes that the shapes of parameters imply, as the cell finds them."""
        return self.plain.infer_sizes(parameters, given)

    def __reduce__(self) -> Any:
        return compiled, (self.plain, self.code, self.memory, self.every)

    def plan(self, **sizes: int) -> Plan:
        """How the cell is computed at these sizes, with the gradient of x."""
        program = with_outer_inputs(self.plain.program(**sizes))
        seeds = seeds_expected(program, self.output, frozenset(self.state))
        return self._plan(program, seeds, frozenset({"x"}), frozenset())

    def source(self, code: str = "c", dtype: Any = np.float32, **sizes: int) -> str:
        """The code for these sizes as text, which needs nothing else: "c", "numpy", "js", "wasm".

        "js" is a script for node and for a page, without dependencies: see `docs`. "wasm" is the C
        of which Zig makes WebAssembly; its head says how.
        """
        if code not in BACKENDS:
            raise CellError(f"code is {one_of(BACKENDS)}, got {code!r}.")
        plan = self.plan(**sizes)
        shapes = {name: plan.step.inputs[f"prev.{name}"].shape for name in self.state}
        start = {name: self.initial(name, shape, dtype) for name, shape in shapes.items()}
        return BACKENDS[code].text(lower(plan, start), np.dtype(dtype))

    def over(self, p: Parameters, inputs: SequenceInputs) -> Run:
        """Run over a sequence that has been checked, as one node of the graph."""
        cell = self.plain
        if not cell.state:  # a layer carries nothing on
            return interpret(cell, p, inputs)
        ready = prepare(cell, p, inputs)
        program = with_outer_inputs(ready.program)
        nodes = {"x": inputs.x.sequence}
        for name, value in ready.extra_inputs.items():
            nodes[name] = value.value if isinstance(value, Fixed) else value.sequence
        nodes |= {f"prev.{name}": node for name, node in ready.initial.items()}
        nodes |= p.tensors
        nodes |= {name: t for name, t in program.inputs.items() if name.startswith(OUTER)}
        kinds = {node.dtype for node in nodes.values()}
        dtype = kinds.pop() if len(kinds) == 1 else np.result_type(*kinds)
        if dtype not in (np.float32, np.float64) or any([n.traced for n in nodes.values()]):
            if dtype.kind == "f" and dtype not in (np.float32, np.float64):
                say(f"compiled cells of {dtype} are interpreted, slowly; use float32 or float64")
            return interpret(cell, p, inputs)
        by_step = ("x", *cell.sequences, *ready.each.intersection(cell.constants))
        wants = frozenset([name for name in by_step if nodes[name].requires_grad])
        key = (ready.program, dtype, wants, ready.each)
        bound = self._bound.get(key)
        if bound is None:
            bound = self._bound[key] = self._bind(program, [*nodes], by_step, wants, dtype)
        every = 0 if self.memory == "full" else self.every or max(1, round(inputs.time**0.5))
        sequence = SequenceNode(bound, inputs, nodes, every, lambda: interpret(cell, p, inputs))
        return run_node(sequence, self, p, ready.initial)

    def _bind(
        self, program: Program, nodes: list[str], by_step: Sequence[str], wants: Names, dtype: Any
    ) -> Bound:
        moving = frozenset(by_step).intersection(self.plain.constants)
        seeds = seeds_expected(program, self.plain.output, frozenset(self.plain.state))
        return Bound(
            *(program, nodes, frozenset(by_step), moving, dtype, seeds),
            kernel=lambda seeds: self.kernel(program, dtype, seeds, wants, moving),
        )

    def kernel(
        self, program: Program, dtype: Any, seeds: Names, wants: Names, moving: Names
    ) -> Kernel:
        """The code for sizes, dtype, and gradients given and wanted; made at its first use."""
        key = (tuple(program.sizes.items()), np.dtype(dtype), seeds, wants, moving)
        if key not in self._kernels:
            self._kernels[key] = Kernel(self._plan(program, seeds, wants, moving), dtype, self.code)
        return self._kernels[key]

    def _plan(self, program: Program, seeds: Names, wants: Names, moving: Names) -> Plan:
        by_step = {"x", *self.sequences, *moving, *(f"prev.{name}" for name in self.state)}
        return plan_step(program, set(program.inputs) - by_step, seeds, wants)


def one_of(words: Iterable[str]) -> str:
    """What may be given: 'a', 'b' or 'c'."""
    *first, last = map(repr, words)
    return f"{', '.join(first)} or {last}"


@lru_cache(maxsize=256)
def with_outer_inputs(program: Program) -> Program:
    """The Program with Tensors from outside, of which gradients are wanted, as inputs."""
    known, nodes = {*program.inputs.values()}, program.nodes()
    found = [n for n in nodes if n.requires_grad and not n.inputs and n not in known]
    outer = {f"{OUTER}{k}": node for k, node in enumerate(found)}
    whole = copy.copy(program)
    whole.inputs = {**program.inputs, **outer}
    return whole


@lru_cache(maxsize=256)
def seeds_expected(program: Program, output: str, states: Names) -> Names:
    """Equations that a loss is expected to read: the output, and what no other one reads."""
    read = {i for node in program.nodes() for i in node.inputs}
    return frozenset({output} | {n for n, e in program.equations.items() if e not in read} - states)
