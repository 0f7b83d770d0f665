"""What checks are made of: cells compared by number, derivatives measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from lesson.exercises.tasks import Answer
from lesson.exercises.words import SAYS, Words
from tinygrad_lstm import numerical
from tinygrad_lstm.checking import check_gradients
from tinygrad_lstm.errors import GradientError
from tinygrad_lstm.notation import name_plain
from tinygrad_lstm.ops import concat
from tinygrad_lstm.running import Run, unroll
from tinygrad_lstm.step import Cell, cell
from tinygrad_lstm.tensor import Array
from tinygrad_lstm.testing.inputs import random_arrays, random_inputs

STEPS, BATCH = 3, 2
CLOSE = 1e-9  # of the largest value: two ways to write one equation round differently

Rule = Callable[[Any, Any, Any, Any], Any]


def cell_of_rules(name: str, like: Cell, rules: Mapping[str, Rule]) -> Cell:
    """A cell with the states and parameters of another one and equations of its own.

    A rule is a function of (now, prev, hx, p), where hx is [h_{t-1}, x_t].
    """

    def step(now: Any, prev: Any, x: Any, p: Any) -> None:
        for equation, rule in rules.items():
            setattr(now, equation, rule(now, prev, concat(prev.h, x), p))

    step.__name__ = name
    return cell(state=like.state, parameters=like.parameters)(step)


def mistakes(
    answer: Answer, like: Cell, rules: Mapping[str, Rule], wrong: Mapping[str, Mapping[str, Rule]]
) -> list[tuple[Cell, Words]]:
    """Cells with some of the rules replaced, each with what the exercise says about it.

    Keys that differ behind a dot say the same: other_bias.i, other_bias.o.
    """
    return [
        (
            cell_of_rules(key.partition(".")[0], like, {**rules, **changed}),
            answer.says[key.partition(".")[0]],
        )
        for key, changed in wrong.items()
    ]


def alike(a: Array, b: Array) -> bool:
    """Whether two arrays hold the same numbers, up to rounding."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        return False
    scale = max(1.0, float(np.max(np.abs(b), initial=0.0)))
    return bool(np.max(np.abs(a - b), initial=0.0) <= CLOSE * scale)


def same_cell(
    answer: Answer, own: Cell, reference: Cell, mistakes: Iterable[tuple[Cell, Words]] = ()
) -> bool:
    """Check that a student's cell computes what the reference does, and note what was found.

    States and parameters must have the same names and shapes. Both run over random numbers; their
    states must agree, however the equations are written. If not, the first equation that differs
    is named, with numbers; or, if the student's cell computes what one of the mistakes computes,
    its text is said. Then the gradients are compared with the complex step.
    """
    if not _same_declarations(answer, own, reference):
        return False
    every = [reference, own, *(wrong for wrong, _ in mistakes)]
    case = random_inputs(reference, steps=STEPS, batch=BATCH, rng=answer.seed)
    right, found, *wrong = [replace(case, cell=one).unroll() for one in every]
    names = list(reference.state)
    if not _agree(found, right, names):
        for run, (_, text) in zip(wrong, mistakes, strict=True):
            if _agree(found, run, names):
                answer.wrong(text)
                return False
        _name_first(answer, own, found, right)
        return False
    count = sum(right[name].numpy().size for name in names)
    answer.right(SAYS["same"], count=count, steps=STEPS)
    return gradients_hold(answer, own)


def _agree(a: Run, b: Run, names: Iterable[str]) -> bool:
    return all(alike(a[name].numpy(), b[name].numpy()) for name in names)


def _same_declarations(answer: Answer, own: Cell, reference: Cell) -> bool:
    before = len(answer.findings)
    for kind in ("state", "parameters"):
        mine, wanted = getattr(own, kind), getattr(reference, kind)
        for text, names in (("lacks", set(wanted) - set(mine)), ("extra", set(mine) - set(wanted))):
            if names:
                several = ", ".join(sorted(names))
                answer.wrong(SAYS[f"{text}_{kind}"], cell=own.name, names=several)
    if len(answer.findings) > before:
        return False
    if strange := [size for size in own.sizes if size not in reference.sizes]:
        answer.wrong(SAYS["sizes"], cell=own.name, names=", ".join(strange))
        return False
    program = reference.program()
    mine = own.program(**{size: program.sizes[size] for size in own.sizes})
    for name, node in program.inputs.items():
        if mine.inputs[name].shape != node.shape:
            words = mine.dimensions[name], program.dimensions[name]
            answer.wrong(SAYS["shape"], name=name_plain(name), found=words[0], wanted=words[1])
    return len(answer.findings) == before


def _name_first(answer: Answer, own: Cell, found: Run, right: Run) -> None:
    """Say which equation is the first to differ, at which entry, with both numbers."""
    for t in range(STEPS):
        for name in found.steps[t]:
            if name not in right.steps[t]:
                continue
            a, b = found.steps[t][name].numpy(), right.steps[t][name].numpy()
            if alike(a, b):
                continue
            equation = own.program().text(name)
            if a.shape != b.shape:
                shapes = {"found": a.shape, "wanted": b.shape}
                answer.wrong(SAYS["shapes_differ"], equation=equation, **shapes)
                return
            place = tuple(int(k) for k in np.unravel_index(np.argmax(np.abs(a - b)), a.shape))
            answer.wrong(
                SAYS["differs"],
                equation=equation,
                found=f"{a[place]:.6g}",
                wanted=f"{b[place]:.6g}",
                entry=f"{name}[{', '.join(map(str, place))}]",
            )
            return


def gradients_hold(answer: Answer, own: Cell) -> bool:
    """Check a cell's gradients against the complex step, and note the outcome."""
    case = random_inputs(own, steps=2, rng=answer.seed)
    try:
        agreement = check_gradients(
            lambda p, xs, begin: unroll(own, p, xs, begin, **case.further)[own.output],
            *(case.parameters, case.xs, case.initial),
        )
    except GradientError as error:
        answer.wrong(SAYS["gradients_differ"], error=str(error))
        return False
    answer.right(
        SAYS["gradients"],
        entries=agreement.entries,
        worst=f"{agreement.worst:.0e}",
        method=agreement.method,
    )
    return True


def slope(own: Cell, of: str, wrt: str, seed: int) -> float:
    """The largest derivative of one value of a step in another, at random numbers.

    0 means that `of` does not read `wrt`, on any path within the step.
    """
    program = own.program().gradient(wrt=wrt, of=of)
    return float(np.max(np.abs(program.run(**random_arrays(program, seed))[wrt])))


def complex_step(f: Callable[..., Any], values: Mapping[str, Array], name: str) -> Array:
    """d Σ f(values) / d values[name], entry by entry, as Im f(… + ih …) / h: exact to rounding."""
    return numerical.complex_step(lambda moved: f(**{**values, name: moved}), values[name])
