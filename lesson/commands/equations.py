"""`tinygrad-lstm equations CELL`: print a cell's equations, their gradients and derivations."""

from __future__ import annotations

import argparse
from typing import Any

import equations
from lesson.network_names import HELP, find_network


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which cell, which of its readings, and in which format."""
    parser.add_argument("cell", metavar="CELL", help=HELP)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--backward", action="store_true", help="the gradients, as equations")
    which.add_argument("--derive", metavar="NAME", help="derive a gradient, such as that of W_f")
    which.add_argument("--unrolled", metavar="N", type=int, help="the equations for t = 1 … N")
    which.add_argument("--difference", metavar="OTHER", help="what another cell does differently")
    parser.add_argument(
        "--loss",
        metavar="NAMES",
        help='what the loss reads, for --backward and --derive: "h C" (default: the loss that '
        "the cell declares, or its output)",
    )
    parser.add_argument(
        "--format",
        choices=("unicode", "latex", "mathml"),
        default="unicode",
        help="default: unicode",
    )


def run(options: argparse.Namespace) -> int:
    """Print the equations that were asked for, and below a backward pass its legend."""
    cell: Any = find_network(options.cell)
    if options.difference is not None:
        other: Any = find_network(options.difference)
        changes = equations.difference(cell, other)
        empty = f"{cell.name} and {other.name} compute the same."
        print(_written(changes, options.format) if changes else empty)
        return 0
    if options.derive is not None:
        print(_written(equations.derive(cell, options.derive, options.loss), options.format))
        return 0
    if options.unrolled is not None:
        lines = equations.unrolled(cell, options.unrolled)
    elif options.backward:
        lines = equations.backward(cell, options.loss)
    else:
        lines = equations.forward(cell)
    print(_written(lines, options.format))
    if lines.legend and options.format == "unicode":
        print()
        for note in lines.legend:
            print(f"  {note.unicode}: {note.words}")
    return 0


def _written(result: object, form: str) -> str:
    return str(getattr(result, form)())
