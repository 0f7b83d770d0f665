"""A cell's step as lines of PyTorch: one for each equation, in its author's order."""

from __future__ import annotations

import keyword
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tinygrad_lstm.batching import lift
from tinygrad_lstm.exporting.filling import reserved
from tinygrad_lstm.exporting.python_layout import WIDTH
from tinygrad_lstm.exporting.subject import ExportError, Layer, comments
from tinygrad_lstm.exporting.torch_style import RELATIONS, Torch
from tinygrad_lstm.graph import opened
from tinygrad_lstm.kernels.names import distinct
from tinygrad_lstm.plain_style import Piece
from tinygrad_lstm.program import Program
from tinygrad_lstm.sizes import ATOM
from tinygrad_lstm.tensor import TABLE, Array, Tensor, ancestors, fold

# what a module has and a file uses: a parameter or a value of such a name gets another one
TAKEN = {*keyword.kwlist, *keyword.softkwlist} | reserved("pytorch")
CHEAP = ("getitem", "swapaxes", "transpose", "identity", "negative", "reshape", "broadcast_to")


class Found(NamedTuple):
    """A written value, and whether it has the axis of the batch."""

    piece: Piece
    batched: bool


class Step:
    """The lines of a step, and what they use: constants, functions of their own."""

    def __init__(
        self, layer: Layer, kept: Sequence[str] = (), program: Program | None = None
    ) -> None:
        self.layer, self.program = layer, program or layer.program
        cell = layer.cell
        self.lines: list[str] = []
        self.constants: dict[str, Array] = {}
        self.functions: dict[str, list[str]] = {}  # by the name of the operation
        self.uses_batch = False
        members, local = set(TAKEN), set(TAKEN)
        self.sizes = {n: distinct(n, members) for n in [*cell.sizes, *cell.derived]}
        self.parameters = {n: distinct(n, members) for n in cell.parameters}
        self.names = {n: distinct(n, local) for n in self.program.equations}
        self.x = distinct("x", local)
        self.before = {n: distinct(f"{n}_prev", local) for n in cell.state}
        self.arguments = {n: distinct(n, local) for n in cell.extra_inputs}
        self.now = {n: distinct(f"{n}_t", local) for n in cell.sequences}
        self._local = local
        self.style = Torch({n: f"self.{own}" for n, own in self.sizes.items()})
        self._numbers = numbers_of(self.program)
        self._uses = Counter(i for n in self.program.nodes() for i in n.inputs)
        self._equation = ""
        self._owners = {node: name for name, node in self.program.equations.items()}
        found = self._leaves()
        self._said = comments(cell)
        wanted = {self.program.equations[n] for n in (*cell.state, cell.output, *kept)}
        needed = set(ancestors(wanted))
        for name, node in self.program.equations.items():
            if node not in needed:
                continue
            self._equation = name
            fold([node], found, lambda n, operands: self._made(n, operands, found))
        equations = self.program.equations
        self.batched = {
            name: found[node].batched for name, node in equations.items() if node in needed
        }

    def _leaves(self) -> dict[Tensor, Found]:
        cell, found = self.layer.cell, dict[Tensor, Found]()
        for name, node in self.program.inputs.items():
            if name in cell.parameters:
                found[node] = Found(Piece(f"self.{self.parameters[name]}"), False)
            elif name == "x":
                found[node] = Found(Piece(self.x), True)
            elif name.startswith("prev."):
                found[node] = Found(Piece(self.before[name[5:]]), True)
            else:
                found[node] = Found(Piece({**self.arguments, **self.now}[name]), True)
        return found

    # --- one operation ----------------------------------------------------------------------------
    def _made(self, node: Tensor, operands: list[Found], known: dict[Tensor, Found]) -> Found:
        if node in self._numbers:
            found = Found(self._constant(node), False)
        else:
            found = self._operation(node, operands)
        owner = self._owners.get(node)
        if owner is not None:
            found = self._equation_line(owner, found)
        elif node.inputs:
            shared = self._uses[node] > 1 and node.op not in CHEAP
            if shared:
                found = self._hoisted(found, self._name_of(node, operands))
        known[node] = found
        return found

    def _equation_line(self, name: str, found: Found) -> Found:
        text = f"{self.names[name]} = {found.piece.text}"
        note = f"  # {self._said[name]}" if name in self._said else ""
        if note and len(text) + len(note) + 12 > WIDTH:
            self.lines.append(note.strip())
            note = ""
        self.lines.append(text + note)
        kind = "number" if found.piece.kind == "number" else ""
        return Found(Piece(self.names[name], kind=kind), found.batched)

    def _operation(self, node: Tensor, operands: list[Found]) -> Found:
        pieces = [self._as_number(node, k, o) for k, o in enumerate(operands)]
        pieces = self._numeric(node, pieces)
        batched = [o.batched for o in operands]
        while True:
            found = self._lifted(node, list(pieces), operands, batched)
            k = max(range(len(pieces)), key=lambda k: len(pieces[k].text))
            if len(found.piece.text) <= WIDTH - 12 - 18 or len(pieces[k].text) < 20:
                return found
            pieces[k] = self._hoisted(Found(pieces[k], batched[k]), "").piece

    def _lifted(
        self, node: Tensor, pieces: list[Piece], operands: list[Found], batched: list[bool]
    ) -> Found:
        free = [
            i.ndim - core
            for i, core in zip(node.inputs, TABLE[node.op or ""].core(node.inputs), strict=True)
        ]
        steps, whole = lift(node, batched, (-1,))
        for op, k, attributes in steps:
            if pieces[k].kind in ("number", "length"):
                continue
            if op == "reshape":
                new = max(free) - free[k] if node.op != "broadcast_to" else None
                attributes = {"new": new} if new else attributes
            elif not batched[k]:
                self.uses_batch = True
                attributes = {"shape": (_Word("batch"), *attributes["shape"][1:])}
            pieces[k] = self.style.operation(op, [pieces[k]], attributes)
        return Found(self._written(node, pieces, whole, operands), any(batched))

    def _written(
        self,
        node: Tensor,
        pieces: Sequence[Piece],
        attributes: dict[str, object],
        operands: Sequence[Found],
    ) -> Piece:
        op = node.op or ""
        own = [i.ndim + o.batched for i, o in zip(node.inputs, operands, strict=True)]
        attributes |= {"ranks": tuple(own), "like": self.x, "ndim": node.inputs[0].ndim}
        if op == "getitem":
            attributes["shape"] = (0,) * operands[0].batched + node.inputs[0].shape
        if op == "broadcast_to" and any(o.batched for o in operands):
            attributes["shape"] = (-1, *node.shape)
        if TABLE[op].definition is not None and not self.style.knows(op):
            pieces = [self._tensor(piece) for piece in pieces]  # a function of tensors
        if TABLE[op].slopes is not None:
            self.functions.setdefault(op, list(surrogate(op)))
            return self.style.call(f"{_class_name(op)}.apply", *(p.text for p in pieces))
        if not self.style.knows(op):
            if TABLE[op].definition is None:
                raise ExportError(
                    f"{self.layer.cell}: equation {self._equation} has the operation {op!r}, which "
                    f"PyTorch does not have.\n  Write it by other operations: @composite."
                )
            self.functions.setdefault(op, list(function(op)))
            return self.style.call(op, *(p.text for p in pieces))
        if op in ("softmax", "log_softmax", "cumsum", "concat", "stack"):
            n = node.ndim
            axis = attributes["axis"]
            assert isinstance(axis, int)
            attributes["axis"] = axis % n - n
        made = self.style.operation(op, pieces, attributes)
        return made

    def _tensor(self, piece: Piece) -> Piece:
        """A number as a tensor."""
        plain = piece.kind in ("number", "length")
        return Piece(f"{self.x}.new_tensor({piece.text})") if plain else piece

    def _numeric(self, node: Tensor, pieces: list[Piece]) -> list[Piece]:
        """Truths as numbers where they are computed with."""
        kinds = [i.dtype.kind for i in node.inputs]
        plain = node.op in ("where", *RELATIONS, "identity", *CHEAP[:3], "reshape", "broadcast_to")
        if plain or all(kind == "b" for kind in kinds) and node.op in ("add", "multiply"):
            return pieces
        return [
            Piece(f"{self.style.fitted(p, ATOM)}.to({self.x}.dtype)") if kind == "b" else p
            for p, kind in zip(pieces, kinds, strict=True)
        ]

    def _as_number(self, node: Tensor, k: int, operand: Found) -> Piece:
        """An array of equal numbers as one, where the others give the shape."""
        array = node.inputs[k]
        if array.inputs or array.name is not None or not array.ndim or array.traced:
            return operand.piece
        others = [i.shape for m, i in enumerate(node.inputs) if m != k]
        if TABLE[node.op or ""].signature != "elementwise" or not others:
            return operand.piece
        alike = array.data.size and (array.data == array.data.flat[0]).all()
        if alike and np.broadcast_shapes(*others) == node.shape:
            return self.style.number(array.data.flat[0])
        return operand.piece

    def _constant(self, node: Tensor) -> Piece:
        if "words" in node.attributes:
            return self.style.leaf(node)
        number = self._numbers[node]
        if not node.ndim:
            return self.style.number(number)
        for name, data in self.constants.items():
            if data.shape == node.shape and np.array_equal(data, number):
                return Piece(name)
        name = distinct(f"constant_{len(self.constants) + 1}", self._local)
        self.constants[name] = number
        return Piece(name)

    # --- values that have no name -----------------------------------------------------------------
    def _hoisted(self, found: Found, name: str) -> Found:
        own = name or f"{self.names[self._equation]}_{1 + self._count(self._equation)}"
        own = distinct(own, self._local)
        self.lines.append(f"{own} = {found.piece.text}")
        return Found(Piece(own), found.batched)

    def _count(self, name: str) -> int:
        start = f"{self.names[name]}_"
        return sum(line.startswith(start) and line[len(start)].isdigit() for line in self.lines)

    def _name_of(self, node: Tensor, operands: Sequence[Found]) -> str:
        """[h, x] is hx."""
        if node.op != "concat":
            return ""
        parts = [o.piece.text.removesuffix("_prev") for o in operands]
        name = "".join(parts)
        return name if name.isidentifier() and len(name) <= 12 else ""


