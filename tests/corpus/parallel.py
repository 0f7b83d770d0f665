"""Cells whose gates read the input alone, so that all steps can be computed at once."""

from tinygrad_lstm import cell, sigmoid, tanh, where


@cell(
    state="c",
    x="hidden",
    parameters={"W W_f W_r": "hidden, hidden", "v_f v_r b_f b_r": "hidden"},
    output="h",
)
def sru(now, prev, x, p):
    """Simple recurrent unit (Lei et al. 2018), with the highway to its input; asappresearch/sru."""
    now.f = sigmoid(p.W_f @ x + p.v_f * prev.c + p.b_f)
    now.r = sigmoid(p.W_r @ x + p.v_r * prev.c + p.b_r)
    now.c = now.f * prev.c + (1 - now.f) * (p.W @ x)
    now.h = now.r * now.c + (1 - now.r) * x


@cell(
    state={"c": "hidden", "x_before": "inputs"},
    parameters={"W_z V_z W_f V_f W_o V_o": "hidden, inputs"},
    output="h",
)
def qrnn(now, prev, x, p):
    """Quasi-recurrent network (Bradbury et al. 2017), window two, fo-pooling; the input waits."""
    now.z = tanh(p.W_z @ prev.x_before + p.V_z @ x)
    now.f = sigmoid(p.W_f @ prev.x_before + p.V_f @ x)
    now.o = sigmoid(p.W_o @ prev.x_before + p.V_o @ x)
    now.c = now.f * prev.c + (1 - now.f) * now.z
    now.h = now.o * now.c
    now.x_before = x


def g(u):
    """The positive activation of Feng et al. (2024), which has a logarithm everywhere."""
    return where(u >= 0, u + 0.5, sigmoid(u))


@cell(state="h", parameters={"W_f W_i W_h": "hidden, inputs", "b_f b_i b_h": "hidden"})
def min_lstm(now, prev, x, p):
    """minLSTM (Feng et al. 2024): forget and input gates that add up to one."""
    now.f = sigmoid(p.W_f @ x + p.b_f)
    now.i = sigmoid(p.W_i @ x + p.b_i)
    now.h_tilde = g(p.W_h @ x + p.b_h)
    total = now.f + now.i
    now.h = now.f / total * prev.h + now.i / total * now.h_tilde


@cell(state="h", parameters={"W_z W_h": "hidden, inputs", "b_z b_h": "hidden"})
def min_gru(now, prev, x, p):
    """minGRU with g (Feng et al. 2024; lucidrains/minGRU-pytorch)."""
    now.z = sigmoid(p.W_z @ x + p.b_z)
    now.h_tilde = g(p.W_h @ x + p.b_h)
    now.h = (1 - now.z) * prev.h + now.z * now.h_tilde
