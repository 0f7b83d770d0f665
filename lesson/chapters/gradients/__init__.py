"""Backpropagation through time: one step beside its way back, the belt, a gradient as a sum."""

from __future__ import annotations

from typing import Any

import numpy as np

import viz
from lesson import formulas
from lesson.chapters import Content
from lesson.chapters.gradients import flow
from lesson.chapters.hand.small import small_run
from lesson.figures import backward, without_key
from lesson.numbers import percent
from lesson.stages import stages
from lesson.strips import strip
from lesson.subject import Subject

ORDER = 60

SPAN = 10  # characters over which a product of forget gates is taken


def content(subject: Subject) -> Content:
    """The step and the step back, stage by stage, and what passes along the belt."""
    cell = subject.cell
    ahead, behind = formulas.forward(cell), formulas.backward(cell)
    rows = [
        {
            "stage": stage,
            "forward": [ahead[n] for n in stage.names],
            "backward": [behind[f"bar.{n}"] for n in stage.names],
        }
        for stage in stages(cell)
    ]
    facts: dict[str, Any] = {"nine": percent(0.9**10), "span": str(SPAN)}
    if subject.is_lstm:
        figures = {"ahead": flow.ahead(), "flow": flow.back()}
        facts |= _belt_facts(subject)
    else:
        names = [*ahead.names, *(f"prev.{s}" for s in cell.state), "x"]
        graph = viz.graph(small_run(cell), fold="equation")
        figures = {"flow": backward(viz.cell(cell), names), "graph": without_key(graph)}
    return Content(facts, figures, {"rows": rows, "strip": strip(subject, "gradient")})


def _belt_facts(subject: Subject) -> dict[str, str]:
    """How much passes along the belt of the trained model over some characters."""
    gates = np.log(np.maximum(subject.line.values["f"].astype(float), 1e-300))
    sums = np.stack([gates[k : k + SPAN].sum(axis=0) for k in range(len(gates) - SPAN + 1)])
    kept = np.exp(sums)
    return {
        "belt_unit": percent(float(np.median(kept[:, subject.unit]))),
        "belt_many": str(int(np.sum(np.median(kept, axis=0) > 0.5))),
        "belt_best": percent(float(np.median(kept, axis=0).max())),
    }
