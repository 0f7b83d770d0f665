"""What a step is tried on: random numbers, many of them with some inputs set to zero.

Where an input is zero, what depends on it is the same with and without a mistake; so of two
mistakes at once each shows alone somewhere.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from tinygrad_lstm.diagnosis.rewrites import Array, Values
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.program import Program
from tinygrad_lstm.step import Cell


class Problem:
    """Inputs of a cell for several probes, each with parameters of its own and a small batch.

    p: (probes, own axes); xs: (time, probes, batch, own axes); initial: (probes, batch, own axes);
    further: (time, own axes) of sequences, own axes of constants.
    """

    def __init__(
        self,
        cell: Cell,
        sizes: Mapping[str, int],
        p: Mapping[str, Array],
        xs: Array,
        initial: Mapping[str, Array],
        further: Mapping[str, Array],
    ) -> None:
        self.cell, self.sizes, self.p, self.xs = cell, dict(sizes), dict(p), xs
        self.initial, self.further = dict(initial), dict(further)
        self.time, self.probes, self.batch = xs.shape[:3]
        self.program: Program = cell.program(**self.sizes)
        self._values: dict[str, Values] = {}

    @classmethod
    def draw(
        cls,
        cell: Cell,
        sizes: Mapping[str, int],
        steps: int,
        batch: int,
        probes: int,
        seed: int,
        from_start: bool,
    ) -> Problem:
        """A problem of random numbers; the first probe has no zeros that were put there.

        from_start: begin from what the cell's states start from, not from random states.
        """
        random = np.random.default_rng(seed)
        inputs = cell.program(**sizes).inputs

        def normal(name: str, *front: int, scale: float = 1.0) -> Array:
            return random.normal(0.0, scale, (*front, *inputs[name].shape))

        p = {name: normal(name, probes, scale=0.8) for name in cell.parameters}
        xs = normal("x", steps, probes, batch)
        initial = {name: normal(f"prev.{name}", probes, batch) for name in cell.state}
        if from_start:
            initial = {
                name: np.broadcast_to(
                    cell.initial(name, inputs[f"prev.{name}"].shape, float), array.shape
                ).copy()
                for name, array in initial.items()
            }
        for k in range(1, probes):
            for array in [*p.values(), *([] if from_start else initial.values())]:
                if random.random() < 0.4:
                    array[k] = 0.0
            if random.random() < 0.2:
                xs[:, k] = 0.0
        further = {name: normal(name, steps) for name in cell.sequences}
        further |= {name: normal(name) for name in cell.constants}
        return cls(cell, sizes, p, xs, initial, further)

    def probe(self, k: int) -> tuple[dict[str, Array], Array, dict[str, Array]]:
        """Copies of p, xs (time, batch, …) and the first states of one probe."""
        return (
            {name: np.array(array[k]) for name, array in self.p.items()},
            np.array(self.xs[:, k]),
            {name: np.array(array[k]) for name, array in self.initial.items()},
        )

    # --- running ---------------------------------------------------------------------------------
    def run(self, program: Program, over: str = "") -> dict[str, Array]:
        """Every equation over time, (time, probes · batch, own axes)."""
        if over == "axes":
            return self._other_axes(program)
        states = start = self._flat_states(self.initial)
        steps: list[dict[str, Array]] = [{}] * self.time
        moments = range(self.time)
        for t in reversed(moments) if over == "reversed" else moments:
            found = self._at(t, start if over == "not carried" else states)(program)
            new = {name: found[name] for name in self.cell.state}
            steps[t] = {**found, **states} if over == "late" else found
            states = new
        return {name: np.stack([step[name] for step in steps]) for name in steps[0]}

    def _other_axes(self, program: Program) -> dict[str, Array]:
        """The first axis of xs taken for the batch, the second for time."""
        turned = self._turned
        return {
            name: _split(array, self.probes).swapaxes(0, 2).reshape(
                self.time, self.probes * self.batch, *array.shape[2:]
            )
            for name, array in turned.run(program).items()
        }  # fmt: skip

    @cached_property
    def _turned(self) -> Problem:
        initial = {
            name: np.repeat(array[:, :1], self.time, axis=1) for name, array in self.initial.items()
        }
        xs = self.xs.swapaxes(0, 2)
        return Problem(self.cell, self.sizes, self.p, xs, initial, self.further)

    def _flat_states(self, initial: Mapping[str, Array]) -> dict[str, Array]:
        return {name: _flat(array) for name, array in initial.items()}

    def _at(self, t: int, states: Mapping[str, Array]) -> Values:
        """What computes step t; of a single step all that no change reaches is kept."""
        if self.time == 1 and "" in self._values:
            return self._values[""]
        inputs = self.program.inputs
        leaves = dict(self._fixed)
        leaves[inputs["x"]] = _flat(self.xs[t])
        leaves |= {inputs[f"prev.{name}"]: state for name, state in states.items()}
        samples = self.probes * self.batch
        for name, array in self.further.items():
            own = array[t] if name in self.cell.sequences else array
            leaves[inputs[name]] = np.broadcast_to(own, (samples, *own.shape))
        values = Values(leaves, samples)
        if self.time == 1:
            values.add(self.program)
            self._values[""] = values
        return values

    @cached_property
    def _fixed(self) -> dict[Any, Array]:
        inputs = self.program.inputs
        return {inputs[n]: np.repeat(array, self.batch, axis=0) for n, array in self.p.items()}


def distinct_sizes(cell: Cell, taken: Collection[int]) -> dict[str, int]:
    """Sizes of which no two are the same, nor one that is taken."""
    small = {name: n for name, n in cell.small_sizes().items() if name in cell.sizes}
    sizes, known = dict(small), set(taken)
    for name, n in small.items():
        while n in known:
            n += 1
        sizes[name] = n
        known.add(n)
    try:
        return cell.complete(sizes)
    except TinygradError:
        return cell.complete(small)


def _flat(array: Array) -> Array:
    """Probes and batch as one axis."""
    return array.reshape(array.shape[0] * array.shape[1], *array.shape[2:])


def _split(array: Array, probes: int) -> Array:
    """(time, probes · batch, …) as (time, probes, batch, …)."""
    return array.reshape(array.shape[0], probes, -1, *array.shape[2:])
