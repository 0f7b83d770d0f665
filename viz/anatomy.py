"""What a cell is made of, as a figure shows it: layers, pointwise operations, merging lines.

A Program's operations are folded into the shapes that readers know. An activation of sums of
products with matrices of weights is one learned layer; its operands merge below it. Anything else
is an operation by itself, whose sign contains what it computes from numbers and parameters alone
(1 - f is "1−", σ(a) ⊙ h is "σ(a)×"), and its attributes, such as the bounds of a slice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from tinygrad_lstm.notation import at_place
from tinygrad_lstm.program import Program
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import TABLE, Tensor
from tinygrad_lstm.text import at_one_place, row_of
from viz.symbols import DOT, HOLE, Written, called, expression, named, within, written

OUTPUT = "output"  # the key of the terminal above


@dataclass
class Part:
    """A shape of the figure and the value it computes; `inputs` are keys of values."""

    key: str
    kind: str  # "layer" or "op": the colour
    sign: Written
    equation: str
    inputs: tuple[str, ...]
    node: Tensor
    weights: tuple[str, ...]
    names: list[str] = field(default_factory=list)
    merges: bool = False  # a learned layer fed from below: its inputs merge into one line
    linear: bool = False  # a layer without an activation
    second: str = ""  # the input that is subtracted or divides

    @property
    def lengths(self) -> tuple[int, ...]:
        """How often it is computed in a step: once at every place of its letters."""
        return tuple(letter.length for letter in self.node.letters)


@dataclass(eq=False)
class Anatomy:
    """The parts of a cell in the author's order; values are known by their keys.

    A key is the name of an input (`prev.C`, `x`), or of the part that computes the value.
    """

    cell: Cell
    program: Program
    key: dict[Tensor, str]  # of each value
    parameters: dict[Tensor, str]
    parts: dict[str, Part] = field(default_factory=dict)
    alias: dict[str, str] = field(default_factory=dict)  # an equation's name -> the value it is

    @cached_property
    def previous(self) -> dict[str, str]:
        """The value before the step -> its state."""
        return {f"prev.{name}": name for name in self.cell.state}

    @cached_property
    def states(self) -> dict[str, str]:
        """A state's name -> the value it gets."""
        return {name: self.alias[name] for name in self.cell.state}

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """x and further inputs that are used."""
        used = {key for part in self.parts.values() for key in part.inputs}
        used |= set(self.leaving.values())
        outside = used - {*self.previous, *self.cell.parameters}
        return tuple(name for name in self.program.inputs if name in outside)

    def value(self, key: str) -> Written:
        """A value by its name, or by what computes it if it has none."""
        part = self.parts.get(key)
        if part is None:
            return named(key, self.time(key))
        return named(part.names[0]) if part.names else self.expression(part)

    def name(self, name: str, time: str = "t") -> Written:
        """A named value; what is written for one place, at that place: e_{t,j}."""
        return named(name, at_place(time, at_one_place(self.program.written[name])[1]))

    @cached_property
    def results(self) -> dict[Tensor, str]:
        """What cells inside the cell give, where one stands as one box: the equation of each."""
        found: dict[Tensor, str] = {}
        for name, node in self.program.written.items():
            if (own := bare(node)).op == "part":
                found.setdefault(own, name)
        return found

    def expression(self, part: Part, name: str = "") -> Written:
        """What a part computes, from named values; of several results the one of that name."""
        root = bare(self.program.written[name]) if name else part.node

        def known(node: Tensor) -> Written | None:
            if node in self.parameters:
                return named(self.parameters[node], None)
            if (row := self.row(node)) is not None:
                return row
            key = self.key.get(node)
            if node is root or key is None:
                return None
            if (own := bare(node)) in self.results and own is not root:
                return named(self.results[own])
            return None if key in self.parts and not self.parts[key].names else self.value(key)

        return expression(root, known)

    def operands(self, part: Part) -> list[str]:
        """What a layer reads, in words; at one place what is read so: H_j."""
        own = within(part.node, lambda n: n is part.node or n not in self.key)
        rows = {self.key[n]: row for n in own if n in self.key and (row := self.row(n))}
        return [rows.get(key, self.value(key)).text for key in part.inputs]

    def row(self, node: Tensor) -> Written | None:
        """One place of a named value, by its name: H_j; None of anything else."""
        base, letters = row_of(node)
        if not letters:
            return None
        if base in self.parameters:
            return named(self.parameters[base], at_place(None, letters))
        key = self.key.get(base, "")
        part = self.parts.get(key)
        name = part.names[0] if part and part.names else key
        if not key or part and not part.names:
            return None
        return named(name, at_place("t" if part else self.time(name), letters))

    def given(self, part: Part) -> list[str]:
        """The results of a cell inside the cell, by their names."""
        return [n for node, n in self.results.items() if self.key[node] == part.key]

    def title(self, part: Part) -> str:
        """What a part computes, for the title that appears when it is pointed at."""
        if part.node in self.results:
            return "; ".join(map(self.program.text, self.given(part)))
        if part.names:
            return self.program.text(part.names[0])
        return f"part of {self.program.text(part.equation)}"

    def time(self, name: str, time: str = "t") -> str | None:
        """The index that an input shows at a step: a constant shows none."""
        return None if name in self.cell.constants else time

    def users(self, key: str) -> list[Part]:
        """The parts that read a value."""
        return [part for part in self.parts.values() if key in part.inputs]

    @property
    def leaving(self) -> dict[str, str]:
        """What leaves the cell, and its value: the next states, `next.C`, and the output above."""
        ends = {f"next.{state}": value for state, value in self.states.items()}
        return {**ends, OUTPUT: self.alias[self.cell.output]}

    @cached_property
    def belts(self) -> dict[str, list[str]]:
        """For each state with a belt, the operations that carry it from step to step, in order."""
        belts: dict[str, list[str]] = {}
        for state, value in self.states.items():
            start = f"prev.{state}"
            path = self._carriers(start, value, {key for path in belts.values() for key in path})
            if path or value in self.previous or not all(p.merges for p in self.users(start)):
                belts[state] = path
        return belts

    def _carriers(self, start: str, goal: str, taken: set[str]) -> list[str]:
        """The shortest way from a value to another through operations that are not layers."""
        before = {start: ""}
        for here in (queue := [start]):
            for part in self.users(here):
                if not part.merges and part.key not in taken and part.key not in before:
                    before[part.key] = here
                    queue.append(part.key)
        path: list[str] = []
        while goal != start and goal in before:
            path.insert(0, goal)
            goal = before[goal]
        return path


