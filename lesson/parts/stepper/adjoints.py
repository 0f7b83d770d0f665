"""Formulas of a cell's adjoints to choose from: the right one, and mistakes drawn by rule.

Each wrong one is the right one with a slip in it (`tinygrad_lstm.diagnosis.repairs`, read the other
way round), and is told what is wrong with it by what grades the exercises. All is made when the
page is built.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from lesson.exercises.derive import Derivation, derivations
from lesson.languages import DEFAULT
from tinygrad_lstm.diagnosis.formula import Reference, read
from tinygrad_lstm.diagnosis.repairs import Repair, repairs, written
from tinygrad_lstm.diagnosis.signs import cleaned
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.notation import name_unicode
from tinygrad_lstm.step import Cell

WRONG, LONGEST = 4, 160  # formulas offered for an adjoint, and characters of one
# which slips are drawn first: what people do most
_ORDER = (
    "extra term",
    "leaf",
    "extra factor",
    "squared",
    "function",
    "sign of term",
    "sign of all",
)
SHORT = 60  # characters of a part that a sentence may name


def choices(cell: Cell, tags: Sequence[str]) -> dict[str, Any]:
    """By value: its adjoint's name, the right formula, and wrong ones with why, by language.

    Empty for a cell whose adjoints no formula can say.
    """
    return {
        name: {
            "bar": left,
            "right": right,
            "wrong": [
                [text, {tag: why.get(tag, why[DEFAULT]) for tag in tags}] for text, why in wrong
            ],
        }
        for name, left, right, wrong in _all(cell)
    }


@cache
def _all(cell: Cell) -> list[tuple[str, str, str, list[tuple[str, dict[str, str]]]]]:
    try:
        every = derivations(cell)
    except TinygradError:
        return []
    found = []
    for one in every:
        name = one.label.partition(".")[2]
        if one.label.startswith("bar.") and name in cell.program().equations:
            left, _, right = one.line.partition(" = ")
            if len(right) <= LONGEST and (wrong := list(_wrong(one, right))):
                found.append((name_unicode(name, None), left, _shown(one, right), wrong))
    return found


def _shown(one: Derivation, text: str) -> str:
    """A formula written as the wrong ones beside it are."""
    assert one.sheet is not None
    return written(read(text, one.sheet.point)[1], _text(one))


def _wrong(one: Derivation, right: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Wrong formulas of different kinds, each with what is said of it."""
    sheet, source = one.sheet, cleaned(right)
    assert sheet is not None
    formula = read(source, sheet.point)[1]
    kinds, count = set[str](), 0
    for slip in _ordered(list(repairs(formula, _text(one), source, lambda r: _alike(one, r)))):
        if count == WRONG or slip.message not in _ORDER or slip.kind == "transpose":
            continue
        if len(str(slip.words.get("theirs", ""))) > SHORT and slip.message == "leaf":
            continue
        text = written(slip.made, _text(one))
        if re.search(r"⊙ 1(?!\S)", text):  # nobody writes it so
            continue
        try:
            found = sheet.grade(one.label, text)
        except TinygradError:
            continue
        if found.right or found.kind == "unexplained" or found.kind in kinds:
            continue
        kinds |= {found.kind}
        count += 1
        yield text, {tag: lines[0] for tag, lines in found.lines.items()}


def _ordered(every: list[Repair]) -> list[Repair]:
    def place(slip: Repair) -> int:
        return _ORDER.index(slip.message) if slip.message in _ORDER else len(_ORDER)

    return sorted(every, key=place)


def _text(one: Derivation) -> Any:
    assert one.sheet is not None
    point = one.sheet.point
    return lambda reference: point.text(*reference)


def _alike(one: Derivation, reference: Reference) -> list[tuple[str, Reference]]:
    """Other equations of the same shape, at the same step."""
    assert one.sheet is not None
    point = one.sheet.point
    equations = point.program.equations
    if reference.label not in equations:
        return []
    shape = equations[reference.label].shape
    return [
        ("exchange", reference._replace(label=name))
        for name, node in equations.items()
        if node.shape == shape and name != reference.label
    ]
