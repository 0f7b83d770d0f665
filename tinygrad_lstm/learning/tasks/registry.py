"""How tasks are found by name: `@task(NAME)`, `find`, `all`."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType

from tinygrad_lstm.errors import DataError, unknown
from tinygrad_lstm.learning.task import Task

Option = int | float | str
_KINDS: dict[str, Kind] = {}


@dataclass(frozen=True)
class Kind:
    """A task as it can be made: `name`, a `summary`, and the `options` with their defaults.

    `about` tells the definition; `meanings` what each option means; `needs` is a package that holds
    its data, "" for what is drawn.
    """

    name: str
    make: Callable[..., Task]
    meanings: Mapping[str, str]
    needs: str = ""

    @property
    def summary(self) -> str:
        """What is to be learnt, in a line."""
        return self.about.partition("\n")[0].rstrip(".")

    @property
    def about(self) -> str:
        """The definition."""
        return inspect.getdoc(self.make) or ""

    @property
    def options(self) -> dict[str, Option]:
        """Every option with its default."""
        return {n: p.default for n, p in inspect.signature(self.make).parameters.items()}

    def __call__(self, **options: Option) -> Task:
        """The task with these options."""
        full = dict(self.options)
        for name, value in options.items():
            if name not in full:
                have = "its options are" if full else "it has"
                raise unknown(f"the task {self.name} has no option {name!r}", have, full)
            full[name] = self._fitting(name, value, full[name])
        made = self.make(**full)
        return replace(made, name=self.name, options=full, about=self.about)

    def _fitting(self, name: str, value: Option, default: Option) -> Option:
        kind = type(default)
        if isinstance(value, str) and kind is not str:
            with contextlib.suppress(ValueError):
                value = kind(value)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if isinstance(value, Path) and kind is str:
            value = str(value)
        if not isinstance(value, kind) or isinstance(value, bool):
            words = {int: "a whole number", float: "a number", str: "text"}[kind]
            raise DataError(f"{self.name}: {name} is {words}, got {value!r}.")
        return value


def task(
    name: str, needs: str = "", **meanings: str
) -> Callable[[Callable[..., Task]], Callable[..., Task]]:
    """Mark a function as the task NAME; meanings: what each of its options means."""

    def mark(make: Callable[..., Task]) -> Callable[..., Task]:
        if name in _KINDS and _KINDS[name].make.__module__ != make.__module__:
            raise DataError(f"there are two tasks {name!r}.")
        _KINDS[name] = Kind(name, make, MappingProxyType(meanings), needs)
        return make

    return mark


def all() -> Mapping[str, Kind]:
    """Every task by its name, in the order of the names."""
    _load()
    return {name: _KINDS[name] for name in sorted(_KINDS)}


def find(name: str, **options: Option) -> Task:
    """The task of a name, with options in place of their defaults.

        tasks.find("temporal-order", lag=20)

    UnknownNameError for a name or option that is not there, DataError for an option that does not
    fit, or data that are not installed.
    """
    known = all()
    if name not in known:
        close = difflib.get_close_matches(str(name).replace("_", "-"), known, 1)
        meant = f"did you mean {close[0]}? There are" if close else "there are"
        raise unknown(f"there is no task {name!r}", meant, known)
    return known[name](**options)


def at_least(what: str, **bounds: tuple[Option, Option]) -> None:
    """DataError for an option below its least value: name=(value, least)."""
    for name, (value, least) in bounds.items():
        if not value >= least:  # type: ignore[operator]
            raise DataError(f"{what}: {name} must be at least {least}, got {value}.")


class Lazily(Mapping[str, float]):
    """Numbers that are computed when they are first asked for."""

    def __init__(self, compute: Callable[[], Mapping[str, float]]) -> None:
        self._compute = cache(compute)

    def __getitem__(self, name: str) -> float:
        return float(self._compute()[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._compute())

    def __len__(self) -> int:
        return len(self._compute())


@cache
def _load() -> None:
    here = __name__.rpartition(".")[0]
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f"{here}.{module.name}")
