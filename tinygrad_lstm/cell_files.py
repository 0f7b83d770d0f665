"""Cells by name, and the reader's own from files."""

from __future__ import annotations

from pathlib import Path

from tinygrad_lstm import cells
from tinygrad_lstm.errors import UnknownNameError
from tinygrad_lstm.python_files import run as run
from tinygrad_lstm.step import Cell


def find(spec: str) -> Cell:
    """The cell that `NAME` (built in) or `path/to/file.py:NAME` (the reader's own) stands for.

    Naming a file runs it.
    """
    path, name = parts(spec)
    if path is None:
        built_in = cells.all()
        if name not in built_in:
            raise UnknownNameError(
                f"there is no cell {name!r}; built in are {', '.join(built_in)}.\n"
                f"  For a cell of your own write path/to/file.py:NAME."
            )
        return built_in[name]
    found = load(path)
    if name not in found:
        wanted = f"no cell {name!r}" if name else "no cell named after the path"
        has = ", ".join(found) or "no cells (use the decorator @cell)"
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
    found = run(path).items()
    return {name: value for name, value in found if isinstance(value, Cell) and value.state}
