"""A sequence run forward once, and its backward pass, with or without mistakes in it.

Every value of every step is kept. A backward pass is a walk over the edges of the step's graph
(`rules.Step`), from the last step to the first; an edge hands the adjoint of a node on to one of
its inputs. A mistake changes what some edges hand on, what the loss hands in, which steps are done,
what is carried, or what is read off at the end. Many wrong passes are carried out at once: an
adjoint has an axis of passes in front, of length one for as long as they all agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from tinygrad_lstm.batching import Lifted
from tinygrad_lstm.diagnosis.changes import Change, Changes, Taken
from tinygrad_lstm.diagnosis.passes import Passes
from tinygrad_lstm.diagnosis.rules import Array, Edge, Expression, Step
from tinygrad_lstm.program import Program
from tinygrad_lstm.sequence_inputs import prepare, read_inputs
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Tensor


class Recorded:
    """A cell's run over a sequence, ready to be differentiated, again and again.

    p: arrays by parameter; xs: (time, batch, inputs) or (time, inputs); seeds: what the loss's
    derivative is with respect to an equation at every step, (time, batch, its own axes).
    dtype: of the whole computation.
    """

    def __init__(
        self,
        cell: Cell,
        p: Mapping[str, Array],
        xs: Array,
        seeds: Mapping[str, Array],
        initial: Mapping[str, Array] | None = None,
        dtype: Any = np.float64,
        **further: Any,
    ) -> None:
        as_dtype = {n: np.asarray(v, dtype) for n, v in p.items()}
        self.cell, self.further, self.dtype = cell, further, np.dtype(dtype)
        self.xs = np.asarray(xs, dtype)
        self.bound = cell.bind({name: Tensor(value) for name, value in as_dtype.items()})
        self.parameters = as_dtype
        floating = {
            n: v.astype(dtype) if v.dtype.kind == "f" else v
            for n, v in ((n, np.asarray(v)) for n, v in further.items())
        }
        first = {n: np.asarray(v, dtype) for n, v in (initial or {}).items()}
        inputs = read_inputs(cell, self.xs, first, None, False, 0, floating)
        ready = prepare(cell, self.bound, inputs)
        self.program, self.batch_shape = ready.program, inputs.batch_shape
        self.batch = int(np.prod(self.batch_shape, dtype=int))
        self.time = inputs.time
        self.start = {n: np.asarray(t.data, dtype) for n, t in ready.initial.items()}
        each = frozenset(
            n for n in ready.program.inputs if n == "x" or n.startswith("prev.") or n in ready.each
        )
        self.step = _step(ready.program, each)
        # of an equation called as a parameter is, or as the input, no gradient can be told apart
        self.over_time = {**self.program.equations, "x": self.program.inputs["x"]}
        self.over_time = {n: t for n, t in self.over_time.items() if n not in self.parameters}
        self.names = [*self.parameters, *self.over_time, *(f"prev.{n}" for n in self.start)]
        self._forward(each, lambda name, t: ready.extra_inputs[name](t).data)
        self.seeds = {n: self.flat(np.asarray(g, dtype), 1) for n, g in seeds.items()}
        self._right: dict[str, Array] | None = None
        self._slopes: dict[tuple[Expression, int], list[Array]] = {}

    def __len__(self) -> int:
        return self.time

    # --- forward ---------------------------------------------------------------------------------
    def flat(self, array: Array, axis: int) -> Array:
        """The axes of the batch as one."""
        n = len(self.batch_shape)
        return array.reshape(*array.shape[:axis], self.batch, *array.shape[axis + n :])

    def _forward(self, each: frozenset[str], further: Callable[[str, int], Array]) -> None:
        """Every node's value at every step: (batch, own axes), or its own axes if shared."""
        program, nodes = self.program, self.step.nodes
        lifted = _lift(program, self.batch, each, self.dtype)
        xs, states = self.flat(self.xs, 1), {n: self.flat(v, 0) for n, v in self.start.items()}
        self.values: list[dict[Tensor, Array]] = []
        names = {f"{k}": node for k, node in enumerate(nodes)}
        for t in range(self.time):
            given = {f"prev.{n}": state for n, state in states.items()} | dict(self.parameters)
            given["x"] = xs[t]
            for name in program.inputs:
                if name not in given:
                    value = further(name, t)
                    given[name] = self.flat(value, 0) if name in each else value
            found = lifted.arrays([given[name] for name in lifted.inputs])
            at = {
                node: found[k] if node in self.step.each else found[k][0]
                for k, node in names.items()
            }
            for name, node in program.inputs.items():
                at[node] = given[name]
            self.values.append(at)
            states = {n: at[program.equations[n]] for n in states}
            for n, state in states.items():
                if program.equations[n] not in self.step.each:
                    states[n] = np.broadcast_to(state, (self.batch, *state.shape))

    def value(self, taken: Taken, t: int) -> Array:
        """The value that a wrong rule reads at step t; 0 where there is no such step."""
        node = taken.node
        if taken.part is not None:
            parts = [
                self._at(i, t + taken.by if k == taken.part else t, taken)
                for k, i in enumerate(node.inputs)
            ]
            whole = [
                np.broadcast_to(p, (self.batch, *i.shape))
                for p, i in zip(parts, node.inputs, strict=True)
            ]
            return np.concatenate(whole, axis=node.attributes["axis"])
        return self._at(node, t + taken.by, taken)

    def _at(self, node: Tensor, t: int, taken: Taken) -> Array:
        if 0 <= t < self.time:
            return self.values[t][node]
        if taken.around:
            return self.values[t % self.time][node]
        name = self.step.known.get(node, "")
        if taken.ends:
            return np.zeros_like(self.values[0][node])
        if t == -1 and name in self.start and node is self.program.equations[name]:
            return self.flat(self.start[name], 0)
        state = name.removeprefix("prev.")
        if name.startswith("prev.") and t == self.time:
            return self.values[-1][self.program.equations[state]]
        return np.zeros_like(self.values[0][node])

    # --- backward --------------------------------------------------------------------------------
    def backward(self, changes: Changes | None = None) -> dict[str, Array]:
        """Adjoints by name: parameters (their shapes), x, equations and `prev.STATE` over time.

        Equations and x: (time, batch, own axes); `prev.h`: of the state before the first step.
        """
        if changes is None:
            if self._right is None:
                self._right = self.gradients()[0]
            return self._right
        found, parts = self.gradients(changes)
        return changes.result(found, parts) if changes.result else found

    def gradients(
        self, changes: Changes | None = None
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Adjoints by name, and what each step adds to a parameter's: (time, its shape)."""
        return Passes(self, [changes or Changes()], None, True).found(0)

    def part(self, edge: Edge, g: Array, t: int, change: Change | None = None) -> Array | None:
        """What an edge hands on for the adjoint g of its node, (passes, batch, own axes)."""
        return self._handed(Expression.__call__, edge, g, t, change)

    def summed(self, edge: Edge, g: Array, t: int, change: Change | None = None) -> Array | None:
        """The same, summed over the batch, of what is handed on to a parameter."""
        return self._handed(Expression.summed, edge, g, t, change)

    def _handed(
        self, how: Callable[..., Array], edge: Edge, g: Array, t: int, change: Change | None
    ) -> Array | None:
        rule, slopes = self._ready(edge, t, change)
        if rule is None or rule.vanishes:
            return None
        found = how(rule, g, slopes)
        return found if change is None or change.factor == 1.0 else change.factor * found

    def _ready(
        self, edge: Edge, t: int, change: Change | None
    ) -> tuple[Expression | None, list[Array]]:
        rule = edge.rule if change is None else change.rule
        if rule is None:
            return None, []
        if change is not None and change.taken:
            return rule, self._slopes_of(rule, edge, t, change.taken)
        key = rule, t
        if key not in self._slopes:
            self._slopes[key] = self._slopes_of(rule, edge, t, {})
        return rule, self._slopes[key]

    def _slopes_of(
        self, rule: Expression, edge: Edge, t: int, taken: Mapping[str, Taken]
    ) -> list[Array]:
        values, reads = {}, edge.reads()
        for leaf, own in rule.leaves.items():
            if leaf == "g":
                continue
            node = reads.get(leaf, own)
            value = self.value(taken[leaf], t) if leaf in taken else self.values[t][node]
            if leaf in rule.shared and value.ndim > node.ndim:
                value = value[0]
            elif leaf not in rule.shared and value.ndim == node.ndim:
                value = np.broadcast_to(value, (self.batch, *value.shape))
            values[leaf] = value
        return rule.slopes(values, self.batch, self.dtype)

    # --- what mistakes ask -----------------------------------------------------------------------
    def cuts(self, parameter: str) -> list[int]:
        """Where the parts of the vector that a matrix is multiplied with meet: its columns."""
        W, found = self.program.inputs[parameter], set[int]()
        for node in self.step.nodes:
            if node.op == "matvec" and node.inputs[0] is W and node.inputs[1].op == "concat":
                widths = [i.shape[-1] for i in node.inputs[1].inputs]
                found |= {int(n) for n in np.cumsum(widths)[:-1]}
        return sorted(found)

    def parameters_of(self, equation: str) -> list[str]:
        """The parameters that an equation reads itself."""
        inside = {i for node in self.step.inside(equation) for i in node.inputs}
        return [name for name in self.parameters if self.program.inputs[name] in inside]


@lru_cache(maxsize=64)
def _step(program: Program, each: frozenset[str]) -> Step:
    return Step(program, each)


@lru_cache(maxsize=64)
def _lift(program: Program, batch: int, each: frozenset[str], dtype: Any) -> Lifted:
    step = _step(program, each)
    roots = {f"{k}": node for k, node in enumerate(step.nodes)}
    return Lifted(roots, program.inputs, (batch,), each, dtype)
