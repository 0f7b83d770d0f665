"""Operations as signs, as they stand in a circle, and expressions as figures and their words say.

`written` puts an operation around its operands. One that comes along a line is a `HOLE`: of `1 - f`
the sign is "1−", of `max(u, a)` it is "max(·, a)". With all operands in place the same function
writes the expression itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lstm.notation import name_latex, name_unicode
from tinygrad_lstm.sizes import ATOM, PRODUCT, SUM
from tinygrad_lstm.tensor import TABLE, Array, Tensor, fold
from tinygrad_lstm.text import PLAIN

# op: the sign between operands, as LaTeX and as text; how tightly it binds the record says
SIGNS: dict[str, tuple[str, str]] = {
    "add": ("+", "+"),
    "subtract": ("-", "−"),
    "multiply": (r"\times", "×"),
    "divide": (r"\div", "÷"),
    **dict.fromkeys(("matvec", "matmul", "vecdot"), (r"\cdot", "·")),
    "outer": (r"\otimes", "⊗"),
    "greater": (">", ">"),
    "greater_equal": (r"\geq", "≥"),
    "equal": ("=", "="),
    "not_equal": (r"\neq", "≠"),
}
# op: the sign alone, as LaTeX and as text
NAMES = {
    "tanh": (r"\tanh", "tanh"),
    "sigmoid": (r"\sigma", "σ"),
    "exp": (r"\exp", "exp"),
    "log": (r"\log", "log"),
    "sin": (r"\sin", "sin"),
    "cos": (r"\cos", "cos"),
    "maximum": (r"\max", "max"),
    "minimum": (r"\min", "min"),
    "max": (r"\max", "max"),
    "sum": (r"\textstyle\sum", "Σ"),
    "sqrt": (r"\sqrt{\,\cdot\,}", "sqrt"),
    "abs": (r"|\cdot|", "abs"),
    "concat": (r"[\,,]", "concat"),
    "negative": ("-", "−"),
    "power": (r"(\cdot)^{(\cdot)}", "power"),
    "swapaxes": (r"(\cdot)^\top", "transpose"),
    "transpose": (r"(\cdot)^\top", "transpose"),
}
# op: the sign around its operands, where it is not NAME(operands)
_AROUND = {"sqrt": (r"\sqrt{{}}", "sqrt({})"), "abs": ("|{}|", "|{}|"), "concat": ("[{}]", "[{}]")}
_AFTER = {"swapaxes": (r"^\top", "ᵀ"), "transpose": (r"^\top", "ᵀ")}


class Written(NamedTuple):
    """An expression as LaTeX and as text, and how tightly it binds."""

    latex: str
    text: str
    level: int = ATOM

    def within(self, level: int) -> Written:
        """In brackets where it binds less tightly than what stands around it."""
        return self if self.level >= level else Written(f"({self.latex})", f"({self.text})")


HOLE = Written("", "")
DOT = Written(r"\cdot", "·")


def words(text: str) -> str:
    r"""Plain words as LaTeX: \text{…}, with what TeX reads as a command escaped."""
    return rf"\text{{{''.join(f'{chr(92)}{c}' if c in '_&%#${}' else c for c in text)}}}"


def plain(text: str) -> Written:
    """Plain words."""
    return Written(words(text), text)


def named(name: str, time: str | None = "t") -> Written:
    """The name of a value at a step; None: of what has no time."""
    return Written(name_latex(name, time), name_unicode(name, time))


def symbol_of(node: Tensor) -> Written:
    """The sign of an operation whose operands all come along lines."""
    return written(node, [HOLE] * len(node.inputs))


def expression(root: Tensor, known: Callable[[Tensor], Written | None]) -> Written:
    """What computes a node, down to the nodes whose writing is known; numbers are numbers."""
    leaves: dict[Tensor, Written] = {}
    for node in within(root, lambda node: node not in leaves):
        what = known(node)
        if what is not None or not node.inputs or not node.traced:
            leaves[node] = what or _constant(node)
    found: dict[Tensor, Written] = fold([root], leaves, written)
    return found[root]


def within(root: Tensor, opened: Callable[[Tensor], bool]) -> Iterator[Tensor]:
    """A node and what it is made of, in the order of reading, into every node that is opened."""
    stack, seen = [root], {root}
    while stack:
        yield (node := stack.pop())
        if opened(node):
            stack += [i for i in reversed(node.inputs) if i not in seen]
            seen.update(node.inputs)


def written(node: Tensor, operands: Sequence[Written]) -> Written:
    """An operation around its operands."""
    op = node.op or ""
    holes = [operand == HOLE for operand in operands]
    if op in SIGNS:
        (latex, text), (_, level, needs) = SIGNS[op], TABLE[op].infix or ("", 0, (0, 0))
        if all(holes):
            return Written(latex, op if text == "·" else text)
        (a, b, _), (c, d, _) = (o.within(n) for o, n in zip(operands, needs, strict=True))
        if any(holes):
            return Written(f"{a}{{{latex}}}{c}", f"{b}{text}{d}")
        return Written(f"{a} {latex} {c}", f"{b} {text} {d}", level)
    if op == "getitem":
        index = _text(node.attributes["index"])
        whole = operands[0].within(ATOM)
        return Written(f"{whole.latex}{words(f'[{index}]')}", f"{whole.text}[{index}]")
    if op == "einsum":
        return _indexed(node.attributes["subscripts"], operands)
    latex, text = NAMES.get(op) or (rf"\mathrm{{{op.replace('_', chr(92) + ' ')}}}", op)
    shown = _attributes(node)
    if all(holes):
        more = (rf"\;{words(shown)}", f" {shown}") if shown else ("", "")
        return Written(latex + more[0], text + more[1])
    filled = [DOT if hole else operand for operand, hole in zip(operands, holes, strict=True)]
    if op == "identity":
        return filled[0]
    if op == "negative":
        a, b, _ = filled[0].within(PRODUCT)
        return Written(f"-{a}", f"−{b}", SUM)
    if op == "power":
        a, b, _ = Written(r"(\cdot)", "(·)") if holes[0] else filled[0].within(ATOM)
        return Written(f"{a}^{{{filled[1].latex}}}", f"{b}^{filled[1].within(ATOM).text}")
    if op in _AFTER and not shown:
        a, b, _ = filled[0].within(ATOM)
        return Written(a + _AFTER[op][0], b + _AFTER[op][1])
    latex, text = (
        _AROUND[op] if op in _AROUND and not shown else (f"{latex}({{}})", f"{text}({{}})")
    )
    below = op == "concat" and node.attributes["axis"] not in (-1, node.ndim - 1)
    comma = "; " if below and not shown else ", "
    inner = [o.latex for o in filled], [o.text for o in filled]
    if shown:
        inner[0].append(words(shown))
        inner[1].append(shown)
    return Written(
        latex.replace("{}", rf"{comma[0]}\,".join(inner[0])),
        text.replace("{}", comma.join(inner[1])),
    )


def _indexed(subscripts: str, operands: Sequence[Written]) -> Written:
    """A sum of products with its letters: Σ_j [W]_ij [x]_j."""
    before, after = subscripts.replace("...", "").split("->")
    summed = "".join(dict.fromkeys(c for c in before if c.isalpha() and c not in after))
    sums = (rf"\textstyle\sum_{{{summed}}}", f"Σ_{summed} ") if summed else ("", "")
    factors = [
        (f"[{(DOT if o == HOLE else o).latex}]_{{{k}}}", f"[{(DOT if o == HOLE else o).text}]_{k}")
        for o, k in zip(operands, before.split(","), strict=True)
    ]
    latex, text = zip(*factors, strict=True)
    return Written(sums[0] + "".join(latex), sums[1] + " ".join(text), PRODUCT)


def _attributes(node: Tensor) -> str:
    """What an operation is told beside its operands, but for the last axis, which is usual."""
    whole = node if node.op == "stack" else node.inputs[0]
    usual: tuple[Any, ...] = (-1, whole.ndim - 1)
    if whole.ndim > 1 and TABLE[node.op or ""].signature == "reduction":
        usual = ()  # max(A) is the largest of all
    if node.op == "concat" and node.ndim > 1:
        usual += (-2, node.ndim - 2)  # [a; b]
    shown = {
        name: value
        for name, value in node.attributes.items()
        if value is not None and name != "keepdims" and (name != "axis" or value not in usual)
    }
    if node.op in _AFTER and node.ndim == 2:
        return ""
    if set(shown) == {"shape"}:
        return f"({_text(shown['shape'])})"
    return ", ".join(f"{name}={_text(value)}" for name, value in shown.items())


def _text(index: Any) -> str:
    return PLAIN.index(index).replace("...", "…")


def _constant(node: Tensor) -> Written:
    """A number made of sizes by their names, any other constant by its entries."""
    if "words" not in node.attributes:
        return _number(node.data)
    text = node.attributes["words"]
    level = node.attributes["level"]
    return Written(words(text), text, level)


def _number(data: Array) -> Written:
    """A constant: a number, the first of several, a multiple of the identity, or that it is one."""
    if data.size and (data == data.flat[0]).all():
        return number(float(data.flat[0]))
    if data.ndim == 1:
        parts = [number(float(v)) for v in data]
        parts[2:-1] = [Written(r"\ldots", "…")] if len(parts) > 4 else parts[2:-1]
        return Written(
            f"[{', '.join(p.latex for p in parts)}]", f"[{', '.join(p.text for p in parts)}]"
        )
    if data.ndim == 2 and np.array_equal(data, data[0, 0] * np.eye(*data.shape)):
        a, b, _ = number(float(data[0, 0])).within(PRODUCT)
        return Written(f"{a} I", f"{b} I", PRODUCT) if data[0, 0] != 1 else Written("I", "I")
    return Written(words("const"), "const")


def number(value: float) -> Written:
    """A number of up to four digits."""
    text = f"{value:.4g}"
    latex = text.replace("nan", words("nan")).replace("inf", r"\infty")
    if "e" in text:
        digits, _, power = text.partition("e")
        latex = ("" if digits == "1" else rf"{digits} \cdot ") + f"10^{{{int(power)}}}"
    return Written(latex, text.replace("-", "−"), SUM if text.startswith("-") else ATOM)
