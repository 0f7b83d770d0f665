"""The passes of `passes.c`, compiled where there is a compiler."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from tinygrad_lstm.kernels.memory import address
from tinygrad_lstm.kernels.toolchain import NoCompiler, load, machine
from tinygrad_lstm.learning.flat import Flat
from tinygrad_lstm.tensor import Array

_POINTERS = {"square_sum": 1, "adam": 7, "rmsprop": 7, "sgd": 5}
_NUMBERS = {"adam": 5, "rmsprop": 4, "sgd": 3}
_KINDS = {"f": ("float", "sqrtf"), "d": ("double", "sqrt")}  # by the dtype's letter


def passed(name: str, flats: Sequence[Flat], *numbers: float) -> float | None:
    """Run a pass over vectors of one length and dtype; None where it is not compiled.

    flats: what it reads, then what it writes.
    """
    library = _library(flats[0].vector.dtype.char)
    if library is None:
        return None
    found = getattr(library, name)(flats[0].vector.size, *[f.address for f in flats], *numbers)
    return float(found) if name == "square_sum" else 0.0


def add_rows(total: Array, numbers: Array, rows: Array) -> None:
    """total[numbers[k]] += rows[k] for each k; all are contiguous, numbers within bounds."""
    library = _library(total.dtype.char)
    if library is not None and total.dtype == rows.dtype:
        where = np.ascontiguousarray(numbers, np.intp)
        library.add_rows(len(rows), rows.shape[1], *map(address, (where, rows, total)))
        return
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    total[ordered[starts]] += np.add.reduceat(rows[order], starts, axis=0)


@cache
def _library(letter: str) -> Any:
    if letter not in _KINDS:
        return None
    real, root = _KINDS[letter]
    text = resources.files("tinygrad_lstm.learning").joinpath("passes.c").read_text("utf-8")
    try:
        library = load(f"typedef {real} real;\n#define ROOT {root}\n{text}", "", machine())
    except NoCompiler:  # which compiled cells tell
        return None
    for name, pointers in _POINTERS.items():
        function, more = getattr(library, name), _NUMBERS.get(name, 0)
        function.argtypes = [
            ctypes.c_ssize_t,
            *[ctypes.c_void_p] * pointers,
            *[ctypes.c_double] * more,
        ]
        function.restype = ctypes.c_double if name == "square_sum" else None
    library.add_rows.argtypes = [*[ctypes.c_ssize_t] * 2, *[ctypes.c_void_p] * 3]
    library.add_rows.restype = None
    return library
