"""A cell's equations as JavaScript: one step forward and one backward, for a cell of one unit.

The expressions are those that `forward` and `backward` print, with every size 1, taken apart into
numbers: a matrix product becomes a sum of products, a concatenation a list. SymPy's JavaScript
printer writes what is left.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Expr, Pow, Symbol
from sympy.printing.jscode import JavascriptCodePrinter
from sympy.printing.precedence import PRECEDENCE

from equations.adjoints import assembled
from equations.algebra import (
    NAMED,
    Elementwise,
    EquationError,
    Extent,
    Literal,
    Operation,
    Quantity,
    factors,
    maximum,
    number,
    plus,
    power,
    quantities,
    remade,
    replaced,
    shifted,
    terms,
    times,
)
from equations.evaluation import OWN
from equations.lines import Equation
from equations.reading import checked
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.notation import space_of
from tinygrad_lstm.program import Program
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import TABLE

Entries = NDArray[np.object_]  # an array of SymPy expressions, one for each number

_HELPERS = {
    "sigmoid": "const sigmoid = (x) => 0.5 * (1 + Math.tanh(x / 2));",
    "softplus": ("const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));"),
    "erf": """\
const erf = (x) => {  // by its power series, far out by the continued fraction of 1 - erf
  const a = Math.abs(x), e = Math.exp(-x * x) / Math.sqrt(Math.PI);
  let sum = 0, term = 2 * a;
  if (a > 3) {
    for (let k = 60; k > 0; k--) sum = k / 2 / (a + sum);
    return Math.sign(x) * (1 - e / (a + sum));
  }
  for (let k = 1; k < 100; k++) { sum += term; term *= 2 * x * x / (2 * k + 1); }
  return Math.sign(x) * sum * e;
};""",
}
_FORWARD = """\
// One step forward. values: prev.h and so on, the states before it; x; given, further inputs; p,
// the parameters; held (optional), pre-activations that are set and not computed. What has more
// than one entry is an array. Returned: values with pre, the pre-activations, and now, the step's.
function forward(values) {{
  const {{ prev, x, given, p }} = values;
  const held = {{ __proto__: null, ...values.held }};
  const pre = {{}}, now = {{}};
{lines}
  return {{ ...values, pre, now }};
}}"""
_BACKWARD = """\
// One step backward. values: what forward returned; seeds.h and so on: the derivative of the loss
// in each state after the step and in the cell's output. Returned: bar, its derivative in every
// value; inputs, in the inputs, where a value may have the same name; delta, in the
// pre-activations; earlier, in the states before the step. What is held passes nothing on.
function backward(values, seeds) {{
  const {{ prev, x, given, p, pre, now }} = values;
  const held = {{ __proto__: null, ...values.held }};
  const bar = {{}}, inputs = {{}}, delta = {{}}, through = {{}}, earlier = {{}};
{lines}
  return {{ bar, delta, earlier, inputs: {{ ...bar, ...inputs }} }};
}}"""


def javascript(cell: Cell) -> str:
    """Two pure functions, `forward(values)` and `backward(values, seeds)`, of a one-unit cell.

    Every size of the cell is 1 if it can be. Each statement stands below the equation that it
    computes, in the author's order; `forward` takes and returns `{prev, x, given, p, pre, now}`.

    EquationError for a cell whose equations cannot be taken apart into numbers.
    """
    return Script(cell).text()


class Script:
    """The statements of a cell's step, and the values they need."""

    def __init__(self, cell: Cell) -> None:
        if hasattr(checked(cell), "parts"):
            raise EquationError(f"{cell}: JavaScript is written of one cell, such as a part of it.")
        self.cell = cell
        program = _smallest(cell)
        self.sizes = program.sizes
        self.seeds = tuple(dict.fromkeys((*cell.state, cell.output)))
        self.adjoints = assembled(cell, self.seeds, program)
        self.reading = self.adjoints.reading
        parts = self.adjoints.parts.values()
        self.insides = {f"pre.{k}": expr for part in parts for k, expr in part.insides.items()}
        self._printer = _Printer({"order": "none", "strict": True})

    def text(self) -> str:
        """Both functions and the helpers that they use."""
        lines = {"forward": "\n".join(self._forward()), "backward": "\n".join(self._backward())}
        functions = [_FORWARD.format(lines=lines["forward"])]
        functions.append(_BACKWARD.format(lines=lines["backward"]))
        body = "\n\n".join(functions)
        used = [helper for name, helper in _HELPERS.items() if f"{name}(" in body]
        return "\n".join([*used, "", body] if used else [body]) + "\n"

    # --- statements -----------------------------------------------------------------------------
    def _forward(self) -> Iterator[str]:
        for name, expr in self.reading.equations.items():
            yield self._comment(Quantity(name), expr)
            own = {f"pre.{label}": e for label, e in self.adjoints.parts[name].insides.items()}
            for label, inside in reversed(own.items()):
                codes = self._codes(self.opened(inside, own), self.shape(inside), label)
                place = label.removeprefix("pre.")
                single = isinstance(codes, str)
                held = f"{_place('held', place)} ?? ({codes})" if single else codes
                yield _statement(_place("pre", place), held)
            codes = self._codes(self.opened(expr, own), self.shape(Quantity(name)), name)
            yield _statement(_place("now", name), codes)

    def _backward(self) -> Iterator[str]:
        adjoints = self.adjoints

        def code(parts: list[Expr], of: Expr, label: str) -> str | list[str]:
            return self._codes(self.opened(_sum(parts), self.insides), self.shape(of), label)

        for label, every in adjoints.terms.items():
            space, name = space_of(label)
            own = [term for term in every if not _from_next(term)]
            yield self._comment(adjoints.written(label, own).left, own)
            if space == "bar":
                target = adjoints.given(label) or Quantity(name)
                yield _statement(_adjoint_place(name), code(own, target, label))
                continue
            codes = code(own, self.insides[f"pre.{name}"], label)
            yield _statement(_place("delta", name), codes)
            passed = _place("delta", name)
            if isinstance(codes, str):
                passed = f"{_place('held', name)} === undefined ? {passed} : 0"
            yield _statement(_place("through", name), passed)
        for name in self.cell.state:
            later = [shifted(t, -1) for t in adjoints.terms[f"bar.{name}"] if _from_next(t)]
            yield self._comment(Quantity(f"bar.{name}", -1), later)
            codes = code(later, Quantity(name), f"bar.prev.{name}")
            yield _statement(_place("earlier", name), codes)

    def _comment(self, left: Expr, right: Expr | list[Expr]) -> str:
        right = _sum(right) if isinstance(right, list) else right
        return f"  // {Equation('', left, right, apart=self.reading.apart).unicode()}"

    def opened(self, expr: Expr, insides: Mapping[str, Expr]) -> Expr:
        """An expression in which what stands inside functions is a value of its own."""
        names = {inside: Quantity(name) for name, inside in reversed(list(insides.items()))}
        return replaced(expr, lambda e: names.get(e) if e is not expr else None)

    def shape(self, expr: Expr) -> tuple[int, ...]:
        """The shape of a value at size 1."""
        return self.reading.shapes[expr]

    def _codes(self, expr: Expr, shape: tuple[int, ...], name: str) -> str | list[str]:
        """The code of a value: of its one entry, or of each."""
        try:
            entries = np.broadcast_to(self._entries(expr), shape)
            codes = [self._printer.doprint(_plain(e)) for e in entries.flat]
        except (TypeError, ValueError, NotImplementedError) as error:
            raise EquationError(
                f"{self.cell}: {name} cannot be taken apart into numbers for JavaScript.\n"
                f"  {type(error).__name__}: {error}"
            ) from error
        return codes[0] if len(codes) == 1 else codes

    # --- values to numbers ------------------------------------------------------------------------
    def _entries(self, expr: Expr) -> Entries:
        """An expression as an array of expressions of numbers."""
        if isinstance(expr, Quantity):
            return self._named(expr)
        if isinstance(expr, Extent):
            return _wrapped([number(expr.count)], ())
        if isinstance(expr, Literal):
            return _wrapped([number(float(v)) for v in expr.data.flat], expr.data.shape)
        if expr.is_Number:
            return _wrapped([expr], ())
        if isinstance(expr, Operation):
            skip = expr.op == "block"  # its second operand is a label
            operands = [
                _wrapped([number(0)], ()) if skip and k else self._entries(o)
                for k, o in enumerate(expr.operands)
            ]
            function = _ENTRIES.get(expr.op) or OWN.get(expr.op) or TABLE[expr.op].forward
            return np.asarray(function(*operands, **expr.settings), object)

        def together(*args: Any) -> _Entry:
            return _Entry(remade(expr, [_plain(a) for a in args]))

        args = [self._entries(a) for a in expr.args]
        return np.asarray(np.frompyfunc(together, len(args), 1)(*args), object)

    def _named(self, quantity: Quantity) -> Entries:
        label, time = quantity.label, quantity.time
        space, name = space_of(label)
        if label in self.insides:
            place, shape = _place("pre", name), self.shape(self.insides[label])
        elif space == "delta":
            place, shape = _place("through", name), self.shape(self.insides[f"pre.{name}"])
        elif space in ("bar", "seed"):
            place = _place("seeds", name) if space == "seed" else _adjoint_place(name)
            shape = self.shape(self.adjoints.given(label) or Quantity(name))
        elif label in self.reading.equations:
            place, shape = _place("prev" if time == -1 else "now", label), self.shape(quantity)
        else:
            own = name if space == "input" else label
            place, shape = input_place(self.cell, own), self.shape(quantity)
        count = int(np.prod(shape))
        names = [place] if count == 1 else [f"{place}[{k}]" for k in range(count)]
        return _wrapped([Symbol(n, real=True) for n in names], shape)


