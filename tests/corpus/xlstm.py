"""The cells and blocks of xLSTM (Beck et al. 2024): exponential gates, kept finite by a maximum."""

import numpy as np

import tinygrad_lstm as tg
from tinygrad_lstm import cell, maximum, sigmoid, softplus, sqrt, tanh


@cell(
    state="h c n m",
    parameters={
        "W_z W_i W_f W_o": "hidden, inputs",
        "R_z R_i R_f R_o": "hidden, hidden",
        "b_z b_i b_f b_o": "hidden",
    },
    start={"n": 1, "b_f": 1.0},
)
def slstm(now, prev, x, p):
    """sLSTM with its stabiliser m and n_0 = 1 (PyxLSTM #15, #27; x-lstm #4)."""
    now.z = tanh(p.W_z @ x + p.R_z @ prev.h + p.b_z)
    now.o = sigmoid(p.W_o @ x + p.R_o @ prev.h + p.b_o)
    i_tilde = p.W_i @ x + p.R_i @ prev.h + p.b_i
    log_f = -softplus(-(p.W_f @ x + p.R_f @ prev.h + p.b_f))
    now.m = maximum(log_f + prev.m, i_tilde)
    now.i = tg.exp(i_tilde - now.m)
    now.f = tg.exp(log_f + prev.m - now.m)
    now.c = now.f * prev.c + now.i * now.z
    now.n = now.f * prev.n + now.i
    now.h = now.o * (now.c / now.n)


def remember(now, prev, p, u):
    """One step of the matrix memory on a vector u: writes C, n and m, returns what q reads."""
    now.q = p.W_q @ u
    now.k = (p.W_k @ u) / np.sqrt(now.q.shape[-1])
    now.v = p.W_v @ u
    now.i_tilde = p.w_i @ u + p.b_i
    log_f = -softplus(-(p.w_f @ u + p.b_f))
    now.m = maximum(log_f + prev.m, now.i_tilde)
    i, f = tg.exp(now.i_tilde - now.m), tg.exp(log_f + prev.m - now.m)
    now.C = f * prev.C + i * tg.outer(now.v, now.k)
    now.n = f * prev.n + i * now.k
    return now.C @ now.q / maximum(tg.abs(now.n @ now.q), tg.exp(-now.m))


STATE = {"C": "width, width", "n": "width", "m": ""}


@cell(
    state=STATE,
    parameters={
        "W_q W_k W_v W_o": "width, inputs",
        "w_i w_f": "inputs",
        "b_o": "width",
        "b_i b_f": "",
    },
    start={"b_f": 3.0},
    output="h",
)
def mlstm(now, prev, x, p):
    """mLSTM: a matrix memory with a scalar gate each for what stays and what enters."""
    h_tilde = remember(now, prev, p, x)
    now.h = sigmoid(p.W_o @ x + p.b_o) * h_tilde


def layer_norm(v, gain):
    """Mean 0, variance 1, a gain, no bias."""
    v = v - v.mean(axis=-1, keepdims=True)
    return gain * v / sqrt(tg.mean(v * v, axis=-1, keepdims=True) + 1e-5)


@cell(
    state=STATE,
    parameters={
        "s": "inputs",
        "s_h": "width",
        "W_up": "width + width, inputs",
        "W_q W_k W_v": "width, width",
        "w_i w_f": "width",
        "b_i b_f": "",
        "W_down": "inputs, width",
    },
    start={"s s_h": 1, "b_f": 3.0},
    output="y",
)
def xlstm_block(now, prev, x, p):
    """The block around mLSTM: norm, up, memory, norm, a SiLU gate, down, residual."""
    u, z = tg.split(p.W_up @ layer_norm(x, p.s), 2)
    now.h = layer_norm(remember(now, prev, p, u), p.s_h)
    now.y = x + p.W_down @ (now.h * (z * sigmoid(z)))


@cell(
    state="h c",
    x="hidden",
    parameters={"s": "hidden", "W": "4 * hidden, 2 * hidden", "W_1 W_2 W_3": "hidden, hidden"},
    start={"s": 1},
    output="y",
)
def gelu_block(now, prev, x, p):
    """A post-up-projection block: a packed LSTM, then a gated GELU layer, and the residual."""
    z, i, f, o = tg.split(p.W @ tg.concat(layer_norm(x, p.s), prev.h), 4)
    now.c = sigmoid(f) * prev.c + sigmoid(i) * tanh(z)
    now.h = sigmoid(o) * tanh(now.c)
    up = p.W_1 @ now.h
    now.y = x + p.W_3 @ (up * (1 + tg.erf(up / np.sqrt(2.0))) / 2 * (p.W_2 @ now.h))


inputs = {"n": lambda random, shape: random.uniform(0.5, 2.0, shape)}
