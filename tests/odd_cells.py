"""Cells that use what the built-in ones do not: one row of a table for each way of being odd."""

from __future__ import annotations

import numpy as np

from tinygrad_lstm import (
    cell,
    clip,
    concat,
    exp,
    matvec,
    maximum,
    mean,
    outer,
    sigmoid,
    softmax,
    softplus,
    sqrt,
    sum,
    tanh,
    vecdot,
    where,
)
from tinygrad_lstm.step import Cell

# mypy: disallow-untyped-defs=False
W_h = {"W": "hidden, inputs", "U": "hidden, hidden"}


@cell(state="h", parameters={**W_h, "w": "inputs", "c": ""})
def scalar_gate(now, prev, x, p):
    """A gate that is one number."""
    now.g = sigmoid(vecdot(p.w, x) + p.c)
    now.h = now.g * prev.h + (1 - now.g) * tanh(matvec(p.W, x) + matvec(p.U, prev.h))


@cell(state="h", parameters={"W": "hidden, inputs", "a b": "hidden"})
def of_parameters_alone(now, prev, x, p):
    """Values that no input reaches."""
    now.decay = exp(-exp(p.a))
    now.twice = 2 * now.decay
    now.h = now.decay * prev.h + (1 - sigmoid(p.b)) * matvec(p.W, x)


@cell(state="h", parameters={**W_h, "s b": "hidden"})
def layer_norm(now, prev, x, p):
    """An unnamed sum of products under two reductions."""
    a = matvec(p.W, x) + matvec(p.U, prev.h)
    d = a - mean(a, axis=-1, keepdims=True)
    now.h = tanh((1 + p.s) * d / sqrt(mean(d * d, axis=-1, keepdims=True) + 1e-3) + p.b)


@cell(state="h", parameters={**W_h, "s": "hidden"})
def named_norm(now, prev, x, p):
    """The same with names for mean, gap and scale."""
    now.a = matvec(p.W, x) + matvec(p.U, prev.h)
    now.m = mean(now.a, axis=-1, keepdims=True)
    now.d = now.a - now.m
    now.s = sqrt(mean(now.d * now.d, axis=-1, keepdims=True) + 1e-3)
    now.h = tanh(p.s * now.d / now.s)


@cell(state="h c", parameters={"W": "4 * hidden, inputs", "U": "4 * hidden, hidden"})
def packed_gates(now, prev, x, p):
    """Four gates in one product, taken apart by slices."""
    now.gates = matvec(p.W, x) + matvec(p.U, prev.h)
    n = prev.h.shape[-1]
    i, f, o = (sigmoid(now.gates[..., k * n : (k + 1) * n]) for k in range(3))
    now.c = f * prev.c + i * tanh(now.gates[..., 3 * n :])
    now.h = o * tanh(now.c)


@cell(state="h", parameters={"W": "2 * hidden, inputs", "U": "hidden, hidden"})
def reshaped(now, prev, x, p):
    """Rows of an unnamed product."""
    z = matvec(p.W, x).reshape(2, -1)
    now.h = tanh(z[0] + matvec(p.U, prev.h)) * sigmoid(z[1] - matvec(p.U, prev.h)[::-1])


@cell(
    state="s",
    parameters={"W": "keys, hidden", "V": "hidden, keys"},
    x="hidden",
    constants={"memory": "slots, keys"},
)
def attention(now, prev, x, p, memory):
    """A soft look into a memory."""
    now.q = matvec(p.W, prev.s + x)
    now.alpha = softmax(matvec(memory, now.q) / np.sqrt(3.0))
    now.r = sum(now.alpha[:, None] * memory, axis=-2)
    now.s = tanh(matvec(p.V, now.r))


@cell(
    state={"M": "keys, values", "n": "keys"},
    parameters={"W_k W_q": "keys, inputs", "W_v": "values, inputs", "f": ""},
)
def outer_product(now, prev, x, p):
    """A memory of outer products with a normaliser, read through a maximum."""
    now.k, now.v, now.q = matvec(p.W_k, x), matvec(p.W_v, x), matvec(p.W_q, x)
    now.M = sigmoid(p.f) * prev.M + outer(now.k, now.v)
    now.n = sigmoid(p.f) * prev.n + now.k
    now.y = matvec(now.M.T, now.q) / maximum(abs(vecdot(now.n, now.q)), 1.0)


