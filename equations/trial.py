"""A trial of equations at random numbers, with derivatives measured instead of derived.

A cell runs over three random steps. The derivative of a random loss in any value is measured by a
complex step: the value is changed by iε in one entry, and the imaginary part of the loss over ε is
the derivative, exact up to rounding. Nothing that was derived is used, so that a derived line can
be held against it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from sympy import Expr

from equations.adjoints import Adjoints
from equations.algebra import (
    EquationError,
    Literal,
    Operation,
    Partial,
    Quantity,
    SumOverTime,
    replaced,
)
from equations.evaluation import Array, Values, evaluate
from tinygrad_lstm.notation import space_of

_STEPS = 3
_MIDDLE = 2  # has a step before it and one after it
_TINY = 1e-30


class _Measured(dict[tuple[str, int | None], Array]):
    """Forward values, and adjoints that are measured when they are first asked for."""

    def __init__(self, trial: Trial, values: Values) -> None:
        super().__init__(values)
        self._trial = trial

    def __missing__(self, key: tuple[str, int | None]) -> Array:
        self[key] = self._trial.measured(*key)
        return self[key]


class Trial:
    """Random numbers for a cell, and the two sides of an equation compared at them."""

    def __init__(self, adjoints: Adjoints, seed: int = 0) -> None:
        reading = adjoints.reading
        self.named = {
            f"pre.{label}": expr
            for part in adjoints.parts.values()
            for label, expr in part.insides.items()
        }
        # two equations may have the same inside: each reads its own
        self.own = {
            name: {expr: Quantity(f"pre.{label}") for label, expr in part.insides.items()}
            for name, part in adjoints.parts.items()
        }
        self.insides = {expr: Quantity(label) for label, expr in self.named.items()}
        self.reading = reading
        random = np.random.default_rng(seed)
        given: Values = {}
        for name, symbol in reading.given.items():
            state = space_of(name)[0] == "prev"
            steps = [None] if symbol.time is None else [0] if state else range(1, _STEPS + 1)
            for step in steps:
                given[symbol.label, step] = random.normal(0.0, 0.7, reading.shapes[symbol])
        self.given = given
        self.seeds: Values = {
            (f"seed.{name}", step): random.normal(size=reading.shapes[Quantity(name)])
            for name in adjoints.loss
            for step in range(1, _STEPS + 1)
        }
        self.order: list[tuple[str, Expr]] = []
        for name, expr in reading.equations.items():
            own = self.own[name]
            for inside, symbol in reversed(own.items()):
                self.order.append((symbol.label, _opened(inside, own)))
            self.order.append((name, _opened(expr, own)))
        self.base: Values = {}
        self.base = self.run({})
        self.values = _Measured(self, {**self.base, **self.seeds})

    def run(self, changes: Values) -> Values:
        """The forward values at every step, with changes added to some of them."""
        values = {**self.base, **self.given}
        values |= {key: values[key] + changes[key] for key in changes if key in self.given}
        first = min((step or 1 for _, step in changes), default=1)  # what was before stays
        for step in range(first, _STEPS + 1):
            known: dict[Expr, Array] = {}
            for label, expr in self.order:
                value = evaluate(expr, values, step, known)
                key = (label, step)
                values[key] = value + changes[key] if key in changes else value
        return values

    def measured(self, label: str, step: int | None) -> Array:
        """The derivative of the loss in a value: `bar.f` at a step, `bar.W_f`, `delta.f`."""
        space, name = space_of(label)
        key = (name if space == "bar" else f"pre.{name}", step)
        if space not in ("bar", "delta"):
            raise EquationError(f"{self.reading.cell}: there is no value {label} at step {step}.")
        shape = np.shape(self.values[key])
        found = np.zeros(shape)
        for place in np.ndindex(shape):
            change = np.zeros(shape, complex)
            change[place] = 1j * _TINY
            values = self.run({key: change})
            loss = sum(
                np.sum(seed * values[seeded.removeprefix("seed."), t])
                for (seeded, t), seed in self.seeds.items()
            )
            found[place] = np.imag(loss) / _TINY
        return found

    def slope(self, partial: Partial, step: int) -> Array:
        """∂ owner / ∂ target, unit by unit; what mixes units is held fixed."""
        owner, target = partial.args
        at = step + (owner.time or 0)
        expr = self.reading.equations.get(owner.label)
        if expr is None:
            expr = self.named[owner.label]
        insides = self._own(owner)

        def held(part: Expr) -> Expr | None:
            if part in insides and part != expr:
                return insides[part]
            fixed = isinstance(part, Operation)
            return Literal(evaluate(part, self.values, at)) if fixed else None

        when = None if target.time is None else step + target.time
        values = _Measured(self, self.values)
        values[target.label, when] = self.values[target.label, when] + 1j * _TINY
        return np.imag(evaluate(replaced(expr, held), values, at)) / _TINY

    def insides_of(self, owner: Quantity) -> dict[Expr, Quantity]:
        """Names for what stands inside functions, as the owner's equation has them."""
        return {**self.insides, **self._own(owner)}

    def _own(self, owner: Quantity) -> dict[Expr, Quantity]:
        of = {symbol.label: name for name, own in self.own.items() for symbol in own.values()}
        return self.own.get(of.get(owner.label, owner.label), {})

    def value(self, expr: Expr, step: int) -> Array:
        """The value of one side of an equation."""
        if isinstance(expr, SumOverTime):
            total = [self.value(expr.args[0], t) for t in range(1, _STEPS + 1)]
            return np.asarray(np.sum(total, axis=0))

        def taken(part: Expr) -> Expr | None:
            return Literal(self.slope(part, step)) if isinstance(part, Partial) else None

        return evaluate(replaced(expr, taken), self.values, step)

    def difference(self, left: Expr, right: Expr) -> float:
        """The largest difference of the two sides, relative to their size."""
        a, b = (self.value(side, _MIDDLE) for side in (left, right))
        size = max(1.0, float(np.max(np.abs(a), initial=0.0)))
        return float(np.max(np.abs(a - b), initial=0.0)) / size


def _opened(expr: Expr, insides: Mapping[Expr, Quantity]) -> Expr:
    """An expression in which what stands inside functions is a value of its own."""
    return replaced(expr, lambda e: insides.get(e) if e != expr else None)
