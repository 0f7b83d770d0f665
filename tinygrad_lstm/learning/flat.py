"""Arrays by name in one vector: what an optimiser passes over, and what users see by name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tinygrad_lstm.errors import ShapeError
from tinygrad_lstm.kernels.memory import address
from tinygrad_lstm.tensor import Array, Tensor

Places = Mapping[str, tuple[slice, tuple[int, ...]]]


class Flat(Mapping[str, Array]):
    """A mapping of names to arrays that lie one behind the other in `vector`.

    `flat["W_f"]` is a view of its entries, made when it is asked for.
    """

    __slots__ = ("_places", "_views", "address", "vector")

    def __init__(self, vector: Array, places: Places, at: int | None = None) -> None:
        self.vector, self._places = vector, places
        self._views: dict[str, Array] | None = None
        self.address = address(vector) if at is None else at  # of the first entry

    @classmethod
    def of(cls, arrays: Mapping[str, Any]) -> Flat:
        """Arrays or Tensors put one behind the other; a Flat as it is."""
        if isinstance(arrays, Flat):
            return arrays
        found = {n: a.data if isinstance(a, Tensor) else np.asarray(a) for n, a in arrays.items()}
        places, at = dict[str, tuple[slice, tuple[int, ...]]](), 0
        for name, array in found.items():
            places[name] = slice(at, at := at + array.size), array.shape
        whole = cls(np.empty(at, np.result_type(*found.values()) if found else float), places)
        return whole.fit(found)

    def fit(self, arrays: Mapping[str, Any]) -> Flat:
        """Other arrays in these places, zeros where there is none; a Flat of them as it is."""
        if isinstance(arrays, Flat) and arrays._places is self._places:
            return arrays
        made = self.like(np.zeros_like(self.vector))
        for name, (place, shape) in self._places.items():
            if name in arrays:
                if np.shape(arrays[name]) != shape:
                    found = np.shape(arrays[name])
                    raise ShapeError(f"{name} has shape {shape}, but what belongs to it {found}.")
                value = arrays[name]
                value = value.data if isinstance(value, Tensor) else np.asarray(value)
                made.vector[place] = value.ravel()
        return made

    def like(self, vector: Array) -> Flat:
        """Another vector with the same places."""
        return Flat(vector, self._places)

    def fresh(self, count: int) -> list[Flat]:
        """So many more vectors with the same places, whose values are arbitrary."""
        block = np.empty((count, self.vector.size), self.vector.dtype)
        at, step = address(block), block.strides[0]
        return [Flat(vector, self._places, at + k * step) for k, vector in enumerate(block)]

    def __getitem__(self, name: str) -> Array:
        if self._views is None:
            own = self._places.items()
            self._views = {n: self.vector[place].reshape(shape) for n, (place, shape) in own}
        return self._views[name]

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {shape}" for name, (_, shape) in self._places.items())
        return f"Flat of {self.vector.size:,} numbers: {shapes}"


def entries(shape: tuple[int, ...]) -> int:
    """How many numbers an array of this shape holds."""
    return math.prod(map(int, shape))
