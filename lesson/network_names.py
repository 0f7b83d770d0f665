"""Networks as the command line names them: `lstm,gru`, `bi:lstm`, `2:lstm`, a NAME in a file."""

from __future__ import annotations

import re

from tinygrad_lstm import bidirectional, stack
from tinygrad_lstm.cell_files import find_part, parts
from tinygrad_lstm.errors import DataError
from tinygrad_lstm.networks import System
from tinygrad_lstm.step import Cell

BOTH = "bi:"  # before what is read in both directions
HELP = (
    "NAME or path/to/file.py:NAME; of a network its layers from the lowest, lstm,gru, where "
    f"{BOTH}lstm reads in both directions and 2:lstm is two layers, or a network's NAME in a file"
)


def find_network(spec: str) -> Cell | System:
    """The cell or network that a specification names: see `HELP`."""
    path, name = parts(spec)
    several = [spec] if path and path.is_file() and "," not in name else spec.split(",")
    layers = [layer for word in several for layer in _layers(word.strip())]
    return layers[0] if len(layers) == 1 else stack(layers)


def _layers(spec: str) -> list[Cell | System]:
    """One layer, or several alike."""
    count = re.match(r"(\d+):", spec)
    if not count:
        return [_layer(spec)]
    if not 1 <= int(count[1]) <= 99:
        raise DataError(f"{spec}: a network has 1 to 99 layers alike.")
    return [_layer(spec[count.end() :])] * int(count[1])


def _layer(spec: str) -> Cell | System:
    if spec.startswith(BOTH):
        return bidirectional(_layer(spec.removeprefix(BOTH)))
    return find_part(spec)
