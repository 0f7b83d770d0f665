"""Operations as signs, as they stand in a circle, and expressions as figures and their words say.

`written` puts an operation around its operands. One that comes along a line is a `HOLE`: of `1 - f`
the sign is "1−", of `max(u, a)` it is "max(·, a)". With all operands in place the same function
writes the expression itself. Figures spell as formulas do (`tinygrad_lstm.text`), with signs of
their own for the pointwise operations of a circle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from tinygrad_lstm.notation import Style, name_latex, name_unicode
from tinygrad_lstm.sizes import ATOM, SUM
from tinygrad_lstm.tensor import TABLE, Tensor, fold
from tinygrad_lstm.text import NEGATIVE, Attributes, Latex, Piece, Unicode
from viz.words import shown, words


class Written(NamedTuple):
    """An expression as LaTeX and as text, and how tightly it binds."""

    latex: str
    text: str
    level: int = ATOM


HOLE = Written("", "")
DOT = Written(r"\cdot", "·")


class _Text(Unicode):
    circle = {
        "add": "+",
        "subtract": "−",
        "multiply": "×",
        "divide": "÷",
        **dict.fromkeys(("matvec", "matmul", "vecdot"), "·"),
        "outer": "⊗",
        "greater": ">",
        "greater_equal": "≥",
        "equal": "=",
        "not_equal": "≠",
    }
    names = {
        "normal": "∼N",
        "normal_divergence": "KL",
        "normal_density": "log N",
        "bernoulli_density": "log Bern",
    }
    functions = {**Unicode.functions, "sum": "Σ"}
    numbers: Style = "unicode"
    minus = "−"

    def operation(self, op: str, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """An operation with a dot, or nothing beside its sign, for what comes along a line."""
        holes = [not part.text for part in parts]
        if op == "multiply" and not any(holes):  # a whole term is written as formulas write it
            return super().operation(op, parts, attributes)
        if op in self.circle:
            sign = self.circle[op]
            if all(holes):
                return Piece(op if sign == "·" else sign)
            _, level, needs = TABLE[op].infix or ("", 0, (0, 0))
            least = NEGATIVE if needs[0] == SUM else needs[0]
            left, right = self.fitted(parts[0], least), self.fitted(parts[1], needs[1])
            return Piece(self.around(left, sign, right, any(holes)), level)
        if all(holes) and op in self.names:
            return Piece(self.names[op])
        if all(holes) and not hasattr(self, f"write_{op}"):
            shown = ", ".join(
                f"{self.word(key)}={self.bracketed(text) if isinstance(value, tuple) else text}"
                for key, value, text in self.settings(attributes)
            )
            name = self.functions.get(op) or self.function_name(op)
            over = ", ".join(map(self.length, attributes.get("over", ())))
            name = self.lowered(name, over) if over else name
            return Piece(f"{name}{self.beside}{shown}" if shown else name)
        if op not in ("negative", "getitem"):
            dot = self.dot.strip()
            hole = Piece(f"({dot})" if op in ("power", "swapaxes", "transpose") else dot)
            parts = [part if part.text else hole for part in parts]
        return super().operation(op, parts, attributes)

    def write_total(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """Σ_j alone, of what comes along a line."""
        if parts[0].text in ("", self.dot.strip()):
            return Piece(
                self.lowered(self.functions["sum"], self.name(attributes["letter"].name, None))
            )
        return super().write_total(parts, attributes)

    def around(self, left: str, sign: str, right: str, tight: bool) -> str:
        """A sign between two operands, or beside the one that does not come along a line."""
        return f"{left}{sign}{right}" if tight else f"{left} {sign} {right}"

    def settings(self, attributes: Attributes) -> list[tuple[str, object, str]]:
        """A new shape stands in a figure, too."""
        shape = attributes.get("shape")
        own = [] if shape is None else [("shape", shape, self.index(shape))]
        return super().settings(attributes) + own

    def leaf(self, node: Tensor) -> Piece:
        """A name, a number; of a larger array than a row only that it is constant."""
        piece = super().leaf(node)
        rows = node.ndim > 1 and piece.text.startswith(("[", r"\left["))
        return Piece(self.word("const")) if rows and node.name is None else piece


class _Latex(Latex, _Text):
    circle = {
        **_Text.circle,
        "subtract": "-",
        "multiply": r"\times",
        "divide": r"\div",
        **dict.fromkeys(("matvec", "matmul", "vecdot"), r"\cdot"),
        "outer": r"\otimes",
        "greater_equal": r"\geq",
        "not_equal": r"\neq",
    }
    names = {
        "normal": r"\sim\mathcal{N}",
        "normal_divergence": r"\mathrm{KL}",
        "normal_density": r"\log\mathcal{N}",
        "bernoulli_density": r"\log\mathrm{Bern}",
    }
    functions = {**Latex.functions, "sum": r"{\textstyle\sum}"}
    numbers, minus = Latex.numbers, Latex.minus

    def around(self, left: str, sign: str, right: str, tight: bool) -> str:
        return super().around(left, f"{{{sign}}}" if tight else sign, right, tight)


_STYLES = _Latex(4), _Text(4)


def plain(text: str) -> Written:
    """Plain words."""
    return Written(words(text), shown(text))


def named(name: str, time: str | None = "t") -> Written:
    """The name of a value at a step; None: of what has no time."""
    return Written(name_latex(name, time), name_unicode(name, time))


def symbol_of(node: Tensor) -> Written:
    """The sign of an operation whose operands all come along lines."""
    return written(node, [HOLE] * len(node.inputs))


def called(node: Tensor) -> Written:
    """The name of a cell inside the cell: φ_x, prior."""
    latex, text = (style.part_name(node.attributes["of"], None) for style in _STYLES)
    return Written(latex, text)


def written(node: Tensor, operands: Sequence[Written]) -> Written:
    """An operation around its operands; a leaf by its name or its number."""
    (latex, _, *_), (text, level, *_) = (
        style.node(node, [Piece(operand[:2][k], operand.level) for operand in operands])
        for k, style in enumerate(_STYLES)
    )
    return Written(latex, text, level)


def expression(root: Tensor, known: Callable[[Tensor], Written | None]) -> Written:
    """What computes a node, down to the nodes whose writing is known; numbers are numbers."""
    leaves: dict[Tensor, Written] = {}
    for node in within(root, lambda node: node not in leaves):
        what = known(node)
        if what is not None or not node.inputs or not node.traced:
            leaves[node] = what or _constant(node)
    found: dict[Tensor, Written] = fold([root], leaves, written)
    return found[root]


def _constant(node: Tensor) -> Written:
    (latex, *_), (text, level, *_) = (style.leaf(node) for style in _STYLES)
    return Written(latex, text, level)


def within(root: Tensor, opened: Callable[[Tensor], bool]) -> Iterator[Tensor]:
    """A node and what it is made of, in the order of reading, into every node that is opened."""
    stack, seen = [root], {root}
    while stack:
        yield (node := stack.pop())
        if opened(node):
            stack += [i for i in reversed(node.inputs) if i not in seen]
            seen.update(node.inputs)