def numbers_of(program: Program) -> dict[Tensor, Array]:
    """The values that depend on no input, with what they are."""
    found: dict[Tensor, Array] = {}
    for node in program.nodes():
        if not node.inputs and not node.traced:
            found[node] = np.asarray(node.data)
        elif node.inputs and all(i in found for i in node.inputs):
            operands = [found[i] for i in node.inputs]
            found[node] = np.asarray(TABLE[node.op or ""].forward(*operands, **node.attributes))
    return found


class _Word:
    """A name in an index."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __str__(self) -> str:
        return self._name


# --- operations that PyTorch does not have --------------------------------------------------------
def function(op: str) -> list[str]:
    """A function of tensors that computes a composite."""
    program = TABLE[op].definition
    names = _arguments(program)
    (root,) = program.outputs.values()
    return [
        f"def {op}({', '.join(names.values())}):",
        f"    return {_scalar(program, root, names, next(iter(names.values())))}",
    ]


def surrogate(op: str) -> list[str]:
    """A function with a derivative of its author's own."""
    program, slopes = TABLE[op].definition, TABLE[op].slopes
    names = _arguments(program)
    several = ", ".join(names.values())
    first = next(iter(names.values()))
    (root,) = program.outputs.values()
    back = _arguments(slopes)
    g, y, *_ = back.values()
    results = [_scalar(slopes, node, back, first) for node in slopes.outputs.values()]
    used = {n.name for n in ancestors(slopes.outputs.values())}
    saved = [own for name, own in back.items() if name in used and own != g]
    return [
        f"class {_class_name(op)}(torch.autograd.Function):",
        '    """A function with a derivative of its own."""',
        "",
        "    @staticmethod",
        f"    def forward(ctx, {several}):",
        f"        {y} = {_scalar(program, root, names, first)}",
        *([f"        ctx.save_for_backward({', '.join(saved)})"] if saved else []),
        f"        return {y}",
        "",
        "    @staticmethod",
        f"    def backward(ctx, {g}):",
        *([f"        {unpacked(saved)} = ctx.saved_tensors"] if saved else []),
        f"        return {', '.join(results)}",
    ]


