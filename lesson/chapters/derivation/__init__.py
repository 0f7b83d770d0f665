"""The whole step backward, and the gradient of one matrix derived line by line."""

from __future__ import annotations

import equations
from lesson import formulas
from lesson.chapters import Content
from lesson.subject import Subject
from tinygrad_lstm.step import Cell

ORDER = 220
APPENDIX = True


def content(subject: Subject) -> Content:
    """All adjoints of the cell, what their signs mean, and the derivation of a weight's."""
    cell = subject.cell
    weight = main_weight(cell)
    lines = list(equations.derive(cell, weight)) if weight else []
    return Content(more={"backward": formulas.backward(cell), "lines": lines})


def main_weight(cell: Cell) -> str | None:
    """The parameter whose gradient the page derives: the first matrix, if there is one."""
    matrices = [name for name, words in cell.parameters.items() if "," in words]
    return next(iter([*matrices, *cell.parameters]), None)
