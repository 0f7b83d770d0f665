"""A small network that learns in the page: any of some cells, by its compiled plan and Adam.

What the page computes at each step is what `learning.Learner` computes: the same start, the same
batches, the same rule. Without JavaScript the curve of Python's own run is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from lesson.charts import Curve, chart
from lesson.numbers import titled
from lesson.page import render
from lesson.page_models import joined, packed, plan, script_name, unpacked
from lesson.prose import Texts
from lesson.subject import Subject
from tinygrad_lstm import cells
from tinygrad_lstm.learning import Adam, Learner, Vocabulary, bits, readout
from tinygrad_lstm.learning.texts import chunk
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array

CELLS = ("lstm", "gru", "rnn", "lstm_peephole", "lstm_coupled", "nfg")
SYMBOLS, HIDDEN, INPUTS = 72, 32, 16  # what the plans are made for
BATCH, LENGTH, RATE, CLIP = 8, 24, 0.01, 5.0
LETTERS, STEPS, EVERY = 2400, 300, 10  # of the text; of Python's own run


def markup(subject: Subject) -> Markup:
    """The controls' place, the plans and the start of each cell, and the curve of Python's run."""
    offered = {name: cells.all()[name] for name in CELLS}
    if cells.all().get(subject.cell.name) is not subject.cell:  # the reader's own, beside few
        offered = {subject.cell.name: subject.cell, **dict(list(offered.items())[:3])}
    plans = {name: printed(cell) for name, cell in offered.items()}
    plans = {name: code for name, code in plans.items() if code}
    first = next(iter(plans))
    text = excerpt(subject.text.characters)
    curve = reference(offered[first], numbers(text), STEPS)
    t = Texts("training", {"steps": str(STEPS), "bits": f"{curve[-1][1]:.2f}"})
    drawn = chart(
        [Curve(titled(first), curve, "c1")],
        t.plain("steps_axis"),
        t.plain("bits_axis"),
        "training-caption",
    )
    return render(
        __name__,
        t=t,
        plans=joined(plans.values()),
        text=text,
        chart=drawn,
        training={
            "cells": {
                name: {
                    "script": script_name(name, "train"),
                    "title": titled(name),
                    "states": list(offered[name].state),
                    "output": offered[name].output,
                    "weights": packed(start(offered[name])),
                }
                for name in plans
            },
            "first": first,
            "reference": curve,
            **{"symbols": SYMBOLS, "inputs": INPUTS, "batch": BATCH, "length": LENGTH},
            **{"rate": RATE, "clip": CLIP},
        },
    )


def sizes(cell: Cell) -> dict[str, int]:
    """The cell's sizes in the page: all as wide as the state, but the input."""
    return {name: INPUTS if name == "inputs" else HIDDEN for name in cell.sizes}


def printed(cell: Cell) -> str:
    """The step with read-out and loss as JavaScript, or "" if there is none."""
    model = readout(cell, SYMBOLS, symbols=SYMBOLS)
    return plan(model, sizes(cell), "train") if "inputs" in cell.sizes else ""


def start(cell: Cell) -> Mapping[str, Array]:
    """The parameters before the first step, rounded as the page carries them."""
    model = readout(cell, SYMBOLS, symbols=SYMBOLS)
    fresh = model.init(seed=1, **sizes(cell))
    return unpacked(packed(fresh))


def excerpt(text: str) -> str:
    """The beginning of a text, to the end of a line."""
    end = text.find("\n", LETTERS)
    return text[: end if 0 < end < 2 * LETTERS else LETTERS].strip()


def numbers(text: str) -> Array:
    """The numbers of a text's letters in its own order; of too many those that come first."""
    symbols = Vocabulary(text).symbols[:SYMBOLS]
    kept = "".join(letter for letter in text if letter in symbols)
    return Vocabulary(kept).encode(kept).astype(np.intp)


def batches(ids: Array) -> Iterator[tuple[Array, Array, bool]]:
    """Endless batches in order: what is read, what comes, and whether the states begin anew."""
    rows = max(1, min(BATCH, (len(ids) - 1) // LENGTH))
    chunks = max(1, (len(ids) - 1) // rows // LENGTH)
    while True:
        for k in range(chunks):
            reads, comes = chunk(ids, rows, k * LENGTH, (k + 1) * LENGTH)
            yield reads, comes, k == 0


def reference(cell: Cell, ids: Array, steps: int) -> list[tuple[int, float]]:
    """Python's run: (step, bits a letter), the mean of every ten steps."""
    model = readout(cell, SYMBOLS, symbols=SYMBOLS)
    own: dict[str, Any] = sizes(cell)
    learner = Learner(model, optimiser=Adam(RATE), clip=CLIP, parameters=start(cell), **own)
    states: Mapping[str, Any] = {}
    costs: list[float] = []
    for reads, comes, anew in batches(ids):
        found = learner.step(reads, comes, **({} if anew else {"initial": states}))
        states = found.final
        costs.append(bits(found.loss))
        if len(costs) == steps:
            break
    means = np.reshape(costs[: steps // EVERY * EVERY], (-1, EVERY)).mean(axis=1)
    return [(EVERY * (k + 1), round(float(mean), 4)) for k, mean in enumerate(means)]
