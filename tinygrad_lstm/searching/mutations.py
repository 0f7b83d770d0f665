"""Mutations: small changes of a cell's Program, after Jozefowicz et al. (2015).

    random = np.random.default_rng(0)
    mutant = mutated(cells.lstm, draw(cells.lstm, 3, random))     # three changes, one after another
    print(mutant.program())                                       # a cell like any other

A change is a record of a kind, a place and a word: what is stored of a mutant is its parent's name
and its changes, from which any process makes it again. Places are nodes of the Program (`places`),
whose numbers are the same for all sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np

from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.errors import CellError, DataError
from tinygrad_lstm.ops import concat, matvec, sigmoid
from tinygrad_lstm.parts import Tracing
from tinygrad_lstm.program import Program, named
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Tensor, ancestors, apply, fold

ACTIVATIONS = ("sigmoid", "tanh", "relu", "softsign")
OPERATIONS = ("add", "subtract", "multiply", "maximum")
KINDS = ("activation", "operation", "wrap", "join", "gate", "drop", "take")


@dataclass(frozen=True)
class Change:
    """One change of a Program.

    kind: "activation" puts the function `word` in place of one, "operation" an operation of two
    values in place of one; "wrap" puts the function `word` around the value at `place`, "join"
    combines it by `word` with the one at `other`, "gate" multiplies it with a new gate σ(W·[h, x]
    + b); "drop" leaves out the operation, so that its operand number `other` stands there, and
    "take" reads the value at `other` instead. place, other: nodes of the Program, by number.
    """

    kind: str
    place: int
    word: str = ""
    other: int = -1

    @classmethod
    def of(cls, stored: Sequence[Any]) -> Change:
        """The change that a list, as of a JSON file, says."""
        try:
            kind, place, word, other = stored
            numbers = isinstance(place, int) and isinstance(other, int)
        except (TypeError, ValueError):
            kind, numbers = None, False
        if kind not in KINDS or not numbers or word not in ("", *ACTIVATIONS, *OPERATIONS):
            raise DataError(f"{stored!r} is no change: write [kind, place, word, other].")
        return cls(kind, place, word, other)

    def stored(self) -> list[Any]:
        """The change as a list."""
        return list(astuple(self))


class Mutant(Cell):
    """A cell whose equations are those of another, changed: what `mutated` makes."""

    def __init__(self, parent: Cell, changes: Sequence[Change], name: str) -> None:
        self.parent, self.changes = parent, tuple(changes)
        self._made: dict[tuple[tuple[str, int], ...], Program] = {}
        program = self._changed(parent.small_sizes())
        words = _words_of(parent, program)
        kept = [n for n in program.inputs if n in words and n not in parent.shapes()]

        def step(now: Any, prev: Any, x: Any, p: Any, **further: Any) -> None:
            """Stand for the listing, which no function writes."""

        step.__name__ = name
        step.__doc__ = f"{parent.name} after {len(self.changes)} changes."
        there = {n: parent.shapes()[n] for n in program.inputs if n in parent.shapes()}
        sizes = {n: f"at least {least}" for n, least in parent.bounds.items()} | dict(
            parent.derived
        )
        known = dimensions.names({"x": parent.x, **parent.state, **there})
        super().__init__(
            step,
            state=parent.state,
            x=parent.x,
            parameters={n: there[n] for n in parent.parameters if n in there}
            | {n: words[n] for n in kept},
            sequences={n: w for n, w in parent.sequences.items() if n not in parent.noise},
            noise=parent.noise,
            constants=parent.constants,
            start={n: v for n, v in parent.start.items() if n in there or n in parent.state},
            sizes={n: w for n, w in sizes.items() if n in known},
            output=parent.declared_output,
            loss=parent.loss,
            papers=parent.papers,
        )

    def _changed(self, sizes: Mapping[str, int]) -> Program:
        key = tuple(sizes.items())
        if key not in self._made:
            program = _alive(self.parent, self.parent.program(**sizes))
            for change in self.changes:
                program = _alive(self.parent, _with(self.parent, program, change))
            self._made[key] = program
        return self._made[key]

    def written(self, tracing: Tracing) -> dict[str, Tensor]:
        """The equations, on the inputs of the step."""
        sizes = {n: int(k) for n, k in tracing.sizes.items() if n in self.parent.sizes}
        whole = self.parent.complete({n: sizes.get(n, 3) for n in self.parent.sizes})
        program = self._changed(whole)
        leaves = {name: tracing.values[name] for name in program.inputs}
        tracing.written |= program.on(leaves, lambda name: name)
        return tracing.written


def mutated(parent: Cell, changes: Sequence[Change], name: str = "") -> Mutant:
    """The cell that changes, one after another, make of another one.

    CellError for changes that are not of this cell: a place that it does not have, or an operation
    that does not stand there.
    """
    return Mutant(parent, changes, name or f"{parent.name}_mutant")


def draw(parent: Cell, number: int, random: np.random.Generator) -> tuple[Change, ...]:
    """So many changes of a cell, drawn one after another, each of what those before it made."""
    program = _alive(parent, parent.program(**parent.small_sizes()))
    changes: list[Change] = []
    for _ in range(number):
        change = _drawn(parent, program, random)
        program = _alive(parent, _with(parent, program, change))
        changes.append(change)
    return tuple(changes)


# --- what can be changed --------------------------------------------------------------------------
def _shapes(parent: Cell, program: Program) -> set[tuple[int, ...]]:
    """The shapes of states with one axis: what elementwise operations meet."""
    found = {program.inputs[f"prev.{name}"].shape for name in parent.state}
    return {shape for shape in found if len(shape) == 1}


def places(program: Program) -> list[Tensor]:
    """The nodes of a Program by the numbers of changes: inputs first, and operands before results.

    The numbers depend on the equations and their order alone, not on when a node was made.
    """
    found: dict[Tensor, None] = {}
    for root in program.equations.values():
        stack = [(root, False)]
        while stack:
            node, ready = stack.pop()
            if node in found:
                continue
            if ready:
                found[node] = None
            else:
                stack += [(node, True), *((i, False) for i in reversed(node.inputs))]
    return sorted(found, key=lambda node: bool(node.inputs))


def _drawn(parent: Cell, program: Program, random: np.random.Generator) -> Change:
    nodes, shapes = places(program), _shapes(parent, program)
    several = [k for k, n in enumerate(nodes) if n.inputs and n.shape in shapes]
    if not several:
        raise CellError(f"{parent} has no operation on vectors as long as a state to change.")
    while True:
        kind = KINDS[random.integers(len(KINDS))]
        place = several[random.integers(len(several))]
        node = nodes[place]
        alike = [k for k, n in enumerate(nodes[:place]) if n.shape == node.shape and n.traced]
        if kind == "activation" and node.op in ACTIVATIONS:
            return Change(kind, place, _other(ACTIVATIONS, node.op, random))
        if kind == "operation" and node.op in OPERATIONS and _elementwise(node):
            return Change(kind, place, _other(OPERATIONS, node.op, random))
        if kind == "wrap":
            return Change(kind, place, _other(ACTIVATIONS, node.op, random))
        if kind == "join" and alike:
            other = alike[random.integers(len(alike))]
            return Change(kind, place, _other(OPERATIONS, "", random), other)
        if kind == "gate" and _read(parent, program):
            return Change(kind, place)
        if kind == "drop":
            operands = [k for k, i in enumerate(node.inputs) if i.shape == node.shape]
            if operands:
                return Change(kind, place, "", operands[random.integers(len(operands))])
        if kind == "take" and alike:
            return Change(kind, place, "", alike[random.integers(len(alike))])


def _other(words: Sequence[str], than: str | None, random: np.random.Generator) -> str:
    left = [word for word in words if word != than]
    return left[random.integers(len(left))]


def _elementwise(node: Tensor) -> bool:
    return len(node.inputs) == 2 and all(i.shape == node.shape for i in node.inputs)


# --- one change -----------------------------------------------------------------------------------
def _with(parent: Cell, program: Program, change: Change) -> Program:
    """The Program after one change."""
    nodes = places(program)
    if not 0 <= change.place < len(nodes) or change.other >= len(nodes):
        raise CellError(f"{parent} has no place {max(change.place, change.other)} to change.")
    said = f"{parent}: the change {change.stored()}"
    if not nodes[change.place].inputs:
        raise CellError(f"{said} is not an operation's: there stands an input.")
    if change.kind in ("join", "take"):
        if not 0 <= change.other < change.place:
            raise CellError(f"{said} reads what is not there yet.")
        if nodes[change.other].shape != nodes[change.place].shape:
            raise CellError(f"{said} reads what is not as long.")
    target, inputs, dims = nodes[change.place], dict(program.inputs), dict(program.dimensions)
    gate: dict[str, Tensor] = {}
    if change.kind == "gate":
        gate = _gate(parent, program, target.shape, inputs, dims)
    owners = {node: name for name, node in program.equations.items()}

    def make(node: Tensor, operands: list[Tensor]) -> Tensor:
        if not node.inputs:
            return node
        if node is not target:
            made = apply(node.op or "", *operands, **node.attributes)
        else:
            made = _made(parent, change, node, operands, results, nodes, gate)
        return named(made, owners[node]) if node in owners else made

    # node by node, since a change may read what is not an operand
    results: dict[Tensor, Tensor] = {node: node for node in program.inputs.values()}
    for node in ancestors([*program.equations.values()]):
        if node not in results:
            results[node] = make(node, [results[i] for i in node.inputs])
    equations: dict[str, Tensor] = {}
    for name, node in program.equations.items():
        if target in set(ancestors([node])):
            equations |= gate
        equations[name] = results[node]
    outputs = {name: equations[name] for name in program.outputs}
    static = {*(program.static or ()), *(inputs.keys() - program.inputs)}
    return Program(program.name, inputs, equations, outputs, dims, program.sizes, static)


def _made(
    parent: Cell,
    change: Change,
    node: Tensor,
    operands: Sequence[Tensor],
    results: Mapping[Tensor, Tensor],
    nodes: Sequence[Tensor],
    gate: Mapping[str, Tensor],
) -> Tensor:
    """What stands in the place of a node after the change."""
    kind, word = change.kind, change.word
    there = operands[change.other] if kind == "drop" and change.other < len(operands) else None
    fits: Mapping[str, Callable[[], bool]] = {
        "activation": lambda: node.op in ACTIVATIONS and word in ACTIVATIONS,
        "operation": lambda: _elementwise(node) and word in OPERATIONS,
        "drop": lambda: there is not None and there.shape == node.shape,
    }
    if kind in fits and not fits[kind]():
        raise CellError(f"{parent}: the change {change.stored()} does not fit {node.op}.")
    if kind in ("activation", "operation"):
        return apply(word, *operands)
    if kind == "drop" and there is not None:
        return apply("identity", there)
    if kind == "take":
        return apply("identity", results[nodes[change.other]])
    whole = apply(node.op or "", *operands, **node.attributes)
    if kind == "wrap":
        return apply(word, whole)
    second = next(iter(gate.values())) if kind == "gate" else results[nodes[change.other]]
    return apply("multiply" if kind == "gate" else word, whole, second)


def _read(parent: Cell, program: Program) -> list[str]:
    """What a new gate reads: the output, or the first state that is a vector, and x."""
    vectors = [n for n in parent.state if len(program.inputs[f"prev.{n}"].shape) == 1]
    first = parent.output if parent.output in vectors else vectors[0] if vectors else ""
    x = ["x"] if len(program.inputs["x"].shape) == 1 and program.inputs["x"].shape[0] else []
    return [f"prev.{first}", *x] if first else []


def _gate(
    parent: Cell,
    program: Program,
    shape: tuple[int, ...],
    inputs: dict[str, Tensor],
    dims: dict[str, str],
) -> dict[str, Tensor]:
    """A new gate as an equation, its parameters among the inputs, with their shapes in words."""
    taken = {*program.equations, *program.inputs, *parent.sizes, *parent.shapes()}
    number = next(k for k in range(1, 10_000) if not {f"g_{k}", f"W_g{k}", f"b_g{k}"} & taken)
    name, W, b = f"g_{number}", f"W_g{number}", f"b_g{number}"
    read = _read(parent, program)
    x = concat(*(program.inputs[n] for n in read)) if len(read) > 1 else program.inputs[read[0]]
    # the words of the state that is as long, which the small sizes tell apart
    state = next(n for n in parent.state if program.inputs[f"prev.{n}"].shape == shape)
    words = parent.state[state]
    columns = [parent.state[n[5:]] if n != "x" else parent.x for n in read]
    inputs[W] = Tensor.input(W, (*shape, int(x.shape[0])))
    inputs[b] = Tensor.input(b, shape)
    dims[W], dims[b] = f"{words}, {' + '.join(columns)}", words
    return {name: named(sigmoid(matvec(inputs[W], x) + inputs[b]), name)}


def _words_of(parent: Cell, program: Program) -> dict[str, str]:
    return {n: program.dimensions[n] for n in program.inputs if n in program.dimensions}


def _alive(parent: Cell, program: Program) -> Program:
    """The Program without equations and parameters that neither states, output nor loss read."""
    wanted = [*parent.state, parent.output, *([parent.loss] if parent.loss else [])]
    below = set(ancestors([program.equations[name] for name in wanted]))
    equations = {n: node for n, node in program.equations.items() if node in below}
    further = {"x", *(f"prev.{n}" for n in parent.state), *parent.extra_inputs}
    inputs = {n: t for n, t in program.inputs.items() if n in further or t in below}
    known = {node: node for node in inputs.values()}
    # made anew, so that the order of nodes is that of this Program alone
    owners = {node: name for name, node in equations.items()}

    def make(node: Tensor, operands: list[Tensor]) -> Tensor:
        if not node.inputs:
            return node
        made = apply(node.op or "", *operands, **node.attributes)
        return named(made, owners[node]) if node in owners else made

    found = fold(equations.values(), known, make)
    # in an order in which they can be computed: one may read what stood behind it
    ordered = sorted(equations, key=lambda n: found[equations[n]].order)
    equations = {n: found[equations[n]] for n in ordered}
    outputs = {name: equations[name] for name in program.outputs}
    return Program(
        program.name, inputs, equations, outputs, program.dimensions, program.sizes, program.static
    )
