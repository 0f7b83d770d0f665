"""Mistakes that are about no single edge: over time, in sums, between gradients."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from tinygrad_lstm.diagnosis.backward import Array, Changes, Edge, Mistake, Recorded


# --- what the loss hands in, what is carried, which steps are done -------------------------------
def over_time(graph: Recorded) -> Iterator[Mistake]:
    """What the loss hands in, what is carried, and which steps are done."""
    last = len(graph) - 1
    only_last = np.arange(len(graph)) == last
    for name in graph.seeds:
        words = {"name": name}
        if last:
            alone = _seeds(name, only_last)
            yield Mistake("missing term", "loss at the last step only", alone, words=words)
            yield Mistake("step", "last step left out", _seeds(name, ~only_last), words=words)
        yield Mistake("double term", "loss twice", _seeds(name, 2.0), 1.2, words=words)
        yield Mistake("sign", "loss sign", _seeds(name, -1.0), 1.2, words=words)
    if last:
        carried = {place: graph.carries(edge) for place, edge in graph.ways_of_a_step()}
        every = {place: _nothing for place, state in carried.items() if state}
        yield Mistake("carried", "nothing carried", Changes(every))
        for name in graph.start:
            own = {place: _nothing for place, state in carried.items() if state == name}
            if 1 < len(own) < len(every):
                yield Mistake("carried", "lost", Changes(own), words={"name": name})


def _nothing(edge: Edge, g: Array) -> Array | None:
    return None


def _seeds(name: str, factor: Any) -> Changes:
    """What the loss hands in, times a number or one for each step."""

    def change(seeds: dict[str, Array]) -> dict[str, Array]:
        axes = (1,) * (seeds[name].ndim - 1)
        scale = np.reshape(factor, (-1, *axes)) if np.ndim(factor) else factor
        return {**seeds, name: scale * seeds[name]}

    return Changes(seeds=change)


# --- what is read off ----------------------------------------------------------------------------
def read_off(graph: Recorded, given: Mapping[str, Array]) -> Iterator[Mistake]:
    """Sums, factors, the order of columns, and gradients in another's place."""
    parameters = [name for name in graph.parameters if name in given]
    steps, batch = len(graph), int(np.prod(graph.xs.shape[1:-1], dtype=int))
    for names in _groups(parameters):
        for kind, message, change in _sums(steps):
            rank = 1.0 + 0.1 * (len(names) == 1)
            yield Mistake(kind, message, _each(names, change), rank, words={"names": names})
    for names in _groups(list(given), parameters):
        for factor, kind, message in _factors(steps, batch):
            words = {"names": names, "factor": factor}
            rank = 1.2 + 0.1 * (len(names) == 1)
            yield Mistake(kind, message, _each(names, _times(factor)), rank, words=words)
    yield from _rearranged(graph, parameters)
    yield from _exchanged(graph, given)


def _groups(*several: list[str]) -> list[list[str]]:
    """All names together, then each alone."""
    found = [names for names in several if names]
    found += [[name] for name in several[0] if len(several[0]) > 1]
    return [names for k, names in enumerate(found) if names not in found[:k]]


def _rearranged(graph: Recorded, parameters: list[str]) -> Iterator[Mistake]:
    matrices = [name for name in parameters if len(graph.parameters[name].shape) == 2]
    for name in matrices:
        rows, columns = graph.parameters[name].shape
        if rows == columns:
            turned = _each([name], lambda right, parts: np.swapaxes(right, 0, 1))
            yield Mistake("transpose", "gradient transposed", turned, words={"name": name})
        for cut in graph.cuts(name):
            yield Mistake("order", "order of columns", _rolled({name: cut}), words={"name": name})
    joined = {name: cuts[0] for name in matrices if len(cuts := graph.cuts(name)) == 1}
    if len(joined) > 1:
        yield Mistake("order", "order of all columns", _rolled(joined))


def _rolled(cuts: Mapping[str, int]) -> Changes:
    def result(found: dict[str, Array], parts: Any) -> dict[str, Array]:
        return {**found, **{n: np.roll(found[n], -c, axis=1) for n, c in cuts.items()}}

    return Changes(result=result)


def _exchanged(graph: Recorded, given: Mapping[str, Array]) -> Iterator[Mistake]:
    """Two gradients, or those of two equations' parameters: W_f and b_f for W_i and b_i."""
    read = {equation: graph.parameters_of(equation) for equation in graph.program.equations}
    own = {name: [p for p in names if p in given] for name, names in read.items()}
    groups = {name: [name] for name in given} | {n: p for n, p in own.items() if len(p) > 1}
    for a, b in itertools.combinations(groups, 2):
        shapes = [[np.shape(given[n]) for n in groups[name]] for name in (a, b)]
        if shapes[0] == shapes[1] and not set(groups[a]) & set(groups[b]):
            there = dict(zip(groups[a], groups[b], strict=True))
            swapped = _swapped({**there, **{y: x for x, y in there.items()}})
            yield Mistake("exchange", "exchanged", swapped, words={"a": a, "b": b})


def _swapped(other: Mapping[str, str]) -> Changes:
    def result(found: dict[str, Array], parts: Any) -> dict[str, Array]:
        return {**found, **{name: found[n] for name, n in other.items()}}

    return Changes(result=result)


def _each(names: list[str], change: Callable[[Array, Array], Array]) -> Changes:
    def result(found: dict[str, Array], parts: Mapping[str, Array]) -> dict[str, Array]:
        return {**found, **{n: change(found[n], parts.get(n, found[n])) for n in names}}

    return Changes(result=result)


def _times(factor: float) -> Callable[[Array, Array], Array]:
    return lambda right, parts: factor * right


def _sums(steps: int) -> Iterator[tuple[str, str, Callable[[Array, Array], Array]]]:
    if steps > 1:
        yield "sum", "mean over steps", lambda right, parts: right / steps
        yield "sum", "last step only", lambda right, parts: parts[-1]
        yield "sum", "first step only", lambda right, parts: parts[0]
    if steps > 2:
        yield "step", "first step not summed", lambda right, parts: right - parts[0]
        yield "step", "last step not summed", lambda right, parts: right - parts[-1]


def _factors(steps: int, batch: int) -> Iterator[tuple[float, str, str]]:
    if batch > 1:
        yield 1 / batch, "sum", "mean over batch"
        yield float(batch), "factor", "factor"
    if steps > 1:
        yield float(steps), "factor", "factor"
    if batch > 1 and steps > 1:
        yield 1 / (batch * steps), "sum", "mean over both"
    for factor in (2.0, 0.5):
        if factor not in (batch, steps):
            yield factor, "factor", "factor"
    yield -1.0, "sign", "sign of all"
