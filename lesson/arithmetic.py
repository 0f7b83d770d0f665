"""Numbers for readers who calculate along: what is multiplied is what is shown.

A number is rounded to three digits first and then used as it is shown, so that everyone who takes
the page's numbers and a pencil comes to the page's results.
"""

from __future__ import annotations

import base64
import math
from decimal import ROUND_HALF_UP, Context, Decimal

import numpy as np

from lesson.numbers import raised, signed
from tinygrad_lstm.tensor import Array

DIGITS = 3
LOWEST, HIGHEST, MISSING = -24, 7, 2047  # powers of ten that the page carries; and no number
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


def packed(values: Array) -> str:
    """Numbers as they are shown, two bytes each, little-endian, in base64: for `line.js`.

    Of the 16 bits the lower eleven are m + 1000 and the upper five e + 24, for m · 10^e of at most
    three digits; 2047 in the lower ones stands for what is no finite number.
    """
    flat = np.asarray(values, float).reshape(-1)
    finite = np.isfinite(flat)
    size = np.abs(np.where(finite, flat, 0.0))
    power = np.floor(np.log10(np.where(size > 0, size, 1.0))).astype(int) - (DIGITS - 1)
    codes = np.full(flat.shape, MISSING, "<u2")
    for k in np.flatnonzero(finite):
        shown = digits(flat[k])
        e = min(max(int(power[k]), LOWEST), HIGHEST)
        m = int(shown.scaleb(-e).to_integral_value(ROUND_HALF_UP))
        if abs(m) >= 10**DIGITS:  # 0.9999 is shown as 1.00
            e, m = min(e + 1, HIGHEST), int(shown.scaleb(-e - 1).to_integral_value(ROUND_HALF_UP))
        codes[k] = (max(min(m, 999), -999) + 1000) | (e - LOWEST) << 11
    return base64.b64encode(codes.tobytes()).decode()


def read(text: str) -> Decimal:
    """The number that `written` wrote."""
    mantissa, _, power = text.replace("−", "-").partition(f"{_THIN}·{_THIN}10")
    down = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    return Decimal(mantissa).scaleb(int(power.translate(down) or 0))
