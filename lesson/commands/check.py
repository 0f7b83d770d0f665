"""`tinygrad-lstm check CELL`: a cell's gradients, derivation, batches, sequences, compiled code."""

from __future__ import annotations

import argparse
import textwrap
from typing import Any

from lesson.cell_options import check_least
from lesson.network_names import HELP, find_network
from tinygrad_lstm.networks import equation_names

MARKS = {True: "✓", False: "✗", None: "·"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which cell, and how many cases."""
    add = parser.add_argument
    parser.epilog = (
        "Exit status: 0 if every property holds, 1 if one fails, 2 for bad input. A failing case "
        "is shrunk to the simplest one that fails. The same seed draws the same cases."
    )
    add("cell", metavar="CELL", help=HELP)
    add("--examples", type=int, default=25, metavar="N", help="cases a property (default 25)")
    add("--seed", type=int, default=0, metavar="N", help="of the cases drawn (default 0)")


def run(options: argparse.Namespace) -> int:
    """Print a line for each property, and the simplest case of each that fails."""
    check_least(options, examples=1)
    cell = find_network(options.cell)
    print(f"{cell}: {', '.join(equation_names(cell))}", flush=True)
    # SymPy and Hypothesis are loaded when the cell is known to run
    from lesson.cell_checks import EVERY_PROPERTY, hypothesis_elsewhere
    from tinygrad_lstm.testing.properties import examine

    failed, told = 0, dict[str, str]()
    with hypothesis_elsewhere():
        for what in EVERY_PROPERTY:
            outcome = examine(cell, what, options.examples, options.seed)
            failed += outcome.verdict is False
            first = told.setdefault(outcome.text, what.name) if outcome.text else what.name
            summary = _summary(outcome) if first == what.name else f"fails like {first}"
            print(f"  {MARKS[outcome.verdict]} {what.name:28} {summary}", flush=True)
            if outcome.text and first == what.name:
                print(textwrap.indent(outcome.text, "      "), flush=True)
    if failed:
        print(f"{failed} of {len(EVERY_PROPERTY)} properties fail.")
    return 1 if failed else 0


def _summary(outcome: Any) -> str:
    if outcome.verdict is None:
        return "no verdict"
    if outcome.verdict is False:
        return "fails; the simplest case found:"
    return f"{outcome.examples} cases, largest relative difference {outcome.worst:.1e}"
