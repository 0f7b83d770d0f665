"""From a cell's Program to SymPy: each named equation as an expression of named values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Any

import numpy as np
import sympy
from sympy import Expr, Integer

from equations.algebra import (
    BUILDERS,
    EquationError,
    Extent,
    Literal,
    Quantity,
    clip,
    meaning,
    number,
    operation,
)
from equations.lines import Equation, Equations
from tinygrad_lstm.notation import Apart, look_alikes, parts_of, space_of, step_before
from tinygrad_lstm.program import Program
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import TABLE, Tensor, ancestors
from tinygrad_lstm.text import over

# an equation that would be longer written out, or deeper, gets names for its parts
_LONGEST, _DEEPEST = 400, 20


@dataclass(frozen=True)
class Reading:
    """A cell's step in SymPy: right-hand sides by name, in the author's order.

    `shapes` tells the shape of every expression in them; `given` maps what the step takes (the
    states before it, x, further inputs, parameters) from a Program's names to symbols. Parts of a
    long equation stand before it under names of their own. `apart` tells the printers which names
    look alike.
    """

    cell: Cell
    equations: dict[str, Expr]
    shapes: dict[Expr, tuple[int, ...]]
    given: dict[str, Quantity]
    apart: Apart


def checked(cell: Any) -> Any:
    """A cell or a network as it is; EquationError for anything else."""
    if not hasattr(cell, "step") and not hasattr(cell, "parts"):
        raise EquationError(
            f"equations are those of a cell or a network, got {cell!r:.60}; write cells.lstm, or "
            f"cells.all()[name]."
        )
    return cell


def read(cell: Cell, program: Program | None = None) -> Reading:
    """Read a cell's Program: for the sizes of `program`, or small ones."""
    program = program or checked(cell).program()
    given = {name: _input(cell, name, name in program.equations) for name in program.inputs}
    known: dict[Tensor, Expr] = {node: given[name] for name, node in program.inputs.items()}
    shapes: dict[Expr, tuple[int, ...]] = {
        given[name]: node.shape for name, node in program.inputs.items()
    }
    roots = {node: name for name, node in program.equations.items()}
    equations: dict[str, Expr] = {}
    found: dict[Tensor, Expr] = {}
    length: dict[Tensor, int] = {}
    depth: dict[Tensor, int] = {}
    for name, root in program.equations.items():
        for node in ancestors([root], stop={n for n in (*known, *roots) if n is not root}):
            if node in found:
                continue
            if node in known or node in roots and node is not root:
                found[node], length[node], depth[node] = known[node], 1, 0
                continue
            if not node.inputs:
                expr = _constant(node)
            else:
                operands = [found[i] for i in node.inputs]
                if TABLE[node.op or ""].signature != "elementwise":  # what has axes keeps them
                    for k, i in enumerate(node.inputs):
                        if operands[k].is_Number and i.ndim:
                            operands[k] = Literal(np.array(i.data))
                            shapes.setdefault(operands[k], i.shape)
                expr = _built(node, operands)
            shapes.setdefault(expr, node.shape)
            length[node] = 1 + sum(length[i] for i in node.inputs)
            depth[node] = 1 + max((depth[i] for i in node.inputs), default=-1)
            part = name
            if node is not root:
                if length[node] <= _LONGEST and depth[node] <= _DEEPEST:
                    found[node] = expr
                    continue
                taken = {*equations, *program.equations, *program.inputs}
                part = next(n for k in count(1) if (n := f"{name}_part{k}") not in taken)
            equations[part] = expr
            found[node], length[node], depth[node] = Quantity(part), 1, 0
            shapes[found[node]] = node.shape
        known[root] = found[root]
    names = (space_of(name)[1] for name in (*program.inputs, *equations))
    return Reading(cell, equations, shapes, given, look_alikes(names))


def _input(cell: Cell, name: str, shared: bool) -> Quantity:
    """The symbol of an input; `shared` tells that an equation has its name."""
    space, own = space_of(name)
    if space == "prev":
        return Quantity(own, step_before(own))
    timed = own == "x" or _is_sequence(cell, own)
    return Quantity(f"input.{name}" if shared else name, 0 if timed else None)


