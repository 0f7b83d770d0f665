"""The best of several arrangements of a cell on the grid: orders of belts and of lanes."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from viz.anatomy import Anatomy
from viz.layout.grid import NotPlaceable, Order
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
    found: list[tuple[float, int, int, Order, Grid]] = []

    def attempt(order: Order, *spares: int) -> None:
        for spare in spares:
            with contextlib.suppress(NotPlaceable):
                grid, cost = routed(Placer(a, order).plan(), spare, effort)
                found.append((cost, len(found), spare, order, grid))

    orders = itertools.islice(_orders(a), tries)
    attempt(next(orders), 1, 2)
    for order in orders:
        attempt(order, min((spare for _, _, spare, _, _ in found), default=3))
        tries -= 1
    lower = [s for s in a.states if s not in a.belts]
    if found and 1 < len(lower) <= PERMUTED:
        _, _, spare, order, _ = min(found)
        for states in itertools.islice(itertools.permutations(lower), tries):
            attempt(replace(order, states=states), spare)
    return min(found)[-1] if found else None


def _orders(a: Anatomy) -> Iterator[Order]:
    """Orders of the belts and of the lanes, the natural ones first."""
    belts = tuple(reversed(a.belts))
    every = itertools.permutations(belts) if len(belts) <= PERMUTED else [belts]
    for order in every:
        lanes = 0
        with contextlib.suppress(NotPlaceable):
            lanes = len(Placer(a, Order(order)).plan().buses)
        several = itertools.permutations(range(lanes)) if 1 < lanes <= PERMUTED else [()]
        yield from (Order(order, lane_order) for lane_order in several)
