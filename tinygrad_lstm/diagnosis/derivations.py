"""An adjoint as somebody derived it: a formula, or a function of NumPy, and what is wrong with it.

    sheet = Derivations(cells.lstm)
    print(sheet.grade("bar.C", "h̄_t ⊙ o_t ⊙ (1 - tanh²(C_t))"))

Both are compared with the engine's adjoint at a random run of the cell, in which all other values
and adjoints are the right ones, so that any equivalent form is right. What is wrong is looked for
among the mistakes that `diagnose` draws from the cell's graph, then among slips in the formula.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from tinygrad_lstm.diagnosis.diagnosis import LANGUAGES, Diagnosis, say
from tinygrad_lstm.diagnosis.evaluation import evaluate
from tinygrad_lstm.diagnosis.formula import FormulaError, Part, Reference, read
from tinygrad_lstm.diagnosis.point import STEPS, Point
from tinygrad_lstm.diagnosis.repairs import repairs
from tinygrad_lstm.diagnosis.rules import Array
from tinygrad_lstm.diagnosis.signs import cleaned
from tinygrad_lstm.diagnosis.slips import Slip, Slips, Told, pair_of
from tinygrad_lstm.errors import DataError, unknown
from tinygrad_lstm.graph import ancestors
from tinygrad_lstm.notation import number
from tinygrad_lstm.step import Cell

CLOSE = 1e-7  # of the largest entry: two ways to write one formula round differently
_SUFFIX = {0: "", 1: "_next", -1: "_before"}
Finding = tuple[str, str, Told]  # a mistake's kind, the right term, its sentence


class Derivations:
    """The adjoints of a cell, and what somebody's formulas for them are worth."""

    def __init__(self, cell: Cell, seed: int = 0) -> None:
        self.cell, self.point = cell, Point(cell, seed)
        self._slips = Slips(self.point)
        self._rules: dict[str, list[Slip]] = {}

    def adjoints(self) -> list[str]:
        """Every label that `grade` takes: `bar.C`, `delta.o`, `bar.W_f`, `bar.x`, …."""
        return [n for n in self.point.values if n.startswith(("bar.", "delta."))]

    def right(self, label: str) -> Array:
        """The adjoint's numbers: (time, own axes), of a parameter (1, own axes)."""
        if label not in self.adjoints():
            raise unknown(f"{self.cell} has no adjoint {label!r}", "it has", self.adjoints())
        return self.point.values[label]

    # --- what was found --------------------------------------------------------------------------
    def grade(self, label: str, text: str) -> Diagnosis:
        """Whether a formula is the adjoint, and if not, what is wrong with it.

        FormulaError: a formula that cannot be read, or shapes in it that do not fit.
        """
        right, source = self.right(label), cleaned(text)
        left, formula = read(text, self.point)
        if left is not None and not self._is(label, source[left.start : left.end]):
            words = {"name": source[left.start : left.end], "asked": self.point.text(label)}
            raise FormulaError("other side", source, left.start, left.end, **words)
        for part in formula.all():
            if part.reference and part.reference.label in self.point.gradients - {label}:
                name = source[part.start : part.end]
                raise FormulaError("whole", source, part.start, part.end, name=name)
        found, summed = evaluate(self.point, formula, source, right.shape[1:]), False
        if len(right) == 1 < len(found):
            formula, summed = Part("over steps", (formula,)), True
            found = evaluate(self.point, formula, source, right.shape[1:])
        elif len(found) == 1 < len(right) and "over steps" in {part.op for part in formula.all()}:
            return self._wrong(label, found, [self._finding("sum", "over steps", label)])
        used = _at_own_step(formula)
        if (verdict := self._compared(label, found, used, summed)) is not None:
            return verdict
        return self._explained(label, found, self._of_formula(label, formula, source), summed)

    def agrees(self, label: str, text: str) -> bool:
        """Whether a formula gives the adjoint's numbers, without a word on why not."""
        right, formula = self.right(label), read(text, self.point)[1]
        return self._same(evaluate(self.point, formula, cleaned(text), right.shape[1:]), right)

    def grade_function(self, label: str, function: Callable[..., Any]) -> Diagnosis:
        """The same of a function of NumPy arrays, whose arguments are named after what they take.

        `bar_C(bar_h, o, C, bar_C_next, f_next)`: values of the step, `_next` of the step after,
        `_before` of the one before; for one sample. Of a parameter: what differs from step to step
        has the axis of time in front, and the result is summed over it. DataError: an argument that
        is no value, or a result that is no number. What the function raises is raised.
        """
        right, name = self.right(label), getattr(function, "__name__", "the function")
        arguments, wanted = self.arguments(label), list(inspect.signature(function).parameters)
        for argument in wanted:
            if argument not in arguments:
                known = ", ".join(arguments)
                raise DataError(f"{name} takes {argument!r}, which is no value; there are {known}.")
        given = {a: self.point.at(arguments[a]) for a in wanted}
        if len(right) == 1:
            steady = self.steady()
            whole = {a: v[0] if arguments[a].label in steady else v for a, v in given.items()}
            results = [function(**{a: np.array(v) for a, v in whole.items()})]
        else:
            steps = range(STEPS)
            each = [{a: np.array(v[t % len(v)]) for a, v in given.items()} for t in steps]
            results = [function(**step) for step in each]
        arrays = [np.asarray(getattr(v, "data", v)) for v in results]
        if any(a.dtype.kind not in "fiu" for a in arrays):
            raise DataError(f"{name} returns {results[0]!r}; numbers are asked for.")
        if len({a.shape for a in arrays}) > 1:
            raise DataError(f"{name} returns other shapes at other steps.")
        found, summed = np.stack(arrays).astype(float), False
        if len(right) == 1 and found.shape[1:] == (STEPS, *right.shape[1:]):
            found, summed = found.sum(axis=1), True
        used = {arguments[a].label for a in wanted if not arguments[a].shift}
        verdict = self._compared(label, found, used, summed)
        return verdict or self._explained(label, found, [], summed)

    def arguments(self, label: str) -> dict[str, Reference]:
        """What a function for an adjoint may take, by the names of arguments."""
        found: dict[str, Reference] = {}
        for own in sorted(self.point.names, key=lambda n: "." in n):  # the cell's own names first
            base = f"dL_d{own[5:]}" if own.startswith("seed.") else own.replace(".", "_")
            shifts = (0, 1, -1) if len(self.point.values[own]) > 1 else (0,)
            for shift in shifts:
                if own != label or shift > 0:
                    found.setdefault(base + _SUFFIX[shift], Reference(own, shift))
        return found

    def steady(self) -> set[str]:
        """Labels of what is the same at every step."""
        return {name for name, array in self.point.values.items() if len(array) == 1}

    def later(self, label: str) -> set[str]:
        """Adjoints of the same step that are computed from this one: to use them is a circle."""
        space, _, own = label.partition(".")
        equations = self.point.program.equations
        name = self.point.owner(own)
        if name not in equations:
            return {label}
        nodes = set(ancestors([equations[name]]))
        below = {n for n, node in equations.items() if node in nodes and n != name}
        later = {f"{s}.{n}" for n in below for s in ("bar", "delta")} | {"bar.x"}
        later |= {f"delta.{name}"} if space == "bar" else set()
        return {n for n in self.point.values if _base(n, equations) in later} | {label}

    def _is(self, label: str, word: str) -> bool:
        """Whether the left-hand side of a formula is this adjoint."""
        return self.point.words.get(word) == Reference(label)

    # --- comparing -------------------------------------------------------------------------------
    @staticmethod
    def _shown(array: Array) -> Array:
        """The steps that are compared: all that have one after them."""
        return array[:-1] if len(array) > 1 else array

    def _same(self, found: Array, right: Array) -> bool:
        if found.shape[1:] != right.shape[1:]:
            return False
        a, b = np.broadcast_arrays(self._shown(found), self._shown(right))
        scale = float(np.abs(b).max(initial=0.0)) or 1.0
        return bool(np.abs(a - b).max(initial=0.0) <= CLOSE * scale)

    def _compared(
        self, label: str, found: Array, used: Collection[str], summed: bool
    ) -> Diagnosis | None:
        """What is to be said without looking for a reason; None where there is one to be found."""
        right = self.right(label)
        if found.shape[1:] != right.shape[1:]:
            return self._wrong(label, found, [self._misfit(label, found)])
        if not np.isfinite(self._shown(found)).all():
            return self._wrong(label, found, [self._finding("value", "not finite", label)])
        if not self._same(found, right):
            return None
        if summed:
            return self._wrong(label, found, [self._finding("sum", "not summed", label)])
        if circle := self.later(label) & set(used):
            name = self.point.text(min(circle))
            return self._wrong(label, found, [self._finding("value", "circle", label, name=name)])
        count = self._shown(right).size
        told = self._slips.sentence("right", label, count=count)
        return Diagnosis(True, lines={tag: (told(tag),) for tag in LANGUAGES})

    def _misfit(self, label: str, found: Array) -> Finding:
        right = self.right(label)
        own, wanted = found.shape[1:], right.shape[1:]
        value = self.point.text(label.partition(".")[2])
        if own == wanted[::-1] and self._same(np.swapaxes(found, -1, -2), right):
            return "transpose", "", lambda tag: say("gradient transposed", tag, name=value)
        key = "shape of gradient" if label in self.steady() and len(wanted) == 2 else "shape"
        key = "shape of product" if len(own) > len(wanted) else key
        words = {"found": own, "wanted": wanted, "value": value}
        return self._finding("value", key, label, **words)

    # --- explaining ------------------------------------------------------------------------------
    def _explained(
        self, label: str, found: Array, slips: Sequence[Slip], summed: bool
    ) -> Diagnosis:
        """The likeliest single mistake, else two."""
        right = self.right(label)
        if label not in self._rules:
            self._rules[label] = sorted(self._slips.of(label), key=lambda slip: slip.rank)
        rules = self._rules[label]
        ways = [s for s in rules if self._same(found, s.value)]
        ways += [s for s in slips if self._same(s.value, right)]
        ways.sort(key=lambda slip: slip.rank)
        first = ways[:1] or pair_of(found, right, rules, slips, self._same) or ()
        told: list[Finding | None] = []
        if summed:
            told.append(self._finding("sum", "not summed", label))
        for slip in first:
            sentence, term = slip.tell()
            told.append((slip.kind, term, sentence))
        return self._wrong(label, found, told if first else [*told, None], ways[1:])

    def _of_formula(self, label: str, formula: Part, source: str) -> list[Slip]:
        right, found, circle = self.right(label), list[Slip](), self.later(label)

        def text(reference: Reference) -> str:
            return self.point.text(*reference)

        for repair in repairs(formula, text, source, self._alike):
            if circle & _at_own_step(repair.made):
                continue
            try:
                value = evaluate(self.point, repair.made, source, right.shape[1:])
            except FormulaError:
                continue
            told = self._slips.sentence(repair.message, label, **repair.words)
            tell = (told, str(repair.words.get("right", "")))
            found.append(Slip(repair.kind, repair.rank, value, lambda t=tell: t))  # type: ignore[misc]
        return found

    def _alike(self, reference: Reference) -> list[tuple[str, Reference]]:
        """Values that are taken for one another: those of its shape and kind."""
        values, own, found = self.point.values, reference.label, list[tuple[str, Reference]]()
        equations, space = self.point.program.equations, _space(own)
        for label in self.point.names:
            if label == own or values[label].shape != values[own].shape:
                continue
            other, there = _space(label), Reference(label, reference.shift)
            if {space, other} == {"bar", "delta"}:
                same = own.partition(".")[2] == label.partition(".")[2]
                found.append(("slope" if same else "exchange", there))
            elif space == other:
                gates = own in equations and label in equations
                found.append(("exchange" if gates or space else "value", there))
                found += [("exchange", Reference(label))] if gates and reference.shift else []
        return found

    # --- telling ---------------------------------------------------------------------------------
    def _finding(self, kind: str, key: str, label: str, **words: object) -> Finding:
        return kind, "", self._slips.sentence(key, label, **words)

    def _wrong(
        self, label: str, found: Array, told: Sequence[Finding | None], others: Sequence[Slip] = ()
    ) -> Diagnosis:
        known = [one for one in told if one is not None]
        example, lines = self._example(label, found), {}
        for tag in LANGUAGES:
            shown = [one[2](tag) for one in known]
            shown[1:] = [say("and", tag) + line for line in shown[1:]]
            if None in told:
                shown.append(self._slips.sentence("unexplained", label)(tag))
            if example:
                shown.append(self._slips.sentence("example", label, **example)(tag))
            lines[tag] = tuple(shown)
        kinds = tuple(kind for kind, _, _ in known) or ("unexplained",)
        likely = tuple(dict.fromkeys((kinds[0], *(s.kind for s in others))))
        confidence = 0.0 if None in told else 1 / len(known)
        term = known[0][1] if known else ""
        return Diagnosis(False, label, kinds[0], term, confidence, kinds, likely, example, lines)

    def _example(self, label: str, found: Array) -> dict[str, Any]:
        """The entry that differs most, at a step that has one after it."""
        right = self._shown(self.right(label))
        if found.shape[1:] != right.shape[1:] or self._same(found, self.right(label)):
            return {}
        off = np.abs(self._shown(found) - right)
        if not np.isfinite(off).all():
            return {}
        at = tuple(int(k) for k in np.unravel_index(int(off.argmax()), off.shape))
        values = np.broadcast_to(self._shown(found), right.shape)
        entry = f"[{', '.join(map(str, at[1:]))}]" if len(at) > 1 else ""
        return {
            "index": f"{self.point.text(label)}{entry}",
            "theirs": number(float(values[at])),
            "true": number(float(right[at])),
        }


def _space(label: str) -> str:
    space, dot, _ = label.partition(".")
    return space if dot and space in ("bar", "delta", "seed", "pre") else ""


def _at_own_step(formula: Part) -> set[str]:
    """The labels of the values of step t that a formula names."""
    named = (part.reference for part in formula.all() if part.reference is not None)
    return {reference.label for reference in named if not reference.shift}


def _base(label: str, equations: Collection[str]) -> str:
    """The label without the number of what stands inside: delta.k.1 is delta.k."""
    space, _, own = label.partition(".")
    return label if own in equations or "." not in own else f"{space}.{own.rpartition('.')[0]}"
