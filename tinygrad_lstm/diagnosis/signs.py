"""The signs and functions of a formula, and the many ways to type each."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping

import numpy as np

from tinygrad_lstm.operation import TABLE

DIGITS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789", strict=True))
COMPARISONS = {">=": "greater_equal", "<=": "less_equal", ">": "greater", "<": "less"}
# signs that mean the same, and what they are read as
SIGNS: Mapping[str, str] = {
    **dict.fromkeys("−–—", "-"),
    **dict.fromkeys("∘○×∗", "⊙"),
    **dict.fromkeys("⋅•∙・", "·"),
    **dict.fromkeys("′’‘`ʹ", "'"),
    **{"⊤": "ᵀ", "≥": ">=", "≤": "<=", "∑": "Σ", "，": ",", "、": ",", "【": "[", "】": "]"},
}
# LaTeX's, longer ones first; what stands for a value is spelled in LaTeX as it is printed
_LATEX = {
    r"\left\lfloor": "(", r"\left": "", r"\right": "", r"\odot": "⊙", r"\circ": "⊙",
    r"\otimes": "⊗", r"\cdot": "·", r"\times": "⊙", r"\top": "T", r"\sum": "Σ", r"\tanh": "tanh",
    r"\exp": "exp", r"\log": "log", r"\sin": "sin", r"\cos": "cos", r"\max": "max", r"\min": "min",
    r"\sqrt": "√", r"\ge": ">=", r"\le": "<=", r"\prime": "'", r"\,": " ", r"\!": "", r"\;": " ",
}  # fmt: skip

# a function's names: which operation it is, and of how many arguments (0: of any number)
FUNCTIONS: dict[str, tuple[str, int]] = {
    name: (name, 1)
    for name, operation in TABLE.items()
    if operation.signature == "elementwise"
    and not operation.infix
    and name not in ("identity", "detach", "where", "maximum", "minimum", "mod")
}
FUNCTIONS |= {
    "σ": ("sigmoid", 1), r"sigma": ("sigmoid", 1), "logistic": ("sigmoid", 1), "√": ("sqrt", 1),
    "square": ("square", 1), "sech": ("sech", 1), "cosh": ("cosh", 1), "sinh": ("sinh", 1),
    "sum": ("sum", 1), "mean": ("mean", 1), "Σ": ("sum", 1), "ln": ("log", 1),
    "transpose": ("transposed", 1),
    "max": ("maximum", 2), "min": ("minimum", 2), "maximum": ("maximum", 2),
    "minimum": ("minimum", 2), "outer": ("outer", 2), "dot": ("dot", 2), "matmul": ("dot", 2),
    "matvec": ("dot", 2), "vecdot": ("dot", 2), "multiply": ("multiply", 2), "concat": ("list", 0),
    "add": ("add", 2),
}  # fmt: skip
OWN: Mapping[str, Callable[..., np.ndarray]] = {  # what no cell is made of
    "square": np.square,
    "sech": lambda x: 1 / np.cosh(x),
    "cosh": np.cosh,
    "sinh": np.sinh,
}


def cleaned(text: str) -> str:
    """A formula with one sign for each meaning, its accents apart from their letters."""
    text = unicodedata.normalize("NFD", text)
    made = "".join(chr(ord(c) - 0xFEE0) if "！" <= c <= "～" else SIGNS.get(c, c) for c in text)
    made = made.replace("\u3000", " ").strip().strip("$").strip()
    if "\\" in made:
        made = re.sub(r"\\(?:operatorname|mathrm|text)\{(\w+)\}(?=\(|\\left)", r"\1", made)
        for command, sign in _LATEX.items():
            made = re.sub(re.escape(command) + r"(?![A-Za-z])", lambda _, s=sign: s, made)  # type: ignore[misc]
        made = re.sub(r"\^\{'\}|\^'", "'", made)
    made = re.sub(r"Σ\s*_\s*(?:t\b|\{\s*t\s*\})", "Σ_t", made)
    return re.sub(r"_\{\s*t\s*([+-])\s*1\s*\}", r"_{t\g<1>1}", made)
