"""Cells with noise and a loss of their own."""

from tinygrad_lstm import cell, concat, exp, log, log_softmax, relu, softplus, sum, tanh, vecdot


def kl_normal(mu, sigma, mu_0, sigma_0):
    """KL of two normal distributions with independent entries, summed over them."""
    ratio = (sigma**2 + (mu - mu_0) ** 2) / (2 * sigma_0**2)
    return sum(log(sigma_0 / sigma) + ratio - 0.5)


@cell(
    state="h",
    parameters={
        "V_x": "features, inputs",
        "V_z": "features, latent",
        "P_mu P_sigma": "latent, hidden",
        "Q_mu Q_sigma": "latent, features + hidden",
        "D": "inputs, features + hidden",
        "W": "hidden, 2 * features",
        "U": "hidden, hidden",
        "b": "hidden",
    },
    noise={"eps": "latent"},
    loss="L",
)
def vrnn(now, prev, x, p, eps):
    """Variational RNN (Chung et al. 2015): L is minus the evidence's lower bound; x of 0 and 1."""
    now.phi_x = relu(p.V_x @ x)
    now.mu_0, now.sigma_0 = p.P_mu @ prev.h, softplus(p.P_sigma @ prev.h) + 1e-2
    φh = concat(now.phi_x, prev.h)
    now.mu, now.sigma = p.Q_mu @ φh, softplus(p.Q_sigma @ φh) + 1e-2
    now.z = now.mu + now.sigma * eps
    now.phi_z = relu(p.V_z @ now.z)
    now.logits = p.D @ concat(now.phi_z, prev.h)
    now.KL = kl_normal(now.mu, now.sigma, now.mu_0, now.sigma_0)
    now.logp = sum(x * now.logits - softplus(now.logits))
    now.L = now.KL - now.logp
    now.h = tanh(p.W @ concat(now.phi_x, now.phi_z) + p.U @ prev.h + p.b)


@cell(
    state="h",
    parameters={
        "W": "hidden, inputs",
        "U": "hidden, hidden",
        "V_mu V_s": "outputs, hidden",
        "b_s": "",
    },
    sequences={"target": "outputs"},
    noise={"wobble": "hidden"},
    loss="nll",
    output="mu",
)
def noisy_rnn(now, prev, x, p, target, wobble):
    """A network with noise in its state (Lim et al. 2021) and a Gaussian likelihood at its end."""
    now.h = tanh(p.W @ x + p.U @ prev.h) + 0.1 * wobble
    now.mu = p.V_mu @ now.h
    now.s = p.V_s @ now.h + p.b_s
    now.nll = (0.5 * ((target - now.mu) * exp(-now.s)) ** 2 + now.s).sum()


@cell(
    state="h",
    parameters={
        "W_xh": "hidden, inputs",
        "W_hh": "hidden, hidden",
        "W_hy": "classes, hidden",
        "b_h": "hidden",
        "b_y": "classes",
    },
    sequences={"target": "classes"},
    loss="loss",
    output="y",
)
def char_rnn(now, prev, x, p, target):
    """Elman's network with its cross-entropy, as in min-char-rnn (Karpathy 2015)."""
    now.h = tanh(p.W_xh @ x + p.W_hh @ prev.h + p.b_h)
    now.y = p.W_hy @ now.h + p.b_y
    now.loss = -vecdot(target, log_softmax(now.y))
