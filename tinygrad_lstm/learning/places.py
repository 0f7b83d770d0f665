"""Where networks are found again: `lstm,gru`, `bi:lstm`, `my_cells.py:keeper`."""

from __future__ import annotations

import sys

from tinygrad_lstm import cells, systems
from tinygrad_lstm.networks import Bidirectional, Stack, System, bidirectional, stack
from tinygrad_lstm.step import Cell

BOTH = "bi:"


def place_of(network: Cell | System) -> str:
    """How the command line names a network; "" for one that it cannot name."""
    if _named(network.name) is network:
        return network.name
    if isinstance(network, Cell):
        return _of_cell(network)
    parts = [place_of(part) for part in network.parts.values()]
    if all(parts) and type(network) is Stack and not any("," in part for part in parts):
        return ",".join(parts)
    if type(network) is Bidirectional and len(set(parts)) == 1 and "," not in parts[0]:
        return BOTH + parts[0] if parts[0] else ""
    return ""


def built_in_at(place: str) -> Cell | System | None:
    """The network of built-in cells that a place names; None where a file would have to be run."""
    layers = [_layer(word) for word in place.split(",")]
    found = [layer for layer in layers if layer is not None]
    if len(found) < len(layers):
        return None
    return found[0] if len(found) == 1 else stack(found)


def _of_cell(cell: Cell) -> str:
    module = cell.step.__module__
    file = getattr(sys.modules.get(module), "__file__", None) or cell.step.__code__.co_filename
    return f"{file}:{cell.name}" if file.endswith(".py") else ""


def _layer(word: str) -> Cell | System | None:
    if word.startswith(BOTH):
        inner = _layer(word.removeprefix(BOTH))
        return None if inner is None else bidirectional(inner)
    return _named(word)


def _named(name: str) -> Cell | System | None:
    """What is built in under a name."""
    return cells.all().get(name) or systems.all().get(name)
