"""Cells with parts: a variational RNN, an encoder and decoder of LSTMs, a layer used twice."""

from tinygrad_lstm import (
    cell,
    cells,
    concat,
    kl_normal,
    layer,
    log_bernoulli,
    log_categorical,
    log_normal,
    matvec,
    normal,
    sigmoid,
    softplus,
    tanh,
)


@layer(x="inputs", parameters={"V": "mlp, inputs", "W": "outputs, mlp", "a": "mlp", "b": "outputs"})
def perceptron(now, x, p):
    """Two layers, the first with tanh."""
    now.h = tanh(matvec(p.V, x) + p.a)
    now.y = matvec(p.W, now.h) + p.b


@layer(x="inputs", output="mu sigma", parameters={"M S": "outputs, inputs", "m s": "outputs"})
def gaussian(now, x, p):
    """A mean and a standard deviation."""
    now.mu = matvec(p.M, x) + p.m
    now.sigma = softplus(matvec(p.S, x) + p.s) + 0.1


@cell(
    state="h",
    parts={
        "phi_x phi_z": perceptron.sized(outputs="features"),
        "prior enc": gaussian.sized(outputs="latent"),
        "dec": perceptron.sized(outputs="inputs"),
        "rnn": cells.gru,
    },
    noise={"eps": "latent"},
    loss="loss",
    papers=["chung2015"],
)
def variational(now, prev, x, p, eps, part):
    """A variational RNN with binary outputs."""
    now.phi_x = part.phi_x(x)
    now.mu_0, now.sigma_0 = part.prior(prev.h)
    now.mu, now.sigma = part.enc(concat(now.phi_x, prev.h))
    now.z = normal(now.mu, now.sigma, eps)
    now.phi_z = part.phi_z(now.z)
    now.logits = part.dec(concat(now.phi_z, prev.h))
    now.KL = kl_normal(now.mu, now.sigma, now.mu_0, now.sigma_0)
    now.logp = log_bernoulli(x, now.logits)
    now.loss = now.KL - now.logp
    now.h = part.rnn(concat(now.phi_x, now.phi_z), prev)


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
