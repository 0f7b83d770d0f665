"""Other things than what a function takes: one error that says what it takes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import equations
import viz
from tinygrad_lstm import cells, errors, export, learning, otherwise, stack, system

LSTM: Any = cells.lstm
WIRES = {"a.x": "x"}
MODEL = learning.CharacterModel(LSTM, "abc", hidden=2)
ADDING = learning.tasks.find("adding", lag=5)

CASES: list[tuple[Callable[[], Any], str]] = [
    (lambda: stack([]), "a stack needs at least one layer: stack([cells.lstm, cells.lstm])."),
    (
        lambda: LSTM.init(inputs=2, hidden=2, seed=-1),
        "cell 'lstm': seed must be at least 0, got -1.",
    ),
    (lambda: LSTM.init(inputs=2, hidden=2, seed="a"), "cell 'lstm': a seed is a whole number"),
    (lambda: LSTM.init(inputs=2, hidden=2, dtype="f3"), "cell 'lstm': a seed is a whole number"),
    (lambda: export(LSTM, to="c", dtype="f3"), "is exported is float32 or float64, got f3."),
    (lambda: export(LSTM, to="c", seed=-1), "cell 'lstm': seed must be at least 0, got -1."),
    (lambda: otherwise(3, i=1), "otherwise needs a cell, got 3"),  # type: ignore[arg-type]
    (lambda: system([LSTM], WIRES), "parts of a system are a mapping of names"),  # type: ignore[arg-type]
    (lambda: system(a=LSTM, wires=["a.x"]), "wires of a system are a mapping"),  # type: ignore[arg-type]
    (lambda: system(a=LSTM, wires={3: "x"}), "leads to no part: there is no '3'"),  # type: ignore[dict-item]
    (lambda: system(a=LSTM, wires=WIRES, reverse=3), "reverse of a system is given by names"),  # type: ignore[arg-type]
    (lambda: system(a=LSTM, wires=WIRES, tied=3), "tied of a system is given by names, got 3."),  # type: ignore[arg-type]
    (lambda: system(a=LSTM, wires=WIRES, output=3), "output of a system is given by names"),  # type: ignore[arg-type]
    (lambda: learning.CharacterModel("lstm", "ab"), "is of a cell, got 'lstm'; write cells.lstm"),  # type: ignore[arg-type]
    (lambda: learning.evaluate(MODEL, "abc"), "write model.vocabulary.encode(text)."),  # type: ignore[arg-type]
    (lambda: learning.Training(ADDING, LSTM, optimiser="adam"), "Adam(rate=0.003), got 'adam'."),
    (lambda: viz.unrolled(LSTM, steps=2.5), "shows 1 to 50 steps, not 2.5."),  # type: ignore[arg-type]
    (lambda: viz.unrolled(LSTM, steps="3"), "shows 1 to 50 steps, not 3."),  # type: ignore[arg-type]
    (lambda: equations.unrolled(LSTM, steps=2.5), "steps must be a whole number"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("wrong", "said"), CASES)
def test_one_error_says_what_is_taken(wrong: Callable[[], Any], said: str) -> None:
    with pytest.raises((errors.TinygradError, viz.FigureError)) as found:
        wrong()
    assert said in str(found.value)


def test_seeds_and_dtypes_that_numpy_takes_are_taken() -> None:
    for seed in (0, np.int64(3), [1, 2]):
        assert LSTM.init(inputs=2, hidden=2, seed=seed, dtype="f4").W_f.dtype == np.float32
