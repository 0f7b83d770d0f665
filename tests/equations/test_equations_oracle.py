"""The derived gradients beside the whole loss as one expression, differentiated at once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import sympy
from problems import sizes_of

import equations
from equations import algebra
from equations.symbolic import symbolic_step
from tinygrad_lstm import cells


# --- the oracle: the whole loss as one expression, differentiated at once -----------------------
class T(sympy.Function):  # type: ignore[misc]
    """tanh without SymPy's own, which looks through its whole argument each time it is built."""

    def fdiff(self, argindex: int = 1) -> Any:
        return 1 - self**2


FUNCTIONS = {"sigma": lambda v: (1 + T(v / 2)) / 2, "tanh": T}


def substituted(expr: Any, values: dict[Any, Any], step: int) -> Any:
    """An equation as an array of plain SymPy expressions in the entries of the inputs."""
    if isinstance(expr, algebra.SymbolicValue):
        return values[expr.label, None if expr.time is None else step + expr.time]
    if expr.is_Number:
        return expr
    if isinstance(expr, algebra.SymbolicOperation):
        parts = [substituted(a, values, step) for a in expr.operands]
        return parts[0] @ parts[1] if expr.op == "matvec" else np.concatenate(parts)
    parts = [substituted(a, values, step) for a in expr.args]
    if expr.func in (sympy.Add, sympy.Mul):
        total = parts[0]
        for part in parts[1:]:
            total = total + part if expr.func is sympy.Add else total * part
        return total
    return np.vectorize(FUNCTIONS[expr.func.__name__], otypes=[object])(parts[0])


# a few cells: whole expressions grow fast, and one with more paths through time takes minutes
@pytest.mark.sample(2)
@pytest.mark.parametrize("hidden, time, every", [(1, 2, 4), (2, 1, 5)])  # every which entry
@pytest.mark.parametrize("name", ["rnn", "lstm", "lstm_peephole", "lstm_coupled", "gru"])
def test_oracle(name: str, hidden: int, time: int, every: int) -> None:
    one = cells.all()[name]
    program = one.program(**sizes_of(one, hidden))
    timed = {"x", *one.sequences}
    random = np.random.default_rng(3)
    numbers: dict[sympy.Symbol, float] = {}

    def fresh(shape: tuple[int, ...]) -> Any:
        symbols = [sympy.Dummy() for _ in range(int(np.prod(shape)))]
        numbers.update({s: random.normal() for s in symbols})
        return np.array(symbols, dtype=object).reshape(shape)

    def plain(array: Any) -> Any:
        return np.vectorize(numbers.get, otypes=[float])(array)

    values: dict[Any, Any] = {}
    for label, node in program.inputs.items():
        if label in timed:
            values |= {(label, t): fresh(node.shape) for t in range(1, time + 1)}
        elif label.startswith("prev."):
            values[label.removeprefix("prev."), 0] = fresh(node.shape)
        else:
            values[label, None] = fresh(node.shape)
    given = dict(values)
    seeds = {name: random.normal(size=(time, hidden)) for name in one.state}
    loss: Any = 0
    for t in range(1, time + 1):
        for label, expr in symbolic_step(one, program).equations.items():
            values[label, t] = substituted(expr, values, t)
        for label, seed in seeds.items():
            loss = loss + seed[t - 1] @ values[label, t]
    sequences = {
        name: np.array([plain(given[name, t]) for t in range(1, time + 1)]) for name in timed
    }
    found = equations.gradients(
        one,
        {name: plain(given[name, None]) for name in one.parameters},
        sequences.pop("x"),
        seeds,
        {name: plain(given[name, 0]) for name in one.state},
        **sequences,
        **{name: plain(given[name, None]) for name in one.constants},
    )
    entries = []
    for (label, step), symbols in given.items():
        key = f"prev.{label}" if step == 0 else label
        got = found[key][step - 1] if label in timed else found[key]
        entries += list(zip(symbols.flat, got.flat, strict=True))
    entries = entries[::every]
    slopes = [sympy.diff(loss, entry) for entry, _ in entries]
    expected = sympy.lambdify(list(numbers), slopes, [{"T": math.tanh}])(*numbers.values())
    np.testing.assert_allclose([got for _, got in entries], expected, rtol=1e-10, atol=1e-12)
