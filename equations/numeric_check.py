"""Equations checked at random numbers, with derivatives measured instead of derived.

A cell runs over three random steps. The derivative of a random loss in any value is measured by a
complex step: each entry of the value is changed by iε, in a sample of its own, and the imaginary
part of the loss over ε is the derivative, exact up to rounding. Nothing that was derived is used,
so that a derived line can be held against it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sympy import Expr, preorder_traversal

from equations.adjoints import Adjoints
from equations.algebra import (
    EquationError,
    Partial,
    SumOverTime,
    SymbolicOperation,
    SymbolicValue,
    named_values,
    shift_time,
)
from equations.evaluation import evaluate
from equations.places import for_each, free_letters, is_lettered, letter_of, row_of
from tinygrad_lstm.batching import Lifted
from tinygrad_lstm.notation import space_of
from tinygrad_lstm.numerical import TINY, complex_slope
from tinygrad_lstm.tensor import Array, Tensor, apply, constant

_STEPS = 3
_MIDDLE = 2  # has a step before it and one after it


class _At(dict[Expr, Any]):
    """Values at a step: of names as they are asked for, of other expressions once computed."""

    def __init__(self, check: NumericCheck, step: int) -> None:
        self._check, self._step = check, step

    def __missing__(self, symbol: SymbolicValue) -> Array:
        step = None if symbol.time is None else self._step + symbol.time
        value: Array = self._check.value(symbol.label, step)
        self[symbol] = value
        return value


class NumericCheck:
    """Random numbers for a cell, and the two sides of an equation compared at them."""

    def __init__(self, adjoints: Adjoints, seed: int = 0) -> None:
        step, random, times = adjoints.step, np.random.default_rng(seed), range(1, _STEPS + 1)
        self.cell, self.opened = step.cell, adjoints.opened
        self.nodes: dict[tuple[str, int | None], Tensor] = {}  # by label and step, if it has one
        for name, symbol in step.given.items():
            state = space_of(name)[0] == "prev"
            edge = [0 if (symbol.time or 0) < 0 else _STEPS + 1]
            for t in [None] if symbol.time is None else edge if state else times:
                drawn = random.normal(0.0, 0.7, step.shapes[symbol])
                self.nodes[symbol.label, t] = constant(drawn)
        seeds = {
            (name, t): random.normal(size=step.shapes[SymbolicValue(name)])
            for name in adjoints.loss
            for t in times
        }
        self._evaluate([(label, t) for t in times for label in self.opened])
        self.loss: Tensor = sum(
            ((self.nodes[k] * v).sum() for k, v in seeds.items()), constant(0.0)
        )
        self.nodes |= {(f"seed.{name}", t): constant(v) for (name, t), v in seeds.items()}
        self.measured: dict[Tensor, Array] = {}
        self.at = {t: _At(self, t) for t in range(_STEPS + 2)}

    def _evaluate(self, left: list[tuple[str, int]]) -> None:
        """Every equation at every step, once what it reads is there: some parts read backward."""
        while left:
            waiting = []
            for label, t in left:
                reads = {
                    q: (q.label, None if q.time is None else t + q.time)
                    for q in named_values(self.opened[label])
                }
                if not all(key in self.nodes for key in reads.values()):
                    waiting.append((label, t))
                    continue
                value = evaluate(
                    self.opened[label], {q: self.nodes[key] for q, key in reads.items()}
                )
                node = apply("identity", value if isinstance(value, Tensor) else constant(value))
                self.nodes[label, t] = node
            if len(waiting) == len(left):
                label, t = waiting[0]
                raise EquationError(f"{self.cell}: there is no value for {label} at step {t}.")
            left = waiting

    def value(self, label: str, t: int | None) -> Array:
        """A named value at a step, or an adjoint (`bar.f`, `bar.W_f`, `delta.f`) as measured."""
        space, name = space_of(label)
        adjoint = space in ("bar", "delta")
        own = f"pre.{name}" if space == "delta" else name if adjoint else label
        if (own, t) not in self.nodes:
            raise EquationError(f"{self.cell}: there is no value {label} at step {t}.")
        node = self.nodes[own, t]
        if adjoint and node not in self.measured:
            self.measured[node] = self._measure(node)
        return self.measured[node] if adjoint else node.data

    def _measure(self, node: Tensor) -> Array:
        """The derivative of the loss in each entry of a node."""
        lifted = Lifted({"loss": self.loss}, {"moved": node}, (node.size,), {"moved"})
        # a constant to the backward pass is one, also where it is changed by iε
        lifted.calls = [
            call._replace(forward=np.real) if call.op == "detach" else call for call in lifted.calls
        ]
        moved = node.data + 1j * TINY * np.eye(node.size).reshape(-1, *node.shape)
        return np.imag(lifted.arrays([moved])["loss"]).reshape(node.shape) / TINY

    def slope(self, owner: SymbolicValue, target: SymbolicValue, step: int) -> Array:
        """∂ owner / ∂ target, unit by unit; what mixes units is held fixed."""
        expr, at = self.opened[owner.label], self.at[step + (owner.time or 0)]
        target = shift_time(target, -(owner.time or 0))
        held: dict[Expr, Any] = {q: at[q] for q in named_values(expr)}
        held |= {
            e: evaluate(e, at)
            for e in preorder_traversal(expr)
            if isinstance(e, SymbolicOperation) and not free_letters(e)
        }
        return complex_slope(lambda moved: evaluate(expr, {**held, target: moved}), held[target])

    def at_step(self, expr: Expr, step: int) -> Array:
        """The value of one side of an equation."""
        if is_lettered(expr, "each") and expr.has(SumOverTime):
            each = for_each(expr.operands[0].args[0], [letter_of(expr)])
            return self.at_step(SumOverTime(each), step)
        if isinstance(expr, SumOverTime):
            every = [self.at_step(expr.args[0], t) for t in range(1, _STEPS + 1)]
            return np.asarray(sum(every))
        known = self.at[step]
        for part in preorder_traversal(expr):
            if isinstance(part, Partial) and part not in known:
                owner, target = part.args
                known[part] = self.slope(owner, target, step)
        return np.asarray(evaluate(expr, known))

    def difference(self, left: Expr, right: Expr) -> float:
        """The largest difference of the two sides, relative to their size."""
        letters = row_of(left)[1]  # at every place
        a, b = (self.at_step(for_each(side, letters), _MIDDLE) for side in (left, right))
        size = max(1.0, float(np.max(np.abs(a), initial=0.0)))
        return float(np.max(np.abs(a - b), initial=0.0)) / size
