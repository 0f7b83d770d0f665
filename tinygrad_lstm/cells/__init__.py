"""The cells: equations and nothing else, one family a file.

`cells.lstm` is a cell, `cells.all()` maps every name to its cell. A cell that is written in one of
the families' files is found here by itself.
"""

from tinygrad_lstm.cells import (
    clocked,
    depth,
    evolved,
    gated,
    gru_forms,
    odyssey,
    original,
    peepholes,
    plain,
)
from tinygrad_lstm.step import Cell

_FAMILIES = (plain, gated, original, peepholes, gru_forms, odyssey, evolved, depth, clocked)
_CELLS = {
    name: value
    for family in _FAMILIES
    for name, value in vars(family).items()
    if isinstance(value, Cell)
}


def all() -> dict[str, Cell]:
    """Every built-in cell by name, simple ones first."""
    return dict(_CELLS)


def __getattr__(name: str) -> Cell:
    if name in _CELLS:
        return _CELLS[name]
    raise AttributeError(f"there is no cell {name!r}; built in are {', '.join(_CELLS)}.")


def __dir__() -> list[str]:
    return ["all", *_CELLS]
