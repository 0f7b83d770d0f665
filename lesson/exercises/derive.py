"""Derive this adjoint: an exercise for every adjoint of every cell, made from the cell itself.

    for exercise in derivations(cells.lstm): print(exercise.adjoint, exercise.level)

SymPy's derivation says what is asked, how hard it is and what the last hint is; the engine's run
of the cell grades (`tinygrad_lstm.diagnosis.derivations`). An adjoint is asked for only if the two
agree on it.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import equations
from lesson.exercises.tasks import Answer, Exercise, ExerciseError
from lesson.exercises.words import SAYS, Words, hints, languages_of, say, table, told
from tinygrad_lstm.diagnosis.derivations import Derivations
from tinygrad_lstm.diagnosis.diagnosis import Diagnosis
from tinygrad_lstm.diagnosis.formula import FormulaError
from tinygrad_lstm.diagnosis.signs import cleaned
from tinygrad_lstm.errors import DataError, TinygradError, unknown
from tinygrad_lstm.notation import UNSET, Apart, Time
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Tensor
from tinygrad_lstm.text import Unicode

if TYPE_CHECKING:  # SymPy takes a third of a second to import
    from equations.adjoints import Adjoints

LEVELS = ("easy", "medium", "hard")
NAME = "derive"


class _Typed(Unicode):
    """Formulas as they may be typed: a bar is written bar(C) where C̄ is a value of the cell's."""

    def __init__(self, sheet: Derivations) -> None:
        super().__init__()
        self._words = sheet.point.words

    def name(self, label: str, time: Time = UNSET, apart: Apart = frozenset()) -> str:  # noqa: D102
        shown = super().name(label, time, apart)
        found = self._words.get(cleaned(shown))
        if not label.startswith("bar.") or found is None or found.label == label:
            return shown
        index = "" if time in (None, UNSET) else f"_{{{time}}}"
        return f"bar({label[4:]}){index}"


@dataclass(frozen=True)
class Derivation(Exercise):
    """The exercise to derive one adjoint.

    label: as in a Program, "bar.C"; adjoint: as one reads it, C̄_t; line: SymPy's derivation;
    terms: how many the sum has; steps: whether one of them is of another step; before: the adjoints
    of the same step that it is made of.
    """

    sheet: Derivations | None = None
    label: str = ""
    adjoint: str = ""
    line: str = ""
    terms: int = 1
    steps: bool = False
    before: Sequence[str] = ()

    @property
    def level(self) -> str:
        """easy: one term of this step; medium: up to three, another step counted; hard: more."""
        return LEVELS[(self._size > 1) + (self._size > 3)]

    @property
    def minutes(self) -> int:
        """How long it takes, about."""
        return 2 + 2 * self._size

    @property
    def _size(self) -> int:
        return self.terms + self.steps

    @property
    def typed(self) -> str:
        """The adjoint as it is named in Python and on the command line: bar_C."""
        return typed(self.label)

    def check_name(self) -> None:
        """It is made of the cell's names, whatever these are."""


def typed(label: str) -> str:
    """A label as a name of Python: bar.C is bar_C."""
    return label.replace(".", "_")


@cache
def sheet_of(cell: Cell) -> Derivations:
    """What grades a cell's adjoints."""
    return Derivations(cell)


def derivations(cell: Cell) -> list[Derivation]:
    """The exercises of a cell, in the order in which a backward pass comes to its adjoints.

    Left out is what no loss reaches, and what the formulas of `diagnosis.formula` cannot say.
    """
    from equations.adjoints import assemble
    from equations.algebra import Nothing
    from equations.printer import CellPrinter

    sheet, adjoints = sheet_of(cell), assemble(cell)
    found = []
    for label in adjoints.contributions:
        line = adjoints.line(label)
        if isinstance(line.right, Nothing) or label not in sheet.adjoints():
            continue
        printer = CellPrinter(_Typed(sheet), apart=line.apart)
        left, right = printer.write(line.left), printer.write(line.right)
        try:
            agreed = sheet.agrees(label, right)
        except TinygradError:
            continue
        if agreed:
            found.append(_made(cell, sheet, adjoints, label, f"{left} = {right}"))
    if not found:
        raise ExerciseError(f"{cell}: there is no adjoint that a formula can say.")
    return found


def _made(cell: Cell, sheet: Derivations, adjoints: Adjoints, label: str, line: str) -> Derivation:
    from equations.algebra import named_values

    values = [q for e in adjoints.terms(label) for q in named_values(e)]
    steps = any(q.time in (1, -1) for q in values)
    bars = [q.label for q in values if q.label.startswith(("bar.", "delta.")) and not q.time]
    names = [b for b in dict.fromkeys(bars) if b != label]
    before = [sheet.point.text(b) for b in names]
    terms = max(1, len(adjoints.terms(label)))
    own, several = table(NAME), table(NAME, "words")
    facts = _facts(cell, sheet, label, line, before, terms)
    return Derivation(
        name=f"{NAME}-{cell.name}-{typed(label)}",
        title=own["title"],
        task=own["task"],
        hints=hints(NAME),
        start=_start(sheet, label, names),
        check=_check(sheet, label),
        facts=facts,
        words=several,
        says=table(NAME, "says"),
        sheet=sheet,
        label=label,
        adjoint=line.partition(" = ")[0],
        line=line,
        terms=terms,
        steps=steps,
        before=before,
    )


