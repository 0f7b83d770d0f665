"""A plan as compiled C at work."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Collection, Iterable
from typing import Any, ClassVar

import numpy as np

from tinygrad_lstm.kernels.c_source import Source, matrix
from tinygrad_lstm.kernels.loop import Apply, Loops, Multiply, Outer, Statement, Sweep
from tinygrad_lstm.kernels.memory import Views
from tinygrad_lstm.kernels.plan import Buffer, Kind, Space
from tinygrad_lstm.kernels.threads import in_parallel, split
from tinygrad_lstm.kernels.toolchain import load, machine
from tinygrad_lstm.tensor import Array

_ROWS = {"forward": 28, "backward": 160}  # of a piece of the loop, whose memory stays at hand


class CCode:
    """A plan's compiled loops.

    The hoisted products are done a few steps ahead of the loop, the deferred ones a few steps
    behind it, so that what passes between them never leaves the processor's caches; it needs no
    memory for each step.
    """

    title: ClassVar[str] = "C"
    rows: Iterable[Buffer]
    transient: Collection[Buffer]

    def __init__(self, loops: Loops, dtype: Any) -> None:
        self._made = made = Source(loops, dtype, machine())
        self.dtype, self.rows = made.dtype, made.rows
        self.transient = made.transient.keys()
        self._work = {
            "forward": sum(map(_work, [*loops.ahead, *loops.forward])),
            "backward": sum(map(_work, [*loops.backward, *made.outers])),
        }
        self._sizes, self._tables = made.sizes.values(self.dtype)
        library = load(made.code, made.products, machine())
        address, number = ctypes.c_void_p, ctypes.c_ssize_t
        self._pack = library.pack
        self._loops = {"forward": library.forward, "backward": library.backward}
        self._pack.argtypes = [number, number, address, number, number, address]
        for loop in self._loops.values():
            loop.argtypes = [address, *[number] * 5, *[address] * 7]
        for function in (self._pack, *self._loops.values()):
            function.restype = None

    @property
    def source(self) -> str:
        """All of the source, with these sizes."""
        return self._made.text

    @staticmethod
    def text(loops: Loops, dtype: Any) -> str:
        """The source alone, for this machine."""
        return Source(loops, dtype, machine()).text

    def forward(self, views: Views) -> None:
        """The loop over time."""
        self._loop("forward", views)

    def backward(self, views: Views) -> dict[str, Array]:
        """The loop back through time, and the gradients of the packed weights."""
        sums, products = self._loop("backward", views)
        start = 0
        for buffer in self._made.totals:
            views[buffer.name][...] += sums[start : start + buffer.width]
            start += buffer.width
        found: dict[str, Array] = {}
        start = 0
        for s in self._made.outers:
            m, n = s.left.size, s.right.size
            part = products[start : start + m * n].reshape(m, n)
            found[s.weight] = found[s.weight] + part if s.onto else part
            start += m * n
        return found

    def _loop(self, name: str, views: Views) -> tuple[Array, Array]:
        made, size = self._made, self.dtype.itemsize
        at, by = self._addresses(views)
        packs, _panels = self._packs(views, name)
        mask = views.mask()
        parts = split(views.batch, views.steps * views.batch * self._work[name])
        most = max(last - first for first, last in parts)
        piece = min(views.steps, -(-_ROWS[name] // most))
        back = name == "backward"
        width = sum(b.width for b in made.totals) if back else 0
        products = sum(s.left.size * s.right.size for s in made.outers) if back else 0
        sums = np.zeros((len(parts), width + products + 1), self.dtype)
        needed = made.scratch[name] * piece * most * size
        _scratch, starts = views.pool.aligned(needed, len(parts))

        ended = mask.ctypes.data if mask is not None else None
        memory = at.ctypes.data, by.ctypes.data, packs.ctypes.data, ended

        def run(first: int, last: int, k: int) -> None:
            own = sums[k].ctypes.data
            sizes = self._sizes.ctypes.data, views.steps, views.batch, first, last, piece
            self._loops[name](*sizes, *memory, own, own + width * size, starts[k])

        in_parallel(run, parts)
        total = sums[0] if len(parts) == 1 else sums.sum(axis=0)
        return total[:width], total[width : width + products]

    def _addresses(self, views: Views) -> tuple[Array, Array]:
        """Where each buffer's first step lies, and how far the next one is."""
        buffers = self._made.buffers
        at = np.zeros(len(buffers) + 1, np.intp)
        by = np.zeros(len(buffers) + 1, np.intp)
        for k, buffer in enumerate(buffers):
            if buffer in self.transient:
                continue
            if buffer.kind is Kind.CARRY:
                if buffer.label not in views.carry:
                    continue
                array = views.carry[buffer.label][buffer.space is Space.OUT]
            elif buffer.name in views:
                array = views[buffer.name]
            else:
                continue
            at[k] = array.__array_interface__["data"][0]
            if buffer.kind is Kind.TIME:
                by[k] = array.strides[0] // self.dtype.itemsize
        return at, by

    def _packs(self, views: Views, loop: str) -> tuple[Array, Array]:
        """Weights in panels, for the products of one loop, and the memory where these lie."""
        packs = np.zeros(len(self._made.packs) + 1, np.intp)
        own = [(k, *pack) for k, pack in enumerate(self._made.packs) if pack[0] == loop]
        most = max((size for *_, size in own), default=0)
        block, starts = views.pool.aligned(most * self.dtype.itemsize, len(own))
        for (k, _, product, _), start in zip(own, starts, strict=True):
            inner, columns = matrix(product)
            down, right = (columns, 1) if product.transposed else (1, inner)
            weight = views[product.weight.buffer.name].__array_interface__["data"][0]
            self._pack(inner, columns, weight, down, right, start)
            packs[k] = start
        return packs, block


def _work(statement: Statement) -> float:
    """About how many multiplications a statement takes for one row."""
    if isinstance(statement, Multiply):
        return float(statement.weight.size)
    if isinstance(statement, Outer):
        return float(statement.left.size * statement.right.size)
    if isinstance(statement, Sweep):
        return 4.0 * len(statement.assigns) * math.prod(statement.shape)
    return 4.0 * statement.out.size if isinstance(statement, Apply) else 0.0
