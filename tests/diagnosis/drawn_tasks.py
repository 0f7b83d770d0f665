"""Numbers for cells of every sort: built-in, posted and drawn at random, of sizes that coincide."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from corpus import CELLS, INPUTS
from corpus import draw as posted
from wrong_programs import Task

from tinygrad_lstm import Cell, cell, cells, concat, sigmoid, tanh
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.testing.inputs import random_inputs


def random_cell(seed: int) -> Cell:
    """A gated cell with one or two states, drawn by number."""
    random = np.random.default_rng(seed)
    states = ["h", "C"][: random.integers(1, 3)]
    gates = [f"g{k}" for k in range(random.integers(1, 5))]
    apart, peep = random.random() < 0.3, random.random() < 0.3
    bounded = [random.random() < 0.6 for _ in gates]
    parameters = {f"b_{g}": "hidden" for g in gates}
    if apart:
        parameters |= {f"W_{g}": "hidden, inputs" for g in gates}
        parameters |= {f"U_{g}": "hidden, hidden" for g in gates}
    else:
        parameters |= {f"W_{g}": "hidden, hidden + inputs" for g in gates}
    if peep:
        parameters |= {f"p_{g}": "hidden" for g in gates}
    picks = random.integers(0, len(gates), 12)
    form = random.integers(0, 3)

    def step(now: Any, prev: Any, x: Any, p: Any) -> None:
        for g, sigmoidal in zip(gates, bounded, strict=True):
            if apart:
                z = p[f"W_{g}"] @ x + p[f"U_{g}"] @ prev.h + p[f"b_{g}"]
            else:
                z = p[f"W_{g}"] @ concat(prev.h, x) + p[f"b_{g}"]
            if peep:
                z = z + p[f"p_{g}"] * prev[states[-1]]
            now[g] = (sigmoid if sigmoidal else tanh)(z)
        a, b, c = (now[gates[k]] for k in picks[:3])
        if len(states) == 2:
            now.C = a * prev.C + (b * c if form else (1 - a) * b)
            now.h = now[gates[picks[3]]] * tanh(now.C)
        else:
            now.h = a * prev.h + (1 - a) * b if form else tanh(a * b + prev.h)

    made: Any = cell(state=" ".join(states), parameters=parameters)(step)
    return made  # type: ignore[no-any-return]


def pool() -> list[Cell]:
    """Every built-in and posted cell that can be differentiated."""
    return [*cells.all().values(), *CELLS.values()]


def sizes_of(own: Cell, random: np.random.Generator) -> dict[str, int]:
    """Sizes of 1 to 4, in a third of the cases all the same."""
    same = int(random.integers(1, 5)) if random.random() < 0.3 else 0
    sizes = dict(own.small_sizes())
    for name in ("hidden", "inputs"):
        if name in sizes:
            sizes[name] = same or int(random.integers(1, 5))
    try:
        full = own.complete(sizes)
        own.program(**full)
    except TinygradError:
        return dict(own.small_sizes())
    return full


def draw_task(own: Cell, seed: int, steps: int = 0, batch: int = 0) -> Task:
    """Numbers for a cell: 1 to 8 steps and a batch of 1 to 4 unless told."""
    random = np.random.default_rng([seed, 1])
    steps, batch = steps or int(random.integers(1, 9)), batch or int(random.integers(1, 5))
    sizes = sizes_of(own, random)
    if own.name in INPUTS and own is CELLS.get(own.name):
        q = posted(own, steps, batch, seed, **{n: s for n, s in sizes.items() if n in own.sizes})
        p, xs, initial, further, sizes = q.p, q.xs, q.initial, q.further, q.sizes
    else:
        case = random_inputs(own, sizes, steps, batch, rng=seed)
        p, xs, initial, further = case.parameters, case.xs, case.initial, case.further
        sizes = case.sizes
    program = own.program(**sizes)
    h_bar = random.standard_normal((steps, batch, *program.equations[own.output].shape))
    further = {n: v for n, v in further.items()}
    return Task(own, sizes, dict(p), xs, h_bar, dict(initial), further)


def tasks(seed: int, part: float = 0.1) -> Any:
    """Tasks without end: cells in turn, a part of them drawn at random."""
    random = np.random.default_rng(seed)
    every = pool()
    for k in itertools.count():
        own = (
            random_cell(int(random.integers(1 << 30)))
            if random.random() < part
            else every[int(random.integers(len(every)))]
        )
        yield k, own, int(random.integers(1 << 30)), random
