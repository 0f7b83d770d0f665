r"""SymPy's expressions in a cell's notation, with the styles that the engine writes with.

The author's order is kept, the matrix product (W · x) is told from the pointwise one (⊙), and
adjoints wear bars. How an operation, a name or a number looks stands in `tinygrad_lstm.text`; here
is what SymPy's sums, products and powers are as a person writes them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sympy import Add, Expr, Function, Mul, Pow, Rational
from sympy.printing.printer import Printer

from equations.algebra import (
    REPEATED,
    Extent,
    Literal,
    Marked,
    Nothing,
    Partial,
    Running,
    SumOverTime,
    SymbolicOperation,
    SymbolicValue,
    factors,
    terms,
    times,
)
from equations.places import row_of
from tinygrad_lstm.notation import Apart, at_place
from tinygrad_lstm.sizes import ATOM, POWER, PRODUCT, SUM
from tinygrad_lstm.text import Piece, Unicode

_HALF = Rational(1, 2)


def subtracted(term: Expr) -> Expr | None:
    """What a term of a sum subtracts; None if it adds."""
    if isinstance(term, Mul):
        first, *rest = factors(term)
        if first.is_Number and first < 0:
            return times(*([] if first == -1 and rest else [-first]), *rest)
        return None
    return -term if term.is_Number and term < 0 else None


def _unlike_number(expr: Expr) -> bool:
    return not expr.is_Number and not isinstance(expr, Extent)


def _visible(expr: Expr) -> list[Expr]:
    """The factors of a product as they are shown: repeating is not, a negative one has brackets."""
    if isinstance(expr, SymbolicOperation) and expr.op in REPEATED:
        return _visible(expr.operands[0])
    if not isinstance(expr, Mul):
        return [expr]
    first, *rest = expr.args
    opened = [[f] if subtracted(f) is not None else _visible(f) for f in rest]
    return [*_visible(first), *(f for several in opened for f in several)]


def _denominator(expr: Expr) -> Expr | None:
    if isinstance(expr, Pow) and expr.exp.is_Number and expr.exp < 0:
        return expr.base if expr.exp == -1 else Pow(expr.base, -expr.exp, evaluate=False)
    return None


class CellPrinter(Printer):  # type: ignore[misc]
    """Writes a cell's expressions. `step` is the number that t stands for.

    Without `timed` no index shows. `apart`: what is written in its second way, see `name_latex`.
    """

    _print: Any  # SymPy's dispatch on the class of an expression

    def __init__(
        self,
        style: Unicode,
        step: int | None = None,
        timed: bool = True,
        apart: Apart = frozenset(),
    ) -> None:
        super().__init__()
        self.style, self.step, self.timed, self.apart = style, step, timed, apart

    def write(self, expr: Expr) -> str:
        """An expression as text."""
        return self.piece(expr).text

    def piece(self, expr: Expr) -> Piece:
        """An expression as text, and how tightly it binds."""
        if isinstance(expr, Marked):
            inner = self.piece(expr.args[0])
            return inner._replace(text=self.style.marks[expr.args[1].name].format(inner.text))
        if isinstance(expr, Function):
            op = getattr(expr, "op", type(expr).__name__.lower())
            return self.style.operation(op, self.pieces(expr.args), {})
        if isinstance(expr, Running):
            return Piece(self.style.name(expr.letter.name, None), kind="length")
        base, letters = row_of(expr)
        if letters and isinstance(base, SymbolicValue):
            kind = "scalar" * ("scalar" in expr.attributes)
            return Piece(self._named(base, [letter.name for letter in letters]), kind=kind)
        if isinstance(expr, SymbolicOperation) and expr.op != "block":
            return self.style.operation(expr.op, self.pieces(expr.operands), expr.attributes)
        if isinstance(expr, Literal):
            return self.style.constant(expr.data)
        level, kind = ATOM, "number" * expr.is_Number or "length" * isinstance(expr, Extent)
        if isinstance(expr, Add) or subtracted(expr) is not None:
            level = SUM
        elif isinstance(expr, Mul | SumOverTime) or _denominator(expr) is not None:
            level = PRODUCT
        elif isinstance(expr, Pow) and expr.exp != _HALF:
            level = POWER
        return Piece(str(self._print(expr)), level, kind)

    def pieces(self, exprs: Iterable[Expr]) -> list[Piece]:
        """Several expressions."""
        return [self.piece(expr) for expr in exprs]

    def fitted(self, expr: Expr, need: int) -> str:
        """An expression in brackets if it binds less tightly than needed."""
        return self.style.fitted(self.piece(expr), need)

    def _print_SymbolicValue(self, expr: SymbolicValue) -> str:
        return self._named(expr)

    def _named(self, expr: SymbolicValue, letters: Iterable[str] = ()) -> str:
        time: str | None = None
        if expr.time is not None and self.timed:
            offset = f"{expr.time:+d}" if expr.time else ""
            time = f"t{offset}" if self.step is None else str(self.step + expr.time)
        return self.style.name(expr.label, at_place(time, letters), self.apart)

    def _print_Extent(self, expr: Extent) -> str:
        text = self.style.length(expr.words)
        return self.style.bracketed(text) if " " in expr.words else text

    def _print_Nothing(self, expr: Nothing) -> str:
        return self.style.word(expr.name)

    # --- numbers, sums, products, powers ---------------------------------------------------------
    def _print_Integer(self, expr: Expr) -> str:
        return self.style.number(int(expr)).text

    def _print_Float(self, expr: Expr) -> str:
        return self.style.number(float(expr)).text

    def _print_Rational(self, expr: Expr) -> str:
        return self.style.ratio.format(expr.p, expr.q)

    def _print_Infinity(self, expr: Expr) -> str:
        return self.style.infinity

    def _print_NegativeInfinity(self, expr: Expr) -> str:
        return self.style.minus + self.style.infinity

    def _print_Pi(self, expr: Expr) -> str:
        return self.style.name("pi", None)

    def addends(self, expr: Expr) -> list[str]:
        """The terms of a sum, each with its sign; the first shows only a minus."""
        pieces = []
        for k, term in enumerate(terms(expr)):
            whole = term.args[0] if isinstance(term, Marked) else term
            rest = subtracted(whole)
            text = self.fitted(whole if rest is None else rest, PRODUCT if rest else SUM)
            if isinstance(term, Marked):
                text = self.style.marks[term.args[1].name].format(text)
            sign = "+" if rest is None else self.style.minus
            pieces.append(f"{sign} {text}" if k else (sign if rest is not None else "") + text)
        return pieces

    def _print_Add(self, expr: Expr) -> str:
        return " ".join(self.addends(expr))

    def _print_Mul(self, expr: Expr) -> str:
        rest = subtracted(expr)
        if rest is not None:
            return self.style.minus + self.fitted(rest, PRODUCT)
        text, under, last = "", [], None
        parts = _visible(expr)
        for factor, following in zip(parts, [*parts[1:], None], strict=True):
            divides_next = following is not None and _denominator(following) is not None
            below = _denominator(factor)
            if below is not None:
                under.append(below)
                if not divides_next:  # a / b / 3 is a / (3 b)
                    text = self._quotient(text or "1", times(*sorted(under, key=_unlike_number)))
                    under = []
                last = Piece("")
                continue
            piece = self.piece(factor)
            if last is None and divides_next and self.style.stretches:
                text = piece.text
            else:
                sign = "" if last is None else self.style.between(last, piece)
                text += sign + self.style.fitted(piece, POWER)
            last = piece
        return text

    def _quotient(self, above: str, below: Expr) -> str:
        return self.style.fraction(Piece(above), self.piece(below))

    def _print_Pow(self, expr: Expr) -> str:
        base, exponent = expr.args
        if exponent == _HALF:
            return self.style.root.format(self.write(base))
        below = _denominator(expr)
        if below is not None:
            return self._quotient("1", below)
        return self.style.write_power(self.pieces(expr.args), {}).text

    # --- what only gradients and differences have -------------------------------------------------
    def _print_SymbolicOperation(self, expr: SymbolicOperation) -> str:
        whole, part = expr.operands  # a block: the part of a vector that belongs to one value
        below = CellPrinter(self.style, self.step, expr.attributes["timed"], self.apart).write(part)
        return self.style.lowered(self.style.bracketed(self.write(whole), "[]"), below)

    def _print_SumOverTime(self, expr: SumOverTime) -> str:
        return self.style.total + self.fitted(expr.args[0], PRODUCT)

    def _print_Partial(self, expr: Partial) -> str:
        return self.style.partial.format(*map(self.write, expr.args))
