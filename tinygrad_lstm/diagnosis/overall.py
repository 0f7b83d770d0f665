"""Mistakes that are about no single edge: what the loss hands in, what is carried, which steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_lstm.diagnosis.backward import Recorded
from tinygrad_lstm.diagnosis.changes import Change, Changes, Mistake
from tinygrad_lstm.diagnosis.rules import Array, shifted

NOTHING = Change(None)


def over_time(graph: Recorded) -> Iterator[Mistake]:
    """What the loss hands in, what is carried, and which steps are done."""
    last = len(graph) - 1
    steps = np.arange(len(graph))
    for name in graph.seeds:
        words = {"name": name}
        if last:
            alone = _seeds(name, 1.0 * (steps == last))
            yield Mistake("missing term", "loss at the last step only", alone, words=words)
            first = _seeds(name, 1.0 * (steps != 0))
            yield Mistake("step", "loss not at the first step", first, 1.2, words=words)
            most = _seeds(name, 1.0 * (steps != last))
            yield Mistake("step", "last step left out", most, words=words)
            for by in (-1, 1):
                moved = _moved(name, by)
                told = {"name": name, "by": by}
                yield Mistake("step", "loss of another step", moved, 1.2, words=told)
            if graph.over_time.get(name) is graph.program.equations[name]:
                again = Changes(seeds=_total(name))
                yield Mistake("double term", "carried again", again, 1.3, words=words)
        yield Mistake("double term", "loss twice", _seeds(name, 2.0), 1.25, words=words)
        yield Mistake("sign", "loss sign", _seeds(name, -1.0), 1.25, words=words)
    if last:
        yield from _carried(graph)
        skipped = Changes(skipped=frozenset({0}))
        yield Mistake("step", "first step left out", skipped, 1.1)
        skipped = Changes(skipped=frozenset({-1}))
        yield Mistake("step", "last step left out", skipped, 1.1, words={"name": ""})


def _carried(graph: Recorded) -> Iterator[Mistake]:
    inputs = graph.program.inputs
    into = {
        name: graph.step.into.get(graph.step.point("", inputs[f"prev.{name}"]), [])
        for name in graph.start
    }
    every = {e.place: NOTHING for edges in into.values() for e in edges}
    yield Mistake("carried", "nothing carried", Changes(every), 0.9)
    for name, edges in into.items():
        words = {"name": name}
        own = {e.place: NOTHING for e in edges}
        if own and len(own) < len(every):
            yield Mistake("carried", "lost", Changes(own), 0.95, words=words)
        if own:
            for way in ("added", "kept"):
                added = Changes(carry={name: way})
                yield Mistake("carried", f"carried {way}", added, 1.3, words=words)
    if len([edges for edges in into.values() if edges]) > 1:
        words = {"name": ", ".join(into)}
        for way in ("added", "kept"):
            added = Changes(carry=dict.fromkeys(into, way))
            yield Mistake("carried", f"carried {way}", added, 1.3, words=words)


def _seeds(name: str, factor: Any) -> Changes:
    """What the loss hands in, times a number or one for each step."""

    def change(graph: Recorded, seeds: dict[str, Array]) -> dict[str, Array]:
        axes = (1,) * (seeds[name].ndim - 1)
        scale = np.reshape(factor, (-1, *axes)) if np.ndim(factor) else factor
        return {**seeds, name: scale * seeds[name]}

    return Changes(seeds=change)


def _moved(name: str, by: int) -> Changes:
    """What the loss hands in at the step before or after; 0 where there is none."""

    def change(graph: Recorded, seeds: dict[str, Array]) -> dict[str, Array]:
        return {**seeds, name: shifted(seeds[name], by)}

    return Changes(seeds=change)


def _total(name: str) -> Any:
    """The whole adjoint in the place of the loss's own: what is carried is carried twice."""

    def change(graph: Recorded, seeds: dict[str, Array]) -> dict[str, Array]:
        return {**seeds, name: graph.backward()[name]}

    return change