@cell(state="h", parameters=W_h)
def kinked(now, prev, x, p):
    """where, clip and maximum."""
    a = matvec(p.W, x) + matvec(p.U, prev.h)
    now.g = where(a > 0.0, a + 0.5, sigmoid(a))
    now.h = clip(now.g, None, 1.5) - maximum(clip(prev.h, -0.5, 0.5), 0.1 * a) + 0.1 * a.max()


@cell(state="x h", parameters={"W": "hidden, hidden", "U": "hidden, inputs"})
def state_called_x(now, prev, x, p):
    """An echo-state network: x is the state, and the input too."""
    now.x = tanh(matvec(p.W, prev.x) + matvec(p.U, x))
    now.h = 0.5 * prev.h + now.x * prev.x


@cell(
    state="add step",
    parameters={
        "delta": "hidden, hidden",
        "seed": "hidden, inputs",
        "bar": "hidden",
        "pre": "hidden",
        "input": "hidden",
    },
    start={"pre": 1},
)
def names_of_namespaces(now, prev, x, p):
    """What the notation itself uses, as names of the cell's own."""
    now.b = sigmoid(matvec(p.delta, prev.add) + matvec(p.seed, x) + p.bar)
    now.tanh = tanh(matvec(p.delta, prev.step) + p.pre)
    now.values = now.b * now.tanh + p.input
    now.add, now.step = now.values * prev.step, now.tanh - 0.5 * prev.add


@cell(
    state="L a",
    parameters={
        "T": "hidden, hidden",
        "x_": "hidden",
        "lambda_ Lambda": "hidden",
        "alpha α": "hidden",
    },
    start={"x_ lambda_ alpha": 1},
)
def look_alikes(now, prev, x, p):
    """Names that would be printed like others, or like the loss."""
    now.count = tanh(matvec(p.T, prev.L) + p.x_ * p.alpha * x.sum())
    now.a = now.count * p.lambda_ + p.Lambda * prev.a - p.α
    now.L = prev.L * now.count - 0.5 * now.a * prev.a


@cell(state="게이트", parameters={"σ": "hidden, inputs", "뮤": "hidden"})
def letters_of_the_world(now, prev, x, p):
    """Identifiers beyond ASCII."""
    now.ŷ = sigmoid(matvec(p.σ, x) + p.뮤 * prev.게이트)
    now.게이트 = now.ŷ * prev.게이트 + (1 - now.ŷ) * tanh(p.뮤)


@cell(state="h", parameters={**W_h, "C": "outputs, hidden", "log_s": "outputs"})
def output_no_state(now, prev, x, p):
    """A read-out and a loss of its own that no state reads."""
    now.h = tanh(matvec(p.W, x) + matvec(p.U, prev.h))
    now.y = matvec(p.C, now.h)
    now.nll = (0.5 * now.y * now.y * exp(-2 * p.log_s) + p.log_s).sum()


@cell(state="s", parameters={"W_h W_t": "hidden, inputs", "R_h R_t": "hidden, hidden"})
def highway(now, prev, x, p):
    """A loop that uses its value again and again: recurrent highways of depth two."""
    s = prev.s
    for k in range(2):
        first = (matvec(p.W_h, x), matvec(p.W_t, x)) if k == 0 else (0, 0)
        t = sigmoid(first[1] + matvec(p.R_t, s))
        s = tanh(first[0] + matvec(p.R_h, s)) * t + s * (1 - t)
    now.s = s


@cell(state="s", parameters={"R_h R_t": "hidden, hidden"}, x="hidden")
def deep_highway(now, prev, x, p):
    """The same six deep: written out it would be thousands of operations."""
    s = prev.s + x
    for _ in range(6):
        t = sigmoid(matvec(p.R_t, s))
        s = tanh(matvec(p.R_h, s)) * t + s * (1 - t)
    now.s = s


