"""What must hold for any cell, and the search for a case where it does not.

A property is a function of a `Case` (strategies.py). It returns the largest relative difference it
met, and raises `Disagreement` or `GradientError` where the difference is more than rounding.
"""

from __future__ import annotations

import functools
import itertools
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import hypothesis
import numpy as np
from hypothesis import HealthCheck, Phase, given, settings

from tinygrad_lstm.checking import RELATIVE, check_gradients
from tinygrad_lstm.errors import DataError, TinygradError
from tinygrad_lstm.grids import Grid
from tinygrad_lstm.networks import Part, System
from tinygrad_lstm.ops import concat
from tinygrad_lstm.running import Run, unroll
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array, Tensor
from tinygrad_lstm.testing import strategies
from tinygrad_lstm.testing.inputs import Case
from tinygrad_lstm.wires import each_of


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


def examine(cell: Part, what: Property, examples: int = 25, seed: int = 0) -> Outcome:
    """Try a property on drawn cases; a failing one is shrunk until it cannot be made simpler.

    The same seed draws the same cases; failing ones are not kept in a database.
    """
    tried, worst = 0, 0.0
    failure: tuple[Case, Exception] | None = None
    doubt = ""

    @hypothesis.seed(seed)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(strategies.cases(cell, **what.limits))
    def attempt(case: Case) -> None:
        nonlocal tried, worst, failure, doubt
        try:
            with np.errstate(all="ignore"):  # what is not finite is compared like other numbers
                difference = what.holds(case)
        except DataError as no_verdict:  # on a kink
            doubt = str(no_verdict)
            hypothesis.reject()
        except NotApplicable:
            raise
        except Exception as wrong:  # whatever it is, the case is shown and no traceback
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
    except Exception:
        if failure is None:
            raise
        case, error = failure
        kind = "" if isinstance(error, TinygradError) else f"{type(error).__name__}: "
        return Outcome(what, False, tried, worst, f"{kind}{error}\n{case!r}")
    return Outcome(what, True, tried, worst)


# --- the properties -------------------------------------------------------------------------------
class _Leaves:
    """A case as Tensors of which gradients are wanted, and its run."""

    def __init__(self, case: Case, network: Any = None, initial: Any = None) -> None:
        cell = case.cell
        self.case = case
        self.p = cell.bind(case.parameters, **case.sizes)
        self.xs = Tensor(case.xs)
        self.further = {name: Tensor(array) for name, array in case.further.items()}
        self.initial = initial or {name: Tensor(array) for name, array in case.initial.items()}
        self.run: Run = unroll(network or cell, self.p, self.xs, self.initial, **self.further)

    def total(self, start: int = 0) -> Any:
        """Every named equation at every entry and step, weighted at random; one number.

        The weights of a step are the same in every sample, and however a sequence is cut.
        """
        total: Any = Tensor(0.0)
        batch = self.case.batch_shape
        for name in self.run.names:
            value = self.run[name]
            if value.dtype.kind != "f":
                continue
            front = fronts(self.run, name)
            own = value.shape[front + len(batch) :]
            places = value.shape[:front]
            random = np.random.default_rng([zlib.crc32(name.encode()), *own])
            longer = (start + places[0], *places[1:]) if places else ()
            weights = random.uniform(0.5, 1.5, (*longer, *own))
            weights = weights[start:] if places else weights
            weights = weights.reshape(*places, *(1,) * len(batch), *own)
            total = total + (value * weights).sum()
        return total

    def gradients(self) -> dict[str, Array | None]:
        """The gradient of the total in everything that the case holds."""
        self.total().backward()
        named = {**self.p, "xs": self.xs, **self.further}
        named |= {f"initial {name}": t for name, t in self.initial.items()}
        return {name: None if t.grad is None else t.grad.numpy() for name, t in named.items()}


