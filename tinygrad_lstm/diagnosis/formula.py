"""A formula as a person types it, read into a tree. It is parsed, and never evaluated as code.

    C̄_t = h̄_t ⊙ o_t ⊙ (1 - tanh²(C_t)) + C̄_{t+1} ⊙ f_{t+1}
    bar_h * o * (1 - tanh(C)**2) + bar_C[t+1] * f[t+1]
    \\bar{h}_t \\odot o_t \\odot \\left(1 - \\tanh^2(C_t)\\right) + …

    sum      := [-] product (+|- product)…
    product  := [Σ_t] tight (⊙ * / or nothing, tight)…
    tight    := power (· @ ⊗ power)…
    power    := atom (^ ** ² ᵀ .T 'exponent' | [block] | _block)…
    atom     := number | value | function(sum, …) | (sum) | |sum| | [sum, …]

Which words are values is told by a `Spellings`; all else is an error with its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NamedTuple, NoReturn, Protocol

from tinygrad_lstm.diagnosis import formula_words
from tinygrad_lstm.diagnosis.signs import COMPARISONS, DIGITS, FUNCTIONS, cleaned
from tinygrad_lstm.errors import DataError

LENGTH, DEPTH = 2000, 40  # of a formula, in characters and in brackets within brackets


class Reference(NamedTuple):
    """A value of a step: its label, as in a Program ("bar.C"), and how many steps from t it is."""

    label: str
    shift: int = 0


class Spellings(Protocol):
    """Which words of a formula stand for which value."""

    @property
    def words(self) -> Mapping[str, Reference]:
        """Every spelling of every value."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Lengths of axes, which stand for numbers."""

    @property
    def longest(self) -> int:
        """The length of the longest word."""

    @property
    def suggestions(self) -> Sequence[str]:
        """A word for each value, to be told."""


@dataclass(frozen=True)
class Part:
    """A part of a formula. op: "number", "value", an operation, or a function's name."""

    op: str
    inputs: tuple[Part, ...] = ()
    value: float = 0.0
    reference: Reference | None = None
    block: str = ""
    start: int = 0
    end: int = 0

    def all(self) -> Iterator[Part]:
        """The part and all that it is made of."""
        yield self
        for part in self.inputs:
            yield from part.all()


class FormulaError(DataError):
    """A formula that cannot be read, or does not fit the cell: what is wrong, and where."""

    def __init__(self, key: str, text: str, start: int, end: int, **words: object) -> None:
        self.key, self.source, self.start, self.end, self.words = key, text, start, end, words
        super().__init__(self.text())

    def text(self, language: str = "en") -> str:
        """What is wrong, with the formula and a mark below the place."""
        told = formula_words.say(self.key, language, **self.words)
        return f"{told}\n\n{formula_words.marked(self.source, self.start, self.end)}"


def read(text: str, spellings: Spellings) -> tuple[Part | None, Part]:
    """The left-hand side of a formula, if it has one, and its right-hand side."""
    left, right = _Reader(text, spellings).formula()
    level, depth = [right], 0
    while level := [i for part in level for i in part.inputs]:
        depth += 1
    if depth > 3 * DEPTH:
        raise FormulaError("long", cleaned(text)[:LENGTH], 0, 1, limit=LENGTH)
    return left, right


