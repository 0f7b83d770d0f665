"""How an expression is written: in plain letters, in Unicode and in LaTeX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm import Program, Tensor, ops
from tinygrad_lstm.notation import number, visible
from tinygrad_lstm.text import LATEX, PLAIN, UNICODE, expression

TEXTS: dict[str, tuple[Callable[..., Any], str, str]] = {
    "products": (lambda a, b: 2.0 * a * b * 0.5, "2 * a * b * 0.5", "2 a ⊙ b·0.5"),
    "a product of sums": (lambda a, b: (a + b) * (a - b), "(a + b) * (a - b)", "(a + b) ⊙ (a - b)"),
    "a sign in front": (lambda a, b: -a * b, "(-a) * b", "-a ⊙ b"),
    "a negative number": (lambda a, b: a + -2.0 * b, "a + (-2) * b", "a + (-2 b)"),
    "a quotient": (lambda a, b: a / (b * a), "a / (b * a)", "a / (b ⊙ a)"),
    "powers": (lambda a, b: tl.tanh(a) ** 2 + b**-1.5, "tanh(a) ** 2 + b ** (-1.5)", ""),
    "a function's power": (lambda a, b: tl.sigmoid(a) ** 3, "sigmoid(a) ** 3", "σ³(a)"),
    "a root": (lambda a, b: tl.sqrt(a * a), "sqrt(a * a)", "√(a ⊙ a)"),
    "a distance": (lambda a, b: abs(a - b), "abs(a - b)", "|a - b|"),
    "a condition": (lambda a, b: (a > b) * a, "(a > b) * a", "[a > b] ⊙ a"),
    "limits": (lambda a, b: tl.clip(a, high=1), "clip(a, high=1.0)", "clip(a, -∞, 1)"),
    "a part": (lambda a, b: a[0:2] * b[1:], "a[0:2] * b[1:]", "a[:2] ⊙ b[1:]"),
    "an outer product": (lambda a, b: tl.outer(a, b) @ a, "(a ⊗ b) · a", "(a ⊗ b)·a"),
    "an axis": (
        lambda a, b: ops.sum(tl.outer(a, b), 0),
        "sum(a ⊗ b, axis=0, keepdims=False)".replace(", keepdims=False", ""),
        "sum(a ⊗ b, axis=-2)",
    ),
    "letters": (lambda a, b: tl.einsum("i,i->", a, b), "Σ_i [a]_i [b]_i", "Σ_i [a]_i [b]_i"),
    "an array": (lambda a, b: a * np.arange(3.0), "a * [0, 1, 2]", "a ⊙ [0, 1, 2]"),
    "a matrix": (lambda a, b: (0.1 * np.eye(3)) @ a, "(0.1 I) · a", "(0.1 I)·a"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_operations(name: str) -> None:
    function, plain, read = TEXTS[name]
    program = Program.trace(lambda a, b: function(a, b), a=(3,), b=(3,))
    assert program.text("y") == f"y = {plain}"
    if read:
        assert program.text("y", UNICODE) == f"y = {read}"


def test_three_styles() -> None:
    program = tl.cells.lstm.program()
    assert [program.text("f", style) for style in (PLAIN, UNICODE, LATEX)] == [
        "f = sigmoid(W_f · [h_{t-1}, x_t] + b_f)",
        "f_t = σ(W_f·[h_{t-1}, x_t] + b_f)",
        r"f_t = \sigma\left(W_f \cdot [h_{t-1}, x_t] + b_f\right)",
    ]
    gradient = program.gradient("W_f", of="h")
    assert gradient.text("bar.f", UNICODE) == "f̄_t = C̄_t ⊙ C_{t-1}"
    assert gradient.text("bar.W_f", UNICODE).startswith("W̄_f = ")


def test_what_is_the_same_at_each_step_has_no_index() -> None:
    program = tl.cells.lstm_peephole_output.program()
    assert program.label("p_o", UNICODE) == program.label("p_o") == "p_o"
    assert program.label("prev.C", UNICODE) == "C_{t-1}"
    stacked = tl.stack([tl.cells.lstm_peephole_output, tl.cells.rnn]).program()
    assert stacked.label("1.p_o", UNICODE) == "p^(1)_o"


def test_other_names_stop_an_expression() -> None:
    a, b = Tensor([1.0, 2.0], "a"), Tensor([3.0, 4.0], "b")
    inner = a * b
    assert expression(tl.tanh(inner) + inner, UNICODE, {inner: "u1"}) == "tanh(u1) + u1"


def test_numbers_and_blanks() -> None:
    shown = [number(v, 3, s) for v in (-0.0, -1e-5, 25e-8) for s in ("plain", "unicode", "latex")]
    assert shown == [
        *("0", "0", "0"),
        *("-1e-05", "−1e−05", "-10^{-5}"),
        *("2.5e-07", "2.5e−07", r"2.5 \cdot 10^{-7}"),
    ]
    assert number(float("inf"), style="latex") == r"\infty" and number(True) == "1"
    assert visible("a b\n\t") == "a␣b⏎⇥"
