"""Every reading of equations on cells unlike the built-in ones, each number against the engine."""

from __future__ import annotations

import pytest
from odd_cells import CELLS
from test_equations_backward import agree, pair

import equations
from tinygrad_lstm import cells

EACH = pytest.mark.parametrize("name", CELLS)


@EACH
def test_every_reading_prints(name: str) -> None:
    one = CELLS[name]
    for result in (
        equations.forward(one), equations.unrolled(one, 2), equations.backward(one),
        equations.backward(one, loss=" ".join(one.program().equations)),
        equations.difference(cells.lstm, one), equations.difference(one, cells.lstm),
    ):  # fmt: skip
        assert result.unicode() and result.latex() and result.mathml().startswith("<math")


@EACH
def test_derived_gradients_of_every_equation_are_the_engines(name: str) -> None:
    agree(*pair(CELLS[name], time=3, reads=tuple(CELLS[name].program().equations)))


@EACH
def test_each_derivation_holds_line_by_line(name: str) -> None:
    one = CELLS[name]
    every = " ".join(one.program().equations)
    for target in (*one.parameters, next(iter(one.state))):
        assert all(step.rule and step.error < 1e-10 for step in equations.derive(one, target))
    for step in equations.derive(one, next(iter(one.parameters), "h"), loss=every):
        assert step.rule and step.error < 1e-10


@EACH
def test_javascript_is_written(name: str) -> None:
    assert "function backward" in equations.javascript(CELLS[name])