def _smallest(cell: Cell) -> Program:
    """The cell's Program with every size 1, or with the usual small sizes where that cannot be."""
    try:
        return cell.program(**dict.fromkeys(cell.sizes, 1))
    except TinygradError:
        return cell.program()


def _sum(parts: list[Expr]) -> Expr:
    return plus(*parts) if parts else number(0)


def _from_next(term: Expr) -> bool:
    return any(q.time == 1 for q in quantities(term))


def input_place(cell: Cell, name: str) -> str:
    """Where `values` holds an input of a Program: prev.h, x, p.W_f, given.clock."""
    if name == "x" or name.startswith("prev."):
        return name if name == "x" else _place("prev", name.removeprefix("prev."))
    return _place("p" if name in cell.parameters else "given", name)


def _adjoint_place(name: str) -> str:
    space, own = space_of(name)
    return _place("inputs" if space == "input" else "bar", own)


def _place(owner: str, name: str) -> str:
    plain = re.fullmatch(r"[^\W\d]\w*", name)
    return f"{owner}.{name}" if plain else f"{owner}[{json.dumps(name, ensure_ascii=False)}]"


def _statement(place: str, codes: str | list[str]) -> str:
    return f"  {place} = {codes if isinstance(codes, str) else '[' + ', '.join(codes) + ']'};"


