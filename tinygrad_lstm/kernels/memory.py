"""The memory of compiled code: blocks carved into arrays, views in the order of a loop, lending."""

from __future__ import annotations

import math
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from tinygrad_lstm.tensor import Array

_ALIGNED = 64  # bytes: a cache line, and the widest vector
_KEPT = 8  # calls that wait for another of their shape
_BYTES = 64e6  # that they may hold together; the last one is kept whatever its size


def carved(shapes: Mapping[str, tuple[int, ...]], dtype: Any) -> tuple[Array, dict[str, Array]]:
    """A block of bytes and arrays of these shapes in it, each on a cache line; values arbitrary."""
    itemsize = np.dtype(dtype).itemsize
    places, at = {}, 0
    for name, shape in shapes.items():
        places[name] = at
        at += -(-itemsize * math.prod(shape) // _ALIGNED) * _ALIGNED
    block = np.empty(at + _ALIGNED, np.uint8)
    first = -address(block) % _ALIGNED
    return block, {
        name: np.ndarray(shape, dtype, block.data, first + places[name])
        for name, shape in shapes.items()
    }


def address(array: Array) -> int:
    """Where an array's first entry lies."""
    place: int = array.__array_interface__["data"][0]
    return place


class Lent(Protocol):
    """What is lent: a block of memory, one of `nbytes` in all, for whoever asks by this key."""

    key: Any
    block: Array
    nbytes: int

    def clear(self) -> None:
        """Let go of what belongs to the last caller."""
        ...


L = TypeVar("L", bound=Lent)


class Lending:
    """Things with memory, each lent to one caller until nobody looks at its memory any more."""

    def __init__(self) -> None:
        self._waiting: deque[Any] = deque(maxlen=_KEPT)  # the last ones come last
        self._lent: dict[int, tuple[weakref.ref[Array], Any]] = {}

    def lend(self, key: Any, make: Callable[[], L]) -> tuple[L, Array]:
        """A thing of this key, and its block; who holds that, or a view of it, keeps both."""
        thing = self._taken(key) or make()
        # an array on a memoryview is the base of all its views, and none of them can be written to
        block = np.asarray(thing.block.data.toreadonly())
        seen = weakref.ref(block, self._return)
        self._lent[id(seen)] = seen, thing
        return thing, block

    def _taken(self, key: Any) -> Any:
        for thing in (*self._waiting,):
            if thing.key == key:
                try:
                    self._waiting.remove(thing)
                except ValueError:  # another thread has taken it
                    continue
                return thing
        return None

    def _return(self, seen: weakref.ref[Array]) -> None:
        thing = self._lent.pop(id(seen))[1]
        thing.clear()
        if thing.nbytes + sum(other.nbytes for other in (*self._waiting,)) > _BYTES:
            self._waiting.clear()
        self._waiting.append(thing)


class Views:
    """What the two loops of a plan read and write, in the order in which they do.

    `views[name]` is the array of a buffer; `carry[state]` are two that take turns; `ended[k]` are
    the samples that have ended before step k, None where there are none. A loop that was made ready
    for views finds other arrays at its next run where `put` replaced them: those in `given`, by the
    names of their buffers. `ended` may change, too; `ragged`: whether any sample ends early.
    """

    def __init__(
        self,
        arrays: dict[str, Array],
        carry: Mapping[str, tuple[Array, Array]],
        given: Sequence[str],
        states: Sequence[str],
        sizes: tuple[int, int],
        backwards: bool,
    ) -> None:
        self._arrays, self.carry, self.given, self._states = arrays, carry, given, states
        self.steps, self.batch = sizes
        self._backwards = backwards
        self._all: list[Array | None] = [None] * self.steps
        self.end(None)

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    def put(self, name: str, array: Array) -> None:
        """Another array (time, batch, width), in the order of time, for a buffer of `given`."""
        self._arrays[name] = array[::-1] if self._backwards else array

    def end(self, ended: Sequence[Array | None] | None) -> None:
        """Which samples have ended before each step, in the order of time; None: none has."""
        self.ragged = ended is not None
        ended = self._all if ended is None else ended
        self.ended = ended[::-1] if self.ragged and self._backwards else ended

    def clear(self) -> None:
        """Let go of what is given."""
        for name in self.given:
            self._arrays.pop(name, None)

    def mask(self) -> Array | None:
        """1 where a sample has ended before a step, (steps, batch); None where none has."""
        if not self.ragged:
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
