"""The wrong formulas that circulate in courses and repositories are each named, and where."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from by_hand import lstm, rnn, rnn_twice

from tinygrad_lstm import cells, diagnose


@pytest.mark.parametrize(
    ("wrong", "kind", "where", "term"),
    [
        ("", "", "", ""),
        # a course's formula for the candidate: tanh is applied to C̃ again
        ("tanh(C̃) in the slope", "slope", "b_C", "C̃̄_t ⊙ (1 - C̃_t²)"),
        # one bias copied into three gates
        ("one bias for three", "exchange", "", ""),
        # `df = sigmoid(f) * df`
        ("σ(f) for the slope", "slope", "b_f", "f̄_t ⊙ f_t ⊙ (1 - f_t)"),
        # `derivative=True` of a function of z, given the gates' values
        ("σ' of what is σ already", "slope", "", ""),
        ("tanh(tanh(C))", "slope", "C", "h̄_t ⊙ o_t ⊙ (1 - tanh²(C_t))"),
        # "where does + top_diff_s come from?"
        ("constant error carousel cut", "carried", "C", "C̄_{t+1} ⊙ f_{t+1}"),
        # only the later step's error, and not the step's own
        ("own error left out", "missing term", "", ""),
        ("b_i from f", "exchange", "b_i", ""),
        ("f before C is complete", "value", "f", "C̄_t ⊙ C_{t-1}"),
    ],
)
def test_an_lstm_from_elsewhere(wrong: str, kind: str, where: str, term: str) -> None:
    found = diagnose(cells.lstm, partial(lstm, wrong=wrong))
    assert found.right == (not wrong)
    assert found.kind == kind
    if where:
        assert found.where == where
    if term:
        assert found.term == term
    if wrong:
        assert found.confidence >= 0.5
        assert len({found.text(tag) for tag in ("en", "ko", "zh")}) == 3


@pytest.mark.parametrize(
    ("backward", "kind", "where"),
    [
        (rnn, "", ""),
        (partial(rnn, wrong="divided by the slope"), "slope", "b"),
        (partial(rnn, wrong="tanh once more"), "slope", "b"),
        (partial(rnn, wrong="h of the step"), "step", "W"),
        (partial(rnn, wrong="bias averaged"), "sum", "b"),
        (partial(rnn, wrong="added to what was carried"), "carried", ""),
        (partial(rnn, wrong="W not transposed"), "transpose", "h"),
        # the total derivative of h_t in the sum over the steps counts every path again
        (rnn_twice, "double term", ""),
    ],
)
def test_a_plain_network_from_elsewhere(backward: Any, kind: str, where: str) -> None:
    found = diagnose(cells.rnn, backward)
    if backward is not rnn:
        assert not found.right
        assert found.kind != "unexplained"
    if kind:
        assert found.kind == kind
    if where:
        assert found.where == where
    if kind == "slope":
        assert found.term == "h̄_t ⊙ (1 - h_t²)"
