"""The plain style, and what all styles share: how an operation is written on written operands."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lstm import notation
from tinygrad_lstm.notation import UNSET, Apart, Time, name_plain
from tinygrad_lstm.sizes import ATOM, PRODUCT, SUM
from tinygrad_lstm.tensor import TABLE, Array, Tensor

NEGATIVE = 0  # how tightly a negative number binds: only at the start of a sum it needs no brackets
_SUPERSCRIPTS = str.maketrans("0123456789-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁻")
Attributes = Mapping[str, Any]


class Piece(NamedTuple):
    """A written expression: how tightly it binds, and what its neighbours must know of it.

    kind: "number", "length" of an axis, "product" of entries, or "". function: the sign of the
    function whose value it is.
    """

    text: str
    level: int = ATOM
    kind: str = ""
    function: str = ""


class Plain:
    """How names, numbers, signs, brackets and scripts look; `digits` of a number are shown.

    An operation with a look of its own has a method `write_NAME`; the others are written by the
    sign between their operands, if their record has one, or as a function.
    """

    numbers: notation.Style = "plain"
    signs: Mapping[str, str] = {}  # between operands, where it is not the record's own
    functions: Mapping[str, str] = {}
    hidden: Collection[str] = ()  # attributes that no reader needs
    usual: Collection[tuple[str, Any]] = ()
    minus, top, total, infinity = "-", "ᵀ", "Σ_t ", "∞"

    def __init__(self, digits: int = 6) -> None:
        self.digits = digits

    # --- names, numbers, words -------------------------------------------------------------------
    def name(self, label: str, time: Time = UNSET, apart: Apart = frozenset()) -> str:
        """A named value, see `notation.name_latex`."""
        return name_plain(label.removeprefix("input."), time)

    def number(self, value: Any) -> Piece:
        """A number."""
        text = notation.number(value, self.digits, self.numbers)
        return Piece(text, NEGATIVE if text.startswith(self.minus) else ATOM, "number")

    def constant(self, data: Array) -> Piece:
        """A number for all entries, 0.5 I, or the entries of a short array, of a long one four."""
        if data.size and (data == data.flat[0]).all():
            return self.number(data.flat[0])._replace(kind="number" * (data.size == 1))
        square = data.ndim == 2 and len(data) > 1
        if square and np.array_equal(data, data[0, 0] * np.eye(*data.shape)):
            times = self.number(data[0, 0]).text
            return Piece("I") if times == "1" else Piece(f"{times} I", PRODUCT, "product")
        return Piece(self._entries(data))

    def _entries(self, data: Array) -> str:
        if not data.ndim:
            return self.number(data).text
        shown = [self._entries(row) for row in data[:4]] + ["…"] * (len(data) > 4)
        return f"[{', '.join(shown)}]"

    def length(self, words: str) -> str:
        """A number made of sizes: `2 * hidden`."""
        return words

    def word(self, text: str) -> str:
        """A word that is no variable."""
        return text

    def index(self, value: object) -> str:
        """An index or another attribute: `1:3`, `0`, `:, 1`, and `:hidden` where it has words."""
        if isinstance(value, tuple):
            return ", ".join(map(self.index, value))
        if isinstance(value, slice):
            ends = ["" if e is None else self.index(e) for e in (value.start, value.stop)]
            return ":".join(ends + ([] if value.step is None else [str(value.step)]))
        if isinstance(value, np.ndarray):
            return self.constant(value).text
        words = getattr(value, "words", None)
        return self.length(words) if words else "..." if value is Ellipsis else str(value)

    # --- brackets and scripts --------------------------------------------------------------------
    def bracketed(self, text: str, kind: str = "()") -> str:
        """Text in ( ), [ ] or | |, which stretch where they can."""
        return f"{kind[0]}{text}{kind[1]}"

    def fitted(self, part: Piece, need: int) -> str:
        """A piece in brackets if it binds less tightly than needed."""
        return part.text if part.level >= need else self.bracketed(part.text)

    def raised(self, text: str, upper: str) -> str:
        """A superscript."""
        if upper.lstrip("-−").isdigit():
            return text + upper.translate(_SUPERSCRIPTS)
        if upper == self.top:
            return text + upper
        return f"{text}^{upper}" if upper.isalnum() else f"{text}^({upper})"

    def lowered(self, text: str, lower: str) -> str:
        """A subscript."""
        return f"{text}_{lower if lower.isalnum() or len(lower) <= 2 else f'{{{lower}}}'}"

    def sum_over(self, letters: str) -> str:
        """The sign of a sum over some indices, nothing for none."""
        return f"Σ_{letters} " if letters else ""

    # --- one operation ---------------------------------------------------------------------------
    def operation(self, op: str, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """One operation on operands that are written already."""
        write = getattr(self, f"write_{op}", None)
        if write is not None:
            found: Piece = write(parts, attributes)
            return found
        infix = TABLE[op].infix if op in TABLE else None
        if infix is None:
            return self.function(op, parts, attributes)
        template, level, needs = infix
        if needs[0] == SUM:
            needs = (NEGATIVE, *needs[1:])
        template = self.signs.get(op, template)
        return Piece(template.format(*map(self.fitted, parts, needs)), level)

    def function(self, op: str, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """An operation as a function, what it is told beside its operands behind them."""
        shown = [
            f"{self.word(key)}={self.bracketed(text) if isinstance(value, tuple) else text}"
            for key, value, text in self.settings(attributes)
        ]
        over = ", ".join(map(self.length, attributes.get("over", ())))
        name = self.functions.get(op) or self.function_name(op)
        name = self.lowered(name, over) if over else name
        made = self.call(name, *(part.text for part in parts), *shown)
        return made if op not in TABLE or TABLE[op].signature == "elementwise" else Piece(made.text)

    def function_name(self, op: str) -> str:
        """The name of a function that has no sign."""
        return op

    def call(self, name: str, *arguments: str) -> Piece:
        """A function of its arguments."""
        return Piece(name + self.bracketed(", ".join(arguments)), function=name)

    def settings(self, attributes: Attributes) -> list[tuple[str, object, str]]:
        """The attributes that are shown: key, value and text."""
        hidden = {*self.hidden, "axis"} if attributes.get("over") else self.hidden
        return [
            (key, value, self.index(value))
            for key, value in attributes.items()
            if key not in hidden
            and value is not None
            and value is not False
            and (key, value) not in self.usual
        ]

    def write_identity(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """A value under a name is the value."""
        return parts[0]

    def write_concat(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """[a, b] beside, [a; b] below one another."""
        if attributes.get("axis") not in (-1, -2):
            return self.function("concat", parts, attributes)
        between = ", " if attributes["axis"] == -1 else "; "
        return Piece(f"[{between.join(part.text for part in parts)}]")

    def write_part(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """φ_x(x_t), prior_μ(h_{t-1}): a part of a cell that is not opened."""
        text = self.part_name(attributes["of"], attributes.get("result"))
        return self.call(text, *(part.text for part in parts))

    def part_name(self, name: str, result: str | None) -> str:
        """How a part is called, and which of its results is meant if it has several."""
        text = self.part(name)
        return self.lowered(text, self.part(result)) if result else text

    def part(self, name: str) -> str:
        """The name of a part."""
        return name

    def write_einsum(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """A sum of products with its letters: Σ_j [W]_ij [x]_j."""
        before, _, after = attributes["subscripts"].replace("...", "").partition("->")
        factors = (
            self.lowered(self.bracketed(part.text, "[]"), letters)
            for part, letters in zip(parts, before.split(","), strict=True)
        )
        summed = "".join(dict.fromkeys(c for c in before if c.isalpha() and c not in after))
        return Piece(self.sum_over(summed) + " ".join(factors), PRODUCT)

    def write_getitem(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """v[1:3]."""
        return Piece(f"{self.fitted(parts[0], ATOM)}[{self.index(attributes['index'])}]")

    def write_swapaxes(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """Wᵀ, where the last two axes change places."""
        if is_transpose(attributes):
            return Piece(self.raised(self.fitted(parts[0], ATOM), self.top))
        return self.function("transpose" if "axes" in attributes else "swapaxes", parts, attributes)

    write_transpose = write_swapaxes

    # --- one place of an axis --------------------------------------------------------------------
    def write_row(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """[tanh(H)]_j: of what has a name it is the name with the letter."""
        listed = self.listed(parts[0], attributes["letter"].name)
        return listed._replace(kind="scalar" * ("scalar" in attributes))

    def write_each(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """[tanh(H_j)]_j: what there is at every place j, as a list."""
        return self.listed(parts[0], attributes["letter"].name)

    def listed(self, part: Piece, letter: str) -> Piece:
        """Something in brackets with a letter."""
        return Piece(self.lowered(self.bracketed(part.text, "[]"), self.name(letter, None)))

    def write_total(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """Σ_j α_j H_j."""
        sign = self.sum_over(self.name(attributes["letter"].name, None))
        return Piece(sign + self.fitted(parts[0], PRODUCT), PRODUCT)

    # --- nodes of a graph ------------------------------------------------------------------------
    def attributes(self, node: Tensor) -> dict[str, Any]:
        """What an operation is told beside its operands."""
        found = dict(node.attributes)
        if node.op == "row" and not node.ndim:
            found["scalar"] = True
        if node.op == "swapaxes":
            found |= {axis: found[axis] % node.ndim - node.ndim for axis in "ab"}
        return found

    def leaf(self, node: Tensor) -> Piece:
        """A named value, a number made of sizes by its words, or a constant."""
        if node.op == "index":
            return Piece(self.name(node.letters[0].name, None), kind="length")
        if node.name is not None:
            return Piece(self.name(node.name))
        if "words" in node.attributes:
            words, level = node.attributes["words"], node.attributes["level"]
            return Piece(self.length(words), level, "length")
        return self.constant(node.data)

    def node(self, node: Tensor, parts: Sequence[Piece]) -> Piece:
        """A node on operands that are written already: a `make` for `fold`."""
        if not node.inputs:
            return self.leaf(node)
        return self.operation(node.op or "", parts, self.attributes(node))


def over(axis: Any, shape: Sequence[int]) -> dict[str, Any]:
    """The names of the axes that a reduction is over, where it could be over others."""
    if axis is None or len(shape) == 1:
        return {}
    axes: Iterable[int] = axis if isinstance(axis, tuple) else (axis,)
    words = tuple(getattr(shape[a], "words", None) for a in axes)
    return {"over": words} if all(words) else {}


def is_transpose(attributes: Attributes) -> bool:
    """Whether a swapaxes or transpose exchanges the last two axes (of a matrix, its only ones)."""
    axes = tuple(attributes.get("axes", ()))
    return axes == (1, 0) or {attributes.get("a"), attributes.get("b")} == {-1, -2}
