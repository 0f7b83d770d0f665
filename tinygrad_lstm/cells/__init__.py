"""The cells: equations and nothing else, one family a file.

`cells.lstm` is a cell, `cells.all()` maps every name to its cell. A cell, a family's file and a
paper in `papers.toml` are found here by themselves.
"""

import importlib
import pkgutil
import tomllib
from functools import cache
from importlib import resources
from typing import Any

from tinygrad_lstm.step import Cell


@cache
def papers() -> dict[str, dict[str, Any]]:
    """The papers by the key that cells name them by; oldest first.

    Each has authors, year, title, where and, if it stands on the web, link: by DOI or arXiv.
    """
    text = resources.files(__name__).joinpath("papers.toml").read_text(encoding="utf-8")
    return dict(sorted(tomllib.loads(text).items(), key=lambda paper: paper[1]["year"]))


def _found() -> dict[str, Cell]:
    """The cells of all families; those with the oldest paper first."""
    modules = [f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)]
    families = [
        {name: value for name, value in vars(module).items() if isinstance(value, Cell)}
        for module in map(importlib.import_module, modules)
    ]
    known = list(papers())
    named = [{p for cell in family.values() for p in cell.papers} for family in families]
    oldest = [
        min(map(known.index, keys & set(known)), default=len(known)) for keys in named
    ]
    order = sorted(range(len(families)), key=oldest.__getitem__)
    return {name: cell for k in order for name, cell in families[k].items()}


_CELLS = _found()


def all() -> dict[str, Cell]:
    """Every built-in cell by name, those of the oldest papers first."""
    return dict(_CELLS)


def __getattr__(name: str) -> Cell:
    if name in _CELLS:
        return _CELLS[name]
    raise AttributeError(f"there is no cell {name!r}; built in are {', '.join(_CELLS)}.")


def __dir__() -> list[str]:
    return ["all", "papers", *_CELLS]
