"""A sequence computed by compiled code as one node of the graph, which its values are read from.

    x, parameters, …  ──>  sequence  ──>  read h at all steps, read C at step 3, …

The adjoint of the one node is that of everything that was read of it, `Cotangents`: then the loop
back runs once, whatever a loss is made of.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np

from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.kernels.kernel import Given, Kernel, Record, Segmented
from tinygrad_lstm.kernels.patterns import state_of
from tinygrad_lstm.ops import register
from tinygrad_lstm.parameters import Parameters
from tinygrad_lstm.program import Program
from tinygrad_lstm.running import Final, Moments, Run
from tinygrad_lstm.sequence_inputs import SequenceInputs
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import TABLE, Array, Tensor, computed, fold, pullback, remade

Moment = int | str  # a step; "all" of them; or "final", after the last one


class Cotangents:
    """Adjoints of the equations and final states of a sequence: the adjoint of its one node."""

    def __init__(self, like: Any, parts: Mapping[tuple[str, Moment], Any]) -> None:
        self.shape, self.dtype, self.parts = like.shape, like.dtype, dict(parts)
        self.found: list[Any] | None = None

    def __abs__(self) -> float:
        return max(float(np.max(np.abs(part), initial=0.0)) for part in self.parts.values())

    def __add__(self, other: Cotangents) -> Cotangents:
        total = dict(self.parts)
        for key, value in other.parts.items():
            total[key] = total[key] + value if key in total else value
        return Cotangents(self, total)


class Bound:
    """What is the same in all calls of one kind: found once, and used again.

    nodes: the names of the node's inputs; by_step: those with a value at each step; moving:
    constants among them, of which each sample has its own; seeds: equations whose adjoints are
    expected; kernel: the code for some seeds.
    """

    def __init__(
        self,
        program: Program,
        nodes: Sequence[str],
        by_step: frozenset[str],
        moving: frozenset[str],
        dtype: np.dtype[Any],
        seeds: frozenset[str],
        kernel: Callable[[frozenset[str]], Kernel],
    ) -> None:
        self.program, self.dtype, self.seeds = program, dtype, seeds
        self.kernel = cache(kernel)
        self.states = {name: state for name in nodes if (state := state_of(name))}
        self.by_step, self.moving = by_step, moving
        self.sequences = [n for n in nodes if n in by_step]
        self.once = [n for n in nodes if n not in by_step and n not in self.states]
        self.names = [*program.equations]
        self.shapes = {n: _plain(program.inputs[n].shape) for n in self.sequences}
        self.equations = {n: (_plain(e.shape), e.dtype) for n, e in program.equations.items()}
        self._reached: dict[Any, set[str]] = {}

    def reached(self, seeds: frozenset[tuple[str, Moment]], inputs: SequenceInputs) -> set[str]:
        """The inputs to which some adjoint flows, be it zero: what depends on none has none."""
        if inputs.ragged or any([type(moment) is int for _, moment in seeds]):
            return _reached(self.program, seeds, inputs)
        if (key := (seeds, inputs.time)) not in self._reached:
            self._reached[key] = _reached(self.program, seeds, inputs)
        return self._reached[key]


class SequenceNode:
    """What the node of a sequence knows: how it was computed, and how to go back.

    nodes: the node's inputs by name; every: of so many steps one is kept, all if 0; interpreted:
    the same run by the interpreter.
    """

    def __init__(
        self,
        bound: Bound,
        inputs: SequenceInputs,
        nodes: Mapping[str, Tensor],
        every: int,
        interpreted: Callable[[], Run],
    ) -> None:
        self.bound, self.inputs, self.nodes = bound, inputs, nodes
        self.interpreted, self._every = interpreted, every
        self.batch = math.prod(inputs.batch_shape)
        self.record = self.forward(bound.seeds)

    def forward(self, seeds: frozenset[str]) -> Record | Segmented:
        """Run the compiled code over the sequence, so that adjoints of these can be given."""
        bound, kernel = self.bound, self.bound.kernel(seeds)
        data: dict[str, Any] = {name: node._data for name, node in self.nodes.items()}
        once = {name: data[name] for name in bound.once}
        initial = {s: data[n].reshape(self.batch, -1) for n, s in bound.states.items()}
        sequences = {name: self._batched(name, data[name]) for name in bound.sequences}
        ended = None
        if self.inputs.ragged:
            ended = [None if p is None else np.flatnonzero(~p.ravel()) for p in self.inputs.mask]
        given = Given(once, sequences, ended, self.inputs.reverse)
        if self._every:
            return Segmented(kernel, self._every, given, initial)
        return kernel.forward(given, initial)

    def _batched(self, name: str, data: Array) -> Array:
        """A sequence, the batch's own or each sample's, as (time, batch, width)."""
        own, lead = self.bound.shapes[name], self.inputs.batch_shape
        if constant := name in self.bound.moving:
            data = data[None]
        if data.ndim == 1 + len(own):
            data = data.reshape(len(data), *(1,) * len(lead), *own)
            data = np.broadcast_to(data, (len(data), *lead, *own))
        width = math.prod(own)
        data = np.ascontiguousarray(data, self.bound.dtype).reshape(len(data), self.batch, width)
        return np.broadcast_to(data, (self.inputs.time, *data.shape[1:])) if constant else data

    # --- gradients ------------------------------------------------------------------------------
    def contributions(self, g: Cotangents, values: tuple[Any, ...]) -> list[Any]:
        """The adjoints of the node's inputs in their order, None where none flows; found once."""
        if g.found is None:
            numeric = not any(isinstance(v, Tensor) for v in g.parts.values())
            g.found = self._compiled(g, values) if numeric else self._interpreted(g, values)
        return g.found

    def _interpreted(self, g: Cotangents, inputs: tuple[Tensor, ...]) -> list[Any]:
        """Gradients that can be differentiated again: those of the interpreter."""
        run = self.interpreted()
        seeds = {valued(run, *key): share for key, share in g.parts.items()}
        found = pullback(seeds, numeric=False, wrt=inputs)
        return [found.get(i) for i in inputs]

    def _compiled(self, g: Cotangents, values: tuple[Array, ...]) -> list[Array | None]:
        parts: dict[str, dict[Moment, Array]] = {}
        ends: dict[str, Array] = {}
        for (name, moment), share in g.parts.items():
            if moment == "final":
                ends[name] = share.reshape(self.batch, -1)
            else:
                parts.setdefault(name, {})[moment] = share
        record = self.record
        if not parts.keys() <= {*record.kernel.plan.seeds}:
            record = self.forward(frozenset(parts))
        seeds = record.kernel.plan.seeds
        given = {name: self._given(name, parts.get(name, {}), record) for name in seeds}
        found, inputs, initial = record.backward(given, ends)
        found |= inputs
        found |= {name: initial[state] for name, state in self.bound.states.items()}
        wanted = self.bound.reached(frozenset(g.parts), self.inputs) & found.keys()
        return [
            self._gathered(n, found[n], value.shape) if i.requires_grad and n in wanted else None
            for (n, i), value in zip(self.nodes.items(), values, strict=True)
        ]

    def _given(self, name: str, parts: dict[Moment, Array], record: Record | Segmented) -> Array:
        """The adjoint of an equation from outside, (time, batch, width)."""
        width = record.kernel.plan.buffers[f"given.{name}"].width
        shape, dtype = (*record.given.shape, width), record.kernel.dtype
        if not parts:
            return np.broadcast_to(np.zeros((1, *shape[1:]), dtype), shape)
        if [*parts] == ["all"] and not self.inputs.ragged:
            return np.ascontiguousarray(parts["all"], dtype).reshape(shape)
        whole = np.array(parts.get("all", np.zeros(shape)), dtype).reshape(shape)
        for moment, share in parts.items():
            if moment != "all":
                whole[int(moment)] += np.reshape(share, shape[1:])
        self._end(whole)
        return whole

    def _gathered(self, name: str, gradient: Array, shape: tuple[int, ...]) -> Array:
        """The gradient of an input in its own shape, summed where it was repeated."""
        if name not in self.bound.by_step:
            return gradient if gradient.shape == shape else gradient.reshape(shape)
        own, lead = self.bound.shapes[name], self.inputs.batch_shape
        whole = gradient.reshape(len(gradient), *lead, *own)
        if name in self.bound.moving:
            return np.asarray(whole.sum(axis=0))
        shared = whole.ndim != len(shape)
        return whole.sum(axis=tuple(range(1, 1 + len(lead)))) if shared else whole

    def _end(self, values: Array) -> None:
        """Zero where a sequence has ended; values: (time, batch, width)."""
        for t, present in enumerate(self.inputs.mask):
            if present is not None:
                values[t][~present.ravel()] = 0.0

    # --- values ---------------------------------------------------------------------------------
    def value(self, name: str, moment: Moment) -> Array:
        """The value of an equation in the shape of the batch, as the interpreter has it."""
        (own, dtype), lead = self.bound.equations[name], self.inputs.batch_shape
        if moment == "final":
            array = self.record.final(name).reshape((*lead, *own))
        else:
            array = self.record.equation(name)
            if self.inputs.ragged:
                self._end(array := np.array(array))
            array = array.reshape(self.inputs.time, *lead, *own)
            array = array if moment == "all" else array[int(moment), ...]
        return array if dtype.kind == "f" else array.astype(dtype)


