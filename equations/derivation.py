"""`derive`: a gradient derived line by line, each line with its rule and checked by number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

from sympy import Expr, Integer

from equations import markup, reasons
from equations.adjoints import Adjoints, assembled
from equations.algebra import (
    EquationError,
    Partial,
    Quantity,
    SumOverTime,
    plus,
    quantities,
    replaced,
    shifted,
    times,
)
from equations.differentiation import Share, Slope
from equations.lines import Equation, bundle
from equations.trial import Trial
from equations.wording import Said, joined
from tinygrad_lstm.errors import UnknownNameError
from tinygrad_lstm.notation import space_of
from tinygrad_lstm.step import Cell

_TOLERANCE = 1e-10  # both sides are exact up to rounding: derivatives are taken by complex steps


@dataclass(frozen=True)
class Step(Equation):
    """A line of a derivation. `rule` says in words why it holds.

    error: the largest difference of its two sides at random numbers, relative to their size; the
    derivatives in it were measured there by complex steps through the forward equations alone.
    """

    rule: str = ""
    error: float = 0.0


class Derivation(Sequence[Step]):
    """The lines of a derivation, from what is wanted to what it rests on."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = tuple(steps)

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self._steps)

    @overload
    def __getitem__(self, key: int) -> Step: ...
    @overload
    def __getitem__(self, key: slice) -> Derivation: ...
    def __getitem__(self, key: int | slice) -> Step | Derivation:
        return Derivation(self._steps[key]) if isinstance(key, slice) else self._steps[key]

    def latex(self) -> str:
        r"""All lines, aligned, each with its rule as \text at the right."""
        rows = [f"{s.latex().replace(' = ', ' &= ', 1)} && \\text{{{s.rule}}}" for s in self._steps]
        return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"

    def mathml(self, width: int = 60) -> str:
        """All lines in one <math> table of three columns: left, right, and the rule as text."""
        rows = []
        for step in self._steps:
            first, *further = markup.broken(*step.pieces(width))
            rows += [[*first, f"<mtext>{step.rule}</mtext>"], *further]
        return markup.math(markup.table(rows))

    def unicode(self) -> str:
        """A line each, the rule after it in parentheses."""
        return "\n".join(f"{s.unicode()}    ({s.rule})" for s in self._steps)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return bundle(self)

    def __str__(self) -> str:
        return self.unicode()

    __repr__ = __str__


