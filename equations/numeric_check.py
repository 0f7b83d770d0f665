"""Equations checked at random numbers, with derivatives measured instead of derived.

A cell runs over three random steps. The derivative of a random loss in any value is measured by a
complex step: each entry of the value is changed by iε, in a sample of its own, and the imaginary
part of the loss over ε is the derivative, exact up to rounding. Nothing that was derived is used,
so that a derived line can be held against it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sympy import Expr

from equations.adjoints import Adjoints
from equations.algebra import (
    EquationError,
    Operation,
    Partial,
    Quantity,
    SumOverTime,
    quantities,
    shifted,
    walk,
)
from equations.evaluation import evaluate
from tinygrad_lstm.batching import Lifted
from tinygrad_lstm.notation import space_of
from tinygrad_lstm.numerical import TINY
from tinygrad_lstm.tensor import Array, Tensor, apply

_STEPS = 3
_MIDDLE = 2  # has a step before it and one after it
_Key = tuple[str, int | None]  # a label and a step; None for what has no time
_Values = dict[_Key, Array]


class _At(dict[Expr, Any]):
    """Values at a step: of names as they are asked for, of other expressions once computed."""

    def __init__(self, check: NumericCheck, step: int) -> None:
        self._check, self._step = check, step

    def __missing__(self, symbol: Quantity) -> Array:
        step = None if symbol.time is None else self._step + symbol.time
        self[symbol] = self._check.value(symbol.label, step)
        return self[symbol]


class NumericCheck:
    """Random numbers for a cell, and the two sides of an equation compared at them."""

    def __init__(self, adjoints: Adjoints, seed: int = 0) -> None:
        step, random = adjoints.step, np.random.default_rng(seed)
        self.adjoints, self.opened = adjoints, adjoints.opened
        self.given: _Values = {}
        for name, symbol in step.given.items():
            state = space_of(name)[0] == "prev"
            times = [None] if symbol.time is None else [0] if state else range(1, _STEPS + 1)
            for t in times:
                self.given[symbol.label, t] = random.normal(0.0, 0.7, step.shapes[symbol])
        self.seeds = {
            (name, t): random.normal(size=step.shapes[Quantity(name)])
            for name in adjoints.loss
            for t in range(1, _STEPS + 1)
        }
        self.inputs: dict[str, tuple[Tensor, Quantity | None]] = {}
        known: dict[Expr, Any] = {}
        for symbol in step.given.values():
            known[symbol] = Tensor.input(symbol.name, tuple(map(int, step.shapes[symbol])))
            self.inputs[symbol.name] = known[symbol], symbol
        self.equations: dict[str, Tensor] = {}
        for label, expr in self.opened.items():
            shape = step.shapes[adjoints.insides.get(label, Quantity(label))]
            change = Tensor.input(f"change.{label}", tuple(map(int, shape)))  # what is added
            self.inputs[f"change.{label}"] = change, None
            value = apply("add", evaluate(expr, known), change)
            self.equations[label] = known[Quantity(label)] = value
        self.forward = dict(self.given)
        self.forward = self.run({})
        self.measured: _Values = {}
        self.at = {t: _At(self, t) for t in range(_STEPS + 2)}

    def run(self, changes: _Values) -> _Values:
        """The forward values at every step with some of them changed, in each sample otherwise."""
        values = {**self.forward}
        values |= {
            key: values[key] + change for key, change in changes.items() if key in self.given
        }
        first = min((t or 1 for _, t in changes), default=1)  # what was before stays
        for t in range(max(first, 1), _STEPS + 1):
            arrays = {}
            for name, (node, symbol) in self.inputs.items():
                if symbol is None:
                    arrays[name] = changes.get(
                        (name.removeprefix("change."), t), np.zeros(node.shape)
                    )
                else:
                    arrays[name] = values[
                        symbol.label, None if symbol.time is None else t + symbol.time
                    ]
            nodes = {name: node for name, (node, _) in self.inputs.items()}
            batched = {name for name, a in arrays.items() if a.ndim > nodes[name].ndim}
            samples = next((arrays[name].shape[:1] for name in batched), ())
            lifted = Lifted(self.equations, nodes, samples, batched)
            # a constant to the backward pass is one, also where it is changed by iε
            lifted.calls = [
                call._replace(forward=np.real) if call.op == "detach" else call
                for call in lifted.calls
            ]
            found = lifted.arrays(list(arrays.values()))
            values |= {(label, t): value for label, value in found.items()}
        return values

    def value(self, label: str, t: int | None) -> Array:
        """A named value at a step, or an adjoint (`bar.f`, `bar.W_f`, `delta.f`) as measured."""
        space, name = space_of(label)
        if space == "seed":
            return self.seeds[name, t]
        if space not in ("bar", "delta"):
            return self.forward[label, t]
        key = (name if space == "bar" else f"pre.{name}", t)
        if key not in self.forward:
            raise EquationError(
                f"{self.adjoints.step.cell}: there is no value {label} at step {t}."
            )
        if key not in self.measured:
            shape = np.shape(self.forward[key])
            changes = 1j * TINY * np.eye(math.prod(shape)).reshape(-1, *shape)
            values = self.run({key: changes})
            losses: Any = sum(
                np.sum(seed * values[each], axis=tuple(range(-seed.ndim, 0)))
                for each, seed in self.seeds.items()
            )
            slopes = np.broadcast_to(np.imag(losses) / TINY, (math.prod(shape),))
            self.measured[key] = slopes.reshape(shape)
        return self.measured[key]

    def slope(self, owner: Quantity, target: Quantity, step: int) -> Array:
        """∂ owner / ∂ target, unit by unit; what mixes units is held fixed."""
        expr, at = self.opened[owner.label], self.at[step + (owner.time or 0)]
        target = shifted(target, -(owner.time or 0))
        known: dict[Expr, Any] = {q: at[q] for q in quantities(expr)}
        known |= {e: evaluate(e, at) for e in walk(expr) if isinstance(e, Operation)}
        known[target] = known[target] + 1j * TINY
        return np.imag(evaluate(expr, known)) / TINY

    def at_step(self, expr: Expr, step: int) -> Array:
        """The value of one side of an equation."""
        if isinstance(expr, SumOverTime):
            return np.asarray(sum(self.at_step(expr.args[0], t) for t in range(1, _STEPS + 1)))
        known = self.at[step]
        for part in walk(expr):
            if isinstance(part, Partial) and part not in known:
                known[part] = self.slope(*part.args, step)
        return np.asarray(evaluate(expr, known))

    def difference(self, left: Expr, right: Expr) -> float:
        """The largest difference of the two sides, relative to their size."""
        a, b = (self.at_step(side, _MIDDLE) for side in (left, right))
        size = max(1.0, float(np.max(np.abs(a), initial=0.0)))
        return float(np.max(np.abs(a - b), initial=0.0)) / size
