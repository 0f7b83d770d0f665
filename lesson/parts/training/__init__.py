"""A small network that learns in the page: any cell, by its compiled step and Adam, in a worker.

What the page computes at each step is what `learning.Learner` computes: the same start, the same
batches, the same rule, in double precision. Without JavaScript the curve of Python's own run is
there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from lesson.charts import Curve, chart
from lesson.numbers import titled
from lesson.page import asset, render
from lesson.page_models import bare
from lesson.parts.training import plans
from lesson.parts.training.plans import LENGTH, SYMBOLS
from lesson.prose import Texts
from lesson.subject import Subject
from tinygrad_lstm import cells
from tinygrad_lstm.learning import Adam, InverseRoot, Learner, Vocabulary, bits
from tinygrad_lstm.learning.texts import chunk
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array

BATCH, RATE, SLOWER, CLIP = 8, 0.01, 100, 5.0  # after SLOWER steps the rate is its √½
LETTERS, STEPS, EVERY = 6000, 300, 10  # of the text; of Python's own run
LEAST, SHARE = 1000, 10  # of so many letters one in ten is held out


def markup(subject: Subject) -> Markup:
    """The controls' place, what a worker needs for each cell, and the curve of Python's run."""
    offered = {name: cell for name, cell in candidates(subject).items() if plans.printed(cell)}
    first = next(iter(offered))
    text = excerpt(subject.text.characters)
    curve = reference(offered[first], learned(numbers(text)), STEPS)
    facts = {"steps": str(STEPS), "bits": f"{curve[-1][1]:.2f}", "first": titled(first)}
    t = Texts("training", facts)
    drawn = chart(
        [Curve(titled(first), curve, "c1")],
        t.plain("steps_axis"),
        t.plain("bits_axis"),
        "training-caption",
    )
    missing = "" if subject.cell.name in offered else titled(subject.cell.name)
    return render(
        __name__,
        t=t,
        text=text,
        chart=drawn,
        missing=missing,
        learner=json.dumps(content(offered)),
        training={
            "cells": {name: titled(name) for name in offered},
            "first": first,
            "reference": curve,
            "rate": RATE,
            "settings": settings(),
        },
    )


def candidates(subject: Subject) -> dict[str, Cell]:
    """The page's own cell first, and all that are built in."""
    return {subject.cell.name: subject.cell, **cells.all()}


def settings() -> dict[str, Any]:
    """What a learner in the page goes by."""
    return {
        "symbols": SYMBOLS,
        "batch": BATCH,
        "length": LENGTH,
        "slower": SLOWER,
        "clip": CLIP,
        "held": {"least": LEAST, "share": SHARE},
        "streams": plans.generators(),
    }


def content(offered: Mapping[str, Cell]) -> dict[str, Any]:
    """The worker's scripts, and of each cell its code, its start and its further inputs."""
    return {
        "worker": [bare(asset(__name__, f"{name}.js")) for name in ("learner", "worker")],
        "cells": {name: about(cell) for name, cell in offered.items()},
    }


def about(cell: Cell) -> dict[str, Any]:
    """A cell for a learner in the page."""
    start = plans.packed(cell)
    given = plans.further(cell).inputs
    return {
        "code": plans.printed(cell),
        "start": start,
        "width": start["input.E"]["shape"][1],
        "further": {name: array.reshape(-1).tolist() for name, array in given.items()},
    }


def excerpt(text: str) -> str:
    """The beginning of a text, to the end of a line."""
    end = text.find("\n", LETTERS)
    return text[: end if 0 < end < 2 * LETTERS else LETTERS].strip()


def numbers(text: str) -> Array:
    """The numbers of a text's letters in its own order; of too many those that come first."""
    symbols = Vocabulary(text).symbols[:SYMBOLS]
    kept = "".join(letter for letter in text if letter in symbols)
    return Vocabulary(kept).encode(kept).astype(np.intp)


def learned(ids: Array) -> Array:
    """What it learns from: without the end that is held out, where there is enough."""
    return ids[: len(ids) - (len(ids) // SHARE if len(ids) >= LEAST else 0)]


def batches(ids: Array) -> Iterator[tuple[Array, Array, bool]]:
    """Endless batches in order: what is read, what comes, and whether the states begin anew."""
    rows = max(1, min(BATCH, (len(ids) - 1) // LENGTH))
    chunks = max(1, (len(ids) - 1) // rows // LENGTH)
    while True:
        for k in range(chunks):
            reads, comes = chunk(ids, rows, k * LENGTH, (k + 1) * LENGTH)
            yield reads, comes, k == 0


def learner(cell: Cell) -> Learner:
    """Python's learner of a cell, from the page's start by the page's rule."""
    own: dict[str, Any] = plans.sizes(cell)
    return Learner(
        plans.model(cell),
        optimiser=Adam(RATE),
        clip=CLIP,
        schedule=InverseRoot(SLOWER),
        parameters=plans.start(cell),
        dtype=np.float64,
        **own,
    )


def costs(one: Learner, ids: Array, further: Mapping[str, Array]) -> Iterator[float]:
    """Endless steps of a learner: the bits a letter of each batch, before its step."""
    states: Mapping[str, Any] = {}
    for reads, comes, anew in batches(ids):
        found = one.step(reads, comes, further=further, **({} if anew else {"initial": states}))
        states = found.final
        yield bits(found.loss)


def reference(cell: Cell, ids: Array, steps: int) -> list[tuple[int, float]]:
    """Python's run: (step, bits a letter), the mean of every ten steps."""
    run = costs(learner(cell), ids, plans.further(cell).inputs)
    found = [next(run) for _ in range(steps // EVERY * EVERY)]
    means = np.reshape(found, (-1, EVERY)).mean(axis=1)
    return [(EVERY * (k + 1), round(float(mean), 4)) for k, mean in enumerate(means)]
