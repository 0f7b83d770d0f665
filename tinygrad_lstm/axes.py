"""The axes of a result: which of an operation's lengths bear names, and why some do not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_lstm.operation import Operation
from tinygrad_lstm.sizes import Size


def named_shape(
    operation: Operation,
    inputs: Sequence[Any],
    attributes: Mapping[str, Any],
    shape: tuple[int, ...],
) -> tuple[int, ...]:
    """A result's shape, with the lengths named that are the lengths of its inputs."""
    named = list(shape)
    for lengths in _lengths(operation, inputs, attributes, len(shape)):
        for k, n in enumerate(reversed(lengths), 1):  # aligned at the last axis, as broadcasting is
            if k <= len(shape) and type(n) is Size and n == named[-k]:
                named[-k] = n
    return tuple(named)


def _lengths(
    operation: Operation, inputs: Sequence[Any], attributes: Mapping[str, Any], ndim: int
) -> list[list[Any]]:
    """For each input, or for all, the lengths that it gives the last axes of the result."""
    op, first = operation.name, list(inputs[0].shape)
    axis: Any = attributes.get("axis")
    if "shape" in attributes:
        return [list(attributes["shape"])]
    if op == "getitem":
        return [_left(attributes["index"], first)]
    if op == "transpose":
        return [[first[a] for a in attributes["axes"]]]
    if op == "swapaxes":
        a, b = attributes["a"], attributes["b"]
        first[a], first[b] = first[b], first[a]
        return [first]
    if op == "concat":
        first[axis] = sum((i.shape[axis] for i in inputs[1:]), first[axis])
        return [first]
    if op == "stack":
        first.insert(axis % ndim, len(inputs))
        return [first]
    if operation.signature == "reduction" and ndim < len(first):
        gone = {a % len(first) for a in np.atleast_1d(range(len(first)) if axis is None else axis)}
        return [[n for a, n in enumerate(first) if a not in gone]]
    if operation.signature.startswith("("):
        groups, after = operation.letters()
        several = []
        for group, i in zip(groups, inputs, strict=True):
            free = i.ndim - len(group)
            core = dict(zip(group, i.shape[free:], strict=True))
            several.append([*i.shape[:free], *(core.get(letter, -1) for letter in after)])
        return several
    return [list(i.shape) for i in inputs]


def _left(index: tuple[Any, ...], shape: Sequence[int]) -> list[Any]:
    """The length that each part of a normal index leaves."""
    lengths: list[Any] = []
    arrays = [part for part in index if isinstance(part, np.ndarray)]
    axes = iter(shape)
    for part in index:
        n = 1 if part is None else next(axes)
        if part is None:
            lengths.append(n)
        elif isinstance(part, slice):
            start, stop = part.start or 0, n if part.stop is None else part.stop
            simple = part.step in (None, 1) and start >= 0 and 0 <= stop <= n
            lengths.append(stop - start if simple else -1)
        elif arrays and part is arrays[0]:
            lengths += [-1] * np.broadcast(*arrays).ndim
    return [*lengths, *axes]


def misfit(operation: Operation, inputs: Sequence[Any], error: Exception) -> str:
    """What to say of operands whose shapes an operation cannot take."""
    shapes = ", ".join(f"{i.name + ' ' if i.name else ''}{i.shape}" for i in inputs)
    name, signature = operation.name, operation.signature
    if not signature.startswith("("):
        return f"{name}, got shapes {shapes}: {str(error).strip()}"
    clash = _clash(operation, inputs) or "their leading axes do not broadcast"
    return f"{name}, which takes {signature}, got shapes {shapes}: {clash}"


def _clash(operation: Operation, inputs: Sequence[Any]) -> str | None:
    """The length of a signature such as (m,n),(n)->(m) on which operands do not agree."""
    lengths: dict[str, tuple[int, str]] = {}
    for k, (letters, operand) in enumerate(zip(operation.letters()[0], inputs, strict=True), 1):
        who = operand.name or f"operand {k}"
        if operand.ndim < len(letters):
            return f"{who} needs {len(letters)} axes, ({','.join(letters)})"
        for letter, n in zip(letters, operand.shape[-len(letters) :], strict=True):
            before, other = lengths.setdefault(letter, (n, who))
            if before != n:
                return f"{letter} is {before} by {other}, {n} by {who}"
    return None
