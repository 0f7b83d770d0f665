"""Neurons that spike, and quantised states: steps with a derivative of one's own."""

import numpy as np

from tinygrad_lstm import abs, cell, clip, exp, floor, sigmoid, tanh, with_gradient


def spike(v):
    """A step, in whose place stands the derivative of a fast sigmoid (Zenke & Ganguli 2018)."""
    return v > 0


def rounded(v):
    """To the next eighth, with the derivative of a straight line (Bengio et al. 2013)."""
    return floor(8 * v + 0.5) / 8


fire = with_gradient(spike, lambda g, y, v: g / (1 + 10 * abs(v)) ** 2)
eighths = with_gradient(rounded, lambda g, y, v: g)


@cell(
    state="mem spk",
    parameters={"W": "hidden, inputs", "beta": "hidden", "threshold": ""},
    start={"beta": 0.9, "threshold": 1.0},
    output="spk",
)
def leaky(now, prev, x, p):
    """Leaky integrate-and-fire with reset by subtraction; snntorch #140, #341, #427."""
    now.mem = clip(p.beta, 0.0, 1.0) * prev.mem + p.W @ x - prev.spk * p.threshold
    now.spk = fire(now.mem - p.threshold)


@cell(
    state="u a z",
    parameters={"W": "hidden, inputs", "V": "hidden, hidden", "ρ α": "hidden"},
    start={"ρ": 2.0, "α": 2.0},
    output="z",
)
def adaptive_lif(now, prev, x, p, v_th=0.5, strength=1.7):
    """Recurrent neurons whose threshold rises with each spike (Bellec et al. 2018)."""
    decay = exp(-np.exp(p.α))
    now.a = sigmoid(p.ρ) * prev.a + (1 - sigmoid(p.ρ)) * prev.z
    now.A = v_th + strength * now.a
    now.u = decay * prev.u + (1 - decay) * (p.W @ x + p.V @ prev.z) - prev.z * now.A
    now.z = fire((now.u - now.A) / v_th)


@cell(state="h", parameters={"W_z W": "hidden, inputs", "U_z U": "hidden, hidden"})
def quantised_gru(now, prev, x, p):
    """A gated cell whose state has eight levels a unit, straight through in the gradient.

    After Hubara et al. (2016), without the reset.
    """
    now.z = sigmoid(p.W_z @ x + p.U_z @ prev.h)
    now.h_tilde = eighths(tanh(p.W @ x + p.U @ prev.h))
    now.h = eighths(now.z * prev.h + (1 - now.z) * now.h_tilde)
