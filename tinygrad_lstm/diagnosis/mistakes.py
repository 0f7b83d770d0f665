"""The mistakes that people make in a backward pass, drawn by rule from any cell's own graph.

Each is a way to change what edges hand on (`backward.Changes`), with the words for it. No rule
knows a cell. Those that are about no edge stand in `overall`, those in what is read off at the end
in `reading`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from tinygrad_lstm.diagnosis.backward import Recorded
from tinygrad_lstm.diagnosis.changes import Change, Changes, Mistake, Taken
from tinygrad_lstm.diagnosis.overall import over_time
from tinygrad_lstm.diagnosis.rules import Edge, Expression, Place, Point
from tinygrad_lstm.diagnosis.slopes import (
    ACTIVATIONS,
    PASSING,
    Variant,
    apart,
    slopes,
    untransposed,
    within,
)
from tinygrad_lstm.graph import ancestors
from tinygrad_lstm.tensor import Tensor

NOTHING = Change(None)


def mistakes(graph: Recorded) -> Iterator[Mistake]:
    """Every single mistake in the way back that the rules know."""
    yield from over_time(graph)
    drawn = _Drawn(graph)
    for edge in graph.step.edges:
        yield from drawn.along(edge)
    yield from drawn.together()


class _Drawn:
    """What is drawn from the edges of a step."""

    def __init__(self, graph: Recorded) -> None:
        self.graph, self.step = graph, graph.step
        self.program = graph.program
        self.copies: dict[tuple[Tensor, int], list[Edge]] = {}
        for edge in self.step.edges:
            self.copies.setdefault(edge.original, []).append(edge)
        self.from_loss = {self.program.equations[n] for n in graph.seeds}
        self.seeded = {self.program.equations[n] for n in (*graph.seeds, *graph.start)}
        self.parameters = {self.program.inputs[n]: n for n in graph.parameters}
        self.named = {t: n for t, n in self.step.known.items() if t.dtype.kind == "f"}

    # --- along one edge --------------------------------------------------------------------------
    def along(self, edge: Edge) -> Iterator[Mistake]:
        """Mistakes in what one edge hands on."""
        copies = self.copies[edge.original]
        if len(copies) > 1 and copies[0] is edge:  # in what several equations share
            yield from self.terms(edge, copies, 0.0)
            if edge.op == "concat":
                yield from self._order(edge, copies)
        yield from self.terms(edge, [edge], 0.05 * (len(copies) > 1))
        if len(copies) == 1 and edge.op == "concat":
            yield from self._order(edge, [edge])
        yield from self.stale(edge)
        if edge.op in PASSING or copies[0] is not edge:
            return
        for variant in self.variants(edge):
            yield _one(variant, copies)
        yield from self.operands(edge, copies)
        if edge.op in ("matvec", "matmul") and edge.k == 1:
            yield from self._matrices(edge, copies)
        if edge.op == "multiply" and edge.k == 0:
            yield from self._factors(edge, copies)

    def terms(self, edge: Edge, edges: list[Edge], later: float) -> Iterator[Mistake]:
        """The term is not there, twice, or with the other sign."""
        into = self.step.into[edge.target]
        state = self._state(edge.source)
        alone = all(any(e is other for other in edges) for e in into)
        only_term = all(self._only(target, edges) for target in self._reached(edge))
        kind = "carried" if state and alone else "missing term"
        message = "lost" if kind == "carried" else "missing"
        yield _all(kind, message, NOTHING, edges, 1.0 + later)
        if only_term and edge.source not in self.parameters:
            yield _all("factor", "double", _scaled(edge, 2.0), edges, 1.2 + later)
        elif not only_term:
            yield _all("double term", "double", _scaled(edge, 2.0), edges, 1.1 + later)
        yield _all("sign", "sign", _scaled(edge, -1.0), edges, 1.0 + later)
        if not only_term:
            words = {"factor": 0.5}
            yield _all("factor", "term factor", _scaled(edge, 0.5), edges, 1.4 + later, words)

    def _state(self, node: Tensor) -> str | None:
        name = self.step.known.get(node, "")
        return name.removeprefix("prev.") if name.startswith("prev.") else None

    def _reached(self, edge: Edge) -> list[Tensor]:
        """The named values whose adjoints an edge contributes to."""
        if edge.source in self.step.known:
            return [edge.source]
        inside = ancestors([edge.source], requires_grad=True, stop=self.step.known)
        return [n for n in inside if n in self.step.known]

    def _only(self, target: Tensor, edges: list[Edge]) -> bool:
        """Whether a named value's adjoint has no other term than what these edges contribute."""
        state = self._state(target)
        root = self.program.equations[state] if state else target
        if root in self.from_loss or state and self.step.into.get(Point("", root)):
            return False
        points = [Point("", target)]
        while points:
            for e in self.step.into.get(points.pop(), []):
                if any(e is own for own in edges):
                    continue
                if e.node in self.step.known:
                    return False
                points.append(Point(e.place.owner, e.node))
        return state is not None or target not in self.seeded

    def variants(self, edge: Edge) -> Iterator[Variant]:
        """Other expressions for the rule."""
        yield from slopes(self.step, edge)
        yield from within(self.step, edge)

    # --- what a rule reads -----------------------------------------------------------------------
    def operands(self, edge: Edge, copies: list[Edge]) -> Iterator[Mistake]:
        """Values in a rule that are taken from another step, or are another equation's."""
        for leaf, node in _read(edge).items():
            ways = [(edge.rule, leaf, 0.0)]
            ways += [(rule, "other", 0.3) for rule in apart(self.step, edge, leaf)]
            for rule, read, later in ways:
                yield from self._replaced(node, rule, read, copies, later)

    def _replaced(
        self, node: Tensor, rule: Expression, leaf: str, copies: list[Edge], later: float
    ) -> Iterator[Mistake]:
        """Another value for a node that a rule reads."""
        for taken in self.shifted(node):
            change = Change(rule, taken={leaf: taken})
            rank = 1.1 + 0.1 * (taken.by > 0) + 0.2 * taken.around + 0.05 * taken.ends + later
            words = {"by": taken.by, "value": node, "part": taken.part}
            message = "step around" if taken.around else "step"
            yield _all("step", message, change, copies, rank, words)
        for other in self.like(node):
            own = rule
            if leaf in rule.shared and other in self.step.each:  # each sample has its own now
                own = Expression(rule.root, rule.leaves, rule.shared - {leaf})
            change = Change(own, taken={leaf: Taken(other)})
            name = self.named.get(other)
            gates = name in self.program.equations and node.name in self.program.equations
            words = {"other": name or other, "value": node}
            kind = "exchange" if gates else "value"
            rank = 1.5 - 0.1 * (name is None) + later
            yield _all(kind, "other value", change, copies, rank, words)

    def shifted(self, node: Tensor) -> Iterator[Taken]:
        """The same value, one step earlier or later; parts of a joined one, too."""
        moving = self.step.each
        if node not in moving:
            return
        for by in (-1, 1):
            yield Taken(node, by)
            if self._ends(node, by):
                yield Taken(node, by, ends=True)
            if node.op == "concat" and node.name is None:
                for part, i in enumerate(node.inputs):
                    if i in moving:
                        yield Taken(node, by, part)
                        if self._ends(i, by):
                            yield Taken(node, by, part, ends=True)
        if self._state(node) and len(self.graph) > 1:
            yield Taken(node, 0, None, True)

    def _ends(self, node: Tensor, by: int) -> bool:
        """Whether a value is known where there is no such step: a first or a last state."""
        if by > 0:
            return self._state(node) is not None
        name = self.step.known.get(node)
        return name in self.graph.start and node is self.program.equations.get(name or "")

    def like(self, node: Tensor) -> Iterator[Tensor]:
        """Other values that a rule could read in the place of one: of the same shape."""
        if node.op == "concat" and node.name is None:
            return
        if node in self.parameters and node.ndim > 1:
            return  # matrices are exchanged as such
        parameter = node in self.parameters
        own = node.name or ""
        twins = {own.removeprefix("prev."), f"prev.{own}"}  # a step earlier or later
        for other, name in self.named.items():
            fits = other.shape == node.shape and other is not node and name not in twins
            if fits and (other in self.parameters) == parameter:
                yield other
        if node not in self.named:
            for i in node.inputs:  # the function forgotten: C for tanh(C)
                if i.shape == node.shape and i not in self.named and i.inputs:
                    yield i

    def _matrices(self, edge: Edge, copies: list[Edge]) -> Iterator[Mistake]:
        W = edge.node.inputs[0]
        turned = untransposed(self.step, edge) if W in self.parameters else None
        if turned is not None:
            yield _one(turned, copies)
        for other, name in self.parameters.items():
            if other.shape == W.shape and other is not W and W in self.parameters:
                change = Change(edge.rule, taken={"_0": Taken(other)})
                words = {"other": name}
                yield _all("exchange", "other matrix", change, copies, 1.4, words)

    def _factors(self, edge: Edge, copies: list[Edge]) -> Iterator[Mistake]:
        """a ⊙ b of which each factor has itself in its adjoint, where the other belongs."""
        a, b = edge.node.inputs
        if not (a.name and b.name and b.requires_grad and a.shape == b.shape):
            return
        own = {}
        for first in copies:
            for k, node in ((0, a), (1, b)):
                place = first.place._replace(k=k)
                if place in self.step.at:
                    change = Change(self.step.at[place].rule, taken={f"_{1 - k}": Taken(node)})
                    own[place] = change
        if len(own) > 1:
            words = {"a": a.name, "b": b.name}
            yield Mistake("exchange", "factors exchanged", Changes(own), 1.3, edge.place, words)

    def _order(self, edge: Edge, copies: list[Edge]) -> Iterator[Mistake]:
        """[x, h] for [h, x] where the adjoint of a joined vector is taken apart."""
        inputs = edge.node.inputs
        if edge.k or len(inputs) != 2 or edge.node.ndim != 1:
            return
        first, second = (i.shape[-1] for i in inputs)
        changes = {}
        for copy in copies:
            for k in (0, 1):
                other = self.step.at.get(copy.place._replace(k=k))
                if other is not None:  # g is [x, h]: its entries are moved to where h is first
                    changes[other.place] = Change(other.rule, rolled=first)
        yield Mistake("order", "order of parts", Changes(changes), 1.2, edge.place)

    # --- stale adjoints --------------------------------------------------------------------------
    def stale(self, edge: Edge) -> Iterator[Mistake]:
        """An edge hands on an adjoint that lacks one of its terms: it was read too early."""
        value = edge.place.owner
        root = self.program.equations[value]
        if edge.node is not root and not self._passed(root, edge.node):
            return
        if edge.node is root and edge.op == "add":
            return  # told where it is used
        into = self.step.into.get(self.step.point("", root), [])
        lacking: list[Any] = [e.place for e in into]
        if value in self.graph.seeds:
            lacking.append("loss")
        if value in self.graph.start and len(self.graph) > 1:
            lacking.append("carried")
        if len(lacking) < 2:
            return
        for what in lacking:
            change = Change(edge.rule, without=what)
            words = {"without": what, "name": value}
            yield _all("value", "stale", change, [edge], 1.6, words)

    def _passed(self, root: Tensor, node: Tensor) -> bool:
        """Whether a node's adjoint is that of the equation: sums alone lie between."""
        while root is not node:
            ways = [i for i in root.inputs if i.shape == root.shape and i not in self.step.known]
            if root.op != "add" or not ways:
                return False
            below = [i for i in ways if i is node]
            root = below[0] if below else ways[0]
        return True

    # --- several edges together ------------------------------------------------------------------
    def together(self) -> Iterator[Mistake]:
        """One thing done wrong wherever it occurs."""
        readers: dict[tuple[str, Tensor], list[Edge]] = {}
        roots: dict[str, list[Edge]] = {}
        for edge in self.step.edges:
            if edge.source in self.named:
                readers.setdefault((edge.place.owner, edge.source), []).append(edge)
            if edge.node is self.program.equations[edge.place.owner]:
                roots.setdefault(edge.place.owner, []).append(edge)
        for (_, source), edges in readers.items():
            if len(edges) > 1 and source not in self.parameters:
                yield from self.terms(edges[0], edges, 0.1)
        for name, edges in roots.items():
            if len(edges) > 1:
                words = {"name": name}
                yield _all("missing term", "detached", NOTHING, edges, 1.15, words)
        for name in self.program.equations:
            found = self.step.into.get(self.step.point("", self.program.equations[name]), [])
            if len(found) > 1:
                words = {"name": name}
                yield _all("missing term", "detached", NOTHING, found, 1.2, words)
        yield from self._of_one_kind()
        yield from self._operand_everywhere()

    def _of_one_kind(self) -> Iterator[Mistake]:
        groups: dict[str, list[Edge]] = {}
        for edge in self.step.edges:
            if self.copies[edge.original][0] is edge:
                if edge.op in ACTIVATIONS:
                    groups.setdefault(edge.op, []).append(edge)
                    groups.setdefault(" ", []).append(edge)
                if edge.op == "matvec" and edge.k == 1 and edge.node.inputs[0] in self.parameters:
                    groups.setdefault("matvec", []).append(edge)
        for op, edges in groups.items():
            if len(edges) < 2 or op == " " and len(groups) < 3:
                continue
            several: dict[str, list[tuple[Edge, Variant]]] = {}
            for edge in edges:
                turned = untransposed(self.step, edge) if op == "matvec" else None
                found = slopes(self.step, edge) if op != "matvec" else [turned] if turned else []
                for variant in found:
                    several.setdefault(variant.key, []).append((edge, variant))
            for ways in several.values():
                if len(ways) == len(edges):
                    first = ways[0][1]
                    changes = {
                        copy.place: v.change for e, v in ways for copy in self.copies[e.original]
                    }
                    words = {**first.words, "everywhere": True}
                    yield Mistake(
                        first.kind, first.message, Changes(changes), first.rank + 0.1,
                        edges[0].place, words,
                    )  # fmt: skip

    def _operand_everywhere(self) -> Iterator[Mistake]:
        """One value of another step in every rule that reads it, or in those of parameters."""
        reading: dict[tuple[Tensor, bool], list[tuple[Edge, str]]] = {}
        for edge in self.step.edges:
            if edge.op in PASSING:
                continue
            for leaf, node in _read(edge).items():
                reading.setdefault((node, False), []).append((edge, leaf))
                if edge.source in self.parameters:
                    reading.setdefault((node, True), []).append((edge, leaf))
        for (node, own), ways in reading.items():
            if len(ways) < 2 or own and len(ways) == len(reading[node, False]):
                continue
            for taken in self.shifted(node):
                changes = {e.place: Change(e.rule, taken={leaf: taken}) for e, leaf in ways}
                words = {"by": taken.by, "value": node, "part": taken.part, "everywhere": True}
                message = "step around" if taken.around else "step"
                rank = 1.2 + 0.1 * (taken.by > 0) + 0.2 * taken.around
                yield Mistake("step", message, Changes(changes), rank, ways[0][0].place, words)


def _read(edge: Edge) -> dict[str, Tensor]:
    """The values that a rule reads."""
    used = set(ancestors([edge.rule.root]))
    return {leaf: n for leaf, n in edge.reads().items() if edge.rule.leaves[leaf] in used}


def _scaled(edge: Edge, factor: float) -> Change:
    return Change(edge.rule, factor)


def _one(variant: Variant, edges: list[Edge]) -> Mistake:
    changes = Changes({e.place: variant.change for e in edges})
    place = edges[0].place
    return Mistake(variant.kind, variant.message, changes, variant.rank, place, variant.words)


def _all(
    kind: str,
    message: str,
    change: Change,
    edges: Iterable[Edge],
    rank: float,
    words: Mapping[str, Any] | None = None,
) -> Mistake:
    """The same change along several edges; each keeps the rule of its own."""
    changes: dict[Place, Change] = {}
    first: Edge | None = None
    for edge in edges:
        first = first or edge
        own = change.rule is not None and change.rule is first.rule
        changes[edge.place] = replace(change, rule=edge.rule) if own else change
    place = first.place if first else None
    return Mistake(kind, message, Changes(changes), rank, place, words or {})
