"""A cell's step as plain loops over entries, which C and JavaScript write nearly alike.

    /* f_t = σ(W_f·[h_{t-1}, x_t] + b_f) */
    for (int j = 0; j < 4; j++) {
        real sum_1 = 0;
        for (int k = 0; k < 7; k++) {
            sum_1 += W_f[j * 7 + k] * hx[k];
        }
        f[j] = sigmoid(sum_1 + b_f[j]);
    }

A value is known by how one entry of it is read (`Value.at`); what is only another view of an array
(slices, transposes, broadcasts) costs nothing, and what is computed entry by entry stands in the
loop of the equation that it is part of. What several read, or read often, has an array of its own.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

import numpy as np

from tinygrad_lstm.exporting.loop_values import ZERO, Block, Index, Language, Places, Value, aligned
from tinygrad_lstm.exporting.subject import ExportError, Layer
from tinygrad_lstm.graph import opened
from tinygrad_lstm.kernels.names import distinct
from tinygrad_lstm.plain_style import Piece
from tinygrad_lstm.sizes import ATOM
from tinygrad_lstm.tensor import TABLE, Array, Tensor, ancestors, fold
from tinygrad_lstm.text import UNICODE

LETTERS = "ijklmnqrsuvw"
Writer = Callable[["Loops", Tensor, list[Value]], Value]


class Loops:
    """The lines of a layer's step.

    writers: what writes an operation that is not elementwise. `arrays` are the arrays that the
    lines need, with their lengths; `tables` the constants; `names`, `before`, `inputs` and `x` what
    equations, states before the step, parameters and further inputs, and x are called.
    """

    def __init__(
        self,
        layer: Layer,
        kept: Sequence[str],
        language: Language,
        taken: Set[str],
        writers: Mapping[str, Writer],
    ) -> None:
        self.layer, self.language, self.style = layer, language, language.style()
        cell, program = layer.cell, layer.program
        self.block, self._writers = Block([], 1), writers
        self.arrays: dict[str, int] = {}
        self.tables: dict[str, Array] = {}
        wanted = [program.equations[n] for n in (*cell.state, cell.output, *kept)]
        self.needed = set(ancestors(wanted))
        self.taken = taken = set(taken)
        self.names = {
            n: distinct(n, taken, True) for n, t in program.equations.items() if t in self.needed
        }
        self.before = {n: distinct(f"{n}_prev", taken, True) for n in cell.state}
        own = [*cell.parameters, *cell.extra_inputs]
        self.inputs = {n: distinct(n, taken, True) for n in own}
        self.x = distinct("x", taken)
        self.variables = [c for c in LETTERS if c not in taken] + [f"at_{k}" for k in range(1, 9)]
        self._open = 0  # loops around
        self._sums = 0
        self._uses = Counter(i for n in self.needed for i in n.inputs)
        self._owners = {node: name for name, node in program.equations.items()}
        self._equation = ""
        known = {node: self._input(n, node) for n, node in program.inputs.items()}
        for name, node in program.equations.items():
            if node in self.needed:
                self._equation = name
                fold([node], known, lambda n, operands: self._made(n, operands, known))

    def _input(self, name: str, node: Tensor) -> Value:
        own = {**{f"prev.{n}": t for n, t in self.before.items()}, "x": self.x, **self.inputs}
        return self.view(own[name], node.shape)

    def view(self, array: str, shape: tuple[int, ...], start: int = 0) -> Value:
        """The entries of an array, row by row."""
        strides = [math.prod(shape[k + 1 :]) for k in range(len(shape))]

        def at(places: Places) -> Piece:
            total = Index((), start)
            for place, stride, n in zip(places, strides, shape, strict=True):
                total = total.plus(place.times(stride) if n != 1 else ZERO)
            return Piece(f"{array}[{total}]")

        return Value(shape, at, array if not start else None)

    # --- one node ---------------------------------------------------------------------------------
    def _made(self, node: Tensor, operands: list[Value], known: dict[Tensor, Value]) -> Value:
        owner = self._owners.get(node)
        if owner is not None:
            self.block.say(self.language.comment(self.layer.program.text(owner, UNICODE)))
        value = self._value(node, operands)
        if owner is not None:
            value = self.stored(value, self.names[owner])
        elif self._uses[node] > 1 and value.costly:
            value = self.stored(value)
        known[node] = value
        return value

    def _value(self, node: Tensor, operands: list[Value]) -> Value:
        if not node.inputs:
            return self._constant(node)
        op = node.op or ""
        if op in self._writers:
            return self._writers[op](self, node, operands)
        if TABLE[op].signature == "elementwise":
            return self._elementwise(node, operands)
        raise self.unwritten(op)

    def unwritten(self, op: str) -> ExportError:
        """The error for an operation that has no loops."""
        return ExportError(
            f"{self.layer.cell}: equation {self._equation} has the operation {op!r}, which "
            f"{self.style.language} has not.\n  Write it by other operations: @composite."
        )

    def _constant(self, node: Tensor) -> Value:
        data = np.asarray(node.data, float)
        if data.size and (data == data.flat[0]).all():
            piece = self.style.number(data.flat[0])
            return Value(node.shape, lambda places: piece)
        return self.view(self.table(data), node.shape)

    def table(self, data: Array) -> str:
        """The name of an array of constants."""
        for name, known in self.tables.items():
            if known.shape == data.shape and known.dtype == data.dtype and (known == data).all():
                return name
        name = distinct(f"constant_{len(self.tables) + 1}", self.taken)
        self.tables[name] = data
        return name

    # --- arrays and loops -------------------------------------------------------------------------
    def stored(self, value: Value, name: str = "") -> Value:
        """A value in an array of its own."""
        name = name or self.fresh()
        self.arrays[name] = math.prod(value.shape)
        made = self.view(name, value.shape)
        with self.over(value.shape) as places:
            entry = value.at(places).text
            self.block.say(f"{made.at(places).text} = {entry};")
        return made

    def fresh(self) -> str:
        """A name for a value that has none."""
        own = self.names.get(self._equation, "value")
        k = 1
        while f"{own}_{k}" in self.taken:
            k += 1
        return distinct(f"{own}_{k}", self.taken)

    def simple(self, value: Value) -> Value:
        """A value that costs nothing to read again."""
        return self.stored(value) if value.costly else value

    def over(self, shape: Sequence[int]) -> _Over:
        """Loops over all entries."""
        return _Over(self, shape)

    def once(self, piece: Piece) -> Piece:
        """A piece that may be written several times: computed before, unless it is an entry."""
        if piece.level == ATOM and not piece.function and len(piece.text) < 24:
            return piece
        return Piece(self.kept("value", piece.text))

    def kept(self, word: str, text: str, changes: bool = False) -> str:
        """A number under a name of its own, within the loop that is being written."""
        self._sums += 1
        name = distinct(f"{word}_{self._sums}", self.taken)
        declare = self.language.scalar if changes else self.language.fixed
        self.block.say(declare(name, text))
        return name

    # --- entry by entry ---------------------------------------------------------------------------
    def _elementwise(self, node: Tensor, operands: list[Value]) -> Value:
        shape, op = node.shape, node.op or ""
        same = [
            self.simple(v) if v.shape != shape and math.prod(v.shape) != math.prod(shape) else v
            for v in operands
        ]
        if op in ("identity", "detach"):
            return Value(shape, same[0].at, same[0].array, same[0].costly)
        truths = [i.dtype.kind == "b" for i in node.inputs]

        def at(places: Places) -> Piece:
            pieces = [v.at(aligned(places, v.shape)) for v in same]
            return self.entry(op, pieces, node.attributes, truths)

        return Value(shape, at, None, costly=True)

    def entry(
        self, op: str, pieces: list[Piece], attributes: Mapping[str, Any], truths: Sequence[bool]
    ) -> Piece:
        """One entry of an elementwise operation."""
        made: Piece | None = self.style.entry(op, pieces, attributes, truths)
        if made is not None:
            return made
        if TABLE[op].definition is None:
            raise self.unwritten(op)

        def make(node: Tensor, parts: list[Piece]) -> Piece:
            if not node.inputs:
                return Piece(*self.style.number(node.data))
            kinds = [i.dtype.kind == "b" for i in node.inputs]
            return self.entry(node.op or "", parts, node.attributes, kinds)

        found: Piece = opened(op, [self.once(piece) for piece in pieces], make)
        return found


class _Over:
    """Loops over entries; of an axis of one there is none."""

    def __init__(self, loops: Loops, shape: Sequence[int]) -> None:
        self.loops, self.shape = loops, shape

    def __enter__(self) -> list[Index]:
        places, loops = [], self.loops
        for n in self.shape:
            if n == 1:
                places.append(ZERO)
                continue
            variable = loops.variables[loops._open]
            loops._open += 1
            loops.block.say(loops.language.loop(variable, int(n)))
            places.append(Index(((variable, 1),)))
        return places

    def __exit__(self, *_: object) -> None:
        for n in self.shape:
            if n != 1:
                self.loops._open -= 1
                self.loops.block.say("}")
