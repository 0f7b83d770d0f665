"""`tinygrad-lstm draw`: a cell, a network or a computation graph as a picture."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any, Literal, get_args, get_origin

import viz
from lesson.network_names import HELP, find_network
from tinygrad_lstm.networks import System
from tinygrad_lstm.step import Cell
from viz.figure import ENDINGS
from viz.kinds import Kind, Option, all_kinds


def arguments(parser: argparse.ArgumentParser) -> None:
    """The cell or network, the kind of figure and the file; the options of every kind."""
    of_networks = ", ".join(name for name, kind in _kinds().items() if System in kind.subjects)
    parser.add_argument(
        "cell", metavar="CELL", nargs="?", help=f"{HELP} (with --kind {of_networks})"
    )
    parser.add_argument(
        "--kind", choices=list(_kinds()), help="what to draw (cell; unrolled of a network)"
    )
    for name, option in sorted(_options().items()):
        users = ", ".join(_users(name))
        shown = f" ({option.default})" if type(option.default) in (str, int) else ""
        help = f"with --kind {users}: {option.help}{shown}"
        parser.add_argument(_flag(name), help=help, default=None, **_form(option))
    parser.add_argument(
        "-o", "--output", metavar="FILE", required=True, help=f"ending in {', '.join(ENDINGS)}"
    )


def _form(option: Option) -> dict[str, Any]:
    """How an option is read: a type of its own by the type of the parameter."""
    if option.type is bool:
        return {"action": argparse.BooleanOptionalAction}
    if get_origin(option.type) is Literal:
        return {"choices": get_args(option.type)}
    if get_origin(option.type) is Iterable:
        return {"metavar": "NAMES", "type": _names}
    if option.type is Cell:
        return {"metavar": "OTHER"}
    return {"metavar": option.type.__name__.upper(), "type": option.type}


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _kinds() -> dict[str, Kind]:
    """The kinds of figures of cells and networks; those of data are drawn in Python."""
    return {name: kind for name, kind in all_kinds().items() if not kind.of_data}


def _options() -> dict[str, Option]:
    """The options of all kinds by name."""
    return {name: own for kind in _kinds().values() for name, own in kind.options.items()}


def _users(option: str) -> list[str]:
    """The kinds that have an option."""
    return [name for name, kind in _kinds().items() if option in kind.options]


def run(options: argparse.Namespace) -> int:
    """Draw the figure and say where it is."""
    part = find_network(options.cell) if options.cell else None
    kind = _kinds()[options.kind or ("unrolled" if isinstance(part, System) else "cell")]
    given = {}
    for name in _options():
        value = getattr(options, name)
        if value is not None and name not in kind.options:
            raise viz.FigureError(f"{_flag(name)} goes with --kind {' or '.join(_users(name))}.")
        if value is not None:
            given[name] = value
    for name, option in kind.options.items():
        if option.required and name not in given:
            raise viz.FigureError(
                f"a figure of kind {kind.name} needs {option.help}: add {_flag(name)} OTHER."
            )
        if option.type is Cell:
            given[name] = find_network(given[name])
            _check_subject(kind, given[name])
    _check_subject(kind, part)
    print(kind.figure(part, **given).save(options.output))
    return 0


def _check_subject(kind: Kind, part: Cell | System | None) -> None:
    """Raise FigureError for a network where a cell is drawn, or for nothing at all."""
    if part is None and kind.subjects:
        raise viz.FigureError(
            f"name what --kind {kind.name} is to draw: a cell such as lstm, or my_cells.py:NAME."
        )
    if isinstance(part, System) and System not in kind.subjects:
        others = [name for name, other in _kinds().items() if System in other.subjects]
        raise viz.FigureError(
            f"--kind {kind.name} draws one cell, and {part} has several parts.\n"
            f"  Draw it with --kind {', '.join(others)}, or name one of its cells."
        )