def _plain(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape of mere numbers, with which one counts faster than with sizes."""
    return tuple(map(int, shape))


@lru_cache(maxsize=256)
def reached_inputs(program: Program) -> dict[str, frozenset[str]]:
    """For each equation the inputs of the step to which its adjoint flows."""
    found = {node: frozenset([name]) for name, node in program.inputs.items()}

    def make(node: Tensor, parts: list[frozenset[str]]) -> frozenset[str]:
        flows = TABLE[node.op].rule if node.op else None
        return frozenset().union(*(part for k, part in enumerate(parts) if flows and flows(k)))

    reached = fold(program.equations.values(), found, make)
    return {name: reached[node] for name, node in program.equations.items()}


def _reached(
    program: Program, seeds: Iterable[tuple[str, Moment]], inputs: SequenceInputs
) -> set[str]:
    direct = reached_inputs(program)
    at: dict[Moment, set[str]] = {}
    for name, moment in seeds:
        at.setdefault(moment, set()).add(name)
    carried, always = at.pop("final", set()), at.pop("all", set())
    found: set[str] = set()
    steps = range(inputs.time)
    for t in steps if inputs.reverse else reversed(steps):
        before = carried
        reached = set[str]().union(*(direct[n] for n in before | always | at.pop(t, set())))
        found |= reached
        carried = {state for name in reached if (state := state_of(name))}
        if inputs.mask[t] is not None:
            carried |= before
        elif carried == before and not at:  # the other steps are like this one
            break
    return {n for n in found if not state_of(n)} | {f"prev.{n}" for n in carried}


def valued(run: Run, name: str, moment: Moment) -> Tensor:
    """A value of an interpreted run."""
    if moment == "final":
        return run.final[name]
    return run[name] if moment == "all" else run.steps[int(moment)][name]


def expanded(roots: Sequence[Tensor]) -> list[Tensor]:
    """The same values by the interpreter, for readers who want to see every operation."""
    runs: dict[Tensor, Run] = {}

    def make(node: Tensor, operands: list[Tensor]) -> Tensor:
        known = node.attributes
        if node.op == "sequence":
            runs[node] = known["sequence"].interpreted()
            return node
        if node.op == "read":
            return valued(runs[node.inputs[0]], known["name"], known["moment"])
        kept = all(new is old for new, old in zip(operands, node.inputs, strict=True))
        return node if kept else remade(node, operands)

    found = fold(roots, {}, make)
    return [found[root] for root in roots]


def _refuse(*arrays: Any, **attributes: Any) -> Any:
    raise TinygradError("a compiled sequence is computed by unroll alone.")


@lru_cache(maxsize=256)
def _rule(k: int) -> Callable[..., Any]:
    return lambda g, y, *inputs, sequence: sequence.contributions(g, inputs)[k]


def _read(y: Any, sequence: SequenceNode, name: str, moment: Moment) -> Array:
    return sequence.value(name, moment)


def _read_rule(g: Any, y: Any, node: Any, sequence: Any, name: str, moment: Moment) -> Any:
    return Cotangents(node, {(name, moment): g})


register("sequence", _refuse, _rule, "whole", expand=expanded)
register("read", _read, (_read_rule,), "whole")


def run_node(
    sequence: SequenceNode, cell: Cell, p: Parameters, initial: Mapping[str, Tensor]
) -> Run:
    """The run of a cell whose values are read from a node."""
    inputs, names = sequence.inputs, sequence.bound.names
    operands = tuple(sequence.nodes.values())
    empty = np.empty(0, sequence.bound.dtype)
    node = computed(empty, "sequence", operands, {"sequence": sequence})
    known: dict[str, Tensor] = {}

    def read(name: str, moment: Moment, value: Array) -> Tensor:
        attributes = {"sequence": sequence, "name": name, "moment": moment}
        found = computed(value, "read", (node,), attributes)
        if moment != "all":
            found.name = inputs.prefix + name
            found.time = last if moment == "final" else int(moment)
        return found

    def whole(name: str) -> Tensor:
        if name not in known:
            known[name] = read(name, "all", sequence.value(name, "all"))
        return known[name]

    def step(t: int) -> dict[str, Tensor]:
        return {name: read(name, t, whole(name).data[t, ...]) for name in names}

    last = 0 if inputs.reverse else inputs.time - 1
    final = Final(cell.state, lambda name: read(name, "final", sequence.value(name, "final")))
    xs, steps = Moments(inputs.time, inputs.x), Moments(inputs.time, step)
    return Run(cell, p, xs, initial, steps, final, whole, names)
