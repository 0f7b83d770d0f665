"""Python files of the reader's: the one place where a file's code is executed."""

from __future__ import annotations

import importlib.util
import traceback
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any

from tinygrad_lstm.errors import CellError


def run(path: Path, what: str = "cell file") -> dict[str, Any]:
    """Run a Python file and return all that it defines, by name; `what` it is, for an error."""
    if not path.is_file():
        problem = "is not a file" if path.exists() else "does not exist"
        raise CellError(f"{what} {path} {problem}.")
    if path.suffix != ".py":
        raise CellError(f"{what} {path} is not a Python file (its name must end in .py).")
    whole = str(path.resolve())
    loader = _Fresh(f"cells_of_{path.stem}", whole)
    spec = importlib.util.spec_from_file_location(loader.name, whole, loader=loader)
    assert spec is not None  # a loader was given
    module = importlib.util.module_from_spec(spec)
    try:
        loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # exit() among them
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == whole]
        line = error.lineno if isinstance(error, SyntaxError) else None
        line = line or (frames[-1].lineno if frames else None)
        where = f", line {line}" if line else ""
        raise CellError(
            f"{what} {path}{where} does not run:\n  {type(error).__name__}: {error}"
        ) from error
    return vars(module)


class _Fresh(SourceFileLoader):
    """Compiles what the file holds now: a file may be saved twice in a second, and no
    __pycache__ is left beside it."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)
