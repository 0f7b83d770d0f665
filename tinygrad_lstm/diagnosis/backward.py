"""A sequence run forward once, and its backward pass, with or without a mistake in it.

Every value of every step is kept. The backward pass is a walk over the edges of that graph: an edge
(node, k) hands the adjoint of `node` on to its k-th input by the rule of the operation. A mistake
replaces what some edges hand on, what the loss hands in, or what is read off at the end, in
every step alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tinygrad_lstm.graph import ancestors, unbroadcast
from tinygrad_lstm.operation import TABLE
from tinygrad_lstm.program import Program
from tinygrad_lstm.running import Run, unroll
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Tensor

Array = npt.NDArray[Any]
Place = tuple[int, int]  # which node of a step, counted from its end, and which input of it


class Edge(NamedTuple):
    """One way that a gradient takes: from a node at step `t` to its k-th input."""

    graph: Recorded
    t: int
    node: Tensor
    k: int

    @property
    def source(self) -> Tensor:
        """The input that receives the gradient."""
        found: Tensor = self.node.inputs[self.k]
        return found

    def part(self, g: Array, y: Array | None = None, **replaced: Array) -> Array | None:
        """What the input receives; y, or the operand j as `_j`, may be taken from elsewhere."""
        node = self.node
        rule = TABLE[node.op or "identity"].rule(self.k)
        if rule is None:
            return None
        values = [replaced.get(f"_{j}", i.data) for j, i in enumerate(node.inputs)]
        found = rule(g, node.data if y is None else y, *values, **node.attributes)
        return None if found is None else unbroadcast(found, self.source.shape)


Change = Callable[[Edge, Array], "Array | None"]


@dataclass(frozen=True)
class Changes:
    """What a wrong backward pass does in another way than the right one.

    edges: what is handed on along an edge; seeds: what the loss hands in, by output and step;
    result: what is read off, from the adjoints and each step's part of a parameter's gradient.
    """

    edges: Mapping[Place, Change] = field(default_factory=dict)
    seeds: Callable[[dict[str, Array]], dict[str, Array]] | None = None
    result: Callable[[dict[str, Array], Mapping[str, Array]], dict[str, Array]] | None = None

    def __add__(self, other: Changes) -> Changes:
        def both(first: Any, second: Any) -> Any:
            if first is None or second is None:
                return first or second
            return lambda found, *more: second(first(found, *more), *more)

        return Changes(
            {**self.edges, **other.edges},
            both(self.seeds, other.seeds),
            both(self.result, other.result),
        )


class Recorded:
    """A cell's run over a sequence, ready to be differentiated, again and again.

    p: arrays by parameter; xs: (time, batch, inputs); seeds: what the loss's derivative is with
    respect to an equation at every step, (time, batch, its own axes).
    """

    def __init__(
        self,
        cell: Cell,
        p: Mapping[str, Array],
        xs: Array,
        seeds: Mapping[str, Array],
        initial: Mapping[str, Array] | None = None,
        **further: Any,
    ) -> None:
        self.cell, self.seeds = cell, dict(seeds)
        self.xs = Tensor(xs, "x")
        self.initial = {name: Tensor(value) for name, value in (initial or {}).items()}
        self.parameters = cell.bind({name: Tensor(value) for name, value in p.items()})
        start = dict(self.initial)
        if not start:
            plain = unroll(cell, self.parameters, xs[:1], **_first(cell, further)).initial
            start = {name: Tensor(np.array(state.data)) for name, state in plain.items()}
        self.run: Run = unroll(cell, self.parameters, self.xs, start, **further)
        self.start = start
        self.program: Program = cell.program(**self.parameters.sizes)
        self.steps = self.run.steps
        self._lay_out()

    def __len__(self) -> int:
        return len(self.steps)

    def _lay_out(self) -> None:
        """Every node's step and place, and its edges."""
        roots = [node for step in self.steps for node in step.values()]
        nodes = [n for n in ancestors(roots, requires_grad=True) if n.inputs]
        last = [max(node.order for node in step.values()) for step in self.steps]
        of_step: list[list[Tensor]] = [[] for _ in self.steps]
        t = 0
        for node in nodes:
            while node.order > last[t]:
                t += 1
            of_step[t].append(node)
        self.at: dict[Tensor, tuple[int, int]] = {}
        self.of_step = of_step
        for t, found in enumerate(of_step):
            for k, node in enumerate(found):
                self.at[node] = t, k - len(found)
        self.edges: list[tuple[Tensor, list[tuple[Place, Edge]]]] = []
        for node in reversed(nodes):
            t, place = self.at[node]
            ways = [
                ((place, k), Edge(self, t, node, k))
                for k, i in enumerate(node.inputs)
                if i.requires_grad and TABLE[node.op or "identity"].rule(k) is not None
            ]
            self.edges.append((node, ways))
        self.names = {tensor: name for name, tensor in self.parameters.items()}

    def neighbour(self, node: Tensor, by: int) -> Tensor | None:
        """The node that stands in the same place `by` steps later, if there is that step."""
        if node not in self.at:  # a state before the first step
            names = [name for name, state in self.start.items() if state is node]
            return self.steps[0].get(names[0]) if names and by == 1 else None
        t, place = self.at[node]
        if 0 <= t + by < len(self):
            found = self.of_step[t + by]
            return found[place] if -place <= len(found) else None
        if t + by == -1 and node.name in self.start and node is self.steps[t].get(node.name):
            return self.start[node.name]
        return None

    def backward(self, changes: Changes | None = None) -> dict[str, Array]:
        """Adjoints by name: parameters (their shapes), x, equations and `prev.STATE` over time.

        Equations and x: (time, batch, own axes); `prev.h`: of the state before the first step.
        """
        changes = changes or Changes()
        seeds = changes.seeds(dict(self.seeds)) if changes.seeds else self.seeds
        adjoints: dict[Tensor, Array] = {}
        for name, g in seeds.items():
            for t, step in enumerate(self.steps):
                adjoints[step[name]] = adjoints.get(step[name], 0) + g[t]
        parts = {name: np.zeros((len(self), *t.shape)) for name, t in self.parameters.items()}
        for node, ways in self.edges:
            g = adjoints.get(node)
            if g is None:
                continue
            for place, edge in ways:
                change = changes.edges.get(place)
                part = edge.part(g) if change is None else change(edge, g)
                if part is None:
                    continue
                source = edge.source
                if source in self.names:
                    parts[self.names[source]][edge.t] += part
                else:
                    before = adjoints.get(source)
                    adjoints[source] = part if before is None else before + part
        found = {name: part.sum(axis=0) for name, part in parts.items()}
        found["x"] = self._over(adjoints, [self.xs])[0]
        for name in self.steps[0]:
            found[name] = self._over(adjoints, [step[name] for step in self.steps])
        for name, state in self.start.items():
            found[f"prev.{name}"] = self._over(adjoints, [state])[0]
        return changes.result(found, parts) if changes.result else found

    @staticmethod
    def _over(adjoints: Mapping[Tensor, Array], nodes: list[Tensor]) -> Array:
        return np.stack([adjoints.get(node, np.zeros(node.shape)) for node in nodes])


def _first(cell: Cell, further: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value[:1] if name in cell.sequences else value for name, value in further.items()
    }
