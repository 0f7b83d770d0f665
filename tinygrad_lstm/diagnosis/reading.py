"""Mistakes in what is read off at the end: sums, factors, orders, gradients in another's place.

They are not tried one by one: how a gradient that was found comes from the right one is looked up,
name by name, and names that have it in common are told together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lstm.diagnosis.backward import Recorded
from tinygrad_lstm.diagnosis.changes import Changes, Mistake
from tinygrad_lstm.diagnosis.rules import Array, shifted

Close = Callable[[str, Array], bool]


class How(NamedTuple):
    """How one gradient differs from the right one; names with equal ones are told together."""

    kind: str
    message: str
    rank: float
    array: Array  # the gradient that it gives
    detail: Any = None


class Reading(NamedTuple):
    """Mistakes that explain all gradients, and the gradients that they give."""

    mistakes: tuple[Mistake, ...]
    gradients: Mapping[str, Array]


def read_off(
    graph: Recorded,
    right: Mapping[str, Array],
    parts: Mapping[str, Array],
    found: Mapping[str, Array],
    close: Close,
    most: int = 1,
) -> list[Reading]:
    """The ways to explain what was found by at most so many mistakes of these."""
    wrong = [name for name in found if not close(name, right[name])]
    ways = {n: list(_ways(graph, right, parts, found, n, close)) for n in wrong}
    if not wrong or not all(ways.values()):
        return []
    keys: dict[Any, set[str]] = {}
    for name, each in ways.items():
        for how in each:
            keys.setdefault(_key(how), set()).add(name)
    whole = [key for key, names in keys.items() if len(names) == len(wrong)]
    chosen: list[tuple[Any, ...]] = [(key,) for key in whole]
    if not chosen and most > 1:
        several = list(keys)
        chosen = [
            (a, b)
            for k, a in enumerate(several)
            for b in several[k + 1 :]
            if len(keys[a] | keys[b]) == len(wrong)
        ]
    explained = []
    for group in chosen:
        left, told = set(wrong), []
        given = {name: right[name] for name in found}
        for key in sorted(group, key=lambda k: -len(keys[k])):
            names = [n for n in wrong if n in keys[key] and n in left]
            left -= set(names)
            hows = {n: next(how for how in ways[n] if _key(how) == key) for n in names}
            given |= {n: how.array for n, how in hows.items()}
            if names:
                told.append(_mistake(graph, hows, found))
        explained.append(Reading(tuple(told), given))
    return explained


def read_twice(
    graph: Recorded,
    right: Mapping[str, Array],
    parts: Mapping[str, Array],
    found: Mapping[str, Array],
    close: Close,
) -> list[Reading]:
    """A number that all gradients are multiplied with, or all of parameters, and one thing more."""
    explained = []
    own = [n for n in found if n in graph.parameters]
    for names in [list(found), own] if 0 < len(own) < len(found) else [list(found)]:
        for factor, kind, message in _usual(graph):
            true = {n: factor * a if n in names else a for n, a in right.items()}
            scaled = {n: factor * a if n in names else a for n, a in parts.items()}
            detail = factor if message == "factor" else None
            hows = {n: How(kind, message, 1.2, true[n], detail) for n in names}
            for each in read_off(graph, true, scaled, found, close):
                told = (*each.mistakes, _mistake(graph, hows, found))
                explained.append(Reading(told, each.gradients))
    return explained


def _usual(graph: Recorded) -> list[tuple[float, str, str]]:
    """The numbers that a gradient is wrongly multiplied with, and what each is."""
    steps, batch = len(graph), graph.batch
    usual: list[tuple[float, str, str]] = []
    if batch > 1:
        usual += [(1 / batch, "sum", "mean over batch"), (float(batch), "factor", "factor")]
    if steps > 1:
        usual += [(1 / steps, "sum", "mean over steps"), (float(steps), "factor", "factor")]
    if batch > 1 and steps > 1:
        both = batch * steps
        usual += [(1 / both, "sum", "mean over both"), (float(both), "factor", "factor")]
    usual += [(-1.0, "sign", "sign of all")]
    return usual + [(f, "factor", "factor") for f in (2.0, 0.5, -2.0, -0.5)]


def _key(how: How) -> tuple[Any, ...]:
    same = how.detail if how.message == "factor" else None
    return how.kind, how.message, same


def _ways(
    graph: Recorded,
    right: Mapping[str, Array],
    parts: Mapping[str, Array],
    found: Mapping[str, Array],
    name: str,
    close: Close,
) -> Iterator[How]:
    true, given = right[name], found[name]
    parameter = name in graph.parameters
    yield from _factors(graph, true, given, lambda array: close(name, array))
    if parameter and name in parts:
        for kind, message, array in _sums(parts[name], true):
            if close(name, array):
                yield How(kind, message, 1.0, array)
    if true.ndim == 2 and parameter:
        if true.shape[0] == true.shape[1] > 1 and close(name, true.T):
            yield How("transpose", "gradient transposed", 1.0, true.T)
        for cut in graph.cuts(name):
            if close(name, rolled := np.roll(true, -cut, axis=1)):
                yield How("order", "order of columns", 1.0, rolled, cut)
    if not parameter and len(graph) > 1 and not name.startswith("prev."):
        if close(name, true[::-1]):
            yield How("order", "steps reversed", 1.0, true[::-1])
        for by in (-1, 1):
            if close(name, moved := shifted(true, by)):
                yield How("step", "steps shifted", 1.1, moved, by)
        turned = np.swapaxes(true, 0, 1)
        if true.shape == turned.shape and close(name, turned):
            yield How("transpose", "axes exchanged", 1.0, turned)
    if not given.any():
        yield How("missing term", "nothing", 0.9, given)
    for other, array in right.items():
        if other != name and array.shape == true.shape and array.any() and close(name, array):
            yield How("exchange", "in place", 1.0, array, other)


def _factors(
    graph: Recorded, true: Array, given: Array, close: Callable[[Array], bool]
) -> Iterator[How]:
    square = float((true * true).sum())
    if not square or not given.any():
        return
    ratio = float((true * given).sum()) / square
    told = set()
    for factor, kind, message in _usual(graph):
        if abs(ratio / factor - 1) < 1e-2 and close(factor * true) and (kind, message) not in told:
            told.add((kind, message))
            detail = factor if message == "factor" else None
            yield How(kind, message, 1.2, factor * true, detail)
    if not told and np.count_nonzero(true) > 1 and close(ratio * true):
        yield How("factor", "factor", 1.4, ratio * true, float(f"{ratio:.4g}"))


def _sums(parts: Array, true: Array) -> Iterator[tuple[str, str, Array]]:
    steps = len(parts)
    if steps > 1:
        yield "sum", "last step only", parts[-1]
        yield "sum", "first step only", parts[0]
    if steps > 2:
        yield "step", "first step not summed", true - parts[0]
        yield "step", "last step not summed", true - parts[-1]
    if steps > 1:
        yield "sum", "running sum", np.cumsum(parts, axis=0).sum(axis=0)
        yield "sum", "running sum", np.cumsum(parts[::-1], axis=0).sum(axis=0)


def _mistake(graph: Recorded, hows: Mapping[str, How], found: Mapping[str, Array]) -> Mistake:
    """One mistake of all the names that it is about."""
    names, how = list(hows), next(iter(hows.values()))
    rank = how.rank + 0.1 * (len(names) == 1 < len(found))
    words: dict[str, Any] = {"names": names, "name": ", ".join(names)}
    message = how.message
    if message == "factor":
        words["factor"] = how.detail
    elif message == "steps shifted":
        words["by"] = how.detail
    elif message == "order of columns" and len(names) > 1:
        message = "order of all columns"
    elif message == "in place":
        given = {name: each.detail for name, each in hows.items()}
        message, words = _exchanged(graph, given)
    return Mistake(how.kind, message, Changes(), rank, words=words)


def _exchanged(graph: Recorded, given: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """Two gradients, or those of two equations' parameters, or one in the place of another."""
    if all(given.get(b) == a for a, b in given.items()):
        pairs = [(a, b) for a, b in given.items() if list(given).index(a) < list(given).index(b)]
        if len(pairs) == 1:
            return "exchanged", {"a": pairs[0][0], "b": pairs[0][1]}
        owners = {n: e for e in graph.program.equations for n in graph.parameters_of(e)}
        gates = {(owners.get(a, a), owners.get(b, b)) for a, b in pairs}
        if len(gates) == 1:
            a, b = next(iter(gates))
            return "gates exchanged", {"a": a, "b": b, "names": list(given)}
    told = ", ".join(f"{a} ← {b}" for a, b in given.items())
    return "in place", {"told": told, "names": list(given)}
