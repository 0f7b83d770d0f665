"""`diagnose(cell, forward=…)`: by which rule somebody's own step differs from a cell's."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lstm.diagnosis.answers import Form, Forward, answered, ask, checked
from tinygrad_lstm.diagnosis.diagnosis import Diagnosis
from tinygrad_lstm.diagnosis.expressions import Sites
from tinygrad_lstm.diagnosis.forward_words import differing, right_lines, unexplained_lines
from tinygrad_lstm.diagnosis.problems import Problem, distinct_sizes
from tinygrad_lstm.diagnosis.rewrites import Array, Rewrite, rewritten
from tinygrad_lstm.diagnosis.step_mistakes import step_mistakes
from tinygrad_lstm.errors import DataError, ShapeError, TinygradError
from tinygrad_lstm.program import Program
from tinygrad_lstm.step import Cell

RIGHT = 3e-5  # what rounding in float32 may do to an entry, of the largest one of its array
STEPS, BATCH, PROBES = 3, 2, 17
PAIRS = 600  # pairs of mistakes that are carried out, of those that the probes leave


@dataclass(frozen=True)
class Variant:
    """A step with mistakes in it, and what it computes."""

    rewrites: tuple[Rewrite, ...]
    program: Program
    values: Mapping[str, Array]

    @property
    def rank(self) -> tuple[float, float]:
        """Few mistakes before many, likely ones before others."""
        return len(self.rewrites), sum(r.rank for r in self.rewrites)


def diagnose_forward(
    cell: Cell,
    forward: Forward | None = None,
    *,
    found: Any = None,
    p: Mapping[str, Any] | None = None,
    xs: Any = None,
    initial: Mapping[str, Any] | None = None,
    seed: int = 0,
    **further: Any,
) -> Diagnosis:
    """Compare somebody's own forward with a cell's equations; see `diagnose`."""
    if forward is None:
        problem, answer = _recorded(cell, found, p, xs, initial, further)
        return compare(problem, answer, None)
    if not callable(forward):
        raise DataError(
            f"{cell}: forward is a function of (p, x, prev), got {type(forward).__name__}; for "
            f"arrays write diagnose(cell, forward={{…}}, p=p, xs=xs)."
        )
    form, problem, answer = try_forward(cell, forward, seed)
    return compare(problem, answer, lambda: smallest(cell, forward, form, seed))


def try_forward(cell: Cell, forward: Forward, seed: int) -> tuple[Form, Problem, dict[str, Array]]:
    """How a function is called, what it was tried on, and what it said."""

    def drawn(sizes: Mapping[str, int]) -> Callable[[Form], Problem]:
        def make(form: Form) -> Problem:
            steps, from_start = (1, False) if form.step else (STEPS, "initial" not in form.known)
            return Problem.draw(cell, sizes, steps, BATCH, PROBES, seed, from_start)

        return make

    every = [distinct_sizes(cell, {STEPS, BATCH, 1})]
    alike = {name: max(4, bound) for name in cell.sizes for bound in [cell.bounds.get(name, 1)]}
    with contextlib.suppress(TinygradError):
        every.append(cell.complete(alike))  # what is transposed runs where all sizes are the same
    found: tuple[Form, Problem, dict[str, Array]] = answered(forward, [*map(drawn, every)], cell)
    return found


def _recorded(
    cell: Cell,
    found: Any,
    p: Mapping[str, Any] | None,
    xs: Any,
    initial: Mapping[str, Any] | None,
    further: Mapping[str, Any],
) -> tuple[Problem, dict[str, Array]]:
    """A problem of arrays that somebody has, and what they found: over time, or of one step."""
    missing = [n for n, v in {"p": p, "xs": xs}.items() if v is None]
    if missing:
        raise DataError(
            f"{cell}: forward={{…}} needs {', '.join(missing)}, what it was computed for."
        )
    bound = cell.bind({name: np.asarray(v, dtype=float) for name, v in (p or {}).items()})
    program = cell.program(**bound.sizes)
    x = np.asarray(xs, dtype=float)
    own = program.inputs["x"].ndim
    if x.ndim not in (own + 1, own + 2) or x.shape[x.ndim - own :] != program.inputs["x"].shape:
        raise ShapeError(
            f"{cell}: xs has shape {x.shape}, but it is (time, batch, {cell.x}) or (time, "
            f"{cell.x}), with {program.shape_text(program.inputs['x'])}."
        )
    batch = x.shape[1 : x.ndim - own]
    rows = x.reshape(x.shape[0], 1, -1, *x.shape[x.ndim - own :])
    states = {}
    for name in cell.state:
        shape = program.inputs[f"prev.{name}"].shape
        value = (initial or {}).get(name, cell.initial(name, shape, float))
        states[name] = np.broadcast_to(np.asarray(value, dtype=float), (*batch, *shape))
        states[name] = states[name].reshape(1, -1, *shape).copy()
    probe = {name: t.data[None] for name, t in bound.items()}
    given = {name: np.asarray(v, dtype=float) for name, v in further.items()}
    problem = Problem(cell, bound.sizes, probe, rows, states, given)
    answer = checked(program, cell, found, x.shape[0], False, batch, "forward")
    return problem, {
        name: array.reshape(x.shape[0], -1, *program.equations[name].shape)
        for name, array in answer.items()
    }


# --- comparing -----------------------------------------------------------------------------------
class Comparison:
    """Somebody's answer beside the right one, and what variants would say."""

    def __init__(self, problem: Problem, answer: Mapping[str, Array]) -> None:
        self.problem = problem
        self.right = problem.run(problem.program)
        first = slice(0, problem.batch)
        for name, array in answer.items():
            odd = ~np.isfinite(array[:, first]) & np.isfinite(self.right[name][:, first])
            if odd.any():
                place = [int(k) for k in np.argwhere(odd)[0]]
                where = place[:1] * (problem.time > 1) + place[1:]
                value = array[tuple(place)]
                raise DataError(f"{problem.cell}: your {name} is {value} at {where}.")
        self.kept = np.flatnonzero(self._finite(answer))
        self.answer = {name: array[:, self.kept] for name, array in answer.items()}
        self.scale = {
            name: float(np.abs(self.right[name][:, self.kept]).max(initial=0.0)) or 1.0
            for name in answer
        }

    def _finite(self, answer: Mapping[str, Array]) -> Array:
        kept = np.ones(self.problem.probes * self.problem.batch, dtype=bool)
        for name, array in answer.items():
            for values in (array, self.right[name]):
                axes = (0, *range(2, values.ndim))
                kept &= np.isfinite(values).all(axis=axes)
        return kept

    def off(self, values: Mapping[str, Array], other: Mapping[str, Array] | None = None) -> Array:
        """Of each sample the largest difference, relative to the largest entry of its equation."""
        against = other or self.answer
        worst = np.zeros(len(self.kept))
        for name, array in self.answer.items():
            mine = values[name][:, self.kept]
            theirs = array if other is None else against[name][:, self.kept]
            difference = np.abs(mine - theirs)
            axes = (0, *range(2, difference.ndim))
            found = difference.max(axis=axes, initial=0.0) / self.scale[name]
            worst = np.maximum(worst, np.where(np.isfinite(found), found, np.inf))
        return worst

    def wrong(self) -> list[str]:
        """The equations that differ, in the order in which they are computed."""
        program = self.problem.program
        return [
            name
            for name in program.equations
            if name in self.answer
            and np.abs(self.answer[name] - self.right[name][:, self.kept]).max(initial=0.0)
            >= RIGHT * self.scale[name]
        ]

    # --- explanations ----------------------------------------------------------------------------
    def explanations(self) -> list[Variant]:
        """What gives the numbers that were found, the likeliest first."""
        problem = self.problem
        sites = Sites(problem.program)
        explained: list[Variant] = list(self._states_returned())
        tried: list[tuple[Rewrite, Array, Array]] = []
        rewrites = step_mistakes(sites, problem.time > 1)
        for rewrite in sorted(rewrites, key=lambda r: r.rank):
            variant = self._variant(rewrite)
            if variant is None:
                continue
            same = self.off(variant.values) < RIGHT
            if same.all():
                explained.append(variant)
            inert = self.off(variant.values, self.right) < RIGHT
            if not inert.all():
                tried.append((rewrite, same, inert))
        if not explained:
            explained = list(self._pairs(tried))
        return sorted(explained, key=lambda v: v.rank)

    def _variant(self, *rewrites: Rewrite) -> Variant | None:
        changed = [node for rewrite in rewrites for node in rewrite.changes]
        if len(set(changed)) < len(changed):  # two changes of one node do not go together
            return None
        try:
            program = rewritten(self.problem.program, rewrites)
        except (TinygradError, IndexError, StopIteration):  # nor one of what the other is made of
            return None
        if program is None:
            return None
        over = next((r.over for r in rewrites if r.over), "")
        if over == "axes" and self.problem.further:
            return None
        return Variant(rewrites, program, self.problem.run(program, over))

    def _pairs(self, tried: list[tuple[Rewrite, Array, Array]]) -> Iterator[Variant]:
        """Where one of two mistakes does not show, the other one alone must explain."""
        if not tried:
            return
        same = np.array([s for _, s, _ in tried], dtype=np.float32)
        inert = np.array([i for _, _, i in tried], dtype=np.float32)
        against = inert @ (1 - same).T  # where a does not show and b does not explain
        right = self.off(self.right) < RIGHT
        possible = (against == 0) & (against.T == 0)
        possible &= (inert * ~right) @ inert.T == 0
        shown = same @ inert.T  # how often b explains where a does not show
        score = shown + shown.T
        pairs = [
            (-score[a, b], tried[a][0].rank + tried[b][0].rank, a, b)
            for a, b in itertools.combinations(range(len(tried)), 2)
            if possible[a, b]
        ]
        for _, _, a, b in sorted(pairs)[:PAIRS]:
            variant = self._variant(tried[a][0], tried[b][0])
            if variant is not None and (self.off(variant.values) < RIGHT).all():
                yield variant

    def _states_returned(self) -> Iterator[Variant]:
        """All is right but which state is returned: another one, or the one before the step."""
        problem = self.problem
        states = [name for name in problem.cell.state if name in self.answer]
        returned = []
        for a, b in itertools.combinations(states, 2):
            if self.right[a].shape == self.right[b].shape:
                values = {**self.right, a: self.right[b], b: self.right[a]}
                words = {"a": a, "b": b}
                returned.append((Rewrite("exchange", "states exchanged", a, words=words), values))
        for name in states:
            rewrite = Rewrite("sign", "value sign", name)
            returned.append((rewrite, {**self.right, name: -self.right[name]}))
        for name in states if problem.time == 1 else ():
            old = problem.initial[name].reshape(self.right[name].shape)
            words = {"name": name}
            returned.append(
                (Rewrite("carried", "old returned", name, words=words), {**self.right, name: old})
            )
        for rewrite, values in returned:
            if (self.off(values) < RIGHT).all():
                yield Variant((rewrite,), problem.program, values)


