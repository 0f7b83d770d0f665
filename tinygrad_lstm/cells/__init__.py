"""The cells: equations and nothing else, one family a file.

`cells.lstm` is a cell, `cells.all()` maps every name to its cell.
"""

from tinygrad_lstm.cells.clocked import clockwork
from tinygrad_lstm.cells.depth import depth_gated
from tinygrad_lstm.cells.evolved import mut1, mut2, mut3
from tinygrad_lstm.cells.gated import gru, lstm, lstm_coupled, lstm_peephole
from tinygrad_lstm.cells.gru_forms import gru_cho2014, gru_reset_after
from tinygrad_lstm.cells.odyssey import (
    cifg,
    fgr,
    nfg,
    niaf,
    nig,
    noaf,
    nog,
    np,
    odyssey_vanilla,
)
from tinygrad_lstm.cells.original import lstm_1997
from tinygrad_lstm.cells.peepholes import lstm_peephole_gers, lstm_peephole_output
from tinygrad_lstm.cells.plain import rnn
from tinygrad_lstm.recurrent import Cell

_CELLS = (
    rnn, lstm, lstm_peephole, lstm_coupled, gru,
    lstm_1997, lstm_peephole_gers, lstm_peephole_output, gru_cho2014, gru_reset_after,
    odyssey_vanilla, nig, nfg, nog, niaf, noaf, cifg, np, fgr,
    mut1, mut2, mut3, depth_gated, clockwork,
)  # fmt: skip


def all() -> dict[str, Cell]:
    """Every built-in cell by name, simple ones first."""
    return {cell.name: cell for cell in _CELLS}


__all__ = [
    "all", "cifg", "clockwork", "depth_gated", "fgr", "gru", "gru_cho2014", "gru_reset_after",
    "lstm", "lstm_1997", "lstm_coupled", "lstm_peephole", "lstm_peephole_gers",
    "lstm_peephole_output", "mut1", "mut2", "mut3", "nfg", "niaf", "nig", "noaf", "nog", "np",
    "odyssey_vanilla", "rnn",
]  # fmt: skip
