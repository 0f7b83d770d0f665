"""Cells and networks by name, and the reader's own from files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinygrad_lstm import cells, systems
from tinygrad_lstm.errors import CellError, UnknownNameError
from tinygrad_lstm.networks import Part, System
from tinygrad_lstm.python_files import run as run
from tinygrad_lstm.step import Cell


def find(spec: str) -> Cell:
    """The cell that `NAME` (built in) or `path/to/file.py:NAME` (the reader's own) stands for.

    Naming a file runs it.
    """
    found = find_part(spec)
    if isinstance(found, System):
        inside = ", ".join(str(part) for part in found.parts.values())
        raise CellError(f"{spec} is a network, of {inside}; a cell is needed here.")
    return found


def find_part(spec: str) -> Part:
    """The cell or the network that `NAME` or `path/to/file.py:NAME` stands for."""
    path, name = parts(spec)
    if path is None:
        built_in = cells.all()
        if name in built_in:
            return built_in[name]
        if name not in systems.all():
            raise UnknownNameError(
                f"there is no cell {name!r}; built in are {', '.join(built_in)}.\n"
                f"  Systems are {', '.join(systems.all()) or 'none'}.\n"
                f"  For a cell of your own write path/to/file.py:NAME."
            )
        return systems.find(name)
    defined = run(path)
    if isinstance(network := defined.get(name), System):
        return network
    found = _cells_of(defined)
    if name not in found:
        wanted = f"no cell {name!r}" if name else "no cell named after the path"
        has = ", ".join(found) or "no cells (use the decorator @cell)"
        networks = ", ".join(n for n, value in defined.items() if isinstance(value, System))
        has += f", and the networks {networks}" if networks else ""
        raise UnknownNameError(f"{spec}: {wanted}; the file has {has}.\n  Write {path}:NAME.")
    return found[name]


def parts(spec: str) -> tuple[Path | None, str]:
    """The file and the name that `path/to/file.py:NAME` stands for; no file for a `NAME`."""
    path, colon, name = spec.rpartition(":")
    if not colon and spec.endswith(".py"):
        path, name = spec, ""
    return Path(path) if path else None, name


def load(path: Path) -> dict[str, Cell]:
    """Run a Python file and return the cells that it defines, by name."""
    return _cells_of(run(path))


def _cells_of(found: Mapping[str, Any]) -> dict[str, Cell]:
    return {name: value for name, value in found.items() if isinstance(value, Cell) and value.state}
