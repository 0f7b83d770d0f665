"""Mistakes in the loop over the steps and in what it returns, and the drawing of any mistake."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from wrong_programs import Arrays, Task, Wrong, draw_node, draw_nodes, shapes_of

from tinygrad_lstm import Cell


def draw_loop(cell: Cell, random: np.random.Generator) -> Wrong:
    """A mistake in the loop over the steps."""
    state = list(cell.state)[random.integers(len(cell.state))]
    every = "".join(f"lost {n};" for n in cell.state)
    choices = {
        "first step left out": {"step", "sum"},
        "last step left out": {"step", "sum"},
        "loss at the end": {"missing term"},
        "loss before": {"step"},
        f"lost {state};": {"carried", "missing term"},
        every: {"carried"},
        "carried added": {"carried", "double term"},
    }
    what = list(choices)[random.integers(len(choices))]
    return Wrong(frozenset(choices[what]), what, loop=what)


def _each(names: list[str], change: Callable[[Any], Any]) -> Callable[[Arrays, Task], Arrays]:
    return lambda found, task: {n: change(v) if n in names else v for n, v in found.items()}


def draw_result(
    cell: Cell, sizes: Mapping[str, int], steps: int, batch: int, random: np.random.Generator
) -> Wrong | None:
    """A mistake in what the loop returns."""
    shapes = shapes_of(cell, sizes)
    names = list(shapes)
    one = [names[random.integers(len(names))]]
    some = [one, names, [*names, "x"]][random.integers(3)]
    matrices = [n for n, s in shapes.items() if len(s) == 2]
    square = [n for n in matrices if shapes[n][0] == shapes[n][1] > 1]
    twins = [(a, b) for a in names for b in names if a < b and shapes[a] == shapes[b]]
    choices: list[tuple[set[str], str, Callable[[Arrays, Task], Arrays]]] = [
        ({"factor"}, "twice", _each(some, lambda v: 2 * v)),
        ({"sign"}, "negative", _each(some, lambda v: -v)),
    ]
    if batch > 1:
        choices += [
            ({"sum"}, "mean over the batch", _each(some, lambda v: v / batch)),
            ({"factor"}, "times the batch", _each(some, lambda v: v * batch)),
        ]
    if steps > 1:
        choices += [
            ({"sum"}, "mean over the steps", _each(some, lambda v: v / steps)),
            ({"factor"}, "times the steps", _each(some, lambda v: v * steps)),
        ]
    if square:
        name = square[random.integers(len(square))]
        choices.append(({"transpose"}, "transposed", _each([name], lambda v: v.T)))
    if twins:
        a, b = twins[random.integers(len(twins))]
        swapped = lambda found, task: {**found, a: found[b], b: found[a]}  # noqa: E731
        choices.append(({"exchange"}, f"{a} and {b} exchanged", swapped))
    wide = [n for n in matrices if cell.parameters[n] == "hidden, hidden + inputs"]
    if wide:
        inputs = sizes["inputs"]
        rolled = _each(wide, lambda v: np.roll(v, inputs, axis=1))
        choices.append(({"order"}, "[x, h] for [h, x]", rolled))
    kinds, what, result = choices[random.integers(len(choices))]
    return Wrong(frozenset(kinds), what, result=result)


def draw(task: Task, random: np.random.Generator) -> Wrong | None:
    """A mistake of any sort: three of five in a node, one in the loop, one in the result."""
    steps, batch = task.xs.shape[:2]
    sort = random.integers(5)
    if sort < 3:
        return draw_node(task.cell, task.sizes, random)
    if sort == 3:
        return draw_loop(task.cell, random) if steps > 1 else None
    return draw_result(task.cell, task.sizes, steps, batch, random)


def draw_pair(task: Task, random: np.random.Generator) -> tuple[Wrong, Wrong, Wrong] | None:
    """Two mistakes, and both together: in a third of the cases each is in a node."""
    if random.random() < 1 / 3:
        nodes = draw_nodes(task.cell, task.sizes, random, 2)
        return (nodes[0], nodes[1], nodes[2]) if len(nodes) == 3 else None
    one, two = draw(task, random), draw(task, random)
    if one is None or two is None or (one.program and two.program):
        return None
    return one, two, one + two
