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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from tinygrad_lstm.exporting.subject import ExportError, Layer
from tinygrad_lstm.forwards import axes_of
from tinygrad_lstm.kernels.names import distinct
from tinygrad_lstm.plain_style import Piece
from tinygrad_lstm.sizes import ATOM
from tinygrad_lstm.tensor import TABLE, Array, Tensor, ancestors, fold
from tinygrad_lstm.text import UNICODE

LETTERS = "ijklmnqrsuvw"


class Index(NamedTuple):
    """A place: a sum of multiples of variables, and a number."""

    terms: tuple[tuple[str, int], ...] = ()
    number: int = 0

    def times(self, factor: int) -> Index:
        """The place times a number."""
        terms = tuple((v, n * factor) for v, n in self.terms) if factor else ()
        return Index(terms, self.number * factor)

    def plus(self, other: Index) -> Index:
        """The sum of two places."""
        total = dict(self.terms)
        for v, n in other.terms:
            total[v] = total.get(v, 0) + n
        terms = tuple((v, n) for v, n in total.items() if n)
        return Index(terms, self.number + other.number)

    def __str__(self) -> str:
        text = ""
        for v, n in self.terms:
            term = v if abs(n) == 1 else f"{v} * {abs(n)}"
            text += f" {'-' if n < 0 else '+'} {term}" if text else f"{'-' * (n < 0)}{term}"
        if self.number or not text:
            sign = "-" if self.number < 0 else "+"
            text = f"{text} {sign} {abs(self.number)}" if text else str(self.number)
        return text


ZERO = Index()
Places = Sequence[Index]


class Language(Protocol):
    """How a language writes what differs."""

    def style(self) -> Any:
        """The style of an entry's expression, a `Plain`."""

    def loop(self, variable: str, n: int) -> str:
        """The head of a loop."""

    def scalar(self, name: str, value: str) -> str:
        """The declaration of a number that changes."""

    def fixed(self, name: str, value: str) -> str:
        """The declaration of a number that does not."""

    def comment(self, text: str) -> str:
        """A line that is only read."""


@dataclass
class Block:
    """Lines of code, indented by their braces."""

    lines: list[str]
    depth: int = 0

    def say(self, line: str) -> None:
        """Add a line."""
        if line.startswith("}"):
            self.depth -= 1
        self.lines.append("    " * self.depth + line)
        if line.endswith("{"):
            self.depth += 1


@dataclass(frozen=True)
class Value:
    """How an entry is read; `array`: where all lie in order; costly: whether reading computes."""

    shape: tuple[int, ...]
    at: Callable[[Places], Piece]
    array: str | None = None
    costly: bool = False


