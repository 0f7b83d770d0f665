"""`diagnose`: which mistake makes the right gradients into the ones that were found."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from tinygrad_lstm.diagnosis.among import diagnose_among
from tinygrad_lstm.diagnosis.answers import is_forward
from tinygrad_lstm.diagnosis.backward import Array, Changes, Mistake, Recorded
from tinygrad_lstm.diagnosis.diagnosis import Diagnosis, Explanation
from tinygrad_lstm.diagnosis.mistakes import mistakes
from tinygrad_lstm.diagnosis.steps import diagnose_forward
from tinygrad_lstm.errors import DataError, DTypeError, ShapeError, UnknownNameError
from tinygrad_lstm.step import Cell
from tinygrad_lstm.testing.inputs import Case, random_inputs

RIGHT = 3e-5  # what rounding in float32 may do to an entry, of the largest one of its array
MOST = 12  # single mistakes from which pairs are tried
STEPS, BATCH = 5, 3  # of the problem that a function is tried on; no two of its sizes are the same
Backward = Callable[..., Mapping[str, Any]]


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
    `backward` may be such a function as well. Its values instead: forward={…}, p=p, xs=xs. Kinds
    are those of gradients and "activation".
    among: without a cell, the cells that the forward may be; True: all that are built in;
    `diagnose(among=my_step)` is short for it. The result, a `Diagnosis`, also has `cell`, its
    name, `same`, those that compute the same, and `candidates`, those for which it ran.

    Only the function itself is called; nothing else of the caller's is evaluated. ShapeError,
    DTypeError, UnknownNameError, DataError: gradients that cannot be compared.
    """
    if cell is None or among is not None:
        own: Any = among if callable(among) else forward or backward
        several = None if callable(among) else among
        return diagnose_among(own, several, seed)
    if forward is None and callable(backward) and is_forward(cell, backward):
        forward, backward = backward, None
    if forward is not None:
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
        missing = [n for n, v in {"p": p, "xs": xs, "h_bar": h_bar}.items() if v is None]
        if missing:
            raise DataError(f"{cell}: found= needs {', '.join(missing)}, what it was computed for.")
        seeds = {cell.output: np.asarray(h_bar, dtype=float)}
        given = {name: np.asarray(value, dtype=float) for name, value in (p or {}).items()}
        graph = Recorded(cell, given, np.asarray(xs, dtype=float), seeds, initial, **further)
        return _compare(graph, found, None)
    assert backward is not None
    step = _is_step(cell, backward)

    def problem(steps: int, batch: int, sizes: Mapping[str, int] | None) -> Recorded:
        case = random_inputs(cell, sizes, steps=1 if step else steps, batch=batch, rng=seed)
        return _recorded(case, step, np.random.default_rng(seed + 1))

    graph = problem(STEPS, BATCH, _distinct(cell))
    return _compare(graph, _call(backward, graph, step), lambda: _smallest(backward, problem, step))


def _is_step(cell: Cell, backward: Backward) -> bool:
    try:
        kinds = inspect.signature(backward).parameters
    except (TypeError, ValueError):
        return False
    return {"prev", "now", "bar"} <= set(kinds) or len(
        [n for n, k in kinds.items() if k.default is k.empty and n not in cell.extra_inputs]
    ) == 5


def _distinct(cell: Cell) -> dict[str, int]:
    """Sizes of which no two are the same, nor the batch's or the number of steps."""
    sizes, taken = dict(cell.small_sizes()), {STEPS, BATCH}
    for name, n in sizes.items():
        while n in taken:
            n += 1
        sizes[name] = n
        taken.add(n)
    try:
        return cell.complete(sizes)
    except Exception:
        return cell.small_sizes()


def _recorded(case: Case, step: bool, rng: np.random.Generator) -> Recorded:
    cell = case.cell
    run = case.unroll()
    names = list(cell.state) if step else [cell.output]
    seeds = {name: rng.standard_normal(run[name].shape) for name in names}
    initial = case.initial if step else {}
    graph = Recorded(cell, case.parameters, case.xs, seeds, initial or None, **case.further)
    graph.further = case.further
    return graph


