"""What must hold for any cell, and the search for a case where it does not.

A property is a function of a `Case` (strategies.py). It returns the largest relative difference it
met, and raises `Disagreement` or `GradientError` where the difference is more than rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import hypothesis
import numpy as np
from hypothesis import HealthCheck, Phase, given, settings

from tinygrad_lstm.checking import RELATIVE, check_gradients
from tinygrad_lstm.errors import DataError, TinygradError
from tinygrad_lstm.ops import concat
from tinygrad_lstm.recurrent import Cell
from tinygrad_lstm.sequence import Run, unroll
from tinygrad_lstm.tensor import Array, Tensor
from tinygrad_lstm.testing import strategies
from tinygrad_lstm.testing.strategies import Case


class Disagreement(TinygradError, AssertionError):
    """Two computations that must agree and do not."""


class NotApplicable(TinygradError):
    """A property that says nothing about this cell; the message tells why."""


@dataclass(frozen=True)
class Property:
    """A claim about a cell, with what tests it and the cases it is tested on."""

    name: str
    holds: Callable[[Case], float]
    limits: Mapping[str, Any]  # options of strategies.cases


@dataclass(frozen=True)
class Outcome:
    """The result of a search: the cases tried, the worst difference, and a failure if there is one.

    `verdict` is True, False, or None where no case could be judged; `text` says why.
    """

    property: Property
    verdict: bool | None
    examples: int
    worst: float
    text: str = ""


def examine(cell: Cell, what: Property, examples: int = 25, seed: int = 0) -> Outcome:
    """Try a property on drawn cases; a failing one is shrunk until it cannot be made simpler.

    The same seed draws the same cases; failing ones are not kept in a database.
    """
    tried, worst = 0, 0.0
    failure: tuple[Case, Exception] | None = None
    doubt = ""

    @hypothesis.seed(seed)
    @settings(
        max_examples=examples, deadline=None, database=None, report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck), phases=(Phase.generate, Phase.shrink),
    )  # fmt: skip
    @given(strategies.cases(cell, **what.limits))
    def attempt(case: Case) -> None:
        nonlocal tried, worst, failure, doubt
        try:
            difference = what.holds(case)
        except DataError as no_verdict:  # on a kink
            doubt = str(no_verdict)
            hypothesis.reject()
        except NotApplicable:
            raise
        except TinygradError as wrong:
            failure = case, wrong
            raise
        if failure is None:
            tried, worst = tried + 1, max(worst, difference)

    try:
        attempt()
    except NotApplicable as reason:
        return Outcome(what, None, 0, 0.0, str(reason))
    except hypothesis.errors.Unsatisfiable:
        return Outcome(what, None, 0, 0.0, doubt)
    except TinygradError:
        if failure is None:
            raise
        case, error = failure
        return Outcome(what, False, tried, worst, f"{error}\n{case!r}")
    return Outcome(what, True, tried, worst)


# --- the properties -------------------------------------------------------------------------------
def _all_states(run: Run) -> Any:
    return concat(*(run[name].reshape(-1) for name in run.cell.state))


def _check(case: Case, second_order: bool) -> float:
    def states(p: Any, xs: Any, initial: Any, further: Any) -> Any:
        begin = {name.removeprefix("initial "): value for name, value in initial.items()}
        return _all_states(unroll(case.cell, p, xs, begin, **further))

    initial = {f"initial {name}": value for name, value in case.initial.items()}
    return check_gradients(
        states, case.parameters, case.xs, initial, case.further, second_order=second_order
    ).worst


def numeric_gradients(case: Case) -> float:
    """Every derivative of every state equals its complex step (central difference at kinks)."""
    return _check(case, second_order=False)


def second_derivatives(case: Case) -> float:
    """So do the derivatives of the gradient."""
    return _check(case, second_order=True)


def batch_against_singles(case: Case) -> float:
    """A batch gives what its samples give one by one, and the sum of their gradients."""
    whole = _run(case)
    batch = case.xs.shape[1]
    worst = 0.0
    singles = []
    for k in range(batch):
        own = {n: v[:, k] if n in case.cell.sequences else v for n, v in case.further.items()}
        begin = {name: value[k] for name, value in case.initial.items()}
        one = unroll(case.cell, _leaves(case), case.xs[:, k], begin, **own)
        words = f"in the batch of {batch}", "alone"
        for name in whole.steps[0]:
            worst = max(worst, equal(f"{name}, sample {k}", words, whole[name].data[:, k],
                                      one[name].data))  # fmt: skip
        singles.append(_gradients(one))
    words = f"from the batch of {batch}", "from its samples"
    for name, found in _gradients(whole).items():
        added = sum((each[name] for each in singles), np.zeros(()))
        worst = max(worst, equal(f"the gradient of {name}", words, found, added))
    return worst


def split_against_whole(case: Case) -> float:
    """A sequence in two parts, the states carried over, gives what it gives in one."""
    whole, middle = _run(case), (case.time + 1) // 2
    p = _leaves(case)

    def part(steps: slice, begin: Mapping[str, Any]) -> Run:
        own = {n: v[steps] if n in case.cell.sequences else v for n, v in case.further.items()}
        return unroll(case.cell, p, case.xs[steps], begin, **own)

    first = part(slice(0, middle), case.initial)
    second = part(slice(middle, None), first.final)
    worst = 0.0
    words = "in one", f"split after step {middle - 1}"
    for name in whole.steps[0]:
        pieces = np.concatenate([first[name].data, second[name].data])
        worst = max(worst, equal(name, words, whole[name].data, pieces))
    ends = {name: second.final[name] for name in case.cell.state}
    expected = _gradients(whole, whole.final)
    for name, found in _gradients(second, ends).items():
        worst = max(worst, equal(f"the gradient of {name}", words, expected[name], found))
    return worst


PROPERTIES = (
    Property("numeric gradients", numeric_gradients, {}),
    Property("second derivatives", second_derivatives, {"max_time": 2, "max_size": 2}),
    Property("batch against singles", batch_against_singles, {"batched": True}),
    Property("split against whole", split_against_whole, {"min_time": 2, "max_time": 4}),
)


def gradcheck(subject: Any, *arrays: Any, examples: int = 25, seed: int = 0, **options: Any) -> Any:
    """Check a function at arrays, or a cell on drawn cases.

    For a function: `check_gradients(subject, *arrays, seed=seed, **options)`. For a cell: every
    property of this module, with `examples` cases each; Disagreement shows the smallest case that
    fails. Returned are the Agreement, or the Outcomes.
    """
    __tracebackhide__ = True
    if not isinstance(subject, Cell):
        return check_gradients(subject, *arrays, seed=seed, **options)
    subject.program()
    outcomes = [examine(subject, what, examples, seed) for what in PROPERTIES]
    wrong = [o for o in outcomes if o.verdict is False]
    if wrong:
        raise Disagreement(
            "\n".join(f"{subject} fails {o.property.name}:\n{o.text}" for o in wrong)
        )
    return outcomes


# --- comparing ------------------------------------------------------------------------------------
def _leaves(case: Case) -> Any:
    return case.cell.bind(case.parameters, **case.sizes)


def _run(case: Case) -> Run:
    return unroll(case.cell, _leaves(case), case.xs, case.initial, **case.further)


def _gradients(run: Run, of: Mapping[str, Tensor] | None = None) -> dict[str, Array]:
    """Gradients, in every parameter, of the states (at all steps unless told) weighted 1, 2, …"""
    chosen = of or {name: run[name] for name in run.cell.state}
    total: Any = Tensor(0.0)
    for weight, name in enumerate(run.cell.state, start=1):
        total = total + chosen[name].sum() * float(weight)
    total.backward()
    return {
        name: np.zeros(t.shape) if t.grad is None else t.grad.numpy()
        for name, t in run.parameters.items()
    }


def equal(what: str, words: tuple[str, str], one: Array, other: Array) -> float:
    """The relative difference; Disagreement where it is more than rounding."""
    if one.shape != other.shape:
        raise Disagreement(f"{what} has shape {one.shape} {words[0]}, {other.shape} {words[1]}.")
    scale = max(float(np.max(np.abs(one), initial=0.0)), 1e-3)
    difference = np.abs(one - other)
    wrong = ~(difference <= RELATIVE * scale)
    if np.any(wrong):
        place = tuple(int(n) for n in np.argwhere(wrong)[0])
        raise Disagreement(
            f"{what} at {list(place)} is {one[place]:.10g} {words[0]}, {other[place]:.10g} "
            f"{words[1]}."
        )
    return float(np.max(difference, initial=0.0)) / scale


