"""`diagnose`: which mistake makes the right gradients into the ones that were found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad_lstm.diagnosis.among import diagnose_among
from tinygrad_lstm.diagnosis.answers import is_forward
from tinygrad_lstm.diagnosis.backward import Recorded
from tinygrad_lstm.diagnosis.diagnosis import Diagnosis
from tinygrad_lstm.diagnosis.functions import Backward, Problems, call, is_step
from tinygrad_lstm.diagnosis.given import as_numbers, checked
from tinygrad_lstm.diagnosis.rounding import tolerances
from tinygrad_lstm.diagnosis.rules import Array
from tinygrad_lstm.diagnosis.search import Explanation, explanations
from tinygrad_lstm.diagnosis.steps import diagnose_forward
from tinygrad_lstm.errors import CellError, DataError, DTypeError, ShapeError
from tinygrad_lstm.grids import Grid
from tinygrad_lstm.step import Cell

EXACT = 1e-9  # differences that nobody asks the cause of, of the largest entry


def diagnose(
    cell: Cell | None = None,
    backward: Backward | None = None,
    *,
    forward: Any = None,
    among: Any = None,
    found: Mapping[str, Any] | None = None,
    p: Mapping[str, Any] | None = None,
    xs: Any = None,
    h_bar: Any = None,
    initial: Mapping[str, Any] | None = None,
    seed: int = 0,
    **further: Any,
) -> Diagnosis:
    """Compare somebody's gradients with the derived ones, and name the mistake if there is one.

    backward: a function `backward(p, xs, h_bar)` of arrays: parameters by name, xs (time, batch,
    inputs), and the loss's derivative with respect to the cell's output at every step, (time,
    batch, its axes). It returns a mapping with the gradients of any of the parameters, of `x`, and
    of equations (their adjoints over time). One step: `backward(p, x, prev, now, bar)` with states
    before, equations of the step and adjoints of the new states by name; it may return `prev.h`,
    too. Further inputs and first states go to arguments of these names, where it has them.
    found: the gradients themselves, with the p, xs and h_bar that they belong to.

    forward: a step `forward(p, x, prev)` that returns the states, as a mapping or in their order,
    and perhaps more equations by name; or a sequence's `forward(p, xs)`, which returns them over
    time; for a batch or for one sample. Which equation it writes otherwise, and how, is told;
    `backward` may be such a step as well. Its values instead: forward={…}, p=p, xs=xs. Kinds
    are those of gradients and "activation".
    among: without a cell, the cells that the forward may be; True: all that are built in;
    `diagnose(among=my_step)` is short for it. The result, a `Diagnosis`, also has `cell`, its
    name, `same`, those that compute the same, and `candidates`, those for which it ran.

    Only the function itself is called; nothing else of the caller's is evaluated. What float32,
    another order of summing or another library make of right gradients is right. ShapeError,
    DTypeError, UnknownNameError, DataError: gradients that cannot be compared.
    """
    if cell is None or among is not None:
        own: Any = among if callable(among) else forward or backward
        several = None if callable(among) else among
        return diagnose_among(own, several, seed)
    if not isinstance(cell, Cell) or isinstance(cell, Grid):
        several = (
            "grid diagnose its block"
            if isinstance(cell, Grid)
            else "network diagnose each cell by itself"
        )
        raise CellError(
            f"diagnose takes a cell, got {cell!r}. Of a {several}: its p, the xs that it reads, "
            f"and the h_bar that it receives."
        )
    if forward is None and callable(backward) and is_forward(backward):
        forward, backward = backward, None
    if forward is not None:
        if backward is not None or found is not None:
            raise DataError(f"{cell}: give diagnose either a forward or gradients, not both.")
        function, arrays = (forward, None) if callable(forward) else (None, forward)
        return diagnose_forward(
            cell, function, found=arrays, p=p, xs=xs, initial=initial, seed=seed, **further
        )
    if (backward is None) == (found is None):
        raise DataError(
            f"{cell}: diagnose needs a function, diagnose(cell, my_backward), or arrays, "
            f"diagnose(cell, found={{…}}, p=p, xs=xs, h_bar=h_bar)."
        )
    if found is not None:
        return _of_arrays(cell, found, p, xs, h_bar, initial, further)
    assert backward is not None
    if not callable(backward):
        raise DTypeError(
            f"{cell}: diagnose takes a function, got {type(backward).__name__}; gradients "
            f"themselves are found={{…}}."
        )
    problems = Problems(cell, is_step(cell, backward), seed)
    graph = problems.whole()
    answer = call(backward, graph, problems.step)
    return compare(graph, answer, lambda: _smallest(backward, problems))


def _of_arrays(
    cell: Cell, found: Mapping[str, Any], p: Any, xs: Any, h_bar: Any, initial: Any, further: Any
) -> Diagnosis:
    missing = [n for n, v in {"p": p, "xs": xs, "h_bar": h_bar}.items() if v is None]
    if missing:
        raise DataError(f"{cell}: found= needs {', '.join(missing)}, what it was computed for.")
    for name, value in {"found": found, "p": p}.items():
        if not isinstance(value, Mapping):
            raise DTypeError(
                f"{cell}: {name} is a mapping of names to arrays, got {type(value).__name__}."
            )
    numbers = {n: as_numbers(f"{cell}: {n}", v) for n, v in p.items()}
    inputs = as_numbers(f"{cell}: xs", xs)
    seeds = {cell.output: as_numbers(f"{cell}: h_bar", h_bar)}
    first = {n: as_numbers(f"{cell}: initial {n}", v) for n, v in (initial or {}).items()}
    more = {n: v if np.asarray(v).dtype.kind in "biu" else as_numbers(f"{cell}: {n}", v)
            for n, v in further.items()}  # fmt: skip
    graph = Recorded(cell, numbers, inputs, {}, first or None, **more)
    own = graph.program.equations[cell.output].shape
    wanted = (len(graph), *graph.batch_shape, *own)
    if seeds[cell.output].shape != wanted:
        raise ShapeError(
            f"{cell}: h_bar has shape {seeds[cell.output].shape}, but the output {cell.output} "
            f"over time is {wanted}: the loss's derivative with respect to it at every step."
        )
    graph.seeds = {n: graph.flat(g, 1) for n, g in seeds.items()}
    return compare(graph, found, None)


def differences(right: Mapping[str, Array], found: Mapping[str, Array]) -> dict[str, float]:
    """By name the largest difference, relative to the largest entry of the right array."""
    off = {}
    for name, array in found.items():
        true = right[name]
        scale = float(np.abs(true).max(initial=0.0)) or 1.0
        off[name] = float(np.abs(array - true).max(initial=0.0)) / scale
    return off


def compare(
    graph: Recorded,
    answer: Mapping[str, Any],
    smaller: Callable[[], tuple[Recorded, dict[str, Array]] | None] | None,
) -> Diagnosis:
    """The diagnosis of gradients by name that were found for what was recorded.

    smaller: a smaller problem on which they are wrong, too, for an example.
    """
    found, misshapen = checked(graph, answer)
    right = graph.backward()
    off = differences(right, found)
    if not misshapen and max(off.values()) < EXACT:
        return Diagnosis.all_right(graph, off)
    allowed = tolerances(graph, right)
    wrong = [n for n in found if np.abs(found[n] - right[n]).max(initial=0.0) > allowed[n]]
    wrong = _in_order(graph, wrong)
    if not misshapen and not wrong:
        return Diagnosis.all_right(graph, off)
    explained = [Explanation(tuple(misshapen), 0.0)] if misshapen and not wrong else []
    if wrong:
        explained = [
            Explanation((*misshapen, *e.mistakes), e.error)
            for e in explanations(graph, found, allowed)
        ]
        if misshapen and not explained:
            explained = [Explanation(tuple(misshapen), 1.0)]
    first = misshapen[0].words["names"] if misshapen else []
    small = smaller() if smaller else None
    return Diagnosis.of(graph, explained, [*first, *wrong], found, small)


def _in_order(graph: Recorded, names: Iterable[str]) -> list[str]:
    """Names in the order in which a backward pass comes to them."""
    order = [
        n.removeprefix("bar.") for n in graph.program.gradient().equations if n.startswith("bar.")
    ]
    place = {name: k for k, name in reversed(list(enumerate(order)))}
    return sorted(names, key=lambda name: place.get(name, len(order)))


def _smallest(backward: Backward, problems: Problems) -> tuple[Recorded, dict[str, Array]] | None:
    """The smallest problem on which the function is wrong."""
    for steps, batch in ((1, 1), (2, 1), (3, 1), (2, 2), (3, 2)):
        if problems.step and steps > 1:
            continue
        try:
            graph = problems.small(steps, batch)
            found, misshapen = checked(graph, call(backward, graph, problems.step))
            right = graph.backward()
            off = differences(right, found)
            if misshapen or max(off.values()) < 1e-4:
                continue
            allowed = tolerances(graph, right)
        except Exception:
            continue
        if any(np.abs(found[n] - right[n]).max(initial=0.0) > allowed[n] for n in found):
            return graph, found
    return None
