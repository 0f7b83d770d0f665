"""The followed unit along the line: a row of bars for each equation of the cell."""

from __future__ import annotations

import re
from typing import Any

from markupsafe import Markup

import equations
from lesson import formulas
from lesson.numbers import bars, largest
from lesson.prose import Texts
from lesson.stages import stages
from lesson.subject import Subject
from tinygrad_lstm.notation import visible


def strip(subject: Subject, kind: str) -> dict[str, Any]:
    """A table of the followed unit's values, or of the gradients at them, along the line."""
    rows = []
    names = [name for stage in stages(subject.cell) for name in stage.names]
    for name in names:
        if kind == "value":
            values, label = subject.values(name), name
            cells = bars(values, max(1.0, largest(values)))
        else:
            values, label = subject.gradients(name), f"bar.{name}"
            cells = bars(values / largest(values))
        said = equations.name_unicode(label)
        rows.append({"name": name, "label": formulas.name(label), "said": said, "cells": cells})
    characters = list(visible(subject.line.text))
    units = subject.line.values[names[0]][0].size
    facts = {"unit": str(subject.unit + 1), "units": str(units)}
    caption = Texts("stages").line(f"caption.{kind}")
    return {
        "name": kind,
        "characters": characters,
        "rows": rows,
        "kind": kind,
        "caption": Markup(re.sub(r"\{(\w+)\}", lambda found: facts[found[1]], caption)),
    }
