"""DRAW (Gregor et al. 2015): a network that looks at an image and draws it, step by step.

    run = unroll(draw_attention, p, np.zeros(10), image=images, seed=0)     # ten glimpses
    viz.frames(sigmoid(run["c"])[:, 0], {"read": …})
    dream = otherwise(draw_attention, z=lambda v: v.eps, L=None)            # draws what it likes

The image, of zeros and ones, is a constant: there is no input at a step, and `np.zeros(T)` says how
many steps there are. c are the logits of the canvas. The loss of the steps adds up to the bound in
nats, Σ_t KL_t - log p(x | c_T): `nll` is -log p(x | c_t), of which each step's loss is the growth.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_lstm import (
    cell,
    cells,
    concat,
    each,
    exp,
    kl_normal,
    layer,
    log_bernoulli,
    matvec,
    normal,
    sigmoid,
    softmax,
)
from tinygrad_lstm.running import Run
from tinygrad_lstm.tensor import Array

# mypy: disallow-untyped-defs=False


@layer(
    x="hidden",
    parameters={"W": "5, hidden"},
    output="F_X F_Y gamma",
    sizes={"patch": "at least 2", "height": "at least 1", "width": "at least 1"},
)
def filterbank(now, x, p, size):
    """Gaussian filters, (patch, width) and (patch, height), and an intensity, chosen by x.

    Pixels are counted from 1, and the grid is centred at (g_X, g_Y) with stride δ. A softmax over
    the pixels is exp(-(a - μ)²/2σ²) / Z, each row adding up to 1.
    """
    now.theta = matvec(p.W, x)
    place_X, place_Y, log_variance, log_stride, log_gamma = now.theta
    now.g_X = (size.width + 1) / 2 * (place_X + 1)
    now.g_Y = (size.height + 1) / 2 * (place_Y + 1)
    now.sigma = exp(log_variance / 2)
    now.delta = (np.maximum(size.width, size.height) - 1) / (size.patch - 1) * exp(log_stride)
    now.gamma = exp(log_gamma)
    now.mu_X = each("i", "patch", lambda i: now.g_X + (i - size.patch / 2 - 0.5) * now.delta)
    now.mu_Y = each("j", "patch", lambda j: now.g_Y + (j - size.patch / 2 - 0.5) * now.delta)
    now.F_X = each("i", now.mu_X, lambda mu: _row("a", "width", mu, now.sigma))
    now.F_Y = each("j", now.mu_Y, lambda mu: _row("b", "height", mu, now.sigma))


def _row(letter: str, length: str, mu: Any, sigma: Any) -> Any:
    """A filter over the pixels 1, 2, …, length: a Gaussian that adds up to 1."""
    return softmax(each(letter, length, lambda a: -((a - mu) ** 2) / (2 * sigma**2)))


@cell(
    state={"c": "pixels", "nll": ""},
    x="",
    constants={"image": "pixels"},
    noise={"eps": "latent"},
    parts={"enc dec": cells.lstm},
    parameters={
        "W_mu W_sigma": "latent, hidden",
        "b_mu b_sigma": "latent",
        "W_write": "pixels, hidden",
        "b_write": "pixels",
    },
    loss="L",
    papers=["gregor2015"],
)
def draw(now, prev, x, p, image, eps, part):
    """DRAW without attention: it reads all of the image and what is missing, writes all over."""
    now.x_hat = image - sigmoid(prev.c)
    now.r = concat(image, now.x_hat)
    now.h_enc = part.enc(concat(now.r, prev.dec.h))
    now.mu = matvec(p.W_mu, now.h_enc) + p.b_mu
    now.sigma = exp(matvec(p.W_sigma, now.h_enc) + p.b_sigma)
    now.z = normal(now.mu, now.sigma, eps)
    now.h_dec = part.dec(now.z)
    now.c = prev.c + matvec(p.W_write, now.h_dec) + p.b_write
    now.KL = kl_normal(now.mu, now.sigma)
    now.nll = -log_bernoulli(image, now.c)
    now.L = now.KL + now.nll - prev.nll


@cell(
    state={"c": "height, width", "nll": ""},
    x="",
    constants={"image": "height, width"},
    noise={"eps": "latent"},
    parts={"reading writing": filterbank, "enc dec": cells.lstm},
    parameters={
        "W_mu W_sigma": "latent, hidden",
        "b_mu b_sigma": "latent",
        "W_w": "patch, patch, hidden",
    },
    sizes={"patch": "at least 2"},
    loss="L",
    papers=["gregor2015"],
)
def draw_attention(now, prev, x, p, image, eps, part):
    """DRAW with attention: it reads a patch of the image and writes one, each where it likes.

    Where it reads follows from the decoder's last state, where it writes from its new one.
    """
    now.x_hat = image - sigmoid(prev.c)
    now.F_X, now.F_Y, now.gamma = part.reading(prev.dec.h)
    now.r = now.gamma * (now.F_Y @ image @ now.F_X.T)
    now.r_hat = now.gamma * (now.F_Y @ now.x_hat @ now.F_X.T)
    now.h_enc = part.enc(concat(now.r.reshape(-1), now.r_hat.reshape(-1), prev.dec.h))
    now.mu = matvec(p.W_mu, now.h_enc) + p.b_mu
    now.sigma = exp(matvec(p.W_sigma, now.h_enc) + p.b_sigma)
    now.z = normal(now.mu, now.sigma, eps)
    now.h_dec = part.dec(now.z)
    now.G_X, now.G_Y, now.gamma_hat = part.writing(now.h_dec)
    now.w = matvec(p.W_w, now.h_dec)
    now.c = prev.c + (now.G_Y.T @ now.w @ now.G_X) / now.gamma_hat
    now.KL = kl_normal(now.mu, now.sigma)
    now.nll = -log_bernoulli(image, now.c)
    now.L = now.KL + now.nll - prev.nll


def window(run: Run, part: str) -> Array:
    """Where a run of `draw_attention` looked ("reading") or drew ("writing") at each step.

    (steps, batch, 4): left, top, right and bottom of its grid of filters in pixels from the upper
    left corner of the image, as `viz.frames` takes them: half a stride beyond the outer filters.
    """
    g_X, g_Y, delta = (run[f"{part}.{name}"].numpy() for name in ("g_X", "g_Y", "delta"))
    half = run[f"{part}.mu_X"].shape[-1] / 2 * delta
    x, y = g_X - 0.5, g_Y - 0.5  # pixel 1 lies between 0 and 1
    return np.stack([x - half, y - half, x + half, y + half], axis=-1)
