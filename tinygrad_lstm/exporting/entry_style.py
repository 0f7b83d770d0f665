"""How one entry of an operation is written in C and in JavaScript: two styles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_lstm.kernels.names import number
from tinygrad_lstm.plain_style import Attributes, Piece, Plain
from tinygrad_lstm.sizes import ATOM, PRODUCT, SUM

TRUTH = -1  # how tightly a relation binds: less than anything
_RELATIONS = ("greater", "greater_equal", "equal", "not_equal")


class Entries(Plain):
    """What both languages share; `calls` are the functions that they have, by operation."""

    language = ""
    calls: Mapping[str, str] = {}
    relations: Mapping[str, str] = {}

    def number(self, value: Any) -> Piece:
        """A number with all its digits."""
        text = self.literal(value)
        return Piece(text, SUM if text.startswith("-") else ATOM, "number")

    def literal(self, value: Any) -> str:
        """A number as the language writes it."""
        return number(value, "Infinity", "NaN")

    def entry(
        self, op: str, pieces: Sequence[Piece], attributes: Attributes, truths: Sequence[bool]
    ) -> Piece | None:
        """An operation of entries; None if there is no word for it."""
        if op in ("identity", "detach"):
            return pieces[0]
        if op == "negative":
            return Piece(f"-{self.fitted(pieces[0], ATOM)}", PRODUCT)
        if op == "where":
            c, a, b = pieces
            condition = self.fitted(c, TRUTH if truths[0] else SUM)
            condition += "" if truths[0] else f" {self.relations['not_equal']} 0"
            return Piece(f"{condition} ? {a.text} : {b.text}", TRUTH - 1)
        if op in _RELATIONS:
            left, right = (self.fitted(p, SUM) for p in pieces)
            return Piece(f"{left} {self.relations[op]} {right}", TRUTH)
        if op == "add" and all(truths):
            left, right = (self.fitted(p, ATOM) for p in pieces)
            return Piece(f"{left} || {right}", TRUTH)
        if op in self.calls:
            return self.call(self.calls[op], *(p.text for p in pieces))
        if op in ("add", "subtract", "multiply", "divide"):
            return self.operation(op, pieces, attributes)
        return None


class C(Entries):
    """C99; functions of `float` end in f."""

    language = "C"
    relations = {"greater": ">", "greater_equal": ">=", "equal": "==", "not_equal": "!="}

    def __init__(self, kind: np.dtype[Any]) -> None:
        super().__init__()
        self.kind = kind
        f = self.suffix = "f" if kind == np.dtype(np.float32) else ""
        own = ("exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tanh", "erf", "floor")
        self.calls = {
            **{op: op + f for op in own},
            "power": f"pow{f}",
            "abs": f"fabs{f}",
            "maximum": "larger",
            "minimum": "smaller",
            **{op: op for op in ("sigmoid", "softplus", "relu", "sign")},
        }

    def literal(self, value: Any) -> str:
        """A number with its suffix."""
        value = self.kind.type(value)
        if np.isnan(value):
            return "NAN"
        if np.isinf(value):
            return "-INFINITY" if value < 0 else "INFINITY"
        whole = float(value).is_integer() and abs(value) < 1e6
        return str(int(value)) if whole else f"{value!s}{self.suffix}"


class JavaScript(Entries):
    """JavaScript, whose numbers are all of 64 bits."""

    language = "JavaScript"
    relations = {"greater": ">", "greater_equal": ">=", "equal": "===", "not_equal": "!=="}
    calls = {
        **{op: f"Math.{op}" for op in ("exp", "expm1", "log", "log1p", "sqrt", "sin", "cos")},
        **{op: f"Math.{op}" for op in ("tanh", "floor", "sign", "abs")},
        "power": "Math.pow",
        "maximum": "Math.max",
        "minimum": "Math.min",
        **{op: op for op in ("sigmoid", "softplus", "relu", "erf")},
    }

    def literal(self, value: Any) -> str:
        """A number, whole ones without a point."""
        value = float(value)
        if value.is_integer() and abs(value) < 1e6:
            return str(int(value))
        return number(value, "Infinity", "NaN")
