r"""Equations as results: each with its name, LaTeX, MathML and Unicode, and so the whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

from sympy import Expr

from equations import markup
from equations.algebra import SumOverTime, plus
from equations.printer import CellPrinter
from tinygrad_lstm.errors import UnknownNameError
from tinygrad_lstm.notation import Apart
from tinygrad_lstm.text import LATEX, UNICODE, Unicode


@dataclass(frozen=True)
class Equation:
    """One line, left = right, both SymPy expressions in the project's notation.

    name: what it defines, as in a Program: `f`, `bar.f`, `bar.W_f`, or `delta.f`, the derivative
    in what stands inside f's nonlinear function. step: the number t stands for, if it is one.
    apart: what is written in its second way, see `name_latex`.
    """

    name: str
    left: Expr
    right: Expr
    step: int | None = None
    apart: Apart = frozenset()

    def latex(self) -> str:
        """The line in LaTeX, without dollar signs."""
        return self._text(LATEX)

    def unicode(self) -> str:
        """The line in Unicode, as for a terminal."""
        return self._text(UNICODE)

    def _text(self, style: Unicode) -> str:
        printer = CellPrinter(style, self.step, apart=self.apart)
        return f"{printer.write(self.left)} = {printer.write(self.right)}"

    def mathml(self, display: bool = False, width: int | None = None) -> str:
        """The line as a <math> element; with `width` a long sum is broken, see `pieces`."""
        if width is None:
            return markup.math(markup.mathml_row(self.latex()), display)
        return markup.math(markup.table(markup.broken(*self.pieces(width))), display)

    def pieces(self, width: int = 60) -> list[str]:
        """The line in LaTeX for narrow columns: its left-hand side, then rows of its right one.

        The first row begins with =, a further one with the sign of its first term. width: about
        how many visible characters fit into a row; a single term is never broken.
        """
        latex, text = (CellPrinter(s, self.step, apart=self.apart) for s in (LATEX, UNICODE))
        inner = self.right.args[0] if isinstance(self.right, SumOverTime) else None
        if inner is not None and inner.is_Add:  # a long sum over time is one sum for each term
            right = plus(*(SumOverTime(term) for term in inner.args))
        else:
            right = self.right
        rows, room = [""], width
        for piece, shown in zip(latex.addends(right), text.addends(right), strict=True):
            if rows[-1] and len(shown) > room:
                rows.append("")
                room = width
            rows[-1] += (" " if rows[-1] else "") + piece
            room -= len(shown) + 1
        return [latex.write(self.left), f"= {rows[0]}", *rows[1:]]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return bundle(self)

    def __str__(self) -> str:
        return self.unicode()

    __repr__ = __str__


@dataclass(frozen=True)
class Note:
    """One entry of a legend: a sign, in LaTeX and Unicode, and what it means in words."""

    latex: str
    unicode: str
    words: str


class Equations(Sequence[Equation]):
    """Equations in order. `e[0]` and `e["f"]` are single ones; `legend` explains their notation."""

    def __init__(self, equations: Sequence[Equation], legend: Sequence[Note] = ()) -> None:
        self._equations = tuple(equations)
        self.legend = tuple(legend)

    @cached_property
    def names(self) -> list[str]:
        """What the equations define, in order."""
        return [e.name for e in self._equations]

    def __len__(self) -> int:
        return len(self._equations)

    def __iter__(self) -> Iterator[Equation]:
        return iter(self._equations)

    @overload
    def __getitem__(self, key: int | str) -> Equation: ...
    @overload
    def __getitem__(self, key: slice) -> Equations: ...
    def __getitem__(self, key: int | str | slice) -> Equation | Equations:
        if isinstance(key, slice):
            return Equations(self._equations[key], self.legend)
        if isinstance(key, str):
            if key not in self.names:
                raise UnknownNameError(f"no equation {key!r}; there are {', '.join(self.names)}.")
            return self._equations[self.names.index(key)]
        return self._equations[key]

    def __contains__(self, key: object) -> bool:
        return key in self.names if isinstance(key, str) else key in self._equations

    def latex(self) -> str:
        r"""All lines, aligned at their equals signs (\begin{aligned} …)."""
        rows = [e.latex().replace(" = ", " &= ", 1) for e in self._equations]
        return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"

    def mathml(self, width: int = 60) -> str:
        """All lines in one <math> table, aligned; sums longer than `width` are broken."""
        rows = []
        for equation in self._equations:
            rows += markup.broken(*equation.pieces(width))
        return markup.math(markup.table(rows))

    def unicode(self) -> str:
        """One line each."""
        return "\n".join(e.unicode() for e in self._equations)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return bundle(self)

    def __str__(self) -> str:
        return self.unicode()

    __repr__ = __str__


def bundle(result: Any) -> dict[str, str]:
    """A result for notebooks: they set its LaTeX in their own colours.

    MathML is not among it: as HTML it would come first, and GitHub and an untrusted JupyterLab
    take its elements away and leave a row of letters.
    """
    return {"text/plain": result.unicode(), "text/latex": f"$\\displaystyle {result.latex()}$"}
