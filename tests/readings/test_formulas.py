"""Every cell of the corpus and of the package: printed, derived, and written as JavaScript."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import equations
from readings.subjects import CELLS
from tinygrad_lstm import cells
from tinygrad_lstm.tensor import fold
from tinygrad_lstm.text import LATEX, UNICODE


def printed(*found: Any) -> None:
    for each in found:
        for text in (each.latex(), each.unicode(), each.mathml()):
            assert text.strip()
            assert "Ellipsis" not in text and "array(" not in text


def equations_are_printed(cell: Any) -> None:
    printed(equations.forward(cell), equations.backward(cell), equations.unrolled(cell, steps=2))
    if cell is not cells.lstm:
        printed(equations.difference(cell, cells.lstm))


def parameters_are_derived(cell: Any) -> None:
    of_each_shape = {words: name for name, words in cell.parameters.items()}
    for name in of_each_shape.values():
        printed(equations.derive(cell, name))


def sizes_are_printed_by_name(cell: Any) -> None:
    """The formulas of a cell are the same whatever sizes it was traced with."""
    program = cell.program()
    larger = cell.program(**{n: k + 4 for n, k in cell.small_sizes().items()})
    for name, node in program.equations.items():
        arrays = [n for n in fold([node], {}, lambda n, i: None) if n.ndim and not n.inputs]
        if all(n.traced or len(np.unique(n.data)) == 1 for n in arrays):  # no array as numbers
            assert program.text(name) == larger.text(name)


def program_and_formula_are_spelled_alike(cell: Any) -> None:
    """What the engine writes is what SymPy's expressions are printed as."""
    program = cell.program()
    formulas = equations.forward(cell)
    for name, root in program.equations.items():
        if f"{name}_part1" in formulas:
            continue  # a long one is taken apart
        numbers = [n for n in fold([root], {}, lambda n, i: None) if not n.inputs and not n.traced]
        if any("words" in n.attributes or n.size == 1 and n.item() in (0, 1) for n in numbers):
            continue  # SymPy's are folded: 1 a is a, and lengths have brackets of their own
        assert program.text(name, UNICODE) == formulas[name].unicode()
        if "frac" not in formulas[name].latex():  # which SymPy's factors are gathered in
            assert program.text(name, LATEX) == formulas[name].latex()


def sliders_have_code(cell: Any) -> None:
    text = equations.javascript(cell)
    assert text.startswith(("//", "const", "function"))


READINGS = (
    equations_are_printed,
    parameters_are_derived,
    sizes_are_printed_by_name,
    program_and_formula_are_spelled_alike,
    sliders_have_code,
)


@pytest.mark.sample(3)
@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("reading", READINGS, ids=lambda f: f.__name__)
def test_every_cell(reading: Callable[[Any], None], name: str) -> None:
    reading(CELLS[name])
