"""What running a cell needs, as arrays; drawn at random by a generator of NumPy's.

    case = random_inputs(cells.lstm, steps=5, batch=2)
    run = case.unroll()

It needs neither Hypothesis nor pytest: commands, exercises and figures draw from here, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.grids import Grid
from tinygrad_lstm.networks import Part
from tinygrad_lstm.program import Program
from tinygrad_lstm.running import Run, unroll
from tinygrad_lstm.tensor import Array


@dataclass(frozen=True)
class Case:
    """One small problem for a cell: everything that `unroll` needs, as arrays.

    xs: (time, inputs) or (time, batch, inputs); initial: (hidden,) or (batch, hidden); further
    have their own axes, after those of time and batch where they have any.
    """

    cell: Any
    sizes: dict[str, int]
    parameters: dict[str, Array]
    xs: Array
    initial: dict[str, Array]
    further: dict[str, Array] = field(default_factory=dict)

    def unroll(self, network: Any = None, **options: Any) -> Run:
        """The run of the cell, or of a network with the same parameters, as a compiled cell is."""
        p = self.cell.bind(self.parameters, **self.sizes)
        return unroll(network or self.cell, p, self.xs, self.initial, **self.further, **options)

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """The axes of the batch."""
        return self.xs.shape[self.front : self.xs.ndim - len(dimensions.parse(self.cell.x))]

    @property
    def front(self) -> int:
        """How many axes of xs stand before those of the batch: 1, of a grid its own."""
        return int(getattr(self.cell, "spatial", 1))

    @property
    def time(self) -> int:
        """The number of steps."""
        return int(self.xs.shape[0])

    def sample(self, k: int) -> Case:
        """The k-th sample of a batch alone."""
        declared, further = self.cell.input_shapes(**self.sizes), {}
        places: tuple[Any, ...] = (slice(None),) * self.front
        for name, array in self.further.items():
            front = places if name in self.cell.sequences else ()
            each = array.ndim > len(front) + len(declared[name])
            further[name] = array[(*front, k)] if each else array
        initial = {name: array[k] for name, array in self.initial.items()}
        return replace(self, xs=self.xs[(*places, k)], initial=initial, further=further)

    def steps(self, part: slice) -> Case:
        """Some of the steps."""
        sequences = self.cell.sequences
        cut = {n: v[part] if n in sequences else v for n, v in self.further.items()}
        return replace(self, xs=self.xs[part], further=cut)

    def __repr__(self) -> str:
        lines = [f"{self.cell}: sizes {', '.join(f'{k}={n}' for k, n in self.sizes.items())}"]
        initial = {f"initial {name}": value for name, value in self.initial.items()}
        for name, value in {**self.parameters, "xs": self.xs, **initial, **self.further}.items():
            body = np.array2string(value, precision=4, separator=", ", threshold=200)
            body = body.replace("\n\n", "\n").replace("\n", "\n" + " " * (len(name) + 5))
            lines.append(f"  {name} = {body}")
        return "\n".join(lines)


def random_inputs(
    cell: Part,
    sizes: Mapping[str, int] | None = None,
    steps: int = 3,
    batch: int | None = None,
    rng: np.random.Generator | int = 0,
    scale: float = 0.8,
) -> Case:
    """Random numbers for a cell: parameters from N(0, scale²), all else from N(0, 1).

    sizes: small ones, all different, unless told. batch: None for one sequence without that axis;
    of a batch each sample has its own x and states, and all share the further inputs. rng: a
    generator, or its seed.
    """
    random = np.random.default_rng(rng)
    sizes = cell.complete(sizes or cell.small_sizes())
    shapes = cell.input_shapes(**sizes)
    if isinstance(cell, Grid) and cell.layers:
        own = cell.block.input_shapes(**sizes)
        shapes = {**shapes, **{n: own[n.partition(".")[2]] for n in cell.parameters}}
    batch_shape = () if batch is None else (batch,)

    places = (steps,) * int(getattr(cell, "spatial", 1))

    def draw(name: str, *front: int, scale: float = 1.0) -> Array:
        return random.normal(0.0, scale, (*front, *shapes[name]))

    return Case(
        cell,
        {name: sizes[name] for name in cell.sizes},
        parameters={name: draw(name, scale=scale) for name in cell.parameters},
        xs=draw("x", *places, *batch_shape),
        initial={
            name: draw(f"prev.{name}", *batch_shape)
            for name in cell.state
            if name not in getattr(cell, "wired_states", ())
        },
        further={name: draw(name, *places) for name in cell.sequences}
        | {name: draw(name) for name in cell.constants},
    )


def random_arrays(
    program: Program, rng: np.random.Generator | int = 0, scale: float = 0.8
) -> dict[str, Array]:
    """An array from N(0, scale²) for every input of a Program: `program.run(**arrays)`."""
    random = np.random.default_rng(rng)
    return {name: random.normal(0.0, scale, node.shape) for name, node in program.inputs.items()}
