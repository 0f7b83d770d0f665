"""What one mistake makes of one adjoint, all others being right: by the rules of `diagnose`.

`diagnose` follows a mistake through a whole backward pass. Who writes a formula for one adjoint is
given the others: here a mistake acts on the ways that lead from named values to that one alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinygrad_lstm.diagnosis import formula_words
from tinygrad_lstm.diagnosis.backward import Recorded
from tinygrad_lstm.diagnosis.changes import Change, Mistake
from tinygrad_lstm.diagnosis.diagnosis import Story, say
from tinygrad_lstm.diagnosis.mistakes import mistakes
from tinygrad_lstm.diagnosis.point import Point as Values
from tinygrad_lstm.diagnosis.point import insides
from tinygrad_lstm.diagnosis.rules import Array, Edge, Place, Point
from tinygrad_lstm.diagnosis.terms import Terms, squared
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.graph import ancestors, fold, pullback
from tinygrad_lstm.tensor import Tensor
from tinygrad_lstm.text import UNICODE, expression

Told = Callable[[str], str]  # a language to a sentence


@dataclass(frozen=True)
class Slip:
    """One thing that is wrong: its kind, the value it gives, its sentence and the right term."""

    kind: str
    rank: float
    value: Array
    tell: Callable[[], tuple[Told, str]]


class Slips:
    """The mistakes that the rules draw from a cell's graph, one adjoint at a time."""

    def __init__(self, point: Values) -> None:
        self.point = point
        self.terms = Terms(point.program)

    @cached_property
    def graph(self) -> Recorded:
        """The run of the point, as `diagnose` records it."""
        case, seeds = self.point.case, self.point.seeds
        initial = case.initial or None
        return Recorded(case.cell, case.parameters, case.xs, seeds, initial, **case.further)

    @cached_property
    def _mistakes(self) -> list[Mistake]:
        every = mistakes(self.graph)
        return [m for m in every if m.changes.edges and m.message != "nothing carried"]

    def sentence(self, key: str, label: str, **words: object) -> Told:
        """A sentence of formula.toml about an adjoint."""
        adjoint = self.point.text(label)
        return lambda tag: formula_words.say(key, tag, **{"adjoint": adjoint, **words})

    def of(self, label: str) -> Iterator[Slip]:
        """Every mistake that concerns an adjoint, with what it would then be."""
        space, _, name = label.partition(".")
        if space == "bar" and name in self.point.seeds:
            yield from self._of_loss(label, name, self.point.seeds[name])
        with contextlib.suppress(TinygradError):  # a cell that cannot be recorded
            yield from self._of_graph(label)

    def _of_graph(self, label: str) -> Iterator[Slip]:
        targets = self._targets(label)
        edges = self._leading_to(targets)
        places = {edge.place for edge in edges}
        space, _, name = label.partition(".")
        for mistake in self._mistakes:
            own = {p: c for p, c in mistake.changes.edges.items() if p in places}
            if own and not any(c.without is not None or c.rolled for c in own.values()):
                with contextlib.suppress(TypeError, ValueError):  # what no rule can be tried on
                    value = self._changed(label, edges, targets, own)
                    yield Slip(mistake.kind, mistake.rank, value, self._teller(label, mistake))
        later = [t.text for t in self.terms.of(name) if "t+1}" in t.text]
        if space == "bar" and name in self.graph.start and later:
            before = Point("", self.graph.program.inputs[f"prev.{name}"])
            lost = {edge.place: Change(None) for edge in edges if edge.target == before}
            value = self._changed(label, edges, targets, lost)
            words = {"term": " + ".join(later), "value": self.point.text(name)}
            sentence = self.sentence("not carried", label, **words)
            yield Slip("carried", 0.9, value, lambda: (sentence, words["term"]))

    def _of_loss(self, label: str, name: str, seeds: Array) -> Iterator[Slip]:
        right, term = self.point.values[label], self.point.text(f"seed.{name}")
        lost = self.sentence("loss missing", label, term=term, value=self.point.text(name))
        yield Slip("missing term", 1.0, right - seeds, lambda: (lost, term))
        words = {"adjoint": self.point.text(label), "term": term}
        yield Slip("double term", 1.1, right + seeds, lambda: (_said("double", words), term))
        yield Slip("sign", 1.1, right - 2 * seeds, lambda: (_said("sign", words), term))

    # --- numbers ---------------------------------------------------------------------------------
    def _targets(self, label: str) -> dict[Point, int]:
        """What of a step receives the adjoint: 0, or -1 for what belongs to the step before."""
        space, _, own = label.partition(".")
        program, graph = self.graph.program, self.graph
        if space == "delta":
            name = self.point.owner(own)
            return {graph.step.point(name, node): 0 for node in insides(program)[own]}
        if own in program.equations:
            found = {Point("", program.equations[own]): 0}
            if f"prev.{own}" in program.inputs:
                found[Point("", program.inputs[f"prev.{own}"])] = -1
            return found
        return {Point("", program.inputs[own.removeprefix("input.")]): 0}

    def _leading_to(self, targets: Collection[Point]) -> list[Edge]:
        """The edges on ways from named values to the targets on which there is no other."""
        step = self.graph.step
        inside, found = set(targets), list[Edge]()
        for edge in reversed(step.edges):
            if edge.target in inside:
                found.append(edge)
                if edge.node not in step.known:
                    inside.add(step.point(edge.place.owner, edge.node))
        return found[::-1]

    def _changed(
        self,
        label: str,
        edges: Sequence[Edge],
        targets: Mapping[Point, int],
        changes: Mapping[Place, Change],
    ) -> Array:
        """An adjoint with changes on its own ways, all adjoints of other named values right."""
        space, _, name = label.partition(".")
        seeds = self.point.seeds.get(name) if space == "bar" else None
        right = self.point.values[label]
        found = np.zeros_like(right) if seeds is None else np.array(seeds)
        with np.errstate(all="ignore"):
            for t in range(len(self.graph)):
                self._pass_on(t, found, edges, targets, changes)
        return found

    def _pass_on(
        self,
        t: int,
        found: Array,
        edges: Sequence[Edge],
        targets: Mapping[Point, int],
        changes: Mapping[Place, Change],
    ) -> None:
        step, passing = self.graph.step, dict[Point, Array]()
        for edge in edges:
            if edge.node in step.known:
                adjoint = self.point.values[f"bar.{step.owner[edge.node]}"][t]
                upstream: Array | None = adjoint[None, None]
            else:
                upstream = passing.get(step.point(edge.place.owner, edge.node))
            if upstream is None:
                continue
            part = self.graph.part(edge, upstream, t, changes.get(edge.place))
            if part is None:
                continue
            target = edge.target
            if target in targets:
                at = 0 if len(found) == 1 else t + targets[target]
                if at >= 0:
                    found[at] += part[0, 0]
            else:
                before = passing.get(target)
                passing[target] = part if before is None else before + part

    # --- words -----------------------------------------------------------------------------------
    def _teller(self, label: str, mistake: Mistake) -> Callable[[], tuple[Told, str]]:
        return lambda: self._told(label, mistake)

    def _told(self, label: str, mistake: Mistake) -> tuple[Told, str]:
        """How a mistake is told of this adjoint, and the right term that it is about."""
        space, _, name = label.partition(".")
        story = Story(self.graph, self.terms, mistake, name)
        own, edge = story.found, story.edge
        if own is None:
            return story.text, story.term
        theirs, shown, term = self.terms.adjoint(own.value), own.text, own.text
        if space == "delta":
            term = self._inside_term(label)
        elif same := [t for t in self.terms.of(name) if t.reader == own.reader]:
            story.found, theirs = same[0], self.terms.adjoint(name)
            shown = term = same[0].text
        alone = len(self.terms.of(name)) < 2 and name not in self.point.seeds
        if mistake.message == "missing" and (alone or space == "delta"):
            return self.sentence("part missing", label, term=term), term
        if mistake.message in ("missing", "lost") and "t+1}" in term and space == "bar":
            return self.sentence("not carried", label, term=term, value=self.point.text(name)), term
        if mistake.message == "slope left out" and edge and edge.op in ("multiply", "divide"):
            return self.sentence("factor left out", label, term=term), term

        def told(tag: str) -> str:
            text = story.text(tag).replace(shown, "\0").replace(theirs, self.point.text(label))
            return text.replace("\0", term)

        return told, term

    def _inside_term(self, label: str) -> str:
        """The adjoint of a value inside a function: ō_t ⊙ o_t ⊙ (1 - o_t)."""
        own, program = label.partition(".")[2], self.point.program
        name = self.point.owner(own)
        root, inside = program.equations[name], self.point.inner[own][0]
        leaf = Tensor.input(f"bar.{name}", root.shape, root.dtype)
        found = pullback({root: leaf}, numeric=False, wrt=[inside]).get(inside)
        if found is None:
            return "0"
        found = fold([found], {n: n for n in ancestors([found]) if not n.inputs}, squared)[found]
        names = {n: n.name for n in ancestors([found]) if n.name in self.point.values}
        return expression(found, UNICODE, {n: self.point.text(name) for n, name in names.items()})


def _said(key: str, words: Mapping[str, str]) -> Told:
    return lambda tag: say(key, tag, **words)


def pair_of(
    found: Array,
    right: Array,
    rules: Sequence[Slip],
    slips: Sequence[Slip],
    same: Callable[[Array, Array], bool],
) -> tuple[Slip, Slip] | None:
    """Two mistakes that together give what was found: by rules, or a rule's and one of a formula.

    A formula's slip has as its value what the formula gives once the slip is mended.
    """
    for slip in slips:
        for rule in rules:
            if slip.value.shape == rule.value.shape and same(slip.value, rule.value):
                return rule, slip
    if found.shape == right.shape:
        for k, first in enumerate(rules):
            rest = found - (first.value - right)
            for second in rules[k + 1 :]:
                if same(rest, second.value):
                    return first, second
    return None
