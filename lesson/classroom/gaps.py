"""Gaps for a worksheet: equations and a figure with something left out, and what belongs there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import viz
from equations import name_latex
from equations.markup import broken, math, mathml_row, table
from lesson.formulas import forward
from tinygrad_lstm.step import Cell
from viz import Figure
from viz.scene import Scene, Shape

MOST = 8  # gaps on a sheet
_MARK = "gapnumber"  # a word that no cell's formula has
_SHOWN = ("label-prev", "in-", "out-")  # what the figure keeps: it says where to begin
_FUNCTIONS = (r"\sigma", r"\tanh", r"\max", r"\exp")


@dataclass(frozen=True)
class Gap:
    """What was left out: the number or letter that stands there, and the answer in LaTeX."""

    mark: str
    answer: str


def gapped(cell: Cell) -> tuple[list[str], list[Gap]]:
    """A cell's equations as MathML with numbered boxes in them, and what belongs into the boxes.

    Where an equation reads values of this step, these are left out; elsewhere, in turn, a function
    or what the cell read of the step before.
    """
    own = [name_latex(name) for name in forward(cell).names]
    before = [name_latex(f"prev.{name}") for name in cell.state]
    shown: list[str] = []
    gaps: list[Gap] = []
    for k, line in enumerate(forward(cell)):
        left, *rows = line.pieces(60)
        text = "\n".join(rows)
        kinds = [_FUNCTIONS, before] if k % 2 == 0 else [before, _FUNCTIONS]
        ways = [[name for name in own if name != left], *kinds]
        for names in ways:
            found = _found(text, names)[:2]
            if found and len(gaps) < MOST:
                for place, name in reversed(list(enumerate(found))):
                    mark = f"{_MARK}{chr(97 + len(gaps) + place)}"
                    text = _replaced(text, name, rf"\mathrm{{{mark}}}")
                gaps += [Gap(str(len(gaps) + j + 1), name) for j, name in enumerate(found)]
                break
        shown.append(_boxed(mathml([left, *text.split("\n")])))
    return shown, gaps


def unlabelled(cell: Cell) -> tuple[Figure, list[Gap]]:
    """The cell's figure with numbers for the values' names and letters for its layers' signs."""
    figure = viz.cell(cell)
    gaps: list[Gap] = []
    shapes = list(_without_names(figure, gaps))
    scene = Scene(shapes, figure.scene.wires)
    return replace(figure, name=f"{figure.name}-unlabelled", scene=scene), gaps


def _without_names(figure: Figure, gaps: list[Gap]) -> Iterator[Shape]:
    numbers, letters = 0, 0
    known = {shape.latex for shape in figure.scene.shapes if shape.id.startswith(_SHOWN)}
    for shape in figure.scene.shapes:
        if shape.id.startswith("label-") and shape.latex and shape.latex not in known:
            numbers += 1
            mark = f"({numbers})"
        elif shape.kind == "layer" and shape.latex:
            mark = chr(97 + letters)
            letters += 1
        else:
            yield shape
            continue
        gaps.append(Gap(mark, shape.latex))
        yield replace(shape, latex=rf"\mathrm{{{mark}}}", text=mark)


def mathml(pieces: Sequence[str]) -> str:
    """An equation in pieces, as `Equation.pieces` has them, as a <math> element."""
    left, *rows = pieces
    if len(rows) == 1:
        return math(mathml_row(f"{left} {rows[0]}"), display=False)
    return math(table(broken(left, *rows)), display=False)


def _found(text: str, names: Sequence[str]) -> list[str]:
    places = [(found.start(), name) for name in names if (found := _pattern(name).search(text))]
    return [name for _, name in sorted(places)]


def _replaced(text: str, name: str, by: str) -> str:
    return _pattern(name).sub(lambda _: by, text, count=1)


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![A-Za-z\\{{}}_^]){re.escape(name)}(?![A-Za-z_^{{])")


def _boxed(markup: str) -> str:
    """MathML with a numbered box for each mark."""

    def box(found: re.Match[str]) -> str:
        return f'<mrow class="gap"><mtext>{ord(found[1]) - 96}</mtext></mrow>'

    return re.sub(rf"<mi[^>]*>{_MARK}([a-z])</mi>", box, markup)
