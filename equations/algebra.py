"""What equations are made of: SymPy objects for named values, products and operations.

Sums, products and powers are SymPy's own, unevaluated, so that they keep the author's order. They
mean what they mean for one unit of a layer: a product of two vectors is taken entry by entry (⊙),
and `sympy.diff` differentiates it as it does numbers. What mixes units (a matrix product, a
concatenation, a sum over entries) is an `SymbolicOperation`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import sympy
from numpy.typing import NDArray
from sympy import Add, Expr, Function, Integer, Mul, Pow, preorder_traversal
from sympy.core.function import ArgumentIndexError, FunctionClass

from tinygrad_lstm import text
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.tensor import Letter


class EquationError(TinygradError):
    """An equation that cannot be derived or written; the message names it and the operation."""


class _Carrier(sympy.Symbol):  # type: ignore[misc]
    """A symbol that carries what its slots say; its name tells it from others of its class."""

    __slots__: tuple[str, ...] = ()

    @classmethod
    def carrying(cls, name: str, *data: Any, **assumptions: bool) -> Self:
        """A symbol of this class."""
        self: Self = sympy.Symbol.__xnew__(cls, name, **assumptions)
        for slot, value in zip(cls.__slots__, data, strict=True):
            setattr(self, slot, value)
        return self

    def __getnewargs_ex__(self) -> Any:
        return tuple(getattr(self, slot) for slot in type(self).__slots__), {}


class SymbolicValue(_Carrier):
    """A named value: `label` as in a Program, and the step it belongs to, counted from t.

    time 0 is t, -1 is t-1; None for what has no time, such as a parameter.
    """

    __slots__ = ("label", "time")
    label: str
    time: int | None

    def __new__(cls, label: str, time: int | None = 0) -> Self:  # noqa: D102
        return cls.carrying(f"{label}@{time}", label, time, real=True)


class Tag(sympy.Atom):  # type: ignore[misc]
    """The name of an operation and its attributes (an axis, an index), as one SymPy atom."""

    __slots__ = ("op", "attributes", "key")

    def __new__(cls, op: str, attributes: Mapping[str, Any]) -> Tag:  # noqa: D102
        self: Tag = sympy.Atom.__new__(cls)
        self.op, self.attributes = op, dict(attributes)
        self.key = _key(sorted(self.attributes.items()))
        return self

    def _hashable_content(self) -> tuple[str, str]:
        return (self.op, self.key)


def _key(value: Any) -> str:
    """A text that two attributes share only if they are equal."""
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_key, value))})"
    return repr(value.tolist() if isinstance(value, np.ndarray) else value)


class SymbolicOperation(Expr):  # type: ignore[misc]
    """An operation that mixes units; `operands` in order, `op` and `attributes` as in the engine.

    Beyond the engine's there are two that only gradients need: "block", the part of a vector that
    belongs to one part of a concatenation, and "reversed_cumsum", running sums from the end.
    """

    is_commutative = True

    def __new__(cls, tag: Tag, *operands: Expr) -> SymbolicOperation:  # noqa: D102
        return Expr.__new__(cls, tag, *operands)  # type: ignore[no-any-return]

    @property
    def op(self) -> str:
        """The operation's name in the engine."""
        return self.args[0].op  # type: ignore[no-any-return]

    @property
    def attributes(self) -> dict[str, Any]:
        """Its axis, index and the like."""
        return self.args[0].attributes  # type: ignore[no-any-return]

    @property
    def settings(self) -> dict[str, Any]:
        """Its attributes without those that are for printing alone."""
        return {
            key: value for key, value in self.attributes.items() if key not in ("over", "scalar")
        }

    @property
    def operands(self) -> tuple[Expr, ...]:
        """What it is applied to, in order."""
        return self.args[1:]  # type: ignore[no-any-return]


class Extent(_Carrier):
    """A number made of sizes: what it is here, and its words, such as `hidden` or `2 * hidden`."""

    __slots__ = ("count", "words")
    count: float
    words: str

    def __new__(cls, count: float, words: str) -> Self:  # noqa: D102
        return cls.carrying(f"{words}={count}", count, words, real=True)


class Running(_Carrier):
    """The number of the place that a letter stands for: i = 1, 2, …."""

    __slots__ = ("letter",)
    letter: Letter

    def __new__(cls, letter: Letter) -> Self:  # noqa: D102
        return cls.carrying(f"{letter.name} of {int(letter.length)}", letter, real=True)


def extent(length: int) -> Expr:
    """The length of an axis, by its words if it has any."""
    words = getattr(length, "words", None)
    return Extent(int(length), words) if words else number(length)


def operation(op: str, *operands: Expr, **attributes: Any) -> SymbolicOperation:
    """A SymbolicOperation node."""
    return SymbolicOperation(Tag(op, attributes), *operands)


