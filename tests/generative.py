"""A variational RNN of parts, too large for every table of the corpus."""

from tinygrad_lstm import (
    cell,
    cells,
    concat,
    kl_normal,
    layer,
    log_bernoulli,
    matvec,
    normal,
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
