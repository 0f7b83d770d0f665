"""Backpropagation through time, line by line; a gradient as a sum; the additive path."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

import equations
import viz
from lesson import formulas
from lesson.chapters import Content
from lesson.numbers import percent
from lesson.subject import Subject
from tinygrad_lstm import Tensor, unroll
from tinygrad_lstm.step import Cell
from viz.scene import Scene

ORDER = 70

SPAN = 10  # characters over which a product of forget gates is taken


def content(subject: Subject) -> Content:
    """The whole backward step, the derivation of one weight's gradient, a small run's graph."""
    cell = subject.cell
    weight = main_weight(cell)
    facts: dict[str, Any] = {"nine": percent(0.9**10), "span": str(SPAN)}
    if subject.is_lstm:
        facts |= _belt_facts(subject)
    more = {
        "backward": formulas.backward(cell),
        "derivation": list(equations.derive(cell, weight)) if weight else [],
    }
    graph = viz.graph(small_run(cell), fold="equation")
    shapes = [shape for shape in graph.scene.shapes if shape.id != "key"]  # the caption says it
    graph = replace(graph, scene=Scene(shapes, graph.scene.wires))
    return Content(facts, {"graph": graph}, more)


def main_weight(cell: Cell) -> str | None:
    """The parameter whose gradient the page derives: the first matrix, if there is one."""
    matrices = [name for name, words in cell.parameters.items() if "," in words]
    return next(iter([*matrices, *cell.parameters]), None)


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


def small_run(cell: Cell) -> Tensor:
    """A cell of the smallest size over two inputs, after backward."""
    sizes = {name: cell.bounds.get(name, 1) for name in cell.sizes}
    p = cell.init(seed=3, **sizes)
    shape = cell.program(**sizes).inputs["x"].shape
    run = unroll(cell, p, np.stack([np.full(shape, 1.0), np.full(shape, -0.5)]))
    loss: Tensor = 0.5 * (run.steps[-1][cell.output] - 1.0) ** 2
    loss = loss.sum()
    loss.name = "L"
    loss.backward()
    return loss
