"""A plan as JavaScript at work, in a node process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np

from tinygrad_lstm.kernels.js_source import Source
from tinygrad_lstm.kernels.loop import Loops
from tinygrad_lstm.kernels.memory import Views
from tinygrad_lstm.kernels.node import Child, child
from tinygrad_lstm.kernels.plan import Buffer, Kind, Space
from tinygrad_lstm.tensor import Array


class JavaScriptCode:
    """A plan's script, and what it makes of the arrays that are sent to it."""

    title: ClassVar[str] = "JavaScript"
    rows: Iterable[Buffer] = ()
    transient: Collection[Buffer] = ()
    work = 0.0

    def __init__(self, loops: Loops, dtype: Any) -> None:
        made = Source(loops, dtype)
        self.dtype, self.source, self.plan = made.dtype, made.text, loops.plan
        self._buffers = made.buffers
        self._known: tuple[Child, int] | None = None
        self._child()

    @staticmethod
    def text(loops: Loops, dtype: Any) -> str:
        """The script alone."""
        return Source(loops, dtype).text

    def _child(self) -> tuple[Child, int]:
        """The process, and which of the cells it knows this is."""
        process = child()
        if self._known is None or self._known[0] is not process:
            self._known = process, process.load(self.source)
        return self._known

    def forward(self, views: Views, workers: int) -> Callable[[], None]:
        """The loop over time."""
        return partial(self._forward, views)

    def backward(self, views: Views, workers: int) -> Callable[[], dict[str, Array]]:
        """The loop back through time, and the gradients of the packed weights."""
        return partial(self._backward, views)

    def _forward(self, views: Views) -> None:
        kept = {b.name: views[b.name] for b in self.plan.kept_buffers}
        self._run("forward", views, {}, kept)

    def _backward(self, views: Views) -> dict[str, Array]:
        layout = self.plan.layout
        given = [b.name for b in (*self.plan.kept_buffers, *layout.of(Space.SEED).values())]
        wanted = {b.name: views[b.name] for b in layout.of(Space.INPUT_ADJOINT).values()}
        totals = [b for b in self._buffers.values() if b.kind is Kind.TOTAL]
        sums = {b.name: np.empty(b.width, self.dtype) for b in totals}
        carry = {f"carry.{n}": pair[views.steps % 2] for n, pair in views.carry.items()}
        first = {f"carry.{n}": pair[0] for n, pair in views.carry.items()}
        more = {name: views[name][::-1] for name in given} | first
        self._run("backward", views, more, {n: a[::-1] for n, a in wanted.items()} | carry | sums)
        found = {}
        for b in totals:
            if b.name in views:
                views[b.name][...] += sums[b.name]
            else:
                found[b.name.removeprefix("bar.")] = sums[b.name]
        return found

    def _run(
        self, loop: str, views: Views, more: Mapping[str, Array], wanted: Mapping[str, Array]
    ) -> None:
        """Send what a loop reads, in the order of reading, and take what it writes."""
        order, layout = (-1 if loop == "backward" else 1), self.plan.layout
        weights = (*layout.of(Space.WEIGHT, Space.FIXED).values(),)
        given = {b.name: views[b.name] for b in weights}
        given |= {b.name: views[b.name][::order] for b in layout.of(Space.INPUT).values()}
        given |= {f"prev.{n}": views[f"prev.{n}"][::order][0] for n in self.plan.states}
        sent = {n: np.ascontiguousarray(a, self.dtype) for n, a in (given | dict(more)).items()}
        mask = views.mask()
        ended = b"" if mask is None else np.ascontiguousarray(mask[::order])
        made = {name: np.empty(array.shape, self.dtype) for name, array in wanted.items()}
        process, cell = self._child()
        head = {
            **{"cell": cell, "loop": loop, "steps": views.steps, "rows": views.batch},
            "given": [[name, array.nbytes] for name, array in sent.items()],
            **{"ended": len(ended) and mask.size, "wanted": [*made], "size": self.dtype.itemsize},
        }
        process.ask(head, [*sent.values(), ended], made.values())
        for name, array in wanted.items():
            array[...] = made[name]
