r"""The two faces an equation is printed with, LaTeX and one line of Unicode: brackets, …"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tinygrad_lstm.notation import Apart, name_latex, name_unicode, number

COLOURS = {"added": "#12875c", "removed": "#d6362b"}  # readable on white and on near-black
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_COMMANDS = frozenset(("exp", "log", "sin", "cos", "tanh", "max", "min"))


class Face(Protocol):
    """What a printer needs to know of the medium it writes for."""

    dot: str
    beside: str
    hadamard: str
    outer: str
    top: str
    total: str
    relations: dict[str, str]

    def name(self, label: str, time: str | None, apart: Apart) -> str:
        """A named value."""

    def bracketed(self, text: str, kind: str) -> str:
        """Text in ( ), [ ] or | |, which stretch where they can."""

    def operator(self, op: str) -> str:
        """The name of a function."""

    def word(self, text: str) -> str:
        """A word that is no variable."""

    def sum_over(self, letters: str) -> str:
        """The sign of a sum over some indices, nothing for none."""

    def length(self, words: str) -> str:
        """A number made of sizes: `2 * hidden`."""

    def raised(self, text: str, upper: str) -> str:
        """A superscript."""

    def lowered(self, text: str, lower: str) -> str:
        """A subscript."""

    def root(self, text: str) -> str:
        """A square root."""

    def fraction(self, above: str, below: str) -> str:
        """A quotient."""

    def partial(self, above: str, below: str) -> str:
        """A partial derivative."""

    def marked(self, text: str, kind: str) -> str:
        """Text to be noticed as "added" or "removed"."""


class Latex:
    """LaTeX that KaTeX, latex2mathml and ziamath all read."""

    dot, hadamard, outer, top, total = r" \cdot ", r" \odot ", r" \otimes ", r"\top", r"\sum_{t} "
    beside = r" \, "
    relations = {"greater": ">", "greater_equal": r"\ge", "equal": "=", "not_equal": r"\ne"}

    def name(self, label: str, time: str | None, apart: Apart) -> str:  # noqa: D102
        return name_latex(label, time, apart)

    def bracketed(self, text: str, kind: str) -> str:  # noqa: D102
        return rf"\left{kind[0]}{text}\right{kind[1]}"

    def operator(self, op: str) -> str:  # noqa: D102
        if op == "sigmoid":
            return r"\sigma"
        if op in ("maximum", "minimum"):
            return rf"\{op[:3]}"
        if op in _COMMANDS:
            return rf"\{op}"
        escaped = op.replace("_", r"\_")  # latex2mathml reads only letters in \operatorname
        return rf"\operatorname{{{op}}}" if op.isalpha() else rf"\mathrm{{{escaped}}}"

    def word(self, text: str) -> str:  # noqa: D102
        return rf"\text{{{text}}}" if " " in text else rf"\mathrm{{{text.replace('_', ' ')}}}"

    def sum_over(self, letters: str) -> str:  # noqa: D102
        return rf"\sum_{{{letters}}} " if letters else ""

    def length(self, words: str) -> str:  # noqa: D102
        named = re.sub(r"[^\W\d]\w*", lambda found: self.word(found[0]), words)
        return named.replace(" ** ", "^").replace("*", r"\cdot")

    def raised(self, text: str, upper: str) -> str:  # noqa: D102
        upper = upper if len(upper) == 1 else f"{{{upper}}}"
        return f"{{{text}}}^{upper}" if "^" in text else f"{text}^{upper}"

    def lowered(self, text: str, lower: str) -> str:  # noqa: D102
        return f"{text}_{{{lower}}}"

    def root(self, text: str) -> str:  # noqa: D102
        return rf"\sqrt{{{text}}}"

    def fraction(self, above: str, below: str) -> str:  # noqa: D102
        return rf"\frac{{{above}}}{{{below}}}"

    def partial(self, above: str, below: str) -> str:  # noqa: D102
        return rf"\frac{{\partial {above}}}{{\partial {below}}}"

    def marked(self, text: str, kind: str) -> str:  # noqa: D102
        return rf"\textcolor{{{COLOURS[kind]}}}{{\underline{{{text}}}}}"


class Text:
    """Unicode on one line, for terminals and alternative text."""

    dot, hadamard, outer, top, total = "·", " ⊙ ", " ⊗ ", "ᵀ", "Σ_t "
    beside = " "
    relations = {"greater": ">", "greater_equal": "≥", "equal": "=", "not_equal": "≠"}

    def name(self, label: str, time: str | None, apart: Apart) -> str:  # noqa: D102
        return name_unicode(label, time, apart)

    def bracketed(self, text: str, kind: str) -> str:  # noqa: D102
        return f"{kind[0]}{text}{kind[1]}"

    def operator(self, op: str) -> str:  # noqa: D102
        return {"sigmoid": "σ", "maximum": "max", "minimum": "min"}.get(op, op)

    def word(self, text: str) -> str:  # noqa: D102
        return text

    def sum_over(self, letters: str) -> str:  # noqa: D102
        return f"Σ_{letters} " if letters else ""

    def length(self, words: str) -> str:  # noqa: D102
        return words.replace(" ** ", "^").replace(" * ", "·")

    def raised(self, text: str, upper: str) -> str:  # noqa: D102
        if upper.lstrip("-").isdigit():
            return text + upper.translate(_SUPERSCRIPTS)
        if upper == self.top:
            return text + upper
        return f"{text}^{upper}" if upper.isalnum() else f"{text}^({upper})"

    def lowered(self, text: str, lower: str) -> str:  # noqa: D102
        return f"{text}_{_grouped(lower)}"

    def root(self, text: str) -> str:  # noqa: D102
        return f"√({text})"

    def fraction(self, above: str, below: str) -> str:  # noqa: D102
        return f"{above} / {below}"

    def partial(self, above: str, below: str) -> str:  # noqa: D102
        return f"∂{above}/∂{below}"

    def marked(self, text: str, kind: str) -> str:  # noqa: D102
        return f"«{text}»"


def _grouped(text: str) -> str:
    return text if text.isalnum() or len(text) <= 2 else f"{{{text}}}"


def array(data: NDArray[np.generic]) -> str:
    """The entries of a short array, of a long one the first; 0.5 I, or a number for all of them."""
    if data.size and (data == data.flat[0]).all():
        return number(data.flat[0], 6, "plain")
    if data.ndim == 2 and len(data) > 1 and np.array_equal(data, data[0, 0] * np.eye(len(data))):
        return "I" if data[0, 0] == 1 else f"{number(data[0, 0], 6, 'plain')} I"
    return _entries(data)


def _entries(data: NDArray[np.generic]) -> str:
    if not data.ndim:
        return number(data, 6, "plain")
    shown = [_entries(row) for row in data[:4]] + ["…"] * (len(data) > 4)
    return f"[{', '.join(shown)}]"


def index(value: object, word: Callable[[str], str]) -> str:
    """An index or another attribute: `1:3`, `0`, `:, 1`, and `:hidden` where a length has words."""
    if isinstance(value, tuple):
        whole = isinstance(value[-1], slice) and value[-1] == slice(None) if value else False
        if whole and len(value) > 1 and not any(v is Ellipsis for v in value):
            return index(value[:-1], word)  # M[0, :] is M[0]
        return ", ".join(index(v, word) for v in value)
    if isinstance(value, slice):
        start = value.start or None  # 0:n is :n
        ends = ["" if e is None else index(e, word) for e in (start, value.stop)]
        return ":".join(ends + ([] if value.step is None else [str(value.step)]))
    if value is Ellipsis:
        return "..."
    if isinstance(value, np.ndarray):
        return array(value)
    words = getattr(value, "words", None)
    return word(words) if words else str(value)
