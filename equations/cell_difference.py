"""`difference`: what two cells do differently, line by line, with the changed terms marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from sympy import Add, Expr, Mul
from sympy import Symbol as Sign

from equations.algebra import Marked, SymbolicOperation, SymbolicValue, factors, rebuild, terms
from equations.lines import Equation, Lines
from equations.places import written_for_one_place
from equations.symbolic import symbolic_step
from tinygrad_lstm.program import Program
from tinygrad_lstm.step import Cell

_ADDED, _REMOVED = Sign("added"), Sign("removed")


@dataclass(frozen=True)
class Change:
    """One line that differs.

    kind: "added" (only the second cell has it), "removed" (only the first has it) or "changed".
    before, after: the line in the first and in the second cell, what it has alone marked; None
    where there is no such line, and also before where nothing was taken away from the line.
    """

    name: str
    kind: str
    before: Equation | None
    after: Equation | None

    @property
    def lines(self) -> list[tuple[str, Equation]]:
        """The lines to show, each with its sign: "-" for the first cell, "+" for the second.

        A line to which something was only added is shown once, as the second cell has it, with "~".
        """
        if self.before is None and self.after is not None:
            return [("~" if self.kind == "changed" else "+", self.after)]
        both = (("-", self.before), ("+", self.after))
        return [(sign, line) for sign, line in both if line is not None]


class Difference(Lines[Change]):
    """The lines in which two cells differ. It is empty where they compute the same.

    What changed is underlined and in colour in LaTeX, of class `added` or `removed` in MathML, and
    stands between « and » in Unicode, where a line begins with ~ (changed), + (added) or -.
    """

    def __init__(self, changes: Sequence[Change], first: str, second: str) -> None:
        super().__init__(changes)
        self._names = {"-": first, "+": second, "~": second}

    def rows(self) -> list[tuple[Equation, str]]:
        """The lines; which cell each is from, if they are not all the second one's."""
        lines = [line for change in self for line in change.lines]
        told = any(sign == "-" for sign, _ in lines)
        return [(line, f"in {self._names[sign]}" if told else "") for sign, line in lines]

    def unicode(self) -> str:  # noqa: D102
        return "\n".join(f"{sign} {e.unicode()}" for change in self for sign, e in change.lines)


def difference(a: Cell, b: Cell) -> Difference:
    """The forward lines in which cell b differs from cell a, in b's order, then those b lacks."""
    sizes = {n: k for cell in (a, b) for n, k in getattr(cell, "small_sizes", dict)().items()}
    first, second = (symbolic_step(cell, _of_sizes(cell, sizes)).equations for cell in (a, b))
    changes = []
    for name, right in second.items():
        if name not in first:
            changes.append(Change(name, "added", None, _line(name, right, _ADDED)))
        elif first[name] != right:
            old, new = _mark(first[name], right)
            before = _line(name, old) if old.has(Marked) else None
            changes.append(Change(name, "changed", before, _line(name, new)))
    for name, right in first.items():
        if name not in second:
            changes.append(Change(name, "removed", _line(name, right, _REMOVED), None))
    return Difference(changes, a.name, b.name)


def _of_sizes(cell: Cell, sizes: Mapping[str, int]) -> Program | None:
    """The step for sizes that both cells have, so that axes of one name have one length."""
    if not isinstance(cell, Cell):
        return None
    return cell.program(**{n: max(sizes[n], k) for n, k in cell.small_sizes().items()})


def _line(name: str, right: Expr, mark: Sign | None = None) -> Equation:
    """An equation, at one place where it is written so; marked as a whole or as it is."""
    if isinstance(right, Marked):
        right, mark = right.args
    left, (right,) = written_for_one_place(SymbolicValue(name), [right])
    return Equation(name, left, right if mark is None else Marked(right, mark))


def _mark(old: Expr, new: Expr) -> tuple[Expr, Expr]:
    """Both expressions, with the smallest parts that differ marked."""
    if old == new:
        return old, new
    was, now = _listed(old), _listed(new)
    if was and now and old.func == new.func:
        return _align(old, was, new, now)
    same_kind = old.func == new.func and len(old.args) == len(new.args) > 0
    if same_kind and not (isinstance(old, SymbolicOperation) and old.args[0] != new.args[0]):
        pairs = [_mark(x, y) for x, y in zip(old.args, new.args, strict=True)]
        return rebuild(old, [x for x, _ in pairs]), rebuild(new, [y for _, y in pairs])
    return Marked(old, _REMOVED), Marked(new, _ADDED)


def _listed(expr: Expr) -> list[Expr]:
    """The terms of a sum, the factors of a product, the parts of a concatenation; else nothing."""
    if isinstance(expr, SymbolicOperation):
        return list(expr.operands) if expr.op == "concat" else []
    return terms(expr) if isinstance(expr, Add) else factors(expr) if isinstance(expr, Mul) else []


def _align(old: Expr, was: list[Expr], new: Expr, now: list[Expr]) -> tuple[Expr, Expr]:
    """Align two lists of operands: what both have stays, the rest is compared or marked."""
    before, after = [], []
    matcher = SequenceMatcher(None, was, now, autojunk=False)
    for tag, i, j, k, m in matcher.get_opcodes():
        if tag == "equal":
            before += was[i:j]
            after += now[k:m]
        elif tag == "replace" and j - i == m - k:
            for x, y in zip(was[i:j], now[k:m], strict=True):
                x, y = _mark(x, y)
                before.append(x)
                after.append(y)
        else:
            before += [Marked(x, _REMOVED) for x in was[i:j]]
            after += [Marked(y, _ADDED) for y in now[k:m]]
    return _with_operands(old, before), _with_operands(new, after)


def _with_operands(expr: Expr, operands: list[Expr]) -> Expr:
    tag = [expr.args[0]] if isinstance(expr, SymbolicOperation) else []
    return rebuild(expr, [*tag, *operands])
