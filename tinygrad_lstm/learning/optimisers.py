"""Optimisers: how gradients move parameters. Pure functions, each a few passes over flat vectors.

`start` gives the averages an optimiser keeps, all zero; `update` returns new parameters and new
averages and changes nothing in place, so that a training can be stopped between any two lines.
Both take any mapping of names to arrays; what they return is one, too, `Flat`, packed once: given
back to them, it is not packed again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from tinygrad_lstm.errors import DataError
from tinygrad_lstm.learning.flat import Flat
from tinygrad_lstm.learning.passes import passed
from tinygrad_lstm.learning.schema import LATER
from tinygrad_lstm.tensor import Array

Arrays = Mapping[str, Array]
Averages = Mapping[str, Arrays]  # such as {"m": {"W_f": …}, "v": {"W_f": …}}
Vectors = tuple[Array, ...]


class _Passes:
    """What optimisers have in common: each has its rule twice, in C and in NumPy."""

    kinds: ClassVar[tuple[str, ...]]

    def start(self, parameters: Arrays) -> Averages:
        """The averages before the first step: zeros."""
        flat = Flat.of(parameters)
        return {kind: flat.like(np.zeros_like(flat.vector)) for kind in self.kinds}

    def update(
        self, parameters: Arrays, gradients: Arrays, averages: Averages, step: int
    ) -> tuple[Flat, Averages]:
        """Parameters and averages after step number `step`, which counts from 1.

        A parameter without a gradient is moved as by one of zero.
        """
        flat = Flat.of(parameters)
        read = [flat, flat.fit(gradients), *(flat.fit(averages[kind]) for kind in self.kinds)]
        made = flat.fresh(1 + len(self.kinds))
        name, *numbers = self._compiled(step)
        if passed(name, [*read, *made], *numbers) is None:
            found = self._computed(*(each.vector for each in read), step)
            made = list(map(flat.like, found))
        return made[0], dict(zip(self.kinds, made[1:], strict=True))

    def _compiled(self, step: int) -> tuple[Any, ...]:
        """The name of the pass in C, and its numbers."""
        raise NotImplementedError

    def _computed(self, *vectors: Any) -> Vectors:
        """The pass in NumPy: new parameters and averages from p, g, the averages, and the step."""
        raise NotImplementedError


@dataclass(frozen=True)
class Adam(_Passes):
    """Adam (Kingma & Ba 2015, algorithm 1), at step t = 1, 2, …

        m ← β₁ m + (1 - β₁) g              v ← β₂ v + (1 - β₂) g²
        θ ← θ - rate · m̂ / (√v̂ + ε)        with m̂ = m / (1 - β₁ᵗ), v̂ = v / (1 - β₂ᵗ)

    m and v are running means of the gradient and of its square; the hats undo their start at 0.
    """

    rate: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    kinds: ClassVar[tuple[str, ...]] = ("m", "v")

    def __post_init__(self) -> None:
        _positive("rate", self.rate)
        _positive("epsilon", self.epsilon)
        _share("beta1", self.beta1)
        _share("beta2", self.beta2)

    def _compiled(self, step: int) -> tuple[Any, ...]:
        pace, share2 = self.rate / (1 - self.beta1**step), 1 - self.beta2**step
        return "adam", self.beta1, self.beta2, pace, share2, self.epsilon

    def _computed(self, p: Array, g: Array, m: Array, v: Array, step: int) -> Vectors:
        _, _, _, pace, share2, _ = self._compiled(step)
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * (g * g)
        return p - pace * m / (np.sqrt(v / share2) + self.epsilon), m, v


@dataclass(frozen=True)
class RMSProp(_Passes):
    """RMSProp (Tieleman & Hinton 2012, lecture 6.5), with momentum μ.

        v ← α v + (1 - α) g²       u ← μ u + g / (√v + ε)       θ ← θ - rate · u

    v is a running mean of the gradient's square, u = g / (√v + ε) where μ = 0.
    """

    rate: float = 0.001
    decay: float = 0.99
    momentum: float = 0.0
    epsilon: float = 1e-8
    kinds: ClassVar[tuple[str, ...]] = ("v", "u")

    def __post_init__(self) -> None:
        _positive("rate", self.rate)
        _positive("epsilon", self.epsilon)
        _share("decay", self.decay)
        _share("momentum", self.momentum)

    def _compiled(self, step: int) -> tuple[Any, ...]:
        return "rmsprop", self.decay, self.momentum, self.rate, self.epsilon

    def _computed(self, p: Array, g: Array, v: Array, u: Array, step: int) -> Vectors:
        v = self.decay * v + (1 - self.decay) * (g * g)
        u = self.momentum * u + g / (np.sqrt(v) + self.epsilon)
        return p - self.rate * u, v, u


@dataclass(frozen=True)
class SGD(_Passes):
    """Stochastic gradient descent with momentum μ (Polyak 1964, as in Sutskever et al. 2013).

        u ← μ u + g              θ ← θ - rate · u, or with Nesterov's momentum - rate · (g + μ u)

    With momentum 0 it is plain gradient descent.
    """

    rate: float = 0.1
    momentum: float = 0.0
    nesterov: bool = field(default=False, metadata=LATER)
    kinds: ClassVar[tuple[str, ...]] = ("u",)

    def __post_init__(self) -> None:
        _positive("rate", self.rate)
        _share("momentum", self.momentum)
        if self.nesterov and not self.momentum:
            raise DataError("nesterov needs a momentum above 0: SGD(0.1, 0.9, nesterov=True).")

    def _compiled(self, step: int) -> tuple[Any, ...]:
        return "sgd", self.momentum, self.rate, self.nesterov

    def _computed(self, p: Array, g: Array, u: Array, step: int) -> Vectors:
        u = self.momentum * u + g
        return p - self.rate * (g + self.momentum * u if self.nesterov else u), u


Optimiser = Adam | RMSProp | SGD


def global_norm(gradients: Arrays) -> float:
    """√Σ g², over every entry of every array, in float64."""
    parts = [*gradients.values()]
    if isinstance(gradients, Flat):
        parts = [gradients.vector]
        if (square := passed("square_sum", [gradients])) is not None:
            return math.sqrt(square)
    return float(np.sqrt(sum(np.sum(np.square(g, dtype=np.float64)) for g in parts)))


def clip_by_norm(gradients: Arrays, limit: float) -> tuple[Arrays, float]:
    """The gradients, scaled as a whole to norm `limit` if theirs is larger, and their old norm.

    g ← g · min(1, limit / √Σ g²): the direction stays (Pascanu et al. 2013, algorithm 1).
    """
    norm = global_norm(gradients)
    if not norm > limit:
        return gradients, norm
    if isinstance(gradients, Flat):
        return gradients.like(gradients.vector * gradients.vector.dtype.type(limit / norm)), norm
    return {name: g * g.dtype.type(limit / norm) for name, g in gradients.items()}, norm


def clip_by_entry(gradients: Arrays, limit: float) -> Arrays:
    """The gradients with every entry between -limit and limit (Graves 2013, section 2.1)."""
    if isinstance(gradients, Flat):
        return gradients.like(np.clip(gradients.vector, -limit, limit))
    return {name: np.clip(g, -limit, limit) for name, g in gradients.items()}


def clipped(gradient: Flat, limit: float | None, entry: float | None = None) -> tuple[Flat, float]:
    """A gradient within limits, first of its entries, then of its norm, and the norm it had."""
    before = norm = global_norm(gradient)
    if entry is not None:
        gradient = gradient.like(np.clip(gradient.vector, -entry, entry))
        norm = global_norm(gradient)
    if limit is not None and norm > limit:
        gradient = gradient.like(gradient.vector * gradient.vector.dtype.type(limit / norm))
    return gradient, before


def _positive(name: str, value: float) -> None:
    if not (value > 0 and np.isfinite(value)):
        raise DataError(f"{name} must be a number above 0, got {value}.")


def _share(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise DataError(f"{name} must be at least 0 and below 1, got {value}.")
