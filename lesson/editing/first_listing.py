"""The file that editing begins with where none was named: a built-in cell's listing, whole."""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import tinygrad_lstm
from tinygrad_lstm.errors import CellError
from tinygrad_lstm.step import Cell

ROOM = 100  # columns of a line


def begin(cell: Cell, folder: Path) -> tuple[Path, bool]:
    """The file `NAME.py` in a folder, written if there was none, and whether it was."""
    path = folder / f"{cell.name}.py"
    text = listing(cell)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return path, False
    except OSError as error:
        raise CellError(f"cannot write {path}: {error.strerror}.") from error
    return path, True


def listing(cell: Cell) -> str:
    """A file that holds a built-in cell, with what it imports and what it is made of."""
    module = sys.modules[cell.step.__module__]
    own = ast.parse(inspect.getsource(module)).body
    defined = {name: node for node in own for name in _names(node)}
    wanted, imports = [cell.name], dict[str, set[str]]()
    needed = dict[ast.stmt, None]()
    while wanted:
        name = wanted.pop()
        node = defined.get(name)
        if node is None or node in needed:
            if node is None:
                _import(name, module, imports)
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            _import(name, module, imports)
            continue
        needed[node] = None
        wanted += sorted(set(_read(node)) - set(dir(builtins)))
    source = inspect.getsource(module).splitlines()
    parts = ["\n".join(_source(node, source)) for node in own if node in needed]
    lines = [_import_line(place, names) for place, names in sorted(imports.items())]
    return "\n".join(lines) + "\n\n\n" + "\n\n\n".join(parts) + "\n"


def _names(node: ast.stmt) -> Iterator[str]:
    """What a statement of a module defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name for alias in node.names)
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            yield from (n.id for n in ast.walk(target) if isinstance(n, ast.Name))


def _read(node: ast.stmt) -> Iterator[str]:
    """Names that a statement reads and does not bind itself."""
    bound = {a.arg for a in ast.walk(node) if isinstance(a, ast.arg)}
    names = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
    bound |= {n.id for n in names if isinstance(n.ctx, ast.Store)}
    return (n.id for n in names if n.id not in bound)


def _import(name: str, module: ModuleType, imports: dict[str, set[str]]) -> None:
    """Where a file of the reader's has a name from: the package itself, if it has it."""
    value: Any = vars(module)[name]
    if getattr(tinygrad_lstm, name, None) is value:
        imports.setdefault(tinygrad_lstm.__name__, set()).add(name)
    else:
        imports.setdefault(str(value.__module__), set()).add(name)


def _import_line(place: str, names: set[str]) -> str:
    line = f"from {place} import {', '.join(sorted(names))}"
    if len(line) <= ROOM:
        return line
    inside = "".join(f"    {name},\n" for name in sorted(names))
    return f"from {place} import (\n{inside})"


def _source(node: ast.stmt, source: list[str]) -> list[str]:
    """The lines of a statement, with its decorators."""
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(d.lineno for d in decorators)])
    return source[first - 1 : node.end_lineno]
