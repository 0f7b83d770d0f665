"""Grids: a block whose states move along two axes or more, run by anti-diagonals.

    image (rows, columns, batch, inputs)          the places of one diagonal do not read one another
                                                       0 1 2 3
    h_1, m_1 move right, h_2, m_2 move down            1 2 3 4
                                                       2 3 4 5

`grid(block)` runs all places of a diagonal at once, as lanes: the block's step, each operation
lifted over the lanes as a batch's are, is one step of a cell over diagonals. That cell is what is
interpreted or compiled; the result equals that of loops over rows and columns.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lstm.errors import CellError, DataError, ShapeError, unknown
from tinygrad_lstm.grid_run import run_grid
from tinygrad_lstm.parameters import Parameters
from tinygrad_lstm.program import Program
from tinygrad_lstm.running import Run
from tinygrad_lstm.sequence_inputs import SequenceInputs
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Tensor

DIRECTIONS = ("right", "down", "deep")  # of states whose names end in _1, _2, _3


@dataclass(frozen=True)
class Axis:
    """An axis of a grid: the states that move along it; length: where the input has no such axis.

    tied: whether the blocks along it share their parameters.
    """

    name: str
    states: tuple[str, ...]
    length: int | None = None
    tied: bool = True


class Grid(Cell):
    """A block at each place of a grid, made by `grid`. One step is the block's.

    block: the cell; axes: from the innermost, along which the first states move, outwards. A run's
    values have the axes of the grid in front, the outermost first: (rows, columns, batch, …).
    """

    def __init__(self, block: Cell, axes: Sequence[Axis]) -> None:
        vars(self).update({k: v for k, v in vars(block).items() if k != "prepared"})
        self.block, self.axes_of_grid, self.prepared = block, tuple(axes), {}
        self.name = f"grid_of_{block.name}"
        self.compile: Callable[[Cell], Cell] = _as_it_is
        self._diagonals: dict[Any, Cell] = {}
        self.layers = next((a.length or 0 for a in axes if not a.tied), 0)
        if self.layers:
            own = block.parameters
            every = range(1, self.layers + 1)
            self.parameters = {f"{k}.{n}": words for k in every for n, words in own.items()}

    @property
    def spatial(self) -> int:
        """How many axes of the input come before those of the batch."""
        return sum(axis.length is None for axis in self.axes_of_grid)

    def __str__(self) -> str:
        return f"grid of {self.block}"

    __repr__ = __str__

    def __reduce__(self) -> Any:
        return Grid, (self.block, self.axes_of_grid)

    def with_compiled(self, compile_: Callable[[Cell], Cell]) -> Grid:
        """The same grid whose diagonals are computed by what `compile_` makes of their cell."""
        fast = copy.copy(self)
        fast.compile, fast._diagonals = compile_, {}
        return fast

    # --- what a block has -------------------------------------------------------------------------
    def program(self, **sizes: int) -> Program:
        """The step of one place as a Program, that of the block."""
        return self.block.program(**sizes)

    def complete(self, given: Mapping[str, float], needed: Any = None) -> dict[str, int]:
        """Every size from those that are free, as the block finds them."""
        return self.block.complete(given, needed)

    def init(self, seed: int = 0, dtype: Any = np.float64, **sizes: Any) -> Parameters:
        """Fresh parameters: the block's, or those of each layer under `1.NAME`, `2.NAME`, …."""
        if not self.layers:
            made = self.block.init(seed, dtype, **sizes)
            return Parameters(made.tensors, str(self), made.sizes)
        tensors: dict[str, Tensor] = {}
        for k in range(self.layers):
            own = int(np.random.default_rng([seed, k]).integers(2**31))
            made = self.block.init(own, dtype, **sizes)
            for name, tensor in made.tensors.items():
                tensor.name = f"{k + 1}.{name}"
                tensors[tensor.name] = tensor
        return Parameters(tensors, str(self), made.sizes)

    def infer_sizes(
        self, parameters: Mapping[str, Any], given: Mapping[str, int] | None = None
    ) -> dict[str, int]:
        """The sizes that the shapes of parameters imply; all layers must agree."""
        given = given or (parameters.sizes if isinstance(parameters, Parameters) else {})
        if not self.layers:
            return self.block.infer_sizes(parameters, given)
        found: dict[str, int] = {}
        for k in range(1, self.layers + 1):
            own = {n: parameters[f"{k}.{n}"] for n in self.block.parameters}
            sizes = self.block.infer_sizes(own, given)
            if found and sizes != found:
                raise ShapeError(
                    f"{self}: layer {k} is of {_listed(sizes)}, the first of {_listed(found)}."
                )
            found = sizes
        return found

    # --- running ----------------------------------------------------------------------------------
    def over(self, p: Parameters, inputs: SequenceInputs) -> Run:
        """Run the block over the grid, diagonal after diagonal."""
        if inputs.ragged or inputs.reverse:
            what = "lengths" if inputs.ragged else "reverse"
            raise DataError(
                f"{self} takes no {what}: what is beyond a place's edge is not read by it. Give "
                f"places outside an input of zeros, and flip what is to be read from its end."
            )
        return run_grid(self, p, inputs)

    def diagonal(self, key: Any, make: Callable[[], Cell]) -> Cell:
        """The cell of one diagonal, made once for each kind of call."""
        if key not in self._diagonals:
            self._diagonals[key] = self.compile(make())
        return self._diagonals[key]


