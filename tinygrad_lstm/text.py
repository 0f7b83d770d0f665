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
from collections.abc import Mapping, Sequence
from typing import Any

from tinygrad_lstm.notation import UNSET, Apart, Time, at_place, index_of, name_latex, name_unicode
from tinygrad_lstm.plain_style import NEGATIVE as NEGATIVE
from tinygrad_lstm.plain_style import Attributes as Attributes
from tinygrad_lstm.plain_style import Piece as Piece
from tinygrad_lstm.plain_style import Plain as Plain
from tinygrad_lstm.plain_style import is_transpose as is_transpose
from tinygrad_lstm.plain_style import over as over
from tinygrad_lstm.sizes import ATOM, POWER, PRODUCT, SUM
from tinygrad_lstm.tensor import Tensor, ancestors, fold

COLOURS = {"added": "#12875c", "removed": "#d6362b"}  # readable on white and on near-black
_LATEX_COMMANDS = frozenset(("exp", "log", "sin", "cos", "tanh", "max", "min"))


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
    normal, distributed, parallel = "N", "∼", "‖"
    marks = {"added": "«{}»", "removed": "«{}»"}
    stretches = False  # a fraction takes the place of brackets

    def name(self, label: str, time: Time = UNSET, apart: Apart = frozenset()) -> str:  # noqa: D102
        return name_unicode(label, time, apart)

    def part(self, name: str) -> str:  # noqa: D102
        return self.name(name, None)

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
        if left.kind in ("length", "scalar") or right.kind == "scalar":
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

    # --- random variables ------------------------------------------------------------------------
    def gaussian(self, mu: Piece, sigma: Piece, of: str = "") -> str:
        """N(μ, σ²), N(x; μ, σ²)."""
        variance = "1" if sigma.text == "1" else self.raised(self.fitted(sigma, ATOM), "2")
        return self.normal + self.bracketed(f"{of}{mu.text}, {variance}")

    def write_normal(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """μ + σ ⊙ ε ∼ N(μ, σ²)."""
        mu, sigma, eps = parts
        noise = self.operation("multiply", [sigma, eps], {})
        sample = self.operation("add", [mu, noise], {}).text
        return Piece(f"{sample} {self.distributed} {self.gaussian(mu, sigma)}", SUM - 1)

    def write_normal_divergence(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """KL(N(μ, σ²) ‖ N(μ₀, σ₀²))."""
        mu, sigma, mu_0, sigma_0 = parts
        mine, prior = self.gaussian(mu, sigma), self.gaussian(mu_0, sigma_0)
        return self.call(self.word("KL"), f"{mine} {self.parallel} {prior}")

    def write_normal_density(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """log N(x; μ, σ²)."""
        x, mu, sigma = parts
        text = f"{self.function_name('log')} {self.gaussian(mu, sigma, f'{x.text}; ')}"
        return Piece(text, PRODUCT, "product")

    def write_bernoulli_density(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """log Bern(x; σ(a))."""
        x, logits = parts
        chance = self.function("sigmoid", [logits], {}).text
        of = self.word("Bern") + self.bracketed(f"{x.text}; {chance}")
        return Piece(f"{self.function_name('log')} {of}", PRODUCT, "product")

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
    normal, distributed, parallel = r"\mathcal{N}", r"\sim", r"\|"
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
    leaves = {n: _at(n, label) for n, label in names.items() if n is not root or n.op == "row"}
    for n in ancestors([root], stop=leaves):
        if n is root or n in leaves:
            continue
        if n.op == "row" and (base := row_of(n)[0]).name is not None:
            leaves[n] = _at(n, style.name(base.name, at_place(index_of(base.name), row_of(n)[1])))
        elif n.name is not None or not n.inputs:
            leaves[n] = style.leaf(n)
    found: Piece = fold([root], leaves, style.node)[root]
    return found.text


def _at(node: Tensor, label: str) -> Piece:
    """A value by its name; one number at a place stands beside what it multiplies: α_j H_j."""
    return Piece(label, kind="scalar" * (node.op == "row" and not node.ndim))


def row_of(node: Tensor) -> tuple[Tensor, tuple[str, ...]]:
    """What a row is taken of, and the letters of its place: F_{i,a} is (F, (i, a))."""
    letters: list[str] = []
    while node.op == "row":
        letters.insert(0, node.attributes["letter"].name)
        node = node.inputs[0]
    return node, tuple(letters)


def at_one_place(node: Tensor) -> tuple[Tensor, tuple[str, ...]]:
    """What a value is at one place, where it is written so, and the letters of the place."""
    letters: list[str] = []
    while node.op == "each":
        letters.append(node.attributes["letter"].name)
        node = node.inputs[0]
    return node, tuple(letters)
