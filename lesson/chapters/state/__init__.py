"""The cell state, and what a gate is."""

from __future__ import annotations

import viz
from lesson.chapters import Content
from lesson.stages import stages
from lesson.subject import Subject
from viz.anatomy import anatomy

ORDER = 40


def content(subject: Subject) -> Content:
    """The straight line through the cell and its first gate; of a cell without, the whole cell."""
    cell = subject.cell
    belts = [f"belt:{state}" for state in anatomy(cell).belts]
    gate = next((s.names[0] for s in stages(cell) if s.kind == "gate"), None)
    bright = [f"gate:{gate}"] if gate else []
    if subject.is_lstm:
        belts, bright = ["belt:C"], ["f", "belt:C"]
    figures = {"belt": viz.cell(cell, focus=belts), "gate": viz.cell(cell, focus=bright)}
    return Content(figures=figures, more={"belts": belts, "gate": gate})
