"""Every kind of figure of a cell or network, with every option of its own: read off the kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Literal, get_args, get_origin

from tinygrad_lstm import cells
from tinygrad_lstm.networks import System
from tinygrad_lstm.step import Cell
from viz import Figure
from viz.kinds import Kind, Option, kinds


def values(option: Option, part: Any) -> list[Any]:
    """Values that are tried of an option."""
    if option.type is bool:
        return [True]
    if option.type is int:
        return [1, 2]
    if option.type is Cell:
        return [cells.lstm]
    if get_origin(option.type) is Literal:
        return list(get_args(option.type))
    assert get_origin(option.type) is Iterable
    return [[part.output]]


def situations(kind: Kind, part: Any) -> Iterator[dict[str, Any]]:
    """Nothing but what is needed, and each option alone beside it."""
    needed = {n: values(o, part)[0] for n, o in kind.options.items() if o.required}
    yield needed
    for name, option in kind.options.items():
        if not option.required:
            yield from ({**needed, name: value} for value in values(option, part))


def figures_of(part: Any) -> dict[str, Callable[[], Figure]]:
    """Figures that are drawn when they are called, by their kind and options."""
    of = Cell if isinstance(part, Cell) else System
    return {
        " ".join([kind.name, *(f"{name}={value}" for name, value in options.items())]): partial(
            kind.figure, part, **options
        )
        for kind in kinds().values()
        if not kind.subjects or of in kind.subjects
        for options in situations(kind, part)
    }