def anatomy(cell: Cell, folded: bool = False) -> Anatomy:
    """Fold a cell's Program into parts; folded: a cell inside the cell is one of them."""
    return parts_of(cell, folded)  # one key of the cache, however it is called


@lru_cache(maxsize=64)
def parts_of(cell: Cell, folded: bool) -> Anatomy:
    """The anatomy of a cell, made once."""
    program = cell.program().folded() if folded else cell.program()
    parameters = {program.inputs[name]: name for name in cell.parameters}
    key = {node: name for name, node in program.inputs.items() if node not in parameters}
    return _Folder(Anatomy(cell, program, key, parameters)).fold()


class _Folder:
    def __init__(self, a: Anatomy) -> None:
        self.a, self.parts, self.key, self.parameters = a, a.parts, a.key, a.parameters
        self.inner: dict[str, int] = {}
        self.calls: dict[tuple[object, ...], str] = {}  # a cell inside the cell -> its box
        self.equation = {node: name for name, node in a.program.written.items()}
        for name, node in a.program.written.items():  # at one place, where it is written so
            one = at_one_place(node)[0]
            if one.inputs and one.name is None and one.op != "row":
                self.equation.setdefault(one, name)
        self.taken = {OUTPUT, *a.key.values()}

    def fold(self) -> Anatomy:
        for name, node in self.a.program.written.items():
            self.a.alias[name] = key = self.value(node, name)
            if key in self.parts:
                self.parts[key].names.append(name)
        return self.a

    def value(self, root: Tensor, equation: str) -> str:
        """The key of a node's value; parts are made for what computes it, inputs first."""
        stack = [root]
        while stack:
            node = stack[-1]
            if node in self.key:
                stack.pop()
                continue
            kind, operands = self.classify(node)
            if node.op == "part" and (call := _call(node)) in self.calls:
                self.key[node] = self.calls[call]
            elif todo := [o for o in operands if o not in self.key]:
                stack.extend(reversed(todo))
            elif kind == "alias":
                self.key[node] = self.key[operands[0]]
            else:
                self.make(node, kind, operands, equation)
        return self.key[root]

    def classify(self, node: Tensor) -> tuple[str, list[Tensor]]:
        """How a node is drawn, and the values that its shape reads."""
        if node.op in ("identity", "row", "each"):
            return "alias", [node.inputs[0]]
        if node.op == "part":
            merged = [value for i in node.inputs for value in self.merged(i)]
            return "layer", list(dict.fromkeys(merged))
        terms = self.affine(node)
        if terms is not None:
            return "linear", terms
        if self.activates(node) and self.free(node.inputs[0]):
            terms = self.affine(node.inputs[0])
            if terms is not None:
                return "layer", terms
        return "op", [i for i in node.inputs if not self.fixed(i)]

    def activates(self, node: Tensor) -> bool:
        """Whether it may be drawn as the activation of a layer."""
        if len(node.inputs) != 1 or node.op in ("negative", "detach"):
            return False
        if node.op not in TABLE:
            return False
        several = node.op in ("softmax", "log_softmax") and node.attributes["axis"] == -1
        return several or TABLE[node.op or ""].signature == "elementwise"

    def free(self, node: Tensor) -> bool:
        return node not in self.equation and bool(node.inputs)

    def fixed(self, node: Tensor) -> bool:
        """A parameter, a constant or made of such: part of a sign, never a line."""
        return not any(n in self.key or n in self.equation for n in within(node, lambda n: True))

    def weight(self, node: Tensor) -> bool:
        """A parameter, or entries of one."""
        while self.free(node) and node.op in ("getitem", "swapaxes", "transpose", "row"):
            node = node.inputs[0]
        return node in self.parameters

    def affine(self, root: Tensor) -> list[Tensor] | None:
        """The operands of a sum of products with weights; None if it is anything else."""

        def adds(node: Tensor) -> bool:
            return node.op == "add" and (node is root or self.free(node))

        operands: list[Tensor] = []
        products = 0
        for node in within(root, adds):
            factors = [k for k, i in enumerate(node.inputs) if self.weight(i)]
            op = node.op if node is root or self.free(node) else None
            if op in ("matvec", "vecdot", "multiply") and len(factors) == 1:
                if op == "matvec" and factors != [0]:
                    return None
                products += op != "multiply"
                operands += self.merged(node.inputs[1 - factors[0]])
            elif op != "add" and not self.weight(node):
                return None
        found = list(dict.fromkeys(operands))
        return found if products and not any(map(self.fixed, found)) else None

    def merged(self, node: Tensor) -> list[Tensor]:
        """The values whose lines merge into this one."""

        def joins(node: Tensor) -> bool:
            return self.free(node) and node.op == "concat" and node.attributes["axis"] == -1

        return [n for n in within(node, joins) if not joins(n)]

    def make(self, node: Tensor, kind: str, operands: list[Tensor], equation: str) -> None:
        key = self.equation.get(node)
        if key is None:
            self.inner[equation] = self.inner.get(equation, 0) + 1
            key = f"{equation}.{self.inner[equation]}"
        elif key in self.taken:  # a state called x, beside the input x
            key = f"{key}.0"

        def inner(n: Tensor) -> bool:
            return n is node or (n not in self.key and self.free(n))

        inside = list(within(node, inner))
        weights = tuple(self.parameters[n] for n in inside if n in self.parameters)
        inputs = tuple(dict.fromkeys(self.key[o] for o in operands))
        part = Part(key, "op", HOLE, equation, inputs, node, weights)
        if node.op == "part":
            part.kind, part.merges = "layer", True
            part.sign = called(node)
            self.calls[_call(node)] = key
        elif kind == "op":
            self.sign(part)
        else:
            part.kind, part.merges, part.linear = "layer", True, kind == "linear"
            part.sign = written(node, [HOLE])
            if part.linear:
                inside = list(within(node, lambda n: inner(n) and not self.weight(n)))
                signs = [self.formula(n) for n in inside if self.weight(n)]
                part.sign = Written(
                    ",".join(s.latex for s in signs), ", ".join(s.text for s in signs)
                )
        self.parts[key] = part
        self.key[node] = key

    def formula(self, root: Tensor) -> Written:
        """What is computed from parameters and numbers alone."""

        def known(node: Tensor) -> Written | None:
            base, letters = row_of(node)
            if base not in self.parameters:
                return None
            return named(self.parameters[base], at_place(None, letters))

        return expression(root, known)

    def sign(self, part: Part) -> None:
        """Name an operation, with what it does to its values beside them."""
        node = part.node
        if not part.inputs:
            part.sign = self.formula(node)
            return
        inside = [self.fixed(i) for i in node.inputs]
        hole = HOLE if len(part.inputs) == inside.count(False) else DOT
        shown = [
            self.formula(i) if own else hole for i, own in zip(node.inputs, inside, strict=True)
        ]
        part.sign = written(node, shown)
        if node.op in ("matvec", "matmul", "vecdot") and part.weights:
            part.kind = "layer"
        if node.op in ("subtract", "divide") and all(o == HOLE for o in shown):
            part.second = self.key[node.inputs[1]]


def bare(node: Tensor) -> Tensor:
    """What a node is another name of."""
    while node.op == "identity":
        node = node.inputs[0]
    return node


def _call(node: Tensor) -> tuple[object, ...]:
    """What makes several results those of one cell inside the cell."""
    return (node.attributes["of"], *node.inputs)
