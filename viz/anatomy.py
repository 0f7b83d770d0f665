"""What a cell is made of, as a figure shows it: layers, pointwise operations, merging lines.

A Program's operations are folded into the shapes that readers know. An activation of sums of
products with matrices of weights is one learned layer; its operands merge below it. Anything else
is an operation by itself, whose sign contains what it computes from numbers and parameters alone
(1 - f is "1−", σ(a) ⊙ h is "σ(a)×"), and its attributes, such as the bounds of a slice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from equations import name_latex, name_unicode
from tinygrad_lstm.program import Program
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import TABLE, Tensor
from viz.symbols import DOT, HOLE, Written, expression, written

OUTPUT = "output"  # the key of the terminal above


@dataclass
class Part:
    """A shape of the figure and the value it computes; `inputs` are keys of values.

    `operands` are those of its operation in order, a key or what stands in the sign itself.
    """

    key: str
    kind: str  # "layer" or "op": the colour
    latex: str
    text: str
    equation: str
    inputs: tuple[str, ...]
    node: Tensor
    operands: tuple[str | Written, ...] = ()
    weights: tuple[str, ...] = ()
    names: list[str] = field(default_factory=list)
    layer: bool = False  # a learned layer fed from below: its inputs merge into one line
    linear: bool = False  # a layer without an activation
    second: str = ""  # the input that is subtracted or divides


@dataclass
class Anatomy:
    """The parts of a cell in the author's order; values are known by their keys.

    A key is the name of an input (`prev.C`, `x`), or of the part that computes the value.
    """

    cell: Cell
    program: Program
    parts: dict[str, Part]
    inputs: tuple[str, ...]  # x and further inputs that are used
    states: dict[str, str]  # a state's name -> the value it gets
    alias: dict[str, str]  # an equation's name -> the value it is
    previous: dict[str, str]  # the value before the step -> its state
    key: dict[Tensor, str]
    parameters: dict[Tensor, str]

    def value(self, key: str) -> Written:
        """A value by its name, or by what computes it if it has none."""
        part = self.parts.get(key)
        if part is not None and not part.names:
            return self.expression(part)
        name, time = (part.names[0], "t") if part else (key, self.time(key))
        return Written(name_latex(name, time), name_unicode(name, time))

    def expression(self, part: Part) -> Written:
        """What a part computes, from named values."""

        def known(node: Tensor) -> Written | None:
            if node in self.parameters:
                return parameter(self.parameters[node])
            key = self.key.get(node)
            if node is part.node or key is None:
                return None
            return None if key in self.parts and not self.parts[key].names else self.value(key)

        return expression(part.node, known)

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


@lru_cache(maxsize=64)
def anatomy(cell: Cell) -> Anatomy:
    """Fold a cell's Program into parts."""
    return _Folder(cell).result()


