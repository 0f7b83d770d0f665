"""One step of the cell, stage by stage, in one picture, and its values along the line."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup

import viz
from lesson import formulas
from lesson.chapters import Content
from lesson.numbers import quoted, short
from lesson.stages import stages
from lesson.strips import strip
from lesson.subject import Subject

ORDER = 50

PLACES = {  # of the numbers in the LSTM's figure: where, and which end of the text is there
    "before": (-74, 60, "start"),
    "f": (97, 184, "start"),
    "i": (150, 165, "start"),
    "C_tilde": (235, 184, "start"),
    "o": (285, 165, "start"),
    "kept": (145, 31, "middle"),
    "written": (219, 97, "start"),
    "C": (470, 62, "end"),
    "tanh": (337, 121, "end"),
    "h": (470, 268, "end"),
}


def content(subject: Subject) -> Content:
    """The picture, what each stage lights in it, its equations, and all values along the line."""
    cell, line = subject.cell, subject.line
    facts = {
        "hidden": str(subject.model.sizes.get("hidden", 1)),
        "unit": str(subject.unit + 1),
        "line": line.text.strip(),
        "count": str(len(line.text)),
    }
    if subject.is_lstm:
        facts |= _lstm_facts(subject)
    ahead = formulas.forward(cell)
    lit, shown = {}, []
    for stage in stages(cell):
        lit[stage.key] = _bright(viz.cell(cell, focus=stage.focus))
        shown.append(
            {
                "stage": stage,
                "signs": [formulas.name(n) for n in stage.names],
                "forward": [ahead[n] for n in stage.names],
            }
        )
    more = {
        "stages": shown,
        "lit": lit,
        "svg": _with_places(subject.draw("step", viz.cell(cell)).svg, subject.is_lstm),
        "alt": viz.cell(cell).alt,
        "values": strip(subject, "value"),
    }
    return Content(facts, more=more)


def _bright(figure: viz.Figure) -> list[str]:
    """The ids of what is bright in a figure with a focus."""
    shapes = [shape.id for shape in figure.scene.shapes if not shape.dim]
    return shapes + [wire.id for wire in figure.scene.wires if not wire.dim]


def _with_places(svg: Markup, is_lstm: bool) -> Markup:
    """The figure with an empty text at each place where the page writes a number."""
    if not is_lstm:
        return svg
    texts = "".join(
        f'<text data-value="{name}" x="{x}" y="{y}" text-anchor="{anchor}"></text>'
        for name, (x, y, anchor) in PLACES.items()
    )
    return Markup(str(svg).replace("</svg>", f'<g class="values">{texts}</g></svg>'))


def _lstm_facts(subject: Subject) -> dict[str, Any]:
    own = {name: subject.values(name) for name in ("f", "i", "C_tilde", "C", "o")}
    text = subject.line.text
    lowest, most = int(np.argmin(own["f"])), int(np.argmax(own["i"]))
    facts: dict[str, Any] = {
        "f_high": str(int(np.sum(own["f"] > 0.9))),
        "f_shut": str(int(np.sum(own["f"] < 0.1))),
        "f_low": short(own["f"][lowest]),
        "f_low_char": quoted(text[lowest]),
        "f_low_at": str(lowest + 1),
        "i_high": short(own["i"][most]),
        "i_high_char": quoted(text[most]),
        "i_high_at": str(most + 1),
    }
    for name in ("C_tilde", "C", "o"):
        facts[f"{name}_low"], facts[f"{name}_high"] = short(own[name].min()), short(own[name].max())
    return facts