def _call(backward: Backward, graph: Recorded, step: bool) -> Mapping[str, Any]:
    """The function's answer; what it is given are copies, which it may change."""
    p = {name: np.array(t.data) for name, t in graph.parameters.items()}
    seeds = {name: np.array(g) for name, g in graph.seeds.items()}
    wanted = inspect.signature(backward).parameters
    further: dict[str, Any] = {
        n: np.array(v[0] if step and n in graph.cell.sequences else v)
        for n, v in graph.further.items()
        if n in wanted
    }
    if not step:
        if "initial" in wanted:
            further["initial"] = {n: np.array(t.data) for n, t in graph.start.items()}
        arguments: tuple[Any, ...] = (p, np.array(graph.xs.data), seeds[graph.cell.output])
    else:
        prev = {name: np.array(t.data) for name, t in graph.start.items()}
        now = {name: np.array(t.data) for name, t in graph.steps[0].items()}
        arguments = (p, np.array(graph.xs.data[0]), prev, now, {n: g[0] for n, g in seeds.items()})
    try:
        answer = backward(*arguments, **further)
    except Exception as error:
        name = getattr(backward, "__name__", "the function")
        place, trace = "", error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code is getattr(backward, "__code__", None):
                place = f", line {trace.tb_lineno}"
            trace = trace.tb_next
        raise DataError(
            f"{graph.cell}: {name}{place} raised {type(error).__name__}: {error}"
        ) from error
    if not isinstance(answer, Mapping):
        raise DTypeError(
            f"{graph.cell}: a mapping of names to gradients is needed, such as "
            f"{{'{next(iter(p))}': …}}, got {type(answer).__name__}."
        )
    if step:
        over_time = ("x", *graph.steps[0])
        answer = {n: np.asarray(v)[None] if n in over_time else v for n, v in answer.items()}
    return answer


def _smallest(
    backward: Backward, problem: Callable[..., Recorded], step: bool
) -> tuple[Recorded, dict[str, Array]] | None:
    """The smallest problem on which the function is wrong."""
    for steps, batch in ((1, 1), (2, 1), (3, 1), (2, 2), (3, 2)):
        try:
            graph = problem(steps, batch, None)
            found, _ = _checked(graph, _call(backward, graph, step))
        except Exception:
            continue
        if found and max(differences(graph.backward(), found).values()) >= RIGHT:
            return graph, found
    return None


# --- comparing -----------------------------------------------------------------------------------
def differences(right: Mapping[str, Array], found: Mapping[str, Array]) -> dict[str, float]:
    """By name the largest difference, relative to the largest entry of the right array."""
    off = {}
    for name, array in found.items():
        true = right[name]
        scale = float(np.abs(true).max(initial=0.0)) or 1.0
        off[name] = float(np.abs(array - true).max(initial=0.0)) / scale
    return off


def _compare(
    graph: Recorded,
    answer: Mapping[str, Any],
    smaller: Callable[[], tuple[Recorded, dict[str, Array]] | None] | None,
) -> Diagnosis:
    found, misshapen = _checked(graph, answer)
    right = graph.backward()
    off = differences(right, found)
    if not misshapen and max(off.values()) < RIGHT:
        return Diagnosis.all_right(graph, off)
    small = smaller() if smaller else None
    if misshapen:
        wrong = [n for n in off if off[n] >= RIGHT]
        return Diagnosis.of(graph, [Explanation((m,), 0.0) for m in misshapen], wrong, found, small)
    wrong = _in_order(graph, [name for name in off if off[name] >= RIGHT])
    return Diagnosis.of(graph, explanations(graph, found), wrong, found, small)


def _in_order(graph: Recorded, names: Iterable[str]) -> list[str]:
    """Names in the order in which a backward pass comes to them."""
    order = [
        n.removeprefix("bar.") for n in graph.program.gradient().equations if n.startswith("bar.")
    ]
    place = {name: k for k, name in reversed(list(enumerate(order)))}
    return sorted(names, key=lambda name: place.get(name, len(order)))