class _Folder:
    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.program = cell.program()
        self.parts: dict[str, Part] = {}
        self.key: dict[Tensor, str] = {}
        self.inner: dict[str, int] = {}
        self.parameters = {self.program.inputs[name]: name for name in cell.parameters}
        self.equation = {node: name for name, node in self.program.equations.items()}
        for name, node in self.program.inputs.items():
            if node not in self.parameters:
                self.key[node] = name
        self.taken = {OUTPUT, *self.key.values()}

    def result(self) -> Anatomy:
        previous = {f"prev.{name}": name for name in self.cell.state}
        given = list(self.key.values())
        alias = {}
        for name, node in self.program.equations.items():
            alias[name] = key = self.value(node, name)
            if key in self.parts:
                self.parts[key].names.append(name)
        states = {name: alias[name] for name in self.cell.state}
        used = {key for part in self.parts.values() for key in part.inputs}
        used |= {*states.values(), alias[self.cell.output]}
        inputs = tuple(key for key in given if key in used and key not in previous)
        return Anatomy(
            self.cell,
            self.program,
            self.parts,
            inputs,
            states,
            alias,
            previous,
            self.key,
            self.parameters,
        )

    def value(self, node: Tensor, equation: str) -> str:
        """The key of a node's value; parts are made for what computes it, inputs first."""
        stack = [node]
        while stack:
            top = stack[-1]
            if top in self.key:
                stack.pop()
                continue
            kind, operands = self.reading(top)
            todo = [o for o in operands if o not in self.key]
            if todo:
                stack.extend(reversed(todo))
                continue
            stack.pop()
            if kind == "alias":
                self.key[top] = self.key[operands[0]]
            else:
                self.make(top, kind, operands, equation)
        return self.key[node]

    def reading(self, node: Tensor) -> tuple[str, list[Tensor]]:
        """How a node is drawn, and the values that its shape reads."""
        if node.op == "identity":
            return "alias", [node.inputs[0]]
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
        several = node.op in ("softmax", "log_softmax") and node.attributes["axis"] == -1
        return several or TABLE[node.op or ""].signature == "elementwise"

    def free(self, node: Tensor) -> bool:
        return node not in self.equation and bool(node.inputs)

    def fixed(self, node: Tensor) -> bool:
        """A parameter, a constant or made of such: part of a sign, never a line."""
        stack, seen = [node], {node}
        while stack:
            here = stack.pop()
            if here in self.key or here in self.equation:
                return False
            stack += [i for i in here.inputs if i not in seen]
            seen.update(here.inputs)
        return True

    def weight(self, node: Tensor) -> bool:
        """A parameter, or entries of one."""
        while self.free(node) and node.op in ("getitem", "swapaxes", "transpose"):
            node = node.inputs[0]
        return node in self.parameters

    def affine(self, root: Tensor) -> list[Tensor] | None:
        """The operands of a sum of products with weights; None if it is anything else."""
        operands: list[Tensor] = []
        products = 0
        stack, seen = [root], {root}
        while stack:
            node = stack.pop()
            op = node.op if node is root or self.free(node) else None
            if op == "add":
                stack += [i for i in reversed(node.inputs) if i not in seen]
                seen.update(node.inputs)
                continue
            factors = [k for k, i in enumerate(node.inputs) if self.weight(i)]
            if op in ("matvec", "vecdot", "multiply") and len(factors) == 1:
                if op == "matvec" and factors != [0]:
                    return None
                products += op != "multiply"
                operands += self.merged(node.inputs[1 - factors[0]])
            elif not self.weight(node):
                return None
        found = list(dict.fromkeys(operands))
        return found if products and not any(map(self.fixed, found)) else None

    def merged(self, node: Tensor) -> list[Tensor]:
        """The values whose lines merge into this one."""
        if self.free(node) and node.op == "concat" and node.attributes["axis"] == -1:
            return [v for i in node.inputs for v in self.merged(i)]
        return [node]

    def make(self, node: Tensor, kind: str, operands: list[Tensor], equation: str) -> None:
        key = self.equation.get(node)
        if key is None:
            self.inner[equation] = self.inner.get(equation, 0) + 1
            key = f"{equation}.{self.inner[equation]}"
        elif key in self.taken:  # a state called x, beside the input x
            key = f"{key}.0"
        inputs = tuple(dict.fromkeys(self.key[o] for o in operands))
        part = Part(key, "op", "", "", equation, inputs, node, weights=self.weights(node))
        if kind == "op":
            self.sign(part)
        else:
            part.kind, part.layer, part.linear = "layer", True, kind == "linear"
            signs = [self.formula(w) for w in self.factors(node)] if part.linear else []
            signs = signs or [written(node, [HOLE])]
            part.latex = ",".join(sign.latex for sign in signs)
            part.text = ", ".join(sign.text for sign in signs)
        self.parts[key] = part
        self.key[node] = key

    def factors(self, root: Tensor) -> list[Tensor]:
        """The weights in a sum of products, in order."""
        found: list[Tensor] = []
        stack = [root]
        while stack:
            node = stack.pop()
            if self.weight(node):
                found.append(node)
            elif node is root or (node not in self.key and self.free(node)):
                stack += reversed(node.inputs)
        return list(dict.fromkeys(found))

    def weights(self, root: Tensor) -> tuple[str, ...]:
        """The names of the parameters within a part."""
        found: list[str] = []
        stack, seen = [root], {root}
        while stack:
            node = stack.pop()
            if node in self.parameters:
                found.append(self.parameters[node])
            elif node is root or (node not in self.key and self.free(node)):
                stack += [i for i in reversed(node.inputs) if i not in seen]
                seen.update(node.inputs)
        return tuple(dict.fromkeys(found))

    def formula(self, root: Tensor) -> Written:
        """What is computed from parameters and numbers alone."""

        def known(node: Tensor) -> Written | None:
            return parameter(self.parameters[node]) if node in self.parameters else None

        return expression(root, known)

    def sign(self, part: Part) -> None:
        """Name an operation, with what it does to its values beside them."""
        node = part.node
        part.operands = tuple(
            self.formula(i) if self.fixed(i) else self.key[i] for i in node.inputs
        )
        if not part.inputs:
            part.latex, part.text, _ = self.formula(node)
            return
        hole = HOLE if len(part.inputs) == sum(isinstance(o, str) for o in part.operands) else DOT
        shown = [hole if isinstance(o, str) else o for o in part.operands]
        part.latex, part.text, _ = written(node, shown)
        if node.op in ("matvec", "matmul", "vecdot") and part.weights:
            part.kind = "layer"
        if node.op in ("subtract", "divide") and all(o == HOLE for o in shown):
            part.second = self.key[node.inputs[1]]


def parameter(name: str) -> Written:
    """The name of a weight."""
    return Written(name_latex(name, None), name_unicode(name, None))


def sentence(part: Part, program: Program) -> str:
    """What a part computes, for the title that appears when it is pointed at."""
    if part.names:
        return program.text(part.names[0])
    return f"part of {program.text(part.equation)}"
