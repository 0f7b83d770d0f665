"""Gradients of the cells against PyTorch and JAX, written there from the published equations."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_lstm import Tensor, cells, unroll

TIME, BATCH, INPUTS, HIDDEN = 6, 3, 4, 5
Step = Callable[..., dict[str, Any]]


def rnn(m: Any, s: dict[str, Any], x: Any, p: dict[str, Any]) -> dict[str, Any]:
    return {"h": m.tanh(m.cat([s["h"], x]) @ p["W"].T + p["b"])}


def lstm(m: Any, s: dict[str, Any], x: Any, p: dict[str, Any]) -> dict[str, Any]:
    z = m.cat([s["h"], x])
    f = m.sigmoid(z @ p["W_f"].T + p["b_f"])
    i = m.sigmoid(z @ p["W_i"].T + p["b_i"])
    o = m.sigmoid(z @ p["W_o"].T + p["b_o"])
    C = f * s["C"] + i * m.tanh(z @ p["W_C"].T + p["b_C"])
    return {"h": o * m.tanh(C), "C": C}


def lstm_peephole(m: Any, s: dict[str, Any], x: Any, p: dict[str, Any]) -> dict[str, Any]:
    old = m.cat([s["C"], s["h"], x])
    f = m.sigmoid(old @ p["W_f"].T + p["b_f"])
    i = m.sigmoid(old @ p["W_i"].T + p["b_i"])
    C = f * s["C"] + i * m.tanh(m.cat([s["h"], x]) @ p["W_C"].T + p["b_C"])
    o = m.sigmoid(m.cat([C, s["h"], x]) @ p["W_o"].T + p["b_o"])
    return {"h": o * m.tanh(C), "C": C}


def lstm_coupled(m: Any, s: dict[str, Any], x: Any, p: dict[str, Any]) -> dict[str, Any]:
    z = m.cat([s["h"], x])
    f = m.sigmoid(z @ p["W_f"].T + p["b_f"])
    C = f * s["C"] + (1 - f) * m.tanh(z @ p["W_C"].T + p["b_C"])
    return {"h": m.sigmoid(z @ p["W_o"].T + p["b_o"]) * m.tanh(C), "C": C}


def gru(m: Any, s: dict[str, Any], x: Any, p: dict[str, Any]) -> dict[str, Any]:
    z = m.sigmoid(m.cat([s["h"], x]) @ p["W_z"].T)
    r = m.sigmoid(m.cat([s["h"], x]) @ p["W_r"].T)
    candidate = m.tanh(m.cat([r * s["h"], x]) @ p["W_h"].T)
    return {"h": (1 - z) * s["h"] + z * candidate}


STEPS: dict[str, Step] = {f.__name__: f for f in (rnn, lstm, lstm_peephole, lstm_coupled, gru)}


def loss(m: Any, step: Step, values: dict[str, Any], weights: dict[str, Any]) -> Any:
    """Σ over time of every state, weighted: the same number in every library."""
    states = {n.removeprefix("prev."): v for n, v in values.items() if n.startswith("prev.")}
    total = 0.0
    for t in range(TIME):
        states = step(m, states, values["x"][t], values)
        total = total + sum((states[n] * weights[n][t]).sum() for n in states)
    return total


def by_torch(step: Step, values: dict[str, Any], weights: dict[str, Any]) -> dict[str, Any]:
    torch = pytest.importorskip("torch")

    class Torch:
        tanh, sigmoid = torch.tanh, torch.sigmoid

        @staticmethod
        def cat(parts: Any) -> Any:
            return torch.cat(parts, dim=-1)

    leaves = {n: torch.tensor(v, requires_grad=True) for n, v in values.items()}
    loss(Torch, step, leaves, {n: torch.tensor(w) for n, w in weights.items()}).backward()
    return {n: leaf.grad.numpy() for n, leaf in leaves.items()}


def by_jax(step: Step, values: dict[str, Any], weights: dict[str, Any]) -> dict[str, Any]:
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)

    class Jax:
        tanh, sigmoid = jax.numpy.tanh, jax.nn.sigmoid

        @staticmethod
        def cat(parts: Any) -> Any:
            return jax.numpy.concatenate(parts, axis=-1)

    found = jax.grad(lambda v: loss(Jax, step, v, weights))(values)
    return {n: np.asarray(g) for n, g in found.items()}


@pytest.mark.parametrize("peer", [by_torch, by_jax], ids=["PyTorch", "JAX"])
@pytest.mark.parametrize("name", STEPS)
def test_gradients(name: str, peer: Callable[..., dict[str, Any]]) -> None:
    cell, random = cells.all()[name], np.random.default_rng(8)
    p = cell.init(inputs=INPUTS, hidden=HIDDEN, seed=3)
    p = p.replace({n: t.data + 0.1 * random.normal(size=t.shape) for n, t in p.items()})
    values = {n: t.numpy() for n, t in p.items()}
    values |= {f"prev.{n}": random.normal(size=(BATCH, HIDDEN)) for n in cell.state}
    values["x"] = random.normal(size=(TIME, BATCH, INPUTS))
    weights = {n: random.normal(size=(TIME, BATCH, HIDDEN)) for n in cell.state}
    expected = peer(STEPS[name], values, weights)

    leaves = {n: Tensor(v, n) for n, v in values.items()}
    run = unroll(
        cell, {n: leaves[n] for n in p}, leaves["x"], {n: leaves[f"prev.{n}"] for n in cell.state}
    )
    total = sum(((run[n] * weights[n]).sum() for n in cell.state), Tensor(0.0))
    total.backward()
    for n, leaf in leaves.items():
        scale = np.max(np.abs(expected[n]))
        np.testing.assert_allclose(leaf.grad.data, expected[n], rtol=0, atol=1e-10 * scale)
