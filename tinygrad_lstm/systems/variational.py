"""Recurrent networks with latent variables: VRNN (Chung et al. 2015), STORN (Bayer & Osendorfer).

    run = unroll(vrnn, p, rolls, lengths=n, seed=0)            # rolls: zeros and ones
    run.loss                                                   # -ELBO: Σ_t KL_t - log p(x_t | …)
    unroll(storn, q, x=rolls, lengths=n, seed=0).loss          # two networks, the same bound
    dream = otherwise(vrnn, name="dream", inputs={"u": "inputs"},
        z=lambda v: normal(v.mu_0, v.sigma_0, v.eps), x=lambda v: v.u < sigmoid(v.logits))
    vrnn_of_grus = vrnn.with_parts(rnn=cells.gru)

The outputs are independent zeros and ones given z, logits their log-odds. Losses are in nats.
"""

from __future__ import annotations

from tinygrad_lstm import (
    before,
    cell,
    cells,
    concat,
    exp,
    kl_normal,
    layer,
    log_bernoulli,
    matvec,
    normal,
    otherwise,
    relu,
    softplus,
    system,
    tanh,
)

# mypy: disallow-untyped-defs=False


@layer(parameters={"V": "mlp, inputs", "W": "outputs, mlp", "a": "mlp", "b": "outputs"})
def features(now, x, p):
    """Two layers of rectifiers: what is made of x or z before anything reads it."""
    now.h = relu(matvec(p.V, x) + p.a)
    now.y = relu(matvec(p.W, now.h) + p.b)


@layer(parameters={"V": "mlp, inputs", "W": "outputs, mlp", "a": "mlp", "b": "outputs"})
def perceptron(now, x, p):
    """A layer of rectifiers and a linear one."""
    now.h = relu(matvec(p.V, x) + p.a)
    now.y = matvec(p.W, now.h) + p.b


@layer(
    parameters={
        "V": "mlp, inputs",
        "W_mu W_sigma": "outputs, mlp",
        "a": "mlp",
        "b_mu b_sigma": "outputs",
    },
    start={"b_sigma": 0.6},
    output="mu sigma",
)
def gaussian(now, x, p):
    """A mean and a standard deviation of each dimension."""
    now.h = relu(matvec(p.V, x) + p.a)
    now.mu = matvec(p.W_mu, now.h) + p.b_mu
    now.sigma = softplus(matvec(p.W_sigma, now.h) + p.b_sigma) + 1e-4


@cell(
    state="h",
    parts={
        "phi_x phi_z": features.sized(outputs="features"),
        "prior enc": gaussian.sized(outputs="latent"),
        "dec": perceptron.sized(outputs="inputs"),
        "rnn": cells.lstm,
    },
    noise={"eps": "latent"},
    loss="L",
    papers=["chung2015"],
)
def vrnn(now, prev, x, p, eps, part):
    """Variational RNN: the prior of z_t is what h_{t-1} expects, its posterior has seen x_t."""
    now.phi_x = part.phi_x(x)
    now.mu_0, now.sigma_0 = part.prior(prev.h)
    now.mu, now.sigma = part.enc(concat(now.phi_x, prev.h))
    now.z = normal(now.mu, now.sigma, eps)
    now.phi_z = part.phi_z(now.z)
    now.logits = part.dec(concat(now.phi_z, prev.h))
    now.KL = kl_normal(now.mu, now.sigma, now.mu_0, now.sigma_0)
    now.logp = log_bernoulli(x, now.logits)
    now.L = now.KL - now.logp
    now.h = part.rnn(concat(now.phi_x, now.phi_z))


vrnn_i = otherwise(vrnn, mu_0=0, sigma_0=1, name="vrnn_i")


@cell(
    state="h",
    parameters={
        "W_in": "hidden, inputs",
        "W_rec": "hidden, hidden",
        "b": "hidden",
        "W_mu W_v": "latent, hidden",
        "b_mu b_v": "latent",
    },
    noise={"eps": "latent"},
    loss="KL",
    output="z",
    papers=["bayer2014"],
)
def recogniser(now, prev, x, p, eps):
    """STORN's recognition model: an ordinary RNN that reads x_t; the prior of z_t is N(0, 1)."""
    now.h = tanh(matvec(p.W_in, x) + matvec(p.W_rec, prev.h) + p.b)
    now.mu = matvec(p.W_mu, now.h) + p.b_mu
    now.sigma = exp((matvec(p.W_v, now.h) + p.b_v) / 2)  # of log σ²
    now.z = normal(now.mu, now.sigma, eps)
    now.KL = kl_normal(now.mu, now.sigma)


@cell(
    state="h",
    parameters={
        "W_in": "hidden, inputs",
        "V_in": "hidden, latent",
        "W_rec": "hidden, hidden",
        "b": "hidden",
        "W_out": "inputs, hidden",
        "b_out": "inputs",
    },
    sequences={"z": "latent", "target": "inputs"},
    loss="nll",
    output="logits",
    papers=["bayer2014"],
)
def generator(now, prev, x, p, z, target):
    """STORN's generative model: an ordinary RNN that reads x_{t-1} and z_t, and expects x_t."""
    now.h = tanh(matvec(p.W_in, x) + matvec(p.V_in, z) + matvec(p.W_rec, prev.h) + p.b)
    now.logits = matvec(p.W_out, now.h) + p.b_out
    now.nll = -log_bernoulli(target, now.logits)


storn = system(
    q=recogniser,
    p=generator,
    wires={"q.x": "x", "p.x": before("x"), "p.z": "q.z", "p.target": "x"},
    name="storn",
)
