"""Bach's chorales: the plain network, the GRU, the LSTM, its variants and MUT1 to MUT3."""

from __future__ import annotations

import functools
import json
import math
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.experiments.parts import STORE, Part, spread, table
from tinygrad_lstm import Cell, cell, cells, layer, matvec
from tinygrad_lstm.learning import Adam, Batch, Task, Training, tasks
from tinygrad_lstm.searching.trials import sizes_of

CELLS = (
    "rnn", "gru", "lstm", "odyssey_vanilla", "nig", "nfg", "nog", "niaf", "noaf", "cifg", "np",
    "fgr", "mut1", "mut2", "mut3",
)  # fmt: skip
PARAMETERS, RATES, SEEDS, STEPS, EVERY, NOISE = 20_000, (0.002, 0.005, 0.01), 3, 1500, 50, 0.075
PAPER = {"rnn": 8.91, "gru": 8.43, "lstm": 8.45}  # Bai, Kolter and Koltun 2018, table 1


@layer(x="inputs", parameters={"W": "outputs, inputs", "b": "outputs"})
def reading(now, x, p):  # type: ignore[no-untyped-def]
    """A chord at the width of the state, for cells that add x to it."""
    now.y = matvec(p.W, x) + p.b


@functools.cache
def contender(name: str) -> Cell:
    """A cell; one whose x is as wide as its state reads through a layer, as in its paper."""
    inner = cells.all()[name]
    if inner.x != "hidden":
        return inner

    @cell(state="h", parts={"read": reading.sized(outputs="hidden"), "rnn": inner})
    def read_first(now, prev, x, p, part):  # type: ignore[no-untyped-def]
        now.h = part.rnn(part.read(x), prev)

    read_first.name = f"{name}_read"
    return read_first


def without_first(task: Task) -> Task:
    """The task whose held-out pieces' first step is read and not scored."""

    def later(batch: Batch) -> Batch:
        weights = np.ones(batch.target.shape[:2])
        weights[0] = 0.0
        return replace(batch, weights=weights)

    return replace(task, test=lambda: [later(batch) for batch in task.tests()])


def run(name: str, rate: float, seed: int, steps: int) -> dict[str, Any]:
    """Train; the parameters of the best record on the validation pieces are tested."""
    path = os.environ.get("PIANO_ROLLS", "")
    valid = tasks.find("piano-rolls", path=path, held_out="valid")
    test = tasks.find("piano-rolls", path=path, held_out="test")
    own = contender(name)
    training = Training(
        valid, own, optimiser=Adam(rate), batch=16, seed=seed, every=EVERY, weight_noise=NOISE,
        clip=1.0, **sizes_of(own, valid.inputs, {"parameters": PARAMETERS}),
    )  # fmt: skip
    best, kept = math.inf, dict(training.parameters)
    curve = []

    def watch(progress: Any) -> None:
        nonlocal best, kept
        if progress.record:
            nats = progress.record.measures["nats"]
            curve.append([progress.step, round(nats, 4)])
            if nats < best:
                best, kept = nats, {n: v.copy() for n, v in training.parameters.items()}

    training.run(steps=steps, report=watch)
    found = training.measure(test, kept)
    later = training.measure(without_first(test), kept)
    return {
        "valid": round(best, 4),
        "test": round(found["nats"], 4),
        "test without the first step": round(later["nats"], 4),
        "accuracy": round(found["accuracy"], 4),
        "parameters": int(sum(v.size for n, v in kept.items() if not n.startswith("output."))),
        "steps": training.state.step,
        "best at": min(curve, key=lambda p: p[1])[0] if curve else 0,
        "curve": curve[:: max(1, len(curve) // 15)],
    }


def stored() -> dict[str, Any]:
    """What is there already, to choose the rate by."""
    path = STORE / "jsb-chorales.json"
    rows = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {key: row["result"] for key, row in rows.items()}


def best_rate(name: str, found: dict[str, Any]) -> float:
    """The rate with the best validation, of seed 0."""
    tried = {r: found[f"{name}, rate {r:g}"] for r in RATES if f"{name}, rate {r:g}" in found}
    return min(tried, key=lambda r: float(tried[r]["valid"])) if tried else RATES[1]


def parts(budget: float) -> list[Part]:
    """For each cell its rates with one seed, then further seeds at the best of them."""
    if not os.environ.get("PIANO_ROLLS"):
        print("jsb-chorales needs --data PATH, a file of piano rolls: see `tinygrad-lstm tasks`")
        return []
    steps, seeds = max(EVERY, round(STEPS * budget)), max(1, math.ceil(SEEDS * min(1, budget)))

    def one(name: str, rate: float) -> Callable[[], dict[str, Any]]:
        return lambda: run(name, rate, 0, steps)

    def more(name: str, seed: int) -> Callable[[], dict[str, Any]]:
        return lambda: {
            "rate": best_rate(name, stored()), **run(name, best_rate(name, stored()), seed, steps),
        }  # fmt: skip

    return [Part(f"{c}, rate {r:g}", one(c, r)) for r in RATES for c in CELLS] + [
        Part(f"{c}, seed {s}", more(c, s)) for s in range(1, seeds) for c in CELLS
    ]


def page(found: dict[str, Any]) -> str:
    """Negative log-likelihoods beside those that were published and could be checked."""
    lines = []
    for name in CELLS:
        if not any(key.startswith(f"{name}, ") for key in found):
            continue
        rate = best_rate(name, found)
        rows = [found[f"{name}, rate {rate:g}"]] if f"{name}, rate {rate:g}" in found else []
        rows += [found[k] for s in range(1, SEEDS) if (k := f"{name}, seed {s}") in found]
        tried = sum(f"{name}, rate {r:g}" in found for r in RATES)
        lines.append(
            (name, rows[0]["parameters"], f"{rate:g} of {tried}", len(rows),
             spread([r["valid"] for r in rows], 4), spread([r["test"] for r in rows], 4),
             spread([r["test without the first step"] for r in rows], 4),
             f"{PAPER[name]:.2f}" if name in PAPER else "")
        )  # fmt: skip
    head = ["cell", "parameters", "rate, of tried", "seeds", "valid", "test", "test, first step "
            "not scored", "published"]  # fmt: skip
    return f"""
Which of 88 keys sound at the next quarter of a chorale: nats a step, summed over keys, averaged
over steps, on the benchmark's own split (229, 76 and 77 pieces). Each cell has about {PARAMETERS:,}
parameters, the read-out not counted; `mut1` and `mut2` read through a layer, whose weights count.
Adam, weight noise {NOISE}, batches of 16 pieces, gradient norm at most 1, at most {STEPS:,} steps
at full size; the rate is chosen and the training stopped by the validation pieces.

{table(head, lines)}

Published are the figures of Bai, Kolter and Koltun (2018, table 1; read in the paper), of networks
with about 300,000 parameters, where the first step is not scored: they belong beside the last
column but one, and are of larger networks. Differences below 0.1 mean nothing with so few seeds.
`gru` is written without biases, as in the essay: at the first step, whose x is zero, its state is
zero as well, and only the read-out's bias speaks. That is what it loses there, and no other cell.
The figures of Greff et al. and of Jozefowicz et al. could not be checked against the papers and
are not repeated.

The file is not part of this project (`--data PATH`).
"""