def of(cell: Cell, asked: str) -> Derivation:
    """The exercise of one adjoint, asked for as bar_C, bar.C, C̄_t or plainly C."""
    every = derivations(cell)
    word = cleaned(asked)
    for one in every:
        assert one.sheet is not None
        spelled = {*map(cleaned, one.sheet.point.spelled(one.label)), one.typed, one.label}
        if word in spelled:
            return one
    for one in every:
        if one.label == f"bar.{asked}":
            return one
    known = [one.typed for one in every]
    raise unknown(f"{cell} has no adjoint {asked!r} to derive", "there are", known)


# --- texts ----------------------------------------------------------------------------------------
def _facts(
    cell: Cell, sheet: Derivations, label: str, line: str, before: Sequence[str], terms: int
) -> Callable[[int], Mapping[str, Words]]:
    words, point = table(NAME, "words"), sheet.point
    inner = table(NAME, "list")["inside"]
    space, _, own = label.partition(".")
    tags = languages_of(table(NAME)["title"])

    def facts(seed: int) -> Mapping[str, Words]:
        forward = {e.name: e.unicode() for e in equations.forward(cell)}
        readers = _readers(sheet, label)
        inside = own if own in point.program.equations else own.rpartition(".")[0]
        value: Words = point.text(own)
        if space == "delta":
            value = {x: say(inner, x, equation=forward[inside]) for x in tags}
        right = line.partition(" = ")[2]
        known: Words = words["from_loss"] if not before else ", ".join(before)
        lines = dict.fromkeys(f"    {forward[r]}" for r, _ in readers)
        reads = "\n".join(lines) or f"    {right}"
        last = {x: say(words["and_loss"], x) for x in tags}
        return {
            "cell": cell.name,
            "adjoint": line.partition(" = ")[0],
            "value": value,
            "known": known,
            "readers": ", ".join(point.text(*reader) for reader in readers) or last,
            "loss": last if own in point.seeds else {x: "" for x in tags},
            "forward": reads,
            "count": str(terms),
            "line": line,
            "typed": typed(label),
        }

    return facts


def _readers(sheet: Derivations, label: str) -> list[tuple[str, int]]:
    """The equations that read a value, each with 1 where it does at the next step."""
    space, _, own = label.partition(".")
    program = sheet.point.program
    if space == "delta":
        return [(own if own in program.equations else own.rpartition(".")[0], 0)]
    if own in program.equations:
        places = {program.equations[own]: 0}
        if f"prev.{own}" in program.inputs:
            places[program.inputs[f"prev.{own}"]] = 1
    else:
        places = {program.inputs[own.removeprefix("input.")]: 0}
    known = {*program.inputs.values(), *program.equations.values()}
    found = []
    for reader, root in program.equations.items():
        stack, read, seen = list(root.inputs), set[int](), set[Tensor]()
        while stack:
            node = stack.pop()
            if node in places:
                read.add(places[node])
            elif node not in known and node not in seen:
                seen.add(node)
                stack += node.inputs
        found += [(reader, shift) for shift in sorted(read)]
    return sorted(found, key=lambda pair: pair[1])


def _start(sheet: Derivations, label: str, before: Sequence[str]) -> str:
    arguments = [
        name
        for name, reference in sheet.arguments(label).items()
        if not reference.shift and not reference.label.startswith("pre.")
        if name.isidentifier() and not keyword.iskeyword(name)
    ]
    some = ", ".join([*(typed(b) for b in before), "…"])
    lines = "".join(f"#   {row}\n" for row in _rows(arguments))
    return (
        "import numpy as np\n\n"
        '# {{as_formula}}\nformula = ""\n\n'
        f"# {{{{as_function}}}}\n#\n{lines}#\n# {{{{other_steps}}}}\n# {{{{one_sample}}}}\n#\n"
        f"# def {typed(label)}({some}):\n#     return …\n"
    )


def _rows(names: Sequence[str], width: int = 84) -> list[str]:
    rows = [""]
    for name in names:
        if len(rows[-1]) + len(name) > width:
            rows.append("")
        rows[-1] += name + " "
    return [row.rstrip() for row in rows]


# --- the check ------------------------------------------------------------------------------------
def _check(sheet: Derivations, label: str) -> Callable[[Answer], None]:
    def check(answer: Answer) -> None:
        formula, function = answer.values.get("formula"), answer.values.get(typed(label))
        if formula is not None and not isinstance(formula, str):
            answer.stop(answer.says["no_text"], value=repr(formula))
        if not (formula or "").strip() and function is None:
            answer.stop(answer.says["nothing"], name=typed(label))
        if (formula or "").strip():
            note(answer, sheet, label, str(formula))
        if function is not None:
            if not callable(function):
                answer.stop(SAYS["not_a_function"], name=typed(label))
            try:
                _tell(answer, sheet.grade_function(label, function))
            except DataError as error:
                answer.stop(answer.says["arguments"], error=str(error))

    return check


def note(answer: Answer, sheet: Derivations, label: str, formula: str) -> None:
    """Grade a formula, and note what was found."""
    try:
        _tell(answer, sheet.grade(label, formula))
    except FormulaError as error:
        answer.wrong(error.text(answer.language).replace("{{", "{ {"))


def _tell(answer: Answer, found: Diagnosis) -> None:
    first, *rest = told(found, answer.language)
    (answer.right if found.right else answer.wrong)("\n\n".join([first, *rest]))
