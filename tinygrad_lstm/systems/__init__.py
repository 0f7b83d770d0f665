"""Systems of the literature: cells and networks of several parts, one family a file.

`systems.rnnsearch` is a network, `systems.all()` maps every name to its cell or network. They are
found here by themselves, and a module is imported when one of its names is first asked for.
"""

import importlib
import pkgutil
from functools import cache
from types import ModuleType

from tinygrad_lstm.errors import unknown
from tinygrad_lstm.networks import Part, System
from tinygrad_lstm.step import Cell


@cache
def all() -> dict[str, Part]:
    """Every system, and every cell that was written for one, by name."""
    found: dict[str, Part] = {}
    for each in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{each.name}")
        found |= {n: value for n, value in vars(module).items() if _is_own(module, n, value)}
    globals().update(found)  # a file may be called as what it defines
    return found


def find(name: str) -> Part:
    """A system, or a cell written for one, by its name."""
    known = all()
    if name not in known:
        raise unknown(f"there is no system {name!r}", "there are", known)
    return known[name]


def cells() -> dict[str, Cell]:
    """Every cell and layer that systems are made of, by its own name, as files name them."""
    found: dict[str, Cell] = {}
    todo: list[Part] = list(all().values())
    while todo:
        part = todo.pop()
        if isinstance(part, Cell):
            found[part.name] = part
        else:
            todo += part.parts.values()
    return found


def _is_own(module: ModuleType, name: str, value: object) -> bool:
    """Whether a module defines it under this name, and did not import it."""
    if isinstance(value, Cell):
        return value.step.__module__ == module.__name__ and bool(value.state)
    return isinstance(value, System) and not name.startswith("_")


def __getattr__(name: str) -> Part:
    if name.startswith("__"):
        raise AttributeError(name)
    return find(name)


def __dir__() -> list[str]:
    return ["all", "cells", "find", *all()]
