"""The properties of the cell, tried while the page is built."""

from __future__ import annotations

from markupsafe import Markup

from lesson.checking import check
from lesson.numbers import power
from lesson.prose import Texts
from lesson.subject import Subject
from tinygrad_lstm.testing.properties import Outcome

EXAMPLES = 5
MARKS = {True: "✓", False: "✗", None: "·"}
KEYS = {
    "numeric gradients": "numeric",
    "SymPy against engine": "sympy",
    "second derivatives": "second",
    "batch against singles": "batch",
    "split against whole": "split",
    "compiled against interpreter": "compiled",
}


def markup(subject: Subject) -> Markup:
    """What was tried on the cell, on how many drawn cases, and the largest difference met."""
    return table(check(subject.cell, EXAMPLES), subject.cell.name)


def table(outcomes: list[Outcome], name: str) -> Markup:
    """Outcomes of `lesson.checking.check` as a table; a failure shows its simplest case."""
    t = Texts("checks", {"cell": name, "examples": str(EXAMPLES)})
    head = Markup("").join(
        Markup('<th scope="col">{}</th>').format(t.line(key)) for key in ("what", "result", "worst")
    )
    rows = Markup("").join(_row(outcome, t) for outcome in outcomes)
    return Markup(
        '<h3>{}</h3>{}<figure class="checks"><div class="scroll" role="group" '
        'aria-labelledby="checks-caption"><table><thead><tr>{}</tr></thead><tbody>{}</tbody>'
        '</table></div><figcaption id="checks-caption">{}</figcaption></figure>'
    ).format(t.line("title"), t.block("intro"), head, rows, t.line("caption"))


def _row(outcome: Outcome, t: Texts) -> Markup:
    words = {True: "holds", False: "fails", None: "unknown"}[outcome.verdict]
    shown = Markup("")
    if outcome.text:
        shown = Markup("<pre>{}</pre>").format(outcome.text)
    return Markup('<tr><th scope="row">{}{}</th><td>{} {}</td><td>{}</td></tr>').format(
        t.line(KEYS[outcome.property.name]),
        shown,
        MARKS[outcome.verdict],
        t.line(words),
        (power(outcome.worst, 1) if outcome.worst else "0") if outcome.verdict else "–",
    )
