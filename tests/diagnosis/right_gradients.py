"""Right gradients from other places: in float32, summed in other orders, by PyTorch and JAX."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from wrong_programs import Task, carry_out

from tinygrad_lstm import Tensor, cells, unroll, weights

TORCH = importlib.util.find_spec("torch") is not None
JAX = importlib.util.find_spec("jax") is not None
Found = Mapping[str, Any]


def single(array: Any) -> Any:
    """A floating-point array in float32."""
    return np.asarray(array, np.float32) if np.asarray(array).dtype.kind == "f" else array


def of_engine(task: Task, cast: Any) -> Found:
    """The engine's, of numbers in some precision."""
    own = task.cell
    p = own.bind({n: Tensor(cast(v)) for n, v in task.p.items()})
    x = Tensor(cast(task.xs))
    initial = {n: cast(v) for n, v in task.initial.items()}
    further = {n: cast(v) for n, v in task.further.items()}
    run = unroll(own, p, x, initial, **further)
    (run[own.output] * cast(task.h_bar)).sum().backward()
    return {n: t.grad.numpy() for n, t in {**p, "x": x}.items() if t.grad is not None}


def in_samples(task: Task) -> Found:
    """In float32, sample by sample from the last to the first, and added up."""
    own, total = task.cell, dict[str, Any]()
    shared = own.program(**task.sizes).inputs
    xs = []
    for k in reversed(range(task.xs.shape[1])):
        further = {}
        for name, value in task.further.items():
            lead = int(name in own.sequences)
            each = np.ndim(value) > lead + shared[name].ndim
            further[name] = (value[:, k] if lead else value[k]) if each else value
        one = Task(
            own, task.sizes, task.p, task.xs[:, k], task.h_bar[:, k],
            {n: v[k] for n, v in task.initial.items()}, further,
        )  # fmt: skip
        found = of_engine(one, single)
        for name, value in found.items():
            if name == "x":
                xs.insert(0, value)
            else:
                total[name] = total.get(name, 0) + value
    return {**total, **({"x": np.stack(xs, 1)} if xs else {})}


def by_program(task: Task) -> Found:
    """By the Program of the gradients, step by step, rounded to float32."""
    return {n: single(v) for n, v in carry_out(task).items()}


# --- PyTorch -------------------------------------------------------------------------------------
def torch_layer(seed: int) -> tuple[Any, Found, Mapping[str, Any]]:
    """A layer of PyTorch's with its own gradients: the cell, what was found, and for what."""
    import torch

    random = np.random.default_rng(seed)
    torch.manual_seed(seed)
    kind = [torch.nn.LSTM, torch.nn.RNN][random.integers(2)]
    inputs, hidden = (int(n) for n in random.integers(1, 9, 2))
    steps, batch = int(random.choice([1, 2, 5, 20, 100])), int(random.integers(1, 6))
    layer = kind(inputs, hidden)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.mul_(float(random.choice([0.5, 1, 3, 10])))
    xs = torch.tensor(random.standard_normal((steps, batch, inputs)), dtype=torch.float32)
    h_bar = torch.tensor(random.standard_normal((steps, batch, hidden)), dtype=torch.float32)
    xs.requires_grad_(True)
    (layer(xs)[0] * h_bar).sum().backward()
    cell, p = weights.from_pytorch(layer.state_dict())
    grads = {n: g.grad for n, g in layer.named_parameters()}
    names = "ifCo" if cell.name == "lstm" else ""
    found: dict[str, Any] = {"x": xs.grad}
    if names:
        for k, g in enumerate(names):
            rows = slice(hidden * k, hidden * (k + 1))
            parts = [grads["weight_hh_l0"][rows], grads["weight_ih_l0"][rows]]
            found[f"W_{g}"], found[f"b_{g}"] = torch.cat(parts, 1), grads["bias_ih_l0"][rows]
    else:
        found["W"] = torch.cat([grads["weight_hh_l0"], grads["weight_ih_l0"]], 1)
        found["b"] = grads["bias_ih_l0"]
    found = {n: v for n, v in found.items() if n == "x" or n in p}
    given = {"p": {n: t.numpy() for n, t in p.items()}, "xs": xs, "h_bar": h_bar}
    return cell, found, given


# --- JAX -----------------------------------------------------------------------------------------
@cache
def _jax_gradient() -> Any:
    import jax
    import jax.numpy as jnp

    def loss(p: Any, xs: Any, h_bar: Any) -> Any:
        def step(state: Any, x: Any) -> Any:
            h, C = state
            z = jnp.concatenate([h, x], 1)
            f, i, o = (jax.nn.sigmoid(z @ p[f"W_{g}"].T + p[f"b_{g}"]) for g in "fio")
            C = f * C + i * jnp.tanh(z @ p["W_C"].T + p["b_C"])
            h = o * jnp.tanh(C)
            return (h, C), h

        zero = jnp.zeros(h_bar.shape[1:], h_bar.dtype)
        return (jax.lax.scan(step, (zero, zero), xs)[1] * h_bar).sum()

    return jax.jit(jax.grad(loss, argnums=(0, 1)))


def jax_lstm(seed: int) -> tuple[Any, Found, Mapping[str, Any]]:
    """The LSTM in JAX, compiled, in its float32."""
    random = np.random.default_rng(seed)
    # few sizes, for each of which JAX compiles once
    inputs, hidden = (int(n) for n in random.choice([1, 3], 2))
    steps, batch = int(random.choice([1, 3, 30])), int(random.choice([1, 4]))
    scale = float(random.choice([0.3, 1, 4]))
    p = {f"W_{g}": scale * random.standard_normal((hidden, hidden + inputs)) for g in "fiCo"}
    p |= {f"b_{g}": random.standard_normal(hidden) for g in "fiCo"}
    xs = random.standard_normal((steps, batch, inputs))
    h_bar = random.standard_normal((steps, batch, hidden))
    found, x = _jax_gradient()({n: single(v) for n, v in p.items()}, single(xs), single(h_bar))
    return cells.lstm, {**found, "x": x}, {"p": p, "xs": xs, "h_bar": h_bar}
