"""The equations as printed: names, forward lines, unrolled, differences, in every format.

Each built-in cell's lines in LaTeX are those of its page in docs/gallery.
"""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from xml.etree import ElementTree

import numpy as np
import pytest

import equations
import tinygrad_lstm as tg
from equations import name_latex, name_unicode
from lesson.commands import main
from tinygrad_lstm import (
    Tensor,
    cell,
    cells,
    concat,
    exp,
    log_softmax,
    matvec,
    softmax,
    sqrt,
    systems,
    tanh,
    unroll,
)
from tinygrad_lstm.errors import UnknownNameError
from tinygrad_lstm.notation import look_alikes

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # ziamath's way of finding its font
    import ziamath.zmath

CORE = {
    "math",
    "mrow",
    "mi",
    "mo",
    "mn",
    "mtext",
    "mspace",
    "msub",
    "msup",
    "msubsup",
    "mover",
    "munder",
    "munderover",
    "mfrac",
    "msqrt",
    "mtable",
    "mtr",
    "mtd",
}

NAMES = {
    "f": (r"f_t", "f_t"),
    "C_tilde": (r"\tilde{C}_t", "C̃_t"),
    "h_hat": (r"\hat{h}_t", "ĥ_t"),
    "h_prime": (r"h^{\prime}_t", "h′_t"),
    "prev.C": (r"C_{t-1}", "C_{t-1}"),
    "x": (r"x_t", "x_t"),
    "W_f": (r"W_f", "W_f"),
    "b": (r"b", "b"),
    "W_xh": (r"W_{xh}", "W_xh"),
    "W_xi": (r"W_{xi}", "W_xi"),
    "W_2": (r"W_2", "W_2"),
    "h1": (r"h_{1, t}", "h_{1,t}"),
    "alpha": (r"\alpha_t", "α_t"),
    "lambda_": (r"\lambda_t", "λ_t"),
    "Gamma_f": (r"\Gamma_{f, t}", "Γ_{f,t}"),
    "g_read": (r"g_{\mathrm{read}, t}", "g_{read,t}"),
    "my_gate": (r"\mathrm{my}_{\mathrm{gate}, t}", "my_{gate,t}"),
    "lsigma2": (r"\mathrm{lsigma2}_t", "lsigma2_t"),
    "bar.gX_r": (r"\overline{\mathrm{gX}}_{r, t}", "bar(gX)_{r,t}"),
    "bar.logits": (r"\overline{\mathrm{logits}}_t", "bar(logits)_t"),
    "delta": (r"\delta_t", "δ_t"),
    "bar": (r"\mathrm{bar}_t", "bar_t"),
    "bar.seed": (r"\overline{\mathrm{seed}}_t", "bar(seed)_t"),
    "input.x": (r"x^{(in)}_t", "x^(in)_t"),
    "bar.f": (r"\bar{f}_t", "f̄_t"),
    "bar.C_tilde": (r"\bar{\tilde{C}}_t", "C̃̄_t"),
    "bar.W_f": (r"\bar{W}_f", "W̄_f"),
    "bar.prev.h": (r"\bar{h}_{t-1}", "h̄_{t-1}"),
    "seed.h": (r"\frac{\partial L}{\partial h_t}", "∂L/∂h_t"),
    "delta.C_tilde": (r"\delta^{\tilde{C}}_t", "δ^C̃_t"),
    "ŷ": (r"\hat{y}_t", "ŷ_t"),
}


@pytest.mark.parametrize("name", NAMES)
def test_names(name: str) -> None:
    latex, text = NAMES[name]
    assert name_latex(name) == latex
    assert name_unicode(name) == text


def test_time_index_of_a_name() -> None:
    assert name_latex("f", "t+1") == "f_{t+1}"
    assert name_latex("h1", None) == "h_1"
    assert name_latex("alpha", None) == r"\alpha"
    assert name_latex("prev.h", "3") == "h_2"
    assert name_unicode("C_tilde", "10") == "C̃_10"
    assert name_latex("W", "t") == "W_t"  # asked for


def test_what_looks_alike_is_written_apart() -> None:
    names = ["x", "x_", "alpha", "α", "L", "delta", "h", "h_1", "h1"]
    apart = look_alikes(names)
    assert apart == {"x_", "alpha", "h_1", "seed.", "delta."}
    assert len({name_unicode(name, "t", apart) for name in names}) == len(names)
    assert name_unicode("seed.L", "t", apart) == "∂ℒ/∂L_t"
    assert name_latex("seed.L", "t", apart) == r"\frac{\partial \mathcal{L}}{\partial L_t}"
    assert name_latex("delta.T", "t", apart) == r"\partial^{T}_t"
    assert name_unicode("pre.f", "t", frozenset({"pre."})) == "net^f_t"


def test_names_need_no_sympy() -> None:
    code = "import sys, equations; equations.name_latex('f'); print('sympy' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
    )
    assert found.stdout.strip() == "False"


