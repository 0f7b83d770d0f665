"""Nodes made anew, simplified, and each only once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad_lstm.kernels.patterns import columns, span
from tinygrad_lstm.program import Program
from tinygrad_lstm.tensor import Tensor, apply, constant, fold


class Builder:
    """Makes nodes, simplified, and each only once."""

    def __init__(self) -> None:
        self._made: dict[Any, Tensor] = {}
        self._pieces: dict[Tensor, list[tuple[int, int, Tensor]]] = {}

    def make(self, op: str, *inputs: Tensor, **attributes: Any) -> Tensor:
        """The node of an operation on nodes, or an older one that is equal to it."""
        simpler = self._simpler(op, inputs, attributes)
        if simpler is not None:
            return simpler
        key = (op, tuple(map(id, inputs)), _key(attributes))
        if key not in self._made:
            self._made[key] = self._fresh(op, inputs, attributes)
        return self._made[key]

    def adopt(self, node: Tensor) -> Tensor:
        """Know a node that was made elsewhere."""
        if node.inputs:
            key = (node.op, tuple(map(id, node.inputs)), _key(node.attributes))
            self._made.setdefault(key, node)
        return node

    def _fresh(self, op: str, inputs: tuple[Tensor, ...], attributes: Mapping[str, Any]) -> Tensor:
        node: Tensor = apply(op, *inputs, **attributes)
        if op == "scatter" and (place := columns(attributes["index"], node.shape)):
            self._pieces[node] = [(*place, inputs[0])]
        return node

    def _simpler(
        self, op: str, inputs: tuple[Tensor, ...], attributes: Mapping[str, Any]
    ) -> Tensor | None:
        first = inputs[0]
        if op == "identity":
            return first
        if op == "swapaxes" and first.op == "swapaxes" and first.attributes == attributes:
            return first.inputs[0]
        if op == "getitem" and (place := span(attributes["index"], first.shape)):
            return self._slice(first, *place)
        if op == "add" and all(i in self._pieces for i in inputs):
            return self._joined(*inputs)
        return None

    def _slice(self, whole: Tensor, start: int, stop: int) -> Tensor | None:
        if (start, stop) == (0, whole.shape[0]):
            return whole
        if whole.op == "getitem":
            (inner,) = whole.inputs
            if outer := span(whole.attributes["index"], inner.shape):
                return self.slice(inner, outer[0] + start, outer[0] + stop)
        if whole.op == "concat":
            begin = 0
            for part in whole.inputs:
                end = begin + part.shape[0]
                if begin <= start and stop <= end:
                    return self.slice(part, start - begin, stop - begin)
                begin = end
        return None

    def slice(self, whole: Tensor, start: int, stop: int) -> Tensor:
        """Entries start to stop of a vector."""
        return self.make("getitem", whole, index=(slice(start, stop),))

    def _joined(self, a: Tensor, b: Tensor) -> Tensor | None:
        """The sum of two values that are zero outside of columns that do not overlap."""
        lead = a.shape[:-1]
        pieces = sorted(self._pieces[a] + self._pieces[b], key=lambda p: p[0])
        if any(p[1] > q[0] for p, q in zip(pieces, pieces[1:], strict=False)):
            return None
        parts, at = [], 0
        for start, stop, part in pieces:
            if start > at:
                parts.append(constant(np.zeros((*lead, start - at))))
            parts.append(part)
            at = stop
        if at < a.shape[-1]:
            parts.append(constant(np.zeros((*lead, a.shape[-1] - at))))
        node = self.make("concat", *parts, axis=-1)
        self._pieces[node] = pieces
        return node


def simplified(
    program: Program, keep: Iterable[Tensor], replace: Mapping[Tensor, Tensor]
) -> dict[str, Tensor]:
    """The outputs of a Program from fewer nodes. Nodes to keep stay as they are."""
    builder = Builder()

    def make(node: Tensor, operands: list[Tensor]) -> Tensor:
        if not node.inputs:
            return node
        made = builder.make(node.op or "", *operands, **node.attributes)
        if made.inputs:  # a leaf is the Program's own
            made.name = made.name or node.name
        return made

    leaves = {**replace, **{node: builder.adopt(node) for node in keep}}
    new = fold(program.outputs.values(), leaves, make)
    return {name: new[node] for name, node in program.outputs.items()}


def _key(value: Any) -> Any:
    """What tells an attribute from any other; the text of a long array would leave entries out."""
    if isinstance(value, Mapping):
        return tuple((name, _key(part)) for name, part in value.items())
    if isinstance(value, list | tuple):
        return (type(value), *map(_key, value))
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype, value.tobytes()
    return repr(value)
