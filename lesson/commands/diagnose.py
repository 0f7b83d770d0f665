"""`tinygrad-lstm diagnose CELL FILE:NAME`: name the mistake in a gradient or a step of your own."""

from __future__ import annotations

import argparse
from typing import Any

from tinygrad_lstm import python_files
from tinygrad_lstm.cell_files import find, parts
from tinygrad_lstm.errors import UnknownNameError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which cell, whose function."""
    from lesson.languages import languages

    add = parser.add_argument
    parser.epilog = (
        "A backward pass takes (p, xs, h_bar): parameters by name, xs (time, batch, inputs), the "
        "loss's derivative with respect to the output at every step; or (p, x, prev, now, bar) for "
        "one step. It returns a mapping of gradients by name. A step takes (p, x, prev), or a "
        "sequence's function (p, xs), and returns the states, by name or in their order; --forward "
        "says that it is one, where its arguments do not. Exit status: 0 if all is right, 1 if "
        "not, 2 for bad input."
    )
    add("cell", metavar="CELL", nargs="?", help="a name, or path/to/file.py:NAME")
    add(
        "function", metavar="FILE:NAME", nargs="?",
        help="path/to/file.py:NAME of the function; it is run",
    )  # fmt: skip
    add("--forward", action="store_true", help="it is a step or a sequence, not a gradient")
    add(
        "--among", metavar="FILE:NAME",
        help="say which cell this step is, of all that are built in or of --cells",
    )  # fmt: skip
    add("--cells", metavar="CELL,…", help="the cells that --among tries: names, file.py:NAME")
    add("--seed", type=int, default=0, metavar="N", help="of the numbers drawn (default 0)")
    add("--language", choices=languages(), default="en", help="of the answer (default en)")


def run(options: argparse.Namespace) -> int:
    """Print what is wrong, or that nothing is."""
    from tinygrad_lstm.diagnosis import diagnose

    if options.among is not None:
        if options.cell is not None:
            raise UnknownNameError(
                "--among tries all cells: write diagnose --among FILE:NAME, without a CELL; "
                "--cells names some."
            )
        several = [find(spec.strip()) for spec in (options.cells or "").split(",") if spec.strip()]
        diagnosis = diagnose(
            forward=_function(options.among), among=several or True, seed=options.seed
        )
    elif options.cells is not None:
        raise UnknownNameError("--cells goes with --among FILE:NAME.")
    elif options.function is None:
        raise UnknownNameError(
            "write diagnose CELL path/to/file.py:NAME, or diagnose --among path/to/file.py:NAME."
        )
    else:
        cell, function = find(options.cell), _function(options.function)
        which = {"forward": function} if options.forward else {"backward": function}
        diagnosis = diagnose(cell, **which, seed=options.seed)
    print(diagnosis.text(options.language))
    return 0 if diagnosis.right else 1


def _function(spec: str) -> Any:
    """The function that path/to/file.py:NAME stands for."""
    path, name = parts(spec)
    if path is None:
        raise UnknownNameError(f"{spec}: write path/to/file.py:NAME of a function.")
    found = python_files.run(path)
    if not callable(found.get(name)):
        functions = [n for n, v in found.items() if callable(v) and not n.startswith("_")]
        raise UnknownNameError(
            f"{spec}: no function {name!r}; the file has {', '.join(functions) or 'none'}."
        )
    return found[name]
