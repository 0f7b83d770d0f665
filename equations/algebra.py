"""What equations are made of: SymPy objects for named values, products and operations.

Sums, products and powers are SymPy's own, unevaluated, so that they keep the author's order. They
mean what they mean for one unit of a layer: a product of two vectors is taken entry by entry (⊙),
and `sympy.diff` differentiates it as it does numbers. What mixes units (a matrix product, a
concatenation, a sum over entries) is an `Operation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray
from sympy import Add, Expr, Function, Integer, Mul, Pow
from sympy.core.function import ArgumentIndexError

from tinygrad_lstm.errors import TinygradError


class EquationError(TinygradError):
    """An equation that cannot be derived or written; the message names it and the operation."""


class Quantity(sympy.Symbol):  # type: ignore[misc]
    """A named value: `label` as in a Program, and the step it belongs to, counted from t.

    time 0 is t, -1 is t-1; None for what has no time, such as a parameter.
    """

    __slots__ = ("label", "time")
    label: str
    time: int | None

    def __new__(cls, label: str, time: int | None = 0) -> Quantity:
        self: Quantity = sympy.Symbol.__xnew__(cls, f"{label}@{time}")
        self.label, self.time = label, time
        return self

    def __getnewargs_ex__(self) -> Any:
        return (self.label, self.time), {}


class Tag(sympy.Atom):  # type: ignore[misc]
    """The name of an operation and its attributes (an axis, an index), as one SymPy atom."""

    __slots__ = ("op", "attributes", "key")

    def __new__(cls, op: str, attributes: Mapping[str, Any]) -> Tag:
        self: Tag = sympy.Atom.__new__(cls)
        self.op, self.attributes = op, dict(attributes)
        self.key = repr(sorted(self.attributes.items(), key=lambda item: item[0]))
        return self

    def _hashable_content(self) -> tuple[str, str]:
        return (self.op, self.key)


class Operation(Expr):  # type: ignore[misc]
    """An operation that mixes units; `operands` in order, `op` and `attributes` as in the engine.

    Beyond the engine's there are two that only gradients need: "block", the part of a vector that
    belongs to one part of a concatenation, and "reversed_cumsum", running sums from the end.
    """

    is_commutative = True

    def __new__(cls, tag: Tag, *operands: Expr) -> Operation:
        return Expr.__new__(cls, tag, *operands)  # type: ignore[no-any-return]

    @property
    def op(self) -> str:
        return self.args[0].op  # type: ignore[no-any-return]

    @property
    def attributes(self) -> dict[str, Any]:
        return self.args[0].attributes  # type: ignore[no-any-return]

    @property
    def operands(self) -> tuple[Expr, ...]:
        return self.args[1:]  # type: ignore[no-any-return]


def operation(op: str, *operands: Expr, **attributes: Any) -> Operation:
    """An Operation node."""
    return Operation(Tag(op, attributes), *operands)


def is_transpose(expr: Operation) -> bool:
    """Whether an operation exchanges the last two axes (of a matrix, its only ones)."""
    if expr.op == "transpose":
        return tuple(expr.attributes["axes"]) == (1, 0)
    return expr.op == "swapaxes" and {expr.attributes["a"], expr.attributes["b"]} == {-1, -2}


class Literal(sympy.Symbol):  # type: ignore[misc]
    """An array that the cell's author wrote as a constant."""

    __slots__ = ("data",)
    data: NDArray[Any]

    def __new__(cls, data: NDArray[Any]) -> Literal:
        self: Literal = sympy.Symbol.__xnew__(cls, f"literal {data.shape} {data.tolist()}")
        self.data = data
        return self

    def __getnewargs_ex__(self) -> Any:
        return (self.data,), {}


class SumOverTime(Expr):  # type: ignore[misc]
    """The sum of an expression over all steps t."""


class Partial(Expr):  # type: ignore[misc]
    """∂ args[0] / ∂ args[1], entry by entry, everything else in the equation held fixed."""


class Marked(Expr):  # type: ignore[misc]
    """An expression to be shown as added (in the second cell) or removed (from the first)."""

    def __new__(cls, expr: Expr, kind: sympy.Symbol) -> Marked:
        return Expr.__new__(cls, expr, kind)  # type: ignore[no-any-return]


# --- functions of each unit, with the derivative that SymPy's diff uses ----------------------------
class Elementwise(Function):  # type: ignore[misc]
    """A function applied to each entry; `op` is its name in the engine."""

    op = ""

    def fdiff(self, argindex: int = 1) -> Expr:
        """The derivative in one argument."""
        slopes = self.slopes()
        if not 1 <= argindex <= len(slopes):
            raise ArgumentIndexError(self, argindex)
        return slopes[argindex - 1]

    def slopes(self) -> tuple[Expr, ...]:
        """The derivative in each argument; 0 where the function is piecewise constant."""
        return (Integer(0),) * len(self.args)


class sigma(Elementwise):
    """σ(x) = 1 / (1 + e^{-x}); σ' = σ (1 - σ)."""

    op = "sigmoid"

    def slopes(self) -> tuple[Expr, ...]:
        return (self * (1 - self),)


class softplus(Elementwise):
    """log(1 + e^x); its derivative is σ."""

    op = "softplus"

    def slopes(self) -> tuple[Expr, ...]:
        return (sigma(self.args[0]),)


class greater(Elementwise):
    """Whether a > b: 1 or 0."""

    op = "greater"


