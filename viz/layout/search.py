"""The best of several arrangements of a cell on the grid: orders of belts and of lanes."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from functools import lru_cache

from viz.anatomy import Anatomy
from viz.layout.grid import NotPlaceable
from viz.layout.placement import Placer
from viz.layout.routing import Effort, Grid, routed

PERMUTED = 4  # belts, and lanes, of which every order is tried
PATIENCE = 300  # parts that are laid out in all before the best arrangement so far is taken
EFFORT = 400_000  # points looked at in all: two or three seconds
LARGEST = 200  # parts: a grid of more is wider than any page


@lru_cache(maxsize=64)
def arranged(a: Anatomy) -> Grid | None:
    """A cell's routed grid, None if there is no way for some line, or too many parts."""
    if len(a.parts) > LARGEST:
        return None
    tries = max(2, PATIENCE // max(len(a.parts), 1))
    effort = Effort(EFFORT)
    found: list[tuple[float, int, Grid]] = []
    for k, (belts, lanes) in enumerate(itertools.islice(_orders(a), tries)):
        for spare in (1, 2) if k == 0 else (1,):
            with contextlib.suppress(NotPlaceable):
                grid, cost = routed(Placer(a, belts).plan(lanes), spare, effort)
                found.append((cost, len(found), grid))
    return min(found)[2] if found else None


def _orders(a: Anatomy) -> Iterator[tuple[tuple[str, ...], tuple[int, ...] | None]]:
    """Orders of the belts and of the lanes, the natural ones first."""
    belts = tuple(reversed(a.belts))
    every = itertools.permutations(belts) if len(belts) <= PERMUTED else iter([belts])
    for order in list(every):
        try:
            lanes = len(Placer(a, order).plan().buses)
        except NotPlaceable:
            lanes = 0
        several = itertools.permutations(range(lanes)) if 1 < lanes <= PERMUTED else iter([None])
        yield from ((order, lane_order) for lane_order in several)
