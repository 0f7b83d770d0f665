"""How somebody's own step differs from a cell's, in words: en, ko, zh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lstm.diagnosis.diagnosis import LANGUAGES, entry, say
from tinygrad_lstm.diagnosis.problems import Problem
from tinygrad_lstm.diagnosis.rewrites import Array, Rewrite
from tinygrad_lstm.program import Program
from tinygrad_lstm.step import Cell
from tinygrad_lstm.text import UNICODE

Lines = dict[str, tuple[str, ...]]
NEAR = 0.3  # how much less likely a mistake may be that is mentioned beside another one


@dataclass(frozen=True)
class Told:
    """What is said of an explanation."""

    where: str
    term: str
    others: int
    example: Mapping[str, Any]
    lines: Lines


def right_lines(cell: Cell, names: Sequence[str], worst: float) -> Lines:
    """Of a step that is the cell's."""
    words = {"cell": cell.name, "names": ", ".join(names), "worst": f"{worst:.0e}"}
    return {tag: (say("forward right", tag, **words),) for tag in LANGUAGES}


def mistake(program: Program, rewrite: Rewrite, tag: str) -> str:
    """One mistake in one language."""
    words = {"equation": program.label(rewrite.equation, UNICODE), **rewrite.words}
    return say(f"forward {rewrite.message}", tag, **words)


def differing(
    problem: Problem,
    first: Any,
    others: Sequence[Any],
    wrong: Sequence[str],
    small: tuple[Problem, Mapping[str, Array]],
) -> Told:
    """Of a step that variants explain: `first`, and others that give the same numbers."""
    program = problem.program
    order = list(program.equations)
    rewrites = sorted(first.rewrites, key=lambda r: order.index(r.equation))
    where = rewrites[0].equation
    seen, alike = {_formulas(first)}, []
    for variant in others:
        if variant.rank[1] <= first.rank[1] + NEAR and _formulas(variant) not in seen:
            seen.add(_formulas(variant))
            alike.append(variant)
    example = _example(small, where, wrong)
    lines = {}
    for tag in LANGUAGES:
        shown = [mistake(program, r, tag) for r in rewrites]
        shown[1:] = [say("and", tag) + line for line in shown[1:]]
        shown += _beside(program, first, tag)
        if example:
            shown.append(say("example", tag, **example))
        more = ""
        if alike:
            told = " ".join(mistake(program, r, tag) for r in alike[0].rewrites)
            more = say("others", tag, count=len(alike), next=told.rstrip(".。"))
        shown.append(say("sure", tag, others=more))
        lines[tag] = tuple(shown)
    words = rewrites[0].words
    term = str(words.get("term", words.get("operand", "")))
    return Told(where, term, len(alike), example, lines)


def _formulas(variant: Any) -> tuple[str, ...]:
    """What a variant writes otherwise, as text: two with the same are one mistake."""
    over = [r.over or r.message for r in variant.rewrites if not r.changes]
    program: Program = variant.program
    return (*over, *(program.text(name, UNICODE) for name in program.equations))


def _beside(program: Program, variant: Any, tag: str) -> list[str]:
    """The formulas that are written otherwise: theirs, and the right ones."""
    found = []
    for name in program.equations:
        theirs, right = variant.program.text(name, UNICODE), program.text(name, UNICODE)
        if theirs != right:
            found += [say("forward yours", tag, line=theirs), say("line", tag, line=right)]
    return found[:6]


def unexplained_lines(
    problem: Problem,
    where: str,
    answer: Mapping[str, Array],
    small: tuple[Problem, Mapping[str, Array]],
) -> tuple[Mapping[str, Any], Lines]:
    """Of a step that no rule explains."""
    right = problem.run(problem.program)[where]
    with np.errstate(all="ignore"):
        worst = np.nanmax(np.abs(answer[where] - right)) / (np.nanmax(np.abs(right)) or 1)
    example, program = _example(small, where, [where]), problem.program
    lines = {}
    for tag in LANGUAGES:
        label = program.label(where, UNICODE)
        shown = [say("forward unexplained", tag, equation=label, worst=f"{worst:.1e}")]
        shown.append(say("line", tag, line=program.text(where, UNICODE)))
        if example:
            shown.append(say("example", tag, **example))
        lines[tag] = tuple(shown)
    return example, lines


def _example(
    small: tuple[Problem, Mapping[str, Array]], where: str, wrong: Sequence[str]
) -> dict[str, Any]:
    """The entry that differs most, of the equation that is wrong or the first that shows it."""
    problem, answer = small
    right = problem.run(problem.program)
    first = slice(0, problem.batch)  # the probe without zeros
    off = {n: np.abs(answer[n][:, first] - right[n][:, first]) for n in answer}
    names = [n for n in (where, *wrong, *off) if n in off and np.nanmax(off[n], initial=0.0) > 0]
    if not names:
        return {}
    name = names[0]
    sizes = {**problem.sizes, "batch": problem.batch}
    sizes |= {"time": problem.time} if problem.time > 1 else {}
    return entry(name, off[name], answer[name], right[name], sizes, int(problem.time == 1))