def explanations(graph: Recorded, found: Mapping[str, Array]) -> list[Explanation]:
    """What explains the gradients that were found, the likeliest first."""
    right, parts = graph.gradients()
    off = differences(right, found)
    tried: list[tuple[int, float, Mistake]] = []
    explained: list[Explanation] = []
    for mistake in _likeliest_first(mistakes(graph, found)):
        if explained and mistake.rank > explained[0].mistakes[0].rank + 0.3:
            break
        other = differences(_with(graph, mistake.changes, right, parts), found)
        if max(other.values()) < RIGHT:
            explained.append(Explanation((mistake,), max(other.values())))
        mended = sum(off[n] >= RIGHT and other[n] < RIGHT for n in found)
        broken = sum(off[n] < RIGHT and other[n] >= RIGHT for n in found)
        if mended > broken:
            tried.append((broken - mended, mistake.rank, mistake))
    if not explained:
        explained = list(_pairs(graph, found, sorted(tried, key=lambda t: t[:2])))
    return sorted(explained, key=lambda e: e.rank)


def _pairs(
    graph: Recorded, found: Mapping[str, Array], tried: list[tuple[int, float, Mistake]]
) -> Iterator[Explanation]:
    for _, _, first in tried[:MOST]:
        right, parts = graph.gradients(first.changes)
        for second in _likeliest_first(mistakes(graph, found)):
            both = first.changes + second.changes
            values = _with(graph, both, right, parts, second.changes)
            if (worst := max(differences(values, found).values())) < RIGHT:
                yield Explanation((first, second), worst)
                return


def _with(
    graph: Recorded,
    changes: Changes,
    right: Mapping[str, Array],
    parts: Mapping[str, Array],
    last: Changes | None = None,
) -> Mapping[str, Array]:
    """The gradients with changes; what changes only what is read off needs no way back anew."""
    last = last or changes
    if last.edges or last.seeds or last.result is None:
        return graph.backward(changes)
    return last.result(dict(right), parts)


def _likeliest_first(found: Iterable[Mistake]) -> list[Mistake]:
    return sorted(found, key=lambda mistake: mistake.rank)


# --- what was given ------------------------------------------------------------------------------
def _checked(graph: Recorded, answer: Mapping[str, Any]) -> tuple[dict[str, Array], list[Mistake]]:
    """The gradients as arrays, and those whose shape is a mistake that has a name."""
    right, found, misshapen = graph.backward(), dict[str, Array](), list[Mistake]()
    cell = graph.cell
    for name, value in answer.items():
        if value is None:
            continue
        if name not in right:
            raise UnknownNameError(
                f"{cell}: there is no gradient of {name!r}; there are {', '.join(right)}."
            )
        try:
            array = np.asarray(value)
        except Exception as error:
            raise DTypeError(f"{cell}: the gradient of {name} is no array: {error}") from error
        if array.dtype.kind not in "fiu":
            raise DTypeError(f"{cell}: the gradient of {name} holds {array.dtype}, not numbers.")
        if array.dtype.kind in "iu" and right[name].dtype.kind == "f":
            raise DTypeError(
                f"{cell}: the gradient of {name} holds whole numbers ({array.dtype}); it was "
                f"rounded. Begin with np.zeros_like(p[{name!r}]) of floating-point numbers."
            )
        if not np.isfinite(array).all():
            where = tuple(int(k) for k in np.argwhere(~np.isfinite(array))[0])
            raise DataError(f"{cell}: the gradient of {name} is {array[where]} at {list(where)}.")
        true = right[name]
        if array.shape != true.shape:
            mistake = _misshapen(graph, name, array.astype(float), true)
            if mistake is None:
                raise ShapeError(
                    f"{cell}: the gradient of {name} has shape {array.shape}, but {name} "
                    + ("is" if name in graph.parameters else "over time is")
                    + f" {true.shape}."
                )
            misshapen.append(mistake)
            continue
        found[name] = array.astype(float)
    if not found and not misshapen:
        raise DataError(f"{cell}: no gradient was given; there are {', '.join(right)}.")
    return found, misshapen


def _misshapen(graph: Recorded, name: str, array: Array, true: Array) -> Mistake | None:
    time, batch = len(graph), graph.xs.shape[1:-1]
    fronts = {batch: 0, (time,): 1, (time, *batch): 2}
    for front, axis in fronts.items():
        if front and array.shape == (*front, *true.shape):
            words = {"name": name, "axis": axis, "shape": array.shape}
            return Mistake("sum", "not summed", Changes(), words=words)
    if array.ndim == 2 and array.shape == true.shape[::-1]:
        return Mistake("transpose", "gradient transposed", Changes(), words={"name": name})
    return None
