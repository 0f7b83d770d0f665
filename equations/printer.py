r"""One printer with two faces, LaTeX and Unicode: SymPy's own printers, told a cell's notation.

The author's order is kept, the matrix product (W · x) is told from the pointwise one (⊙), and
adjoints wear bars. What is written for each kind of expression stands here once; how brackets,
fractions and scripts look stands in `faces.py`.
"""

from __future__ import annotations

from typing import Any

from sympy import Add, Expr, Function, Mul, Pow, Rational
from sympy.printing.latex import LatexPrinter
from sympy.printing.str import StrPrinter

from equations import faces
from equations.algebra import (
    REPEATED,
    Extent,
    Literal,
    Marked,
    Nothing,
    Operation,
    Partial,
    Quantity,
    SumOverTime,
    factors,
    is_transpose,
    terms,
    times,
)
from tinygrad_lstm.notation import Apart, number

_SUM, _PRODUCT, _POWER, _ATOM = 1, 2, 3, 4
_HALF = Rational(1, 2)
_BETWEEN = {"matvec": "dot", "matmul": "dot", "vecdot": "dot", "outer": "outer"}
_PRIVATE = {"shape", "keepdims", "over"}  # attributes that are bookkeeping
_USUAL = (("axis", -1), ("axis", (-1,)))


def subtracted(term: Expr) -> Expr | None:
    """What a term of a sum subtracts; None if it adds."""
    if isinstance(term, Mul):
        first, *rest = factors(term)
        if first.is_Number and first < 0:
            return times(*([] if first == -1 and rest else [-first]), *rest)
        return None
    return -term if term.is_Number and term < 0 else None


def level(expr: Expr) -> int:
    """How tightly an expression binds, which tells where brackets are needed."""
    if isinstance(expr, Marked):
        return level(expr.args[0])
    if isinstance(expr, Operation) and expr.op in REPEATED:
        return level(expr.operands[0])
    if isinstance(expr, Add) or subtracted(expr) is not None:
        return _SUM
    if (
        isinstance(expr, Mul | SumOverTime)
        or isinstance(expr, Operation)
        and expr.op in (*_BETWEEN, "einsum")
    ):
        return _PRODUCT
    if isinstance(expr, Pow) and expr.exp != _HALF:
        return _PRODUCT if _denominator(expr) is not None else _POWER
    return _ATOM


def _unlike_number(expr: Expr) -> bool:
    return not expr.is_Number and not isinstance(expr, Extent)


def _visible(expr: Expr) -> list[Expr]:
    """The factors of a product as they are shown: repeating is not, a negative one has brackets."""
    if isinstance(expr, Operation) and expr.op in REPEATED:
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