def compare(
    problem: Problem,
    answer: Mapping[str, Array],
    smaller: Callable[[], tuple[Problem, Mapping[str, Array]] | None] | None,
) -> Diagnosis:
    """The diagnosis of an answer."""
    comparison = Comparison(problem, answer)
    wrong = comparison.wrong()
    if not wrong:
        worst = float(comparison.off(comparison.right).max(initial=0.0))
        return Diagnosis(True, lines=right_lines(problem.cell, list(answer), worst))
    explained = comparison.explanations()
    small = (smaller() if smaller else None) or (problem, answer)
    if not explained:
        example, lines = unexplained_lines(problem, wrong[0], answer, small)
        return Diagnosis(
            False, wrong[0], "unexplained", "", 0.0, ("unexplained",), (), example, lines
        )
    first = explained[0]
    # of two that are the same function under another name the likelier one is told alone
    others = [v for v in explained[1:] if v.rank[0] == first.rank[0]]
    told = differing(problem, first, others, wrong, small)
    confidence = (1 / (1 + told.others)) * (0.8 if len(first.rewrites) > 1 else 1)
    kinds = tuple(r.kind for r in first.rewrites)
    likely = tuple(dict.fromkeys(v.rewrites[0].kind for v in explained))
    return Diagnosis(
        False, told.where, kinds[0], told.term, confidence, kinds, likely, told.example, told.lines
    )


def smallest(
    cell: Cell, forward: Forward, form: Form, seed: int
) -> tuple[Problem, dict[str, Array]] | None:
    """The smallest problem on which the function is wrong."""
    small = {n: v for n, v in cell.small_sizes().items() if n in cell.sizes}
    ones = {n: max(1, cell.bounds.get(n, 1)) for n in cell.sizes}
    for sizes in (ones, small):
        for steps in (1,) if form.step else (1, 2, 3):
            try:
                full = cell.complete(sizes)
                start = not form.step and "initial" not in form.known
                problem = Problem.draw(cell, full, steps, 1, 1, seed, start)
                answer = ask(forward, form, problem)
                if Comparison(problem, answer).wrong():
                    return problem, answer
            except (
                Exception
            ):  # the function is the caller's, and sizes of 1 may be too small for it
                continue
    return None
