"""Every reading of equations on cells unlike the built-in ones, each number against the engine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import odd_cells
import pytest
from corpus import habits
from odd_cells import CELLS
from test_equations_backward import agree, pair

import equations
from equations.algebra import EquationError, SymbolicValue
from lesson.cell_checks import EVERY_PROPERTY, hypothesis_elsewhere
from lesson.commands import main
from tinygrad_lstm import cell, cells, matvec, stack, tanh
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import TABLE
from tinygrad_lstm.testing.properties import Outcome, examine

EACH = pytest.mark.parametrize("name", CELLS)


@pytest.mark.sample(2)
@EACH
def test_every_reading_prints(name: str) -> None:
    one = CELLS[name]
    for result in (
        equations.forward(one),
        equations.unrolled(one, 2),
        equations.backward(one),
        equations.backward(one, loss=" ".join(one.program().equations)),
        equations.difference(cells.lstm, one),
        equations.difference(one, cells.lstm),
    ):
        assert result.unicode() and result.latex() and result.mathml().startswith("<math")


@EACH
def test_derived_gradients_of_every_equation_are_the_engines(name: str) -> None:
    agree(*pair(CELLS[name], time=3, reads=tuple(CELLS[name].program().equations)))


@pytest.mark.sample(2)
@EACH
def test_each_derivation_holds_line_by_line(name: str) -> None:
    one = CELLS[name]
    every = " ".join(one.program().equations)
    for target in (*one.parameters, next(iter(one.state))):
        assert all(step.rule and step.error < 1e-10 for step in equations.derive(one, target))
    for step in equations.derive(one, next(iter(one.parameters), "h"), loss=every):
        assert step.rule and step.error < 1e-10


# --- as printed --------------------------------------------------------------------------------
def backward(name: str, loss: str | None = None) -> equations.Equations:
    return equations.backward(CELLS[name], loss)


def test_a_size_is_printed_by_its_name_and_numbers_are_folded() -> None:
    lines = backward("named_norm")
    assert lines["bar.a"].unicode() == "ā_t = m̄_t / hidden + d̄_t"
    assert lines["bar.d"].unicode() == (
        "d̄_t = s̄_t / (hidden s_t) ⊙ d_t + h̄_t ⊙ s^(in) ⊙ (1 - h_t²) / s_t"
    )
    assert r"\frac{\bar{s}_t}{\mathrm{hidden} \, s_t} \odot d_t" in lines["bar.d"].latex()
    assert backward("gaussian", "KL")["bar.mu_z"].unicode() == (
        "μ̄_{z,t} = bar(KL)_t ⊙ (μ_{z,t} - μ_t) / σ_{z,t}²"
    )
    assert backward("matrix_state")["bar.h"].unicode() == (
        "h̄_t = ∂L/∂h_t + sum_rows(δ^h_{t+1}) / rows + sum_{rows, columns}(h̄_{t+1}) / (rows columns)"
    )
    assert backward("oscillator")["bar.z"].unicode() == "z̄_t = 0.1 ȳ_t + 0.9 z̄_{t+1}"


def test_packed_gates_are_sent_back_to_their_places() -> None:
    lines = equations.forward(CELLS["packed_gates"])
    assert lines["h"].unicode() == "h_t = σ(gates_t[2·hidden:3·hidden]) ⊙ tanh(c_t)"
    assert "σ(gates_t[:hidden])" in lines["c"].unicode()
    assert r"2 \cdot \mathrm{hidden}" in lines["h"].latex()
    shown = backward("packed_gates")["bar.gates"].unicode()
    assert shown.startswith("bar(gates)_t = [c̄_t ⊙ σ(gates_t[:hidden])") and "pad" not in shown
    some = backward("reshaped")
    assert "pad[0](δ^{h,1}_t)" in some["delta.h.2"].unicode()
    assert "pad" in {note.unicode for note in some.legend}


def test_what_loops_leave_behind_is_not_printed() -> None:
    assert equations.forward(CELLS["antisymmetric"]).unicode() == (
        "h_t = h_{t-1} + 0.1 tanh((W - Wᵀ - 0.01 I)·h_{t-1} + (V·x_t) ⊙ [0.5, 0.75, 1])"
    )
    assert equations.forward(CELLS["oscillator"])["z"].unicode() == (
        "z_t = z_{t-1} + 0.1 (tanh(w ⊙ y_{t-1} + V·x_t) - y_{t-1} - z_{t-1})"
    )
    density = equations.forward(CELLS["gaussian"])["density_r"]
    assert density.unicode() == "density_{r,t} = exp(-(z_t - μ_t)² / (2 lsigma2_t²))"


def test_a_state_called_x_is_told_from_the_input() -> None:
    assert equations.forward(CELLS["state_called_x"])["x"].unicode() == (
        "x_t = tanh(W·x_{t-1} + U·x^(in)_t)"
    )
    lines = backward("state_called_x")
    assert lines["bar.x"].unicode().startswith("x̄_t = h̄_t ⊙ x_{t-1} + Wᵀ·δ^x_{t+1}")
    assert lines["bar.input.x"].unicode() == "x̄^(in)_t = Uᵀ·δ^x_t"


def test_the_notations_own_letters_give_way() -> None:
    lines = backward("look_alikes")
    assert lines["bar.L"].unicode().startswith("L̄_t = ∂ℒ/∂L_t + ")
    assert "ℒ" in lines.legend[0].words
    assert lines["bar.x_"].unicode().startswith("bar(x_) = ")
    assert backward("names_of_namespaces")["bar.delta"].unicode() == (
        "δ̄ = Σ_t (∂^b_t ⊗ add_{t-1} + ∂^{tanh}_t ⊗ step_{t-1})"
    )


def test_detach_is_said() -> None:
    lines = backward("spiking")
    assert lines["bar.U"].unicode() == "Ū = none (no derivative passes to it)"
    notes = {note.unicode: note.words for note in lines.legend}
    assert notes["detach(U·h_{t-1})"] == (
        "a constant to the backward pass: no derivative goes through detach"
    )


def test_reasons_are_the_rules_that_were_used() -> None:
    steps = {
        (step.name, step.unicode()): step.rule
        for step in equations.derive(CELLS["named_norm"], "U")
    }
    assert steps["bar.m", "m̄_t = sum(-d̄_t)"] == "sum rule, sum over the entries that share it"
    assert steps["bar.a", "ā_t = m̄_t / hidden + d̄_t ⊙ ∂d_t/∂a_t"] == (
        "chain rule, sum over paths, derivative of mean"
    )
    for name in ("named_norm", "kinked", "scalars", "reshaped"):
        for step in equations.derive(CELLS[name], CELLS[name].output, loss="h"):
            if "nothing else does" in step.rule:
                assert step.right == SymbolicValue(f"seed.{step.name.removeprefix('bar.')}")


def test_the_loss_that_a_cell_declares_is_the_default() -> None:
    @cell(
        state="h",
        parameters={"W": "hidden, inputs", "v": "hidden", "u": "hidden"},
        output="y",
        loss="E",
    )
    def own(now, prev, x, p):  # type: ignore[no-untyped-def]
        now.h = tanh(matvec(p.W, x) + prev.h)
        now.y = p.v * now.h
        now.E = (now.y**2).sum()
        now.aside = p.u * now.h

    lines = equations.backward(own)
    assert lines["bar.y"].unicode() == "ȳ_t = 2 Ē_t ⊙ y_t"
    assert lines["bar.u"].unicode() == "ū = none (no loss reaches it)"
    assert equations.derive(own, "v")[-1].unicode() == "Ē_t = ∂L/∂E_t"
    assert equations.derive(own, "v")[-1].rule == "the loss reads it and nothing else does"
    assert equations.backward(own, "aside")["bar.E"].unicode() == (
        "Ē_t = none (no loss reaches it)"
    )


@EACH
def test_javascript_is_written(name: str) -> None:
    assert "function backward" in equations.javascript(CELLS[name])


# --- the property of `check` ---------------------------------------------------------------------
def judged(one: Cell) -> Outcome:
    what = next(p for p in EVERY_PROPERTY if p.name == "SymPy against engine")
    with hypothesis_elsewhere():
        return examine(one, what, examples=5)


@pytest.mark.parametrize("name", ["of_parameters_alone", "output_no_state", "spiking"])
def test_check_judges_every_named_equation(name: str) -> None:
    outcome = judged(CELLS[name])
    assert outcome.verdict is True and outcome.worst < 1e-10


def test_check_of_a_parameter_that_nothing_reads() -> None:
    @cell(state="h", parameters={"W": "hidden, inputs", "idle": "hidden"})
    def lazy(now, prev, x, p):  # type: ignore[no-untyped-def]
        now.h = tanh(matvec(p.W, x) + prev.h)

    assert judged(lazy).verdict is True


def test_check_finds_a_wrong_derivative_where_no_state_reads_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = TABLE["exp"]
    wrong = replace(right, derivatives=(lambda g, y, x: 1.5 * g * y,))
    monkeypatch.setitem(TABLE, "exp", wrong)
    outcome = judged(CELLS["output_no_state"])  # exp stands in its loss alone
    assert outcome.verdict is False and "log_s" in outcome.text


# --- the command ----------------------------------------------------------------------------------
def test_the_command_takes_what_the_loss_reads(capsys: pytest.CaptureFixture[str]) -> None:
    file = f"{odd_cells.__file__}:output_no_state"
    assert main(["equations", file, "--backward"]) == 0
    assert "C̄ = none (no loss reaches it)" in capsys.readouterr().out
    assert main(["equations", file, "--backward", "--loss", "nll h"]) == 0
    assert "C̄ = Σ_t ȳ_t ⊗ h_t" in capsys.readouterr().out
    assert main(["equations", file, "--derive", "C", "--loss", "y"]) == 0
    assert "ȳ_t = ∂L/∂y_t" in capsys.readouterr().out


# --- habits of posted code ------------------------------------------------------------------------
def lines(result: equations.Equations) -> list[str]:
    return str(result.unicode()).splitlines()


def test_the_axis_of_a_reduction_is_told_from_all_axes() -> None:
    said = lines(equations.forward(habits.largest))
    assert said[:2] == ["top_t = max_columns(A_{t-1})", "most_t = max(A_{t-1})"]


def test_vectors_stand_beside_one_another_and_matrices_below() -> None:
    said = lines(equations.forward(habits.numpy_lstm))
    assert said[0] == "i_t = 1 / (1 + exp(-(Wᵀ·[h_{t-1}, x_t] + b)[:hidden]))"

    @cell(state={"M": "slots, width"}, x="width", output="s")
    def grown(now, prev, x, p):  # type: ignore[no-untyped-def]
        now.s = np.concatenate([prev.M, x.reshape(1, -1)], axis=0).sum(axis=0)
        now.M = prev.M * x

    assert lines(equations.forward(grown))[0] == "s_t = sum_{slots + 1}([M_{t-1}; reshape(x_t)])"


def test_every_row_of_a_fixed_matrix_is_written_out() -> None:
    said = lines(equations.forward(habits.shifted))
    assert "[[0, 1, 0], [0, 0, 1], [0, 0, 0]]·tanh(W·x_t) + 0.333333" in said[1]


def test_what_the_loss_sees_through_a_step_function_is_not_called_unseen() -> None:
    said = {line.split(" = ")[0]: line for line in lines(equations.backward(habits.clocked))}
    for name in ("bar(phase)_t", "bar(clock)_t"):
        assert said[name] == f"{name} = none (no derivative passes to it)"


def test_a_derivation_names_no_operation_of_arrays() -> None:
    for name in (*habits.numpy_lstm.parameters, *habits.bilinear.parameters):
        one = habits.bilinear if name == "T" else habits.numpy_lstm
        said = str(equations.derive(one, name).unicode())
        assert not any(op in said for op in ("getitem", "einsum", "swapaxes", "axis"))


@pytest.mark.parametrize("what", ["lstm", 3, None])
@pytest.mark.parametrize("reading", ["forward", "backward", "unrolled", "javascript"])
def test_what_is_no_cell_is_refused(reading: str, what: object) -> None:
    with pytest.raises(EquationError, match="a cell or a network, got"):
        getattr(equations, reading)(what)


def test_javascript_is_of_one_cell() -> None:
    with pytest.raises(EquationError, match="one cell"):
        equations.javascript(stack([cells.lstm, cells.gru]))  # type: ignore[arg-type]
