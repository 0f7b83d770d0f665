"""Recurrent regularisers: what is dropped comes in as masks, so a step stays deterministic."""

from tinygrad_lstm import cell, concat, matvec, sigmoid, tanh

WEIGHTS = {"W_i W_f W_o W_g": "hidden, hidden + inputs", "b_i b_f b_o b_g": "hidden"}


def gates(p, hx):
    """The four gates of an LSTM on [h, x]."""
    yield sigmoid(matvec(p.W_i, hx) + p.b_i)
    yield sigmoid(matvec(p.W_f, hx) + p.b_f)
    yield sigmoid(matvec(p.W_o, hx) + p.b_o)
    yield tanh(matvec(p.W_g, hx) + p.b_g)


@cell(state="h c", parameters=WEIGHTS, sequences={"keep_h keep_c": "hidden"}, start={"b_f": 1})
def zoneout_lstm(now, prev, x, p, keep_h, keep_c):
    """Zoneout (Krueger et al. 2017): where a mask is 1, a unit keeps its value; haste #29."""
    now.i, now.f, now.o, now.g = gates(p, concat(prev.h, x))
    c = now.f * prev.c + now.i * now.g
    now.c = keep_c * prev.c + (1 - keep_c) * c
    now.h = keep_h * prev.h + (1 - keep_h) * (now.o * tanh(c))


@cell(state="h c", parameters=WEIGHTS, constants={"z_x": "inputs", "z_h": "hidden"})
def variational_lstm(now, prev, x, p, z_x, z_h):
    """Variational dropout (Gal & Ghahramani 2016): the same masks at all steps; pytorch #37731."""
    now.i, now.f, now.o, now.g = gates(p, concat(prev.h * z_h, x * z_x))
    now.c = now.f * prev.c + now.i * now.g
    now.h = now.o * tanh(now.c)


@cell(state="h c", parameters=WEIGHTS, sequences={"drop": "hidden"})
def recurrent_dropout_lstm(now, prev, x, p, drop):
    """Recurrent dropout without memory loss (Semeniuta et al. 2016): on what enters alone."""
    now.i, now.f, now.o, now.g = gates(p, concat(prev.h, x))
    now.c = now.f * prev.c + now.i * (now.g * drop)
    now.h = now.o * tanh(now.c)


def coins(random, shape):
    """Zeros and ones."""
    return random.integers(0, 2, shape).astype(float)


inputs = {"keep_h": coins, "keep_c": coins, "drop": coins}
inputs |= {name: lambda random, shape: 2 * coins(random, shape) for name in ("z_x", "z_h")}
