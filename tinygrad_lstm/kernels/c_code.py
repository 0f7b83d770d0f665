"""A plan as compiled C at work."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np

from tinygrad_lstm.kernels.c_writer import Writer
from tinygrad_lstm.kernels.memory import Views
from tinygrad_lstm.kernels.plan import Buffer, Plan
from tinygrad_lstm.kernels.threads import in_parallel, shares
from tinygrad_lstm.kernels.toolchain import load, machine
from tinygrad_lstm.tensor import Array

_ROWS_AHEAD, _ROWS_BACK = 28, 160  # rows of a piece of the loop, whose memory stays at hand


class CCode:
    """A plan's compiled loops, on the same views as those of `NumpyCode`.

    The hoisted products are done a few steps ahead of the loop, the deferred ones a few steps
    behind it, so that what passes between them never leaves the processor's caches; it needs no
    memory for each step.
    """

    whole = True  # the loop back does the deferred products, too

    def __init__(self, plan: Plan, dtype: Any) -> None:
        self.plan, self.dtype = plan, np.dtype(dtype)
        self.writer = Writer(plan, self.dtype, machine())
        self.source, self.rows = self.writer.source, self.writer.rows
        self.brief = set(self.writer.brief)
        library = load(self.source, self.writer.products, machine())
        address, number = ctypes.c_void_p, ctypes.c_ssize_t
        self._prepare = library.prepare
        self._loops = {"forward": library.forward, "backward": library.backward}
        self._prepare.argtypes = [number, address, address]
        for loop in self._loops.values():
            loop.argtypes = [number, number, number, number, number, *[address] * 7]
        for function in (self._prepare, *self._loops.values()):
            function.restype = None

    def ahead(self, views: Views) -> None:
        """Nothing: the loop itself runs ahead."""

    def forward(self, views: Views) -> None:
        """The loop over time."""
        self._loop("forward", views, _ROWS_AHEAD)

    def backward(self, views: Views) -> dict[str, Array]:
        """The loop back through time, and the gradients of the packed weights."""
        totals, products = self._loop("backward", views, _ROWS_BACK)
        start = 0
        for buffer in self.writer.totals:
            views[buffer.name][...] += totals[start : start + buffer.width]
            start += buffer.width
        found: dict[str, Array] = {}
        start = 0
        for d in self.plan.weight_products:
            part = products[start : start + math.prod(d.shape)].reshape(d.shape)
            found[d.target] = part if d.target not in found else found[d.target] + part
            start += part.size
        return found

    def _loop(self, name: str, views: Views, rows_of_piece: int) -> tuple[Array, Array]:
        writer, size = self.writer, self.dtype.itemsize
        at, by = self._addresses(views, writer.buffers)
        packs = self._packs(views, int(name == "backward"))
        gone = _mask(views)
        parts = shares(views.batch, views.steps * views.batch * writer.work[name])
        most = max(last - first for first, last in parts)
        piece = min(views.steps, -(-rows_of_piece // most))
        back = name == "backward"
        width = sum(b.width for b in writer.totals) if back else 0
        products = sum(math.prod(d.shape) for d in self.plan.weight_products) if back else 0
        sums = np.zeros((len(parts), width + products + 1), self.dtype)
        scratch = writer.scratch(name, piece * most)
        block = views.pool.block(len(parts) * (scratch * size + 128))
        views.keep_alive.append(block)
        start = block.ctypes.data + (-block.ctypes.data % 64)

        def run(first: int, last: int, k: int) -> None:
            self._loops[name](
                views.steps,
                views.batch,
                first,
                last,
                piece,
                at.ctypes.data,
                by.ctypes.data,
                packs.ctypes.data,
                gone.ctypes.data if gone is not None else None,
                sums[k].ctypes.data,
                sums[k].ctypes.data + width * size,
                start + k * (-(-scratch * size // 64) * 64),
            )

        in_parallel(run, parts)
        total = sums[0] if len(parts) == 1 else sums.sum(axis=0)
        return total[:width], total[width : width + products]

    def _addresses(self, views: Views, buffers: list[Buffer]) -> tuple[Array, Array]:
        """Where each buffer's first step lies, and how far the next one is."""
        at = np.zeros(len(buffers) + 1, np.intp)
        by = np.zeros(len(buffers) + 1, np.intp)
        size = self.dtype.itemsize
        for k, buffer in enumerate(buffers):
            if buffer.name in self.brief:
                continue
            if buffer.kind == "carry":
                side, state = buffer.name.split(".", 1)
                found = views.carry.get(state)
                if found is None:
                    continue
                array = found[side == "out"]
            elif buffer.kind == "total" or buffer.name not in views:
                continue
            else:
                array = views[buffer.name]
            at[k] = array.__array_interface__["data"][0]
            if buffer.kind == "time":
                by[k] = array.strides[0] // size
        return at, by

    def _packs(self, views: Views, which: int) -> Array:
        """Weights in panels, for the products of one loop."""
        memory = self.writer.packed[which]
        packs = np.zeros(len(self.writer.packs) + 1, np.intp)
        weights = np.zeros(len(self.writer.packs) + 1, np.intp)
        block = views.pool.block(memory.size * self.dtype.itemsize + 64)
        views.keep_alive.append(block)
        start = block.ctypes.data + (-block.ctypes.data % 64)
        for k, size in memory.places:
            packs[k] = start
            start += -(-size * self.dtype.itemsize // 64) * 64
            weights[k] = views[self.writer.packs[k][0]].__array_interface__["data"][0]
        self._prepare(which, weights.ctypes.data, packs.ctypes.data)
        return packs


def _mask(views: Views) -> Array | None:
    if all(gone is None for gone in views.gone):
        return None
    mask = np.zeros((views.steps, views.batch), np.uint8)
    for step, gone in enumerate(views.gone):
        if gone is not None:
            mask[step, gone] = 1
    return mask