class greater_equal(Elementwise):
    """Whether a ≥ b: 1 or 0."""

    op = "greater_equal"


class equal(Elementwise):
    """Whether a = b: 1 or 0."""

    op = "equal"


class not_equal(Elementwise):
    """Whether a ≠ b: 1 or 0."""

    op = "not_equal"


class relu(Elementwise):
    """x where x > 0, else 0."""

    op = "relu"

    def slopes(self) -> tuple[Expr, ...]:
        return (greater(self.args[0], 0),)


class absolute(Elementwise):
    """|x|."""

    op = "abs"

    def slopes(self) -> tuple[Expr, ...]:
        return (2 * greater_equal(self.args[0], 0) - 1,)


class maximum(Elementwise):
    """The larger of a and b."""

    op = "maximum"

    def slopes(self) -> tuple[Expr, ...]:
        a, b = self.args
        return (greater_equal(a, b), greater(b, a))


class minimum(Elementwise):
    """The smaller of a and b."""

    op = "minimum"

    def slopes(self) -> tuple[Expr, ...]:
        a, b = self.args
        return (greater_equal(b, a), greater(a, b))


class where(Elementwise):
    """a where the condition holds, else b."""

    op = "where"

    def slopes(self) -> tuple[Expr, ...]:
        condition = self.args[0]
        relation = isinstance(condition, greater | greater_equal | equal | not_equal)
        holds = condition if relation else not_equal(condition, 0)
        return (Integer(0), holds, 1 - holds)


class clip(Elementwise):
    """x limited to [low, high], either of which may be infinite."""

    op = "clip"

    def slopes(self) -> tuple[Expr, ...]:
        x, low, high = self.args
        above = Integer(1) if low == -sympy.oo else greater_equal(x, low)
        below = Integer(1) if high == sympy.oo else greater_equal(high, x)
        return (above * below, Integer(0), Integer(0))


class detach(Elementwise):
    """The same value, through which no gradient flows."""

    op = "detach"


NAMED = {
    f.op: f
    for f in (
        sigma, softplus, relu, absolute, maximum, minimum, where, greater, greater_equal, equal,
        not_equal, detach,
    )
}  # fmt: skip
NAMED |= {f: getattr(sympy, f) for f in ("exp", "log", "sin", "cos", "tanh")}


# --- building without evaluation --------------------------------------------------------------------
def plus(*terms: Expr) -> Expr:
    """A sum in the order given; of one term the term, of none zero."""
    return Add(*terms, evaluate=False) if len(terms) != 1 else terms[0]


def times(*factors: Expr) -> Expr:
    """A product in the order given."""
    return Mul(*factors, evaluate=False) if len(factors) != 1 else factors[0]


def minus(expr: Expr) -> Expr:
    """The negative of an expression, as a product with -1."""
    return Mul(Integer(-1), expr, evaluate=False)


def power(base: Expr, exponent: Any) -> Expr:
    """A power, unevaluated."""
    return Pow(base, exponent, evaluate=False)


BUILDERS: dict[str, Callable[..., Expr]] = {
    "add": plus,
    "subtract": lambda a, b: plus(a, minus(b)),
    "multiply": times,
    "divide": lambda a, b: times(a, power(b, Integer(-1))),
    "power": power,
    "negative": minus,
    "sqrt": lambda x: power(x, sympy.Rational(1, 2)),
    "identity": lambda x: x,
    **{op: (lambda f: lambda *args: f(*args, evaluate=False))(f) for op, f in NAMED.items()},
}


def number(value: float) -> Expr:
    """A number as SymPy has it: whole numbers exact, others as floats."""
    if not np.isfinite(value):
        return sympy.oo if value > 0 else -sympy.oo
    return Integer(int(value)) if float(value).is_integer() else sympy.Float(float(value))


def remade(expr: Expr, args: list[Expr]) -> Expr:
    """An expression of the same kind with other arguments, which keep their order."""
    if isinstance(expr, Add | Mul | Pow | Function):
        return expr.func(*args, evaluate=False)
    return expr.func(*args)


def replaced(expr: Expr, change: Callable[[Expr], Expr | None]) -> Expr:
    """An expression with every part for which `change` returns another one replaced by it."""
    new = change(expr)
    if new is not None:
        return new
    if not expr.args:
        return expr
    args = [replaced(a, change) for a in expr.args]
    return expr if all(a is b for a, b in zip(args, expr.args, strict=True)) else remade(expr, args)


def shifted(expr: Expr, steps: int) -> Expr:
    """The same expression for another step of time."""

    def change(part: Expr) -> Expr | None:
        if isinstance(part, Quantity) and part.time is not None:
            return Quantity(part.label, part.time + steps)
        return None

    return replaced(expr, change)


def walk(expr: Expr) -> Iterator[Expr]:
    """Every part of an expression, the whole first, left before right."""
    yield expr
    for a in expr.args:
        yield from walk(a)


def quantities(expr: Expr) -> list[Quantity]:
    """The named values in an expression, each once, in order of appearance."""
    return list(dict.fromkeys(p for p in walk(expr) if isinstance(p, Quantity)))


def factors(expr: Expr) -> list[Expr]:
    """The factors of a product, nested products opened."""
    return [f for a in expr.args for f in factors(a)] if isinstance(expr, Mul) else [expr]


def terms(expr: Expr) -> list[Expr]:
    """The terms of a sum, nested sums opened."""
    return [t for a in expr.args for t in terms(a)] if isinstance(expr, Add) else [expr]
