"""The stages in which the page goes through a cell: which equations, what to show of them."""

from __future__ import annotations

from dataclasses import dataclass

from lesson.formulas import forward
from tinygrad_lstm.step import Cell
from viz.anatomy import anatomy


@dataclass(frozen=True)
class Stage:
    """Some equations of a cell, shown together.

    key: names the stage. kind: "gate" where a sigmoid's value is used as a share, "state" where a
    state is written, "value" elsewhere. focus, back: what the figures forward and backward show.
    """

    key: str
    names: tuple[str, ...]
    kind: str
    focus: tuple[str, ...]
    back: tuple[str, ...]


_LSTM = {
    "f": Stage("f", ("f",), "gate", ("f",), ("gate:f", "belt:C")),
    "i": Stage(
        "i", ("i", "C_tilde"), "gate", ("i", "C_tilde"), ("gate:i", "gate:C_tilde", "belt:C")
    ),
    "C": Stage("C", ("C",), "state", ("C",), ("belt:C", "h")),
    "o": Stage("o", ("o", "h"), "gate", ("o", "h"), ("o", "h")),
}


def stages(cell: Cell) -> tuple[Stage, ...]:
    """The stages of a cell: one an equation, but those of the LSTM as its texts take them."""
    from tinygrad_lstm.cells import lstm

    if cell is lstm:
        return tuple(_LSTM.values())
    return tuple(
        Stage(name.replace(".", "-"), (name,), kind(cell, name), (name,), _back(cell, name))
        for name in forward(cell).names
    )


def kind(cell: Cell, name: str) -> str:
    """Whether an equation is a gate, writes a state, or is neither."""
    if name in cell.state:
        return "state"
    a = anatomy(cell)
    part = a.parts.get(a.alias.get(name, ""))
    return "gate" if part is not None and part.sign.latex == r"\sigma" else "value"


def _back(cell: Cell, name: str) -> tuple[str, ...]:
    return (f"belt:{name}", name) if name in anatomy(cell).belts else (name,)
