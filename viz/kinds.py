"""Kinds of figures: what a function of `viz.figures` has to say to be a figure of its own.

A module in `viz/figures` is found by its existence. A function in it that is marked by `@figure` is
`viz.NAME` and `draw --kind NAME`; what the alternative texts of a module say in other languages
stands beside it, in `viz/figures/MODULE.toml`, a table `[TAG]` a language.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from tinygrad_lstm.networks import System
from tinygrad_lstm.step import Cell
from viz import figures
from viz.figure import Figure, FigureError

Draw = TypeVar("Draw", bound=Callable[..., Figure])


@dataclass(frozen=True)
class Option:
    """A parameter that the command line has as well: its type, what it is if left out, its help."""

    type: Any
    default: Any
    help: str

    @property
    def required(self) -> bool:
        """Whether nothing can be drawn without it."""
        return self.default is inspect.Parameter.empty


@dataclass(frozen=True)
class Kind:
    """A kind of figure.

    draw: makes the figure, of a cell, of a network or of what `of` makes from these. helps: a line
    of help for each parameter of both that is an option of the command line.
    """

    name: str
    draw: Callable[..., Figure]
    of: Callable[..., Any] | None
    helps: Mapping[str, str] = field(default_factory=dict)

    def figure(self, part: Cell | System | None, **options: Any) -> Figure:
        """The figure of a cell or network, with values for some of the options."""
        if self.of is not None:
            first = {n: options.pop(n) for n in _parameters(self.of) if n in options}
            return self.draw(self.of(part, **first), **options)
        return self.draw(*[part] if self.subjects else [], **options)

    @property
    def subjects(self) -> set[type]:
        """What it is drawn of: cells, networks, or nothing."""
        first = next(iter(_parameters(self.of or self.draw).values()), None)
        return {t for t in (Cell, System) if first and t in (first.type, *get_args(first.type))}

    @property
    def of_data(self) -> bool:
        """Whether it is drawn of numbers, which Python has and the command line has not."""
        known = _parameters(self.of or self.draw)
        return not self.subjects and any(own.required for own in known.values())

    @property
    def options(self) -> dict[str, Option]:
        """Its options on the command line."""
        known = _parameters(self.draw) | (_parameters(self.of) if self.of else {})
        return {
            name: Option(known[name].type, known[name].default, help)
            for name, help in self.helps.items()
        }


def _parameters(function: Callable[..., Any]) -> dict[str, Option]:
    hints = get_type_hints(function)
    found = inspect.signature(function).parameters
    return {name: Option(hints[name], own.default, "") for name, own in found.items()}


_KINDS: dict[str, Kind] = {}


def figure(of: Callable[..., Any] | None = None, **helps: str) -> Callable[[Draw], Draw]:
    """Mark a function as a kind of figure, called as the function is; see `Kind`."""

    def mark(draw: Draw) -> Draw:
        _KINDS[draw.__name__] = Kind(draw.__name__, draw, of, helps)
        return draw

    return mark


@lru_cache(maxsize=1)
def all_kinds() -> dict[str, Kind]:
    """All kinds of figures by name."""
    for module in pkgutil.iter_modules(figures.__path__, f"{figures.__name__}."):
        importlib.import_module(module.name)
    return {name: _KINDS[name] for name in sorted(_KINDS)}


@lru_cache(maxsize=16)
def sentences(tag: str) -> dict[str, str]:
    """What figures say in a language: from the English sentences to its own."""
    found: dict[str, str] = {}
    for folder in figures.__path__:
        for file in sorted(Path(folder).glob("*.toml")):
            found |= tomllib.loads(file.read_text(encoding="utf-8")).get(tag, {})
    return found


def check_drawable(part: Any, figure: str, networks: bool = False) -> None:
    """Raise FigureError unless it is a cell or, where a figure has these, a network."""
    if isinstance(part, System) and not networks:
        raise FigureError(
            f"viz.{figure} draws one cell, and {part} has several parts.\n"
            f"  Draw the whole with viz.unrolled, or one part: viz.{figure}(network.parts"
            f"[{next(iter(part.parts))!r}])."
        )
    if not hasattr(part, "state"):
        raise FigureError(
            f"viz.{figure} draws a cell, got {part!r:.60}; write cells.lstm, or cells.all()[name]."
        )
