"""Cells by name, and the reader's own from files."""

from __future__ import annotations

import importlib.util
import traceback
from pathlib import Path

from tinygrad_lstm import cells
from tinygrad_lstm.errors import CellError, UnknownNameError
from tinygrad_lstm.recurrent import Cell


def find(spec: str) -> Cell:
    """The cell that `NAME` (built in) or `path/to/file.py:NAME` (the reader's own) stands for.

    Naming a file runs it: this is the one place where a file's code is executed.
    """
    path, colon, name = spec.rpartition(":")
    if not colon and spec.endswith(".py"):
        path, name = spec, ""
    if not path:
        built_in = cells.all()
        if name not in built_in:
            raise UnknownNameError(
                f"there is no cell {name!r}; built in are {', '.join(built_in)}.\n"
                f"  For a cell of your own write path/to/file.py:NAME."
            )
        return built_in[name]
    found = load(Path(path))
    if name not in found:
        wanted = f"no cell {name!r}" if name else "no cell named after the path"
        has = ", ".join(found) or "no cells (use the decorator @cell)"
        raise UnknownNameError(f"{spec}: {wanted}; the file has {has}.\n  Write {path}:NAME.")
    return found[name]


def load(path: Path) -> dict[str, Cell]:
    """Run a Python file and return the cells that it defines, by name."""
    if not path.is_file():
        what = "is not a file" if path.exists() else "does not exist"
        raise CellError(f"cell file {path} {what}.")
    whole = str(path.resolve())
    spec = importlib.util.spec_from_file_location(f"cells_of_{path.stem}", whole)
    if spec is None or spec.loader is None:
        raise CellError(f"cell file {path} is not a Python file (its name must end in .py).")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == whole]
        line = error.lineno if isinstance(error, SyntaxError) else None
        line = line or (frames[-1].lineno if frames else None)
        where = f", line {line}" if line else ""
        raise CellError(
            f"cell file {path}{where} does not run:\n  {type(error).__name__}: {error}"
        ) from error
    return {name: value for name, value in vars(module).items() if isinstance(value, Cell)}
