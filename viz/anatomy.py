"""What a cell is made of, as a figure shows it: layers, pointwise operations, merging lines.

A Program's operations are folded into the shapes that readers know. An activation of sums of
products with parameters is one learned layer; its operands merge below it. What remains of
arithmetic is a pointwise operation, a constant operand being part of its symbol (1 - f is "1-").
Anything else is a pill that bears the operation's name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from equations import name_latex
from tinygrad_lstm.program import Program
from tinygrad_lstm.recurrent import Cell
from tinygrad_lstm.tensor import Tensor

INFIX = {"add": "+", "subtract": "-", "multiply": r"\times", "divide": r"\div"}
FUNCTIONS = {
    "tanh": r"\tanh", "sigmoid": r"\sigma", "exp": r"\exp", "log": r"\log", "sin": r"\sin",
    "cos": r"\cos", "negative": "-", "abs": r"|\cdot|", "sqrt": r"\sqrt{\,\cdot\,}",
    "maximum": r"\max", "minimum": r"\min", "max": r"\max", "vecdot": r"\cdot",
    "outer": r"\otimes", "matvec": r"\cdot", "matmul": r"\cdot", "sum": r"\textstyle\sum",
    "concat": r"[\,,]",
}  # fmt: skip


@dataclass
class Part:
    """A shape of the figure and the value it computes; `inputs` are keys of values."""

    key: str
    kind: str  # "layer", "op" or "pill"
    latex: str
    text: str
    equation: str
    inputs: tuple[str, ...]
    weights: tuple[str, ...] = ()
    names: list[str] = field(default_factory=list)
    merges: bool = False  # its inputs merge into one line
    second: str = ""  # the input that is subtracted or divides

    @property
    def layer(self) -> bool:
        """Whether it is a learned layer fed from below."""
        return self.merges


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

    def time(self, name: str, time: str = "t") -> str | None:
        """The index that an input shows at a step: a constant shows none."""
        return None if name in self.cell.constants else time

    def users(self, key: str) -> list[Part]:
        """The parts that read a value."""
        return [part for part in self.parts.values() if key in part.inputs]


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
        self.parameters = {self.program.inputs[name] for name in cell.parameters}
        for name, node in self.program.inputs.items():
            if node not in self.parameters:
                self.key[node] = name

    def result(self) -> Anatomy:
        alias = {}
        for name, node in self.program.equations.items():
            alias[name] = key = self.value(node, name)
            if key in self.parts:
                self.parts[key].names.append(name)
        used = {key for part in self.parts.values() for key in part.inputs}
        states = {name: alias[name] for name in self.cell.state}
        used |= set(states.values())
        prev = {f"prev.{name}" for name in self.cell.state}
        inputs = tuple(key for key in self.key.values() if key in used and "." not in key)
        inputs = tuple(k for k in inputs if k not in prev and k not in self.parts)
        return Anatomy(self.cell, self.program, self.parts, inputs, states, alias)

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
        if len(node.inputs) == 1 and self.free(node.inputs[0]):
            terms = self.affine(node.inputs[0])
            if terms is not None:
                return "layer", terms
        return "op", [i for i in node.inputs if not self.fixed(i)]

    def free(self, node: Tensor) -> bool:
        return node.name is None and bool(node.inputs)

    def fixed(self, node: Tensor) -> bool:
        """A parameter, a constant or made of such: part of a shape, never a line."""
        if node in self.key or node.name in self.program.equations:
            return False
        stack = [node]
        while stack:
            here = stack.pop()
            if here in self.key or (here.name is not None and here.inputs):
                return False
            stack += here.inputs
        return True

    def affine(self, root: Tensor) -> list[Tensor] | None:
        """The operands of a sum of products with parameters; None if it is anything else."""
        operands: list[Tensor] = []
        products = 0
        stack = [root]
        while stack:
            node = stack.pop()
            inner = node is root or self.free(node)
            if inner and node.op == "add":
                stack += reversed(node.inputs)
            elif inner and node.op == "matvec" and node.inputs[0] in self.parameters:
                products += 1
                operands += self.merged(node.inputs[1])
            elif inner and node.op == "multiply" and node.inputs[0] in self.parameters:
                operands += self.merged(node.inputs[1])
            elif inner and node.op == "multiply" and node.inputs[1] in self.parameters:
                operands += self.merged(node.inputs[0])
            elif not self.fixed(node):
                return None
        return list(dict.fromkeys(operands)) if products else None

    def merged(self, node: Tensor) -> list[Tensor]:
        """The values whose lines merge into this one."""
        if self.free(node) and node.op == "concat" and node.attributes["axis"] == -1:
            return [v for i in node.inputs for v in self.merged(i)]
        return [node]

    def make(self, node: Tensor, kind: str, operands: list[Tensor], equation: str) -> None:
        name = node.name if node.name in self.program.equations else None
        if name is None:
            self.inner[equation] = self.inner.get(equation, 0) + 1
            key = f"{equation}.{self.inner[equation]}"
        else:
            key = name
        inputs = tuple(dict.fromkeys(self.key[o] for o in operands))
        part = Part(key, "pill", "", node.op or "", name or equation, inputs)
        if kind in ("layer", "linear"):
            part.kind, part.merges = "layer", True
            part.weights = self.weights(node)
        if kind == "layer":
            part.latex, part.text = symbol_of(node.op or "")
        elif kind == "linear":
            part.latex = r"\,".join(name_latex(w, None) for w in part.weights[:1])
            part.text = part.weights[0]
        else:
            self.symbol(part, node)
        self.parts[key] = part
        self.key[node] = key

    def weights(self, root: Tensor) -> tuple[str, ...]:
        found: list[str] = []
        stack = [root]
        while stack:
            node = stack.pop()
            if node in self.parameters:
                found.append(node.name or "")
            elif node is root or self.free(node):
                stack += reversed(node.inputs)
        return tuple(dict.fromkeys(found))

    def symbol(self, part: Part, node: Tensor) -> None:
        op = node.op or ""
        fixed = [k for k, i in enumerate(node.inputs) if self.fixed(i)]
        part.latex, part.text = symbol_of(op)
        if op in INFIX or op in FUNCTIONS:
            part.kind = "op"
        if op in INFIX and not fixed and op in ("subtract", "divide"):
            part.second = self.key[node.inputs[1]]
        if len(node.inputs) == 2 and len(fixed) == 1 and (op in INFIX or op == "power"):
            other = node.inputs[fixed[0]]
            if weights := self.weights(other):
                part.weights = weights
                shown = r"\,".join(name_latex(w, None) for w in weights)
                plain, part.kind = " ".join(weights), "layer"
            elif not other.traced and other.size == 1:
                shown = plain = f"{other.data.item():.4g}"
            else:
                shown = plain = "c"
            sign, written = INFIX.get(op, "^"), _SIGNS.get(op, "^")
            if op == "power":
                part.latex = rf"(\cdot)^{{{shown}}}" if fixed[0] else rf"{shown}^{{(\cdot)}}"
                part.text, part.kind = f"power {plain}", "op"
            elif fixed[0] == 0:
                part.latex, part.text = rf"{shown}{{{sign}}}", f"{plain}{written}"
            else:
                part.latex, part.text = rf"{{{sign}}}{shown}", f"{written}{plain}"


_SIGNS = {"add": "+", "subtract": "−", "multiply": "×", "divide": "÷"}
_WORDS = {"tanh": "tanh", "sigmoid": "σ", "negative": "−", "vecdot": "·", "outer": "⊗", "sum": "Σ"}


def symbol_of(op: str) -> tuple[str, str]:
    """The symbol of an operation, as LaTeX and as text."""
    latex = INFIX.get(op) or FUNCTIONS.get(op) or rf"\mathrm{{{op.replace('_', chr(92) + ' ')}}}"
    return latex, _SIGNS.get(op) or _WORDS.get(op) or op


def sentence(part: Part, program: Program) -> str:
    """What a part computes, for the title that appears when it is pointed at."""
    if part.names:
        return program.text(part.names[0])
    return f"part of {program.text(part.equation)}"
