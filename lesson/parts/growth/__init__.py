"""One entry of a weight's gradient as a sum that grows from the last step to the first."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from lesson import measurements
from lesson.chapters.derivation import main_weight
from lesson.numbers import bars, largest, short
from lesson.page import render
from lesson.prose import Texts
from lesson.subject import Subject
from tinygrad_lstm.notation import visible


def markup(subject: Subject) -> Markup:
    """Every character's share, and the sum so far; a slider goes back through the line."""
    weight = main_weight(subject.cell)
    if weight is None:
        return Markup("")
    text = subject.line.text
    found = measurements.growth(subject.model, text, weight, subject.unit)
    shares = np.where(np.isfinite(found.shares), found.shares, 0.0)
    sums = np.cumsum(shares[::-1])[::-1]
    entry = f"{weight}[{', '.join(str(k + 1) for k in found.entry)}]"
    count, scale = len(shares), max(largest(shares), largest(sums))  # one: shares add up to sums
    return render(
        __name__,
        t=Texts("growth", {"entry": entry, "total": short(float(sums[0])), "count": str(count)}),
        count=count,
        growth={
            "characters": list(visible(text[:-1])),
            "entry": entry,
            "shares": [short(float(v)) for v in shares],
            "sums": [short(float(v)) for v in sums],
        },
        rows=[("value", "share", bars(shares / scale)), ("gradient", "sum", bars(sums / scale))],
    )
