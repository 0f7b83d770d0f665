"""Cells with a memory beside their state: slots, fast weights, content addressing."""

from tinygrad_lstm import cell, concat, einsum, outer, sigmoid, softmax, softplus, sqrt, tanh


@cell(
    state={"M": "slots, width"},
    parameters={"W_q W_v": "width, inputs", "w_g": "inputs", "b_g": ""},
    output="r",
)
def slots(now, prev, x, p):
    """A soft key-value store (after Weston et al. 2015): how many slots only M_0 tells."""
    now.alpha = softmax(prev.M @ (p.W_q @ x))
    now.g = sigmoid(p.w_g @ x + p.b_g)
    now.M = prev.M + now.g * outer(now.alpha, p.W_v @ x)
    now.r = now.alpha @ now.M


@cell(
    state={"S": "width, width"},
    parameters={"W_q W_k W_v": "width, inputs", "w_β": "inputs"},
    output="y",
)
def delta_net(now, prev, x, p):
    """Fast weights with the delta rule (Schlag et al. 2021): what a key held is overwritten."""
    k = softmax(p.W_k @ x)
    now.held = einsum("ij,j->i", prev.S, k)
    now.β = sigmoid(p.w_β @ x)
    now.S = prev.S + now.β * einsum("i,j->ij", p.W_v @ x - now.held, k)
    now.y = einsum("ij,j->i", now.S, softmax(p.W_q @ x))


@cell(
    state={"h": "hidden", "A": "hidden, hidden"},
    parameters={"W": "hidden, hidden", "C": "hidden, inputs", "λ_ η_": "", "s": "hidden"},
    start={"λ_": 0.9, "η_": 0.5, "s": 1},
)
def fast_weights(now, prev, x, p):
    """Attending to the recent past (Ba et al. 2016): an inner loop of two steps on A, normed."""
    now.A = p.λ_ * prev.A + p.η_ * outer(prev.h, prev.h)
    boundary = p.W @ prev.h + p.C @ x
    h = tanh(boundary)
    for _ in range(2):
        a = boundary + now.A @ h
        a = a - a.mean()
        h = tanh(p.s * a / sqrt((a * a).mean() + 1e-5))
    now.h = h


def length(v):
    """|v| along the last axis, kept; never zero, so that it has a derivative at v = 0."""
    return sqrt((v * v).sum(axis=-1, keepdims=True) + 1e-6)


@cell(
    state={"h": "hidden", "M": "slots, width", "w": "slots"},
    parameters={
        "W": "hidden, inputs + width + hidden",
        "b": "hidden",
        "W_k W_e W_a": "width, hidden",
        "w_β w_g": "hidden",
        "W_s": "3, hidden",
    },
    start={"M": 1e-6},
)
def ntm(now, prev, x, p):
    """A neural Turing machine's head (Graves et al. 2014): by content, gated, shifted by a place.

    Without the sharpening; one head reads what it wrote. A memory that starts at zero made its
    cosine nan in NTM-tensorflow #2.
    """
    now.r = prev.w @ prev.M
    now.h = tanh(p.W @ concat(x, now.r, prev.h) + p.b)
    now.k = tanh(p.W_k @ now.h)
    now.K = (prev.M / length(prev.M)) @ (now.k / length(now.k))
    now.w_c = softmax(softplus(p.w_β @ now.h) * now.K)
    now.g = sigmoid(p.w_g @ now.h)
    w = now.g * now.w_c + (1 - now.g) * prev.w
    s = softmax(p.W_s @ now.h)
    now.w = s[0] * concat(w[1:], w[:1]) + s[1] * w + s[2] * concat(w[-1:], w[:-1])
    now.M = prev.M * (1 - outer(now.w, sigmoid(p.W_e @ now.h))) + outer(now.w, tanh(p.W_a @ now.h))


inputs = {"w": lambda random, shape: random.dirichlet([1.0] * shape[-1], shape[:-1])}