class Loops:
    """The lines of a layer's step.

    `arrays` are the arrays it needs, with their lengths; `tables` its constants; `used` the names
    of what it reads: parameters, states (`before`), x and further inputs.
    """

    def __init__(self, layer: Layer, kept: Sequence[str], language: Language, taken: set[str]) -> None:
        self.layer, self.language, self.style = layer, language, language.style()
        cell, program = layer.cell, layer.program
        self.block = Block([], 1)
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
        write = getattr(self, f"_{op}", None)
        if write is not None:
            found: Value = write(node, operands)
            return found
        if TABLE[op].signature == "elementwise":
            return self._elementwise(node, operands)
        if op == "einsum" or TABLE[op].signature.startswith("("):
            return self._contraction(node, operands)
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
        definition = TABLE[op].definition
        if definition is None:
            raise self.unwritten(op)
        pieces = [self.once(piece) for piece in pieces]
        leaves = dict(zip(definition.inputs.values(), pieces, strict=True))
        (root,) = definition.outputs.values()

        def make(node: Tensor, parts: list[Piece]) -> Piece:
            if not node.inputs:
                return Piece(*self.style.number(node.data))
            kinds = [i.dtype.kind == "b" for i in node.inputs]
            return self.entry(node.op or "", parts, node.attributes, kinds)

        found: Piece = fold([root], leaves, make)[root]
        return found

    def _clip(self, node: Tensor, operands: list[Value]) -> Value:
        (x,) = operands

        def at(places: Places) -> Piece:
            found = x.at(places)
            for end, op in (("low", "maximum"), ("high", "minimum")):
                if (edge := node.attributes[end]) is not None:
                    found = self.style.entry(op, [found, self.style.number(edge)], {}, [False] * 2)
            return found

        return Value(node.shape, at, None, costly=True)

    # --- sums -------------------------------------------------------------------------------------
    def _contraction(self, node: Tensor, operands: list[Value]) -> Value:
        """A sum of products, over the letters that the result does not have."""
        operands = [self.simple(v) for v in operands]
        groups = letters_of(node)
        sizes: dict[str, int] = {}
        for group, t in zip(groups, (*node.inputs, node), strict=True):
            for c, n in zip(group, t.shape, strict=True):
                sizes[c] = max(int(n), sizes.get(c, 1))
        summed = [c for c in dict.fromkeys("".join(groups[:-1])) if c not in groups[-1]]

        def at(places: Places) -> Piece:
            where = dict(zip(groups[-1], places, strict=True))

            def product(inner: Places) -> Piece:
                full = {**where, **dict(zip(summed, inner, strict=True))}
                factors = [
                    v.at([full[c] if n != 1 else ZERO for c, n in zip(group, v.shape, strict=True)])
                    for v, group in zip(operands, groups, strict=False)
                ]
                return self.style.operation("multiply", factors, {})

            if not summed:
                return product([])
            name = self.kept("sum", self.style.number(0).text, changes=True)
            with self.over([sizes[c] for c in summed]) as inner:
                self.block.say(f"{name} += {product(inner).text};")
            return Piece(name)

        return Value(node.shape, at, None, costly=True)

    def _reduced(
        self, node: Tensor, x: Value, start: str, update: Callable[[str, str], str]
    ) -> Callable[[Places], str]:
        axes = axes_of(node.attributes["axis"], len(x.shape))
        keep = node.attributes["keepdims"]

        def at(places: Places) -> str:
            outside = list(places)
            if keep:
                outside = [p for a, p in enumerate(places) if a not in axes]
            name = self.kept("sum", start, changes=True)
            with self.over([x.shape[a] for a in axes]) as inner:
                rest, within = iter(outside), iter(inner)
                full = [next(within) if a in axes else next(rest) for a in range(len(x.shape))]
                self.block.say(update(name, x.at(full).text))
            return name

        return at

    def _sum(self, node: Tensor, operands: list[Value]) -> Value:
        zero = self.style.number(0).text
        read = self._reduced(node, operands[0], zero, lambda to, v: f"{to} += {v};")
        return Value(node.shape, lambda places: Piece(read(places)), None, True)

    def _mean(self, node: Tensor, operands: list[Value]) -> Value:
        total = self._sum(node, operands)
        count = self.style.number(node.inputs[0].size // max(node.size, 1))

        def at(places: Places) -> Piece:
            found: Piece = self.style.operation("divide", [total.at(places), count], {})
            return found

        return Value(node.shape, at, None, True)

    def _prod(self, node: Tensor, operands: list[Value]) -> Value:
        one = self.style.number(1).text
        read = self._reduced(node, operands[0], one, lambda to, v: f"{to} *= {v};")
        return Value(node.shape, lambda places: Piece(read(places)), None, True)

    def _max(self, node: Tensor, operands: list[Value]) -> Value:
        x, least = self.simple(operands[0]), self.style.number(-np.inf).text
        larger = self._reduced(node, x, least, lambda to, v: f"{to} = {v} > {to} ? {v} : {to};")
        return Value(node.shape, lambda places: Piece(larger(places)), None, True)

    def _logsumexp(self, node: Tensor, operands: list[Value]) -> Value:
        x = self.simple(operands[0])
        most = self._max(node, [x])

        def at(places: Places) -> Piece:
            top = most.at(places)

            def update(to: str, v: str) -> str:
                difference = self.style.operation("subtract", [Piece(v), top], {})
                return f"{to} += {self.style.entry('exp', [difference], {}, [False]).text};"

            total = self._reduced(node, x, self.style.number(0).text, update)(places)
            log = self.style.entry("log", [Piece(total)], {}, [False])
            found: Piece = self.style.operation("add", [top, log], {})
            return found

        return Value(node.shape, at, None, True)

    def _lines(self, node: Tensor) -> tuple[int, list[int]]:
        """The axis that an operation goes along, and the lengths of the others."""
        axis = int(node.attributes["axis"]) % node.ndim
        return axis, [n for a, n in enumerate(node.shape) if a != axis]

    def _softmax(self, node: Tensor, operands: list[Value]) -> Value:
        """Entries without the largest, their powers, and each one's share."""
        return self._shares(node, self.simple(operands[0]), logarithm=False)

    def _log_softmax(self, node: Tensor, operands: list[Value]) -> Value:
        return self._shares(node, self.simple(operands[0]), logarithm=True)

    def _shares(self, node: Tensor, x: Value, logarithm: bool) -> Value:
        axis, others = self._lines(node)
        name = self.fresh()
        self.arrays[name] = node.size
        made, style = self.view(name, node.shape), self.style
        n = node.shape[axis]
        with self.over(others) as rest:
            most = self.kept("most", style.number(-np.inf).text, changes=True)
            total = self.kept("sum", style.number(0).text, changes=True)

            def line(inner: Index) -> list[Index]:
                places = list(rest)
                places.insert(axis, inner)
                return places

            with self.over([n]) as (j,):
                entry = x.at(line(j)).text
                self.block.say(f"{most} = {entry} > {most} ? {entry} : {most};")
            with self.over([n]) as (j,):
                apart = style.operation("subtract", [x.at(line(j)), Piece(most)], {})
                to = made.at(line(j)).text
                power = style.entry("exp", [Piece(to) if logarithm else apart], {}, [False]).text
                self.block.say(f"{to} = {apart.text if logarithm else power};")
                self.block.say(f"{total} += {power if logarithm else to};")
            with self.over([n]) as (j,):
                to = made.at(line(j)).text
                log = style.entry("log", [Piece(total)], {}, [False]).text
                self.block.say(f"{to} {f'-= {log}' if logarithm else f'/= {total}'};")
        return made

    def _cumsum(self, node: Tensor, operands: list[Value]) -> Value:
        axis, others = self._lines(node)
        name = self.fresh()
        self.arrays[name] = node.size
        made, x = self.view(name, node.shape), self.simple(operands[0])
        with self.over(others) as rest:
            total = self.kept("sum", self.style.number(0).text, changes=True)
            with self.over([node.shape[axis]]) as (j,):
                places = list(rest)
                places.insert(axis, j)
                self.block.say(f"{total} += {x.at(places).text};")
                self.block.say(f"{made.at(places).text} = {total};")
        return made

    # --- entries in other places ------------------------------------------------------------------
    def _concat(self, node: Tensor, operands: list[Value]) -> Value:
        axis = int(node.attributes["axis"]) % node.ndim
        return self._joined(node, operands, axis, [v.shape[axis] for v in operands], False)

    def _stack(self, node: Tensor, operands: list[Value]) -> Value:
        axis = int(node.attributes["axis"]) % node.ndim
        return self._joined(node, operands, axis, [1] * len(operands), True)

    def _joined(
        self, node: Tensor, operands: list[Value], axis: int, lengths: list[int], new: bool
    ) -> Value:
        name = self._name_of_joined(operands) or self.fresh()
        self.arrays[name] = node.size
        made, start = self.view(name, node.shape), 0
        for value, n in zip(operands, lengths, strict=True):
            with self.over(value.shape) as places:
                to = list(places)
                if new:
                    to.insert(axis, Index((), start))
                else:
                    to[axis] = to[axis].plus(Index((), start))
                entry = value.at(places).text
                self.block.say(f"{made.at(to).text} = {entry};")
            start += n
        return made

    def _name_of_joined(self, operands: list[Value]) -> str:
        """[h, x] is hx."""
        parts = [(v.array or "").removesuffix("_prev") for v in operands]
        name = "".join(parts)
        free = all(parts) and len(name) <= 12 and name not in self.taken
        return distinct(name, self.taken) if free else ""

    def _getitem(self, node: Tensor, operands: list[Value]) -> Value:
        (x,), index = operands, node.attributes["index"]
        index = index if isinstance(index, tuple) else (index,)
        ways: list[Callable[[list[Index]], Index | None]] = []
        axis = 0
        lists = [np.asarray(p) for p in index if isinstance(p, np.ndarray) and p.ndim]
        if len(lists) > 1:
            raise self.unwritten("getitem with several lists of places")
        for part in index:
            if part is None:
                ways.append(_skip)
                continue
            n = x.shape[axis]
            axis += 1
            if isinstance(part, slice):
                start, _, step = part.indices(n)
                ways.append(_sliced(start, step))
            elif np.ndim(part):
                ways.append(self._listed(np.asarray(part)))
            else:
                ways.append(_chosen(int(part) % n))

        def at(places: Places) -> Piece:
            left = list(places)
            found = [way(left) for way in ways]
            return x.at([place for place in found if place is not None])

        return Value(node.shape, at, None, x.costly)

    def _listed(self, part: Array) -> Callable[[list[Index]], Index | None]:
        name = self.table(part.reshape(-1).astype(np.int64))

        def take(left: list[Index]) -> Index:
            place, shape = ZERO, part.shape
            for k in range(part.ndim):
                stride = math.prod(shape[k + 1 :])
                place = place.plus(left.pop(0).times(stride))
            return Index(((f"{name}[{place}]", 1),))

        return take

    def _swapaxes(self, node: Tensor, operands: list[Value]) -> Value:
        a, b = (node.attributes[key] % node.ndim for key in "ab")
        order = list(range(node.ndim))
        order[a], order[b] = order[b], order[a]
        return self._permuted(node, operands[0], order)

    def _transpose(self, node: Tensor, operands: list[Value]) -> Value:
        return self._permuted(node, operands[0], list(node.attributes["axes"]))

    def _permuted(self, node: Tensor, x: Value, order: list[int]) -> Value:
        def at(places: Places) -> Piece:
            return x.at([places[order.index(a)] for a in range(node.ndim)])

        return Value(node.shape, at, None, x.costly)

    def _broadcast_to(self, node: Tensor, operands: list[Value]) -> Value:
        x = self.simple(operands[0])
        return Value(node.shape, lambda places: x.at(aligned(places, x.shape)))

    def _reshape(self, node: Tensor, operands: list[Value]) -> Value:
        (x,) = operands
        x = x if x.array else self.stored(x)
        assert x.array is not None
        return self.view(x.array, node.shape)


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


def aligned(places: Places, shape: tuple[int, ...]) -> list[Index]:
    """The place in an operand that broadcasts."""
    own = list(places)[len(places) - len(shape) :] if shape else []
    return [ZERO if n == 1 else place for place, n in zip(own, shape, strict=True)]


def _skip(left: list[Index]) -> None:
    left.pop(0)


def _sliced(start: int, step: int) -> Callable[[list[Index]], Index]:
    return lambda left: left.pop(0).times(step).plus(Index((), start))


def _chosen(place: int) -> Callable[[list[Index]], Index]:
    return lambda left: Index((), place)


def letters_of(node: Tensor) -> list[str]:
    """A letter for each axis of the operands and of the result of a sum of products."""
    if node.op == "einsum":
        before, after = node.attributes["subscripts"].split("->")
        return [*before.split(","), after]
    groups, after = TABLE[node.op or ""].letters()
    cores = ["".join(group) for group in groups] + ["".join(after)]
    free = "ABCDEFGH"[: node.ndim - len(cores[-1])]
    axes = [t.ndim - len(own) for t, own in zip((*node.inputs, node), cores, strict=True)]
    return [free[len(free) - n :] + own for n, own in zip(axes, cores, strict=True)]


def wrapped(parts: Sequence[str], width: int, indent: str) -> Iterator[str]:
    """Parts with commas, as many on a line as fit."""
    line = indent
    for k, part in enumerate(parts):
        piece = part + ("," if k + 1 < len(parts) else "")
        if len(line) + len(piece) + 1 > width and line.strip():
            yield line.rstrip()
            line = indent
        line += piece + " "
    if line.strip():
        yield line.rstrip()
