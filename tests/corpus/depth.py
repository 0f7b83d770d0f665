"""Cells that are deep within one step, or multiply where others add."""

from tinygrad_lstm import cell, concat, cumsum, einsum, sigmoid, softmax, split, tanh


@cell(
    state="s",
    parameters={
        "W_H W_T": "hidden, inputs",
        "R_H R_T": "2, hidden, hidden",
        "b_H b_T": "2, hidden",
    },
    start={"b_T": -2.0},
)
def rhn(now, prev, x, p):
    """Recurrent highway network (Zilly et al. 2017), depth two in a loop, coupled carry gate."""
    s = prev.s
    for depth in range(2):
        h = p.R_H[depth] @ s + p.b_H[depth]
        t = p.R_T[depth] @ s + p.b_T[depth]
        if depth == 0:
            h = h + p.W_H @ x
            t = t + p.W_T @ x
        s = tanh(h) * sigmoid(t) + s * (1 - sigmoid(t))
    now.s = s


@cell(
    state="h c",
    parameters={"W_m W_i W_f W_o W_h": "hidden, inputs", "U_m U_i U_f U_o U_h": "hidden, hidden"},
)
def multiplicative_lstm(now, prev, x, p):
    """Multiplicative LSTM (Krause et al. 2017): each input has a recurrent matrix of its own."""
    now.m = (p.W_m @ x) * (p.U_m @ prev.h)
    now.h_hat = p.W_h @ x + p.U_h @ now.m
    now.i = sigmoid(p.W_i @ x + p.U_i @ now.m)
    now.o = sigmoid(p.W_o @ x + p.U_o @ now.m)
    now.f = sigmoid(p.W_f @ x + p.U_f @ now.m)
    now.c = now.f * prev.c + now.i * tanh(now.h_hat)
    now.h = now.o * tanh(now.c)


@cell(state="h", parameters={"W": "hidden, hidden, inputs", "b": "hidden"})
def second_order(now, prev, x, p):
    """Second-order network (Giles et al. 1992): h_i = σ(Σ_jk W_ijk h_j x_k + b_i)."""
    now.h = sigmoid((p.W @ x) @ prev.h + p.b)


@cell(
    state="h",
    parameters={
        "U": "hidden, rank",
        "V": "rank, hidden",
        "A": "rank, inputs",
        "B": "hidden, inputs",
    },
)
def factored(now, prev, x, p):
    """Multiplicative network (Sutskever et al. 2011): U · diag(A·x) · V in the matrix's place."""
    now.M = einsum("ir,rj->ij", p.U * (p.A @ x), p.V)
    now.h = tanh(einsum("ij,j->i", now.M, prev.h) + p.B @ x)


def cumax(v):
    """A soft step from 0 to 1 along the units."""
    return cumsum(softmax(v), axis=-1)


@cell(state="h c", parameters={"W": "6 * hidden, inputs + hidden", "b": "6 * hidden"})
def on_lstm(now, prev, x, p):
    """Ordered neurons (Shen et al. 2019): two master gates rank the units, chunks of size one."""
    f, i, o, g, f_master, i_master = split(p.W @ concat(x, prev.h, axis=-1) + p.b, 6)
    now.f_tilde = cumax(f_master)
    now.i_tilde = 1 - cumax(i_master)
    overlap = now.f_tilde * now.i_tilde
    now.f = sigmoid(f) * overlap + (now.f_tilde - overlap)
    now.i = sigmoid(i) * overlap + (now.i_tilde - overlap)
    now.c = now.f * prev.c + now.i * tanh(g)
    now.h = sigmoid(o) * tanh(now.c)


@cell(
    state="h c n",
    parameters={"W": "4 * hidden, inputs + hidden", "V": "4 * hidden, hidden + hidden"},
)
def nested_lstm(now, prev, x, p):
    """Nested LSTM (Moniz & Krueger 2017): the memory is itself an LSTM, with memory n."""
    i, f, o, g = split(p.W @ concat(x, prev.h), 4)
    inner_x, inner_h = sigmoid(i) * tanh(g), sigmoid(f) * prev.c
    i, f, o_inner, g = split(p.V @ concat(inner_x, inner_h), 4)
    now.n = sigmoid(f) * prev.n + sigmoid(i) * tanh(g)
    now.c = sigmoid(o_inner) * tanh(now.n)
    now.h = sigmoid(o) * tanh(now.c)
