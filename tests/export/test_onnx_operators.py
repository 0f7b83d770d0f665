"""Which cell is an operator of ONNX: told by its equations, however its author wrote them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_lstm import Cell, cell, cells, concat, export, matvec, sigmoid, split, tanh
from tinygrad_lstm.exporting.self_test import self_test
from tinygrad_lstm.weights.recognition import recognise


@cell(
    state="C hh",
    parameters={"A B D E": "hidden, hidden + inputs", "a b d e": "hidden"},
    output="hh",
)
def renamed_lstm(now, prev, x, p):
    """The LSTM with other names, other orders, and its states exchanged."""
    v = concat(prev.hh, x)
    now.keep = sigmoid(p.a + matvec(p.A, v))
    now.write = sigmoid(matvec(p.B, v) + p.b)
    now.new = tanh(p.d + matvec(p.D, v))
    now.C = now.new * now.write + prev.C * now.keep
    now.show = sigmoid(matvec(p.E, v) + p.e)
    now.hh = tanh(now.C) * now.show


@cell(state="h C", parameters={"W": "4 * hidden, hidden + inputs", "b": "4 * hidden"})
def lstm(now, prev, x, p):
    """Has the name of the LSTM, and is another cell."""
    now.C = 0.5 * prev.C + 0.5 * matvec(p.W, concat(prev.h, x))[: prev.h.shape[0]]
    now.h = tanh(now.C) + p.b[: prev.h.shape[0]]


def operators(one: Cell, **options: Any) -> set[str]:
    onnx = pytest.importorskip("onnx")
    model = onnx.load_model_from_string(export(one, "onnx", **options))
    return {node.op_type for node in model.graph.node} & {"RNN", "LSTM", "GRU", "Scan"}


def test_an_operator_is_known_by_its_equations_and_not_by_its_name() -> None:
    found = recognise(renamed_lstm, "onnx")
    assert found is not None
    assert found.like is cells.lstm and found.states == {"h": "hh", "C": "C"}
    p = renamed_lstm.init(inputs=4, hidden=3)
    theirs = found.parameters(p)
    for name, own in {"W_f": "A", "W_i": "B", "W_C": "D", "W_o": "E", "b_o": "e"}.items():
        assert np.array_equal(theirs[name], p[own].data)
    assert recognise(lstm, "onnx") is None
    assert operators(renamed_lstm) == {"LSTM"} and operators(lstm) == {"Scan"}
    assert operators(cells.gru_reset_after) == {"GRU"} and operators(cells.rnn) == {"RNN"}
    assert operators(cells.gru) == {"Scan"}  # its z is the share of the new
    assert operators(cells.lstm, dtype="float64") == {"Scan"}  # no runtime has it in 64 bits


@cell(state="h c", parameters={"W": "4 * hidden, inputs + hidden", "b": "4 * hidden"})
def packed(now, prev, x, p):
    """The LSTM as code has it: one matrix for all gates, on [x, h]."""
    i, f, g, o = split(p.W @ concat(x, prev.h) + p.b, 4)
    now.c = sigmoid(f) * prev.c + sigmoid(i) * tanh(g)
    now.h = sigmoid(o) * tanh(now.c)


@cell(
    state="h",
    parameters={
        "W_r W_z W_n": "hidden, inputs",
        "U_r U_z U_n": "hidden, hidden",
        "b_r b_z b_n": "hidden",
    },
)
def apart(now, prev, x, p):
    """A GRU with matrices of their own for x and h, one bias a gate, and sums in its own order."""
    now.r = sigmoid(p.b_r + p.U_r @ prev.h + p.W_r @ x)
    now.z = sigmoid(p.U_z @ prev.h + p.b_z + p.W_z @ x)
    now.n = tanh(p.W_n @ x + now.r * (p.U_n @ prev.h + p.b_n))
    now.h = now.z * prev.h + now.n * (1 - now.z)


@cell(state="s", parameters={"W": "hidden, inputs", "A": "hidden, hidden"})
def elman(now, prev, x, p):
    """The plain network without a bias, its matrix transposed."""
    now.s = tanh(p.A.T @ prev.s + p.W @ x)


@pytest.mark.parametrize(
    ("one", "operator"),
    [(renamed_lstm, "LSTM"), (packed, "LSTM"), (apart, "GRU"), (elman, "RNN")],
    ids=lambda value: str(getattr(value, "name", value)),
)
def test_a_cell_written_in_another_way_is_the_operator(
    one: Cell, operator: str, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    assert operators(one) == {operator}
    export(one, "onnx", tmp_path / "m.onnx", inputs=3, hidden=5)
    right, words = self_test(tmp_path / "m.onnx", "onnx")
    assert right, words
