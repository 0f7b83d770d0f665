"""Continual embedded Reber, with and without a forget gate (Gers et al. 2000)."""

from typing import Any

from benchmarks.experiments.solving import Solving

TABLE = Solving(
    "continual-embedded-reber", ("lstm b_f=1", "lstm b_f=0", "nfg", "gru", "rnn"), steps=1500,
    every=100, seeds=3, stop=False,
)  # fmt: skip
parts = TABLE.parts


def pictures(found: dict[str, Any]) -> dict[str, str]:
    """The curves."""
    title = "Continual Reber: share of steps with a mistake while learning, first seed"
    return {"continual-reber.svg": TABLE.picture(found, title, "share of steps wrong")}


def page(found: dict[str, Any]) -> str:
    """With and without a forget gate."""
    return f"""
Embedded Reber strings follow one another and nobody tells where one ends; states are carried on and
never reset. {TABLE.setting()}

{TABLE.table(found)}

"outer error" is the share of wrong answers where the outer symbol comes back, 0.5 without memory;
`nfg` is the LSTM without its forget gate, which cannot get rid of what it has summed up.
The inner strings are short, about eight symbols, and in these runs the plain network and the GRU
learn the stream as well: the table is about summing without forgetting, not about long gaps.

The paper (Gers, Schmidhuber and Cummins 2000) asks for ten streams of 100,000 symbols without a
mistake: none of 100 networks without a forget gate could, 18 with one, 62 with a falling rate
besides (its table, read in a verbatim extract). Here the share of wrong steps is measured after a
short training on chunks of 60 symbols: another criterion, whose figures are not comparable.

![Learning curves of the first seed of each cell.](continual-reber.svg)
"""
