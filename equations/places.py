"""What holds at each place of an axis: arrays by what they are at one place, with a letter.

A row is an array at one place, H_j; `each` is an array by what it is there, `total` the sum over
the places. Letters are told apart by name and length.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sympy import Add, Expr, Mul, Pow

from equations.algebra import Extent, Running, SymbolicOperation, SymbolicValue, operation, rebuild
from tinygrad_lstm.tensor import Letter

Shape = tuple[int, ...]


def at_place(expr: Expr, letters: Iterable[Letter], ndim: int = -1) -> Expr:
    """The part of an array at one place: H_j, F_{i,a}; ndim: how many axes the array has."""
    for letter in letters:
        ndim -= 1
        if is_lettered(expr, "each") and letter_of(expr) == letter:
            expr = expr.operands[0]
        else:
            expr = operation("row", expr, letter=letter, **{"scalar": True} if not ndim else {})
    return expr


def for_each(expr: Expr, letters: Sequence[Letter]) -> Expr:
    """What is written for one place, at every place: an array."""
    for letter in reversed(letters):
        expr = operation("each", expr, letter=letter)
    return expr


def distributed(
    expr: Expr, letter: Letter, shape: Shape, shapes: Mapping[Expr, Shape]
) -> Expr | None:
    """An array at one place by its parts there, F_j ⊙ g_j for F ⊙ g; None where it has others."""
    if expr.is_Number or isinstance(expr, Extent | Running):
        return expr
    base, letters = row_of(expr)
    if isinstance(base, SymbolicValue):
        own = _shape_of(base, shapes)[len(letters) :]
        return at_place(expr, [letter], len(shape)) if own == shape else None
    if isinstance(expr, SymbolicOperation):
        if is_lettered(expr, "each") and letter_of(expr) == letter or _is_spread(expr):
            return expr.operands[0]
        settings = expr.settings
        if expr.op == "sum" and settings["keepdims"] and len(shape) == 1:
            return operation("sum", *expr.operands, **expr.attributes | {"keepdims": False})
        return None
    if isinstance(expr, Add | Mul) or isinstance(expr, Pow) and expr.exp.is_Number:
        parts = [distributed(part, letter, shape, shapes) for part in expr.args]
        return None if None in parts else rebuild(expr, parts)
    return None


def _shape_of(value: SymbolicValue, shapes: Mapping[Expr, Shape]) -> Shape:
    """The shape of a named value, or of an adjoint."""
    own = value.label.removeprefix("bar.")
    known = (shapes.get(SymbolicValue(own, time)) for time in (value.time, 0, None))
    return next((shape for shape in known if shape is not None), ())


def summed(expr: Expr, letters: Iterable[Letter]) -> Expr:
    """The sum over the places of letters; of what there is at each place of others, at each."""
    for letter in letters:
        expr = _summed(expr, letter)
    return expr


def _summed(expr: Expr, letter: Letter) -> Expr:
    if is_lettered(expr, "each"):
        return for_each(_summed(expr.operands[0], letter), [letter_of(expr)])
    if _is_spread(expr):
        return operation("spread", _summed(expr.operands[0], letter), **expr.attributes)
    return operation("total", expr, letter=letter)


def at_every_place(expr: Expr, letter: Letter, shape: tuple[int, ...]) -> Expr:
    """An array of a shape by what it is at one place; what is alike at all is that, spread."""
    if letter in free_letters(expr):
        return for_each(expr, [letter])
    return operation("spread", expr, kept=(1, *shape[1:]), shape=shape)


def is_lettered(expr: Expr, *ops: str) -> bool:
    """Whether an expression is a row, `each` or `total`."""
    return isinstance(expr, SymbolicOperation) and expr.op in (ops or ("row", "each", "total"))


def letter_of(expr: SymbolicOperation) -> Letter:
    """The letter of a row, `each` or `total`."""
    return expr.attributes["letter"]  # type: ignore[no-any-return]


def free_letters(expr: Expr) -> frozenset[Letter]:
    """The letters at one place of which an expression has its value."""
    if isinstance(expr, Running):
        return frozenset((expr.letter,))
    found = frozenset(letter for part in expr.args for letter in free_letters(part))
    if is_lettered(expr):
        own = {letter_of(expr)}
        return found | own if expr.op == "row" else found - own
    return found


def row_of(expr: Expr) -> tuple[Expr, tuple[Letter, ...]]:
    """What a row is taken of, and the letters of its place: F_{i,a} is (F, (i, a))."""
    letters: list[Letter] = []
    while is_lettered(expr, "row"):
        letters.insert(0, letter_of(expr))
        expr = expr.operands[0]
    return expr, tuple(letters)


def written_for_one_place(left: Expr, several: Sequence[Expr]) -> tuple[Expr, list[Expr]]:
    """left = the sum of several arrays, at one place where all are written so: H̄_j = …, not H̄."""
    several = list(several)
    while True:
        letters = {letter_of(expr) for expr in several if is_lettered(expr, "each")}
        rows: list[Any] = [_at_one_place(expr, letters) for expr in several]
        if len(letters) != 1 or None in rows:
            return left, several
        left, several = at_place(left, letters), rows


def _at_one_place(expr: Expr, letters: Iterable[Letter]) -> Expr | None:
    """An array at one place, if that can be said with a letter."""
    if isinstance(expr, SymbolicValue):
        return at_place(expr, letters)
    return expr.operands[0] if is_lettered(expr, "each") or _is_spread(expr) else None


def _is_spread(expr: Expr) -> bool:
    """Whether an array is one value, alike at every place of its first axis."""
    if not isinstance(expr, SymbolicOperation) or expr.op != "spread":
        return False
    kept, shape = expr.attributes["kept"], expr.attributes["shape"]
    return bool(kept == (1, *shape[1:]))
