"""Many backward passes at once, each with mistakes of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from tinygrad_lstm.diagnosis.changes import Change, Changes
from tinygrad_lstm.diagnosis.rules import Array, Edge, Place, Point, Step
from tinygrad_lstm.program import Program
from tinygrad_lstm.tensor import Tensor


class Run(Protocol):
    """What passes go back over: `backward.Recorded`."""

    step: Step
    program: Program
    batch: int
    dtype: Any
    parameters: dict[str, Array]
    start: dict[str, Array]
    seeds: dict[str, Array]
    names: list[str]
    over_time: dict[str, Tensor]

    def __len__(self) -> int: ...

    def part(self, edge: Edge, g: Array, t: int, change: Change | None = None) -> Array | None:
        """What an edge hands on."""

    def summed(self, edge: Edge, g: Array, t: int, change: Change | None = None) -> Array | None:
        """The same, summed over the batch."""


ENTRIES = 100_000  # about so many of one adjoint's are computed at once
MOST = 256  # passes at once


def in_parts(
    graph: Run, several: Sequence[Changes], names: Iterable[str]
) -> Iterator[tuple[int, Passes]]:
    """Many passes, as many at a time as fit, with the number of the first of them."""
    most = max((point.node.size for point in graph.step.into), default=1)
    size = min(max(ENTRIES // (graph.batch * max(most, 1)), 1), MOST)
    wanted = frozenset(names)
    for k in range(0, len(several), size):
        yield k, Passes(graph, several[k : k + size], wanted)


class Passes:
    """Backward passes over one run, a pass for each of several changes.

    An adjoint is (passes, batch, own axes), with one pass for as long as all agree. arrays: by name
    the gradients, (passes, …). names: the wanted ones, None for all; parts: whether what each step
    adds to a parameter's gradient is kept, too.
    """

    def __init__(
        self,
        graph: Run,
        several: Sequence[Changes],
        names: Collection[str] | None,
        parts: bool = False,
    ) -> None:
        self.graph, self.count = graph, len(several)
        step, program = graph.step, graph.program
        self._names = [n for n in graph.names if names is None or n in names]
        self._keep = parts
        self._changes: dict[Place, list[tuple[Change, list[int]]]] = {}
        grouped: dict[tuple[Place, Change], list[int]] = {}
        for m, changes in enumerate(several):
            for place, change in changes.edges.items():
                grouped.setdefault((place, change), []).append(m)
        for (place, change), which in grouped.items():
            self._changes.setdefault(place, []).append((change, which))
        self._needed = {c.without for _, c in grouped if isinstance(c.without, Place)}
        self._parameters = {program.inputs[n]: n for n in graph.parameters}
        self._seeds = {
            m: c.seeds(graph, dict(graph.seeds)) for m, c in enumerate(several) if c.seeds
        }
        self._skipped = {
            t: [m for m, c in enumerate(several) if {t, t - len(graph)} & c.skipped]
            for t in {0, len(graph) - 1}
        }
        self._added = {
            (name, way): [m for m, c in enumerate(several) if c.carry.get(name) == way]
            for name in graph.start
            for way in ("added", "kept")
        }
        wanted = {Point("", program.inputs[n]) for n in graph.parameters if n in self._names}
        self._edges = self._leading_to(wanted, step.edges)
        self.arrays: dict[str, Array] = {}
        self._parts: dict[str, list[Array]] = {n: [] for n in graph.parameters if n in self._names}
        self._run()

    def found(self, m: int) -> tuple[dict[str, Array], dict[str, Array]]:
        """The gradients of one pass, and the parts of them that the steps add."""
        found = {n: v[m if len(v) > 1 else 0] for n, v in self.arrays.items()}
        parts = {
            n: np.stack([p[m if len(p) > 1 else 0] for p in each])
            for n, each in self._parts.items()
            if self._keep
        }
        return found, parts

    def _leading_to(self, wanted: set[Point], edges: Sequence[Edge]) -> list[Edge]:
        """Edges to parameters whose gradients nobody asks for are left out."""
        nodes = self._parameters
        return [e for e in edges if e.source not in nodes or e.target in wanted]

    def _all(self, array: Array) -> Array:
        """A copy of the array with an entry for each pass; a sum hands on the very array it got."""
        return np.broadcast_to(array, (self.count, *array.shape[1:])).copy()

    def _run(self) -> None:
        graph, program = self.graph, self.graph.program
        over: dict[str, list[Array]] = {n: [] for n in self._names}
        carried: dict[str, Array] = {}
        for t in reversed(range(len(graph))):
            adjoints: dict[Point, Array] = {}
            self._handed: dict[Any, Array] = {}
            self._begin(t, adjoints, carried)
            self._back(t, adjoints)
            for name in self._names:
                if (node := graph.over_time.get(name)) is not None:
                    over[name].append(self._get(adjoints, node))
            new = {n: self._get(adjoints, program.inputs[f"prev.{n}"]) for n in graph.start}
            whole = {n: self._get(adjoints, program.equations[n]) for n in graph.start}
            carried = {n: self._carry(n, t, g, carried.get(n), whole[n]) for n, g in new.items()}
        for name in self._names:
            if over[name]:
                self.arrays[name] = self._stack(over[name][::-1])
            elif name in graph.parameters:
                self.arrays[name] = self._total(name)
            else:
                self.arrays[name] = carried[name.removeprefix("prev.")]

    def _begin(self, t: int, adjoints: dict[Point, Array], carried: dict[str, Array]) -> None:
        """What the loss and the step after hand in."""
        equations = self.graph.program.equations
        for name, seed in self.graph.seeds.items():
            g = seed[t][None]
            changed = {m: s[name][t] for m, s in self._seeds.items()}
            if changed:
                g = self._all(g)
                for m, own in changed.items():
                    g[m] = own
            self._handed["loss", name] = g
            _add(adjoints, Point("", equations[name]), g)
        for name, g in carried.items():
            self._handed["carried", name] = g
            _add(adjoints, Point("", equations[name]), g)
        if skipped := self._skipped.get(t):
            for point, g in adjoints.items():
                adjoints[point] = self._all(g)
                adjoints[point][skipped] = 0

    def _back(self, t: int, adjoints: dict[Point, Array]) -> None:
        known = self.graph.step.known
        for edge in self._edges:
            own = "" if edge.node in known else edge.place.owner
            g = adjoints.get(Point(own, edge.node))
            if g is None:
                continue
            parameter = self._parameters.get(edge.source)
            part = self._part(edge, g, t, parameter is not None)
            if part is None:
                continue
            if edge.place in self._needed:
                self._handed[edge.place] = part
            if parameter is None:
                _add(adjoints, edge.target, part)
            elif self._keep:
                each = self._parts[parameter]
                while len(each) < len(self.graph):
                    each.append(np.zeros((1, *edge.source.shape), self.graph.dtype))
                each[t] = each[t] + part
            else:
                total = self._parts[parameter]
                self._parts[parameter] = [total[0] + part] if total else [part]

    def _part(self, edge: Edge, g: Array, t: int, summed: bool) -> Array | None:
        hand_on = self.graph.summed if summed else self.graph.part
        changed = self._changes.get(edge.place)
        if not changed:
            return hand_on(edge, g, t)
        part = None
        if sum(len(which) for _, which in changed) < self.count:
            part = hand_on(edge, g, t)
        shape = edge.source.shape if summed else (self.graph.batch, *edge.source.shape)
        if part is None:
            part = np.zeros((1, *shape), self.graph.dtype)
        part = self._all(part)
        for change, which in changed:
            upstream = g if len(g) == 1 else g[which]
            if change.without is not None:
                key = change.without
                lost = self._handed.get((key, edge.place.owner) if isinstance(key, str) else key)
                if lost is not None:
                    upstream = upstream - (lost if len(lost) == 1 else lost[which])
            if change.rolled:
                upstream = np.roll(upstream, change.rolled, axis=-1)
            found = hand_on(edge, upstream, t, change)
            part[which] = 0 if found is None else found
        return part

    def _get(self, adjoints: dict[Point, Array], node: Tensor) -> Array:
        found = adjoints.get(Point("", node))
        if found is None:
            return np.zeros((1, self.graph.batch, *node.shape), self.graph.dtype)
        return found

    def _carry(self, name: str, t: int, g: Array, before: Array | None, whole: Array) -> Array:
        if before is None:
            before = np.zeros_like(g[:1])
        if skipped := self._skipped.get(t):
            g = self._all(g)
            g[skipped] = before if len(before) == 1 else before[skipped]
        for way, more in (("added", before), ("kept", whole)):
            if which := self._added[name, way]:
                g = self._all(g)
                g[which] += more if len(more) == 1 else more[which]
        return g

    def _stack(self, each: list[Array]) -> Array:
        """Arrays of the steps as one: (passes, time, …)."""
        most = max(map(len, each))
        return np.stack([np.broadcast_to(a, (most, *a.shape[1:])) for a in each], axis=1)

    def _total(self, name: str) -> Array:
        each = self._parts[name]
        if not each:
            node = self.graph.program.inputs[name]
            self._parts[name] = [np.zeros((1, *node.shape), self.graph.dtype)] * len(self.graph)
            return np.zeros((1, *node.shape), self.graph.dtype)
        total = each[0]
        for part in each[1:]:
            total = total + part
        return total


def _add(adjoints: dict[Point, Array], point: Point, part: Array) -> None:
    before = adjoints.get(point)
    adjoints[point] = part if before is None else before + part
