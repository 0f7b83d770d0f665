"""The cells: equations and nothing else, one family a file.

`cells.lstm` is a cell, `cells.all()` maps every name to its cell.
"""

from tinygrad_lstm.cells.gated import gru, lstm, lstm_coupled, lstm_peephole
from tinygrad_lstm.cells.plain import rnn
from tinygrad_lstm.recurrent import Cell

_CELLS = (rnn, lstm, lstm_peephole, lstm_coupled, gru)


def all() -> dict[str, Cell]:
    """Every built-in cell by name, simple ones first."""
    return {cell.name: cell for cell in _CELLS}


__all__ = ["all", "gru", "lstm", "lstm_coupled", "lstm_peephole", "rnn"]
