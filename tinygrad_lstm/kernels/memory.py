"""The arrays of one call, carved out of one block that later calls use again."""

from __future__ import annotations

import math
import threading
import weakref
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_lstm.tensor import Array

_ALIGNED = 64  # bytes: a cache line, and the widest vector
_KEPT = 16  # blocks that wait for another call


class Pool:
    """Blocks of memory that are lent until nobody looks at them any more."""

    def __init__(self) -> None:
        self._returned: deque[memoryview] = deque(maxlen=_KEPT)  # the last ones come last
        self._lent: dict[int, tuple[weakref.ref[Array], memoryview]] = {}
        self._lock = threading.Lock()

    def block(self, size: int) -> Array:
        """At least `size` bytes, which nobody else holds; views of it, and of them, keep it."""
        with self._lock:
            waiting = [block for block in (*self._returned,) if len(block) >= size]
            block = min(waiting, key=len, default=None)
            if block is not None and len(block) <= 4 * size + 65536:
                self._returned.remove(block)
            else:
                block = np.empty(max(size, 1), np.uint8).data
        lent = np.asarray(block)  # the base of all its views, since a memoryview is no array
        seen = weakref.ref(lent, self._return)
        self._lent[id(seen)] = seen, block
        return lent

    def _return(self, seen: weakref.ref[Array]) -> None:
        self._returned.append(self._lent.pop(id(seen))[1])

    def aligned(self, size: int, parts: int = 1) -> tuple[Array, list[int]]:
        """A block for some parts of so many bytes, and where each begins, on a cache line."""
        step = -(-size // _ALIGNED) * _ALIGNED
        block = self.block(parts * step + _ALIGNED)
        address: int = block.__array_interface__["data"][0]
        first = address + (-address % _ALIGNED)
        return block, [first + k * step for k in range(parts)]

    def arrays(self, shapes: Mapping[str, tuple[int, ...]], dtype: Any) -> dict[str, Array]:
        """Arrays of these shapes, one behind the other in a block; their values are arbitrary."""
        itemsize = np.dtype(dtype).itemsize
        places, at = {}, 0
        for name, shape in shapes.items():
            places[name] = at
            at += -(-itemsize * math.prod(shape) // _ALIGNED) * _ALIGNED
        block = self.block(at + _ALIGNED)
        first = -block.__array_interface__["data"][0] % _ALIGNED
        return {
            name: np.ndarray(shape, dtype, block, first + places[name])
            for name, shape in shapes.items()
        }


class Views:
    """What the two loops of a plan read and write, in the order in which they do.

    `views[name]` is the array of a buffer; `carry[state]` are two that take turns; `ended[k]` are
    the samples that have ended before step k, None where there are none.
    """

    def __init__(
        self,
        arrays: Mapping[str, Array],
        carry: Mapping[str, tuple[Array, Array]],
        ended: Sequence[Array | None],
        states: Sequence[str],
        batch: int,
        pool: Pool,
    ) -> None:
        self._arrays, self.carry, self.ended, self._states = arrays, carry, ended, states
        self.steps, self.batch, self.pool = len(ended), batch, pool

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    def mask(self) -> Array | None:
        """1 where a sample has ended before a step, (steps, batch); None where none has."""
        if all(ended is None for ended in self.ended):
            return None
        mask = np.zeros((self.steps, self.batch), np.uint8)
        for step, ended in enumerate(self.ended):
            if ended is not None:
                mask[step, ended] = 1
        return mask

    def flat(self, name: str) -> Array:
        """A buffer (time, batch, width) as (time * batch, width), in the order of time."""
        array = self[name]
        ordered = array[::-1] if array.strides[0] < 0 else array
        return ordered.reshape(-1, array.shape[-1])

    def turns(self, even: Any, odd: Any) -> Iterator[Any]:
        """Alternating between two sets of views."""
        while True:
            yield even
            yield odd

    def shaped(self, array: Array, shape: tuple[int, ...]) -> Array:
        """The last axis as the axes of one sample."""
        return array.reshape((*array.shape[:-1], *shape))

    def keep(self, step: int, ended: Array) -> None:
        """Samples that have ended stay in the state they ended in."""
        for name in self._states:
            self[name][step][ended] = self[f"prev.{name}"][step][ended]

    def hold(self, step: int, ended: Array) -> dict[str, Array]:
        """Take the adjoints of ended samples out of a step that was none for them."""
        held = {}
        for name in self._states:
            carry = self.carry[name][step % 2]
            held[name] = carry[ended]
            carry[ended] = 0.0
        return held

    def release(self, step: int, ended: Array, held: Mapping[str, Array]) -> None:
        """And hand them on to the step before."""
        for name in self._states:
            self.carry[name][1 - step % 2][ended] = held[name]