def fronts(run: Run, name: str) -> int:
    """How many axes of an equation stand before those of the batch."""
    if isinstance(run.cell, Grid):
        return len(run.cell.axes_of_grid)
    part, _, own = name.partition(".")
    parts = getattr(run, "parts", {})
    if part in parts:
        return 0 if part in run.cell.wiring.once else fronts(parts[part], own)
    return 1


def _check(case: Case, orders: tuple[int, ...]) -> float:
    def equations(p: Any, xs: Any, initial: Any, further: Any) -> Any:
        begin = {name.removeprefix("initial "): value for name, value in initial.items()}
        bound = case.cell.bind(p, **case.sizes)
        run = unroll(case.cell, bound, xs, begin, **further)
        values = [run[name] for name in run.names if run[name].dtype.kind in "fc"]
        return concat(*(value.reshape(-1) for value in values))

    initial = {f"initial {name}": value for name, value in case.initial.items()}
    arguments = case.parameters, case.xs, initial, case.further
    return check_gradients(equations, *arguments, orders=orders).worst


def numeric_gradients(case: Case) -> float:
    """Every derivative of every equation equals its complex step (central difference at kinks)."""
    return _check(case, (1,))


def second_derivatives(case: Case) -> float:
    """So do the derivatives of the gradient."""
    return _check(case, (2,))


Compared = tuple[str, tuple[str, str], Array, Array]


def _all_equal(compare: Callable[[Case], Iterator[Compared]]) -> Callable[[Case], float]:
    """A property of what a function yields: a name, how both values came about, both values."""

    @functools.wraps(compare)
    def holds(case: Case) -> float:
        return max(itertools.starmap(equal, compare(case)), default=0.0)

    return holds


@_all_equal
def batch_against_singles(case: Case) -> Iterator[Compared]:
    """A batch gives what its samples give one by one, and the sum of their gradients."""
    whole, batch = _Leaves(case), case.batch_shape[0]
    singles = [_Leaves(case.sample(k)) for k in range(batch)]
    words = f"in the batch of {batch}", "alone"
    for k, one in enumerate(singles):
        for name in whole.run.names:
            front: tuple[Any, ...] = (slice(None),) * fronts(whole.run, name)
            value = whole.run[name].data[(*front, k)]
            yield f"{name}, sample {k}", words, value, one.run[name].data
    words = f"from the batch of {batch}", "from its samples"
    gradients = [one.gradients() for one in singles]
    for name, gradient in whole.gradients().items():
        each = [one[name] for one in gradients]
        if gradient is None or any(g is None for g in each):
            continue
        by_place = name == "xs" or name in case.cell.sequences
        parts: Any = np.stack(each, axis=case.front if by_place else 0)  # type: ignore[arg-type]
        if parts.shape != gradient.shape:  # shared by the batch
            parts = sum(each)
        yield f"the gradient of {name}", words, gradient, parts


def _unsplit(network: Any) -> str:
    """Why what a network reads cannot be cut in two; nothing where it can."""
    if isinstance(network, Grid):
        return "a grid has several axes"
    if isinstance(network, System):
        if network.turned:
            return f"{network.turned[0]} reads from the last step to the first"
        wires = [r for reads in network.wiring.wired.values() for _, r in each_of(reads)]
        for wire in wires:
            if wire.kind in ("whole", "final", "mask"):
                return f"{wire} is made of all steps"
        return next(filter(None, map(_unsplit, network.parts.values())), "")
    return ""


@_all_equal
def split_against_whole(case: Case) -> Iterator[Compared]:
    """A sequence in two parts, the states carried over, gives what it gives in one."""
    if why := _unsplit(case.cell):
        raise NotApplicable(f"{case.cell} is not read in two parts: {why}.")
    whole, middle = _Leaves(case), (case.time + 1) // 2
    first = _Leaves(case.steps(slice(0, middle)))
    second = _Leaves(case.steps(slice(middle, None)), initial=first.run.final)
    words = "in one", f"split after step {middle - 1}"
    for name in whole.run.names:
        pieces = np.concatenate([first.run[name].data, second.run[name].data])
        yield name, words, whole.run[name].data, pieces
    expected = whole.gradients()
    (first.total() + second.total(middle)).backward()
    pieces_of = {name: [tensor, second.p[name]] for name, tensor in first.p.items()}
    pieces_of |= {f"initial {name}": [tensor] for name, tensor in first.initial.items()}
    for name, tensors in pieces_of.items():
        parts = [t.grad.numpy() for t in tensors if t.grad is not None]
        gradient = expected[name]
        if gradient is not None and parts:
            yield f"the gradient of {name}", words, gradient, np.sum(parts, axis=0)


