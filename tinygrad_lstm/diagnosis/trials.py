"""Many ways to give blocks to gates, carried out at once on a recording, step by step.

What does not give the recorded output at a step is not followed further.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tinygrad_lstm.batching import lift
from tinygrad_lstm.diagnosis.readings import Pools
from tinygrad_lstm.diagnosis.structure import Structure
from tinygrad_lstm.operation import TABLE
from tinygrad_lstm.program import Program
from tinygrad_lstm.tensor import Tensor, fold

Array = npt.NDArray[Any]


class Recording(NamedTuple):
    """xs (time, batch, inputs), the output (time or 1, batch, hidden), first states by name.

    every: whether there is an output of every step, not of the last alone.
    """

    xs: Array
    output: Array
    initial: tuple[Array, ...]
    every: bool


@dataclass(frozen=True)
class Ways:
    """For each way the block of every gate, (ways, gates), by kind; signs and what is added.

    x, h, p: places in the pools; b: of biases, the same for both; sign: of all a gate's weights;
    more: what is added to its bias.
    """

    x: Array
    h: Array
    b: Array
    p: Array
    sign: Array
    more: Array

    def __len__(self) -> int:
        return len(self.sign)

    def some(self, kept: Array) -> Ways:
        """Those at these places."""
        return Ways(*(getattr(self, k)[kept] for k in ("x", "h", "b", "p", "sign", "more")))


class Matched(NamedTuple):
    """The ways that give the recorded output, with their errors, and how near the others came.

    nearest: of the way that went furthest: how many steps were right, its error at the next one,
    and its place.
    """

    places: Array
    errors: Array
    nearest: tuple[int, float, int]


class _Matrix(NamedTuple):
    """A matrix parameter: its parts by columns, (kind, gate, start, stop)."""

    parts: list[tuple[str, int, int, int]]


def vector_parameters(cell: Structure, pools: Pools, ways: Ways) -> dict[str, Array]:
    """Biases and peepholes by name, (ways, hidden)."""
    found: dict[str, Array] = {}
    hidden = int(cell.program.outputs[cell.cell.output].shape[0])
    zero = np.zeros((len(ways), hidden))
    biased = {k: place for place, k in enumerate(cell.having("biases"))}
    holed = {k: place for place, k in enumerate(cell.having("peephole"))}
    for k, gate in enumerate(cell.gates):
        sign, more = ways.sign[:, k, None], ways.more[:, k, None]
        if gate.biases:
            place = ways.b[:, biased[k]]
            b = pools.b[place] if len(pools.b) else zero
            r = pools.r[place] if len(pools.r) else zero
            first, last = (r, b) if pools.second else (b, r)
            if len(gate.biases) == 1:
                found[gate.biases[0]] = sign * (b + r) + more
            else:
                for name in gate.biases:
                    found[name] = zero
                found[gate.biases[0]] = sign * first + more
                found[gate.biases[1]] = sign * last
        if gate.peephole:
            found[gate.peephole] = sign * pools.p[ways.p[:, holed[k]]]
    return found


def matrix_parameters(cell: Structure, pools: Pools, ways: Ways, way: int) -> dict[str, Array]:
    """The matrices of one way, by name."""
    found: dict[str, Array] = {}
    for kind in "xh":
        having = {k: place for place, k in enumerate(cell.having(kind))}
        for k, place in having.items():
            part = getattr(cell.gates[k], kind)
            shape = cell.program.inputs[part.parameter].shape
            block = getattr(pools, kind)[getattr(ways, kind)[way, place]]
            whole = found.setdefault(part.parameter, np.zeros(tuple(map(int, shape))))
            whole[:, part.start : part.stop] = ways.sign[way, k] * block
    return found


class Trial:
    """A Program of a cell's inputs, with the blocks of some pools for its parameters."""

    def __init__(self, cell: Structure, program: Program, pools: Pools) -> None:
        self.cell, self.program, self.pools = cell, program, pools
        self._matrices: dict[Tensor, _Matrix] = {}
        for kind in "xh":
            for place, k in enumerate(cell.having(kind)):
                part = getattr(cell.gates[k], kind)
                leaf = program.inputs[part.parameter]
                own = self._matrices.setdefault(leaf, _Matrix([]))
                own.parts.append((kind, place, part.start, part.stop))
        self._gate_of = {kind: cell.having(kind) for kind in "xh"}

    def run(
        self, ways: Ways, recording: Recording, tolerance: float, scale: float | None = None
    ) -> Matched:
        """Which ways give the recording; scale: its largest entry, if it is only a part."""
        kept = np.arange(len(ways))
        errors = np.zeros(len(ways))
        states = [array[None] for array in recording.initial]  # (1 or ways, batch, hidden)
        scale = scale or float(np.abs(recording.output).max(initial=0.0)) or 1.0
        time = len(recording.xs)
        names = list(self.cell.cell.state)
        for t in range(time):
            found = self._step(
                ways.some(kept), recording.xs[t][None], dict(zip(names, states, strict=True))
            )
            states = [found[name] for name in names]
            if recording.every or t == time - 1:
                true = recording.output[t if recording.every else 0]
                with np.errstate(all="ignore"):
                    off = np.abs(found[self.cell.cell.output] - true).max(axis=(1, 2)) / scale
                off = np.broadcast_to(np.where(np.isfinite(off), off, np.inf), kept.shape)
                good = np.flatnonzero(off < tolerance)
                errors[kept] = np.maximum(errors[kept], off)
                if not len(good):
                    best = int(off.argmin())
                    return Matched(kept[:0], errors[:0], (t, float(off[best]), int(kept[best])))
                states = [s if len(s) == 1 else s[good] for s in states]
                kept = kept[good]
        return Matched(kept, errors[kept], (time, float(errors[kept].min()), int(kept[0])))

    def outputs(self, ways: Ways, recording: Recording) -> Array:
        """What one way computes, (time, batch, hidden)."""
        states = [array[None] for array in recording.initial]
        names, found = list(self.cell.cell.state), []
        for x in recording.xs:
            now = self._step(ways, x[None], dict(zip(names, states, strict=True)))
            states = [now[name] for name in names]
            found.append(now[self.cell.cell.output][0])
        return np.stack(found)

    def _step(self, ways: Ways, x: Array, states: Mapping[str, Array]) -> dict[str, Array]:
        inputs = self.program.inputs
        leaves: dict[Tensor, Any] = {inputs["x"]: x}
        leaves |= {inputs[f"prev.{name}"]: array for name, array in states.items()}
        leaves |= self._matrices
        for name, array in vector_parameters(self.cell, self.pools, ways).items():
            leaves[inputs[name]] = array[:, None]  # (ways, 1, hidden)
        batch = (len(ways), x.shape[1])

        def make(node: Tensor, operands: list[Any]) -> Any:
            if not node.inputs:
                return node.data
            if isinstance(operands[0], _Matrix):
                return self._product(ways, operands[0], operands[1])
            return _applied(node, operands, batch)

        with np.errstate(all="ignore"):
            found = fold(self.program.outputs.values(), leaves, make)
        return {name: found[node] for name, node in self.program.outputs.items()}

    def _product(self, ways: Ways, matrix: _Matrix, v: Array) -> Array:
        """A matrix of each way's blocks, times its vector."""
        total: Any = 0.0
        for kind, place, start, stop in matrix.parts:
            part, blocks = v[..., start:stop], getattr(self.pools, kind)
            which = getattr(ways, kind)[:, place]
            if not part.any():
                own = np.zeros((1, part.shape[1], blocks.shape[1]))
            elif len(part) == 1:
                used, where = np.unique(which, return_inverse=True)
                own = np.stack([part[0] @ blocks[k].T for k in used])[where]
            else:
                own = np.empty((*part.shape[:2], blocks.shape[1]))
                for k in np.unique(which):
                    rows = which == k
                    own[rows] = part[rows] @ blocks[k].T
            sign = ways.sign[:, self._gate_of[kind][place]]
            total = total + (own if (sign > 0).all() else own * sign[:, None, None])
        return np.asarray(total)


def _applied(node: Tensor, operands: Sequence[Any], batch: tuple[int, ...]) -> Array:
    """An operation on values whose first axes, (1 or ways, batch or 1), broadcast."""
    operation, ready = TABLE[node.op or ""], list(operands)
    own = [array.ndim > i.ndim for array, i in zip(operands, node.inputs, strict=True)]
    ranks = {i.ndim for i, batched in zip(node.inputs, own, strict=True) if batched}
    if operation.signature == "elementwise" and len(ranks) == 1:
        return np.asarray(operation.forward(*ready, **node.attributes))
    for k, (array, i) in enumerate(zip(operands, node.inputs, strict=True)):
        if own[k]:
            ready[k] = np.broadcast_to(array, (*batch, *i.shape))
    steps, whole = lift(node, own, batch)
    for op, place, attributes in steps:
        ready[place] = TABLE[op].forward(ready[place], **attributes)
    return np.asarray(operation.forward(*ready, **whole))
