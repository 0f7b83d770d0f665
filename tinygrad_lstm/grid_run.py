"""Running a grid: what each diagonal reads, its cell, and the places put back in their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.batching import Lifted
from tinygrad_lstm.errors import ShapeError, UnknownNameError
from tinygrad_lstm.functions import concat, stack, transpose
from tinygrad_lstm.ops import where
from tinygrad_lstm.parameters import Parameters
from tinygrad_lstm.program import Program
from tinygrad_lstm.running import Final, Moments, Run, over
from tinygrad_lstm.sequence_inputs import SequenceInputs, Steps, tensor_of
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array, Tensor, apply, constant

FIRST, EDGE = "first", "edge."


def run_grid(grid: Any, p: Parameters, inputs: SequenceInputs) -> Run:
    """Run a grid of blocks over its input, diagonal after diagonal."""
    return _Running(grid, p, inputs).run()


class _Running:
    """One run: the grid's lengths, what each place reads, and what came out."""

    def __init__(self, grid: Any, p: Parameters, inputs: SequenceInputs) -> None:
        self.grid, self.p, self.inputs = grid, p, inputs
        self.block, self.lead = grid.block, inputs.batch_shape
        xs: Tensor = inputs.x.sequence
        axes = list(reversed(grid.axes_of_grid))  # the outermost first
        given = iter(xs.shape[: grid.spatial])
        lengths = [a.length if a.length is not None else next(given) for a in axes]
        if not axes[-1].tied:  # layers with parameters of their own are lanes
            axes.append(type(axes[0])("", ()))
            lengths.append(1)
        self.axes, self.shape = axes, tuple(lengths)
        self.lanes = self.shape[:-1]
        self.diagonals = sum(self.shape) - len(self.shape) + 1
        at = np.indices(self.lanes).reshape(len(self.lanes), *self.lanes)
        steps = np.arange(self.diagonals).reshape(-1, *(1,) * len(self.lanes))
        self.along = steps - at.sum(axis=0)  # (diagonals, lanes): the place on the last axis
        inside = np.clip(self.along, 0, self.shape[-1] - 1)
        self.places = [*(np.broadcast_to(a, inside.shape) for a in at), inside]

    def run(self) -> Run:
        block, xs = self.block, self.inputs.x.sequence
        sizes = self._sizes()
        program = block.program(**sizes)
        x_own = program.inputs["x"].shape
        if xs.shape[self.grid.spatial + len(self.lead) :] != x_own:
            raise ShapeError(
                f"{self.grid}: x has shape {xs.shape[self.grid.spatial + len(self.lead) :]} at a "
                f"place, but it is {program.shape_text(program.inputs['x'])}."
            )
        values: dict[str, Any] = {"x": self._skewed(xs)}
        shared: dict[str, Tensor] = {}
        for name in block.extra_inputs:
            value = self._further(name, program.inputs[name].shape, xs.dtype)
            (values if name in block.sequences else shared)[name] = value
        own = {n: program.inputs[f"prev.{n}"].shape for n in block.state}
        for k, axis in enumerate(self.axes):
            for state in axis.states:
                values[EDGE + state] = self._edge(k, state, own[state], xs.dtype)
        first = (self.along == 0).astype(xs.dtype)
        if any(axis.states for axis in self.axes[-1:]) and self.lanes:
            lead = (self.diagonals, *(1,) * len(self.lead), *self.lanes)
            whole = (self.diagonals, *self.lead, *self.lanes)
            values[FIRST] = constant(np.broadcast_to(first.reshape(lead), whole).copy())
        key = self.shape, tuple(sizes.items()), tuple(sorted(values))
        cell = self.grid.diagonal(key, lambda: self._cell(program, [*values], [*shared]))
        tensors = self._parameters()
        owned = Parameters(tensors, str(self.grid))
        x = Steps(values.pop("x"), "x")
        zero = {n: np.zeros((*self.lead, *self.lanes, *own[n]), xs.dtype) for n in own}
        initial: dict[str, Any] = dict(zero)
        if not self.lanes:  # one axis alone: its edge is the first state
            initial |= {n: values.pop(EDGE + n)[0] for n in own}
        inputs = replace(
            self.inputs,
            x=x,
            time=self.diagonals,
            mask=[None] * self.diagonals,
            initial=initial,
            extra_inputs={**values, **shared},
        )
        return GridRun(self.grid, self.p, over(cell, owned, inputs), self)

    # --- what the places read ---------------------------------------------------------------------
    def _sizes(self) -> dict[str, int]:
        known = dict(self.grid.infer_sizes(self.p))
        dimensions.learn(known, self.block.x, self.inputs.x.sequence.shape)
        for name, words in {**self.block.sequences, **self.block.constants}.items():
            if name in self.inputs.extra_inputs:
                dimensions.learn(known, words, np.shape(self.inputs.extra_inputs[name]))
            elif name not in self.block.noise:
                raise UnknownNameError(f"{self.grid} has a further input; pass {name}=… ({words}).")
        known = {**self.p.sizes, **known}
        return {name: known[name] for name in self.block.sizes if name in known}

    def _skewed(self, value: Tensor) -> Tensor:
        """(rows, columns, batch, …) as (diagonals, batch, lanes, …), edges repeated outside."""
        index = [
            place
            for axis, place in zip(self.axes, self.places, strict=True)
            if axis.length is None and axis.name
        ]
        if not index:  # the same at all places
            front = (1,) * (1 + len(self.lanes))
            node = value.reshape(*front, *value.shape)
            value = apply("broadcast_to", node, shape=(self.diagonals, *self.lanes, *value.shape))
        else:
            value = value[tuple(index)]
        return self._batch_first(value, len(self.lanes))

    def _batch_first(self, value: Tensor, lanes: int) -> Tensor:
        """(diagonals, lanes, batch, …) as (diagonals, batch, lanes, …)."""
        lead = len(self.lead)
        if not lanes or not lead:
            return value
        order = (*range(1 + lanes, 1 + lanes + lead), *range(1, 1 + lanes))
        return transpose(value, (0, *order, *range(1 + lanes + lead, value.ndim)))

    def _further(self, name: str, own: tuple[int, ...], dtype: Any) -> Tensor:
        """A further input: for each place, or one for all."""
        block, spatial = self.block, self._spatial()
        if name in block.noise and name not in self.inputs.extra_inputs:
            random = np.random.default_rng([self.inputs.seed, *name.encode()])
            drawn = random.standard_normal((*spatial, *self.lead, *own)).astype(dtype)
            return self._skewed(constant(drawn))
        node = tensor_of(f"{self.grid}: {name}", self.inputs.extra_inputs[name])
        if name in block.constants:
            if node.shape not in (own, (*self.lead, *own)):
                raise ShapeError(
                    f"{self.grid}: {name} has shape {node.shape}, but "
                    f"({block.constants[name]}) = {own} was declared."
                )
            return node
        full = (*spatial, *self.lead, *own)
        if node.shape == (*spatial, *own) and self.lead:
            node = node.reshape(*spatial, *(1,) * len(self.lead), *own)
            node = apply("broadcast_to", node, shape=full)
        if node.shape != full:
            raise ShapeError(
                f"{self.grid}: {name} has shape {node.shape}, but a value for each place is {full}."
            )
        return self._skewed(node)

    def _spatial(self) -> tuple[int, ...]:
        """The lengths of the axes that the input has."""
        return tuple(
            n for a, n in zip(self.axes, self.shape, strict=True) if a.length is None and a.name
        )

    def _edge(self, k: int, state: str, own: tuple[int, ...], dtype: Any) -> Tensor:
        """What a state starts from at the edge of axis k: (diagonals, batch, the lanes but k, …).

        For the last axis it is the same at each diagonal.
        """
        others = self.shape[:k] + self.shape[k + 1 :]
        if self.axes[-1].name == "":
            others = others[:-1] if k < len(self.axes) - 1 else others
        full = (*others, *self.lead, *own)
        given = self.inputs.initial.get(state)
        if given is None:
            node = constant(np.broadcast_to(self.block.initial(state, own, dtype), full).copy())
        else:
            node = tensor_of(f"{self.grid}: initial {state}", given)
            options = (own, (*self.lead, *own), full)
            if node.shape not in options:
                said = ", or ".join(map(str, dict.fromkeys(options)))
                raise ShapeError(
                    f"{self.grid}: initial {state} has shape {node.shape}, but along the edge of "
                    f"{self.axes[k].name} it is {said}."
                )
            if node.shape != full:
                node = apply("broadcast_to", node, shape=full)
        if self.axes[-1].name == "" and k < len(self.axes) - 1:
            node = node.reshape(*others, 1, *self.lead, *own)
        if k < len(self.lanes):  # along the diagonals it moves on the last axis
            index = [np.take(place, 0, axis=1 + k) for place in self.places]
            node = node[tuple(index[:k] + index[k + 1 :])]
        else:
            node = apply(
                "broadcast_to", node.reshape(1, *node.shape), shape=(self.diagonals, *node.shape)
            )
        return self._batch_first(node, len(self.lanes) - (k < len(self.lanes)))

    def _parameters(self) -> dict[str, Tensor]:
        """The block's parameters, of layers that have their own one for each lane."""
        if not self.grid.layers:
            return self.p.tensors
        k = next(k for k, axis in enumerate(self.axes) if not axis.tied)
        found = {}
        for name in self.block.parameters:
            node = stack([self.p[f"{n + 1}.{name}"] for n in range(self.grid.layers)])
            shape = tuple(n if j == k else 1 for j, n in enumerate(self.lanes))
            node = node.reshape(*shape, *node.shape[1:])
            found[name] = apply(
                "broadcast_to", node, shape=(*self.lanes, *node.shape[len(shape) :])
            )
        return found

    # --- the step of a diagonal -------------------------------------------------------------------
    def _cell(self, program: Program, moving: Sequence[str], shared: Sequence[str]) -> Cell:
        """One diagonal as a cell: the block's step, lifted over the lanes."""
        block, lanes = self.block, self.lanes
        own = {n: program.inputs[f"prev.{n}"].shape for n in block.state}
        inputs = {f"prev.{n}": Tensor.input(f"prev.{n}", (*lanes, *s)) for n, s in own.items()}
        inputs["x"] = Tensor.input("x", (*lanes, *program.inputs["x"].shape))
        for name in block.sequences:
            inputs[name] = Tensor.input(name, (*lanes, *program.inputs[name].shape))
        for name in shared:
            inputs[name] = Tensor.input(name, program.inputs[name].shape)
        if FIRST in moving:
            inputs[FIRST] = Tensor.input(FIRST, lanes)
        values: dict[str, Tensor] = {}
        for k, axis in enumerate(self.axes):
            for state in axis.states:
                values[f"prev.{state}"] = self._moved(k, state, own[state], inputs)
        for name in block.parameters:
            shape = program.inputs[name].shape
            inputs[name] = Tensor.input(name, (*lanes, *shape) if self.grid.layers else shape)
        values |= {n: inputs[n] for n in program.inputs if n not in values}
        fixed = {*shared, *(() if self.grid.layers else block.parameters)}
        lifted = Lifted(
            program.equations, program.inputs, lanes, {n for n in values if n not in fixed}
        )
        found = lifted.nodes([values[n] for n in lifted.inputs])
        equations = {}
        for name, node in found.items():
            if node.name != name:
                node = apply("identity", node)
                node.name = name
            equations[name] = node
        outputs = {n: equations[n] for n in block.state}
        static = {*block.parameters, *shared}
        made = Program(self.grid.name, inputs, equations, outputs, {}, {}, static)
        return Cell.of(made, constants=shared)

    def _moved(self, k: int, state: str, own: tuple[int, ...], inputs: dict[str, Tensor]) -> Tensor:
        """What a place reads of a state: of its neighbour along axis k, or of the edge."""
        previous, lanes = inputs[f"prev.{state}"], self.lanes
        if not lanes:
            return previous
        if k == len(lanes):  # along the diagonals themselves: the same lane, one step before
            edge = inputs[EDGE + state] = Tensor.input(EDGE + state, (*lanes, *own))
            first = inputs[FIRST].reshape(*lanes, *(1,) * len(own))
            return where(first > 0.5, edge, previous)
        rest = lanes[:k] + lanes[k + 1 :]
        edge = inputs[EDGE + state] = Tensor.input(EDGE + state, (*rest, *own))
        edge = edge.reshape(*lanes[:k], 1, *lanes[k + 1 :], *own)
        if lanes[k] == 1:
            return edge
        kept = previous[(*(slice(None),) * k, slice(0, lanes[k] - 1))]
        return concat(edge, kept, axis=k)


