"""A plan as loops that every backend prints: each statement says what it reads and writes.

    Multiply   result = W · operand for all rows
    Sweep      for each unit j: a = sigmoid(u[j] + W[j]); f[j] = a; …  (assigns, copies, totals)
    Apply      out = an operation on whole values
    Join       parts copied one behind the other
    Outer      the gradient of a weight, summed over all steps

A backend turns operands into text: a `Place` is entries of a buffer, a `Number` a number, and an
`Assign` the value of an equation before in the same sweep. What the plan prints, what is drawn of
it and the comments in the code are the statements' own `lines`, `reads` and `writes`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tinygrad_lstm.kernels import patterns
from tinygrad_lstm.kernels.labels import Labels, Term, term_of
from tinygrad_lstm.kernels.plan import Buffer, Deferred, Layout, Place, Plan, Space, Stage
from tinygrad_lstm.tensor import Array, Tensor, ancestors
from tinygrad_lstm.text import UNICODE, expression


@dataclass(frozen=True)
class Number:
    """A number of the cell; words: the sizes it is made of, if it is."""

    value: float
    words: str = ""


@dataclass(frozen=True, eq=False)
class Assign:
    """An equation of a sweep, for one entry, and where it is stored, if anywhere."""

    node: Tensor
    operands: tuple[Operand, ...]
    places: tuple[Place, ...]
    line: str  # empty where it is part of another's


Operand = Place | Number | Assign


@dataclass(frozen=True)
class Statement:
    """A part of a loop: in words, and the values that it reads and writes."""

    lines: tuple[str, ...]
    reads: tuple[Term, ...]
    writes: tuple[Term, ...]


@dataclass(frozen=True)
class Pack(Statement):
    """Weights made of parameters; `columns` are those of each part, where it is not all of it."""

    shape: tuple[int, ...]
    columns: str


@dataclass(frozen=True)
class Multiply(Statement):
    """result = operand · Wᵀ for all rows, or operand · W; onto: added to what is there."""

    transposed: bool
    onto: bool
    factors: tuple[Term, Term]
    weight: Place
    operand: Place
    result: Place


@dataclass(frozen=True)
class Outer(Statement):
    """The gradient of a weight: the sum over all steps and rows of left ⊗ right."""

    weight: str
    left: Place
    right: Place
    onto: bool
    factors: tuple[Term, Term]


@dataclass(frozen=True)
class Sweep(Statement):
    """One pass over units: equations, copies of values, and sums over all rows and steps."""

    shape: tuple[int, ...]
    assigns: tuple[Assign, ...]
    copies: tuple[tuple[Place, Operand], ...]
    totals: tuple[tuple[Place, Operand], ...]


@dataclass(frozen=True)
class Apply(Statement):
    """An operation on whole values of each sample."""

    node: Tensor
    operands: tuple[Place, ...]
    out: Place


@dataclass(frozen=True)
class Join(Statement):
    """Values copied to where they lie side by side."""

    copies: tuple[tuple[Place, Operand], ...]


@dataclass(frozen=True)
class Loops:
    """The statements of a plan, section by section; start: states that do not start from zero."""

    plan: Plan
    labels: Labels
    once: list[Pack]
    ahead: list[Statement]
    forward: list[Statement]
    backward: list[Statement]
    after: list[Multiply | Outer]
    start: dict[str, Array]

    def told(self) -> list[str]:
        """What is computed, for the head of a source."""
        forward = [line for s in (*self.ahead, *self.forward) for line in s.lines]
        once = [line for pack in self.once for line in pack.lines]
        lines = [
            f"{self.plan.name}, compiled from its equations:",
            "",
            *(f"  {n}" for n in forward),
        ]
        return [
            *lines,
            "",
            "where, made of the parameters once a call,",
            "",
            *(f"  {n}" for n in once),
        ]

    def sections(self) -> dict[str, list[Statement]]:
        """The statements by section, without those that have nothing to do."""
        names = ("once", "ahead", "forward", "backward", "after")
        return {n: [s for s in getattr(self, n) if s.lines] for n in names}


@dataclass(frozen=True)
class Straight:
    """A Program for one sample: each value has memory of its own, and nothing is repeated."""

    buffers: list[Buffer]
    inputs: dict[str, Place]
    outputs: dict[str, Place]
    numbers: dict[Buffer, Array]  # its constants
    statements: list[Statement]


def lower_program(inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Straight:
    """The statements that compute some values of others, such as weights of parameters."""
    layout, numbers = Layout(), dict[Buffer, Array]()
    for name, node in inputs.items():
        layout.give(node, Space.WEIGHT, name)
    statements = list[Statement]()
    for node in ancestors(outputs.values(), stop=inputs.values()):
        if node in layout.stores:
            continue
        own = layout.give(node, Space.FIXED)
        operands = tuple(layout.stores[i][0] for i in node.inputs)
        place = layout.stores[node][0]
        if not operands:
            numbers[own] = node.data
        elif patterns.elementwise(node):
            assign = Assign(node, operands, (place,), "")
            statements.append(Sweep((), (), (), node.shape, (assign,), (), ()))
        else:
            statements.append(Apply((), (), (), node, operands, place))
    given, found = (
        {name: layout.stores[node][0] for name, node in own.items()} for own in (inputs, outputs)
    )
    return Straight([*layout.buffers.values()], given, found, numbers, statements)


def lower(plan: Plan, start: Mapping[str, Array] | None = None) -> Loops:
    """The loops of a plan; start: what the states start from, for source that runs alone."""
    labels = Labels(plan)
    lowering = _Lowering(plan.layout, labels)
    ahead, forward, backward = (
        [lowering.statement(stage) for stage in stages]
        for stages in (plan.ahead, plan.forward, plan.backward)
    )
    after = [lowering.deferred(d) for d in plan.deferred()]
    moved = {n: np.asarray(value) for n, value in (start or {}).items() if np.any(value)}
    return Loops(plan, labels, list(_packs(plan)), ahead, forward, backward, after, moved)


class _Lowering:
    def __init__(self, layout: Layout, labels: Labels) -> None:
        self.layout, self.labels = layout, labels

    def statement(self, stage: Stage) -> Statement:
        """A stage as a statement."""
        if stage.product:
            return self.multiply(stage)
        return self.alone(stage) if stage.shape is None else self.sweep(stage)

    def _operand(self, node: Tensor, inside: dict[Tensor, Assign]) -> Operand:
        if node in inside:
            return inside[node]
        if (place := self.layout.place(node)) is not None:
            return place
        assert not node.inputs and not node.traced and node.size == 1, f"{node!r} has no place"
        return Number(node.data.item(), node.attributes.get("words", ""))

    def multiply(self, stage: Stage) -> Multiply:
        """A product with a weight in a loop."""
        at, labels, (node,) = self.layout.at, self.labels, stage.made
        W, v, *rows = stage.operands
        weight = patterns.transposed_weight(W)
        transposed, weight = weight is not None, W if weight is None else weight
        factors, result = (labels.term(weight), labels.term(v)), labels.terms[node]
        line = f"{result} {'+' * bool(rows)}= {factors[0]}{'ᵀ' * transposed}·{factors[1]}"
        reads, writes = tuple(labels.names(stage.read)), (*labels.names(rows), result)
        how = transposed, bool(rows), factors
        return Multiply((line,), reads, writes, *how, at(weight), at(v), at(node))

    def deferred(self, d: Deferred) -> Multiply | Outer:
        """A product over all steps."""
        at, target = self.layout.at, term_of(f"bar.{d.target}")
        left, right = self.labels.term(d.left), self.labels.term(d.right)
        reads, start = tuple(self.labels.names([d.left, d.right])), f"{target} {'+' * d.onto}= "
        if (buffer := self.layout.of(Space.INPUT_ADJOINT).get(d.target)) is None:
            words = (f"{start}Σ_t {left} ⊗ {right}",), reads, (target,)
            return Outer(*words, d.target, at(d.left), at(d.right), d.onto, (left, right))
        words = (f"{start}{right}ᵀ·{left}",), reads, (target,)
        result = Place(buffer, 0, (buffer.width,))
        return Multiply(*words, True, d.onto, (right, left), at(d.right), at(d.left), result)

    def sweep(self, stage: Stage) -> Sweep:
        """A pass over the units."""
        labels, inside = self.labels, dict[Tensor, Assign]()
        lines, writes = list[str](), list[Term]()

        def told(target: Term, rows: str, sign: str, node: Tensor) -> str:
            writes.append(target)
            lines.append(
                f"{target}{rows} {sign} {labels.term(node, target == labels.terms.get(node))}"
            )
            return lines[-1]

        for node in stage.made:
            line = told(labels.terms[node], "", "=", node) if node in labels.terms else ""
            operands = tuple(self._operand(i, inside) for i in node.inputs)
            inside[node] = Assign(node, operands, tuple(self.layout.stores.get(node, ())), line)
        for node, place in stage.copies:
            name = place.buffer.name
            if place.buffer.space is Space.OUT:
                name = f"bar.prev.{place.buffer.label}"
            elif place.buffer.space is Space.INPUT_ADJOINT:
                name = f"bar.{place.buffer.label}"
            target = term_of(name)
            if labels.terms.get(node) != target:
                told(target, "", "=", node)
        for node, place in stage.totals:
            rows = "" if place.whole else f"[{place.start}:{place.start + place.size}]"
            told(term_of(place.buffer.name), rows, "+=", node)
        reads = [name for name in labels.names((*stage.made, *stage.read)) if name not in writes]
        return Sweep(
            tuple(lines),
            tuple(reads),
            tuple(dict.fromkeys(writes)),
            stage.shape or (),
            tuple(inside.values()),
            tuple((place, self._operand(node, inside)) for node, place in stage.copies),
            tuple((place, self._operand(node, inside)) for node, place in stage.totals),
        )

    def alone(self, stage: Stage) -> Statement:
        """An operation on whole values, or copies of what is not where it is joined."""
        (node,), labels = stage.made, self.labels
        out = self.layout.at(node)
        lines = (f"{labels.terms[node]} = {labels.term(node, opened=True)}",)
        reads, writes = tuple(labels.names(node.inputs)), (labels.terms[node],)
        operands = [self._operand(i, {}) for i in node.inputs]
        if not patterns.end_to_end(node):
            return Apply(
                lines, reads, writes, node, tuple(self.layout.at(i) for i in node.inputs), out
            )
        copies, start = list[tuple[Place, Operand]](), out.start
        for part, operand in zip(node.inputs, operands, strict=True):
            place = Place(out.buffer, start, part.shape)
            start += part.size
            if operand != place:
                copies.append((place, operand))
        return Join(lines, reads, writes, tuple(copies))


def _packs(plan: Plan) -> Iterator[Pack]:
    """What the packed weights are: [W_f; W_i][:, 0:3]."""
    for name, node in plan.once.outputs.items():
        target = term_of(name)
        if target.name == node.name:
            continue
        stacked = node.op == "concat" and node.attributes["axis"] == 0
        parts = node.inputs if stacked else (node,)
        cuts = [p.attributes["index"] if _plain_cut(p) else None for p in parts]
        cut = cuts[0] if all(c is not None and c == cuts[0] for c in cuts) else None
        heads = [_plain(p if cut is None else p.inputs[0]) for p in parts]
        text = f"[{'; '.join(heads)}]" if stacked else heads[0]
        line = f"{target} = {text}" + ("" if cut is None else f"[{UNICODE.index(cut)}]")
        columns = UNICODE.index(cut[-1]) if isinstance(cut, tuple) else ""
        reads = [term_of(n.name, static=True) for n in ancestors([node]) if n.name and not n.inputs]
        yield Pack((line,), tuple(reads), (target,), node.shape, columns)


def _plain_cut(node: Tensor) -> bool:
    return node.op == "getitem" and node.name is None and bool(node.inputs[0].name)


def _plain(node: Tensor) -> str:
    return str(term_of(node.name, static=True)) if node.name else expression(node, UNICODE)
