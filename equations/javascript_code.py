"""A cell's step as JavaScript: forward and backward, for a cell of one unit.

What is printed is the Program of the step and of the adjoints that SymPy derived, with every size
1, taken apart into numbers: a matrix product becomes a sum of products, a concatenation a list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from sympy import Expr, Integer

from equations.adjoints import assemble
from equations.algebra import EquationError, SymbolicValue, plus
from equations.entries import Entries, TakenApart, entries_at
from equations.evaluation import derived_program
from equations.lines import Equation
from equations.symbolic import check_is_network
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.graph import opened
from tinygrad_lstm.kernels.js_operations import functions
from tinygrad_lstm.notation import space_of
from tinygrad_lstm.program import Program
from tinygrad_lstm.sizes import ATOM, SUM
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import TABLE, fold


def javascript(cell: Cell) -> str:
    """Two pure functions, `forward(values)` and `backward(values, seeds)`, of a one-unit cell.

    Every size of the cell is 1 if it can be. Each statement stands below the equation that it
    computes, in the author's order; `forward` takes and returns `{prev, x, given, p, pre, now}`.

    EquationError for a cell whose equations cannot be taken apart into numbers.
    """
    return Script(cell).text()


class Script:
    """The statements of a cell's step, and the Program that they compute."""

    def __init__(self, cell: Cell) -> None:
        check_is_network(cell)
        if hasattr(cell, "parts"):
            raise EquationError(f"{cell}: JavaScript is written of one cell, such as a part of it.")
        self.cell = cell
        program = _smallest(cell)
        self.sizes = program.sizes
        self.seeds = tuple(dict.fromkeys((*cell.state, cell.output)))
        self.adjoints = assemble(cell, self.seeds, program)
        self.program = derived_program(self.adjoints)
        self._known = {
            node: _named(self._place(name), node.shape)
            for name, node in self.program.inputs.items()
        }

    def text(self) -> str:
        """Both functions and the helpers that they use."""
        body = resources.files("equations").joinpath("step.js").read_text("utf-8")
        body = body.replace("  /* forward */", "\n".join(self._forward()))
        body = body.replace("  /* backward */", "\n".join(self._backward()))
        return "\n\n".join(filter(None, [functions(body), body]))

    # --- statements -----------------------------------------------------------------------------
    def _forward(self) -> Iterator[str]:
        for name, part in self.adjoints.parts.items():
            yield self._comment(SymbolicValue(name), part.whole)
            for label in part.opened:
                yield self._statement(label)

    def _backward(self) -> Iterator[str]:
        for label, (symbol, parts) in self.adjoints.within_step.items():
            yield self._comment(symbol, plus(*parts) if parts else Integer(0))
            yield self._statement(label)
            if space_of(label)[0] == "delta":
                yield self._passed(label)

    def _comment(self, left: Expr, right: Expr) -> str:
        return f"  // {Equation('', left, right, apart=self.adjoints.step.apart).unicode()}"

    def _statement(self, label: str) -> str:
        place, node = self._place(label), self.program.equations[label]
        code = self._code(label)
        if node.size == 1 and space_of(label)[0] == "pre":
            code = f"{place.replace('pre', 'held', 1)} ?? ({code})"
        self._known[node] = _named(place, node.shape)
        return f"  {place} = {code};"

    def _passed(self, label: str) -> str:
        """What a pre-activation passes on: nothing if it is held."""
        node, place = self.program.equations[label], self._place(label)
        held, through = (place.replace("delta", space, 1) for space in ("held", "through"))
        self._known[node] = _named(through, node.shape)
        passed = f"{held} === undefined ? {place} : 0" if node.size == 1 else place
        return f"  {through} = {passed};"

    def _code(self, label: str) -> str:
        """The code of a value: of its one entry, or of an array."""
        node = self.program.equations[label]
        try:
            entries = fold([node], self._known, _TAKEN_APART)[node]
            codes = [_number(entry).text for entry in entries.flat]
        except (TypeError, ValueError, NotImplementedError) as error:
            raise EquationError(
                f"{self.cell}: {label} cannot be taken apart into numbers for JavaScript.\n"
                f"  {type(error).__name__}: {error}"
            ) from error
        return codes[0] if len(codes) == 1 else f"[{', '.join(codes)}]"

    def _place(self, label: str) -> str:
        """Where the functions keep a value: prev.h, x, p.W_f, given.clock, now.f, bar.f."""
        space, name = space_of(label)
        inner, own = space_of(name)
        if space == "bar":
            places = {"prev": "earlier", "input": "inputs"}
            return _member(places.get(inner, "bar"), own)
        if space in ("prev", "pre", "delta"):
            return _member(space, name)
        if space == "seed":
            return _member("seeds", name)
        if space == "" and name in self.program.equations:
            return _member("now", name)
        if name == "x":
            return name
        return _member("p" if name in self.cell.parameters else "given", name)


def _member(owner: str, name: str) -> str:
    plain = re.fullmatch(r"[^\W\d]\w*", name)
    return f"{owner}.{name}" if plain else f"{owner}[{json.dumps(name, ensure_ascii=False)}]"


def _smallest(cell: Cell) -> Program:
    """The cell's Program with every size 1, or with the usual small sizes where that cannot be."""
    try:
        return cell.program(**dict.fromkeys(cell.sizes, 1))
    except TinygradError:
        return cell.program()


# --- numbers --------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Code:
    """One number, and how tightly its code binds; NumPy adds and multiplies it in order."""

    text: str
    level: int = ATOM

    def __add__(self, other: Any) -> _Code:
        return _apply("add", self, other)

    def __radd__(self, other: Any) -> _Code:  # to the zeros of a scatter
        return _apply("add", other, self) if other else self

    def __mul__(self, other: Any) -> _Code:
        return _apply("multiply", self, other)


def _number(entry: Any) -> _Code:
    if isinstance(entry, _Code):
        return entry
    value = float(entry)
    if not np.isfinite(value):
        return _Code("NaN" if np.isnan(value) else "Infinity" if value > 0 else "-Infinity")
    return _Code(f"{value:.0f}" if value.is_integer() else repr(value), SUM if value < 0 else ATOM)


def _apply(op: str, *operands: Any) -> _Code:
    """An operation of each entry, by the template that its record has, or by its definition."""
    record, codes = TABLE[op], [_number(operand) for operand in operands]
    if record.js is None:
        if record.definition is None:
            raise NotImplementedError(f"there is no JavaScript of {op}")
        return _number(opened(op, map(np.asarray, codes), _TAKEN_APART).item())
    if record.js == "{0}" or op == "multiply" and codes[1].text == "1":
        return codes[0]
    if op == "add" and codes[1].text.startswith("-"):
        return _Code(f"{codes[0].text} - {codes[1].text[1:]}", SUM)
    if record.infix is None or record.js[0] not in "(-":  # a call, in which all stands apart
        return _Code(record.js.format(*(code.text for code in codes)))
    _, level, needs = record.infix
    fitted = [f"({c.text})" if c.level < n else c.text for c, n in zip(codes, needs, strict=True)]
    return _Code(record.js.strip("()").format(*fitted), level)


def _named(place: str, shape: tuple[int, ...]) -> Entries:
    """The entries of an array that stands at a place."""
    return entries_at(place, shape, _Code)


_TAKEN_APART = TakenApart(_apply, _number)