def is_transpose(expr: SymbolicOperation) -> bool:
    """Whether an operation exchanges the last two axes (of a matrix, its only ones)."""
    return expr.op in ("transpose", "swapaxes") and text.is_transpose(expr.attributes)


class Literal(_Carrier):
    """An array that the cell's author wrote as a constant."""

    __slots__ = ("data",)
    data: NDArray[Any]

    def __new__(cls, data: NDArray[Any]) -> Self:  # noqa: D102
        return cls.carrying(f"literal {data.shape} {data.tolist()}", data)


class Nothing(sympy.Symbol):  # type: ignore[misc]
    """The adjoint of a value whose changes the loss does not see, and why: it is 0 in sums."""

    def __new__(cls, why: str) -> Nothing:  # noqa: D102
        return sympy.Symbol.__xnew__(cls, why)  # type: ignore[no-any-return]


class SumOverTime(Expr):  # type: ignore[misc]
    """The sum of an expression over all steps t."""


class Partial(Expr):  # type: ignore[misc]
    """∂ args[0] / ∂ args[1], entry by entry, everything else in the equation held fixed."""


class Marked(Expr):  # type: ignore[misc]
    """An expression to be shown as added (in the second cell) or removed (from the first)."""

    def __new__(cls, expr: Expr, kind: sympy.Symbol) -> Marked:  # noqa: D102
        return Expr.__new__(cls, expr, kind)  # type: ignore[no-any-return]


# --- functions of each unit, with the derivatives that SymPy's diff uses ---------------------
class Elementwise(Function):  # type: ignore[misc]
    """A function applied to each entry; `op` is its name in the engine.

    `slopes(value, *arguments)` gives the derivative in each argument.
    """

    is_real = True  # SymPy searches long for what it is not told
    op: ClassVar[str]
    slopes: ClassVar[Callable[..., tuple[Any, ...]]]

    def fdiff(self, argindex: int = 1) -> Expr:
        """The derivative in one argument, as SymPy asks for it."""
        if not 1 <= argindex <= len(self.args):
            raise ArgumentIndexError(self, argindex)
        return sympy.S(self.slopes(self, *self.args)[argindex - 1])

    def _eval_derivative(self, s: Expr) -> Expr:
        return Add(*(self._chain(k, a, s) for k, a in enumerate(self.args, 1) if a.has(s)))

    def _chain(self, k: int, argument: Expr, s: Expr) -> Expr:
        outer, inner = self.fdiff(k), partial_derivative(argument, s)
        turned = isinstance(outer, Add) and inner == -1  # SymPy's -(1 - y²) is y² - 1
        return Mul(inner, outer, evaluate=not turned)


def partial_derivative(expr: Expr, symbol: Expr) -> Expr:
    """∂ expr / ∂ symbol, by SymPy.

    Sums and products are opened here: of each of their derivatives SymPy would ask whether it can
    be shown to be 0, and search long.
    """
    if isinstance(expr, Add):
        return Add(*(partial_derivative(a, symbol) for a in expr.args if a.has(symbol)))
    if isinstance(expr, Mul):
        each = ((a, partial_derivative(a, symbol)) for a in expr.args if a.has(symbol))
        return Add(*(Mul(*(d if b is a else b for b in expr.args)) for a, d in each))
    return expr.diff(symbol)


FUNCTIONS: dict[str, type[Elementwise]] = {}  # by the engine's names


def _function(name: str, op: str, slopes: Callable[..., tuple[Any, ...]]) -> type[Elementwise]:
    FUNCTIONS[op] = elementwise(op, slopes, name)
    return FUNCTIONS[op]


def elementwise(
    op: str, slopes: Callable[..., tuple[Any, ...]], name: str = ""
) -> type[Elementwise]:
    """The function of SymPy that stands for an operation of the engine."""
    names = {"op": op, "slopes": staticmethod(slopes)}
    return FunctionClass(name or op, (Elementwise,), names)  # type: ignore[no-any-return]


def slopes_of(value: Callable[..., Expr]) -> Callable[..., tuple[Expr, ...]]:
    """The derivatives of what means `value` of its arguments, as SymPy derives them."""

    def slopes(y: Expr, *arguments: Expr) -> tuple[Expr, ...]:
        own = [sympy.Dummy(real=True) for _ in arguments]
        known = dict(zip(own, arguments, strict=True))
        whole = value(*own).doit()
        return tuple(sympy.diff(whole, symbol).xreplace(known) for symbol in own)

    return slopes


def _holds(condition: Expr) -> Expr:
    """A condition as 1 or 0."""
    return condition if getattr(condition, "op", "") in RELATIONS else not_equal(condition, 0)


