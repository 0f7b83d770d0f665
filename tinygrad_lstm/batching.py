"""Batches: a Program for one sample, carried out on many, by lifting each of its operations.

A value has the axes of the batch in front of those that it has for one sample, and no axis of a
batch is ever aligned with an axis of a sample: where operands of different rank meet, the shorter
one gets axes of length one between.

    one sample      (n) * ()              (m) + (j, m)
    a batch         (b, n) * (b, 1)       (b, 1, m) + (b, j, m)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lstm.tensor import (
    LETTERED,
    TABLE,
    Array,
    Letter,
    Tensor,
    ancestors,
    apply,
    computed,
    constant,
    fold,
    remade,
)


class Call(NamedTuple):
    """An operation on values by their numbers; the result is the next number."""

    op: str
    forward: Callable[..., Any]
    operands: tuple[int, ...]
    attributes: Mapping[str, Any]
    name: str | None


def lift(
    node: Tensor, batched: Sequence[bool | tuple[int, ...]], batch_shape: tuple[int, ...]
) -> tuple[list[tuple[str, int, dict[str, Any]]], dict[str, Any]]:
    """What computes `node` for a batch of this shape, of whose operands some have its axes.

    batched: whether an operand has them, or the lengths that they have in it, some of them 1.
    Found are the steps (operation, operand, attributes) that bring operands into shape, and the
    attributes of the operation itself.
    """
    operation, steps = TABLE[node.op or ""], list[tuple[str, int, dict[str, Any]]]()
    if not any(batched):
        return steps, dict(node.attributes)
    free = [i.ndim - core for i, core in zip(node.inputs, operation.core(node.inputs), strict=True)]
    most = max(free)
    joined = operation.signature == "structural" and len(node.inputs) > 1 and node.op != "einsum"
    for k, (i, own) in enumerate(zip(node.inputs, batched, strict=True)):
        front = batch_shape if own is True else own
        if front and free[k] < most:
            # (b, n) to (b, 1, n): the axes of the batch stay in front
            steps.append(("reshape", k, {"shape": (*front, *(1,) * (most - free[k]), *i.shape)}))
        elif joined and front != batch_shape:  # parts that are joined do not broadcast
            steps.append(("broadcast_to", k, {"shape": (*batch_shape, *i.shape)}))  # (n) to (b, n)
    if node.op == "broadcast_to" and node.inputs[0].ndim < node.ndim:
        between = (1,) * (node.ndim - node.inputs[0].ndim)
        steps.append(("reshape", 0, {"shape": (*batch_shape, *between, *node.inputs[0].shape)}))
    whole = operation.batch(node, batch_shape) if operation.batch else dict(node.attributes)
    return steps, whole


class Lifted:
    """A Program ready to be carried out on arrays or Tensors, again and again.

    batch_shape: the axes of the batch; batched: the inputs that have them, the others being shared;
    dtype: what the Program's own constants become.
    """

    def __init__(
        self,
        roots: Mapping[str, Tensor],
        inputs: Mapping[str, Tensor],
        batch_shape: tuple[int, ...] = (),
        batched: Collection[str] = (),
        dtype: Any = None,
    ) -> None:
        self.inputs = list(inputs)
        self.constants: list[Tensor] = []
        self.calls: list[Call] = []
        self._names = {node: name for name, node in roots.items()}
        self._batch_shape, self._dtype = batch_shape, dtype
        leaves = {
            node: (k, bool(batch_shape) and name in batched)
            for k, (name, node) in enumerate(inputs.items())
        }
        for node in ancestors(roots.values(), stop=leaves):
            if not node.inputs and node not in leaves:
                leaves[node] = len(inputs) + len(self.constants), False
                self.constants.append(self._constant(node))
        self._next = len(inputs) + len(self.constants)
        found = fold(roots.values(), leaves, self._make)
        self.outputs = {name: self._whole(node, *found[node]) for name, node in roots.items()}

    def _constant(self, node: Tensor) -> Tensor:
        if node.requires_grad:  # a Tensor from outside, whose gradient somebody may want
            return node
        data = node.data
        if self._dtype is not None and data.dtype.kind == "f" and self._dtype.kind == "f":
            data = data.astype(self._dtype)
        return constant(data)

    def _make(self, node: Tensor, operands: list[tuple[int, bool]]) -> tuple[int, bool]:
        places, batched = [list(part) for part in zip(*operands, strict=True)]
        steps, whole = lift(node, batched, self._batch_shape)
        for op, k, attributes in steps:
            places[k] = self._call(op, [places[k]], attributes)
        return self._call(node.op or "", places, whole, self._names.get(node)), any(batched)

    def _call(
        self, op: str, places: Sequence[int], attributes: Mapping[str, Any], name: str | None = None
    ) -> int:
        self.calls.append(Call(op, TABLE[op].forward, tuple(places), attributes, name))
        self._next += 1
        return self._next - 1

    def _whole(self, node: Tensor, place: int, batched: bool) -> int:
        """A result with the axes of the batch, also where it depends on no sample."""
        if batched or not self._batch_shape:
            return place
        shape = (*self._batch_shape, *node.shape)
        return self._call("broadcast_to", [place], {"shape": shape})

    def arrays(self, values: Sequence[Any]) -> dict[str, Array]:
        """The outputs for arrays of the inputs."""
        found = [*values, *(c._data for c in self.constants)]  # (b, own axes), or own axes alone
        for _, forward, places, attributes, _ in self.calls:
            found.append(forward(*[found[k] for k in places], **attributes))
        return {name: np.asarray(found[k]) for name, k in self.outputs.items()}

    def nodes(
        self, values: Sequence[Tensor], time: int | None = None, prefix: str = ""
    ) -> dict[str, Tensor]:
        """The outputs as nodes of a graph, named with the prefix, for Tensors of the inputs."""
        found = [*values, *self.constants]
        add = found.append
        traced = any([v._data is None for v in values])
        for op, forward, places, attributes, name in self.calls:
            inputs = tuple([found[k] for k in places])
            if traced:
                node = apply(op, *inputs, **attributes)
            else:
                data = forward(*[i._data for i in inputs], **attributes)  # (b, own axes)
                node = computed(data, op, inputs, attributes)
            if name is not None:
                node.name, node.time = prefix + name, time
            add(node)
        return {name: found[k] for name, k in self.outputs.items()}


# --- letters --------------------------------------------------------------------------------------
def without_letters(roots: Iterable[Tensor]) -> dict[Tensor, Tensor]:
    """What computes each node below the roots: the places of a letter become an axis.

    What is written for one place is carried out for all of them as a sample's operations are for a
    batch. Nodes are made anew, so that their order stays that of their author; values stay what
    they are, and so do roots below which there is no letter.
    """
    roots = [*roots]
    if not any(node.op in LETTERED for node in ancestors(roots)):
        return {node: node for node in roots}
    found = fold(roots, {}, _without_letters)
    return {node: value for node, (value, _) in found.items()}


_Placed = tuple[Tensor, tuple[Letter, ...]]  # a value, and the letters whose axes it has in front


def _without_letters(node: Tensor, operands: list[_Placed]) -> _Placed:
    if node.op == "index":
        (letter,) = node.letters
        return constant(np.arange(1.0, letter.length + 1)), node.letters
    if not node.inputs or not node.traced:
        return node, ()
    if node.op in LETTERED:
        return _moved(node, *operands[0])
    letters = tuple(sorted({letter for _, own in operands for letter in own}))
    values = [value for value, _ in operands]
    if not letters:
        return remade(node, values), ()
    shape = tuple(letter.length for letter in letters)
    fronts: list[bool | tuple[int, ...]] = []
    for k, (value, own) in enumerate(operands):
        front = tuple(letter.length if letter in own else 1 for letter in letters)
        if (order := sorted(own)) != [*own]:
            ahead = [own.index(letter) for letter in order]
            rest = range(len(own), value.ndim)
            value = values[k] = apply("transpose", value, axes=(*ahead, *rest))
        own = tuple(order)
        if own and len(own) < len(letters) and own != letters[len(letters) - len(own) :]:
            values[k] = apply("reshape", value, shape=(*front, *node.inputs[k].shape))
        fronts.append(front if own else False)
    steps, whole = lift(node, fronts, shape)
    for op, at, attributes in steps:
        values[at] = apply(op, values[at], **attributes)
    return apply(node.op or "", *values, **whole), letters


def _moved(node: Tensor, value: Tensor, letters: tuple[Letter, ...]) -> _Placed:
    """A row of an array, what a letter stands before, or a sum over a letter."""
    letter: Letter = node.attributes["letter"]
    if node.op == "row":  # the first axis of its own becomes the letter's
        return value, (*letters, letter)
    left = tuple(own for own in letters if own != letter)
    lengths = tuple(own.length for own in left)
    own = node.inputs[0].shape
    if letter not in letters:
        value = apply("reshape", value, shape=(*lengths, 1, *own))
        value = apply("broadcast_to", value, shape=(*lengths, letter.length, *own))
    elif (place := letters.index(letter)) < len(left):
        order = [*range(len(letters) + len(own))]
        order.insert(len(left), order.pop(place))
        value = apply("transpose", value, axes=tuple(order))
    if node.op == "total":
        value = apply("sum", value, axis=len(left), keepdims=False)
    if node.name is not None:
        value = value if value.inputs and value.name is None else apply("identity", value)
        value.name, value.time = node.name, node.time
    return value, left
