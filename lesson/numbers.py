"""Numbers and signs as the page writes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from lesson import languages
from tinygrad_lstm.notation import visible
from tinygrad_lstm.tensor import Array

_THIN = "\u202f"  # a narrow space at which no line breaks
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def short(value: float) -> str:
    """Two decimals; more where these would be zeros: 0.86, −1.20, 0.0031, 2.4 · 10⁻⁶."""
    size = abs(value)
    if size == 0:
        return "0"
    if size >= 0.095:
        return signed(f"{value:.2f}")
    if size >= 0.001:
        return signed(f"{value:.2g}")
    return power(value, 1)


def power(value: float, digits: int = 0) -> str:
    """A number as a multiple of a power of ten: 5 · 10⁻⁶."""
    mantissa, _, exponent = f"{value:.{digits}e}".partition("e")
    return signed(f"{mantissa}{_THIN}·{_THIN}10{raised(int(exponent))}")


def raised(exponent: int) -> str:
    """An exponent in raised figures: ⁻⁶."""
    return str(exponent).translate(_RAISED)


def signed(text: str) -> str:
    """A number's text with a minus sign in place of a hyphen."""
    return text.replace("-", "−")


def percent(share: float) -> str:
    """A share: 86 %, 0.31 %, 5 · 10⁻⁶."""
    if share >= 0.001:
        return f"{100 * share:.2g}{_THIN}%" if share < 0.1 else f"{100 * share:.0f}{_THIN}%"
    return power(share) if share > 0 else "0"


def tight(value: float) -> str:
    """At most two decimals, for a narrow column: .86, −1.2, 0."""
    text = f"{value:.2f}"
    return "0" if float(text) == 0 else signed(text.replace("0.", ".", 1))


def quoted(characters: str) -> dict[str, str]:
    """Characters in a sentence, in the quotation marks of each language."""
    shown = "".join(visible(characters))
    return {
        tag: languages.language(tag).quotes.replace("…", shown) for tag in languages.languages()
    }


def titled(cell: str) -> str:
    """The name of a cell for a reader: LSTM for lstm, my_cell as it is."""
    return cell.upper() if cell in ("rnn", "lstm", "gru") else cell


def largest(values: Array) -> float:
    """The largest absolute value, or 1 where all are 0: what others are shown relative to."""
    return float(np.max(np.abs(values))) or 1.0


def bars(values: Array, scale: float = 1.0) -> list[dict[str, Any]]:
    """Bars in a row of a table: each with its number, its height in percent, its direction."""
    return [
        {"text": tight(float(v)), "height": round(100 * abs(float(v)) / scale), "below": v < 0}
        for v in values
    ]
