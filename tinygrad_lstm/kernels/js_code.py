"""A plan as JavaScript at work, in a node process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np

from tinygrad_lstm.kernels.js_source import Source, buffers_of
from tinygrad_lstm.kernels.loop import Loops
from tinygrad_lstm.kernels.memory import Views
from tinygrad_lstm.kernels.node import Child, child
from tinygrad_lstm.kernels.plan import Buffer, Kind, Space
from tinygrad_lstm.tensor import Array


class JavaScriptCode:
    """A plan's script, and what it makes of the arrays that are sent to it."""

    title: ClassVar[str] = "JavaScript"
    rows: Iterable[Buffer] = ()
    transient: Collection[Buffer]
    work = 0.0

    def __init__(self, loops: Loops, dtype: Any) -> None:
        self.source = self.script(loops, dtype)
        self.dtype, self.plan = np.dtype(dtype), loops.plan
        self.transient = self.without(loops)
        self._totals = {
            name: b.width for name, b in buffers_of(loops).items() if b.kind is Kind.TOTAL
        }
        self._kept = [b.name for b in self.plan.kept_buffers if b not in self.transient]
        self._known: tuple[Child, int] | None = None
        self._child()

    @staticmethod
    def without(loops: Loops) -> Collection[Buffer]:
        """The plan's buffers that it has no memory for at each step."""
        return ()

    @staticmethod
    def script(loops: Loops, dtype: Any) -> str:
        """What the process runs."""
        return Source(loops, dtype).text

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
        self._run("forward", views, {}, {name: views[name] for name in self._kept})

    def _backward(self, views: Views) -> dict[str, Array]:
        layout = self.plan.layout
        given = [*self._kept, *(b.name for b in layout.of(Space.SEED).values())]
        wanted = {b.name: views[b.name] for b in layout.of(Space.INPUT_ADJOINT).values()}
        sums = {name: np.empty(width, self.dtype) for name, width in self._totals.items()}
        carry = {f"carry.{n}": pair[views.steps % 2] for n, pair in views.carry.items()}
        first = {f"carry.{n}": pair[0] for n, pair in views.carry.items()}
        more = {name: views[name][::-1] for name in given} | first
        self._run("backward", views, more, {n: a[::-1] for n, a in wanted.items()} | carry | sums)
        found = {}
        for name, total in sums.items():
            if name in views:
                views[name][...] += total
            else:
                found[name.removeprefix("bar.")] = total
        return found

    def _run(
        self, loop: str, views: Views, more: Mapping[str, Array], wanted: Mapping[str, Array]
    ) -> None:
        """Send what a loop reads, in the order of reading, and take what it writes."""
        order, layout = (-1 if loop == "backward" else 1), self.plan.layout
        weights = [*layout.of(Space.WEIGHT).values(), *layout.of(Space.FIXED).values()]
        given = {b.name: views[b.name] for b in weights}
        given |= {b.name: views[b.name][::order] for b in layout.of(Space.INPUT).values()}
        given |= {f"prev.{n}": views[f"prev.{n}"][::order][0] for n in self.plan.states}
        sent = {n: np.ascontiguousarray(a, self.dtype) for n, a in (given | dict(more)).items()}
        mask = views.mask()
        ended = b"" if mask is None else mask[::order].tobytes()
        made = {name: np.empty(array.shape, self.dtype) for name, array in wanted.items()}
        process, cell = self._child()
        head = {
            **{"cell": cell, "loop": loop, "steps": views.steps, "rows": views.batch},
            "given": [[name, array.nbytes] for name, array in sent.items()],
            **{"ended": len(ended), "wanted": [*made], "size": self.dtype.itemsize},
        }
        process.ask(head, [*sent.values(), ended], made.values())
        for name, array in wanted.items():
            array[...] = made[name]