class _Notation:
    """A cell's notation. `step` is the number that t stands for; without `timed` no index shows."""

    face: faces.Face
    _print: Any  # SymPy's dispatch on the class of an expression

    def __init__(
        self, step: int | None = None, timed: bool = True, apart: Apart = frozenset()
    ) -> None:
        super().__init__({"order": "none"})  # type: ignore[call-arg]
        self.step, self.timed, self.apart = step, timed, apart

    def fitted(self, expr: Expr, need: int) -> str:
        """An expression in brackets if it binds less tightly than needed."""
        text = str(self._print(expr))
        return self.face.bracketed(text, "()") if level(expr) < need else text

    def _print_Quantity(self, expr: Quantity) -> str:
        time: str | None = None
        if expr.time is not None and self.timed:
            offset = f"{expr.time:+d}" if expr.time else ""
            time = f"t{offset}" if self.step is None else str(self.step + expr.time)
        return self.face.name(expr.label, time, self.apart)

    def _print_Extent(self, expr: Extent) -> str:
        text = self.face.length(expr.words)
        return text if expr.words.isidentifier() else self.face.bracketed(text, "()")

    def _print_Nothing(self, expr: Nothing) -> str:
        return self.face.word(expr.name)

    # --- numbers, sums, products, powers ---------------------------------------------------------
    def _print_Integer(self, expr: Expr) -> str:
        return str(int(expr))

    def _print_Float(self, expr: Expr) -> str:
        return number(float(expr), 6, "plain")

    def _print_Literal(self, expr: Literal) -> str:
        return faces.array(expr.data)

    def addends(self, expr: Expr) -> list[str]:
        """The terms of a sum, each with its sign; the first shows only a minus."""
        pieces = []
        for k, term in enumerate(terms(expr)):
            whole = term.args[0] if isinstance(term, Marked) else term
            rest = subtracted(whole)
            text = self.fitted(whole if rest is None else rest, _PRODUCT if rest else _SUM)
            if isinstance(term, Marked):
                text = self.face.marked(text, term.args[1].name)
            sign = "+ " if rest is None else "- "
            pieces.append(sign + text if k else ("-" if rest is not None else "") + text)
        return pieces

    def _print_Add(self, expr: Expr, order: Any = None) -> str:
        return " ".join(self.addends(expr))

    def _print_Mul(self, expr: Expr) -> str:
        rest = subtracted(expr)
        if rest is not None:
            return "-" + self.fitted(rest, _PRODUCT)
        text = ""
        last: Expr | None = None
        under: list[Expr] = []
        parts = _visible(expr)
        for k, factor in enumerate(parts):
            below = _denominator(factor)
            if below is not None:
                under.append(below)
                if k + 1 == len(parts) or _denominator(parts[k + 1]) is None:
                    # a / b / 3 is a / (3 b)
                    text = self._quotient(text or "1", times(*sorted(under, key=_unlike_number)))
                    under = []
            elif last is None:
                alone = k + 1 < len(parts) and _denominator(parts[k + 1]) is not None
                stretches = alone and isinstance(self.face, faces.Latex)
                text = self._print(factor) if stretches else self.fitted(factor, _POWER)
            else:
                text += self._between(last, factor) + self.fitted(factor, _POWER)
            last = factor
        return text

    def _between(self, left: Expr, right: Expr) -> str:
        if right.is_Number:
            return self.face.dot
        if isinstance(left, Extent):
            return self.face.beside
        return " " if left.is_Number else self.face.hadamard

    def _quotient(self, above: str, below: Expr) -> str:
        stretches = isinstance(self.face, faces.Latex)
        return self.face.fraction(
            above, self._print(below) if stretches else self.fitted(below, _POWER)
        )

    def _print_Pow(self, expr: Expr) -> str:
        base, exponent = expr.args
        if exponent == _HALF:
            return self.face.root(self._print(base))
        below = _denominator(expr)
        if below is not None:
            return self._quotient("1", below)
        upper = self._print(exponent)
        name = self._function_name(base)
        if name is not None and exponent.is_Integer:
            return self.face.raised(name, upper) + self._arguments(base.args)
        return self.face.raised(self.fitted(base, _ATOM), upper)

    # --- functions and operations ----------------------------------------------------------------
    def _function_name(self, expr: Expr) -> str | None:
        op = getattr(expr, "op", type(expr).__name__)
        if not isinstance(expr, Function) or op in self.face.relations or op == "abs":
            return None
        return self.face.operator(op)

    def _arguments(self, args: Any, *further: str) -> str:
        return self.face.bracketed(", ".join([*map(self._print, args), *further]), "()")

    def _print_Function(self, expr: Expr, exp: Any = None) -> str:
        name = self._function_name(expr)
        if name is not None:
            return name + self._arguments(expr.args)
        if expr.op == "abs":
            return self._print_Abs(expr)
        a, b = map(self._print, expr.args)
        return self.face.bracketed(f"{a} {self.face.relations[expr.op]} {b}", "[]")

    def _print_Abs(self, expr: Expr, exp: Any = None) -> str:
        return self.face.bracketed(self._print(expr.args[0]), "||")

    _print_ExpBase = _print_log = _print_Function

    def _print_Infinity(self, expr: Expr) -> str:
        return "∞" if isinstance(self.face, faces.Text) else r"\infty"

    def _print_Pi(self, expr: Expr) -> str:
        return self.face.name("pi", None, frozenset())

    def _print_NegativeInfinity(self, expr: Expr) -> str:
        return "-" + self._print_Infinity(expr)

    def _print_Operation(self, expr: Operation) -> str:
        op, operands = expr.op, expr.operands
        if op in _BETWEEN:
            sign = str(getattr(self.face, _BETWEEN[op]))
            return sign.join(self.fitted(o, _ATOM) for o in operands)
        if op == "concat" and expr.attributes.get("axis") in (-1, -2):  # beside, below one another
            between = ", " if expr.attributes["axis"] == -1 else "; "
            return f"[{between.join(map(self._print, operands))}]"
        if op == "block":
            printer = type(self)(self.step, expr.attributes["timed"], self.apart)
            label = printer._print(operands[1])
            return self.face.lowered(self.face.bracketed(self._print(operands[0]), "[]"), label)
        if op == "einsum":
            return self._indexed(expr)
        if is_transpose(expr):
            return self.face.raised(self.fitted(operands[0], _ATOM), self.face.top)
        if op == "getitem":
            return f"{self.fitted(operands[0], _ATOM)}[{self._index(expr)}]"
        if op == "scatter":
            return f"{self.face.word('pad')}[{self._index(expr)}]" + self._arguments(operands)
        if op in REPEATED:
            return self._print(operands[0])  # type: ignore[no-any-return]
        shown = [
            f"{self.face.word(key)}={self._attribute(value)}"
            for key, value in expr.attributes.items()
            if key not in _PRIVATE and value is not None and (key, value) not in _USUAL
        ]
        over = expr.attributes.get("over")
        if over:
            shown = [text for text in shown if not text.startswith(self.face.word("axis"))]
        name = self.face.operator(op)
        lower = ", ".join(map(self.face.length, over or ()))
        return (self.face.lowered(name, lower) if over else name) + self._arguments(
            operands, *shown
        )

    def _indexed(self, expr: Operation) -> str:
        """A sum of products with its letters: Σ_j [W]_ij [x]_j."""
        before, _, after = expr.attributes["subscripts"].partition("->")
        parts = [
            self.face.lowered(self.face.bracketed(self._print(operand), "[]"), letters)
            for operand, letters in zip(expr.operands, before.split(","), strict=True)
        ]
        summed = "".join(dict.fromkeys(c for c in before if c.isalpha() and c not in after))
        return self.face.sum_over(summed) + " ".join(parts)

    def _attribute(self, value: Any) -> str:
        text = faces.index(value, self.face.length)
        return self.face.bracketed(text, "()") if isinstance(value, tuple) else text

    def _index(self, expr: Operation) -> str:
        return faces.index(expr.attributes["index"], self.face.length)

    # --- what only gradients and differences have -------------------------------------------------
    def _print_SumOverTime(self, expr: SumOverTime) -> str:
        return self.face.total + self.fitted(expr.args[0], _PRODUCT)

    def _print_Partial(self, expr: Partial) -> str:
        return self.face.partial(*map(self._print, expr.args))

    def _print_Marked(self, expr: Marked) -> str:
        return self.face.marked(self._print(expr.args[0]), expr.args[1].name)


class CellLatexPrinter(_Notation, LatexPrinter):  # type: ignore[misc]
    """A cell's notation in LaTeX."""

    face = faces.Latex()


class CellTextPrinter(_Notation, StrPrinter):  # type: ignore[misc]
    """A cell's notation in Unicode, on one line."""

    face = faces.Text()
