"""`tinygrad-lstm diagnose CELL FILE:NAME`: name the mistake in a gradient of your own."""

from __future__ import annotations

import argparse

from tinygrad_lstm import python_files
from tinygrad_lstm.cell_files import find, parts
from tinygrad_lstm.errors import UnknownNameError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which cell, whose function."""
    from lesson.languages import languages

    add = parser.add_argument
    parser.epilog = (
        "The function takes (p, xs, h_bar): parameters by name, xs (time, batch, inputs), the "
        "loss's derivative with respect to the output at every step; or (p, x, prev, now, bar) for "
        "one step. It returns a mapping of gradients by name. Exit status: 0 if they are right, 1 "
        "if not, 2 for bad input."
    )
    add("cell", metavar="CELL", help="a name, or path/to/file.py:NAME")
    add("function", metavar="FILE:NAME", help="path/to/file.py:NAME of the function; it is run")
    add("--seed", type=int, default=0, metavar="N", help="of the numbers drawn (default 0)")
    add("--language", choices=languages(), default="en", help="of the answer (default en)")


def run(options: argparse.Namespace) -> int:
    """Print what is wrong, or that nothing is."""
    from tinygrad_lstm.diagnosis import diagnose

    cell = find(options.cell)
    path, name = parts(options.function)
    if path is None:
        raise UnknownNameError(f"{options.function}: write path/to/file.py:NAME of a function.")
    found = python_files.run(path)
    if not callable(found.get(name)):
        functions = [n for n, v in found.items() if callable(v) and not n.startswith("_")]
        raise UnknownNameError(
            f"{options.function}: no function {name!r}; the file has "
            f"{', '.join(functions) or 'none'}."
        )
    diagnosis = diagnose(cell, found[name], seed=options.seed)
    print(diagnosis.text(options.language))
    return 0 if diagnosis.right else 1
