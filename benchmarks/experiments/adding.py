"""The adding problem, experiment 4 of Hochreiter and Schmidhuber (1997)."""

from typing import Any

from benchmarks.experiments.solving import Solving

TABLE = Solving(
    "adding", ("nfg", "lstm b_f=4", "lstm b_f=1", "gru", "rnn", "lstm_1997"), {"lag": 50},
    steps=4000, rate=0.01, every=100, seeds=3,
)  # fmt: skip
parts = TABLE.parts


def pictures(found: dict[str, Any]) -> dict[str, str]:
    """The curves."""
    title = "Adding: share of wrong sums while learning, first seed"
    return {"adding.svg": TABLE.picture(found, title, "share wrong")}


def page(found: dict[str, Any]) -> str:
    """Who solves it."""
    return f"""
Two of about 105 numbers are marked; at the end half of a half of their sum is asked for, 0.5 +
(X₁ + X₂)/4, right within 0.04. {TABLE.setting()} The read-out is linear.

{TABLE.table(found)}

The paper reports 74,000 sequences until its criterion, mean of 10 trials, at T = 100 (its table 7;
read in the paper); there one sequence is an update of plain gradient descent, and the last 2,000
must be right, here the held-out ones. Its text has a logistic output unit.

![Learning curves of the first seed of each cell.](adding.svg)
"""
