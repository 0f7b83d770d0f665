"""Any two cells of the family side by side; what only one of them has is bright."""

from __future__ import annotations

from markupsafe import Markup

import viz
from equations.symbolic import symbolic_step
from equations.wording import Said
from lesson import prose
from lesson.formulas import forward
from lesson.subject import Subject
from tinygrad_lstm import cells
from tinygrad_lstm.step import Cell

FIRST = ("gru_cho2014", "gru_reset_after")


def markup(subject: Subject) -> Markup:
    """Two lists to choose from, and every cell as an inert template.

    Each line of equations carries the number of its right-hand side, alike where two cells'
    lines are alike: the page compares numbers, not formulas.
    """
    t = prose.Texts("family")
    family = cells.all()
    if subject.cell.name not in family:
        family = {subject.cell.name: subject.cell, **family}
    pair = FIRST if subject.is_lstm else ("lstm", subject.cell.name)
    numbers: dict[object, int] = {}
    templates = Markup("").join(_template(subject, cell, numbers) for cell in family.values())
    sides = Markup("").join(
        Markup(
            '<div class="side"><label>{} <select>{}</select></label><div class="shown"></div></div>'
        ).format(t.line(key), _options(family, first))
        for key, first in zip(("first", "second"), pair, strict=True)
    )
    return Markup(
        '{}<div class="family" data-part="family"><p class="none">{}</p>'
        '<div class="sides" hidden>{}</div>{}</div>'
    ).format(t.script("same", "differ"), t.line("without"), sides, templates)


def _options(family: dict[str, Cell], chosen: str) -> Markup:
    return Markup("").join(
        Markup("<option{}>{}</option>").format(Markup(" selected") if name == chosen else "", name)
        for name in family
    )


def _template(subject: Subject, cell: Cell, numbers: dict[object, int]) -> Markup:
    lines = Markup("").join(
        Markup('<div class="line scroll" data-name="{}" data-number="{}">{}</div>').format(
            line.name, number, Markup(line.mathml())
        )
        for line, number in zip(forward(cell), _numbered(cell, numbers), strict=True)
    )
    name = f"family-{cell.name}"
    about = prose.told(Said(cell.doc.partition("\n")[0]))
    drawn = subject.draw(name, viz.cell(cell)).svg
    every = forward(cell)
    return Markup(
        '<template data-cell="{}"><p class="about" id="caption-{}">{}</p>'
        '<div data-latex="{}" data-unicode="{}">{}</div>'
        '<div class="scroll drawing">{}</div></template>'
    ).format(cell.name, name, about, every.latex(), every.unicode(), lines, drawn)


def _numbered(cell: Cell, numbers: dict[object, int]) -> list[int]:
    """A number for each line's right-hand side, the same for the same expression."""
    return [
        numbers.setdefault((name, right), len(numbers))
        for name, right in symbolic_step(cell).equations.items()
    ]
