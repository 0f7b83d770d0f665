"""`derive`: a gradient derived line by line, each line with its rule and checked by number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sympy import Expr, Integer

from equations import reasons
from equations.adjoints import Adjoints, assemble
from equations.algebra import (
    EquationError,
    Partial,
    SumOverTime,
    SymbolicValue,
    named_values,
    plus,
    replace_parts,
    shift_time,
    times,
)
from equations.differentiation import Contribution, Slope
from equations.lines import Equation, Lines
from equations.numeric_check import NumericCheck
from equations.places import row_of, written_for_one_place
from equations.wording import Said, joined
from tinygrad_lstm.errors import UnknownNameError
from tinygrad_lstm.notation import space_of
from tinygrad_lstm.step import Cell

_TOLERANCE = 1e-10  # both sides are exact up to rounding: derivatives are taken by complex steps


@dataclass(frozen=True, repr=False)
class Step(Equation):
    """A line of a derivation. `rule` says in words why it holds.

    error: the largest difference of its two sides at random numbers, relative to their size; the
    derivatives in it were measured there by complex steps through the forward equations alone.
    """

    rule: str = ""
    error: float = 0.0


class Derivation(Lines[Step]):
    """The lines of a derivation, from what is wanted to what it rests on, each with its rule."""

    def rows(self) -> list[tuple[Equation, str]]:  # noqa: D102
        return [(step, step.rule) for step in self]


def derive(cell: Cell, name: str, loss: str | None = None) -> Derivation:
    r"""Derive the gradient of a parameter, an input or a named value, line by line.

    The first lines say what the gradient is a sum of; every adjoint in them is derived in turn,
    until only the loss's own derivatives are left. `a^{f}_t` names what stands inside f's
    nonlinear function. Each line is checked at random numbers: an EquationError tells of one that
    does not hold. loss: the names that the loss reads, as for `backward`.
    """
    adjoints = assemble(cell, tuple(loss.split()) if loss else None)
    if f"bar.{name}" not in adjoints.contributions:
        bars = [label for label in adjoints.contributions if label.startswith("bar.")]
        known = ", ".join(label.removeprefix("bar.") for label in bars)
        raise UnknownNameError(f"{cell} has no {name!r} to derive a gradient of; it has {known}.")
    work = _Lines(adjoints)
    todo = [f"bar.{name}"]
    while todo:
        label = todo.pop(0)
        if label not in work.derived:
            todo = work.adjoint(label) + todo
    return Derivation(work.steps)


class _Lines:
    def __init__(self, adjoints: Adjoints) -> None:
        self.adjoints = adjoints
        self.steps: list[Step] = []
        self.derived: set[str] = set()
        self.shown: set[Expr] = set()
        self.check = NumericCheck(adjoints)
        self.insides = adjoints.inside_names

    def adjoint(self, label: str) -> list[str]:
        """Write the lines for one adjoint; return the adjoints that it rests on."""
        self.derived.add(label)
        received = self.adjoints.contributions[label]
        for each in received:
            self.definitions(each)
        slopes = [each.slope for each in received if each.slope is not None]
        if slopes:
            outline = [self.outline(each) for each in received]
            self.line(label, plus(*outline), self.why(received, "chain rule"))
            for slope in slopes:
                self.slope(slope)
        right = self.adjoints.line(label).right if received else Integer(0)
        self.line(label, right, Said("substitution") if slopes else self.why(received, ""))
        found = dict.fromkeys(q.label for q in named_values(right))
        return [q for q in found if q in self.adjoints.contributions and q not in self.derived]

    def definitions(self, contribution: Contribution) -> None:
        """The equations that a contribution to an adjoint comes through."""
        for q in named_values(contribution.value):
            space, rest = space_of(q.label)
            name = self.adjoints.owners.get(q.label, rest)
            if space not in ("bar", "delta") or name not in self.adjoints.parts:
                continue
            part = self.adjoints.parts[name]
            left, (whole,) = written_for_one_place(SymbolicValue(name), [part.whole])
            self.plain(left, whole, Said("definition"))
            for inside, symbol in part.names.items():
                self.plain(symbol, inside, Said("name for what stands inside the function"))

    def plain(self, left: Expr, right: Expr, rule: str) -> None:
        if left not in self.shown:
            self.shown.add(left)
            self.add(row_of(left)[0].label, left, right, rule)

    def outline(self, contribution: Contribution) -> Expr:
        """A contribution with ∂/∂ standing for the derivative that has not been taken yet."""
        if contribution.slope is None:
            return contribution.value
        owner, target = contribution.slope.owner, contribution.slope.target
        space, name = space_of(owner.label)
        label = f"delta.{name}" if space == "pre" else f"bar.{owner.label}"
        return times(SymbolicValue(label, owner.time), Partial(owner, target))

    def slope(self, slope: Slope) -> None:
        left = Partial(slope.owner, slope.target)
        if left in self.shown:
            return
        self.shown.add(left)
        name = f"{slope.owner.label}/{slope.target.label}"
        leaf = self.adjoints.insides.get(slope.target.label)
        leaf = slope.target if leaf is None else shift_time(leaf, slope.target.time or 0)
        space, label = space_of(slope.owner.label)
        owner = self.adjoints.owners[f"delta.{label}"] if space == "pre" else slope.owner.label
        insides = self.insides | self.adjoints.parts[owner].names
        taken, short = (replace_parts(e, insides.get) for e in (slope.taken, slope.slope))
        rules = _all(reasons.taken(slope.value, leaf))
        self.add(name, left, taken, rules or reasons.ITSELF)
        if taken != short:
            self.add(name, left, short, Said("the function's value has a name"))

    def why(self, received: list[Contribution], first: str) -> str:
        """The rules by which an adjoint is the sum of its contributions."""
        rules: list[str] = [Said(first)] if first else []
        timed = any(q.time == 1 for each in received for q in named_values(each.value))
        symbol = self.adjoints.source(f"bar.{received[0].target.label}") if received else None
        if len(received) > 1:
            rules.append(Said("sum over paths" + (", some through the next step" if timed else "")))
        elif timed:
            rules.append(Said("the path through the next step"))
        if symbol is not None and symbol.time is None:
            rules.append(Said("sum over time"))
        rules += [rule for each in received for rule in each.through]
        if not received:
            return Said("the loss does not depend on it")
        if not rules and received[0].target.label in self.adjoints.loss:
            return reasons.SEEN
        return _all(rules) or reasons.ITSELF

    def line(self, label: str, right: Expr, rule: str) -> None:
        """An adjoint's line; a parameter's is summed over time."""
        result = self.adjoints.line(label)
        steady = self.adjoints.sign(label).time is None
        summed = steady and not isinstance(right, SumOverTime) and right != 0
        self.add(label, result.left, SumOverTime(right) if summed else right, rule)

    def add(self, name: str, left: Expr, right: Expr, rule: str) -> None:
        of = self.adjoints.step
        if name not in of.equations and space_of(name)[0] != "pre":
            right = replace_parts(right, self.insides.get)
        error = self.check.difference(left, right)
        step = Step(name, left, right, None, of.apart, rule, error)
        if not error <= _TOLERANCE:
            raise EquationError(
                f"{of.cell}: the line {step.unicode()} ({rule}) does not hold at random "
                f"numbers: its sides differ by {error:.1e} of their size."
            )
        if self.steps and (self.steps[-1].left, self.steps[-1].right) == (left, right):
            return
        self.steps.append(step)


def _all(rules: Iterable[str]) -> str:
    return joined(dict.fromkeys(rules), "{first}, {rest}")
