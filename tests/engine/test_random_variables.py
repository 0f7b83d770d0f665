"""Samples, divergences and log-likelihoods, against closed forms of SymPy and samples."""

import numpy as np
import pytest
import sympy

from tinygrad_lstm import Tensor, kl_normal, log_bernoulli, log_categorical, log_normal, normal

RANDOM = np.random.default_rng(0)


def test_the_divergence_is_the_integral() -> None:
    """KL = ∫ q log(q / p), the integral done by SymPy: one half a dimension."""
    z, m, m0 = sympy.symbols("z m m0", real=True)
    s, s0 = sympy.symbols("s s0", positive=True)
    q, p = (
        sympy.exp(-((z - a) ** 2) / (2 * b**2)) / sympy.sqrt(2 * sympy.pi * b**2)
        for a, b in ((m, s), (m0, s0))
    )
    log_ratio = sympy.expand_log(sympy.log(s0 / s)) + (z - m0) ** 2 / (2 * s0**2)
    log_ratio -= (z - m) ** 2 / (2 * s**2)
    exact = sympy.integrate(sympy.expand(q * log_ratio), (z, -sympy.oo, sympy.oo))
    assert sympy.simplify(sympy.log(q / p) - log_ratio).equals(0)
    mu, sigma = RANDOM.normal(size=4), RANDOM.uniform(0.3, 2, 4)
    mu_0, sigma_0 = RANDOM.normal(size=4), RANDOM.uniform(0.3, 2, 4)
    wanted = sum(
        float(exact.subs({m: a, s: b, m0: c, s0: d}))
        for a, b, c, d in zip(mu, sigma, mu_0, sigma_0, strict=True)
    )
    found = kl_normal(Tensor(mu), Tensor(sigma), Tensor(mu_0), Tensor(sigma_0)).item()
    assert found == pytest.approx(wanted, abs=1e-10)
    assert kl_normal(Tensor(mu), Tensor(sigma), mu, sigma).item() == pytest.approx(0.0, abs=1e-14)


def test_the_divergence_by_samples() -> None:
    """The mean of log q(z) - log p(z) over samples of q."""
    mu, sigma = Tensor([0.3, -1.0]), Tensor([0.5, 1.5])
    z = normal(mu, sigma, RANDOM.normal(size=(200_000, 2))).numpy()
    sample = (
        -0.5 * ((z - mu.numpy()) / sigma.numpy()) ** 2 - np.log(sigma.numpy()) + 0.5 * z**2
    ).sum(-1)
    error = 5 * sample.std() / len(sample) ** 0.5
    assert kl_normal(mu, sigma).item() == pytest.approx(sample.mean(), abs=error)


def test_densities_are_densities() -> None:
    """Of a normal it integrates to 1; of what is discrete the probabilities add up to 1."""
    grid = np.linspace(-12, 12, 20_001)
    each = np.array([log_normal(Tensor([x]), 0.7, 1.3).item() for x in grid[::20]])
    assert np.trapezoid(np.exp(each), grid[::20]) == pytest.approx(1.0, abs=1e-9)
    logits = Tensor(RANDOM.normal(size=3) * 4)
    binary = [[a, b, c] for a in (0.0, 1.0) for b in (0.0, 1.0) for c in (0.0, 1.0)]
    total = sum(np.exp(log_bernoulli(Tensor(x), logits).item()) for x in binary)
    assert total == pytest.approx(1.0, abs=1e-12)
    total = sum(np.exp(log_categorical(Tensor(row), logits).item()) for row in np.eye(3))
    assert total == pytest.approx(1.0, abs=1e-12)
    assert log_bernoulli(Tensor([1.0]), Tensor([-800.0])).item() == -800.0


def test_a_sample_lets_gradients_through() -> None:
    """Of μ it is 1, of σ it is ε."""
    mu, sigma, eps = Tensor([0.0, 1.0]), Tensor([1.0, 2.0]), np.array([0.5, -3.0])
    normal(mu, sigma, eps).sum().backward()
    np.testing.assert_array_equal(mu.grad.numpy(), [1, 1])  # type: ignore[union-attr]
    np.testing.assert_array_equal(sigma.grad.numpy(), eps)  # type: ignore[union-attr]
