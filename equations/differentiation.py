"""One named equation differentiated: what its operands receive of its adjoint.

A right-hand side falls into stretches of arithmetic that act on each unit by itself, joined by
operations that mix units. `sympy.diff` differentiates each stretch as an expression of scalars;
`rules.py` says how adjoints pass through the operations between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import sympy
from sympy import Add, Expr, Function, Mul, Pow

from equations import reasons
from equations.algebra import (
    EquationError,
    Extent,
    Literal,
    Running,
    SymbolicOperation,
    SymbolicValue,
    factors,
    height,
    is_divisor,
    operation,
    partial_derivative,
    plus,
    rebuild,
    replace_parts,
    shift_time,
    times,
)
from equations.coefficients import fold_numbers
from equations.places import (
    at_every_place,
    at_place,
    distributed,
    for_each,
    free_letters,
    is_lettered,
    letter_of,
    row_of,
    summed,
)
from equations.rules import RULES, sum_back
from equations.symbolic import SymbolicStep
from equations.wording import Said
from tinygrad_lstm.tensor import Letter

Rules = tuple[Said, ...]
Places = tuple[Letter, ...]


class Slope(NamedTuple):
    """A derivative SymPy took: ∂ owner / ∂ target for one unit, where owner = value.

    `slope` is written in the equation's own value where it can be (f (1 - f)), `taken` is what
    the derivative gave before that.
    """

    owner: SymbolicValue
    target: SymbolicValue
    value: Expr
    taken: Expr
    slope: Expr


@dataclass(frozen=True)
class Contribution:
    """What an operand receives of an equation's adjoint.

    slope: the derivative by which the adjoint of `slope.owner` is multiplied, if that is all.
    through: the rules by which the adjoint came here, a slope's own aside.
    """

    target: SymbolicValue
    value: Expr
    slope: Slope | None = None
    through: Rules = ()

    def shift_time(self, steps: int) -> Contribution:
        """The same contribution at another step."""
        slope = self.slope and Slope(*(shift_time(expr, steps) for expr in self.slope))
        target, value = (shift_time(expr, steps) for expr in (self.target, self.value))
        return Contribution(target, value, slope, self.through)


@dataclass
class Differentiated:
    """What one equation passes back.

    contributions: what its operands receive, in the order of appearance, in terms of its own
    adjoint `bar.NAME`. insides: what stands inside a nonlinear function and contains a matrix
    product, as {"f": W_f · […] + b_f}, what contains another first; its adjoint is `delta.f`,
    which receives the contributions of that label in `deltas`. places: the letters of an inside
    that is written for one place.
    """

    name: str
    whole: Expr
    contributions: list[Contribution] = field(default_factory=list)
    insides: dict[str, Expr] = field(default_factory=dict)
    deltas: dict[str, list[Contribution]] = field(default_factory=dict)
    places: dict[str, tuple[Letter, ...]] = field(default_factory=dict)

    @property
    def names(self) -> dict[Expr, Expr]:
        """The names of what stands inside functions."""
        return {
            inside: at_place(SymbolicValue(f"pre.{label}"), self.places[label])
            for label, inside in self.insides.items()
        }

    @property
    def opened(self) -> dict[str, Expr]:
        """What stands inside functions, inner first, then the equation in its names: f = σ(a^f)."""
        every = {
            f"pre.{label}": (inside, self.places[label])
            for label, inside in reversed(self.insides.items())
        }
        every[self.name] = self.whole, ()
        names = self.names
        return {
            label: for_each(
                replace_parts(expr, lambda e, own=expr: names.get(e) if e != own else None),  # type: ignore[misc]
                letters,
            )
            for label, (expr, letters) in every.items()
        }


def differentiate(step: SymbolicStep, name: str) -> Differentiated:
    """Differentiate the equation `name`."""
    work = _Work(step, name)
    work.pass_on(step.equations[name], SymbolicValue(f"bar.{name}"), SymbolicValue(name))
    found = work.result
    order = sorted(found.insides, key=lambda label: -height(found.insides[label]))
    found.insides = {label: found.insides[label] for label in order}
    found.deltas = {label: found.deltas[label] for label in order}
    return found


def linear(expr: Expr) -> bool:
    """Whether an expression is a matrix product, or a sum with one as a term."""
    if is_lettered(expr, "each", "total"):
        return linear(expr.operands[0])
    if isinstance(expr, SymbolicOperation):
        return expr.op in ("matvec", "matmul")
    if isinstance(expr, Add):
        return any(linear(a) for a in expr.args)
    if isinstance(expr, Mul):
        rest = [f for f in expr.args if not f.is_Number]
        return len(rest) == 1 and linear(rest[0])
    return False


class _Work:
    def __init__(self, step: SymbolicStep, name: str) -> None:
        self.step, self.name = step, name
        self.result = Differentiated(name, step.equations[name])
        self.insides = _insides(step.equations[name])
        self.labels: dict[Expr, str] = {}

    def pass_on(
        self, expr: Expr, g: Expr, own: Expr | None, through: Rules = (), letters: Places = ()
    ) -> None:
        """Pass the adjoint g of `expr` on; `own` is the name of its value, if it has one.

        letters: those at one place of which `expr` is read here, by which it may not be written.
        """
        if is_lettered(expr):
            (operand,), letter = expr.operands, letter_of(expr)
            through = (*through, reasons.through(expr.op))
            if expr.op == "row":
                left = tuple(other for other in letters if other != letter)
                whole = at_every_place(g, letter, self.shape(operand))
                self.receive(operand, whole, None, through, left)
                return
            inner = None
            if expr.op == "each":
                n = len(self.shape(expr))
                shares = distributed(g, letter, self.shape(expr), self.step.shapes)
                g = at_place(g, [letter], n) if shares is None else shares
                inner = None if own is None else at_place(own, [letter], n)
            self.receive(operand, g, None, through, (*letters, letter), inner)
        elif isinstance(expr, SymbolicOperation):
            shares = self.through_operation(expr, g, own)
            for operand, share in zip(expr.operands, shares, strict=True):
                rules = (*through, reasons.through(expr.op))
                self.receive(operand, fold_numbers(share), None, rules, letters)
        else:
            for leaf, share, slope, rules in self.through_arithmetic(expr, g, own):
                self.receive(leaf, share, slope, (*through, *rules), letters)

    def receive(
        self,
        operand: Expr,
        share: Expr,
        slope: Slope | None,
        through: Rules,
        letters: Places,
        own: Expr | None = None,
    ) -> None:
        if isinstance(operand, SymbolicValue):
            share, rules = self.over_places(share, letters)
            self.result.contributions.append(
                Contribution(operand, share, slope, (*through, *rules))
            )
        elif operand in self.insides:
            free = free_letters(operand)
            places = tuple(letter for letter in letters if letter in free)
            share, rules = self.over_places(share, [n for n in letters if n not in free])
            label = self.label(operand)
            inside, every = SymbolicValue(f"pre.{label}"), self.result.deltas.setdefault(label, [])
            whole = for_each(share, places)
            every.append(Contribution(inside, whole, slope, (*through, *rules)))
            if len(every) == 1:  # used more than once it is passed on once, under its name
                self.result.insides[label], self.result.places[label] = operand, places
                shape = self.shape(operand)
                lengths = tuple(letter.length for letter in places)
                self.step.shapes.setdefault(for_each(operand, places), (*lengths, *shape))
                n = len(places) + len(shape)
                delta = at_place(SymbolicValue(f"delta.{label}"), places, n)
                self.pass_on(operand, delta, at_place(inside, places, n), (), places)
        elif not isinstance(operand, Literal | Extent | Running) and not operand.is_Number:
            self.pass_on(operand, share, own, through, letters)

    def over_places(self, share: Expr, letters: Iterable[Letter]) -> tuple[Expr, Rules]:
        """What is read at every place receives the sum over the places."""
        letters = [*letters]
        return summed(share, reversed(letters)), (reasons.PLACES,) * bool(letters)

    def label(self, inside: Expr) -> str:
        """The label of an inside: the equation's name, numbered if it has several."""
        number = len(self.labels) + 1
        own = f"{self.name}.{number}" if len(self.insides) > 1 else self.name
        return self.labels.setdefault(inside, own)

    def through_operation(self, expr: SymbolicOperation, g: Expr, own: Expr | None) -> list[Expr]:
        """What each operand of an operation that mixes units receives."""
        if expr.op not in RULES:
            raise EquationError(
                f"{self.step.cell}, equation {self.name}: the operation {expr.op!r} has no "
                f"derivative here.\n  It is printed forward, but cannot be derived; known are "
                f"{', '.join(sorted(RULES))} and the functions of each unit."
            )
        shapes = [self.shape(o) for o in expr.operands]
        return RULES[expr.op](g, expr if own is None else own, expr, shapes)

    def through_arithmetic(
        self, expr: Expr, g: Expr, own: Expr | None
    ) -> Iterator[tuple[Expr, Expr, Slope | None, Rules]]:
        """What each leaf of a stretch of arithmetic receives, and by which slope or rules."""
        leaves: dict[Expr, sympy.Symbol] = {}
        meaning: dict[Expr, Expr] = {}
        scalar = self.scalar(expr, expr, leaves, meaning, True)
        places = {e: k for k, e in enumerate(leaves if own is None else [own, *leaves])}
        for leaf, symbol in leaves.items():
            derivative = partial_derivative(scalar, symbol)
            if derivative == 0 or isinstance(leaf, Literal):
                continue
            taken = _arrange(derivative, meaning, places)
            if own is not None and isinstance(scalar, Function | Pow):
                value = own if isinstance(own, SymbolicValue) else sympy.Dummy("y", real=True)
                meaning.setdefault(value, own)
                derivative = derivative.subs(scalar, value)
            slope = _arrange(derivative, meaning, places)
            share = sum_back(
                fold_numbers(times(g, *factors(slope))), self.shape(expr), self.shape(leaf)
            )
            if self.shape(leaf) == () and self.are_named_vectors(g, slope, self.shape(expr)):
                share = operation("vecdot", g, slope)
            several = self.shape(expr) != self.shape(leaf)
            target = SymbolicValue(f"pre.{self.label(leaf)}") if leaf in self.insides else leaf
            named = isinstance(target, SymbolicValue) and not several
            if isinstance(own, SymbolicValue) and named:
                yield leaf, share, Slope(own, target, expr, taken, slope), ()
            else:
                rules = (*reasons.taken(expr, leaf), *[reasons.BROADCAST] * several)
                yield leaf, share, None, rules

    def are_named_vectors(self, adjoint: Expr, value: Expr, shape: tuple[int, ...]) -> bool:
        """Whether the adjoint of a vector and a value are both read by name, as c̄ and H_j are."""
        named = all(isinstance(row_of(e)[0], SymbolicValue) for e in (adjoint, value))
        return named and len(shape) == 1 and self.step.shapes.get(value) == shape

    def shape(self, expr: Expr) -> tuple[int, ...]:
        return self.step.shapes[expr]

    def scalar(
        self,
        expr: Expr,
        whole: Expr,
        leaves: dict[Expr, sympy.Symbol],
        meaning: dict[Expr, Expr],
        outside: bool,
    ) -> Expr:
        """A stretch for one unit: what mixes units, or is an inside, becomes a symbol.

        `meaning` is told what the author wrote for each part of it.
        """
        if expr.is_Number or isinstance(expr, Extent | Running):
            return expr
        if isinstance(expr, SymbolicValue):
            return leaves.setdefault(expr, expr)
        inside = expr != whole and (expr in self.insides or linear(expr) and not outside)
        if isinstance(expr, SymbolicOperation | Literal) or inside:
            symbol = leaves.setdefault(expr, sympy.Dummy("u", real=True))
            meaning[symbol] = expr
            return symbol
        outside = outside and linear(expr)
        parts = (self.scalar(a, whole, leaves, meaning, outside) for a in expr.args)
        # as written: SymPy's own tanh(z - m) is -tanh(m - z)
        scalar = expr.func(*parts, **({"evaluate": False} if isinstance(expr, Function) else {}))
        if scalar.args:
            meaning.setdefault(scalar, expr)
        return scalar


