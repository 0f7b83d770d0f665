"""What some units of the model remember: each on held-out text, with the evidence for it.

Under a letter stands what it costs more without the unit, letter by letter.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup

from lesson.meaning import LETTERS, Held, without
from lesson.numbers import percent, signed, titled
from lesson.page import render
from lesson.parts.reading import colour
from lesson.prose import Texts
from lesson.subject import Subject
from tinygrad_lstm.tensor import Array

EXCERPT = 120  # letters, about
HEIGHT = 5  # of a bar, per bit


def markup(subject: Subject) -> Markup:
    """A card for each unit of the page's model that holds something; in words what others hold."""
    t, words = Texts("units"), Texts("reading")
    model, held = subject.model, subject.held[subject.cell.name]
    text = excerpt(subject)
    ids = model.vocabulary.encode(text).astype(np.intp)
    whole = without(model, ids, None)
    values = model.run(ids)[list(model.cell.state)[-1]].data.reshape(len(text), -1)
    cards = [
        {
            "unit": each.unit,
            "title": t.line(
                "card", unit=str(each.unit + 1), what=words.plain(f"short.{each.kind}")
            ),
            "letters": card(
                text, values[:, each.unit], without(model, ids, each.unit) - whole, each
            ),
            "evidence": t.line(
                "counts" if each.right is None else "tells",
                r=signed(f"{each.r:.2f}"),
                right=percent(each.right or 0.0),
                cost=signed(f"{each.cost:.3f}"),
            ),
        }
        for each in held
    ]
    others = [
        t.line("other" if found else "other_none", cell=titled(name), held=listed(words, found))
        for name, found in subject.held.items()
        if name != subject.cell.name
    ]
    facts = {"letters": f"{min(LETTERS, len(subject.held_out)):,}", "count": str(len(cards))}
    return render(__name__, t=Texts("units", facts), cards=cards, others=others, text=text)


def excerpt(subject: Subject) -> str:
    """The line of the first screen and what follows it, to the end of a line."""
    start = max(0, subject.held_out.find(subject.opening))
    piece = subject.held_out[start : start + EXCERPT + 60]
    end = piece.find("\n", EXCERPT)
    return piece[: end if end > 0 else EXCERPT]


def card(text: str, values: Array, more: Array, held: Held) -> list[dict[str, Any]]:
    """Letters with their colour, and how much dearer each is without the unit."""
    found = [{**colour(c, v, held.scale), "bar": ""} for c, v in zip(text, values, strict=True)]
    for letter, bits in zip(found[1:], more, strict=True):
        letter["bar"] = "dearer" if bits > 0.05 else "cheaper" if bits < -0.05 else ""
        letter["more"] = f"{min(26.0, HEIGHT * abs(float(bits))):.0f}"
    return found


def listed(words: Texts, found: list[Held]) -> dict[str, str]:
    """Units and what they hold, in every language."""
    named = [(each.unit + 1, words.plain(f"short.{each.kind}")) for each in found]
    return {tag: ", ".join(f"{n} ({what[tag]})" for n, what in named) for tag in words.files}
