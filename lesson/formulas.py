"""Equations as they stand in the page, with what a reader may copy of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from markupsafe import Markup

import equations
from equations import markup
from equations.cell_difference import Difference
from equations.lines import Equation, Equations
from tinygrad_lstm.step import Cell

WIDTH = 44  # visible characters in a row of a long sum


@dataclass(frozen=True)
class Formula:
    """An equation, or several aligned ones, as MathML, LaTeX and Unicode."""

    mathml: Markup
    latex: str
    unicode: str


def formula(what: Equation | Equations | Difference) -> Formula:
    """An equation or a system of them, broken into rows that a page has room for."""
    if isinstance(what, Equation):
        shown = what.mathml(display=True, width=WIDTH)
    else:
        shown = what.mathml(width=WIDTH)
    shown = shown.replace("<mtext>in ", "<mtext>")  # a cell's name, beside a line of it, will do
    return Formula(Markup(shown), what.latex(), what.unicode())


def sign(latex: str) -> Markup:
    """A formula within a line."""
    return Markup(markup.math(markup.mathml_row(latex), display=False))


def name(label: str, time: str | None = "t") -> Markup:
    """The sign of one named value, within a line: `f`, `bar.f`, `prev.h`; time: None without."""
    return sign(equations.name_latex(label, time))


@lru_cache(maxsize=64)
def forward(cell: Cell) -> Equations:
    """A cell's equations."""
    return equations.forward(cell)


@lru_cache(maxsize=64)
def backward(cell: Cell) -> Equations:
    """The equations of a cell's adjoints."""
    return equations.backward(cell)
