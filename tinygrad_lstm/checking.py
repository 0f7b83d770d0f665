"""Derivatives against numbers: `check_gradients`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lstm import numerical
from tinygrad_lstm.errors import DataError, GradientError
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import TABLE, Tensor, ancestors, apply

RELATIVE = 1e-10  # what two ways to compute one derivative may differ by, of the largest one


@dataclass(frozen=True)
class Agreement:
    """What `check_gradients` compared: how many derivatives, by which method, and how well.

    `worst` is the largest difference relative to the largest derivative of the same argument.
    """

    entries: int
    worst: float
    method: str


def check_gradients(
    f: Callable[..., Any],
    *arrays: Any,
    second_order: bool = False,
    seed: int = 0,
    orders: tuple[int, ...] = (),
) -> Agreement:
    """Compare the derivatives of f that `backward` computes with numerical ones.

    Of a cell and somebody's own backward pass, `check_gradients(cell, my_backward)`, the gradients
    are compared with the derived ones; the error carries what `diagnose` says of the mistake.

    f takes as many arguments as there are `arrays` (arrays, Tensors, or mappings of names to them,
    such as Parameters) and returns a Tensor of any shape, which fixed random weights w turn into
    the number L = Σ w ⊙ f. Every entry of every argument is checked:

    - by the complex step Im L(x + ih) / h with h = 1e-30, exact to rounding, where all operations
      are smooth. Tolerance: 1e-10 of the largest derivative of the argument.
    - by central differences (L(x + h) - L(x - h)) / 2h with h = ∛ε max(1, |x|) where an operation
      has a kink, or f takes no complex numbers. Tolerance: ten times the truncation error, taken
      from a second difference of step 2h, and a hundred times the rounding error ε |L| / h.

    `second_order` also checks the derivatives of a random projection of the gradient; `orders`
    chooses, as in (2,) for these alone. `seed` chooses w and the projection. Computation is in
    float64, for float32 input on float64 copies.

    Raises GradientError where a derivative is wrong; it names the entry, both numbers, the
    tolerance, and the equation and operation whose rule is wrong. DataError where there is no
    verdict: values not finite, a kink within the step, a random f. DTypeError for other numbers.

    Source: Squire and Trapp 1998 (complex step); Griewank and Walther 2008 (projections).
    """
    if isinstance(f, Cell):
        return _own_backward(f, arrays, seed)
    if not callable(f):
        raise DataError(
            f"check_gradients takes a function of arrays that returns a Tensor, got {f!r}; for a "
            f'network, lambda p: unroll(network, p, xs)["h"].'
        )
    problem = numerical.Problem(f, arrays)
    wanted = orders or ((1, 2) if second_order else (1,))
    kinds = {1: numerical.First, 2: numerical.Second}
    found = [_checked(kinds[order](problem, seed)) for order in wanted]
    worst = max(each.worst for each in found)
    return Agreement(sum(each.entries for each in found), worst, found[0].method)


def _own_backward(cell: Cell, given: tuple[Any, ...], seed: int) -> Agreement:
    """Whether a backward pass of somebody's own is right; the error names the mistake."""
    from tinygrad_lstm.diagnosis import diagnose

    if len(given) != 1 or not callable(given[0]):
        raise DataError(
            f"check_gradients takes a cell with a backward pass of your own: check_gradients("
            f"{cell.name}, my_backward); without one write gradcheck({cell.name}), or pass a "
            f"function."
        )
    diagnosis = diagnose(cell, given[0], seed=seed)
    if not diagnosis.right:
        name = getattr(given[0], "__name__", "the backward pass")
        raise GradientError(f"{cell}: {name} is wrong.\n{diagnosis}")
    return Agreement(diagnosis.compared, diagnosis.worst, "derived gradients")


# --- the comparison -------------------------------------------------------------------------------
class _Mismatch(NamedTuple):
    place: tuple[int, tuple[int, ...]]  # which argument, which of its entries
    label: str
    engine: float
    number: float
    allowed: float
    scale: float


