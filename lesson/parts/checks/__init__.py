"""The properties of the cell, tried while the page is built."""

from __future__ import annotations

from markupsafe import Markup

from lesson.cell_checks import check
from lesson.page import render
from lesson.prose import Texts
from lesson.subject import Subject
from tinygrad_lstm.testing.properties import Outcome

EXAMPLES = 5
VERDICTS = {True: ("✓", "holds"), False: ("✗", "fails"), None: ("·", "unknown")}


def markup(subject: Subject) -> Markup:
    """What was tried on the cell, on how many drawn cases, and the largest difference met."""
    return table(check(subject.cell, EXAMPLES), subject.cell.name)


def table(outcomes: list[Outcome], name: str, examples: int = EXAMPLES) -> Markup:
    """Outcomes of `lesson.cell_checks.check` as a table; a failure shows its simplest case.

    The first word of a property's name is the key of its text.
    """
    t = Texts("checks", {"cell": name, "examples": str(examples)})
    return render(__name__, t=t, outcomes=outcomes, verdicts=VERDICTS)
