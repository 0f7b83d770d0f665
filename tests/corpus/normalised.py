"""LSTMs and a GRU whose sums are normalised at every step."""

from tinygrad_lstm import cell, concat, log1p, matvec, mean, sigmoid, sign, split, sqrt, tanh, var


def normalise(v, gain, bias=0.0, eps=1e-5):
    """Layer normalisation: mean 0 and variance 1 over the units, then a gain and a bias."""
    centred = v - mean(v, axis=-1, keepdims=True)
    deviation = sqrt(mean(centred * centred, axis=-1, keepdims=True) + eps)
    return gain * centred / deviation + bias


@cell(
    state="h C",
    parameters={
        "W_f W_i W_g W_o": "hidden, hidden + inputs",
        "s_f s_i s_g s_o s_C": "hidden",
        "b_f b_i b_g b_o b_C": "hidden",
    },
    start={"s_f s_i s_g s_o s_C": 1, "b_f": 1.0},
)
def layernorm_lstm(now, prev, x, p):
    """LSTM with a layer normalisation a gate and one of the cell state (Ba et al. 2016).

    The form with one gain a gate that TensorFlow's contrib had. Asked for in pytorch #6760.
    """
    hx = concat(prev.h, x)
    now.f = sigmoid(normalise(matvec(p.W_f, hx), p.s_f, p.b_f))
    now.i = sigmoid(normalise(matvec(p.W_i, hx), p.s_i, p.b_i))
    now.g = tanh(normalise(matvec(p.W_g, hx), p.s_g, p.b_g))
    now.o = sigmoid(normalise(matvec(p.W_o, hx), p.s_o, p.b_o))
    now.C = now.f * prev.C + now.i * now.g
    now.h = now.o * tanh(normalise(now.C, p.s_C, p.b_C))


def standardise(v, eps=1e-5):
    """The same without gain and bias, by the variance."""
    return (v - mean(v, axis=-1, keepdims=True)) / sqrt(var(v, axis=-1, keepdims=True) + eps)


@cell(
    state="h c",
    parameters={
        "W_ih": "4 * hidden, inputs",
        "W_hh": "4 * hidden, hidden",
        "gain_ih bias_ih gain_hh bias_hh": "4 * hidden",
        "gain_c bias_c": "hidden",
    },
    start={"gain_ih gain_hh gain_c": 1.0},
)
def layernorm_lstm_packed(now, prev, x, p):
    """The same as equations 20 to 22 of Ba et al. (2016): one norm over the four gates together.

    As in the custom LSTMs of pytorch #25135, whose norms of W·x and U·h are separate.
    """
    n = prev.h.shape[-1]
    gates = p.gain_ih * standardise(p.W_ih @ x) + p.bias_ih
    now.gates = gates + p.gain_hh * standardise(p.W_hh @ prev.h) + p.bias_hh
    now.c = sigmoid(now.gates[n : 2 * n]) * prev.c + sigmoid(now.gates[:n]) * tanh(
        now.gates[2 * n : 3 * n]
    )
    now.h = sigmoid(now.gates[3 * n :]) * tanh(p.gain_c * standardise(now.c) + p.bias_c)


@cell(
    state="h",
    parameters={"W": "3 * hidden, inputs + hidden", "gain shift": "3 * hidden"},
    start={"gain": 1},
)
def dreamer_gru(now, prev, x, p):
    """The GRU of the Dreamer agents (Hafner et al. 2021), on the symlog of its input (2023).

    One normalised product, the reset after it, and an update gate that starts nearly closed, as
    in danijar/dreamerv2.
    """
    now.x_log = sign(x) * log1p(abs(x))
    parts = normalise(p.W @ concat(now.x_log, prev.h), p.gain, p.shift, eps=1e-3)
    reset, candidate, update = split(parts, 3)
    now.cand = tanh(sigmoid(reset) * candidate)
    now.update = sigmoid(update - 1)
    now.h = now.update * now.cand + (1 - now.update) * prev.h
