"""The axes of a result: which of an operation's lengths bear names, and why some do not fit."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_lstm.sizes import Size

if TYPE_CHECKING:
    from tinygrad_lstm.tensor import Operation, Tensor


def named_shape(
    operation: Operation,
    inputs: Sequence[Tensor],
    attributes: Mapping[str, Any],
    shape: tuple[int, ...],
) -> tuple[int, ...]:
    """A result's shape, with the lengths named that are the lengths of its inputs."""
    found = list(shape)

    def name(axis: int, length: Any) -> None:
        if -len(shape) <= axis < len(shape) and type(length) is Size and length == found[axis]:
            found[axis] = length

    first = inputs[0].shape
    kind = operation.signature
    axis: Any = attributes.get("axis")
    if "shape" in attributes:
        for k, n in enumerate(attributes["shape"]):
            name(k, n)
    elif operation.name == "getitem":
        for k, n in enumerate(_lengths(attributes["index"], first)):
            name(k, n)
    elif operation.name == "transpose":
        for k, a in enumerate(attributes["axes"]):
            name(k, first[a])
    elif operation.name == "swapaxes":
        swapped = list(first)
        a, b = attributes["a"], attributes["b"]
        swapped[a], swapped[b] = swapped[b], swapped[a]
        for k, n in enumerate(swapped):
            name(k, n)
    elif operation.name == "concat":
        for k, n in enumerate(first):
            name(k, n)
        found[axis] = sum((i.shape[axis] for i in inputs[1:]), first[axis])
    elif operation.name == "stack":
        kept = list(first)
        kept.insert(axis % len(shape), len(inputs))
        for k, n in enumerate(kept):
            name(k, n)
    elif kind == "reduction" and len(shape) < len(first):
        gone = {a % len(first) for a in np.atleast_1d(range(len(first)) if axis is None else axis)}
        for k, n in enumerate(n for a, n in enumerate(first) if a not in gone):
            name(k, n)
    elif kind.startswith("("):
        before, after = kind.split("->")
        groups = [g.split(",") for g in re.findall(r"\(([^)]*)\)", before)]
        for group, i in zip(groups, inputs, strict=True):
            core = [letter for letter in after.strip("()").split(",") if letter]
            for letter, n in zip(group, i.shape[i.ndim - len(group) :], strict=True):
                if letter in core:
                    name(core.index(letter) - len(core), n)
            for k, n in enumerate(reversed(i.shape[: i.ndim - len(group)])):
                name(-1 - len(core) - k, n)
    else:
        for i in inputs:
            for k, n in enumerate(reversed(i.shape)):
                name(-1 - k, n)
    return tuple(found)


def _lengths(index: Any, shape: tuple[int, ...]) -> list[Any]:
    """The length that each part of a normal index leaves."""
    index = index if isinstance(index, tuple) else (index,)
    found: list[Any] = []
    arrays = [part for part in index if isinstance(part, np.ndarray)]
    axes = iter(shape)
    seen = False
    for part in index:
        if part is None:
            found.append(1)
            continue
        n = next(axes)
        if isinstance(part, slice):
            start, stop = part.start or 0, n if part.stop is None else part.stop
            simple = part.step in (None, 1) and start >= 0 and 0 <= stop <= n
            found.append(stop - start if simple else -1)
        elif isinstance(part, np.ndarray) and not seen:
            seen = True
            found += [-1] * np.broadcast(*arrays).ndim
    return [*found, *axes]


def misfit(operation: Operation, inputs: Sequence[Tensor], error: Exception) -> str:
    """What to say of operands whose shapes an operation cannot take."""
    shapes = ", ".join(f"{i.name + ' ' if i.name else ''}{i.shape}" for i in inputs)
    name, signature = operation.name, operation.signature
    if not signature.startswith("("):
        return f"{name}, got shapes {shapes}: {str(error).strip()}"
    clash = _clash(signature, inputs) or "their leading axes do not broadcast"
    return f"{name}, which takes {signature}, got shapes {shapes}: {clash}"


def _clash(signature: str, inputs: Sequence[Tensor]) -> str | None:
    """The length of a signature such as (m,n),(n)->(m) on which operands do not agree."""
    lengths: dict[str, tuple[int, str]] = {}
    groups = re.findall(r"\(([^)]*)\)", signature.split("->")[0])
    for k, (group, operand) in enumerate(zip(groups, inputs, strict=True), 1):
        letters = group.split(",")
        who = operand.name or f"operand {k}"
        if operand.ndim < len(letters):
            return f"{who} needs {len(letters)} axes, ({group})"
        for letter, n in zip(letters, operand.shape[-len(letters) :], strict=True):
            before, other = lengths.setdefault(letter, (n, who))
            if before != n:
                return f"{letter} is {before} by {other}, {n} by {who}"
    return None
