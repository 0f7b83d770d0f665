"""From a cell's Program to SymPy: each named equation as an expression of named values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sympy import Expr

from equations.algebra import (
    BUILDERS,
    EquationError,
    Literal,
    Quantity,
    clip,
    number,
    operation,
)
from equations.lines import Equation, Equations
from tinygrad_lstm.notation import parts_of, step_before
from tinygrad_lstm.program import Program
from tinygrad_lstm.recurrent import Cell
from tinygrad_lstm.tensor import Tensor, ancestors

_LONGEST = 2000  # operations in one equation when every use of an unnamed value is written out
_DEEPEST = 100  # operations inside each other: SymPy goes through them by recursion


@dataclass(frozen=True)
class Reading:
    """A cell's step in SymPy: right-hand sides by name, in the author's order.

    `shapes` tells the shape of every expression in them; `given` maps what the step takes (the
    states before it, x, further inputs, parameters) from a Program's names to symbols.
    """

    cell: Cell
    equations: dict[str, Expr]
    shapes: dict[Expr, tuple[int, ...]]
    given: dict[str, Quantity]


def read(cell: Cell, program: Program | None = None) -> Reading:
    """Read a cell's Program: for the sizes of `program`, or small ones."""
    program = program or cell.program()
    for name in program.equations:
        if name in program.inputs:
            raise EquationError(
                f"{cell}: equation {name} has the name of an input, and in an equation both would "
                f"look alike.\n  Give it a name of its own."
            )
    given = {name: _input(cell, name) for name in program.inputs}
    known: dict[Tensor, Expr] = {node: given[name] for name, node in program.inputs.items()}
    shapes: dict[Expr, tuple[int, ...]] = {
        given[name]: node.shape for name, node in program.inputs.items()
    }
    known |= {node: Quantity(name) for name, node in program.equations.items()}
    equations = {}
    for name, root in program.equations.items():
        found: dict[Tensor, Expr] = {}
        length: dict[Tensor, int] = {}
        depth: dict[Tensor, int] = {}
        for node in ancestors([root], stop={n for n in known if n is not root}):
            if node is not root and node in known:
                found[node], length[node], depth[node] = known[node], 1, 0
            elif not node.inputs:
                found[node], length[node], depth[node] = _constant(node), 1, 0
            else:
                length[node] = 1 + sum(length[i] for i in node.inputs)
                depth[node] = 1 + max(depth[i] for i in node.inputs)
                if length[node] > _LONGEST or depth[node] > _DEEPEST:
                    long = f"written out it has more than {_LONGEST} operations"
                    deep = f"its operations stand more than {_DEEPEST} deep inside each other"
                    raise EquationError(
                        f"{cell}, equation {name}: {long if length[node] > _LONGEST else deep}.\n"
                        f"  Give its parts names of their own: now.part = …"
                    )
                found[node] = _built(node, [found[i] for i in node.inputs])
            shapes.setdefault(found[node], node.shape)
        equations[name] = found[root]
        shapes[known[root]] = root.shape
    return Reading(cell, equations, shapes, given)


def _input(cell: Cell, name: str) -> Quantity:
    if name.startswith("prev."):
        own = name.removeprefix("prev.")
        return Quantity(own, step_before(own))
    return Quantity(name, 0 if name == "x" or _is_sequence(cell, name) else None)


def _is_sequence(part: Any, name: str) -> bool:
    """Whether a further input, of a network also of a part, has a value at every step."""
    for own in parts_of(name)[0]:
        part = part.parts[own]
    return parts_of(name)[1] in part.sequences


def _constant(node: Tensor) -> Expr:
    return number(node.data.item()) if node.size == 1 else Literal(np.array(node.data))


def _built(node: Tensor, operands: list[Expr]) -> Expr:
    op = node.op or ""
    if op == "clip":
        low, high = (node.attributes[end] for end in ("low", "high"))
        ends = (-np.inf if low is None else low, np.inf if high is None else high)
        return clip(operands[0], *map(number, ends), evaluate=False)
    if op in BUILDERS:
        return BUILDERS[op](*operands)
    return operation(op, *operands, **node.attributes)


def forward(cell: Cell) -> Equations:
    r"""The equations of one step, in the author's order: f_t = σ(W_f · [h_{t-1}, x_t] + b_f), ….

    Each has `.name`, `.latex()`, `.mathml()`, `.unicode()`, and so has the whole.
    """
    lines = [Equation(name, Quantity(name), e) for name, e in read(cell).equations.items()]
    return Equations(lines)


def unrolled(cell: Cell, steps: int = 3) -> Equations:
    """The equations written for t = 1, 2, …, steps; the states before the first are h_0, ….

    Lines are named after the equation and the step, such as `C.2`.
    """
    if steps < 1:
        raise EquationError(f"{cell}: steps must be a whole number of at least 1, got {steps}.")
    return Equations(
        [
            Equation(f"{line.name}.{t}", line.left, line.right, step=t)
            for t in range(1, steps + 1)
            for line in forward(cell)
        ]
    )
