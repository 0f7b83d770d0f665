"""The two-sequence problem with noise, experiment 3a of Hochreiter and Schmidhuber (1997)."""

from typing import Any

from benchmarks.experiments.solving import Solving

TABLE = Solving(
    "two-sequence", ("nfg", "lstm b_f=4", "lstm b_f=1", "gru", "rnn", "lstm_1997"),
    {"lag": 100, "signal": 3}, steps=1500, hidden=8,
)  # fmt: skip
parts = TABLE.parts


def pictures(found: dict[str, Any]) -> dict[str, str]:
    """The curves."""
    title = "Two-sequence: share of wrong sequences while learning, first seed"
    return {"two-sequence.svg": TABLE.picture(found, title, "share wrong")}


def page(found: dict[str, Any]) -> str:
    """Who solves it."""
    return f"""
The first three of about 105 inputs are all +1 or all -1, the rest is noise of variance 0.2; which
was it? {TABLE.setting()}

{TABLE.table(found)}

The paper reports 27,380 sequences until none of 256 is off by more than 0.2 and 39,850 until the
mean error is below 0.01 as well (T = 100, N = 3, its table 4; read in the paper), with one sequence
an update of plain gradient descent. It also notes that guessing weights at random solves the
problem without noise faster than any training.

![Learning curves of the first seed of each cell.](two-sequence.svg)
"""
