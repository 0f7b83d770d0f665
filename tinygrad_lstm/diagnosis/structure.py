"""The gates of a cell, read off its Program: which parameter is which gate's matrix or bias.

A cell whose parameters are all matrices on x, on a state, or on both side by side, and vectors that
are added or scale a state, has its gates found here, whatever they are called.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tinygrad_lstm.operation import TABLE
from tinygrad_lstm.program import Program
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Tensor, ancestors
from tinygrad_lstm.weights.gates import CELLS

_LINEAR = ("add", "subtract", "multiply", "negative", "identity")


@dataclass(frozen=True)
class Part:
    """Columns of a matrix that multiply one vector: a parameter, from column start to stop."""

    parameter: str
    start: int
    stop: int


@dataclass
class Gate:
    """What one gate reads: its matrix on x and on the state, biases, and a peephole.

    name: of its equation, or the letter that the tables of weights call it by. share: whether the
    cell also reads one minus it, so that the opposite sign of all its weights exchanges the two.
    activation: the operation that makes it.
    """

    name: str
    x: Part | None = None
    h: Part | None = None
    biases: list[str] = field(default_factory=list)
    peephole: str | None = None
    share: bool = False
    activation: str = ""


@dataclass(frozen=True)
class Structure:
    """A cell's gates, in the order of its equations, for given sizes."""

    cell: Cell
    program: Program
    gates: tuple[Gate, ...]

    def having(self, what: str) -> list[int]:
        """The places of the gates that have an x, h or peephole, or biases."""
        return [k for k, gate in enumerate(self.gates) if getattr(gate, what)]

    @property
    def letters(self) -> bool:
        """Whether every gate is called by one letter."""
        return all(len(gate.name) == 1 for gate in self.gates)


def structure(cell: Cell, inputs: int, hidden: int) -> Structure | None:
    """The gates of a cell of these sizes; None where its parameters are no such matrices."""
    sizes = _sizes(cell, inputs, hidden)
    if sizes is None or cell.extra_inputs:
        return None
    program = cell.program(**sizes)
    states = {program.inputs[f"prev.{name}"]: name for name in cell.state}
    states |= {program.equations[name]: name for name in cell.state}
    if any(node.shape != (hidden,) for node in states) or cell.output not in cell.state:
        return None
    users: dict[Tensor, list[Tensor]] = {}
    for node in ancestors(program.equations.values()):
        for i in dict.fromkeys(node.inputs):
            users.setdefault(i, []).append(node)
    found: dict[Tensor, Gate] = {}
    for name in cell.parameters:
        leaf = program.inputs[name]
        readers = users.get(leaf, [])
        if len(readers) != 1 or not _take(program, leaf, readers[0], states, users, found):
            return None
    order = {node: k for k, node in enumerate(ancestors(found))}
    gates = tuple(found[node] for node in sorted(found, key=order.__getitem__))
    if not gates or any(gate.x is None and gate.h is None for gate in gates):
        return None
    return Structure(cell, program, _lettered(cell, gates))


def _sizes(cell: Cell, inputs: int, hidden: int) -> dict[str, int] | None:
    """The sizes of a cell by name: that of x and that of its states, which are all it has."""
    widths = set(cell.state.values())
    if len(widths) != 1 or cell.derived:
        return None
    sizes = {cell.x: inputs, widths.pop(): hidden}
    if set(cell.sizes) != set(sizes) or (len(sizes) == 1 and inputs != hidden):
        return None
    return sizes if all(n >= cell.bounds.get(name, 1) for name, n in sizes.items()) else None


def _take(
    program: Program,
    leaf: Tensor,
    reader: Tensor,
    states: Mapping[Tensor, str],
    users: Mapping[Tensor, list[Tensor]],
    found: dict[Tensor, Gate],
) -> bool:
    """Give a parameter to the gate that reads it; whether it is a gate's."""
    root, name = _root(program, reader, users)
    gate = found.setdefault(root, Gate(name))
    gate.activation = root.op or ""
    minus = [u for u in users.get(root, []) if u.op == "subtract" and u.inputs[1] is root]
    gate.share = root.op == "sigmoid" and any(
        not u.inputs[0].inputs and not u.inputs[0].traced for u in minus
    )
    label = leaf.name or ""
    if reader.op == "matvec" and reader.inputs[0] is leaf:
        v, start = reader.inputs[1], 0
        for part in v.inputs if v.op == "concat" and v.name is None else (v,):
            stop = start + int(part.shape[0])
            source = _source(program, part, states)
            if source not in ("x", "h") or getattr(gate, source) is not None:
                return False
            setattr(gate, source, Part(label, start, stop))
            start = stop
        return True
    if leaf.ndim != 1:
        return False
    other = next((i for i in reader.inputs if i is not leaf), None)
    if reader.op == "add":
        gate.biases.append(label)
        return True
    if reader.op == "multiply" and other in states and gate.peephole is None:
        gate.peephole = label
        return True
    return False


def _source(program: Program, vector: Tensor, states: Mapping[Tensor, str]) -> str:
    """Whether a vector is x, or made of the output's state: x, h, or neither."""
    if vector is program.inputs["x"]:
        return "x"
    inside = ancestors([vector], stop=[*states, *program.equations.values()])
    read = [n for n in inside if n in states]
    return "h" if len(read) == 1 and program.inputs["x"] not in set(inside) else ""


def _root(
    program: Program, node: Tensor, users: Mapping[Tensor, list[Tensor]]
) -> tuple[Tensor, str]:
    """The function that a sum is the argument of, and what it is called."""
    names = {n: name for name, n in program.equations.items()}
    name = ""
    while True:
        name = name or names.get(node, "")
        if node.op not in _LINEAR and node.op != "matvec":
            return node, name or names.get(node, node.op or "")
        following = users.get(node, [])
        if len(following) != 1 or not _goes_on(following[0]):
            return node, name
        (node,) = following


def _goes_on(node: Tensor) -> bool:
    unary = len(node.inputs) == 1 and TABLE[node.op or ""].signature == "elementwise"
    return node.op in _LINEAR or unary


def _lettered(cell: Cell, gates: tuple[Gate, ...]) -> tuple[Gate, ...]:
    """Gates under the letters of the tables of weights, where the cell stands there."""
    letters = {names.W: letter for letter, names in CELLS.get(cell, {}).items()}
    for gate in gates:
        part = gate.x or gate.h
        gate.name = letters.get(part.parameter if part else "", gate.name)
    return gates
