"""`tinygrad-lstm cells`: list the built-in cells."""

from __future__ import annotations

import argparse

from tinygrad_lstm import cells


def arguments(parser: argparse.ArgumentParser) -> None:
    """This command has no options."""


def run(options: argparse.Namespace) -> int:
    """Print a line for each cell: its name, what it is, where it is from."""
    width = max(map(len, cells.all()))
    for name, cell in cells.all().items():
        print(f"{name:{width}} {cell.doc.splitlines()[0]}  [{', '.join(cell.papers)}]")
    return 0
