"""Habits of code that people post: NumPy's functions, fixed matrices, sizes made of others."""

import numpy as np

from tinygrad_lstm import cell, concat, einsum, exp, split, tanh


@cell(state="h c", parameters={"W": "hidden + inputs, 4 * hidden", "b": "4 * hidden"})
def numpy_lstm(now, prev, x, p):
    """An LSTM (Hochreiter and Schmidhuber 1997) as in NumPy scripts: row vectors, 1/(1 + e^-z)."""
    z = np.concatenate([prev.h, x]).dot(p.W) + p.b
    i, f, o, g = split(z, 4)
    now.i, now.f, now.o = (1 / (1 + np.exp(-v)) for v in (i, f, o))
    now.c = np.multiply(now.f, prev.c) + now.i * np.tanh(g)
    now.h = now.o * np.tanh(now.c)


@cell(state="h", parameters={"T": "hidden, inputs, hidden", "b": "hidden"})
def bilinear(now, prev, x, p):
    """A second-order network (Giles et al. 1990): every unit a bilinear form of input and state."""
    now.mixed = einsum("kij,j->ki", p.T, prev.h)
    now.h = tanh(einsum("ki,i->k", now.mixed, x) + p.b)


@cell(state={"A": "rows, columns"}, x="columns", parameters={"W": "rows, columns"}, output="top")
def largest(now, prev, x, p):
    """Max-pooling (Ranzato et al. 2007) along an axis and over both, of a map that is a state."""
    now.top = prev.A.max(axis=-1)
    now.most = np.max(prev.A)
    now.A = tanh(p.W * x - prev.A) * now.most + now.top[:, None]


@cell(state="h", parameters={"W": "hidden, inputs", "A": "hidden, hidden"})
def shifted(now, prev, x, p):
    """A delay line (Jaeger 2002, short-term memory) beside a nearly orthogonal mixing."""
    n = len(prev.h)
    decay = np.exp(-np.arange(n) / n)
    now.R = (np.eye(n) - 0.1 * p.A) @ (np.eye(n) + 0.1 * p.A.T)
    now.h = now.R @ (decay * prev.h) + np.eye(n, k=1) @ tanh(p.W @ x) + np.ones(n) / n


@cell(
    state="h",
    parameters={"W": "hidden, taps", "K": "taps, inputs"},
    sizes={"hidden": "2 * half", "taps": "half + 1", "half": "at least 2"},
)
def halves(now, prev, x, p, size):
    """Pairs of units turned by a quarter (rotary, Su et al. 2021): all sizes come from one."""
    now.turned = concat(-prev.h[size.half :], prev.h[: size.half]) / np.sqrt(size.half)
    now.h = tanh(p.W @ (p.K @ x) / size.taps + now.turned)


@cell(
    state={"h": "hidden", "clock": ""},
    parameters={"W": "hidden, inputs", "tau": "hidden"},
    start={"tau": 2.0},
)
def clocked(now, prev, x, p):
    """Open for half of every four steps (clockwork, Koutnik et al. 2014), else a slow decay."""
    now.clock = prev.clock + 1
    now.phase = np.mod(now.clock, 4.0) / 4
    now.open = (now.phase < 0.5) * 1.0
    now.h = now.open * tanh(p.W @ x) + (1 - now.open) * prev.h * exp(-1 / p.tau)


def positive(random, shape):
    """Time constants are positive."""
    return random.uniform(1.0, 3.0, shape)


inputs = {"tau": positive, "clock": lambda random, shape: random.uniform(0.1, 0.4, shape)}
