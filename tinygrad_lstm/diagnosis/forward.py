"""Mistakes in the forward pass, of a right backward pass: a parameter in another's place.

The gradients are those of other numbers: what another gate's bias, or a matrix with its columns in
another order, would have given.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

import numpy as np

from tinygrad_lstm.diagnosis.backward import Recorded
from tinygrad_lstm.diagnosis.changes import Changes, Mistake
from tinygrad_lstm.diagnosis.rules import Array

MOST = 200  # runs


def in_forward(
    graph: Recorded, found: Mapping[str, Array]
) -> Iterator[tuple[Mistake, dict[str, Array]]]:
    """Each mistake, with the gradients that it gives."""
    joined = {
        n: cuts[0] for n in graph.parameters if len(cuts := graph.cuts(n)) == 1
    }  # [x, h] is read where [h, x] is meant, forward and backward
    if joined and all(graph.parameters[n].ndim == 2 for n in joined):
        turned = {n: np.roll(graph.parameters[n], c, axis=1) for n, c in joined.items()}
        right = dict(_with(graph, turned).backward())
        right |= {n: np.roll(right[n], -c, axis=1) for n, c in joined.items()}
        yield Mistake("order", "order throughout", Changes(), words={"names": list(joined)}), right
    for k, there in enumerate(_places(graph)):
        if k == MOST:
            return
        other = _with(graph, {a: graph.parameters[b] for a, b in there.items()})
        words = {"told": ", ".join(f"{a} ← {b}" for a, b in there.items()), "names": list(there)}
        rank = 1.5 + 0.1 * len(there)
        given = other.backward()
        yield Mistake("exchange", "read in place", Changes(), rank, words=words), given
        if all(there.get(b) == a for a, b in there.items()):
            back = {**given, **{b: given[a] for a, b in there.items()}}
            yield Mistake("exchange", "read in place", Changes(), rank, words=words), back


def _places(graph: Recorded) -> Iterator[dict[str, str]]:
    """Which parameter is read in the place of which: one, two for each other, one for two more."""
    twins = [
        (a, b) for a, b in itertools.permutations(graph.parameters, 2)
        if graph.parameters[a].shape == graph.parameters[b].shape
    ]  # fmt: skip
    yield from ({a: b} for a, b in twins)
    yield from ({a: b, b: a} for a, b in twins if a < b)
    for (a, b), (c, d) in itertools.combinations(twins, 2):
        if b == d and a != c:
            yield {a: b, c: d}


def _with(graph: Recorded, parameters: Mapping[str, Array]) -> Recorded:
    p = {**graph.parameters, **parameters}
    other = Recorded(graph.cell, p, graph.xs, {}, graph.start, **graph.further)
    other.seeds = graph.seeds
    return other
