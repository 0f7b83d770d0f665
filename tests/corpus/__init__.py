"""The corpus: cells as people post them, each written afresh from its equations.

`CELLS` maps a cell's name to it. A cell that is written in any file of this folder is found by
itself, and every test over the corpus then runs on it. `INPUTS[name]` says how further inputs,
first states and parameters are drawn which must not be any numbers, such as a mask of zeros and
ones: its file's `inputs`, a mapping of names to functions of a generator and a shape. What it does
not name may be drawn from a normal distribution.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lstm import Cell
from tinygrad_lstm import sizes as dimensions

Draw = Callable[[np.random.Generator, tuple[int, ...]], Any]

CELLS: dict[str, Cell] = {}
INPUTS: dict[str, Mapping[str, Draw]] = {}
for _module in pkgutil.iter_modules(__path__):
    if _module.ispkg:
        continue  # the references
    _file = importlib.import_module(f"{__name__}.{_module.name}")
    for _name, _value in vars(_file).items():
        if isinstance(_value, Cell) and _value.state:
            CELLS[_name] = _value
            INPUTS[_name] = getattr(_file, "inputs", {})


@dataclass(frozen=True)
class Problem:
    """What running a cell needs: `unroll(q.cell, q.p, q.xs, q.initial, **q.further)`, as arrays."""

    cell: Cell
    sizes: dict[str, int]
    p: dict[str, Any]
    xs: Any
    initial: dict[str, Any]
    sequences: dict[str, Any]
    constants: dict[str, Any]

    @property
    def further(self) -> dict[str, Any]:
        """The further inputs, sequences and constants."""
        return self.sequences | self.constants


def draw(
    which: str | Cell, time: int = 5, batch: int | None = None, seed: int = 0, **sizes: int
) -> Problem:
    """A problem for a cell: every number random, each sample with inputs of its own.

    Sizes that are not given are small and all different. Parameters lie around their start values.
    """
    cell = CELLS[which] if isinstance(which, str) else which
    name, drawn = cell.name, INPUTS.get(cell.name, {})
    random = np.random.default_rng([seed, len(name), *name.encode()])
    full = cell.complete({**cell.small_sizes(), **sizes})
    lead = () if batch is None else (batch,)

    def some(what: str, words: str, *axes: int) -> Any:
        own = dimensions.shape(words, full)
        make = drawn.get(what, lambda random, shape: random.standard_normal(shape))
        return np.asarray(make(random, (*axes, *own)))

    start = cell.init(seed=seed, **full)
    p = {}
    for what, words in cell.parameters.items():
        p[what] = some(what, words)
        if what not in drawn:
            p[what] = start[what].numpy() + 0.5 * p[what]
    return Problem(
        cell,
        full,
        p,
        some("x", cell.x, time, *lead),
        {what: some(what, words, *lead) for what, words in cell.state.items()},
        {what: some(what, words, time, *lead) for what, words in cell.sequences.items()},
        {what: some(what, words, *lead) for what, words in cell.constants.items()},
    )