# --- arrays of expressions -----------------------------------------------------------------------
class _Entry:
    """One number of an array as an expression, which NumPy can add and multiply in order."""

    def __init__(self, expr: Expr) -> None:
        self.expr = expr

    def __add__(self, other: Any) -> _Entry:
        return _Entry(plus(self.expr, _plain(other)))

    def __radd__(self, other: Any) -> _Entry:  # to the zeros of a scatter
        return _Entry(plus(_plain(other), self.expr))

    def __sub__(self, other: Any) -> _Entry:
        return _Entry(plus(self.expr, times(number(-1), _plain(other))))

    def __mul__(self, other: Any) -> _Entry:
        return _Entry(times(self.expr, _plain(other)))

    def __truediv__(self, other: Any) -> _Entry:
        return _Entry(times(self.expr, power(_plain(other), -1)))

    def exp(self) -> _Entry:  # what np.exp calls
        return _function("exp", self)

    def log(self) -> _Entry:
        return _function("log", self)


def _function(op: str, *args: Any) -> _Entry:
    return _Entry(NAMED[op](*map(_plain, args), evaluate=False))


def _plain(entry: Any) -> Expr:
    return entry.expr if isinstance(entry, _Entry) else number(float(entry))


def _wrapped(exprs: Iterable[Expr], shape: tuple[int, ...]) -> Entries:
    entries = np.array([None, *map(_Entry, exprs)], object)[1:]
    return entries.reshape(shape)


