"""Continual embedded Reber: why there is a forget gate, after Gers, Schmidhuber and Cummins (2000)."""

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

"outer error" is the share of wrong answers where the outer symbol comes back, 0.5 without memory:
`nfg` is the LSTM without its forget gate, and what it has summed up it cannot get rid of.

The paper counts streams of 100,000 symbols without a mistake after training: none of 100 networks
without a forget gate, 18 with one, 62 with a falling rate besides (its table; read in a verbatim
extract). Here a share of wrong steps is measured after a short training, so the two tables tell the
same story in other units and no figure is repeated.

![Learning curves of the first seed of each cell.](continual-reber.svg)
"""
