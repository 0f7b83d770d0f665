r"""Equations as results: each with its name, LaTeX, MathML and Unicode, and so the whole."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, Self, TypeVar, overload

from sympy import Expr

from equations import markup
from equations.algebra import SumOverTime, plus
from equations.printer import CellPrinter
from tinygrad_lstm.errors import UnknownNameError
from tinygrad_lstm.notation import Apart
from tinygrad_lstm.text import LATEX, UNICODE, Unicode

Line = TypeVar("Line")


class Shown:
    """What notebooks and terminals show of a result that has `.latex()` and `.unicode()`.

    Notebooks set its LaTeX in their own colours. MathML is not shown: as HTML it would come first,
    and GitHub and an untrusted JupyterLab take its elements away and leave a row of letters.
    """

    def latex(self) -> str:
        """The result in LaTeX."""
        raise NotImplementedError

    def unicode(self) -> str:
        """The result in Unicode."""
        raise NotImplementedError

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": self.unicode(), "text/latex": f"$\\displaystyle {self.latex()}$"}

    def __str__(self) -> str:
        return self.unicode()

    __repr__ = __str__


@dataclass(frozen=True, repr=False)
class Equation(Shown):
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


@dataclass(frozen=True)
class Note:
    """One entry of a legend: a sign, in LaTeX and Unicode, and what it means in words."""

    latex: str
    unicode: str
    words: str


class Lines(Shown, Sequence[Line]):
    """Lines in order, which are shown as rows: equations, some with a remark behind them."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = tuple(lines)

    def rows(self) -> list[tuple[Equation, str]]:
        """The equations to show, each with its remark."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, key: int) -> Line: ...
    @overload
    def __getitem__(self, key: slice) -> Self: ...
    def __getitem__(self, key: int | slice) -> Line | Self:
        if not isinstance(key, slice):
            return self._lines[key]
        some = copy(self)
        some._lines = self._lines[key]
        return some

    def latex(self) -> str:
        r"""All lines, aligned at their equals signs; a remark is \text at the right."""
        rows = []
        for line, remark in self.rows():
            words = rf" && \text{{{remark}}}".replace("_", r"\_") if remark else ""
            rows.append(line.latex().replace(" = ", " &= ", 1) + words)
        return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"

    def mathml(self, width: int = 60) -> str:
        """All lines in one <math> table, aligned; sums longer than `width` are broken."""
        rows = []
        for line, remark in self.rows():
            first, *others = markup.broken(*line.pieces(width))
            rows += [[*first, f"<mtext>{remark}</mtext>"] if remark else first, *others]
        return markup.math(markup.table(rows))

    def unicode(self) -> str:
        """A line each, a remark after it in parentheses."""
        return "\n".join(
            line.unicode() + (f"    ({remark})" if remark else "") for line, remark in self.rows()
        )


class Equations(Lines[Equation]):
    """Equations in order. `e[0]` and `e["f"]` are single ones; `legend` explains their notation."""

    def __init__(self, equations: Sequence[Equation], legend: Sequence[Note] = ()) -> None:
        super().__init__(equations)
        self.legend = tuple(legend)

    def rows(self) -> list[tuple[Equation, str]]:  # noqa: D102
        return [(line, "") for line in self]

    @property
    def names(self) -> list[str]:
        """What the equations define, in order."""
        return [line.name for line in self]

    @overload
    def __getitem__(self, key: int | str) -> Equation: ...
    @overload
    def __getitem__(self, key: slice) -> Equations: ...
    def __getitem__(self, key: int | str | slice) -> Equation | Equations:
        if not isinstance(key, str):
            return super().__getitem__(key)
        if key not in self.names:
            raise UnknownNameError(f"no equation {key!r}; there are {', '.join(self.names)}.")
        return self[self.names.index(key)]

    def __contains__(self, key: object) -> bool:
        return key in self.names if isinstance(key, str) else super().__contains__(key)
