"""Optimisers: how gradients move parameters. Pure functions of mappings name -> array.

`start` gives the averages an optimiser keeps, all zero; `update` returns new parameters and new
averages and changes nothing in place, so that a training can be stopped between any two lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tinygrad_lstm.errors import DataError
from tinygrad_lstm.tensor import Array

Arrays = Mapping[str, Array]
Averages = Mapping[str, Arrays]  # such as {"m": {"W_f": …}, "v": {"W_f": …}}


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma & Ba 2015, algorithm 1), at step t = 1, 2, …

        m ← β₁ m + (1 - β₁) g              v ← β₂ v + (1 - β₂) g²
        θ ← θ - rate · m̂ / (√v̂ + ε)        with m̂ = m / (1 - β₁ᵗ), v̂ = v / (1 - β₂ᵗ)

    m and v are running means of the gradient and of its square; the hats undo their start at 0.
    """

    rate: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        _positive("rate", self.rate)
        _positive("epsilon", self.epsilon)
        _share("beta1", self.beta1)
        _share("beta2", self.beta2)

    def start(self, parameters: Arrays) -> Averages:
        """The averages m and v before the first step: zeros."""
        return {"m": _zeros(parameters), "v": _zeros(parameters)}

    def update(
        self, parameters: Arrays, gradients: Arrays, averages: Averages, step: int
    ) -> tuple[Arrays, Averages]:
        """Parameters and averages after step number `step`, which counts from 1."""
        new: dict[str, Array] = {}
        m: dict[str, Array] = {}
        v: dict[str, Array] = {}
        share1, share2 = 1 - self.beta1**step, 1 - self.beta2**step
        for name, g in gradients.items():
            m[name] = self.beta1 * averages["m"][name] + (1 - self.beta1) * g
            v[name] = self.beta2 * averages["v"][name] + (1 - self.beta2) * (g * g)
            pace = np.sqrt(v[name] / share2) + self.epsilon
            new[name] = parameters[name] - (self.rate / share1) * m[name] / pace
        return new, {"m": m, "v": v}


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with momentum μ (Polyak 1964, as in Sutskever et al. 2013).

        u ← μ u + g              θ ← θ - rate · u

    With momentum 0 it is plain gradient descent.
    """

    rate: float = 0.1
    momentum: float = 0.0

    def __post_init__(self) -> None:
        _positive("rate", self.rate)
        _share("momentum", self.momentum)

    def start(self, parameters: Arrays) -> Averages:
        """The running sum u before the first step: zeros."""
        return {"u": _zeros(parameters)}

    def update(
        self, parameters: Arrays, gradients: Arrays, averages: Averages, step: int
    ) -> tuple[Arrays, Averages]:
        """Parameters and running sums after a step; its number does not matter here."""
        u = {name: self.momentum * averages["u"][name] + g for name, g in gradients.items()}
        return {name: parameters[name] - self.rate * u[name] for name in u}, {"u": u}


Optimiser = Adam | SGD


def global_norm(gradients: Arrays) -> float:
    """√Σ g², over every entry of every array, in float64."""
    return float(np.sqrt(sum(np.sum(np.square(g, dtype=np.float64)) for g in gradients.values())))


def clip_by_norm(gradients: Arrays, limit: float) -> tuple[Arrays, float]:
    """The gradients, scaled as a whole to norm `limit` if theirs is larger, and their old norm.

    g ← g · min(1, limit / √Σ g²): the direction stays (Pascanu et al. 2013, algorithm 1).
    """
    norm = global_norm(gradients)
    if not norm > limit:
        return gradients, norm
    return {name: g * g.dtype.type(limit / norm) for name, g in gradients.items()}, norm


def _zeros(parameters: Arrays) -> Arrays:
    return {name: np.zeros_like(value) for name, value in parameters.items()}


def _positive(name: str, value: float) -> None:
    if not (value > 0 and np.isfinite(value)):
        raise DataError(f"{name} must be a number above 0, got {value}.")


def _share(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise DataError(f"{name} must be at least 0 and below 1, got {value}.")