def derive(cell: Cell, name: str, loss: str | None = None) -> Derivation:
    r"""Derive the gradient of a parameter, an input or a named value, line by line.

    The first lines say what the gradient is a sum of; every adjoint in them is derived in turn,
    until only the loss's own derivatives are left. `a^{f}_t` names what stands inside f's
    nonlinear function. Each line is checked at random numbers: an EquationError tells of one that
    does not hold. loss: the names that the loss reads, as for `backward`.
    """
    adjoints = assembled(cell, tuple(loss.split()) if loss else None)
    if f"bar.{name}" not in adjoints.shares:
        bars = [label for label in adjoints.shares if label.startswith("bar.")]
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
        self.trial = Trial(adjoints)
        self.insides = self.trial.insides

    def adjoint(self, label: str) -> list[str]:
        """Write the lines for one adjoint; return the adjoints that it rests on."""
        self.derived.add(label)
        shares = self.adjoints.shares[label]
        for share in shares:
            self.definitions(share)
        ways = [share for share in shares if share.slope is not None]
        if ways:
            outline = [self.outline(share) for share in shares]
            self.line(label, plus(*outline), self.why(shares, "chain rule"))
            for slope in [share.slope for share in ways if share.slope is not None]:
                self.slope(slope)
        result = self.adjoints.line(label)
        if not shares:
            result = replace(result, right=Integer(0))
        self.line(label, result.right, Said("substitution") if ways else self.why(shares, ""))
        found = dict.fromkeys(q.label for q in quantities(result.right) if self.is_adjoint(q))
        return [other for other in found if other not in self.derived]

    def is_adjoint(self, quantity: Quantity) -> bool:
        return quantity.label in self.adjoints.shares

    def definitions(self, share: Share) -> None:
        """The equations that an adjoint's share comes through."""
        for q in quantities(share.value):
            space, rest = space_of(q.label)
            name = self.adjoints.owners.get(q.label, rest)
            if space not in ("bar", "delta") or name not in self.adjoints.reading.equations:
                continue
            self.plain(Quantity(name), self.adjoints.reading.equations[name], Said("definition"))
            for label, inside in self.adjoints.parts[name].insides.items():
                rule = Said("name for what stands inside the function")
                self.plain(Quantity(f"pre.{label}"), inside, rule)

    def plain(self, left: Quantity, right: Expr, rule: str) -> None:
        if left not in self.shown:
            self.shown.add(left)
            self.add(left.label, left, right, rule)

    def outline(self, share: Share) -> Expr:
        """A share with ∂/∂ standing for the derivative that has not been taken yet."""
        if share.slope is None:
            return share.value
        owner, target = share.slope.owner, share.slope.target
        space, name = space_of(owner.label)
        label = f"delta.{name}" if space == "pre" else f"bar.{owner.label}"
        return times(Quantity(label, owner.time), Partial(owner, target))

    def slope(self, slope: Slope) -> None:
        left = Partial(slope.owner, slope.target)
        if left in self.shown:
            return
        self.shown.add(left)
        name = f"{slope.owner.label}/{slope.target.label}"
        leaf = self.trial.named.get(slope.target.label)
        leaf = slope.target if leaf is None else shifted(leaf, slope.target.time or 0)
        insides = self.trial.insides_of(slope.owner)
        taken, short = (replaced(e, insides.get) for e in (slope.taken, slope.slope))
        rules = _all(reasons.taken(slope.value, leaf))
        self.add(name, left, taken, rules or reasons.ITSELF)
        if taken != short:
            self.add(name, left, short, Said("the function's value has a name"))

    def short(self, expr: Expr) -> Expr:
        """An expression with what stands inside functions under its name."""
        return replaced(expr, self.insides.get)

    def why(self, shares: list[Share], first: str) -> str:
        """The rules by which an adjoint is the sum of its shares."""
        rules: list[str] = [Said(first)] if first else []
        timed = any(q.time == 1 for share in shares for q in quantities(share.value))
        symbol = self.adjoints.given(f"bar.{shares[0].target.label}") if shares else None
        if len(shares) > 1:
            rules.append(Said("sum over paths" + (", some through the next step" if timed else "")))
        elif timed:
            rules.append(Said("the path through the next step"))
        if symbol is not None and symbol.time is None:
            rules.append(Said("sum over time"))
        rules += [rule for share in shares for rule in share.through]
        if not shares:
            return Said("the loss does not depend on it")
        if not rules and shares[0].target.label in self.adjoints.loss:
            return reasons.SEEN
        return _all(rules) or reasons.ITSELF

    def line(self, label: str, right: Expr, rule: str) -> None:
        """An adjoint's line; a parameter's is summed over time."""
        result = self.adjoints.line(label)
        summed = result.left.time is None and not isinstance(right, SumOverTime) and right != 0
        self.add(label, result.left, SumOverTime(right) if summed else right, rule)

    def add(self, name: str, left: Expr, right: Expr, rule: str) -> None:
        reading = self.adjoints.reading
        if name not in reading.equations and space_of(name)[0] != "pre":
            right = self.short(right)
        error = self.trial.difference(left, right)
        step = Step(name, left, right, None, reading.apart, rule, error)
        if not error <= _TOLERANCE:
            raise EquationError(
                f"{reading.cell}: the line {step.unicode()} ({rule}) does not hold at random "
                f"numbers: its sides differ by {error:.1e} of their size."
            )
        if self.steps and (self.steps[-1].left, self.steps[-1].right) == (left, right):
            return
        self.steps.append(step)


def _all(rules: Iterable[str]) -> str:
    return joined(dict.fromkeys(rules), "{first}, {rest}")
