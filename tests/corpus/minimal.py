"""Gated cells with one gate or two."""

from tinygrad_lstm import cell, concat, matvec, relu, sigmoid, tanh


@cell(state="h", parameters={"W_f W_h": "hidden, hidden + inputs", "b_f b_h": "hidden"})
def mgu(now, prev, x, p):
    """Minimal gated unit (Zhou et al. 2016): one gate forgets and resets."""
    now.f = sigmoid(matvec(p.W_f, concat(prev.h, x)) + p.b_f)
    now.h_tilde = tanh(matvec(p.W_h, concat(now.f * prev.h, x)) + p.b_h)
    now.h = (1 - now.f) * prev.h + now.f * now.h_tilde


@cell(
    state="h",
    parameters={"W_c W_g": "hidden, inputs", "U_c U_g": "hidden, hidden", "b_c b_g": "hidden"},
)
def ugrnn(now, prev, x, p):
    """Update gate RNN (Collins et al. 2017); its gate starts open by 1."""
    now.c = tanh(p.W_c @ x + p.U_c @ prev.h + p.b_c)
    now.g = sigmoid(p.W_g @ x + p.U_g @ prev.h + p.b_g + 1)
    now.h = now.g * prev.h + (1 - now.g) * now.c


@cell(
    state="c",
    parameters={"W_s W_c": "hidden, inputs", "U_s U_c": "hidden, hidden", "b_s b_c": "hidden"},
)
def janet(now, prev, x, p, beta=1.0):
    """Just another network (van der Westhuizen & Lasenby 2018): a forget gate alone, β = 1."""
    now.s = p.U_s @ prev.c + p.W_s @ x + p.b_s
    now.c_tilde = tanh(p.U_c @ prev.c + p.W_c @ x + p.b_c)
    now.c = sigmoid(now.s) * prev.c + (1 - sigmoid(now.s - beta)) * now.c_tilde


@cell(
    state="h",
    parameters={"W_z W_k": "hidden, inputs", "U_k": "hidden, hidden", "b_z b_k": "hidden"},
)
def star(now, prev, x, p):
    """Stackable recurrent cell (Turkoglu et al. 2019; RecurrentLayers.jl)."""
    now.z = tanh(p.W_z @ x + p.b_z)
    now.k = sigmoid(p.W_k @ x + p.U_k @ prev.h + p.b_k)
    now.h = tanh((1 - now.k) * prev.h + now.k * now.z)


@cell(
    state="h",
    parameters={"W_z W_h": "hidden, inputs", "U_z U_h": "hidden, hidden", "b_z b_h": "hidden"},
)
def li_gru(now, prev, x, p):
    """Light GRU (Ravanelli et al. 2018): no reset, a ReLU candidate; its batch norm left out."""
    now.z = sigmoid(p.W_z @ x + p.U_z @ prev.h + p.b_z)
    now.h_tilde = relu(p.W_h @ x + p.U_h @ prev.h + p.b_h)
    now.h = now.z * prev.h + (1 - now.z) * now.h_tilde


@cell(
    state="h",
    parameters={"W": "hidden, inputs", "U": "hidden, hidden", "b": "hidden", "alpha beta": ""},
    start={"alpha": -3.0, "beta": 3.0},
)
def fast_rnn(now, prev, x, p):
    """FastRNN (Kusupati et al. 2018): a residual step with two learned numbers."""
    now.h_tilde = tanh(p.W @ x + p.U @ prev.h + p.b)
    now.h = sigmoid(p.alpha) * now.h_tilde + sigmoid(p.beta) * prev.h


@cell(
    state="h",
    parameters={"W": "hidden, inputs", "U": "hidden, hidden", "b_z b_h": "hidden", "ζ ν": ""},
    start={"ζ": 1.0, "ν": -4.0},
)
def fast_grnn(now, prev, x, p):
    """FastGRNN (Kusupati et al. 2018): gate and candidate share W and U (microsoft/EdgeML)."""
    pre = p.W @ x + p.U @ prev.h
    now.z = sigmoid(pre + p.b_z)
    now.h_tilde = tanh(pre + p.b_h)
    now.h = (sigmoid(p.ζ) * (1 - now.z) + sigmoid(p.ν)) * now.h_tilde + now.z * prev.h