def _largest(x: Entries, axis: Any, keepdims: bool) -> Any:
    larger = np.frompyfunc(lambda a, b: _Entry(maximum(_plain(a), _plain(b), evaluate=False)), 2, 1)
    gone = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    for a in gone:  # NumPy takes an order of its own only along one axis at a time
        x = larger.reduce(x, axis=a, keepdims=True)
    return x if keepdims else np.squeeze(x, axis=gone)


def _scattered(g: Entries, index: Any, shape: tuple[int, ...]) -> Any:
    found = np.full(shape, 0, object)
    places = np.arange(found.size).reshape(shape)[index]
    for place, entry in zip(np.ravel(places), np.ravel(g), strict=True):
        found.flat[place] = entry + found.flat[place] if found.flat[place] else entry
    return found


def _log_of_sum(x: Entries, axis: Any, keepdims: bool) -> Any:
    return np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))


# what the engine does by comparing numbers, or in another order
_ENTRIES: dict[str, Callable[..., Any]] = {
    "matvec": lambda W, x: np.matmul(W, x[..., None])[..., 0],
    "max": _largest,
    "scatter": _scattered,
    "logsumexp": _log_of_sum,
    "softmax": lambda x, axis: np.exp(x) / np.sum(np.exp(x), axis=axis, keepdims=True),
    "log_softmax": lambda x, axis: x - _log_of_sum(x, axis, True),
}


# --- the printer -----------------------------------------------------------------------------
class _Printer(JavascriptCodePrinter):  # type: ignore[misc]
    """SymPy's printer, with the author's order kept in products too."""

    def _print_Function(self, expr: Expr) -> str:
        if not isinstance(expr, Elementwise):
            return str(super()._print_Function(expr))
        codes = [str(self._print(argument)) for argument in expr.args]
        if expr.op == "clip":
            return "Math.min(Math.max({}, {}), {})".format(*codes)
        template = TABLE[expr.op].js
        if template is not None:
            return template.format(*codes)
        if expr.meaning is None:
            raise NotImplementedError(f"there is no JavaScript of {expr.op}")
        return f"({self._print(expr.meaning(*expr.args))})"

    def _print_Add(self, expr: Expr, order: Any = None) -> str:
        codes = [str(self._print(term)) for term in terms(expr)]
        signed = [f"- {c[1:]}" if c.startswith("-") else f"+ {c}" for c in codes]
        return " ".join([codes[0], *signed[1:]])

    def _print_Mul(self, expr: Expr) -> str:
        first, *rest = factors(expr)
        sign, parts = ("-", rest) if first == -1 and rest else ("", [first, *rest])
        text = ""
        for part in parts:
            if isinstance(part, Pow) and part.exp.is_Number and part.exp < 0:
                below = part.base if part.exp == -1 else Pow(part.base, -part.exp, evaluate=False)
                text = f"{text or 1} / {self.parenthesize(below, PRECEDENCE['Mul'])}"
            else:
                code = self.parenthesize(part, PRECEDENCE["Mul"], strict=True)
                text = f"{text} * {code}" if text else code
        return sign + text

    def _print_Float(self, expr: Expr) -> str:
        return repr(float(expr))

    def _print_Infinity(self, expr: Expr) -> str:
        return "Infinity"

    def _print_NegativeInfinity(self, expr: Expr) -> str:
        return "-Infinity"
