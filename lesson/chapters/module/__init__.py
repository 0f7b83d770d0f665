"""The repeating module, and the notation."""

from __future__ import annotations

import viz
from lesson.chapters import Content
from lesson.formulas import forward
from lesson.subject import Subject
from tinygrad_lstm.cells import rnn
from viz.anatomy import anatomy

ORDER = 30


def content(subject: Subject) -> Content:
    """The chains of plain cells and of the subject's, the signs of figures and formulas."""
    cell = subject.cell
    layers = sum(part.merges for part in anatomy(cell).parts.values())
    facts = {"cell": cell.name, "layers": str(layers), "states": str(len(cell.state))}
    figures = {"plain_chain": viz.chain(rnn), "cell_chain": viz.chain(cell)}
    more = {"forward": forward(cell)}
    return Content(facts, figures, more)
