"""What a character model loses when a unit is switched off: `switched_off`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinygrad_lstm.errors import DataError, unknown
from tinygrad_lstm.kernels import compiled
from tinygrad_lstm.learning.character_model import CharacterModel
from tinygrad_lstm.learning.streams import Streams
from tinygrad_lstm.program import Program, named
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array, Tensor, apply, fold

Unit = tuple[str, int]
BATCH = 128  # sequences that are read side by side


def switched_off(model: CharacterModel, streams: Streams, units: Sequence[Unit]) -> Array:
    """What each character costs in bits with each unit at 0, and first with all of them on.

    units: (equation, number); of an equation with several axes the number counts all entries.
    Returns (1 + units, characters of the streams). Whatever reads the equation, at this step or at
    the next, reads 0 there.
    """
    shapes = {n: tuple(map(int, e.shape)) for n, e in _program(model).equations.items()}
    for name, number in units:
        if name not in shapes:
            raise unknown(f"{model.cell} has no equation {name!r}", "it has", shapes)
        if not 0 <= number < (count := int(np.prod(shapes[name]))):
            raise DataError(f"{model.cell}: {name} has units 0 to {count - 1}, not {number}.")
    masked = _Masked(model, list(dict.fromkeys(name for name, _ in units)))
    each = max(1, BATCH // streams.count)
    everyone: list[Unit | None] = [None, *units]
    parts = [everyone[k : k + each] for k in range(0, len(everyone), each)]
    return np.concatenate([masked.cost(streams, part) for part in parts])


class _Masked:
    """The model's cell with a factor on some of its equations, 1 or 0 for each entry."""

    def __init__(self, model: CharacterModel, names: Sequence[str]) -> None:
        self.model, program = model, _program(model)
        taken = {*program.inputs, *program.equations}
        self.keep = {n: _free(f"keep_{n}", taken) for n in names}
        self.shapes = {n: tuple(map(int, program.equations[n].shape)) for n in names}
        self.cell = compiled(self._rewritten(program, model.cell)) if names else model.cell

    def _rewritten(self, program: Program, cell: Cell) -> Cell:
        leaves = {n: Tensor.input(n, t.shape) for n, t in program.inputs.items()}
        keep = {k: Tensor.input(k, self.shapes[n]) for n, k in self.keep.items()}
        owners = {node: name for name, node in program.equations.items()}

        def make(node: Tensor, operands: list[Tensor]) -> Tensor:
            if not node.inputs:
                return node
            made: Tensor = apply(node.op or "", *operands, **node.attributes)
            name = owners.get(node)
            if name is None:
                return made
            return named(made * keep[self.keep[name]] if name in self.keep else made, name)

        known = {program.inputs[n]: node for n, node in leaves.items()}
        found = fold(program.equations.values(), known, make)
        equations = {n: found[node] for n, node in program.equations.items()}
        outputs = {n: equations[n] for n in cell.state}
        whole = Program(
            cell.name,
            leaves | keep,
            equations,
            outputs,
            program.dimensions,
            program.sizes,
            program.static,
        )
        start = {n: v for n, v in cell.start.items() if n in cell.state}
        constants = [*cell.constants, *keep]
        return Cell.of(
            whole, output=cell.output, start=start, constants=constants, noise=cell.noise
        )

    def cost(self, streams: Streams, units: Sequence[Unit | None]) -> Array:
        """Bits of each character, (units, characters), one unit off in each row."""
        many, count = len(units), streams.count
        factors = {k: np.ones((many, *self.shapes[n])) for n, k in self.keep.items()}
        for row, unit in enumerate(units):
            if unit is not None:
                factors[self.keep[unit[0]]][row].reshape(-1)[unit[1]] = 0.0
        constants = {k: np.repeat(f, count, axis=0) for k, f in factors.items()}
        found = []
        for part in streams.read(self.model, self.cell, copies=many, constants=constants):
            z = self.model.logits(part.run).data.astype(float).reshape(-1, many, count, part.width)
            z -= z.max(axis=-1, keepdims=True)
            came = np.broadcast_to(part.comes[:, None, :, None], (*z.shape[:3], 1))
            cost = np.log(np.exp(z).sum(-1)) - np.take_along_axis(z, came, -1)[..., 0]
            found.append(cost[part.counted] / np.log(2.0))
        bits = np.concatenate(found).transpose(1, 2, 0)  # (units, streams, time)
        return np.ascontiguousarray(bits.reshape(many, -1))


def _program(model: CharacterModel) -> Program:
    return model.cell.program(**model.sizes)


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name