def _insides(expr: Expr) -> set[Expr]:
    """What stands inside nonlinear functions and is a matrix product or a sum with one."""
    if is_lettered(expr):
        return _insides(expr.operands[0])
    mixing = isinstance(expr, SymbolicOperation)
    found: set[Expr] = set()
    for leaf in expr.operands if mixing else _leaves(expr, linear(expr)):
        if linear(leaf) and (mixing or not linear(expr)):
            found.add(leaf)
        found |= _insides(leaf)
    return found


def _leaves(expr: Expr, outside: bool) -> Iterator[Expr]:
    """Where a stretch of arithmetic that begins with the parts of `expr` ends."""
    for part in expr.args:
        if isinstance(part, SymbolicOperation) or (linear(part) and not outside):
            yield part
        else:
            yield from _leaves(part, outside and linear(part))


# --- SymPy's own order to a reader's --------------------------------------------------------
def _arrange(expr: Expr, meaning: dict[Expr, Expr], places: dict[Expr, int]) -> Expr:
    """A derivative as one would write it, in the named values.

    What stands in the equation itself stays as its author wrote it. Otherwise terms with a plus
    come first, factors in the order of the equation, sums after single values.
    """
    if expr in meaning:
        return meaning[expr]
    if isinstance(expr, Add):
        parts = _sort(expr.args, lambda e: (_negative(e), *_rank(e, meaning, places)))
        return plus(*(_arrange(p, meaning, places) for p in parts))
    if isinstance(expr, Mul):
        coefficient, rest = expr.as_coeff_Mul()
        parts = _sort(Mul.make_args(rest), lambda e: _rank(e, meaning, places))
        written = [_arrange(p, meaning, places) for p in parts]
        return times(*([coefficient] if coefficient != 1 else []), *written)
    if expr.args:
        return rebuild(expr, [_arrange(a, meaning, places) for a in expr.args])
    return expr


def _negative(expr: Expr) -> bool:
    return bool(expr.as_coeff_Mul()[0] < 0)


def _rank(expr: Expr, meaning: dict[Expr, Expr], places: dict[Expr, int]) -> tuple[int, int]:
    named = (meaning.get(s, s) for s in expr.free_symbols)
    place = min((places[e] for e in named if not isinstance(e, Extent | Running)), default=-1)
    kind = 0 if not expr.args else 1 if not isinstance(expr, Add) else 2
    kind = 3 if is_divisor(expr) else kind
    return (kind if not expr.is_Number else -1, place)


def _sort(parts: Iterable[Expr], rank: Callable[[Expr], tuple[int, ...]]) -> list[Expr]:
    """Parts by their rank, those of one rank by their text."""
    ranks = {part: rank(part) for part in parts}
    several = {r for r, count in Counter(ranks.values()).items() if count > 1}
    return sorted(ranks, key=lambda e: (ranks[e], str(e) if ranks[e] in several else ""))
