"""From a cell's Program to SymPy: each named equation as an expression of named values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import count
from typing import Any, NamedTuple

import numpy as np
import sympy
from sympy import Expr, Integer

from equations.algebra import (
    BUILDERS,
    EquationError,
    Extent,
    Literal,
    Running,
    SymbolicValue,
    clip,
    elementwise,
    number,
    operation,
    slopes_of,
)
from equations.lines import Equation, Equations, Note
from equations.places import at_place, for_each, written_for_one_place
from equations.wording import Said
from tinygrad_lstm.notation import (
    Apart,
    look_alikes,
    name_latex,
    name_unicode,
    parts_of,
    space_of,
    step_before,
)
from tinygrad_lstm.program import Program
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import LETTERED, TABLE, Letter, Tensor, fold
from tinygrad_lstm.text import UNICODE

# an equation that would be longer written out, or deeper, gets names for its parts
_LONGEST, _DEEPEST = 400, 20


@dataclass(frozen=True)
class SymbolicStep:
    """A cell's step in SymPy: right-hand sides by name, in the author's order.

    `shapes` tells the shape of every expression in them; `given` maps what the step takes (the
    states before it, x, further inputs, parameters) from a Program's names to symbols. Parts of a
    long equation stand before it under names of their own. `apart` tells the printers which names
    look alike.
    """

    cell: Cell
    equations: dict[str, Expr]
    shapes: dict[Expr, tuple[int, ...]]
    given: dict[str, SymbolicValue]
    apart: Apart


class _Written(NamedTuple):
    """An expression, how many operations and leaves it has, and how deep it is."""

    expr: Expr
    length: int = 1
    depth: int = 0


def check_is_network(cell: Any) -> None:
    """EquationError for what is neither a cell nor a network."""
    if not hasattr(cell, "step") and not hasattr(cell, "parts"):
        raise EquationError(
            f"equations are those of a cell or a network, got {cell!r:.60}; write cells.lstm, or "
            f"cells.all()[name]."
        )


def symbolic_step(cell: Cell, program: Program | None = None) -> SymbolicStep:
    """A cell's Program in SymPy: for the sizes of `program`, or small ones."""
    check_is_network(cell)
    program = program or getattr(cell, "reading", cell.program)()
    given = {name: _input(cell, name, name in program.equations) for name in program.inputs}
    shapes = {given[name]: node.shape for name, node in program.inputs.items()}
    equations: dict[str, Expr] = {}

    def make(name: str, root: Tensor, node: Tensor, operands: list[_Written]) -> _Written:
        expr = _expression(node, [operand.expr for operand in operands], shapes)
        length = 1 + sum(operand.length for operand in operands)
        depth = max((operand.depth + 1 for operand in operands), default=0)
        part = name
        if node is not root:
            if length <= _LONGEST and depth <= _DEEPEST:
                return _Written(expr, length, depth)
            taken = {*equations, *program.written, *program.inputs}
            part = next(n for k in count(1) if (n := f"{name}_part{k}") not in taken)
        letters = tuple(map(_letter, node.letters))
        equations[part] = for_each(expr, letters)
        shapes[SymbolicValue(part)] = (*(letter.length for letter in letters), *node.shape)
        value = at_place(SymbolicValue(part), letters, len(letters) + node.ndim)
        shapes.setdefault(value, node.shape)
        return _Written(value)

    found = {node: _Written(given[name]) for name, node in program.inputs.items()}
    for name, root in program.written.items():
        found = fold([root], found, partial(make, name, root))
    names = (space_of(name)[1] for name in (*program.inputs, *equations))
    return SymbolicStep(cell, equations, shapes, given, look_alikes(names))


def _input(cell: Cell, name: str, shared: bool) -> SymbolicValue:
    """The symbol of an input; `shared` tells that an equation has its name."""
    space, own = space_of(name)
    if space == "prev":
        return SymbolicValue(own, step_before(own))
    timed = own in ("x", getattr(cell, "first", "x")) or _is_sequence(cell, own)
    return SymbolicValue(f"input.{name}" if shared else name, 0 if timed else None)


def _is_sequence(part: Any, name: str) -> bool:
    """Whether a further input, of a network also of a part, has a value at every step."""
    for own in parts_of(name)[0]:
        part = getattr(part, "parts", {}).get(own, part)
    return parts_of(name)[1] in part.sequences


def _expression(
    node: Tensor, operands: list[Expr], shapes: dict[Expr, tuple[int, ...]] | None = None
) -> Expr:
    """One node in SymPy; `shapes` is told the shape of it and of constants with axes."""
    shapes = {} if shapes is None else shapes
    if node.op == "index":
        expr = Running(_letter(node.letters[0]))
    elif not node.inputs:
        expr = _constant(node)
    elif node.op in LETTERED:
        letter = _letter(node.attributes["letter"])
        expr = operation(node.op, *operands, letter=letter)
        if node.op == "row":
            expr = at_place(operands[0], [letter], node.ndim + 1)
    else:
        if node.op not in TABLE or TABLE[node.op].signature != "elementwise":  # axes stay
            for k, i in enumerate(node.inputs):
                if operands[k].is_Number and i.ndim:
                    operands[k] = Literal(np.array(i.data))
                    shapes.setdefault(operands[k], i.shape)
        expr = _apply(node, operands)
    shapes.setdefault(expr, node.shape)
    return expr


