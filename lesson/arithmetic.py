"""Numbers for readers who calculate along: what is multiplied is what is shown.

A number is rounded to three digits first and then used as it is shown, so that everyone who takes
the page's numbers and a pencil comes to the page's results.
"""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Context, Decimal

from lesson.numbers import raised, signed

DIGITS = 3
_ROUNDING = Context(prec=DIGITS, rounding=ROUND_HALF_UP, Emin=-999999, Emax=999999)
_THIN = "\u202f"  # a narrow space at which no line breaks


def digits(value: float) -> Decimal:
    """A number as it is shown; what is no finite number is 0."""
    return _ROUNDING.create_decimal(repr(float(value))) if math.isfinite(value) else Decimal(0)


def times(*factors: Decimal) -> Decimal:
    """The product of numbers as they are shown, rounded once."""
    product = Decimal(1)
    for factor in factors:
        product *= factor
    return _ROUNDING.plus(product)


def plus(*terms: Decimal) -> Decimal:
    """The sum of numbers as they are shown, rounded once."""
    return _ROUNDING.plus(sum(terms, Decimal(0)))


def written(value: Decimal) -> str:
    """0.862, −1.2, 0.0031, 2.4 · 10⁻⁶."""
    if not value:
        return "0"
    if -4 < value.adjusted() < 7:
        plain = f"{value:f}"
        return signed(plain.rstrip("0").rstrip(".") if "." in plain else plain)
    mantissa = value.scaleb(-value.adjusted()).normalize()
    power = f"{_THIN}·{_THIN}10{raised(value.adjusted())}"
    return signed(f"{mantissa:f}{power}")


def read(text: str) -> Decimal:
    """The number that `written` wrote."""
    mantissa, _, power = text.replace("−", "-").partition(f"{_THIN}·{_THIN}10")
    down = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    return Decimal(mantissa).scaleb(int(power.translate(down) or 0))
