"""Every kind of figure of a cell or network, with every option of its own: read off the kinds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any, Literal, get_args, get_origin

from tinygrad_lstm import cells
from tinygrad_lstm.networks import System
from tinygrad_lstm.step import Cell
from viz import Figure
from viz.kinds import Kind, Option, all_kinds

SECONDS = 10.0  # a figure may take


def spent() -> float:
    """Seconds of computing, Graphviz's own among them; how busy the machine is does not matter."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def values(option: Option, part: Any) -> list[Any]:
    """Values that are tried of an option."""
    if option.type is bool:
        return [True]
    if option.type is int:
        return [2, 1]
    if option.type is Cell:
        return [cells.lstm]
    if get_origin(option.type) is Literal:
        return list(get_args(option.type))
    assert get_origin(option.type) is Iterable
    return [[part.output]]


def situations(kind: Kind, part: Any) -> Iterator[dict[str, Any]]:
    """A small figure with what is needed, and the values of each option beside it."""
    tried = {name: values(option, part) for name, option in kind.options.items()}
    small = {n: tried[n][0] for n, o in kind.options.items() if o.required or o.type is int}
    yield small
    for name, several in tried.items():
        yield from ({**small, name: v} for v in several if v not in (small.get(name), None))


def figures_of(part: Any, every: bool = True) -> dict[str, Callable[[], Figure]]:
    """Figures that are drawn when they are called, by their kind and options.

    every: whether with each value of every option; otherwise one of each kind.
    """
    of = Cell if isinstance(part, Cell) else System
    return {
        " ".join([kind.name, *(f"{name}={value}" for name, value in options.items())]): partial(
            kind.figure, part, **options
        )
        for kind in all_kinds().values()
        if not kind.of_data and (not kind.subjects or of in kind.subjects)
        for options in islice(situations(kind, part), None if every else 1)
    }
