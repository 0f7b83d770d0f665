"""Cells of one unit: odd ones, random numbers for any, and what the engine computes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import viz_cells
from odd_cells import CELLS

from tinygrad_lstm import cell, cells, matvec, sigmoid, softmax, tanh
from tinygrad_lstm.program import Program
from tinygrad_lstm.step import Cell

# mypy: disallow-untyped-defs=False


@cell(state="h", parameters={"W": "hidden, hidden + inputs"})
def twice(now, prev, x, p):
    """One weight matrix inside two functions, and its product by itself: each a value apart."""
    now.a = matvec(p.W, concatenated(prev.h, x))
    now.b = sigmoid(matvec(p.W, concatenated(prev.h, x)))
    now.constructor = tanh(matvec(p.W, concatenated(prev.h, x)))
    now.h = now.a * now.b - (now.constructor - 2 * prev.h) / (1 + now.b**2)


@cell(state="h", parameters={"W": "hidden, 1 + hidden + inputs", "v": "3 * hidden"})
def several(now, prev, x, p):
    """Values with several entries, reductions over them."""
    now.s = softmax(p.v * sigmoid(p.v - prev.h[0]))
    now.m = p.v.max() + now.s.mean() - np.cumsum(now.s)[1:2]
    now.h = tanh(matvec(p.W, concatenated(now.m, prev.h, x))) * now.m


def concatenated(*parts: Any) -> Any:
    return np.concatenate(parts)


@cell(state="h", parameters={"W": "hidden, hidden"})
def clipped(now, prev, x, p):
    """A bound that is missing on one side."""
    now.h = np.clip(matvec(p.W, prev.h) + x, None, 0.5) * x


@cell(state="h", parameters={"W_c W_d": "hidden, hidden"})
def looped(now, prev, x, p):
    """Nothing here is a function of a pre-activation."""
    now.c = matvec(p.W_c, prev.h) * matvec(p.W_d, prev.h)
    now.h = now.c + x


@cell(state="h", parameters={"W": "hidden, hidden"})
def second(now, prev, x, p):
    """Made for at least two units."""
    now.h = matvec(p.W, prev.h) * prev.h[1]


# --- the two sides ------------------------------------------------------------------------------
def drawn(one: Cell, random: np.random.Generator) -> dict[str, Any]:
    """Random numbers for every input and seed of a cell's Program at size 1; further inputs 1."""
    program = one.program(**dict.fromkeys(one.sizes, 1))
    arrays: dict[str, Any] = {
        name: random.normal(0.0, 1.5, node.shape) for name, node in program.inputs.items()
    }
    for name in (*one.sequences, *one.constants):
        arrays[name] = np.ones_like(arrays[name])
    for name in one.state:
        arrays[f"seed.{name}"] = random.normal(size=program.outputs[name].shape)
    return arrays


def for_page(one: Cell, arrays: dict[str, Any]) -> list[dict[str, Any]]:
    """The same numbers as the printed functions take them: values and seeds."""

    def plain(name: str) -> Any:
        flat = np.ravel(arrays[name]).tolist()
        return flat[0] if len(flat) == 1 else flat

    values = {
        "prev": {name: plain(f"prev.{name}") for name in one.state},
        "x": plain("x"),
        "p": {name: plain(name) for name in one.parameters},
        "given": {name: plain(name) for name in (*one.sequences, *one.constants)},
    }
    return [values, {name: plain(f"seed.{name}") for name in one.state}]


def engine(program: Program, gradient: Program, arrays: dict[str, Any]) -> dict[str, Any]:
    """What the engine computes: every value and every adjoint."""
    forward = {n: a for n, a in arrays.items() if not n.startswith("seed.")}
    run = gradient.run(**arrays)
    found = {f"now.{n}": v for n, v in program.run(**forward).items()}
    found |= {f"bar.{n}": run[f"bar.{n}"] for n in program.equations if f"bar.{n}" in run}
    for name in program.inputs:
        space, _, state = name.partition(".")
        found[f"earlier.{state}" if space == "prev" else f"inputs.{name}"] = run[name]
        if space != "prev" and name not in program.equations:
            found[f"bar.{name}"] = run[name]
    return found


ALL = {
    **cells.all(),
    "exotic": viz_cells.exotic,
    "exponential": viz_cells.exponential,
    "deep": viz_cells.deep,
    "twice": twice,
    "several": several,
    **{name: one for name, one in CELLS.items() if name != "second_unit"},
}
