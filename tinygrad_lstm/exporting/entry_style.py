"""How one entry of an operation is written in C and in JavaScript: two styles."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_lstm.kernels.names import number
from tinygrad_lstm.plain_style import Attributes, Piece, Plain
from tinygrad_lstm.sizes import ATOM, PRODUCT, SUM
from tinygrad_lstm.tensor import TABLE

TRUTH = -1  # how tightly a relation binds: less than anything
_INFIX = ("add", "subtract", "multiply", "divide")


class Entries(Plain):
    """What both languages share: relations, choices, and functions as an operation's record has.

    calls: functions whose record has something else than a call.
    """

    language = ""
    calls: Mapping[str, str] = {}
    relations: Mapping[str, str] = {}

    def face(self, op: str) -> str | None:
        """The template of an entry in the record of an operation."""
        raise NotImplementedError

    def number(self, value: Any) -> Piece:
        """A number with all its digits."""
        text = self.literal(value)
        return Piece(text, SUM if text.startswith("-") else ATOM, "number")

    def literal(self, value: Any) -> str:
        """A number as the language writes it."""
        raise NotImplementedError

    def called(self, op: str) -> str | None:
        """What a function is called: f where its template is f({0}), f({0}, {1})."""
        if op in self.calls:
            return self.calls[op]
        found = re.fullmatch(r"([\w.]+)\(\{0\}(, \{\d\})*\)", self.face(op) or "")
        return found[1] if found else None

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
        if op in self.relations:
            left, right = (self.fitted(p, SUM) for p in pieces)
            return Piece(f"{left} {self.relations[op]} {right}", TRUTH)
        if op == "add" and all(truths):
            left, right = (self.fitted(p, ATOM) for p in pieces)
            return Piece(f"{left} || {right}", TRUTH)
        if (name := self.called(op)) is not None:
            return self.call(name, *(p.text for p in pieces))
        return self.operation(op, pieces, attributes) if op in _INFIX else None


class C(Entries):
    """C99; functions of `float` end in f."""

    language = "C"
    relations = {"greater": ">", "greater_equal": ">=", "equal": "==", "not_equal": "!="}

    def __init__(self, kind: np.dtype[Any]) -> None:
        super().__init__()
        self.kind = kind
        f = self.suffix = "f" if kind == np.dtype(np.float32) else ""
        own = ("relu", "sigmoid", "sign", "softplus")
        self.calls = {
            **{op: op for op in own},
            **{"tanh": f"tanh{f}", "abs": f"fabs{f}", "maximum": "larger", "minimum": "smaller"},
        }

    def face(self, op: str) -> str | None:
        """EXP({0}), which stands for exp or expf, as either."""
        text = TABLE[op].c
        return text and re.sub(r"^[A-Z][A-Z0-9]+(?=\()", lambda f: f[0].lower() + self.suffix, text)

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
    calls = {"relu": "relu"}

    def face(self, op: str) -> str | None:
        """The record's own."""
        return TABLE[op].js

    def literal(self, value: Any) -> str:
        """A number, whole ones without a point."""
        value = float(value)
        if value.is_integer() and abs(value) < 1e6:
            return str(int(value))
        return number(value, "Infinity", "NaN")
