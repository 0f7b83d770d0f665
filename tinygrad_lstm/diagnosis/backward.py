"""A sequence run forward once, and its backward pass, with or without a mistake in it.

Every value of every step is kept. The backward pass is a walk over the edges of that graph: an edge
(node, k) hands the adjoint of `node` on to its k-th input by the rule of the operation. A mistake
replaces what some edges hand on, what the loss hands in, or what is read off at the end, in
every step alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
Place = tuple[int | str, int]  # which node of a step, by number or name, and which input of it


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


@dataclass(frozen=True)
class Mistake:
    """One mistake: its kind, how it is told, and what it changes.

    message: a key of words.toml, filled with `words`. place: the edge whose term it is about, if it
    is about one. rank: of two that give the same numbers the one with the lower rank is told.
    """

    kind: str
    message: str
    changes: Changes
    rank: float = 1.0
    place: Place | None = None
    words: Mapping[str, Any] = field(default_factory=dict)


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
        self.cell, self.seeds, self.further = cell, dict(seeds), further
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
        self.at: dict[Tensor, tuple[int, int | str]] = {}
        self.of_step: list[dict[int | str, Tensor]] = []
        for t, found in enumerate(of_step):  # what is read comes first, in another order at t = 0
            written = set(self.steps[t].values())
            read = {n: n.name for n in found if n.name and n not in written}
            own = [node for node in found if node not in read]
            places: dict[Tensor, int | str] = {**read, **{n: k for k, n in enumerate(own)}}
            self.at |= {node: (t, place) for node, place in places.items()}
            self.of_step.append({place: node for node, place in places.items()})
        self.state_at = {-1: self.start, **dict(enumerate(self.steps))}
        self.states: dict[Tensor, tuple[int, str]] = {}  # when each state is which
        for t, known in self.state_at.items():
            self.states |= {known[name]: (t, name) for name in self.start if name in known}
        for place, node in self.of_step[0].items():
            if isinstance(place, str) and place.startswith("prev."):
                self.states[node] = -1, place[5:]
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
        if node in self.states:
            t, name = self.states[node]
            return self.state_at[t + by].get(name) if t + by in self.state_at else None
        if node not in self.at:
            return None
        t, place = self.at[node]
        return self.of_step[t + by].get(place) if 0 <= t + by < len(self) else None

    def ways_of_a_step(self) -> Iterator[tuple[Place, Edge]]:
        """The edges of a step that is neither the first nor, if there are enough, the last."""
        t = min(1, len(self) - 1)
        for node, ways in self.edges:
            if self.at[node][0] == t:
                yield from ways

    def edge_at(self, place: Place) -> Edge | None:
        """The edge in this place of a step that is not the first, if there is another."""
        return dict(self.ways_of_a_step()).get(place)

    def carries(self, edge: Edge) -> str | None:
        """The state, if the edge leads from one step to a state of the step before."""
        before = self.steps[edge.t - 1] if edge.t else self.start
        return next((name for name in self.start if before.get(name) is edge.source), None)

    def only_way(self, edge: Edge) -> bool:
        """Whether no other edge of the step leads to where this one does."""
        ways = [w for node, all_ways in self.edges for _, w in all_ways if w.t == edge.t]
        return sum(way.source is edge.source for way in ways) == 1

    def cuts(self, parameter: str) -> list[int]:
        """Where the parts of the vector that a matrix is multiplied with meet: its columns."""
        W, found = self.parameters[parameter], set[int]()
        for node in self.of_step[-1].values():
            if node.op == "matvec" and node.inputs[0] is W and node.inputs[1].op == "concat":
                widths = [i.shape[-1] for i in node.inputs[1].inputs]
                found |= {int(n) for n in np.cumsum(widths)[:-1]}
        return sorted(found)

    def parameters_of(self, equation: str) -> list[str]:
        """The parameters that an equation reads itself."""
        node = self.program.equations[equation]
        inside, stack = set[Tensor](), [node]
        while stack:
            for i in stack.pop().inputs:
                if i not in inside:
                    inside.add(i)
                    if i.name is None:
                        stack.append(i)
        return [name for name in self.parameters if self.program.inputs[name] in inside]

    def backward(self, changes: Changes | None = None) -> dict[str, Array]:
        """Adjoints by name: parameters (their shapes), x, equations and `prev.STATE` over time.

        Equations and x: (time, batch, own axes); `prev.h`: of the state before the first step.
        """
        found, parts = self.gradients(changes)
        return changes.result(found, parts) if changes and changes.result else found

    def gradients(
        self, changes: Changes | None = None
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Adjoints by name, and what each step adds to a parameter's: (time, its shape)."""
        changes = changes or Changes()
        seeds = changes.seeds(dict(self.seeds)) if changes.seeds else self.seeds
        adjoints: dict[Tensor, Array] = {}
        for name, g in seeds.items():
            for t, step in enumerate(self.steps):
                adjoints[step[name]] = adjoints.get(step[name], 0) + g[t]
        parts = {name: np.zeros((len(self), *t.shape)) for name, t in self.parameters.items()}
        for node, ways in self.edges:
            upstream = adjoints.get(node)
            if upstream is None:
                continue
            for place, edge in ways:
                change = changes.edges.get(place)
                part = edge.part(upstream) if change is None else change(edge, upstream)
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
        return found, parts

    @staticmethod
    def _over(adjoints: Mapping[Tensor, Array], nodes: list[Tensor]) -> Array:
        return np.stack([adjoints.get(node, np.zeros(node.shape)) for node in nodes])


def _first(cell: Cell, further: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value[:1] if name in cell.sequences else value for name, value in further.items()}
