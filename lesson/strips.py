"""The followed unit along the line: a row of bars for each equation of the cell."""

from __future__ import annotations

from typing import Any

import equations
from lesson import formulas
from lesson.numbers import bars, largest
from lesson.stages import stages
from lesson.subject import Subject
from tinygrad_lstm.notation import visible


def strip(subject: Subject, kind: str) -> dict[str, Any]:
    """A table of the followed unit's values, or of the gradients at them, along the line."""
    rows = []
    for name in (name for stage in stages(subject.cell) for name in stage.names):
        if kind == "value":
            values, label = subject.values(name), name
            cells = bars(values, max(1.0, largest(values)))
        else:
            values, label = subject.gradients(name), f"bar.{name}"
            cells = bars(values / largest(values))
        said = equations.name_unicode(label)
        rows.append({"label": formulas.name(label), "said": said, "cells": cells})
    characters = list(visible(subject.line.text))
    return {"name": kind, "characters": characters, "rows": rows, "kind": kind}