class _Reader:
    def __init__(self, text: str, spellings: Spellings) -> None:
        self.text = cleaned(text)
        self.spellings = spellings
        self.at = self.depth = 0
        if len(self.text) > LENGTH:
            self.fail("long", 0, 1, limit=LENGTH)

    # --- characters ------------------------------------------------------------------------------
    def fail(self, key: str, start: int, end: int | None = None, **words: object) -> NoReturn:
        raise FormulaError(key, self.text[:LENGTH], start, end or start + 1, **words)

    def skip(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def see(self, *signs: str) -> str:
        """The sign that stands here, of several, the longest first; "" if none does."""
        self.skip()
        return next((s for s in signs if self.text.startswith(s, self.at)), "")

    def take(self, *signs: str) -> str:
        found = self.see(*signs)
        self.at += len(found)
        return found

    def need(self, sign: str, opened: int) -> None:
        if not self.take(sign):
            self.skip()
            if self.at >= len(self.text):
                self.fail("open", opened, sign=sign)
            self.fail("expected", self.at, sign=sign, found=self.text[self.at])

    def closed(self, sign: str, opened: int) -> Part:
        """What stands between brackets, the first of which has been read."""
        inner = self.sum()
        self.need(sign, opened)
        return inner

    def word(self) -> str:
        """All that hangs together here: for the message on an unknown name."""
        pattern = re.compile(r"[\w\u0300-\u036f\u20d0-\u20ff'.\\^]+(?:_\{[^}]*\}|\{[^}]*\})*")
        found = pattern.match(self.text, self.at)
        return found[0] if found else self.text[self.at]

    # --- the grammar -----------------------------------------------------------------------------
    def formula(self) -> tuple[Part | None, Part]:
        self.skip()
        if self.at >= len(self.text):
            self.fail("empty", 0)
        left, found = None, self.sum()
        if self.take("="):
            if found.op != "value":
                self.fail("left", found.start, found.end)
            left, found = found, self.sum()
        self.skip()
        if self.at < len(self.text):
            self.fail("rest", self.at, found=self.word())
        return left, found

    def sum(self) -> Part:
        start = self.at
        found = self.product()
        while sign := self.take("+", "-"):
            right = self.product()
            op = "add" if sign == "+" else "subtract"
            found = Part(op, (found, right), start=start, end=self.at)
        if op := self.take(*COMPARISONS):
            right = self.sum()
            found = Part(COMPARISONS[op], (found, right), start=start, end=self.at)
        return found

    def product(self) -> Part:
        self.skip()
        start, negative = self.at, False
        while sign := self.take("+", "-"):
            negative ^= sign == "-"
        if self.take("Σ_t", "Σ_{t}", "sum_t"):
            self.deeper()
            inner = self.product()
            self.depth -= 1
            found = Part("over steps", (inner,), start=start, end=self.at)
        else:
            found = self.factors(start)
        return Part("negative", (found,), start=start, end=self.at) if negative else found

    def factors(self, start: int) -> Part:
        found = self.tight()
        while True:
            if not self.see("**") and (sign := self.take("⊙", "*", "/")):
                op = "divide" if sign == "/" else "multiply"
                right = self.product() if self.see("-") else self.tight()
            elif self.begins_atom():
                op, right = "multiply", self.tight()
            else:
                return found
            found = Part(op, (found, right), start=start, end=self.at)

    def begins_atom(self) -> bool:
        """Whether a factor follows with no sign before it: 2 h, f(1 - f)."""
        self.skip()
        if self.at >= len(self.text):
            return False
        sign = self.text[self.at]
        return sign in "(√∂\\" or (sign.isalnum() and sign not in DIGITS and sign != "ᵀ")

    def tight(self) -> Part:
        start = self.at
        found = self.power()
        while sign := self.take("·", "@", "⊗"):
            right = self.power()
            op = "outer" if sign == "⊗" else "dot"
            found = Part(op, (found, right), start=start, end=self.at)
        return found

    def power(self) -> Part:
        self.skip()
        start, found = self.at, self.atom()
        while True:
            if self.take("ᵀ", ".T", "^T", "^{T}", "^⊤", "^{⊤}"):
                found = Part("transposed", (found,), start=start, end=self.at)
            elif self.see("[", "_[", "_{") or (
                found.op in ("list", "dot", "group") and self.see("_")  # [Wᵀ·δ]_h
            ):
                found = self.blocked(found, start)
            elif (exponent := self.exponent()) is not None:
                found = Part("power", (found, exponent), start=start, end=self.at)
            else:
                return found

    def exponent(self) -> Part | None:
        self.skip()
        start, digits = self.at, ""
        while self.at < len(self.text) and self.text[self.at] in DIGITS:
            digits += DIGITS[self.text[self.at]]
            self.at += 1
        if digits:
            return Part("number", value=float(digits), start=start, end=self.at)
        if not self.take("**", "^"):
            return None
        if self.take("{"):
            return self.closed("}", start)
        if self.take("-"):
            return Part("negative", (self.atom(),), start=start, end=self.at)
        return self.atom()

    def blocked(self, found: Part, start: int) -> Part:
        """A part of a vector by what it belongs to, [v]_h or v[h], or by its place, v[:hidden]."""
        opened = self.at
        if self.take("_{"):
            close = "}"
        elif self.take("_[", "["):
            close = "]"
        else:
            self.take("_")
            close = ""
        level, begun = 0, self.at
        while self.at < len(self.text):
            sign = self.text[self.at]
            level += (sign in "[{(") - (sign in "]})")
            if close and level < 0:
                break
            if not close and not (sign.isalnum() or "\u0300" <= sign <= "\u036f" or sign == "_"):
                break
            self.at += 1
        block = self.text[begun : self.at]
        if close:
            self.need(close, opened)
        if not block.strip():
            self.fail("no block", opened)
        inner = found.inputs[0] if found.op in ("list", "group") and found.inputs else found
        return Part("block", (inner,), block=block, start=start, end=self.at)

    # --- atoms -----------------------------------------------------------------------------------
    def deeper(self) -> None:
        self.depth += 1
        if self.depth > DEPTH:
            self.fail("deep", min(self.at, len(self.text) - 1), limit=DEPTH)

    def atom(self) -> Part:
        self.deeper()
        found = self.inner_atom()
        self.depth -= 1
        return found

    def inner_atom(self) -> Part:
        self.skip()
        start = self.at
        if start >= len(self.text):
            self.fail("end", max(len(self.text.rstrip()) - 1, 0))
        if number := re.compile(r"\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+").match(self.text, start):
            self.at = number.end()
            return Part("number", value=float(number[0]), start=start, end=self.at)
        if found := self.value() or self.function():
            return found
        for sign, close, op in (("(", ")", "group"), ("|", "|", "abs")):
            if self.take(sign):
                inner = self.closed(close, start)
                return Part(op, (inner,), start=start, end=self.at)
        if self.take("{"):
            return self.closed("}", start)
        if self.take("\\frac{"):
            above = self.closed("}", start)
            self.skip()
            opened = self.at
            self.need("{", start)
            below = self.closed("}", opened)
            return Part("divide", (above, below), start=start, end=self.at)
        if self.take("["):
            parts = [self.sum()]
            while self.take(",", ";"):
                parts.append(self.sum())
            self.need("]", start)
            return Part("list", tuple(parts), start=start, end=self.at)
        if self.take("pad", r"\mathrm{pad}"):
            return self.padded(start)
        word = self.word()
        if not (word[0].isalpha() or word[0] in "_∂\\"):
            self.fail("sign", start, found=word[0])
        near = get_close_matches(word, self.spellings.words, 1, 0.7)
        known = ", ".join(self.spellings.suggestions[:24])
        key = "near" if near else "unknown"
        self.fail(key, start, start + len(word), name=word, known=known, near="".join(near))

    def padded(self, start: int) -> Part:
        """Zeros, but for some entries: pad[:hidden](v)."""
        place = self.blocked(Part("list"), self.at)
        self.skip()
        opened = self.at
        self.need("(", start)
        inner = self.closed(")", opened)
        return Part("pad", (inner,), block=place.block, start=start, end=self.at)

    def value(self) -> Part | None:
        """The longest word here that is a value, or a size."""
        start, known = self.at, self.spellings
        for stop in range(min(len(self.text), start + known.longest), start, -1):
            word = self.text[start:stop]
            if (word in known.words or word in known.sizes) and self.ends(stop, word):
                self.at = stop
                if word in known.words:
                    reference = known.words[word]
                    if self.see("(") and word in FUNCTIONS:  # a cell may call a value tanh
                        self.at = start
                        return None
                    return Part("value", reference=reference, start=start, end=stop)
                size = float(known.sizes[word])
                return Part("number", value=size, start=start, end=stop)
        return None

    def ends(self, stop: int, word: str) -> bool:
        """Whether a name ends here: no letter, digit or accent goes on with it."""
        if stop >= len(self.text):
            return True
        following = self.text[stop]
        if following in DIGITS or following == "ᵀ":
            return True
        if following == "_" and self.text.startswith("_[", stop):
            return True
        accent = "\u0300" <= following <= "\u036f" or "\u20d0" <= following <= "\u20ff"
        return not (following.isalnum() or accent or following == "_")

    def function(self) -> Part | None:
        start = self.at
        prefix = re.compile(r"(?:np|numpy|math|torch)\.|\\").match(self.text, start)
        begun = prefix.end() if prefix else start
        name = next(
            (
                n
                for n in sorted(FUNCTIONS, key=len, reverse=True)
                if self.text.startswith(n, begun) and self.ends_function(begun + len(n), n)
            ),
            None,
        )
        if name is None:
            return None
        self.at = begun + len(name)
        slope = bool(self.take("'"))
        exponent = self.exponent()
        bracket = self.take("(", "{")
        opened = self.at - 1
        if not bracket and name != "√":
            self.fail("no argument", start, self.at, name=name)
        inputs = [self.sum()] if bracket else [self.power()]
        while bracket and self.take(","):
            inputs.append(self.sum())
        if bracket:
            self.need(")" if bracket == "(" else "}", opened)
        op, count = FUNCTIONS[name]
        if len(inputs) != count and count:
            self.fail("arguments", start, self.at, name=name, count=count)
        op = f"slope {op}" if slope else op
        if slope and count != 1:
            self.fail("no slope", start, self.at, name=name)
        found = Part(op, tuple(inputs), start=start, end=self.at)
        return found if exponent is None else Part("power", (found, exponent), 0.0, start=start)

    def ends_function(self, stop: int, name: str) -> bool:
        following = self.text[stop : stop + 1]
        return name == "√" or not (following.isalpha() or following == "_" or following.isdecimal())