def _inside(x: Expr, low: Expr, high: Expr) -> Expr:
    above = 1 if low == -sympy.oo else greater_equal(x, low)
    return above if high == sympy.oo else above * greater_equal(high, x)


# fmt: off
RELATIONS = ("greater", "greater_equal", "equal", "not_equal")
greater = _function("greater", "greater", lambda y, a, b: (0, 0))
greater_equal = _function("greater_equal", "greater_equal", lambda y, a, b: (0, 0))
equal = _function("equal", "equal", lambda y, a, b: (0, 0))
not_equal = _function("not_equal", "not_equal", lambda y, a, b: (0, 0))
sigma = _function("sigma", "sigmoid", lambda y, x: (y * (1 - y),))
softplus = _function("softplus", "softplus", lambda y, x: (sigma(x),))
relu = _function("relu", "relu", lambda y, x: (greater(x, 0),))
absolute = _function("absolute", "abs", lambda y, x: (2 * greater_equal(x, 0) - 1,))
maximum = _function("maximum", "maximum", lambda y, a, b: (greater_equal(a, b), greater(b, a)))
minimum = _function("minimum", "minimum", lambda y, a, b: (greater_equal(b, a), greater(a, b)))
where = _function("where", "where", lambda y, c, a, b: (0, _holds(c), 1 - _holds(c)))
clip = _function("clip", "clip", lambda y, x, low, high: (_inside(x, low, high), 0, 0))
tanh = _function("tanh", "tanh", lambda y, x: (1 - y**2,))  # SymPy's own turns a - b in it round
sin = _function("sin", "sin", lambda y, x: (cos(x, evaluate=False),))
cos: Any = _function("cos", "cos", lambda y, x: (-sin(x, evaluate=False),))
detach = _function("detach", "detach", lambda y, x: (0,))
sign = _function("sign", "sign", lambda y, x: (0,))  # SymPy's own has an impulse at 0
floor = _function("floor", "floor", lambda y, x: (0,))
log1p = _function("log1p", "log1p", slopes_of(lambda x: sympy.log(1 + x)))
expm1 = _function("expm1", "expm1", slopes_of(lambda x: sympy.exp(x) - 1))
erf = _function("erf", "erf", slopes_of(sympy.erf))
# fmt: on


# --- building without evaluation -----------------------------------------------------------------
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
    **{op: partial(f, evaluate=False) for op, f in FUNCTIONS.items()},
}


def number(value: float) -> Expr:
    """A number as SymPy has it: whole numbers exact, others as floats."""
    if not np.isfinite(value):
        return sympy.oo if value > 0 else -sympy.oo
    return Integer(int(value)) if float(value).is_integer() else sympy.Float(float(value))


def rebuild(expr: Expr, args: list[Expr]) -> Expr:
    """An expression of the same kind with other arguments, which keep their order."""
    if isinstance(expr, Add | Mul | Pow | Function):
        return expr.func(*args, evaluate=False)
    return expr.func(*args)


def replace_parts(expr: Expr, change: Callable[[Expr], Expr | None]) -> Expr:
    """An expression with every part for which `change` returns another one replaced by it."""
    new = change(expr)
    if new is not None:
        return new
    if not expr.args:
        return expr
    args = [replace_parts(a, change) for a in expr.args]
    return (
        expr if all(a is b for a, b in zip(args, expr.args, strict=True)) else rebuild(expr, args)
    )


def shift_time(expr: Expr, steps: int) -> Expr:
    """The same expression for another step of time."""

    def change(part: Expr) -> Expr | None:
        if isinstance(part, SymbolicValue) and part.time is not None:
            return SymbolicValue(part.label, part.time + steps)
        return None

    return replace_parts(expr, change)


def named_values(expr: Expr) -> list[SymbolicValue]:
    """The named values in an expression, each once, in order of appearance."""
    return list(dict.fromkeys(p for p in preorder_traversal(expr) if isinstance(p, SymbolicValue)))


def height(expr: Expr) -> int:
    """How deep an expression is: more than any part of it."""
    return 1 + max(map(height, expr.args), default=0)


REPEATED = ("spread", "broadcast_to")  # the same numbers, repeated along an axis


def is_divisor(expr: Expr) -> bool:
    """Whether a factor stands below the line of a fraction."""
    return isinstance(expr, Pow) and bool(expr.exp.is_Number) and bool(expr.exp < 0)


def factors(expr: Expr) -> list[Expr]:
    """The factors of a product, nested products opened."""
    return [f for a in expr.args for f in factors(a)] if isinstance(expr, Mul) else [expr]


def terms(expr: Expr) -> list[Expr]:
    """The terms of a sum, nested sums opened."""
    return [t for a in expr.args for t in terms(a)] if isinstance(expr, Add) else [expr]
