"""What wires carry to a part: functions of the step, with `like()` and `sequence`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from tinygrad_lstm.functions import concat, stack
from tinygrad_lstm.running import Run
from tinygrad_lstm.tensor import Tensor, apply

Value = Any  # one of the classes below, or `Steps`
Known = tuple[tuple[int, ...], np.dtype[Any]]


class FromRun:
    """One equation of a run as a function of the step."""

    def __init__(self, run: Run, name: str) -> None:
        self._run, self._name = run, name

    def __call__(self, t: int) -> Tensor:
        """The value at step t."""
        return self._run.steps[t][self._name]

    def like(self) -> Known:
        """Shape and dtype of the value at a step."""
        if self._run.whole:  # so that no step is made
            return self.sequence.shape[1:], self.sequence.dtype
        return self(0).shape, self(0).dtype

    @property
    def sequence(self) -> Tensor:
        """The equation at all steps."""
        return self._run[self._name]


class Late:
    """The value of the step that was read before, and what stands for it at the first."""

    def __init__(self, value: Value, first: Tensor, time: int, reverse: bool) -> None:
        self._value, self._first, self._time, self._reverse = value, first, time, reverse

    def __call__(self, t: int) -> Tensor:
        """The value at step t."""
        past = t + 1 if self._reverse else t - 1
        return self._value(past) if 0 <= past < self._time else self._first

    def like(self) -> Known:
        """Shape and dtype of the value at a step."""
        return self._first.shape, self._first.dtype

    @cached_property
    def sequence(self) -> Tensor:
        """The value at all steps, each one later."""
        every, first = self._value.sequence, stack([self._first])
        if self._time == 1:
            return first
        return (
            concat(every[1:], first, axis=0) if self._reverse else concat(first, every[:-1], axis=0)
        )


class Repeated:
    """One value, the same at each step."""

    def __init__(self, value: Tensor, time: int) -> None:
        self._value, self._time = value, time

    def __call__(self, t: int) -> Tensor:
        """The value at step t."""
        return self._value

    def like(self) -> Known:
        """Shape and dtype of the value."""
        return self._value.shape, self._value.dtype

    @cached_property
    def sequence(self) -> Tensor:
        """The value at all steps."""
        return apply("broadcast_to", self._value, shape=(self._time, *self._value.shape))


class Spread:
    """A sequence that the batch shares, as one for each sample."""

    def __init__(self, value: Value, lead: tuple[int, ...]) -> None:
        self._value, self._lead = value, lead
        self._made: dict[int, Tensor] = {}

    def __call__(self, t: int) -> Tensor:
        """The value at step t."""
        if t not in self._made:
            node = self._value(t)
            self._made[t] = apply("broadcast_to", node, shape=(*self._lead, *node.shape))
        return self._made[t]

    def like(self) -> Known:
        """Shape and dtype of the value at a step."""
        shape, dtype = self._value.like()
        return (*self._lead, *shape), dtype

    @cached_property
    def sequence(self) -> Tensor:
        """The value at all steps."""
        node = self._value.sequence
        shape = (node.shape[0], *self._lead, *node.shape[1:])
        between = node.reshape(node.shape[0], *(1,) * len(self._lead), *node.shape[1:])
        return apply("broadcast_to", between, shape=shape)


class Joined:
    """Several values, joined along the last axis of each step."""

    def __init__(self, values: Sequence[Value]) -> None:
        self._values = values
        self._made: dict[int, Tensor] = {}

    def __call__(self, t: int) -> Tensor:
        """The value at step t."""
        if t not in self._made:
            self._made[t] = concat(*self._alike([value(t) for value in self._values], 0))
        return self._made[t]

    def like(self) -> Known:
        """Shape and dtype of what is joined."""
        known = [value.like() for value in self._values]
        longest = max((shape for shape, _ in known), key=len)
        total = sum(shape[-1] for shape, _ in known)
        return (*longest[:-1], total), np.result_type(*(dtype for _, dtype in known))

    @cached_property
    def sequence(self) -> Tensor:
        """What is joined at all steps."""
        return concat(*self._alike([value.sequence for value in self._values], 1))

    def _alike(self, nodes: list[Tensor], time: int) -> list[Tensor]:
        """With the axes of the batch, also what is shared by it."""
        lead = max((n.shape[:-1] for n in nodes), key=len)
        return [
            n
            if n.shape[:-1] == lead
            else apply(
                "broadcast_to",
                n.reshape(*n.shape[:time], *(1,) * (len(lead) + 1 - n.ndim), *n.shape[time:]),
                shape=(*lead, n.shape[-1]),
            )
            for n in nodes
        ]