def _letter(letter: Letter) -> Letter:
    """A letter whose name and length alone tell it from others."""
    return letter._replace(order=0)


def _constant(node: Tensor) -> Expr:
    if "words" in node.attributes:  # a number made of sizes
        return Extent(node.data.item(), node.attributes["words"])
    return number(node.data.item()) if node.size == 1 else Literal(np.array(node.data))


_NEUTRAL = {"add": (0, 0), "subtract": (None, 0), "multiply": (1, 1), "divide": (None, 1)}


def _apply(node: Tensor, operands: list[Expr]) -> Expr:
    op, shapes = node.op or "", [i.shape for i in node.inputs]
    if op == "clip":
        low, high = (node.attributes[end] for end in ("low", "high"))
        ends = (-np.inf if low is None else low, np.inf if high is None else high)
        return clip(operands[0], *map(number, ends), evaluate=False)
    for k, nothing in enumerate(_NEUTRAL.get(op, ())):
        if operands[k].is_Number and operands[k] == nothing and node.shape == shapes[1 - k]:
            return operands[1 - k]  # 0 + a, 1 a: what loops leave behind
    return _builder(op)(*operands, **UNICODE.attributes(node))


def _builder(op: str) -> Callable[..., Expr]:
    """What SymPy has for an operation of the engine."""
    record = TABLE.get(op)
    if op in BUILDERS or record is None:
        return BUILDERS.get(op, partial(operation, op))
    if record.definition is None and record.sympy is None:
        return partial(operation, op)
    return partial(_function(op, record.definition, record.slopes, record.sympy), evaluate=False)


@cache
def _function(op: str, definition: Program | None, slopes: Program | None, name: str | None) -> Any:
    """A function that the record knows: by the name SymPy has for it, or by its definition."""
    if slopes is not None:  # the derivatives as its author wrote them, of an adjoint g of 1
        return elementwise(op, lambda y, *arguments: _outputs(slopes, Integer(1), y, *arguments))
    if definition is not None:
        return elementwise(op, slopes_of(lambda *arguments: _outputs(definition, *arguments)[0]))
    known = getattr(sympy, name or "")
    return known if name == op else elementwise(op, slopes_of(known))


def _outputs(program: Program, *arguments: Expr) -> tuple[Expr, ...]:
    """The outputs of a Program of numbers with arguments put in."""
    leaves = dict(zip(program.inputs.values(), arguments, strict=True))
    found = fold(program.outputs.values(), leaves, _expression)
    return tuple(found[node] for node in program.outputs.values())


def forward(cell: Cell, folded: bool = False) -> Equations:
    r"""The equations of one step, in the author's order: f_t = σ(W_f · [h_{t-1}, x_t] + b_f), ….

    Each has `.name`, `.latex()`, `.mathml()`, `.unicode()`, and so has the whole. folded: the parts
    of a cell are not opened, φ_x(x_t) stands for the equations of the part φ_x.
    """
    check_is_network(cell)
    program = getattr(cell, "reading", cell.program)()
    step = symbolic_step(cell, program.folded() if folded else program)
    lines = []
    for name, expr in step.equations.items():
        left, (right,) = written_for_one_place(SymbolicValue(name), [expr])
        lines.append(Equation(name, left, right, apart=step.apart))
    return Equations(lines, wire_notes(cell, step.apart))


def wire_notes(network: Any, apart: Apart) -> list[Note]:
    """What the wires of a system bring that is made of all steps of a part."""
    notes = []
    for source, target in getattr(network, "gathered", {}).items():
        part, _, own = target.partition(".")
        first = own.startswith("initial.")
        name = f"prev.{part}.{own[8:]}" if first else target
        own, time = space_of(name)[1], "0" if first else None
        signs = name_latex(own, time, apart), name_unicode(own, time, apart)
        words = "the first value: {source}" if first else "what was made of all steps: {source}"
        notes.append(Note(*signs, Said(words, source=name_unicode(source, None, apart))))
    return notes


def unrolled(cell: Cell, steps: int = 3) -> Equations:
    """The equations written for t = 1, 2, …, steps; the states before the first are h_0, ….

    Lines are named after the equation and the step, such as `C.2`.
    """
    if not isinstance(steps, int) or steps < 1:
        raise EquationError(f"{cell}: steps must be a whole number of at least 1, got {steps}.")
    lines = forward(cell)
    return Equations(
        [
            replace(line, name=f"{line.name}.{t}", step=t)
            for t in range(1, steps + 1)
            for line in lines
        ]
    )
