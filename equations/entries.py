"""A Program taken apart into numbers: each entry of an array is an object of the caller's.

A matrix product becomes a sum of products, a concatenation a list. What an entry is, code or a
worked number, the caller says: it can be added and multiplied, and other operations are `apply`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_lstm.forwards import axes_of
from tinygrad_lstm.tensor import TABLE, Tensor

Entries = NDArray[np.object_]  # an array with an object for each number


class TakenApart:
    """One node on entries, as a `fold` takes it.

    apply: an operation of the table on single entries. number: the entry of a number.
    """

    def __init__(self, apply: Callable[..., Any], number: Callable[[Any], Any]) -> None:
        self.apply, self.number = apply, number
        # what the engine does by comparing numbers, or in another order
        self._mixed: dict[str, Callable[..., Any]] = {
            "matvec": lambda W, x: np.matmul(W, x[..., None])[..., 0],
            "clip": lambda x, low, high: self._each(
                "minimum",
                self._each("maximum", x, -np.inf if low is None else low),
                np.inf if high is None else high,
            ),
            "mean": self._mean,
            "max": self._largest,
            "scatter": _scatter,
            "logsumexp": lambda x, **over: self._each("log", self._sum_of_exp(x, **over)),
            "softmax": lambda x, axis: self._each(
                "divide", self._each("exp", x), self._sum_of_exp(x, axis)
            ),
            "log_softmax": lambda x, axis: self._each(
                "subtract", x, self._each("log", self._sum_of_exp(x, axis))
            ),
        }

    def __call__(self, node: Tensor, operands: Sequence[Entries]) -> Entries:
        """The entries of a node from those of its operands."""
        op = node.op or ""
        if not operands:
            return np.asarray(np.frompyfunc(self.number, 1, 1)(node.data), object)
        if TABLE[op].signature == "elementwise":
            return self._each(op, *operands)
        function = self._mixed.get(op) or TABLE[op].forward
        return np.asarray(function(*operands, **node.attributes), object)

    def _each(self, op: str, *operands: Any) -> Entries:
        made = np.frompyfunc(partial(self.apply, op), len(operands), 1)(*operands)
        return np.asarray(made, object)

    def _largest(self, x: Entries, axis: Any, keepdims: bool) -> Any:
        larger = np.frompyfunc(partial(self.apply, "maximum"), 2, 1)
        gone = axes_of(axis, x.ndim)
        for a in gone:  # NumPy takes an order of its own only along one axis at a time
            x = larger.reduce(x, axis=a, keepdims=True)
        return x if keepdims else np.squeeze(x, axis=gone)

    def _mean(self, x: Entries, axis: Any, keepdims: bool) -> Any:
        total = np.asarray(np.sum(x, axis=axis, keepdims=keepdims), object)
        return self._each("divide", total, x.size // total.size)

    def _sum_of_exp(self, x: Entries, axis: Any, keepdims: bool = True) -> Any:
        return np.sum(self._each("exp", x), axis=axis, keepdims=keepdims)


def entries_at(name: str, shape: tuple[int, ...], make: Callable[[str], Any]) -> Entries:
    """The entries of an array by its name: `W` of a single one, `W[0]`, `W[1]`, … of several."""
    count = math.prod(shape)
    names = [name] if count == 1 else [f"{name}[{k}]" for k in range(count)]
    return np.array([make(each) for each in names], object).reshape(shape)


def _scatter(g: Entries, index: Any, shape: tuple[int, ...]) -> Any:
    found = np.full(shape, 0, object)
    np.add.at(found, index, g)
    return found
