"""Random variables in a cell: samples that let a gradient through, divergences, log-likelihoods.

    z = normal(mu, sigma, eps)                 z ∼ N(μ, σ²), as μ + σ ⊙ ε with ε ∼ N(0, 1)
    kl_normal(mu, sigma, mu_0, sigma_0)        KL(N(μ, σ²) ‖ N(μ₀, σ₀²))
    log_normal(x, mu, sigma)                   log N(x; μ, σ²)
    log_bernoulli(x, logits)                   log p(x), p(x = 1) = σ(logits)
    log_categorical(x, logits)                 log p(x), p = softmax(logits), x one-hot

All but `normal` are sums over the entries of one sample: nats, one number. σ is the standard
deviation, never its logarithm or its square.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from tinygrad_lstm.composites import composite
from tinygrad_lstm.ops import log, log_softmax, softplus, sum
from tinygrad_lstm.tensor import Tensor, TensorLike

__all__ = ["kl_normal", "log_bernoulli", "log_categorical", "log_normal", "normal"]

_positive = functools.partial(composite, domain=(0.5, 2.0))


@composite
def normal(mu: Any, sigma: Any, eps: Any) -> Any:
    """A sample of N(μ, σ²) entry by entry, μ + σ ε with ε drawn from N(0, 1).

    The gradient goes through μ and σ (Kingma and Welling 2014, the reparameterisation).
    """
    return mu + sigma * eps


@_positive
def normal_divergence(mu: Any, sigma: Any, mu_0: Any, sigma_0: Any) -> Any:
    """KL(N(μ, σ²) ‖ N(μ₀, σ₀²)) of one dimension."""
    return log(sigma_0 / sigma) + (sigma**2 + (mu - mu_0) ** 2) / (2 * sigma_0**2) - 0.5


@_positive
def normal_density(x: Any, mu: Any, sigma: Any) -> Any:
    """log N(x; μ, σ²) of one dimension."""
    return -0.5 * math.log(2 * math.pi) - log(sigma) - 0.5 * ((x - mu) / sigma) ** 2


@composite
def bernoulli_density(x: Any, logits: Any) -> Any:
    """log p(x) of one binary number with p(x = 1) = σ(logits)."""
    return x * logits - softplus(logits)


def _total(each: Callable[..., Tensor], *operands: TensorLike) -> Tensor:
    return sum(each(*operands))


def kl_normal(
    mu: TensorLike, sigma: TensorLike, mu_0: TensorLike = 0.0, sigma_0: TensorLike = 1.0
) -> Tensor:
    """KL(N(μ, σ²) ‖ N(μ₀, σ₀²)) in nats, the prior N(0, 1) unless told.

    Σ_k log(σ₀/σ) + (σ² + (μ - μ₀)²) / (2 σ₀²) - 1/2: the constant is one half a *dimension*.
    """
    return _total(normal_divergence, mu, sigma, mu_0, sigma_0)


def log_normal(x: TensorLike, mu: TensorLike, sigma: TensorLike) -> Tensor:
    """log N(x; μ, σ²) in nats: Σ_k -log(2π)/2 - log σ - ((x - μ)/σ)²/2."""
    return _total(normal_density, x, mu, sigma)


def log_bernoulli(x: TensorLike, logits: TensorLike) -> Tensor:
    """log p(x) in nats of zeros and ones: Σ_k x log σ(a) + (1 - x) log(1 - σ(a)), a the logits.

    Computed as x a - log(1 + eᵃ), which does not overflow.
    """
    return _total(bernoulli_density, x, logits)


def log_categorical(x: TensorLike, logits: TensorLike) -> Tensor:
    """log p(x) in nats of a one-hot x under softmax(logits): Σ_k x_k log softmax(logits)_k."""
    return sum(x * log_softmax(logits))
