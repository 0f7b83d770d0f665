"""Temporal order, experiment 6a of Hochreiter and Schmidhuber (1997)."""

from typing import Any

from benchmarks.experiments.solving import Solving

TABLE = Solving(
    "temporal-order", ("nfg", "lstm b_f=4", "lstm b_f=1", "gru", "rnn", "lstm_1997"),
    {"lag": 40}, steps=2500, rate=0.01,
)  # fmt: skip
parts = TABLE.parts


def pictures(found: dict[str, Any]) -> dict[str, str]:
    """The curves."""
    title = "Temporal order: share of wrong sequences while learning, first seed"
    return {"temporal-order.svg": TABLE.picture(found, title, "share wrong")}


def page(found: dict[str, Any]) -> str:
    """Who solves it."""
    return f"""
Two of about 105 symbols are X or Y, at least 40 steps before the end; which of four orders was it?
{TABLE.setting()} Solved is when the held-out sequences are all right.

{TABLE.table(found)}

The paper's LSTM (two blocks of two cells, 156 weights, one sequence an update, plain gradient
descent) was right after a mean of 31,390 sequences in all of 20 trials (its table 9; read in the
paper). The figures stand beside each other and are not the same experiment: batches, optimiser and
the untruncated gradient are ours. `lstm_1997` is the paper's cell with our training.

How far a gradient reaches before anything is learnt differs by many powers of ten between these
cells ([measured](gradient-reach.md)): over 40 steps it is kept without a forget gate (`nfg`) or
with one that starts near 1 (`b_f = 4`), and is nearly gone from `b_f = 1`, of the GRU and the
plain network.

![Learning curves of the first seed of each cell.](temporal-order.svg)
"""
