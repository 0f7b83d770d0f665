"""Numbers in front: a product with its numbers and the lengths of axes made one."""

from __future__ import annotations

import sympy
from sympy import Add, Expr, Integer, Pow

from equations.algebra import (
    REPEATED,
    Extent,
    SymbolicOperation,
    factors,
    is_divisor,
    number,
    plus,
    power,
    rebuild,
    terms,
    times,
)

_LINEAR = {
    *REPEATED,
    *["sum", "mean", "block", "getitem", "scatter", "reshape", "transpose", "swapaxes"],
}
_LINEAR |= {"cumsum", "reversed_cumsum"}
_BILINEAR = {"matvec", "matmul", "vecdot", "outer", "einsum"}


def fold_numbers(expr: Expr) -> Expr:
    """A product with its numbers made one, which stands in front, and the lengths of axes too."""
    if isinstance(expr, Add):
        return plus(*map(fold_numbers, terms(expr)))
    coefficient, lengths, parts = _collect(expr)
    for k, part in enumerate(parts):
        if isinstance(part, Add):
            common, parts[k] = _common(part)
            coefficient = coefficient * common
    if coefficient.is_Float:
        coefficient = number(float(coefficient))
    above, below = coefficient.as_numer_denom() if coefficient.is_Rational else (coefficient, 1)
    front = [] if above == 1 else [above]
    under = [] if below == 1 else [below]
    for symbol in dict.fromkeys(e.base for e in lengths):
        count = sum(int(e.exp) for e in lengths if e.base == symbol)
        (front if count > 0 else under).extend([symbol] * abs(count))
    place = next((k for k, part in enumerate(parts) if any(map(is_divisor, _seen(part)))), None)
    if place is None or not is_divisor(parts[place]):  # after a fraction that is repeated, or last
        place = len(parts) if place is None else place + 1
    parts[place:place] = [power(e, Integer(-1)) for e in under]
    return times(*front, *parts)


def _seen(expr: Expr) -> list[Expr]:
    """The factors of a product, also of one that is repeated along an axis."""
    repeated = isinstance(expr, SymbolicOperation) and expr.op in REPEATED
    return factors(expr.operands[0] if repeated else expr)


def _collect(expr: Expr) -> tuple[Expr, list[Expr], list[Expr]]:
    """The number in a product, the powers of lengths in it, and its other factors in order."""
    coefficient, lengths, parts = Integer(1), [], []
    for factor in factors(expr):
        base = factor.base if is_divisor(factor) and factor.exp == -1 else factor
        if base.is_Number and base.is_finite and base != 0:
            coefficient = coefficient * (1 / base if base is not factor else base)
        elif isinstance(base, Extent):
            lengths.append(Pow(base, -1 if base is not factor else 1, evaluate=False))
        elif isinstance(factor, SymbolicOperation) and factor.op in _LINEAR | _BILINEAR:
            own = list(factor.operands)
            for k in range(len(own) if factor.op in _BILINEAR else 1):
                inner, more, rest = _collect(own[k])
                if rest:
                    coefficient, lengths, own[k] = coefficient * inner, lengths + more, times(*rest)
            parts.append(rebuild(factor, [factor.args[0], *own]))
        else:
            parts.append(factor)
    return coefficient, lengths, parts


def _common(expr: Expr) -> tuple[Expr, Expr]:
    """The number that the terms of a sum have in common, and the sum without it."""
    numbers = [_collect(term)[0] for term in terms(expr)]
    if all(n.is_Rational for n in numbers):
        common = sympy.gcd_list(numbers)
    else:
        common = abs(numbers[0]) if len({abs(n) for n in numbers}) == 1 else Integer(1)
    if common == 1:
        return common, expr
    signs = [Integer(round(n / common)) for n in numbers]
    rest = [
        fold_numbers(times(sign, *[power(n, -1)] * (n != 1), term))
        for sign, n, term in zip(signs, numbers, terms(expr), strict=True)
    ]
    return common, plus(*rest)
