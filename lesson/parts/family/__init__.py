"""Any two cells of the family side by side; what only one of them has is bright."""

from __future__ import annotations

import re
from typing import Any

from markupsafe import Markup

import viz
from equations.symbolic import symbolic_step
from equations.wording import Said
from lesson import languages
from lesson.formulas import forward
from lesson.page import render
from lesson.prose import Texts, translate
from lesson.subject import Subject
from tinygrad_lstm import cells
from tinygrad_lstm.step import Cell

_END = re.compile(r"\(|[.:,;](?=\s|$)|[（：。，；]")
FIRST = ("gru_cho2014", "gru_reset_after")


def markup(subject: Subject) -> Markup:
    """Two lists to choose from, and every cell as an inert template.

    Each line of equations carries the number of its right-hand side, alike where two cells'
    lines are alike: the page compares numbers, not formulas.
    """
    pair = FIRST if subject.is_lstm else ("lstm", subject.cell.name)
    family, numbers = cells.all(), dict[object, int]()
    if subject.cell.name not in family:
        family = {subject.cell.name: subject.cell, **family}
    return render(
        __name__,
        t=Texts("family"),
        sides=list(zip(("first", "second"), pair, strict=True)),
        cells=[_shown(subject, cell, numbers) for cell in family.values()],
    )


def title(cell: Cell, tag: str) -> str:
    """What a cell is called in a list, besides its name: the beginning of what is said of it."""
    said = translate(Said(cell.doc.partition("\n")[0]), tag)
    begun = _END.split(said, maxsplit=1)[0].strip()
    return "" if begun.lower() == cell.name.lower() else begun


def _shown(subject: Subject, cell: Cell, numbers: dict[object, int]) -> dict[str, Any]:
    """What the template shows of a cell; `numbers` are those of the right-hand sides so far."""
    return {
        "name": cell.name,
        "about": Said(cell.doc.partition("\n")[0]),
        "titles": {tag: title(cell, tag) for tag in languages.languages()},
        "lines": forward(cell),
        "numbers": [
            numbers.setdefault(equation, len(numbers))
            for equation in symbolic_step(cell).equations.items()
        ],
        "svg": subject.draw(f"family-{cell.name}", viz.cell(cell)).svg,
    }