class GridRun(Run):
    """What a grid computed: `run["h_1"]` is (rows, columns, batch, hidden).

    `final` maps a state to what leaves the grid along its axis: of h_2, which moves down, the last
    row. `steps[t]` holds the values along the outermost axis; `diagonals` is the run that it was.
    """

    def __init__(self, grid: Any, p: Parameters, diagonals: Run, ran: _Running) -> None:
        self.diagonals, self._ran = diagonals, ran
        first = ran.shape[0]
        super().__init__(
            grid,
            p,
            Moments(
                first,
                lambda t: (
                    ran.inputs.x.sequence[t]
                    if ran.axes[0].length is None
                    else ran.inputs.x.sequence
                ),
            ),
            diagonals.initial,
            Moments(first, self._step),
            Final(grid.state, self._last),
            self._whole,
            [*diagonals.names],
        )

    def _step(self, t: int) -> dict[str, Tensor]:
        found = {}
        for name in self.names:
            node = self[name][t]
            node.name, node.time = name, t
            found[name] = node
        return found

    def _whole(self, name: str) -> Tensor:
        """(diagonals, batch, lanes, …) as (rows, columns, batch, …)."""
        ran, value = self._ran, self.diagonals[name]
        lanes, lead = len(ran.lanes), len(ran.lead)
        order = (*range(1 + lead, 1 + lead + lanes), *range(1, 1 + lead))
        value = transpose(value, (0, *order, *range(1 + lead + lanes, value.ndim)))
        at: Array = np.indices(ran.shape)
        found: Tensor = value[(at.sum(axis=0), *at[:-1])]
        return (
            found.reshape(*ran.shape[:-1], *found.shape[len(ran.shape) :])
            if (ran.axes[-1].name == "")
            else found
        )

    def _last(self, state: str) -> Tensor:
        k = next(k for k, axis in enumerate(self._ran.axes) if state in axis.states)
        return self[state][(*(slice(None),) * k, -1)]

    @property
    def loss(self) -> Tensor:
        """The loss that the block declares: its sum over all places, mean over the batch."""
        if self.cell.loss is None:
            return super().loss
        whole = self[self.cell.loss]
        return whole.sum() / max(prod(self._ran.lead), 1)
