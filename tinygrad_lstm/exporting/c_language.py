"""C99 as far as it differs from JavaScript: declarations, comments, small functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_lstm.exporting.entry_style import C
from tinygrad_lstm.exporting.filling import reserved

WIDTH = 96
TAKEN = reserved("c")
HELPERS = {
    "larger": "static REAL larger(REAL a, REAL b) { return a >= b || a != a ? a : b; }",
    "smaller": "static REAL smaller(REAL a, REAL b) { return a <= b || a != a ? a : b; }",
    "relu": "static REAL relu(REAL x) { return x <= 0 ? 0 : x; }",
    "sign": "static REAL sign(REAL x) { return (REAL)((x > 0) - (x < 0)); }",
    "sigmoid": "static REAL sigmoid(REAL x) { return 1 / (1 + exp@(-x)); }",
    "softplus": (
        "static REAL softplus(REAL x) { return (x < 0 ? 0 : x) + log1p@(exp@(-fabs@(x))); }"
    ),
}


class Language:
    """How loops and numbers are declared in C."""

    def __init__(self, kind: np.dtype[Any]) -> None:
        self.kind = kind
        self.real = "float" if kind == np.dtype(np.float32) else "double"

    def style(self) -> C:
        """The style of an entry's expression."""
        return C(self.kind)

    def loop(self, variable: str, n: int) -> str:
        """for (int j = 0; …."""
        return f"for (int {variable} = 0; {variable} < {n}; {variable}++) {{"

    def scalar(self, name: str, value: str) -> str:
        """A number that changes."""
        return f"{self.real} {name} = {value};"

    def fixed(self, name: str, value: str) -> str:
        """A number that does not."""
        return f"const {self.real} {name} = {value};"

    def comment(self, text: str) -> str:
        """A comment, which nothing in it ends."""
        return comment(text)


def comment(text: str) -> str:
    """A comment, which nothing in it ends, on one line."""
    text = " ".join(text.split()).replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?")
    return f"/* {text} */"
