"""`tinygrad-lstm identify FILE.npz`: which cell, order of gates and layout some weights have."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_lstm.cell_files import find
from tinygrad_lstm.errors import DataError, UnknownNameError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which file, and what stands in it."""
    from lesson.languages import languages

    add = parser.add_argument
    parser.epilog = (
        "The file is of numpy.savez: the weights under any names, x (time, batch, inputs) or "
        "(batch, time, inputs), and y, the output of every step or of the last. Exit status: 0 if "
        "a cell is found, 1 if none is, 2 for bad input."
    )
    add("file", metavar="FILE.npz", help="weights, an input and an output")
    add("--x", default="x", metavar="NAME", help="the input's name in the file (default x)")
    add("--y", default="y", metavar="NAME", help="the output's name in the file (default y)")
    add(
        "--initial", default="", metavar="NAME,…",
        help="the first states' names in the file, in the cell's order (default: zeros)",
    )  # fmt: skip
    add("--without", default="", metavar="NAME,…", help="arrays that are no part of the cell")
    add("--cells", default="", metavar="CELL,…", help="cells it may be: names, file.py:NAME")
    add("--language", choices=languages(), default="en", help="of the answer (default en)")


def run(options: argparse.Namespace) -> int:
    """Print the recipe, or that there is none."""
    from tinygrad_lstm.diagnosis import identify

    arrays = _arrays(Path(options.file))
    first = _names(options.initial)
    taken = [options.x, options.y, *first, *_names(options.without)]
    for name in taken:
        if name not in arrays:
            raise UnknownNameError(
                f"{options.file} has no array {name!r}; it has {', '.join(arrays) or 'none'}.\n"
                f"  Name the input and the output by --x and --y."
            )
    weights = {name: array for name, array in arrays.items() if name not in taken}
    cells = [find(spec) for spec in _names(options.cells)]
    found = identify(
        weights, arrays[options.x], arrays[options.y], [arrays[n] for n in first] or None,
        cells=cells or None,
    )  # fmt: skip
    print(found.text(options.language))
    return 0 if found else 1


def _names(words: str) -> list[str]:
    return [name.strip() for name in words.split(",") if name.strip()]


def _arrays(path: Path) -> dict[str, Any]:
    """The arrays of a file; nothing in it is executed."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except OSError as error:
        if error.strerror:
            raise
        raise DataError(f"{path} is no file of numpy.savez.") from error
    except Exception as error:  # readers of zip and of headers each fail in their own ways
        raise DataError(
            f"{path} is no file of arrays of numbers, as numpy.savez writes it."
        ) from error
