"""Cells with operations beyond the elementwise, which kernels are tried on."""

from __future__ import annotations

import numpy as np

from tinygrad_lstm import (
    cell,
    concat,
    cumsum,
    matmul,
    matvec,
    max,
    outer,
    sigmoid,
    softmax,
    sum,
    swapaxes,
    tanh,
    vecdot,
)


@cell(
    state="h",
    constants={"memory": "places, hidden"},
    parameters={"W": "hidden, hidden + inputs", "U": "hidden, hidden", "b": "hidden"},
)
def attention(now, prev, x, p, memory):
    now.q = matvec(p.U, prev.h)
    now.a = softmax(matvec(memory, now.q))
    now.read = matvec(swapaxes(memory, -1, -2), now.a)
    now.h = tanh(matvec(p.W, concat(prev.h + now.read, x)) + p.b)


@cell(
    state={"M": "hidden, inputs", "h": "hidden"},
    parameters={"W_k W_q": "inputs, inputs", "W_v": "hidden, inputs"},
)
def fast_weights(now, prev, x, p):
    now.k = tanh(matvec(p.W_k, x))
    now.v = matvec(p.W_v, x) + prev.h
    now.M = 0.9 * prev.M + 0.5 * outer(now.v, now.k)
    now.h = tanh(matvec(now.M, softmax(matvec(p.W_q, x))))


@cell(state={"M": "hidden, hidden"}, parameters={"W": "hidden, hidden", "V": "hidden, inputs"})
def matrices(now, prev, x, p):
    now.turned = tanh(matmul(p.W, swapaxes(prev.M, -1, -2)))
    now.M = tanh(now.turned + matmul(prev.M, now.turned) + matvec(p.V, x).sum(-1, True)[..., None])


@cell(state={"n": "", "h": "hidden"}, parameters={"W": "hidden, hidden + inputs", "w": "hidden"})
def scalar(now, prev, x, p):
    now.h = tanh(matvec(p.W, concat(prev.h, x)) * prev.n[..., None])
    now.n = sigmoid(vecdot(p.w, now.h) + prev.n)


@cell(state="h", parameters={"W": "hidden, hidden + inputs", "P": "6, hidden"})
def rearranged(now, prev, x, p):
    lead = prev.h.shape[:-1]
    now.z = cumsum(matvec(p.W, concat(prev.h, x)), -1)
    now.pairs = now.z[..., np.array([0, 2, 0, 1])].reshape((*lead, 2, 2))
    now.best = max(now.pairs, -1) - sum(swapaxes(now.pairs, -1, -2), -1, True)[..., 0]
    now.mixed = matvec(p.P, prev.h).reshape((*lead, 3, 2))[..., ::-2, 1]
    now.all = now.z[..., ::-1] + now.best[..., :1] + now.mixed.mean(-1, True)
    now.h = tanh(now.all) * now.best[..., 1:]


@cell(state={"h": "inputs"})
def no_parameters(now, prev, x, p):
    now.h = tanh(0.5 * prev.h + vecdot(x, x)[..., None])


@cell(state="h", parameters={"W": "hidden, hidden", "w b": "hidden", "V": "hidden, inputs"})
def shared_parts(now, prev, x, p):
    now.gate = sigmoid(p.b)  # the same for the whole batch
    now.scale = now.gate * 0.5
    now.double = p.w + p.w
    now.a = matvec(p.V, x)  # read by the next equation alone
    now.h = tanh(now.a + matvec(now.scale * p.W, prev.h) + now.double)


@cell(state="h c", parameters={"U": "hidden, hidden", "b": "hidden"}, x="hidden")
def states_swapped(now, prev, x, p):
    now.h = prev.c
    now.c = tanh(matvec(p.U, prev.h) + p.b * x)


@cell(state="h c", parameters={"W": "hidden, inputs"})
def a_state_that_is_never_read(now, prev, x, p):
    now.h = matvec(p.W, x)
    now.c = prev.c * 1.0


@cell(state="h", parameters={"W": "hidden, inputs", "U": "hidden, hidden", "V unused": "hidden"})
def numbers_in_sums(now, prev, x, p):
    now.a = matvec(p.W, x) + 1.0
    now.z = matvec(p.U, prev.h) + now.a.mean(-1, True) + p.V.sum()
    now.h = tanh(1.0 - now.z) * (now.z > 0.1) + 0.5 * now.z


OWN = {
    c.name: c
    for c in (
        numbers_in_sums,
        fast_weights,
        matrices,
        scalar,
        rearranged,
        shared_parts,
        states_swapped,
        a_state_that_is_never_read,
    )
}
