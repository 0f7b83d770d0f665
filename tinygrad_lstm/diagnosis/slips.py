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
from tinygrad_lstm.diagnosis.backward import Array, Change, Edge, Mistake, Place, Recorded
from tinygrad_lstm.diagnosis.diagnosis import Story, say
from tinygrad_lstm.diagnosis.mistakes import mistakes
from tinygrad_lstm.diagnosis.point import Point
from tinygrad_lstm.diagnosis.terms import Terms
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.graph import ancestors, fold, pullback
from tinygrad_lstm.tensor import Tensor, apply, remade
from tinygrad_lstm.text import UNICODE, expression

Told = Callable[[str], str]  # a language to a sentence
Ways = list[tuple[Tensor, list[tuple[Place, Edge]]]]


@dataclass(frozen=True)
class Slip:
    """One thing that is wrong: its kind, the value it gives, its sentence and the right term."""

    kind: str
    rank: float
    value: Array
    tell: Callable[[], tuple[Told, str]]


class Slips:
    """The mistakes that the rules draw from a cell's graph, one adjoint at a time."""

    def __init__(self, point: Point) -> None:
        self.point = point
        self.terms = Terms(point.program)

    @cached_property
    def graph(self) -> Recorded:
        """The run of the point, as `diagnose` records it."""
        case, seeds = self.point.case, self.point.seeds
        initial = case.initial or None
        return Recorded(case.cell, case.parameters, case.xs, seeds, initial, **case.further)

    @cached_property
    def _right(self) -> dict[Tensor, Array]:
        """The adjoint of every named value of every step."""
        graph, found = self.graph, dict[Tensor, Array]()
        for name in graph.steps[0]:
            adjoint = self.point.values[f"bar.{name}"]
            found |= {step[name]: adjoint[t] for t, step in enumerate(graph.steps)}
        return found

    @cached_property
    def _mistakes(self) -> list[Mistake]:
        return [m for m in mistakes(self.graph, {}) if m.message != "nothing carried"]

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
        targets, whole = self._targets(label)
        ways = self._ways(targets)
        places = {place for _, several in ways for place, _ in several}
        space, _, name = label.partition(".")
        seeds = self.point.seeds.get(name) if space == "bar" else None

        def changed(changes: Mapping[Place, Change]) -> Array:
            return self._changed(label, ways, targets, whole, changes, seeds)

        for mistake in self._mistakes:
            if places & set(mistake.changes.edges):
                with contextlib.suppress(TypeError, ValueError):  # what no rule can be tried on
                    value = changed(mistake.changes.edges)
                    tell = self._teller(label, mistake)
                    yield Slip(mistake.kind, mistake.rank, value, tell)
        later = [t.text for t in self.terms.of(name) if "t+1}" in t.text]
        if space == "bar" and name in self.graph.start and later:
            edges = [way for _, several in ways for way in several]
            lost = {place: _nothing for place, edge in edges if self.graph.carries(edge) == name}
            words = {"term": " + ".join(later), "value": self.point.text(name)}
            sentence = self.sentence("not carried", label, **words)
            yield Slip("carried", 0.9, changed(lost), lambda: (sentence, words["term"]))

    def _of_loss(self, label: str, name: str, seeds: Array) -> Iterator[Slip]:
        right, term = self.point.values[label], self.point.text(f"seed.{name}")
        lost = self.sentence("loss missing", label, term=term, value=self.point.text(name))
        yield Slip("missing term", 1.0, right - seeds, lambda: (lost, term))
        words = {"adjoint": self.point.text(label), "term": term}
        yield Slip("double term", 1.1, right + seeds, lambda: (_said("double", words), term))
        yield Slip("sign", 1.1, right - 2 * seeds, lambda: (_said("sign", words), term))

    # --- numbers ---------------------------------------------------------------------------------
    def _targets(self, label: str) -> tuple[dict[Tensor, int], bool]:
        """The nodes whose adjoint it is, each with its step; whether one node is that of all."""
        space, _, own = label.partition(".")
        graph = self.graph
        if space == "delta":
            return self._inside(own), False
        if own in self.point.program.equations:
            return {step[own]: t for t, step in enumerate(graph.steps)}, False
        given = {"x": graph.xs, **dict(graph.parameters.items())}
        node = given.get(own.removeprefix("input."))
        return ({} if node is None else {node: 0}), True

    def _inside(self, own: str) -> dict[Tensor, int]:
        """The run's nodes of what stands inside a function, each with its step."""
        program, name, found = self.point.program, self.point.owner(own), dict[Tensor, int]()
        known = {*program.inputs.values(), *program.equations.values()}
        wanted = set(self.point.inner[own])  # by identity: == compares entries
        for t, step in enumerate(self.graph.steps):
            stack = [(program.equations[name], step[name])]
            while stack:
                a, b = stack.pop()
                if a in wanted:
                    found[b] = t
                if len(a.inputs) == len(b.inputs) and a.op == b.op:
                    pairs = zip(a.inputs, b.inputs, strict=True)
                    stack += [(i, j) for i, j in pairs if i not in known]
        return found

    def _ways(self, targets: Collection[Tensor]) -> Ways:
        """The edges on ways from named values to the targets on which there is no other."""
        inside, found = set(targets), []
        for node, ways in reversed(self.graph.edges):
            if own := [way for way in ways if way[1].source in inside]:
                found.append((node, own))
                if node not in self._right:
                    inside.add(node)
        return found[::-1]

    def _changed(
        self,
        label: str,
        ways: Ways,
        targets: Mapping[Tensor, int],
        whole: bool,
        changes: Mapping[Place, Change],
        seeds: Array | None,
    ) -> Array:
        """An adjoint with changes on its own ways, all adjoints of other named values right."""
        right = self.point.values[label]
        found = np.zeros_like(right) if seeds is None else np.array(seeds)
        with np.errstate(all="ignore"):
            self._pass_on(found, ways, targets, whole, changes)
        return found

    def _pass_on(
        self,
        found: Array,
        ways: Ways,
        targets: Mapping[Tensor, int],
        whole: bool,
        changes: Mapping[Place, Change],
    ) -> None:
        passing: dict[Tensor, Array] = {}
        for node, several in ways:
            known = self._right if node in self._right else passing
            upstream = known.get(node)
            if upstream is None:
                continue
            for place, edge in several:
                change = changes.get(place)
                part = edge.part(upstream) if change is None else change(edge, upstream)
                if part is None:
                    continue
                source = edge.source
                if source in targets and whole:
                    found += part if found.shape == part.shape else part[None]
                elif source in targets:
                    found[targets[source]] += part
                else:
                    before = passing.get(source)
                    passing[source] = part if before is None else before + part

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
        if mistake.message == "slope left out" and edge and edge.node.op in ("multiply", "divide"):
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
        found = fold([found], {n: n for n in ancestors([found]) if not n.inputs}, _squared)[found]
        names = {n: n.name for n in ancestors([found]) if n.name in self.point.values}
        return expression(found, UNICODE, {n: self.point.text(name) for n, name in names.items()})


def _squared(node: Tensor, operands: list[Tensor]) -> Tensor:
    """The node on other operands; a slope's y * y as the square that readers know."""
    if node.op == "multiply" and operands[0] is operands[1]:
        return apply("power", operands[0], 2.0)
    return remade(node, operands)


def _said(key: str, words: Mapping[str, str]) -> Told:
    return lambda tag: say(key, tag, **words)


def _nothing(edge: Edge, g: Array) -> None:
    return None


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