def _is_sequence(part: Any, name: str) -> bool:
    """Whether a further input, of a network also of a part, has a value at every step."""
    for own in parts_of(name)[0]:
        part = part.parts[own]
    return parts_of(name)[1] in part.sequences


def _constant(node: Tensor) -> Expr:
    if "words" in node.attributes:  # a number made of sizes
        return Extent(node.data.item(), node.attributes["words"])
    return number(node.data.item()) if node.size == 1 else Literal(np.array(node.data))


_NEUTRAL = {"add": (0, 0), "subtract": (None, 0), "multiply": (1, 1), "divide": (None, 1)}


def _built(node: Tensor, operands: list[Expr]) -> Expr:
    op = node.op or ""
    if op == "clip":
        low, high = (node.attributes[end] for end in ("low", "high"))
        ends = (-np.inf if low is None else low, np.inf if high is None else high)
        return clip(operands[0], *map(number, ends), evaluate=False)
    for nothing, number_, other in zip(
        _NEUTRAL.get(op, ()), operands, operands[::-1], strict=False
    ):
        if number_.is_Number and number_ == nothing and node.shape == _shape(node, other, operands):
            return other  # 0 + a, 1 a: what loops leave behind
    attributes = dict(node.attributes)
    if isinstance(axis := attributes.get("axis"), int) and axis >= 0:  # counted from the end
        attributes["axis"] = axis - (node.ndim if op == "stack" else node.inputs[0].ndim)
    along = op in ("softmax", "log_softmax", "cumsum") and attributes["axis"] != -1
    if "keepdims" in attributes or along:
        attributes |= over(attributes["axis"], node.inputs[0].shape)
    return face(op)(*operands, **attributes)


def _shape(node: Tensor, operand: Expr, operands: list[Expr]) -> tuple[int, ...]:
    return node.inputs[operands.index(operand)].shape


def face(op: str) -> Callable[..., Expr]:
    """What SymPy has for an operation of the engine."""
    if op not in BUILDERS:
        record = TABLE.get(op)
        definition, slopes, name = (
            getattr(record, what, None) for what in ("definition", "slopes", "sympy")
        )
        if definition is not None:  # its derivative is the definition's, or what its author gave
            given = partial(_given, slopes) if slopes is not None else None
            made = meaning(op, partial(_defined, definition), given)
        elif name:
            made = meaning(op, getattr(sympy, name))
        else:
            return partial(operation, op)
        BUILDERS[op] = partial(made, evaluate=False)
    return BUILDERS[op]


def _defined(program: Program, *arguments: Expr) -> Expr:
    """The value of a composite operation: its definition with arguments put in."""
    (value,) = _outputs(program, arguments)
    return value


def _given(slopes: Program, y: Expr, *arguments: Expr) -> tuple[Expr, ...]:
    """The derivatives of an operation as its author wrote them, of an adjoint g of 1."""
    return _outputs(slopes, (Integer(1), y, *arguments))


def _outputs(program: Program, arguments: tuple[Expr, ...]) -> tuple[Expr, ...]:
    found = dict(zip(program.inputs.values(), arguments, strict=True))
    for node in program.nodes():
        if node not in found:
            operands = [found[i] for i in node.inputs]
            found[node] = _built(node, operands) if operands else _constant(node)
    return tuple(found[node] for node in program.outputs.values())


def forward(cell: Cell) -> Equations:
    r"""The equations of one step, in the author's order: f_t = σ(W_f · [h_{t-1}, x_t] + b_f), ….

    Each has `.name`, `.latex()`, `.mathml()`, `.unicode()`, and so has the whole.
    """
    reading = read(cell)
    return Equations(
        [Equation(n, Quantity(n), e, apart=reading.apart) for n, e in reading.equations.items()]
    )


def unrolled(cell: Cell, steps: int = 3) -> Equations:
    """The equations written for t = 1, 2, …, steps; the states before the first are h_0, ….

    Lines are named after the equation and the step, such as `C.2`.
    """
    if steps < 1:
        raise EquationError(f"{cell}: steps must be a whole number of at least 1, got {steps}.")
    return Equations(
        [
            replace(line, name=f"{line.name}.{t}", step=t)
            for t in range(1, steps + 1)
            for line in forward(cell)
        ]
    )