# --- making grids ---------------------------------------------------------------------------------
def grid(block: Cell, *, tied: bool = True, **axes: Any) -> Grid:
    """A cell at each place of a grid, its states moving along the grid's axes.

        run = unroll(grid(grid_lstm), p, image)           # (rows, columns, batch, inputs)
        run = unroll(grid(grid_lstm, down="depth", depth=18), p, xs)     # time × depth

    Which states move along which axis the block declares, `@cell(axes={"right": "h_1 m_1", "down":
    "h_2 m_2"})`, or the caller, `right="h_1 m_1"`; otherwise states ending in _1 move right, in _2
    down, in _3 deep. The first axis is the innermost of the input. An axis that the input does not
    have gets a name and a length: `down="depth", depth=18` puts 18 blocks above one another, all of
    which read the x of their step. tied=False gives the blocks along that axis parameters of their
    own, `1.NAME` for the first. `initial={"h_1": …}` is what enters at an edge: the state's own
    shape, with the batch, or with the other axes of the grid in front.

    CellError where a state moves along no axis, or along two.
    """
    if not isinstance(block, Cell) or not block.state:
        raise CellError(f"a grid is made of a cell with states, got {block!r}.")
    if isinstance(block, Grid):
        raise CellError(f"{block} is a grid already.")
    moves = _declared(block)
    lengths = {n: v for n, v in axes.items() if isinstance(v, int) and not isinstance(v, bool)}
    called = {n: n for n in moves}
    told: set[str] = set()
    for name, words in axes.items():
        if name in lengths:
            continue
        if not isinstance(words, str):
            raise CellError(f"{name}= is a text or a length, got {words!r}.")
        own = tuple(words.split())
        if own and all(state in block.state for state in own):
            if twice := told.intersection(own):
                raise CellError(
                    f"grid of {block}: {', '.join(sorted(twice))} moves along several axes."
                )
            told.update(own)
            moves = {n: tuple(s for s in states if s not in own) for n, states in moves.items()}
            moves = {n: states for n, states in moves.items() if states}
            moves[name], called[name] = own, name
        elif name in moves and len(own) == 1:
            called[name] = own[0]
        else:
            what = f"grid of {block}: {name}={words!r} names neither states nor an axis"
            raise unknown(what, "the states are", block.state)
    found = []
    for name, states in moves.items():
        length = lengths.pop(called[name], None)
        if length is None and called[name] != name:
            raise CellError(f"grid of {block}: write {called[name]}=… for its length.")
        if length is not None and length < 1:
            raise CellError(f"grid of {block}: {called[name]} is at least 1, got {length}.")
        found.append(Axis(called[name], states, length, tied or length is None))
    if lengths:
        raise unknown(
            f"grid of {block}: there is no axis {', '.join(lengths)}",
            "the axes are",
            called.values(),
        )
    every = [state for axis in found for state in axis.states]
    for state in block.state:
        if every.count(state) != 1:
            raise CellError(
                f"grid of {block}: the state {state} moves along "
                f"{'no axis' if state not in every else 'several axes'}.\n"
                f'  Write grid({block.name}, right="…", down="…") with the states of each.'
            )
    if not tied and sum(not axis.tied for axis in found) != 1:
        raise CellError(
            f"grid of {block}: tied=False is for one axis with a length, as in "
            f'grid({block.name}, down="depth", depth=6, tied=False).'
        )
    return Grid(block, found)


def _declared(block: Cell) -> dict[str, tuple[str, ...]]:
    """The states that move along each axis, as the block declares, or by their endings."""
    declared = getattr(block, "axes", None)
    if declared:
        return {name: tuple(words.split()) for name, words in declared.items()}
    found: dict[str, tuple[str, ...]] = {}
    for k, direction in enumerate(DIRECTIONS, 1):
        if states := tuple(name for name in block.state if name.endswith(f"_{k}")):
            found[direction] = states
    return found


def _as_it_is(cell: Cell) -> Cell:
    return cell


def _listed(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name}={n}" for name, n in sizes.items())
