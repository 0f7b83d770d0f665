"""Cells with parts: an encoder and a decoder of LSTMs, a layer used twice; and with densities."""

from generative import perceptron

from tinygrad_lstm import (
    cell,
    cells,
    concat,
    kl_normal,
    layer,
    log_categorical,
    log_normal,
    matvec,
    sigmoid,
    tanh,
)


@cell(
    state={"c": "width"},
    x="latent",
    parts={"enc": cells.lstm.sized(hidden="enc"), "dec": cells.lstm.sized(hidden="dec")},
    parameters={"W": "width, dec"},
)
def canvas(now, prev, x, p, part):
    """Two LSTMs that carry their own states, and a canvas between steps."""
    now.r = concat(prev.c, prev.dec.h)
    now.seen = part.enc(now.r)
    now.drawn = part.dec(concat(now.seen, x))
    now.c = prev.c + matvec(p.W, now.drawn)


@layer(x="inputs", parts={"inner": perceptron.sized(outputs="inputs")})
def residual(now, x, p, part):
    """x and what a layer makes of it."""
    now.y = x + part.inner(x)


@cell(state="h", parts={"block": residual}, parameters={"U": "hidden, inputs"})
def twice(now, prev, x, p, part):
    """A layer with a layer inside, called twice with the same weights."""
    now.a = part.block(sigmoid(matvec(p.U, x) + prev.h))
    now.h = tanh(part.block(now.a))


@cell(state="h", parameters={"W": "hidden, hidden + inputs", "V": "inputs, hidden"}, loss="L")
def likely(now, prev, x, p):
    """Densities of what was read, and a mean of one sample under another."""
    now.h = tanh(matvec(p.W, concat(prev.h, x)))
    now.y = matvec(p.V, now.h)
    now.L = kl_normal(now.h, 0.5) - log_normal(x, now.y, 1.5) - log_categorical(x, now.y)
