"""Decoders that attend to a memory, as the papers write them: for one sample."""

import numpy as np

from tinygrad_lstm import cell, concat, exp, matvec, sigmoid, softmax, tanh

MEMORY = {"H": "length, annotation"}


@cell(
    state="s",
    parameters={
        "W_a": "align, hidden",
        "U_a": "align, annotation",
        "v_a": "align",
        "W_z W_r W": "hidden, inputs",
        "U_z U_r U": "hidden, hidden",
        "C_z C_r C": "hidden, annotation",
    },
    constants=MEMORY,
    start={"v_a": "uniform"},
)
def bahdanau(now, prev, x, p, H):
    """The decoder of RNNsearch (Bahdanau et al. 2015): e_j = v · tanh(W s + U H_j)."""
    now.e = tanh(matvec(p.W_a, prev.s) + matvec(p.U_a, H)) @ p.v_a
    now.alpha = softmax(now.e)
    now.c = now.alpha @ H
    now.z = sigmoid(p.W_z @ x + p.U_z @ prev.s + p.C_z @ now.c)
    now.r = sigmoid(p.W_r @ x + p.U_r @ prev.s + p.C_r @ now.c)
    now.s_tilde = tanh(p.W @ x + p.U @ (now.r * prev.s) + p.C @ now.c)
    now.s = (1 - now.z) * prev.s + now.z * now.s_tilde


@cell(
    state="h h_att",
    parameters={
        "W": "hidden, inputs + 2 * hidden",
        "W_a": "hidden, annotation",
        "W_c": "hidden, annotation + hidden",
        "b": "hidden",
    },
    constants=MEMORY,
    output="h_att",
)
def luong(now, prev, x, p, H):
    """Global attention, "general" score, with input feeding (Luong et al. 2015)."""
    now.h = tanh(p.W @ concat(x, prev.h_att, prev.h) + p.b)
    now.a = softmax(H @ p.W_a.T @ now.h)
    now.c = H.T @ now.a
    now.h_att = tanh(p.W_c @ concat(now.c, now.h))


@cell(
    state="h",
    parameters={
        "W": "hidden, inputs + annotation + hidden",
        "W_p": "hidden, hidden",
        "v_p": "hidden",
        "W_a": "hidden, annotation",
    },
    constants=MEMORY,
    start={"v_p": "uniform"},
)
def luong_local(now, prev, x, p, H, D=2):
    """Local attention with a predicted place p_t and a Gaussian around it (Luong et al. 2015)."""
    length = H.shape[0]
    now.p_t = length * sigmoid(p.v_p @ tanh(p.W_p @ prev.h))
    near = exp(-((np.arange(length) - now.p_t) ** 2) / (2 * (D / 2) ** 2))
    now.a = softmax(H @ p.W_a.T @ prev.h) * near
    now.c = now.a @ H
    now.h = tanh(p.W @ concat(x, now.c, prev.h))


@cell(
    state={"h": "hidden", "seen": "length"},
    parameters={
        "W": "hidden, inputs + annotation + hidden",
        "W_q": "align, hidden",
        "W_k": "align, annotation",
        "W_v": "annotation, annotation",
        "w_seen": "",
    },
    constants=MEMORY | {"mask": "length"},
)
def covered(now, prev, x, p, H, mask):
    """Scaled dot products over a masked memory, with a penalty on places already read.

    After Vaswani et al. (2017) and the coverage of See et al. (2017); mask: 0, or -1e9 where
    there is padding.
    """
    now.k, now.v = H @ p.W_k.T, H @ p.W_v.T
    now.q = p.W_q @ prev.h
    score = now.k @ now.q / now.q.shape[0] ** 0.5 + p.w_seen * prev.seen + mask
    now.a = softmax(score)
    now.seen = prev.seen + now.a
    now.h = tanh(p.W @ concat(x, now.a @ now.v, prev.h))


def padding(random, shape):
    """-1e9 for padded places; the first is never one."""
    places = np.arange(shape[-1])
    return np.where((places > 0) & (random.random(shape) < 0.2), -1e9, 0.0)


inputs = {"mask": padding}
