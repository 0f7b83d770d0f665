"""LSTMs and a GRU as PyTorch and NumPy users post them: gates packed into one product."""

import numpy as np

from tinygrad_lstm import cell, sigmoid, split, tanh


@cell(
    state="h c",
    parameters={
        "weight_ih": "4 * hidden, inputs",
        "weight_hh": "4 * hidden, hidden",
        "bias_ih bias_hh": "4 * hidden",
    },
)
def packed_lstm(now, prev, x, p):
    """LSTM as PyTorch packs it, gates cut out of one sum (Gers et al. 2000; pytorch #25135)."""
    n = prev.h.shape[-1]
    now.gates = p.weight_ih @ x + p.bias_ih + p.weight_hh @ prev.h + p.bias_hh
    now.i = sigmoid(now.gates[..., :n])
    now.f = sigmoid(now.gates[..., n : 2 * n])
    now.g = tanh(now.gates[..., 2 * n : 3 * n])
    now.o = sigmoid(now.gates[..., 3 * n :])
    now.c = now.f * prev.c + now.i * now.g
    now.h = now.o * tanh(now.c)


@cell(
    state={"h": "proj", "c": "hidden"},
    parameters={
        "weight_ih": "4 * hidden, inputs",
        "weight_hh": "4 * hidden, proj",
        "weight_hr": "proj, hidden",
        "bias": "4 * hidden",
    },
)
def projected_lstm(now, prev, x, p):
    """LSTM with a projection of its output (Sak et al. 2014; pytorch #20060, `proj_size`)."""
    i, f, g, o = split(p.weight_ih @ x + p.weight_hh @ prev.h + p.bias, 4)
    now.c = sigmoid(f) * prev.c + sigmoid(i) * tanh(g)
    now.h = p.weight_hr @ (sigmoid(o) * tanh(now.c))


@cell(
    state="h",
    parameters={
        "W_ih": "3 * hidden, inputs",
        "W_hh": "3 * hidden, hidden",
        "b_ih b_hh": "3 * hidden",
    },
)
def chunked_gru(now, prev, x, p):
    """GRU of PyTorch with chunks (Cho et al. 2014); pytorch #54952 asks where b_hn stands."""
    r_x, z_x, n_x = np.split(p.W_ih @ x + p.b_ih, 3)
    r_h, z_h, n_h = np.split(p.W_hh @ prev.h + p.b_hh, 3)
    now.r = sigmoid(r_x + r_h)
    now.z = sigmoid(z_x + z_h)
    now.n = tanh(n_x + now.r * n_h)
    now.h = (1 - now.z) * now.n + now.z * prev.h


@cell(
    state="h",
    parameters={
        "W_r W_z W_n": "hidden, inputs",
        "U_r U_z U_n": "hidden, hidden",
        "b_r b_z b_n b_hidden": "hidden",
    },
)
def gru_hidden_bias(now, prev, x, p):
    """The same in the open, with the bias of the recurrent product inside the reset."""
    now.r = sigmoid(p.W_r @ x + p.U_r @ prev.h + p.b_r)
    now.z = sigmoid(p.W_z @ x + p.U_z @ prev.h + p.b_z)
    now.n = tanh(p.W_n @ x + p.b_n + now.r * (p.U_n @ prev.h + p.b_hidden))
    now.h = now.z * prev.h + (1 - now.z) * now.n


def logistic(a):
    """σ as it is typed into a first network."""
    return 1 / (1 + np.exp(-a))


@cell(
    state="h C",
    parameters={
        "Wf Wi Wc Wo": "hidden, hidden + inputs",
        "bf bi bc bo": "hidden",
        "Wy": "classes, hidden",
        "by": "classes",
    },
    output="y",
)
def numpy_lstm(now, prev, x, p):
    """LSTM in NumPy's words, with a softmax read-out (LSTM_RNN_Tutorials_with_Demo #2)."""
    z = np.concatenate((prev.h, x))
    now.f = logistic(np.dot(p.Wf, z) + p.bf)
    now.i = logistic(np.dot(p.Wi, z) + p.bi)
    now.C_bar = np.tanh(np.dot(p.Wc, z) + p.bc)
    now.C = now.f * prev.C + now.i * now.C_bar
    now.o = logistic(np.dot(p.Wo, z) + p.bo)
    now.h = now.o * np.tanh(now.C)
    now.v = np.dot(p.Wy, now.h) + p.by
    e = np.exp(now.v - np.max(now.v))
    now.y = e / np.sum(e)
