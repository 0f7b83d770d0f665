"""The embedded Reber grammar, experiment 1 of Hochreiter and Schmidhuber (1997)."""

from typing import Any

from benchmarks.experiments.solving import Solving

TABLE = Solving(
    "embedded-reber", ("lstm b_f=1", "lstm b_f=0", "nfg", "gru", "rnn", "lstm_1997"), steps=2500,
    batch=8,
)  # fmt: skip
parts = TABLE.parts


def pictures(found: dict[str, Any]) -> dict[str, str]:
    """The curves."""
    title = "Embedded Reber: share of strings with a mistake while learning, first seed"
    return {"reber.svg": TABLE.picture(found, title, "share wrong")}


def page(found: dict[str, Any]) -> str:
    """Who solves it."""
    return f"""
The next symbol of strings in which the second one, T or P, comes back before the last. A string is
right if at each step the legal symbols are the likeliest; solved is when all 512 strings are, those
to learn from and those held out. {TABLE.setting()}

{TABLE.table(found)}

"outer error" is the share of wrong answers where the outer symbol comes back: 0.5 is without
memory. The paper reports success in 97 to 100 % of trials after 8,440 to 39,740 strings, by rate
and blocks, and for an Elman network 0 % (its table 1; read in the paper). An attempt to repeat it
with the paper's own learning rule, outside this project's code, succeeded in 7 of 10 seeds at
best and took about five times as many strings; the figures here are of another optimiser and of
batches.

![Learning curves of the first seed of each cell.](reber.svg)
"""
