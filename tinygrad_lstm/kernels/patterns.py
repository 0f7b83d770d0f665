"""What a node of a step is to the compiler: a view, a product with a weight, a pass, a sum."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_lstm.notation import space_of
from tinygrad_lstm.tensor import TABLE, Tensor

_PREVIOUS = "prev."  # as a Program names the states of the step before
WEIGHT = "W."  # how the names begin of a step's inputs that are made of parameters once


def state_of(name: str) -> str | None:
    """The state that an input of a step is the value of, one step before."""
    return name.removeprefix(_PREVIOUS) if name.startswith(_PREVIOUS) else None


def span(index: Any, shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Start and stop of an index that takes a run of a vector's entries; None for any other."""
    if len(shape) != 1:
        return None
    if isinstance(index, tuple) and len(index) == 1:
        index = index[0]
    if not isinstance(index, slice):
        return None
    start, stop, step = index.indices(shape[0])
    return (start, stop) if step == 1 and stop > start else None


def columns(index: Any, shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Start and stop of an index that takes a run of the last axis and all of the others."""
    parts = index if isinstance(index, tuple) else (index,)
    whole = len(parts) == len(shape) and all(
        isinstance(i, slice) and i.indices(n) == (0, n, 1)
        for i, n in zip(parts[:-1], shape, strict=False)
    )
    return span(parts[-1], shape[-1:]) if whole else None


def elementwise(node: Tensor) -> bool:
    """Whether each entry of the result needs one entry of each operand alone."""
    return node.op is not None and (TABLE[node.op].signature == "elementwise" or node.op == "clip")


def is_view(node: Tensor) -> bool:
    """Whether a value lies within its operand's memory."""
    if node.name is not None and space_of(node.name)[0] != "bar":
        return False
    if node.op == "getitem":
        return span(node.attributes["index"], node.inputs[0].shape) is not None
    return node.op == "reshape"


def viewed(node: Tensor) -> Tensor:
    """The value in whose memory a value lies."""
    while is_view(node):
        node = node.inputs[0]
    return node


def end_to_end(node: Tensor) -> bool:
    """Whether a node is a concatenation whose parts lie one behind the other in memory."""
    return node.op == "concat" and math.prod(node.shape[: node.attributes["axis"] % node.ndim]) == 1


def terms(node: Tensor) -> list[Tensor]:
    """The terms of a sum."""
    if node.op == "add" and all(i.shape == node.shape for i in node.inputs):
        return [term for i in node.inputs for term in terms(i)]
    return [node]


def is_weight(node: Tensor) -> bool:
    """Whether a node is a weight, an input that is the same at every step."""
    return not node.inputs and (node.name or "").startswith(WEIGHT)


def transposed_weight(node: Tensor) -> Tensor | None:
    """The weight that a node is the transpose of."""
    turned = node.op == "swapaxes" and node.ndim == 2 and is_weight(node.inputs[0])
    return node.inputs[0] if turned else None


def weight_product(node: Tensor) -> bool:
    """Whether a node is the product of a weight, or of its transpose, and a vector."""
    if node.op != "matvec" or [i.ndim for i in node.inputs] != [2, 1]:
        return False
    return is_weight(node.inputs[0]) or transposed_weight(node.inputs[0]) is not None


def outer_product(node: Tensor) -> bool:
    """Whether a node is all products of an entry of one value and an entry of another."""
    if node.op != "outer":
        return False
    left, right = node.inputs
    return right.size == right.shape[-1] and left.size * right.size == node.size


def rows_of_product(node: Tensor) -> tuple[Tensor, int] | None:
    """The packed product that a value is made of, and the first row, if it is made of one."""
    stack = [node]
    while stack:
        n = stack.pop()
        if n.op == "getitem" and (rows := span(n.attributes["index"], n.inputs[0].shape)):
            if n.inputs[0].inputs:
                return n.inputs[0], rows[0]
        elif n.op == "add":
            stack += reversed(n.inputs)
    return None
