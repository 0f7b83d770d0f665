"""One step of any cell with round numbers, as it is calculated on paper, forward and backward.

Every size is 1 where the cell allows it, so that most values are one number. A line is the cell's
own equation with numbers put in, which are those that the lines above show, and its result is
rounded once: who takes the shown numbers and a pencil comes to the shown result.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np

from equations.adjoints import Adjoints, assemble
from equations.algebra import plus
from equations.entries import Entries, TakenApart
from equations.evaluation import derived_program
from equations.lines import Equation
from lesson.arithmetic import digits, written
from lesson.formulas import forward
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.graph import opened
from tinygrad_lstm.networks import output_of
from tinygrad_lstm.notation import name_latex, space_of
from tinygrad_lstm.plain_style import NEGATIVE, Attributes, Piece
from tinygrad_lstm.program import Program
from tinygrad_lstm.sizes import ATOM, PRODUCT, SUM
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import TABLE, Tensor, fold
from tinygrad_lstm.text import Unicode

WIDTH = 40  # characters in a row of a formula
LONGEST = 100  # characters of a line with its numbers put in
WANTED = Decimal(1)  # what the output should have been
STATES = ("0.5", "0.4", "-0.3", "0.2")
MATRIX = ("1", "1", "2", "0.5", "1", "0.5", "-1", "1")
VECTOR = ("0.5", "-0.5", "0", "0.5")
OTHERS = {  # the same for a second sheet, so that its results cannot be copied from the first
    STATES: ("-0.2", "0.6", "0.5", "0.1"),
    MATRIX: ("2", "1", "1", "-1", "-1", "0.5", "1", "2"),
    VECTOR: ("0", "0.5", "1", "-0.5"),
}


class WorkedError(TinygradError):
    """A cell whose step cannot be calculated by hand."""


class _Written(Unicode):
    """Operations on numbers as they are written on paper."""

    dot, beside, hadamard, minus = " · ", " · ", " · ", "−"

    def between(self, left: Piece, right: Piece) -> str:
        return self.dot

    def write_subtract(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """a − b."""
        left, right = parts
        return Piece(f"{left.text} − {self.fitted(right, PRODUCT)}", SUM)

    def fitted(self, part: Piece, need: int) -> str:
        """A negative number is in brackets wherever something stands before it."""
        return part.text if part.level >= need else f"({part.text})"


_STYLE = _Written()


@dataclass(frozen=True, eq=False)
class Term:
    """A number as it is shown, or an operation on such."""

    op: str = ""
    operands: tuple[Term, ...] = ()
    number: float = 0.0

    def __add__(self, other: Any) -> Term:
        return _apply("add", self, other)

    def __radd__(self, other: Any) -> Term:  # to the zeros of a scatter
        return _apply("add", other, self) if other else self

    def __mul__(self, other: Any) -> Term:
        return _apply("multiply", self, other)

    @cached_property
    def value(self) -> float:
        """What it comes to, not rounded."""
        if not self.op:
            return self.number
        with np.errstate(all="ignore"):
            return float(TABLE[self.op].forward(*(np.float64(a.value) for a in self.operands)))

    @cached_property
    def piece(self) -> Piece:
        """How it is written."""
        if not self.op:
            text = written(digits(self.number))
            power = ATOM if "·" not in text else PRODUCT
            return Piece(text, NEGATIVE if text.startswith("−") else power, "number")
        parts = [operand.piece for operand in self.operands]
        if self.op == "add" and parts[1].level == NEGATIVE:
            return Piece(f"{parts[0].text} − {parts[1].text.removeprefix('−')}", SUM)
        return _STYLE.operation(self.op, parts, {})

    @property
    def is_call(self) -> bool:
        """Whether it is a function, which one looks up, and no sign that one calculates with."""
        own = bool(self.op) and not hasattr(_STYLE, f"write_{self.op}")
        return own and TABLE[self.op].infix is None

    @property
    def has_calls(self) -> bool:
        """Whether a function is in it."""
        return self.is_call or any(operand.has_calls for operand in self.operands)

    def simpler(self) -> Term:
        """The same with what stands inside its innermost functions, or with their values."""
        if self.is_call and not any(a.has_calls for a in self.operands):
            if any(a.op for a in self.operands):
                return Term(self.op, tuple(_rounded(a) for a in self.operands))
            return _rounded(self)
        return Term(self.op, tuple(a.simpler() for a in self.operands), self.number)


def _rounded(term: Term) -> Term:
    return Term(number=float(digits(term.value)) if math.isfinite(term.value) else term.value)


def _number(entry: Any) -> Term:
    return entry if isinstance(entry, Term) else Term(number=float(entry))


def _apply(op: str, *operands: Any) -> Term:
    """An operation on single entries; what leaves a number as it is, is left out."""
    record, terms = TABLE[op], tuple(_number(operand) for operand in operands)
    if record.forward is None and record.definition is not None:
        return _number(opened(op, map(np.asarray, terms), _TAKEN_APART).item())
    return terms[0] if record.js == "{0}" else Term(op, terms)


_TAKEN_APART = TakenApart(_apply, _number)


@dataclass(frozen=True)
class Row:
    """A line of the calculation: its equation, the numbers put in, and the result.

    name: of the value, with its place where it has several entries. formula: the equation in LaTeX,
    its left side and the rows of its right one; empty for the second entry and those after it.
    forms: the calculation in one or more steps, each equal to the next.
    exact: whether the result is not rounded.
    """

    name: str
    formula: tuple[str, ...]
    forms: tuple[str, ...]
    result: Decimal
    exact: bool

    @property
    def shown(self) -> str:
        """The result as it is written."""
        return written(self.result)


@dataclass
class Worked:
    """One step of a cell with round numbers.

    given: the inputs and parameters by label with their entries, as they are shown. ahead: a line
    for each equation. loss: half the square of what the output lacks. back: the gradients of the
    step's values, of the states before it and of the parameters; empty where they cannot be
    derived, and `reason` says why.
    """

    cell: Cell
    other: bool = False
    given: dict[str, Entries] = field(default_factory=dict)
    ahead: list[Row] = field(default_factory=list)
    loss: list[Row] = field(default_factory=list)
    back: list[Row] = field(default_factory=list)
    reason: str = ""

    def __post_init__(self) -> None:
        program = smallest(self.cell)
        self.output = output_of(self.cell)
        self.given = self._setting(program)
        known = {node: self.given[name] for name, node in program.inputs.items()}
        lines = forward(self.cell)
        formulas = {
            name: tuple(lines[name].pieces(WIDTH))
            for name in program.equations
            if name in lines.names
        }
        self.ahead = list(self._lines(program, known, formulas))
        shown = self._entries(self.ahead, self.output)
        self.loss, seed = self._lacks(shown)
        try:
            found = assemble(self.cell, (self.output,), program)
            self.back = self._backward(found, known, program, seed)
        except TinygradError as error:
            self.reason = str(error)

    def values(self, label: str) -> list[Decimal]:
        """The entries of an input or a parameter, as they are shown."""
        return [digits(_number(entry).value) for entry in self.given[label].flat]

    # --- the numbers that one begins with -------------------------------------------------------
    def _setting(self, program: Program) -> dict[str, Entries]:
        made = self._round_numbers(program)
        if self._is_finite(program, made):
            return made
        made |= self._near_start(program)
        if not self._is_finite(program, made):
            raise WorkedError(
                f"{self.cell}: one step with small round numbers comes to numbers that are not "
                f"finite, so that there is nothing to calculate by hand."
            )
        return made

    def _round_numbers(self, program: Program) -> dict[str, Entries]:
        sources = {
            key: itertools.cycle(OTHERS[key] if self.other else key)
            for key in (STATES, MATRIX, VECTOR)
        }
        made = {}
        for name, node in program.inputs.items():
            if name.startswith("prev."):
                source: Iterator[str] = sources[STATES]
            elif name in self.cell.parameters:
                source = sources[MATRIX if node.ndim > 1 else VECTOR]
            else:
                source = itertools.repeat("1")
            made[name] = _terms(np.array([float(next(source)) for _ in range(node.size)]), node)
        return made

    def _near_start(self, program: Program) -> dict[str, Entries]:
        """Parameters as they start, rounded; small states."""
        fresh = self.cell.init(seed=5, **program.sizes)
        made = {}
        for name, node in program.inputs.items():
            if name in self.cell.parameters:
                made[name] = _terms(np.round(fresh[name].numpy() * 10) / 10, node)
            elif name.startswith("prev."):
                made[name] = _terms(np.full(node.shape, 0.5), node)
        return made

    def _is_finite(self, program: Program, given: Mapping[str, Entries]) -> bool:
        values = {
            name: np.array([_number(entry).value for entry in entries.flat]).reshape(entries.shape)
            for name, entries in given.items()
        }
        with np.errstate(all="ignore"):
            found = program.run(**values)
        return all(np.isfinite(value).all() for value in found.values())

    # --- lines ----------------------------------------------------------------------------------
    def _lines(
        self,
        program: Program,
        known: dict[Tensor, Entries],
        formulas: Mapping[str, tuple[str, ...]],
    ) -> Iterator[Row]:
        """A line for each entry of each named equation; what it shows is known from then on."""
        for name, formula in formulas.items():
            node = program.equations[name]
            try:
                entries = fold([node], known, _TAKEN_APART)[node]
            except (TypeError, ValueError, NotImplementedError, AttributeError, KeyError) as error:
                raise WorkedError(
                    f"{self.cell}: {name} cannot be calculated by hand: it cannot be taken apart "
                    f"into sums and products of numbers."
                ) from error
            terms = [_number(entry) for entry in np.asarray(entries, object).flat]
            rows = [
                _row(name if len(terms) == 1 else f"{name}[{k + 1}]", term, () if k else formula)
                for k, term in enumerate(terms)
            ]
            known[node] = _terms(np.array([float(row.result) for row in rows]), node)
            yield from rows

    def _entries(self, rows: list[Row], name: str) -> list[Row]:
        return [row for row in rows if row.name.partition("[")[0] == name]

    def _lacks(self, shown: list[Row]) -> tuple[list[Row], list[Row]]:
        """The loss, and its gradient at the output: one line for each entry of the output."""
        halves, seed = [], []
        for row in shown:
            lack = Term("subtract", (_number(row.result), _number(WANTED)))
            seed.append(_row(f"bar.{row.name}", lack))
            square = Term("power", (lack, Term(number=2.0)))
            halves.append(Term("multiply", (Term(number=0.5), square)))
        h, total = name_latex(self.output), halves[0]
        for half in halves[1:]:
            total += half
        return [_row("L", total, ("L", rf"= \frac{{1}}{{2}}({h} - y)^2"))], seed

    def _backward(
        self, adjoints: Adjoints, known: dict[Tensor, Entries], program: Program, seed: list[Row]
    ) -> list[Row]:
        derived = derived_program(adjoints)
        labels = {symbol.label: name for name, symbol in adjoints.step.given.items()}
        values = {name: known[node] for name, node in program.equations.items()}
        begun: dict[Tensor, Entries] = {}
        for label, node in derived.inputs.items():
            space, _ = space_of(label)
            if space == "seed":
                begun[node] = _terms(np.array([float(row.result) for row in seed]), node)
            else:
                begun[node] = self.given[label if label in self.given else labels[label]]
        for name, node in derived.equations.items():
            if name in values:
                begun[node] = values[name]
        apart = adjoints.step.apart
        formulas = {
            label: tuple(Equation(label, sign, plus(*terms), apart=apart).pieces(WIDTH))
            for label, (sign, terms) in adjoints.within_step.items()
            if terms
        }
        seeded = f"bar.{self.output}"
        bar, h = name_latex(seeded), name_latex(self.output)
        rows = list(self._lines(derived, begun, formulas))
        return [
            *(replace(r, formula=() if k else (bar, f"= {h} - y")) for k, r in enumerate(seed)),
            *(row for row in rows if row.name.partition("[")[0] != seeded),
        ]


def smallest(cell: Cell) -> Program:
    """The cell's Program with every size 1, or with the usual small sizes where that cannot be."""
    try:
        return cell.program(**dict.fromkeys(cell.sizes, 1))
    except TinygradError:
        return cell.program()


def _terms(values: np.ndarray[Any, np.dtype[np.float64]], node: Tensor) -> Entries:
    flat = [Term(number=float(digits(float(value)))) for value in np.ravel(values)]
    return np.array(flat, object).reshape(node.shape)


def _row(name: str, term: Term, formula: tuple[str, ...] = ()) -> Row:
    forms, current = [term.piece.text], term
    for _ in range(8):
        if not current.has_calls or (current.is_call and not any(a.op for a in current.operands)):
            break
        current = current.simpler()
        if current.piece.text != forms[-1]:
            forms.append(current.piece.text)
    result = digits(current.value)
    exact = math.isclose(current.value, result, rel_tol=1e-12)
    kept = tuple(text for text in forms if len(text) <= LONGEST and text != written(result))
    return Row(name, formula, kept, result, exact)