@cell(state="h", x="hidden")
def long_chain(now, prev, x, p):
    """Sixty operations inside each other."""
    value = prev.h + x
    for _ in range(60):
        value = tanh(value)
    now.h = value


@cell(state="h", parameters={**W_h, "theta": "hidden"})
def spiking(now, prev, x, p):
    """A threshold with a surrogate gradient, by detach."""
    v = matvec(p.W, x) + matvec(p.U, prev.h).detach()
    s = sigmoid(4 * (v - p.theta))
    now.spike = s + ((v > p.theta) - s).detach()
    now.h = 0.9 * prev.h * (1 - now.spike.detach()) + now.spike


@cell(state="h", parameters={"W": "hidden, hidden", "V": "hidden, inputs"})
def antisymmetric(now, prev, x, p):
    """Constants: a unit matrix, a vector, zeros and ones of a loop."""
    n = prev.h.shape[-1]
    a = matvec(p.W - p.W.T - 0.01 * np.eye(n), prev.h)
    now.h = 0 + prev.h + 1 * (0.1 * tanh(a + matvec(p.V, x) * np.linspace(0.5, 1.0, n)) + 0)


@cell(state="y z", parameters={"w": "hidden", "V": "hidden, inputs"})
def oscillator(now, prev, x, p):
    """Factors of one, squares and quotients of squares."""
    now.z = prev.z + 0.1 * (tanh(p.w * prev.y + matvec(p.V, x)) - 1.0 * prev.y - 1.0 * prev.z)
    now.y = prev.y + 0.1 * now.z


@cell(
    state="h",
    parameters={"M S N R": "latent, inputs", "V": "hidden, latent"},
    sequences={"eps": "latent"},
)
def gaussian(now, prev, x, p, eps):
    """A sample, and the divergence of two normal distributions, which no state reads."""
    now.mu, now.mu_z = matvec(p.M, x), matvec(p.N, x)
    now.lsigma2, now.sigma_z = softplus(matvec(p.S, x)) + 0.1, softplus(matvec(p.R, x)) + 0.1
    now.z = now.mu + now.lsigma2 * eps
    now.KL = (0.5 * ((now.mu - now.mu_z) ** 2 / now.sigma_z**2)).sum()
    now.density_r = exp(-((now.z - now.mu) ** 2) / (2 * now.lsigma2**2))
    now.h = tanh(matvec(p.V, now.z)) + 0.5 * prev.h


@cell(state="h", parameters={"W": "hidden, hidden + inputs"})
def same_inside_twice(now, prev, x, p):
    """One matrix product inside three functions, and by itself."""
    a = matvec(p.W, concat(prev.h, x))
    now.h = tanh(a) * sigmoid(a) + tanh(a + prev.h) - 0.1 * a


@cell(state={"h": "hidden", "k": ""}, parameters={"w": "hidden", "c": ""}, x="")
def scalars(now, prev, x, p):
    """Numbers where others have vectors: the input, a state, a parameter."""
    now.k = prev.k * p.c + x
    now.h = tanh(p.w * now.k + prev.h * x) + p.c


@cell(state="h", sequences={"gate": "hidden"}, x="hidden")
def gate_of_two_kinds(now, prev, x, p, gate):
    """An equation with the name of a further input; no parameters."""
    now.gate = sigmoid(gate + prev.h)
    now.h = now.gate * x + (1 - now.gate) * prev.h * gate


@cell(
    state={"h": "rows, columns"}, parameters={"A": "rows, rows", "B": "columns"}, x="rows, columns"
)
def matrix_state(now, prev, x, p):
    """A matrix as state and input; reductions over both of its axes."""
    m = mean(prev.h, axis=0, keepdims=True) + sum(x, axis=-1, keepdims=True)
    now.h = tanh(p.A @ x + m) * p.B + prev.h.mean()


@cell(state="h", parameters={"U": "hidden, hidden"}, x="hidden")
def second_unit(now, prev, x, p):
    """Made for at least two units: there is no step of one unit."""
    now.h = tanh(matvec(p.U, prev.h) + x) * prev.h[1]


CELLS: dict[str, Cell] = {name: c for name, c in vars().items() if isinstance(c, Cell)}
