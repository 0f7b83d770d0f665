"""The arrays of one call, carved out of one block that later calls use again."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_lstm.tensor import Array

_ALIGNED = 64  # bytes: a cache line, and the widest vector
_KEPT = 16  # blocks that are known, lent or waiting


class Pool:
    """Blocks of memory that are lent until nobody looks at them any more."""

    def __init__(self) -> None:
        self._blocks: list[Array] = []
        self._lock = threading.Lock()

    def block(self, size: int) -> Array:
        """At least `size` bytes, which nobody else holds."""
        with self._lock:
            return self._free(size)

    def _free(self, size: int) -> Array:
        best = None
        for k in range(len(self._blocks)):
            block = self._blocks[k]  # enumerate would hold a reference of its own
            # a view anywhere, even of a view, holds a reference to the block itself
            free = sys.getrefcount(block) <= _FREE and block.size >= size
            if free and (best is None or block.size < self._blocks[best].size):
                best = k
        if best is not None and self._blocks[best].size <= 4 * size + 65536:
            self._blocks.append(self._blocks.pop(best))
            return self._blocks[-1]
        self._blocks = [*self._blocks[1 - _KEPT :], np.empty(size, np.uint8)]
        return self._blocks[-1]

    def arrays(self, shapes: Mapping[str, tuple[int, ...]], dtype: Any) -> dict[str, Array]:
        """Arrays of these shapes, one behind the other in a block; their values are arbitrary."""
        itemsize = np.dtype(dtype).itemsize
        places, at = {}, 0
        for name, shape in shapes.items():
            places[name] = at
            n = itemsize
            for length in shape:
                n *= length
            at += -(-n // _ALIGNED) * _ALIGNED
        block = self.block(at + _ALIGNED)
        first = -block.ctypes.data % _ALIGNED
        return {
            name: np.ndarray(shape, dtype, block, first + places[name])
            for name, shape in shapes.items()
        }


def _baseline() -> int:
    for block in [np.empty(1, np.uint8)]:
        return sys.getrefcount(block)
    return 0


_FREE = _baseline()


class Views:
    """What the two loops of a plan read and write, in the order in which they do.

    `views[name]` is the array of a buffer; `carry[state]` are two that take turns; `gone[k]` are
    the samples that have ended before step k, None where there are none.
    """

    def __init__(
        self,
        arrays: Mapping[str, Array],
        carry: Mapping[str, tuple[Array, Array]],
        gone: Sequence[Array | None],
        states: Sequence[str],
        batch: int,
        pool: Pool,
    ) -> None:
        self._arrays, self.carry, self.gone, self._states = arrays, carry, gone, states
        self.steps, self.batch, self.pool = len(gone), batch, pool
        self.keep_alive: list[Array] = []

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    def turns(self, even: Any, odd: Any) -> Iterator[Any]:
        """Alternating between two sets of views."""
        while True:
            yield even
            yield odd

    def shaped(self, array: Array, shape: tuple[int, ...]) -> Array:
        """The last axis as the axes of one sample."""
        return array.reshape((*array.shape[:-1], *shape))

    def keep(self, step: int, gone: Array) -> None:
        """Samples that have ended stay in the state they ended in."""
        for name in self._states:
            self[name][step][gone] = self[f"prev.{name}"][step][gone]

    def hold(self, step: int, gone: Array) -> dict[str, Array]:
        """Take the adjoints of ended samples out of a step that was none for them."""
        held = {}
        for name in self._states:
            carry = self.carry[name][step % 2]
            held[name] = carry[gone]
            carry[gone] = 0.0
        return held

    def release(self, step: int, gone: Array, held: Mapping[str, Array]) -> None:
        """And hand them on to the step before."""
        for name in self._states:
            self.carry[name][1 - step % 2][gone] = held[name]