@cell(
    state="h s_tilde",
    parameters={"W_in W_2": "hidden, hidden + inputs", "alpha": "", "p_read": "hidden"},
)
def greek(now, prev, x, p):  # type: ignore[no-untyped-def]
    """A cell of a reader's own, with names and operations that the built-in ones lack."""
    hx = concat(prev.h, x)
    now.my_gate = softmax(matvec(p.W_in, hx) + p.p_read)
    now.theta1 = tanh(matvec(p.W_2, hx) - p.alpha * (prev.h - prev.s_tilde)) ** 2
    now.s_tilde = 0.5 * now.theta1 / sqrt(1 + exp(-now.my_gate)) - (now.my_gate[0] > 0.1) * 2.0
    now.h = log_softmax(now.my_gate * prev.s_tilde * 2) + p.W_in[:, 0]


ALL = {**cells.all(), "greek": greek}


def test_a_cell_of_ones_own_reads_as_written() -> None:
    assert equations.forward(greek).unicode() == (
        "my_{gate,t} = softmax(W_in·[h_{t-1}, x_t] + p_read)\n"
        "θ_{1,t} = tanh²(W_2·[h_{t-1}, x_t] - α ⊙ (h_{t-1} - s̃_{t-1}))\n"
        "s̃_t = 0.5 θ_{1,t} / √(1 + exp(-my_{gate,t})) - [my_{gate,t}[0] > 0.1]·2\n"
        "h_t = log_softmax(my_{gate,t} ⊙ s̃_{t-1}·2) + W_in[:, 0]"
    )


def test_the_papers_lines() -> None:
    lstm, gru = equations.forward(cells.lstm), equations.forward(cells.gru)
    assert [line.name for line in lstm] == ["f", "i", "C_tilde", "C", "o", "h"]
    assert lstm["f"].latex() == r"f_t = \sigma\left(W_f \cdot [h_{t-1}, x_t] + b_f\right)"
    assert lstm["C"].latex() == r"C_t = f_t \odot C_{t-1} + i_t \odot \tilde{C}_t"
    assert lstm["h"].latex() == r"h_t = o_t \odot \tanh\left(C_t\right)"
    assert gru["z"].latex() == r"z_t = \sigma\left(W_z \cdot [h_{t-1}, x_t]\right)"
    expected = r"h_t = \left(1 - z_t\right) \odot h_{t-1} + z_t \odot \tilde{h}_t"
    assert gru["h"].latex() == expected
    coupled = equations.forward(cells.lstm_coupled)["C"].unicode()
    assert coupled == "C_t = f_t ⊙ C_{t-1} + (1 - f_t) ⊙ C̃_t"


def test_unrolled_numbers_the_steps() -> None:
    lines = equations.unrolled(cells.rnn, 3)
    assert lines.unicode() == (
        "h_1 = tanh(W·[h_0, x_1] + b)\nh_2 = tanh(W·[h_1, x_2] + b)\nh_3 = tanh(W·[h_2, x_3] + b)"
    )
    assert lines.names == ["h.1", "h.2", "h.3"]
    assert lines["h.2"].latex() == r"h_2 = \tanh\left(W \cdot [h_1, x_2] + b\right)"


def every_line(name: str) -> list[equations.Equation]:
    one = ALL[name]
    found = [*equations.forward(one), *equations.backward(one), *equations.unrolled(one, 2)]
    changes = equations.difference(cells.lstm, one)
    return found + [line for change in changes for _, line in change.lines]


@pytest.mark.parametrize("name", ALL)
def test_mathml_is_core_and_complete(name: str) -> None:
    for line in every_line(name):
        for markup in (line.mathml(), line.mathml(display=True, width=30)):
            tree = ElementTree.fromstring(markup)
            assert {e.tag for e in tree.iter()} <= CORE, line.latex()
            leaves = [e for e in tree.iter() if e.tag in ("mi", "mo", "mn", "mtext")]
            assert all(e.text and "\\" not in e.text for e in leaves), line.latex()


@pytest.mark.sample(3)
@pytest.mark.parametrize("name", ALL)
def test_glyphs_can_be_drawn(name: str) -> None:
    """ziamath draws a macro that it does not know as its name in plain text."""
    for line in equations.forward(ALL[name]):
        assert "<svg" in ziamath.zmath.Latex(line.latex()).svg()


def test_pieces_are_the_line() -> None:
    line = equations.backward(cells.lstm)["bar.h"]
    left, *rows = line.pieces(40)
    assert left == r"\bar{h}_t"
    assert len(rows) == 4 and all(row[0] in "=+" for row in rows)
    assert f"{left} {' '.join(rows)}" == line.latex()


def test_notebook() -> None:
    for result in (equations.forward(cells.gru), equations.forward(cells.gru)[0]):
        bundle = result._repr_mimebundle_()
        assert bundle["text/plain"] == result.unicode()
        assert bundle["text/latex"] == f"$\\displaystyle {result.latex()}$"
        assert set(bundle) == {"text/plain", "text/latex"}  # GitHub would clean MathML away