@_all_equal
def compiled_against_interpreter(case: Case) -> Iterator[Compared]:
    """Compiled code gives what the interpreter gives, and the same gradients."""
    from tinygrad_lstm.kernels import compiled

    plain = _Leaves(case)
    expected = plain.gradients()
    for code in ("auto", "numpy"):
        words = f"compiled (code={code!r})", "interpreted"
        fast = _Leaves(case, compiled(case.cell, code=code))
        for name in plain.run.names:
            yield name, words, fast.run[name].data, plain.run[name].data
        for name, gradient in fast.gradients().items():
            other = expected[name]
            if (gradient is None) != (other is None):
                there = ["absent" if g is None else "there" for g in (gradient, other)]
                raise Disagreement(
                    f"the gradient of {name} is {there[0]} {words[0]}, {there[1]} {words[1]}."
                )
            if gradient is not None and other is not None:
                yield f"the gradient of {name}", words, gradient, other


PROPERTIES = (
    Property("numeric gradients", numeric_gradients, {}),
    Property("second derivatives", second_derivatives, {"max_time": 2, "max_size": 2}),
    Property("batch against singles", batch_against_singles, {"batched": True}),
    Property("split against whole", split_against_whole, {"min_time": 2, "max_time": 4}),
    Property("compiled against interpreter", compiled_against_interpreter, {"max_size": 2}),
)


def gradcheck(subject: Any, *arrays: Any, examples: int = 25, seed: int = 0, **options: Any) -> Any:
    """Check a function at arrays, or a cell on drawn cases.

    For a function: `check_gradients(subject, *arrays, seed=seed, **options)`. For a cell: every
    property of this module, with `examples` cases each; Disagreement shows the smallest case that
    fails. For a cell and a backward pass of your own, `gradcheck(cell, my_backward)`: whether it is
    right; the error says which mistake it is. Returned are the Agreement, or the Outcomes.
    """
    __tracebackhide__ = True
    if not isinstance(subject, Cell | System) or arrays:
        return check_gradients(subject, *arrays, seed=seed, **options)
    subject.init(**subject.small_sizes())
    outcomes = [examine(subject, what, examples, seed) for what in PROPERTIES]
    wrong = [o for o in outcomes if o.verdict is False]
    if wrong:
        raise Disagreement(
            "\n".join(f"{subject} fails {o.property.name}:\n{o.text}" for o in wrong)
        )
    return outcomes


# --- comparing ------------------------------------------------------------------------------------
def equal(what: str, words: tuple[str, str], one: Array, other: Array) -> float:
    """The relative difference; Disagreement where it is more than rounding. nan agrees with nan."""
    if one.shape != other.shape:
        raise Disagreement(f"{what} has shape {one.shape} {words[0]}, {other.shape} {words[1]}.")
    scale = max(float(np.max(np.abs(one[np.isfinite(one)]), initial=0.0)), 1e-3)
    with np.errstate(invalid="ignore"):  # inf - inf
        same = (one == other) | (np.isnan(one) & np.isnan(other))
        difference = np.where(same, 0.0, np.abs(one - other))
    wrong = ~(difference <= RELATIVE * scale)
    if np.any(wrong):
        place = tuple(int(n) for n in np.argwhere(wrong)[0])
        raise Disagreement(
            f"{what} at {list(place)} is {one[place]:.10g} {words[0]}, {other[place]:.10g} "
            f"{words[1]}."
        )
    return float(np.max(difference, initial=0.0)) / scale