def _compare(
    target: numerical.First,
    method: Callable[[numerical.First], numerical.Numbers] = numerical.derivatives,
) -> tuple[Agreement, _Mismatch | None]:
    """How well engine and numbers agree, and the entry that is farthest off, if one is."""
    exact, numbers = target.gradient(target.problem.values), method(target)
    entries, worst, mismatch, most = 0, 0.0, None, 1.0
    for k, label in enumerate(target.problem.labels):
        engine, numeric = exact.arrays[k], numbers.arrays[k]
        if engine.size == 0:
            continue
        scale = numerical.largest(numeric)
        # what cancels on the way leaves the rounding errors of the steepest part behind
        size = scale + 100 * numerical.EPS * exact.steepest / RELATIVE
        tolerance = RELATIVE * size + numbers.errors[k]
        difference = np.abs(engine - numeric)
        excess = np.nan_to_num(difference / np.maximum(tolerance, numerical.TINY), nan=np.inf)
        entries += engine.size
        worst = max(worst, float(np.max(difference)) / (size or 1.0))
        if np.max(excess) > most:
            most = float(np.max(excess))
            place = tuple(int(n) for n in np.unravel_index(np.argmax(excess), excess.shape))
            here, there, allowed = (float(a[place]) for a in (engine, numeric, tolerance))
            entry = numerical.entry_of(label, place)
            mismatch = _Mismatch((k, place), entry, here, there, allowed, scale)
    return Agreement(entries, worst, numbers.method), mismatch


def _checked(target: numerical.First) -> Agreement:
    agreement, wrong = _compare(target)
    if wrong is not None:
        culprit = _culprit(target)
        if culprit is None and not np.isfinite(wrong.engine):
            raise _not_finite(target, wrong)
        raise GradientError(
            f"the {target.order} with respect to {wrong.label} is wrong: backward gives "
            f"{wrong.engine:.10g}, the {agreement.method} {wrong.number:.10g}.\n"
            f"  They differ by {abs(wrong.engine - wrong.number):.2g}; rounding explains "
            f"{wrong.allowed:.2g} where the largest is {wrong.scale:.4g}.\n"
            f"  {culprit or _CUT}"
        )
    return agreement


_CUT = (
    "The rule of every operation is right by itself: is a value taken out of the graph, by "
    "detach(),\n  .data, .numpy() or float(), or has f another input?"
)


def _not_finite(target: numerical.First, wrong: _Mismatch) -> DataError | GradientError:
    """What to say of a derivative that backward finds to be nan or infinite."""
    ahead, behind = numerical.one_sided(target, *wrong.place)
    if not _smooth(target, wrong):
        return DataError(
            f"check_gradients: no verdict on {wrong.label}: there is no derivative here. The "
            f"slope is {behind:.4g} before and {ahead:.4g} behind it.\n"
            f"  Check it at another point."
        )
    return GradientError(
        f"the {target.order} with respect to {wrong.label} is {ahead:.6g}, but backward gives "
        f"{wrong.engine}: "
        f"an infinite slope meets a 0 on the way.\n"
        f"  Where another branch is chosen by where(), give the function an operand that is safe "
        f"there, too:\n  where(c, x, sqrt(where(c, 1.0, x))) in place of where(c, x, sqrt(x))."
    )


def _smooth(target: numerical.First, wrong: _Mismatch) -> bool:
    """Whether the slopes on both sides of an entry agree."""
    ahead, behind = numerical.one_sided(target, *wrong.place)
    return abs(ahead - behind) <= 1e-3 * max(abs(ahead), abs(behind), 1e-3)


def _culprit(target: numerical.First) -> str | None:
    """Check each operation of the graph alone, and name the first that is wrong."""
    _, y = target.problem(target.problem.values)
    for graph in (y, target.gradient(target.problem.values).root):
        for node in ancestors([graph], requires_grad=True):
            if node.op is not None and (blame := _blame(node, type(target))):
                return f"{numerical.place_of(node, graph)}: {blame}"
    return None


def _blame(node: Tensor, kind: type[numerical.First]) -> str | None:
    """What is wrong with the rules of one operation at its own operands, if anything."""
    operation = TABLE[node.op or ""]
    inputs = enumerate(node.inputs)
    moving = [k for k, i in inputs if i.requires_grad and operation.rule(k) is not None]
    if not moving:
        return None

    def alone(*operands: Tensor) -> Any:
        inputs: list[Any] = [i.data for i in node.inputs]
        for k, operand in zip(moving, operands, strict=True):
            inputs[k] = operand
        return apply(operation.name, *inputs, **node.attributes)

    problem = numerical.Problem(alone, [node.inputs[k].data for k in moving])
    problem.labels = [f"operand {k + 1}" for k in moving]
    try:
        target = kind(problem, 0)
        agreement, wrong = _compare(target)
        if wrong is None or not (np.isfinite(wrong.engine) or _smooth(target, wrong)):
            return None
        if _compare(target, numerical.central_differences)[1] is None:
            return (
                "its rule agrees with central differences, but its forward is not analytic on "
                "complex\n  numbers; write it without abs, maximum and conj, or register it with a "
                "distance from its kinks."
            )
    except DataError:  # on a kink: no verdict, look on
        return None
    return (
        f"its rule for {wrong.label} gives {wrong.engine:.10g}, "
        f"the {agreement.method} {wrong.number:.10g}."
    )
