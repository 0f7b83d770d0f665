"""One entry of a weight's gradient as a sum that grows from the last step to the first."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from lesson import measurements, prose
from lesson.chapters.gradients import main_weight
from lesson.numbers import short, tight
from lesson.subject import Subject
from tinygrad_lstm.notation import visible
from tinygrad_lstm.tensor import Array


def markup(subject: Subject) -> Markup:
    """Every character's share, and the sum so far; a slider goes back through the line."""
    weight = main_weight(subject.cell)
    if weight is None:
        return Markup("")
    text = subject.line.text
    found = measurements.growth(subject.model, text, weight, subject.unit)
    shares = np.where(np.isfinite(found.shares), found.shares, 0.0)
    sums = np.cumsum(shares[::-1])[::-1]
    place = ", ".join(str(k + 1) for k in found.entry)
    entry = f"{weight}[{place}]"
    facts = {"entry": entry, "total": short(float(sums[0])), "count": str(len(shares))}
    t = prose.Texts("growth", facts)
    data = {
        "characters": [visible(c) for c in text[:-1]],
        "entry": entry,
        "shares": [short(float(v)) for v in shares],
        "sums": [short(float(v)) for v in sums],
    }
    return Markup(
        '{}{}<div class="growth" data-part="growth">{}<div class="controls" hidden><label>{} '
        '<input type="range" min="1" max="{}" value="{}"></label> <output></output></div>'
        '<figure class="strip"><div class="scroll" role="group" aria-labelledby="growth-caption">'
        "<table><thead><tr><td></td>{}</tr></thead><tbody>{}{}</tbody></table></div>"
        '<figcaption id="growth-caption">{}</figcaption></figure></div>'
    ).format(
        t.script("step"),
        prose.data("growth", data),
        t.block("text"),
        t.line("slider"),
        len(shares),
        len(shares),
        Markup("").join(Markup('<th scope="col">{}</th>').format(c) for c in data["characters"]),
        _row(t.line("share"), shares, "value"),
        _row(t.line("sum"), sums, "gradient"),
        t.line("caption"),
    )


def _row(label: Markup, values: Array, kind: str) -> Markup:
    scale = float(np.max(np.abs(values))) or 1.0
    cells = Markup("").join(
        Markup('<td{} style="--v:{}%">{}</td>').format(
            Markup(' class="below"') if v < 0 else "",
            round(100 * abs(v) / scale),
            tight(float(v / scale)),
        )
        for v in values
    )
    return Markup('<tr class="{}"><th scope="row">{}</th>{}</tr>').format(kind, label, cells)
