"""Derivations: every line holds, and is told apart from others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy
from test_equations_backward import ALL, pair

from equations import algebra, rules
from equations.derivation import derive
from tinygrad_lstm import cell, cells, concat, matvec, sigmoid, tanh
from tinygrad_lstm.errors import TinygradError


# --- derivations --------------------------------------------------------------------------------
@pytest.mark.sample(3)
@pytest.mark.parametrize("name", ALL)
def test_every_line_of_every_derivation_holds(name: str) -> None:
    for parameter in (*ALL[name].parameters, "x"):
        steps = derive(ALL[name], parameter)
        assert steps and all(step.rule and step.error < 1e-10 for step in steps)
        assert any(step.name == f"bar.{parameter}" for step in steps)


def test_two_equations_with_the_same_inside_are_told_apart() -> None:
    @cell(state="h", parameters={"W": "hidden, hidden + inputs"})
    def twins(now: Any, prev: Any, x: Any, p: Any) -> None:
        a = matvec(p.W, concat(prev.h, x))
        now.s = sigmoid(a)
        now.g = tanh(a)
        now.h = now.s * now.g + (1.0 - now.s) * prev.h

    steps = derive(twins, "W")
    assert all(step.error < 1e-10 for step in steps)
    assert "∂s_t/∂a^s_t = σ(a^s_t) ⊙ (1 - σ(a^s_t))" in steps.unicode()
    assert "∂g_t/∂a^g_t = 1 - tanh²(a^g_t)" in steps.unicode()


def test_a_derivation_names_its_rules() -> None:
    steps = derive(cells.rnn, "W")
    assert steps.unicode() == (
        "h_t = tanh(W·[h_{t-1}, x_t] + b)    (definition)\n"
        "a^h_t = W·[h_{t-1}, x_t] + b    (name for what stands inside the function)\n"
        "W̄ = Σ_t δ^h_t ⊗ [h_{t-1}, x_t]    (sum over time, sum rule, matrix product)\n"
        "δ^h_t = h̄_t ⊙ ∂h_t/∂a^h_t    (chain rule)\n"
        "∂h_t/∂a^h_t = 1 - tanh²(a^h_t)    (derivative of tanh, 1 minus its square)\n"
        "∂h_t/∂a^h_t = 1 - h_t²    (the function's value has a name)\n"
        "δ^h_t = h̄_t ⊙ (1 - h_t²)    (substitution)\n"
        "h̄_t = ∂L/∂h_t + [Wᵀ·δ^h_{t+1}]_h    (sum over paths, some through the next step, "
        "sum rule, matrix product, parts of a concatenation)"
    )
    assert steps.latex().count(r"&& \text{") == len(steps)
    assert steps.mathml().count("<mtext>") == len(steps)


@pytest.mark.parametrize("factor", [1.01, -1.0])
def test_a_wrong_derivative_is_found(factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = staticmethod(lambda y, x: (factor * y * (1 - y),))
    monkeypatch.setattr(algebra.sigma, "slopes", wrong)
    with pytest.raises(TinygradError, match="does not hold at random numbers"):
        derive(cells.gru, "W_z")
    derived, engine = pair(cells.gru)
    assert np.max(np.abs(derived["W_z"] - engine["W_z"])) > 1e-4


def test_a_wrong_rule_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = rules.RULES["matvec"]

    def wrong(*args: Any) -> list[Any]:
        return [algebra.times(sympy.Float(1.01), share) for share in right(*args)]

    monkeypatch.setitem(rules.RULES, "matvec", wrong)
    with pytest.raises(TinygradError, match="does not hold at random numbers"):
        derive(cells.lstm, "W_f")
