"""One step of the cell, stage by stage, forward and back."""

from __future__ import annotations

from typing import Any

import numpy as np

import equations
import viz
from lesson import formulas
from lesson.chapters import Content
from lesson.figures import backward
from lesson.numbers import bars, largest, quoted, short
from lesson.stages import Stage, stages
from lesson.subject import Subject
from tinygrad_lstm.notation import visible

ORDER = 50


def content(subject: Subject) -> Content:
    """For each stage its figures, its equations, its adjoints and its values along the line."""
    cell, line = subject.cell, subject.line
    facts = {
        "hidden": str(subject.model.sizes.get("hidden", 1)),
        "unit": str(subject.unit + 1),
        "line": line.text.strip(),
        "count": str(len(line.text)),
    }
    if subject.is_lstm:
        facts |= _lstm_facts(subject)
    ahead, back = formulas.forward(cell), formulas.backward(cell)
    names = [*ahead.names, *(f"prev.{s}" for s in cell.state), "x"]
    figures, shown = {}, []
    for stage in stages(cell):
        figures[f"stage_{stage.key}"] = viz.cell(cell, focus=stage.focus)
        figures[f"back_{stage.key}"] = backward(viz.cell(cell, focus=stage.back), names)
        shown.append(
            {
                "stage": stage,
                "signs": [formulas.name(n) for n in stage.names],
                "forward": [ahead[n] for n in stage.names],
                "backward": [back[f"bar.{n}"] for n in stage.names],
                "values": strip(subject, stage, "value"),
                "gradients": strip(subject, stage, "gradient"),
            }
        )
    return Content(facts, figures, {"stages": shown})


def _lstm_facts(subject: Subject) -> dict[str, str]:
    own = {name: subject.values(name) for name in ("f", "i", "C_tilde", "C", "o")}
    text = subject.line.text
    lowest, most = int(np.argmin(own["f"])), int(np.argmax(own["i"]))
    facts = {
        "f_high": str(int(np.sum(own["f"] > 0.9))),
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


def strip(subject: Subject, stage: Stage, kind: str) -> dict[str, Any]:
    """A table of the followed unit's values, or of the gradients in them, along the line."""
    rows = []
    for name in stage.names:
        if kind == "value":
            values = subject.values(name)
            label, cells = name, bars(values, max(1.0, largest(values)))
        else:
            values = subject.gradients(name)
            label, cells = f"bar.{name}", bars(values / largest(values))
        said = equations.name_unicode(label)
        rows.append({"label": formulas.name(label), "said": said, "cells": cells})
    characters = list(visible(subject.line.text))
    return {"name": f"{stage.key}-{kind}", "characters": characters, "rows": rows, "kind": kind}
