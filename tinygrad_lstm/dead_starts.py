"""Start values with which nothing can be learned: gradients that stay 0 on random data."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.batching import Lifted
from tinygrad_lstm.declarations import Declarations
from tinygrad_lstm.program import Program
from tinygrad_lstm.tensor import Array, Tensor, constant, pullback


def warn_of_dead_starts(
    cell: Declarations,
    program: Program,
    initial: Mapping[str, Array],
    start: Mapping[str, Any],
    chosen: Collection[str],
) -> None:
    """Warn of start values with which gradients stay 0, so that nothing is ever learned.

    A gradient of 0 at the start is no harm where a parameter that learns will open its way.
    Those `chosen` by the caller stay and are not named. Three steps on random data, from the
    states `initial`; the loss is a random sum of what is read.
    """
    numbers = {n: v for n, v in start.items() if n in cell.parameters and not isinstance(v, str)}
    zeros = {n for n, words in cell.parameters.items() if len(dimensions.parse(words)) < 2}
    fixed = {
        n: float(numbers.get(n, 0.0))
        for n in cell.parameters
        if n in numbers or n in zeros - {*start}
    }
    lifted, read = Lifted(program.equations, program.inputs), cell.loss or cell.output
    others = {*cell.parameters} - {*fixed} or {*cell.parameters}

    def moved(free: set[str]) -> set[str]:
        """The parameters whose gradient is not 0 where those of `free` are random, too."""
        random = np.random.default_rng(0)
        values = {}
        for name in cell.parameters:
            drawn = random.uniform(-1.0, 1.0, program.inputs[name].shape)
            stays = name in fixed and name not in free
            values[name] = Tensor(np.full(drawn.shape, fixed[name]) if stays else drawn)
        states = {f"prev.{name}": constant(array) for name, array in initial.items()}
        total = Tensor(0.0)
        for _ in range(3):
            data = {
                name: constant(random.uniform(-1.0, 1.0, node.shape))
                for name, node in program.inputs.items()
                if name not in values
            }
            step = lifted.nodes([{**values, **data, **states}[name] for name in program.inputs])
            total = total + (step[read] * random.uniform(0.5, 1.5, step[read].shape)).sum()
            states = {name: step[name.removeprefix("prev.")] for name in states}
        adjoints = pullback({total: np.ones(())}, numeric=True)
        return {name for name, t in values.items() if np.any(adjoints.get(t, 0.0) != 0.0)}

    def taught(free: set[str]) -> set[str]:
        learns = moved(free)
        while learns & {*fixed} - free:  # what has a gradient moves, and may open more
            free = free | learns
            learns = moved(free)
        return learns & others

    with np.errstate(all="ignore"):
        free = {name for name in fixed if name not in chosen}
        stuck = taught(free) - taught(set())
        needed = free if stuck else set()
        for name in reversed([*fixed]):  # as few as will do, the first that are declared
            if not stuck - taught(needed - {name}):
                needed = needed - {name}
    if needed:
        dead = [name for name in fixed if name in needed]
        warnings.warn(
            f"{cell}: {', '.join(n for n in cell.parameters if n in stuck)} cannot learn from "
            f"{', '.join(dead)} = {fixed[dead[0]]:g}: at this start the gradient stays 0.\n"
            f'  Declare another start: @cell(start={{"{" ".join(dead)}": 1}}), or '
            f"init({', '.join(f'{name}=1.0' for name in dead)}).",
            stacklevel=3,
        )