def test_a_wrong_name_is_answered_with_the_right_ones() -> None:
    with pytest.raises(UnknownNameError) as error:
        equations.forward(cells.gru)["f"]
    assert str(error.value) == "no equation 'f'; there are z, r, h_tilde, h."


# --- differences --------------------------------------------------------------------------------
def test_peepholes_are_all_that_is_marked() -> None:
    changes = equations.difference(cells.lstm, cells.lstm_peephole)
    assert changes.unicode() == (
        "~ f_t = σ(W_f·[«C_{t-1}», h_{t-1}, x_t] + b_f)\n"
        "~ i_t = σ(W_i·[«C_{t-1}», h_{t-1}, x_t] + b_i)\n"
        "~ o_t = σ(W_o·[«C_t», h_{t-1}, x_t] + b_o)"
    )
    marks = re.findall(r"\\textcolor\{#\w+\}\{\\underline\{(.*?)\}\}[,\]]", changes.latex())
    assert marks == ["C_{t-1}", "C_{t-1}", "C_t"]
    assert changes.mathml().count('class="added"') == 3


def test_added_removed_and_changed_lines() -> None:
    changes = equations.difference(cells.lstm, cells.lstm_coupled)
    assert [(change.name, change.kind) for change in changes] == [
        ("C", "changed"),
        ("i", "removed"),
    ]
    assert changes.unicode() == (
        "- C_t = f_t ⊙ C_{t-1} + «i_t» ⊙ C̃_t\n"
        "+ C_t = f_t ⊙ C_{t-1} + («1 - f_t») ⊙ C̃_t\n"
        "- i_t = «σ(W_i·[h_{t-1}, x_t] + b_i)»"
    )
    back = equations.difference(cells.lstm_coupled, cells.lstm)
    assert [(change.name, change.kind) for change in back] == [("i", "added"), ("C", "changed")]
    assert len(equations.difference(cells.lstm, cells.lstm)) == 0


# --- the command --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "words, shown",
    [
        ("lstm", "C_t = f_t ⊙ C_{t-1} + i_t ⊙ C̃_t"),
        ("lstm --format latex", r"C_t &= f_t \odot C_{t-1} + i_t \odot \tilde{C}_t"),
        ("rnn --format mathml", "<math "),
        ("lstm --backward", "W̄_f = Σ_t δ^f_t ⊗ [h_{t-1}, x_t]"),
        ("gru --derive W_z", "∂z_t/∂a^z_t = z_t ⊙ (1 - z_t)    (the function's value has a name)"),
        ("rnn --unrolled 2", "h_2 = tanh(W·[h_1, x_2] + b)"),
        ("rnn --difference rnn", "rnn and rnn compute the same."),
        ("lstm --difference gru", "+ z_t = «σ(W_z·[h_{t-1}, x_t])»"),
    ],
)
def test_command(words: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["equations", *words.split()]) == 0
    assert shown in capsys.readouterr().out


def test_command_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["equations", "rnn", "--derive", "q"]) == 2
    assert capsys.readouterr().err == (
        "tinygrad-lstm equations: cell 'rnn' has no 'q' to derive a gradient of; "
        "it has h, x, W, b.\n"
    )
    assert main(["equations", "rnn", "--unrolled", "0"]) == 2
    assert "steps must be a whole number of at least 1, got 0" in capsys.readouterr().err


@cell(
    state="h",
    parameters={"s": "", "r": "", "W": "hidden, inputs"},
    sequences={"y": "hidden"},
    loss="L",
)
def scaled(now, prev, x, p, y):
    now.a = p.s * prev.h + p.r * matvec(p.W, x)
    now.h = tanh(now.a)
    now.L = -tg.sum(y * log_softmax(now.h))


def test_products_of_vectors_are_dots_and_shares_a_softmax() -> None:
    """ā·h for a number times a vector; what has no name stays a sum, and L̄ is no vector."""
    lines = equations.backward(scaled)
    assert lines["bar.s"].unicode() == "s̄ = Σ_t ā_t·h_{t-1}"
    assert lines["bar.r"].unicode() == "r̄ = Σ_t sum(ā_t ⊙ (W·x_t))"
    assert "softmax(h_t) ⊙ sum(L̄_t ⊙ y_t)" in lines["bar.h"].unicode()
    assert equations.backward(systems.bahdanau)["bar.alpha"].unicode() == "ᾱ_{t,j} = c̄_t·H_j"
    p = scaled.init(inputs=3, hidden=4, seed=0).replace({"s": Tensor(0.7), "r": Tensor(-1.2)})
    xs, y = np.random.default_rng(0).normal(size=(5, 3)), np.random.default_rng(1).random((5, 4))
    unroll(scaled, p, xs, y=y).loss.backward()
    numbers = {n: t.numpy() for n, t in p.items()}
    begin = {"h": np.zeros(4)}
    derived = equations.gradients(scaled, numbers, xs, {"L": np.ones(5)}, begin, y=y)
    for name in p:
        np.testing.assert_allclose(derived[name], p[name].grad.numpy(), rtol=1e-12)
