r"""How an expression is written: one printer of operations, in three styles.

    PLAIN     sigmoid(W_f · [h_{t-1}, x_t] + b_f)    as its author typed it: programs and errors
    UNICODE   σ(W_f·[h_{t-1}, x_t] + b_f)            for readers: stepper, plans, figures' titles
    LATEX     \sigma\left(W_f \cdot [h_{t-1}, x_t] + b_f\right)

`expression(node, UNICODE)` writes what computes a node. A style writes one operation on operands
that are written already, which is all that a `fold` needs; SymPy's printers, told a cell's
notation, write with the same styles (`equations.printer`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lstm import notation
from tinygrad_lstm.notation import UNSET, Apart, Time, name_latex, name_plain, name_unicode
from tinygrad_lstm.sizes import ATOM, POWER, PRODUCT, SUM
from tinygrad_lstm.tensor import TABLE, Array, Tensor, ancestors, fold

NEGATIVE = 0  # how tightly a negative number binds: only at the start of a sum it needs no brackets
COLOURS = {"added": "#12875c", "removed": "#d6362b"}  # readable on white and on near-black
_SUPERSCRIPTS = str.maketrans("0123456789-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁻")
_LATEX_COMMANDS = frozenset(("exp", "log", "sin", "cos", "tanh", "max", "min"))
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
        return name_plain(label.removeprefix("input."))

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

    # --- nodes of a graph ------------------------------------------------------------------------
    def attributes(self, node: Tensor) -> dict[str, Any]:
        """What an operation is told beside its operands."""
        found = dict(node.attributes)
        if node.op == "swapaxes":
            found |= {axis: found[axis] % node.ndim - node.ndim for axis in "ab"}
        return found

    def leaf(self, node: Tensor) -> Piece:
        """A named value, a number made of sizes by its words, or a constant."""
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


class Unicode(Plain):
    """One line of Unicode for readers: terminals, notebooks, titles and alternative text."""

    signs: Mapping[str, str] = {"matvec": "{}·{}", "matmul": "{}·{}", "vecdot": "{}·{}"}
    relations: Mapping[str, str] = {
        "greater": ">",
        "greater_equal": "≥",
        "equal": "=",
        "not_equal": "≠",
    }
    functions: Mapping[str, str] = {"sigmoid": "σ", "maximum": "max", "minimum": "min"}
    hidden = ("shape", "keepdims", "over")
    usual = (("axis", -1), ("axis", (-1,)))
    dot, beside, hadamard = "·", " ", " ⊙ "
    root, ratio, partial = "√({})", "{}/{}", "∂{}/∂{}"
    marks = {"added": "«{}»", "removed": "«{}»"}
    stretches = False  # a fraction takes the place of brackets

    def name(self, label: str, time: Time = UNSET, apart: Apart = frozenset()) -> str:  # noqa: D102
        return name_unicode(label, time, apart)

    def length(self, words: str) -> str:  # noqa: D102
        return words.replace(" ** ", "^").replace(" * ", "·")

    def index(self, value: object) -> str:
        """As it is read: M[0] for M[0, :], and v[:2] for v[0:2]."""
        if isinstance(value, tuple) and len(value) > 1 and not any(v is Ellipsis for v in value):
            last = value[-1]
            if isinstance(last, slice) and last == slice(None):
                return self.index(value[:-1])
        if isinstance(value, slice) and not value.start:
            return super().index(slice(None, value.stop, value.step))
        return super().index(value)

    # --- fractions -------------------------------------------------------------------------------
    def fraction(self, above: Piece, below: Piece) -> str:
        """A quotient."""
        return f"{self.first_factor(above)} / {self.fitted(below, POWER)}"

    # --- products --------------------------------------------------------------------------------
    def factor(self, part: Piece) -> str:
        """A piece as a factor: of products of entries one is made, but not of those of matrices."""
        return self.fitted(part, PRODUCT if part.kind == "product" else POWER)

    def first_factor(self, part: Piece) -> str:
        """The first factor, whose minus sign is that of the product."""
        return part.text if part.level == NEGATIVE else self.factor(part)

    def between(self, left: Piece, right: Piece) -> str:
        """The sign between two factors."""
        if right.kind == "number":
            return self.dot
        if left.kind == "length":
            return self.beside
        return " " if left.kind == "number" else self.hadamard

    # --- operations ------------------------------------------------------------------------------
    def attributes(self, node: Tensor) -> dict[str, Any]:
        """Axes are counted from the end, and called by their names where there are several."""
        found = super().attributes(node)
        if isinstance(axis := found.get("axis"), int) and axis >= 0:
            found["axis"] = axis - (node.ndim if node.op == "stack" else node.inputs[0].ndim)
        along = node.op in ("softmax", "log_softmax", "cumsum") and found["axis"] != -1
        if "keepdims" in found or along:
            found |= over(found["axis"], node.inputs[0].shape)
        return found

    def operation(self, op: str, parts: Sequence[Piece], attributes: Attributes) -> Piece:  # noqa: D102
        if op in self.relations:
            a, b = (part.text for part in parts)
            return Piece(self.bracketed(f"{a} {self.relations[op]} {b}", "[]"))
        return super().operation(op, parts, attributes)

    def write_multiply(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """f ⊙ C, 2 x, x·2."""
        left, right = parts
        text = f"{self.first_factor(left)}{self.between(left, right)}{self.factor(right)}"
        return self._product_of(left, text)

    def write_divide(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """A quotient."""
        return self._product_of(parts[0], self.fraction(*parts))

    def _product_of(self, first: Piece, text: str) -> Piece:
        negative = first.level == NEGATIVE and text.startswith(self.minus)
        return Piece(text, NEGATIVE) if negative else Piece(text, PRODUCT, "product")

    def write_negative(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """-x."""
        return Piece(self.minus + self.fitted(parts[0], PRODUCT), NEGATIVE)

    def write_power(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """x², tanh²(x)."""
        base, exponent = parts
        if base.function and exponent.text.isdigit():
            arguments = base.text.removeprefix(base.function)
            return Piece(self.raised(base.function, exponent.text) + arguments, POWER)
        return Piece(self.raised(self.fitted(base, ATOM), exponent.text), POWER)

    def write_sqrt(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """√(x)."""
        return Piece(self.root.format(parts[0].text))

    def write_abs(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """|x|."""
        return Piece(self.bracketed(parts[0].text, "||"))

    write_broadcast_to = write_spread = Plain.write_identity  # repeated along an axis

    def write_scatter(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """pad[1:3](v): zeros around v."""
        return self.call(f"{self.word('pad')}[{self.index(attributes['index'])}]", parts[0].text)

    def write_clip(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """clip(x, -1, 1)."""
        limits = [
            (self.minus * (end == "low") + self.infinity if v is None else self.number(v).text)
            for end, v in attributes.items()
        ]
        return self.function("clip", [*parts, *map(Piece, limits)], {})


class Latex(Unicode):
    """LaTeX that KaTeX, latex2mathml and ziamath all read."""

    numbers = "latex"
    signs = {
        "matvec": r"{} \cdot {}",
        "matmul": r"{} \cdot {}",
        "vecdot": r"{} \cdot {}",
        "outer": r"{} \otimes {}",
    }
    relations = {"greater": ">", "greater_equal": r"\ge", "equal": "=", "not_equal": r"\ne"}
    functions = {"sigmoid": r"\sigma", "maximum": r"\max", "minimum": r"\min"}
    dot, beside, hadamard = r" \cdot ", r" \, ", r" \odot "
    root, ratio = r"\sqrt{{{}}}", r"\frac{{{}}}{{{}}}"
    partial = r"\frac{{\partial {}}}{{\partial {}}}"
    marks = {
        kind: rf"\textcolor{{{{{colour}}}}}{{{{\underline{{{{{{}}}}}}}}}}"
        for kind, colour in COLOURS.items()
    }
    top, total, infinity = r"\top", r"\sum_{t} ", r"\infty"
    stretches = True

    def name(self, label: str, time: Time = UNSET, apart: Apart = frozenset()) -> str:  # noqa: D102
        return name_latex(label, time, apart)

    def length(self, words: str) -> str:  # noqa: D102
        named = re.sub(r"[^\W\d]\w*", lambda found: self.word(found[0]), words)
        return named.replace(" ** ", "^").replace("*", r"\cdot")

    def word(self, text: str) -> str:  # noqa: D102
        return rf"\text{{{text}}}" if " " in text else rf"\mathrm{{{text.replace('_', ' ')}}}"

    def function_name(self, op: str) -> str:  # noqa: D102
        if op in _LATEX_COMMANDS:
            return rf"\{op}"
        escaped = op.replace("_", r"\_")  # latex2mathml reads only letters in \operatorname
        return rf"\operatorname{{{op}}}" if op.isalpha() else rf"\mathrm{{{escaped}}}"

    def bracketed(self, text: str, kind: str = "()") -> str:  # noqa: D102
        return rf"\left{kind[0]}{text}\right{kind[1]}"

    def write_floor(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """⌊x⌋."""
        return Piece(rf"\left\lfloor{{{parts[0].text}}}\right\rfloor")

    def raised(self, text: str, upper: str) -> str:  # noqa: D102
        upper = upper if len(upper) == 1 else f"{{{upper}}}"
        return f"{{{text}}}^{upper}" if "^" in text else f"{text}^{upper}"

    def lowered(self, text: str, lower: str) -> str:  # noqa: D102
        return f"{text}_{{{lower}}}"

    def sum_over(self, letters: str) -> str:  # noqa: D102
        return rf"\sum_{{{letters}}} " if letters else ""

    def fraction(self, above: Piece, below: Piece) -> str:  # noqa: D102
        return self.ratio.format(above.text, below.text)


PLAIN, UNICODE, LATEX = Plain(), Unicode(), Latex()


def expression(root: Tensor, style: Plain = PLAIN, names: Mapping[Tensor, str] = {}) -> str:
    """What computes `root`, down to the next named Tensors: `sigmoid(W_f · [h_{t-1}, x_t] + b_f)`.

    names: what some nodes are called instead, whether they have a name or not.
    """
    leaves = {n: Piece(label) for n, label in names.items() if n is not root}
    for n in ancestors([root], stop=leaves):
        if n is not root and n not in leaves and (n.name is not None or not n.inputs):
            leaves[n] = style.leaf(n)
    found: Piece = fold([root], leaves, style.node)[root]
    return found.text


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
