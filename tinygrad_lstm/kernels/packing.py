"""Weights as the loops read them, made of the parameters once a call, and their gradients back.

W₁ = [W_f; W_i; W_o; W_C][:, 0:hidden]     where parts lie side by side, they are copied
W₂ = W_a · W_b                             anything else is carried out as a Program
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from tinygrad_lstm.batching import Lifted
from tinygrad_lstm.kernels.builder import simplified
from tinygrad_lstm.program import Program
from tinygrad_lstm.tensor import Array, Tensor

Arrays = Mapping[str, Array]
Own = dict[str, Array]
Index = tuple[Any, ...]
_ALL: Index = (...,)


class Packing:
    """From parameters to packed weights, `pack`, and from their gradients back, `unpack`.

    once: the Program of the packed weights; trained: those that have gradients.
    """

    def __init__(self, once: Program, dtype: Any, trained: Collection[str]) -> None:
        self._dtype = dtype
        self._copies: list[tuple[str, Index, str, Index]] = []
        self._general: tuple[Lifted, Lifted] | None = None
        names = {node: name for name, node in once.inputs.items()}
        try:
            for name, node in once.outputs.items():
                self._copies += [(name, *copy) for copy in _copies(node, names)]
        except _Computed:
            self._copies = []
            gradient = once.gradient()
            back = Lifted(simplified(gradient, (), {}), gradient.inputs, dtype=dtype)
            self._general = Lifted(once.outputs, once.inputs, dtype=dtype), back
        self._back = [copy for copy in self._copies if copy[0] in trained]
        shapes = {copy[2]: once.inputs[copy[2]].shape for copy in self._back}
        self._shapes = {name: tuple(map(int, shape)) for name, shape in shapes.items()}
        times = {name: np.zeros(shape, np.uint8) for name, shape in self._shapes.items()}
        for _, _, source, index in self._back:
            times[source][index] += 1
        # gradients whose entries do not come from one place each
        self._cleared = {name for name, found in times.items() if not (found == 1).all()}

    def pack(self, parameters: Arrays, into: Arrays) -> None:
        """Write the packed weights."""
        for name, part, source, index in self._copies:
            into[name][part] = parameters[source][index]
        if self._general is not None:
            for name, value in _carried_out(self._general[0], parameters).items():
                into[name][...] = value

    def unpack(self, parameters: Arrays, gradients: Arrays, into: Own | None = None) -> Own:
        """From gradients of the packed weights those of the parameters: fresh arrays, or `into`."""
        if self._general is not None:
            seeds = {f"seed.{name}": value for name, value in gradients.items()}
            found = _carried_out(self._general[1], {**parameters, **seeds})
            if into is None:
                return {name: np.array(value, self._dtype) for name, value in found.items()}
            for name, value in found.items():
                into[name][...] = value
            return into
        made = into
        if made is None:
            made = {name: np.empty(shape, self._dtype) for name, shape in self._shapes.items()}
        for name in self._cleared:
            made[name][...] = 0.0
        for name, part, source, index in self._back:
            if source in self._cleared:
                made[source][index] += gradients[name][part]
            else:
                made[source][index] = gradients[name][part]
        return made


class _Computed(Exception):
    """A packed weight that is more than parts of parameters side by side."""


def _copies(node: Tensor, names: Mapping[Tensor, str]) -> Iterator[tuple[Index, str, Index]]:
    """What is copied where: (part of the value, input, part of the input)."""
    if node in names:
        yield _ALL, names[node], _ALL
    elif node.op == "getitem" and node.inputs[0] in names and _basic(node.attributes["index"]):
        index = node.attributes["index"]
        yield _ALL, names[node.inputs[0]], index if isinstance(index, tuple) else (index,)
    elif node.op == "concat":
        axis, start = node.attributes["axis"] % node.ndim, 0
        for part in node.inputs:
            end = start + part.shape[axis]
            for inner, name, index in _copies(part, names):
                yield _within(axis, slice(start, end), inner), name, index
            start = end
    else:
        raise _Computed


def _basic(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return all(isinstance(part, slice | int) or part is Ellipsis for part in parts)


def _within(axis: int, cut: slice, inner: Index) -> Index:
    """A part of a part: `inner` of what lies in `cut` of an axis."""
    if inner is _ALL:
        return (*[slice(None)] * axis, cut)
    parts = [*inner, *[slice(None)] * (axis + 1 - len(inner))]
    own = parts[axis]
    if own == slice(None):
        parts[axis] = cut
    else:  # of the same axis: both run from a start
        parts[axis] = slice(cut.start + own.start, cut.start + own.stop)
    return tuple(parts)


def _carried_out(lifted: Lifted, arrays: Arrays) -> dict[str, Array]:
    return lifted.arrays([arrays.get(name) for name in lifted.inputs])
