"""The LSTM objective of ADBench, somebody else's workload: diagonal weights, no batch, float64.

Of each of `layers` layers with states h and C, from x = x_t ⊙ s_in on upward:

    f = σ(x ⊙ w_f + b_f)          i = σ(h_{t-1} ⊙ w_i + b_i)
    o = σ(x ⊙ w_o + b_o)          a = tanh(h_{t-1} ⊙ w_a + b_a)
    C = C_{t-1} ⊙ f + i ⊙ a       h = o ⊙ tanh(C)

    y = h ⊙ s_out + b_out         L = -Σ x_{t+1} ⊙ (y - log(2 + Σ exp(y)))

The objective is the mean of L over the steps, divided by the number of units; asked for are it and
its gradient by all weights, ADBench's main_params (2 layers, 4 units), a row of weights and one of
biases for each layer with f, i, o, a side by side, and extra_params s_in, s_out, b_out.

Šrajer, Kukelova and Fitzgibbon, A benchmark of selected algorithmic differentiation tools on some
problems in computer vision and machine learning (2018); the equations are those of its program.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tinygrad_lstm import Cell, cell, compiled, exp, log, sigmoid, tanh, unroll

GATES = ("f", "i", "o", "a")
Found = tuple[Callable[[], Any], Callable[[], dict[str, Any]]]


def diagonal(layers: int) -> Cell:
    """The step of the objective as a cell."""
    numbers = range(1, layers + 1)
    gates = " ".join(f"w_{g}{k} b_{g}{k}" for k in numbers for g in GATES)

    @cell(
        state=" ".join(f"h{k} C{k}" for k in numbers),
        parameters={gates: "hidden", "s_in s_out b_out": "hidden"},
        x="hidden",
        sequences={"target": "hidden"},
        output="y",
        loss="L",
    )
    def adbench(now: Any, prev: Any, x: Any, p: Any, target: Any) -> None:
        """The next row of a text, predicted by an LSTM with diagonal weights."""
        now.x_in = x * p.s_in
        below = now.x_in
        for k in numbers:
            h = prev[f"h{k}"]
            f = now[f"f{k}"] = sigmoid(below * p[f"w_f{k}"] + p[f"b_f{k}"])
            i = now[f"i{k}"] = sigmoid(h * p[f"w_i{k}"] + p[f"b_i{k}"])
            o = now[f"o{k}"] = sigmoid(below * p[f"w_o{k}"] + p[f"b_o{k}"])
            a = now[f"a{k}"] = tanh(h * p[f"w_a{k}"] + p[f"b_a{k}"])
            C = now[f"C{k}"] = prev[f"C{k}"] * f + i * a
            below = now[f"h{k}"] = o * tanh(C)
        now.y = below * p.s_out + p.b_out
        now.L = ((log(2.0 + exp(now.y).sum()) - now.y) * target).sum()

    return adbench


@dataclass(frozen=True)
class Objective:
    """The objective on numbers drawn from a fixed seed: a text of `length` rows of `hidden`."""

    layers: int = 2
    length: int = 1024
    hidden: int = 14
    threads: int = 1
    dtype: str = "float64"

    def __str__(self) -> str:
        return f"ADBench's LSTM, {self.layers} layers, {self.length} rows of {self.hidden}, float64"

    @cached_property
    def arrays(self) -> dict[str, Any]:
        """main_params, extra_params, state (2 layers, units), and the text."""
        random = np.random.default_rng(20)
        shapes = {"main": (2 * self.layers, 4 * self.hidden), "extra": (3, self.hidden)}
        found = {name: random.uniform(-1.0, 1.0, shape) for name, shape in shapes.items()}
        found["state"] = random.uniform(-1.0, 1.0, (2 * self.layers, self.hidden))
        found["text"] = random.integers(0, 2, (self.length, self.hidden)).astype(float)
        return found

    def draw(self) -> None:
        """Draw everything."""
        _ = self.arrays

    @property
    def scale(self) -> float:
        """What the objective is divided by."""
        return float((self.length - 1) * self.hidden)

    def contenders(self) -> list[str]:
        """Those that can compute it."""
        return ["c", "numpy", "interpreter", "PyTorch eager", "JAX", "autograd"]

    def prepare(self, name: str) -> Found:
        """A function to be timed, and one that returns objective and gradients of its last call."""
        makers = {"PyTorch eager": by_torch, "JAX": by_jax, "autograd": by_autograd}
        return makers[name](self) if name in makers else ours(self, name)


def named(main: Any, extra: Any, layers: int) -> dict[str, Any]:
    """ADBench's arrays under the cell's names."""
    found = dict(zip(("s_in", "s_out", "b_out"), extra, strict=True))
    for k in range(layers):
        for kind, row in zip("wb", main[2 * k : 2 * k + 2], strict=True):
            parts = np.split(row, len(GATES))
            found |= {f"{kind}_{g}{k + 1}": part for g, part in zip(GATES, parts, strict=True)}
    return found


def joined(gradients: Any, layers: int) -> dict[str, Any]:
    """And back."""
    rows = [
        np.concatenate([gradients[f"{kind}_{g}{k}"] for g in GATES])
        for k in range(1, layers + 1)
        for kind in "wb"
    ]
    extra = [gradients[name] for name in ("s_in", "s_out", "b_out")]
    return {"main": np.stack(rows), "extra": np.stack(extra)}


# --- ours -----------------------------------------------------------------------------------------
def ours(q: Objective, code: str) -> Found:
    """As a user computes it: unroll, the loss, backward."""
    plain = diagonal(q.layers)
    fast = plain if code == "interpreter" else compiled(plain, code)
    a, last = q.arrays, dict[str, Any]()
    p = plain.bind(named(a["main"], a["extra"], q.layers))
    initial = {}
    for k in range(q.layers):
        initial |= {f"h{k + 1}": a["state"][2 * k], f"C{k + 1}": a["state"][2 * k + 1]}
    xs, target = a["text"][:-1], a["text"][1:]

    def run() -> None:
        loss = unroll(fast, p, xs, initial, target=target).loss / q.scale
        loss.backward()
        last["loss"] = loss.numpy()

    def results() -> dict[str, Any]:
        gradients = {name: t.grad.numpy() for name, t in p.items() if t.grad is not None}
        return {"loss": last["loss"], **joined(gradients, q.layers)}

    return run, results


# --- the others -----------------------------------------------------------------------------------
def _step(xp: Any, sigma: Any, main: Any, extra: Any, state: Any, x: Any) -> tuple[Any, Any]:
    """One step in anybody's operations: states (2 layers, units) as a list, and y."""
    units, new = x.shape[-1], []
    below = x * extra[0]
    for k in range(len(state) // 2):
        h, C = state[2 * k], state[2 * k + 1]
        gates = xp.concatenate((below, h, below, h)) * main[2 * k] + main[2 * k + 1]
        f, i, o = (sigma(gates[n * units : (n + 1) * units]) for n in range(3))
        C = C * f + i * xp.tanh(gates[3 * units :])
        below = o * xp.tanh(C)
        new += [below, C]
    return new, below * extra[1] + extra[2]


def _loss(xp: Any, sigma: Any, q: Objective, main: Any, extra: Any, state: Any, text: Any) -> Any:
    """The objective, step by step."""
    total, states = 0.0, [*state]
    for t in range(q.length - 1):
        states, y = _step(xp, sigma, main, extra, states, text[t])
        total = total - (text[t + 1] * (y - xp.log(xp.sum(xp.exp(y)) + 2.0))).sum()
    return total / q.scale


def by_torch(q: Objective) -> Found:
    """PyTorch, operation by operation."""
    torch = _module("torch")
    torch.set_num_threads(q.threads)
    a = {name: torch.from_numpy(array) for name, array in q.arrays.items()}
    leaves = {name: a[name].clone().requires_grad_() for name in ("main", "extra")}
    last: dict[str, Any] = {}

    def run() -> None:
        for leaf in leaves.values():
            leaf.grad = None
        loss = _loss(torch, torch.sigmoid, q, **leaves, state=a["state"], text=a["text"])
        loss.backward()
        last["loss"] = loss.detach().numpy()

    return run, lambda: {**last, **{name: leaf.grad.numpy() for name, leaf in leaves.items()}}


def by_jax(q: Objective) -> Found:
    """JAX: a scan, compiled whole."""
    jax = _module("jax")
    jax.config.update("jax_enable_x64", True)
    jnp, a = jax.numpy, {name: jax.numpy.asarray(array) for name, array in q.arrays.items()}

    def loss(main: Any, extra: Any) -> Any:
        def step(states: Any, pair: Any) -> tuple[Any, Any]:
            x, target = pair
            new, y = _step(jnp, jax.nn.sigmoid, main, extra, states, x)
            return new, -(target * (y - jnp.log(jnp.exp(y).sum() + 2.0))).sum()

        _, losses = jax.lax.scan(step, [*a["state"]], (a["text"][:-1], a["text"][1:]))
        return losses.sum() / q.scale

    both, last = jax.jit(jax.value_and_grad(loss, (0, 1))), dict[str, Any]()

    def run() -> None:
        last["loss"], last["gradients"] = jax.block_until_ready(both(a["main"], a["extra"]))

    def results() -> dict[str, Any]:
        return {
            "loss": last["loss"],
            **dict(zip(("main", "extra"), last["gradients"], strict=True)),
        }

    return run, results


def by_autograd(q: Objective) -> Found:
    """Autograd, on NumPy."""
    autograd, anp = _module("autograd"), _module("autograd.numpy")
    a, last = q.arrays, dict[str, Any]()

    def sigma(x: Any) -> Any:
        return 0.5 * (1.0 + anp.tanh(0.5 * x))

    def loss(parameters: Any) -> Any:
        return _loss(anp, sigma, q, *parameters, state=a["state"], text=a["text"])

    both = autograd.value_and_grad(loss)

    def run() -> None:
        last["loss"], (last["main"], last["extra"]) = both((a["main"], a["extra"]))

    return run, lambda: dict(last)


def _module(name: str) -> Any:
    import importlib

    from speeds.contenders import Absent

    try:
        return importlib.import_module(name)
    except ImportError:
        raise Absent(f"{name} is not installed: pip install 'tinygrad-lstm[peers]'") from None
