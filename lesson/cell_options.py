"""Options that several commands have: `--size NAME=N`, `--start NAME=VALUE`, and numbers."""

from __future__ import annotations

import argparse
import math
from typing import Any

from tinygrad_lstm import Cell
from tinygrad_lstm.errors import DataError, UnknownNameError
from tinygrad_lstm.networks import System, fillable


def add_size(parser: argparse.ArgumentParser, example: str) -> None:
    """Add the option; it may be given several times."""
    parser.add_argument(
        "--size",
        type=_size,
        action="append",
        metavar="NAME=N",
        default=[],
        help=f"another size of the cell, such as {example}",
    )


def read_sizes(options: argparse.Namespace, cell: Cell | System) -> dict[str, Any]:
    """The sizes that were asked for, by --size and by an option of their own such as --hidden."""
    own = {name: getattr(options, name, None) for name in ("inputs", "hidden")}
    sizes = {**{name: n for name, n in own.items() if n is not None}, **dict(options.size)}
    known = [*cell.sizes, *getattr(cell, "derived", ())]
    for name in sizes:
        if name not in known:
            raise UnknownNameError(
                f"{cell} has no size {name!r}; its sizes are {', '.join(known) or 'none'}."
            )
    return sizes


def _size(word: str) -> tuple[str, int]:
    name, equals, number = word.partition("=")
    if not (name.isidentifier() and equals and number.isdecimal()):
        raise argparse.ArgumentTypeError(f"write NAME=N, such as inputs=64, not {word!r}")
    return name, int(number)


def add_start(parser: argparse.ArgumentParser) -> None:
    """Add the option; it may be given several times, and several values with commas."""
    parser.add_argument(
        "--start",
        type=pairs,
        action="extend",
        metavar="NAME=VALUE",
        default=[],
        help="start value of a parameter: a number or an initialiser's name, such as b_f=2",
    )


def read_starts(options: argparse.Namespace, cell: Cell | System) -> dict[str, Any]:
    """What `cell.init` is to be given for the values that were asked for."""
    known = cell.parameters if isinstance(cell, Cell) else sorted(fillable(cell))
    for name, _ in options.start:
        if name not in known:
            raise UnknownNameError(
                f"--start {name}=…: {cell} has no parameter {name!r}; its parameters are "
                f"{', '.join(known) or 'none'}."
            )
    return dict(options.start)


def pairs(words: str) -> list[tuple[str, float | str]]:
    """The start values in `NAME=VALUE,NAME=VALUE`."""
    return [_pair(word) for word in words.split(",")]


def _pair(word: str) -> tuple[str, float | str]:
    name, _, value = map(str.strip, word.partition("="))
    try:
        number = float(value)
    except ValueError:
        number = None
    good = value.isidentifier() if number is None else math.isfinite(number)
    if not (name.isidentifier() and good):
        raise argparse.ArgumentTypeError(f"write NAME=VALUE, such as b_f=2, not {word!r}")
    return name, value if number is None else number


def check_least(options: argparse.Namespace, **least: int) -> None:
    """Raise a DataError for a number below the least that its option may be."""
    for name, smallest in least.items():
        value = getattr(options, name)
        if value is not None and not smallest <= value < math.inf:
            option = name.replace("_", "-")
            raise DataError(f"--{option} must be at least {smallest}, got {value}.")