def unpacked(names: Sequence[str]) -> str:
    """Names on the left of an assignment from a tuple."""
    return ", ".join(names) if len(names) != 1 else f"({names[0]},)"


def _arguments(program: Program) -> dict[str, str]:
    taken = set(TAKEN) | {"ctx"}
    return {name: distinct(name, taken) for name in program.inputs}


def _scalar(program: Program, root: Tensor, names: Mapping[str, str], like: str) -> str:
    """The expression of an elementwise Program."""
    style = Torch({})
    leaves = {program.inputs[name]: Piece(own) for name, own in names.items()}

    def make(node: Tensor, parts: list[Piece]) -> Piece:
        if not node.inputs:
            return style.leaf(node)
        op = node.op or ""
        arithmetic = op not in ("where", "identity", *RELATIONS)
        if arithmetic:
            kinds = [i.dtype.kind for i in node.inputs]
            parts = [
                Piece(f"{style.fitted(p, ATOM)}.to({like}.dtype)") if kind == "b" else p
                for p, kind in zip(parts, kinds, strict=True)
            ]
        if not style.knows(op) and TABLE[op].definition is not None:
            return Piece(f"({opened(op, parts, make).text})")
        return style.operation(op, parts, {**node.attributes, "like": like})

    found: Piece = fold([root], leaves, make)[root]
    if root.dtype.kind == "b":
        return f"({found.text}).to({like}.dtype)"
    return found.text if found.kind != "number" else f"torch.full_like({like}, {found.text})"


def _class_name(op: str) -> str:
    return "".join(word.capitalize() for word in re.split(r"_+", op))
