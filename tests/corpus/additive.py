"""Cells whose memory is a sum: what enters is linear, or decays on its own."""

from tinygrad_lstm import cell, sigmoid, tanh


@cell(state="h", parameters={"W": "hidden, inputs", "U": "hidden, hidden", "b": "hidden"})
def atr(now, prev, x, p):
    """Addition-subtraction twin-gated network (Zhang et al. 2018; RecurrentLayers.jl)."""
    now.p = p.W @ x + p.b
    now.q = p.U @ prev.h
    now.i = sigmoid(now.p + now.q)
    now.f = sigmoid(now.p - now.q)
    now.h = now.i * now.p + now.f * prev.h


@cell(
    state="h c",
    parameters={"W_c W_i W_f": "hidden, inputs", "U_i U_f": "hidden, hidden", "b_i b_f": "hidden"},
)
def ran(now, prev, x, p):
    """Recurrent additive network (Lee et al. 2017): the memory is a weighted sum of the inputs."""
    now.i = sigmoid(p.U_i @ prev.h + p.W_i @ x + p.b_i)
    now.f = sigmoid(p.U_f @ prev.h + p.W_f @ x + p.b_f)
    now.c = now.i * (p.W_c @ x) + now.f * prev.c
    now.h = tanh(now.c)


@cell(
    state="h",
    parameters={"V_θ V_η W": "hidden, inputs", "U_θ U_η": "hidden, hidden", "b_θ b_η": "hidden"},
    start={"b_θ": 1, "b_η": -1},
)
def cfn(now, prev, x, p):
    """Chaos-free network (Laurent & von Brecht 2017): without input it comes to rest."""
    now.θ = sigmoid(p.U_θ @ prev.h + p.V_θ @ x + p.b_θ)
    now.η = sigmoid(p.U_η @ prev.h + p.V_η @ x + p.b_η)
    now.h = now.θ * tanh(prev.h) + now.η * tanh(p.W @ x)


@cell(
    state={"h": "hidden", "s": "context"},
    parameters={
        "A": "hidden, inputs",
        "R": "hidden, hidden",
        "B": "context, inputs",
        "P": "hidden, context",
        "U": "outputs, hidden",
        "V": "outputs, context",
    },
    output="y",
)
def scrn(now, prev, x, p, alpha=0.95):
    """Structurally constrained network (Mikolov et al. 2015): slow context units, α = 0.95."""
    now.s = (1 - alpha) * (p.B @ x) + alpha * prev.s
    now.h = sigmoid(p.P @ now.s + p.A @ x + p.R @ prev.h)
    now.y = p.U @ now.h + p.V @ now.s


@cell(
    state="h",
    parameters={"W": "hidden, inputs", "u b": "hidden"},
    start={"u": 0.9},
    papers=["li2018indrnn"],
)
def ind_rnn(now, prev, x, p):
    """Independent recurrence (Li et al. 2018): every unit reads itself alone; flax #4133."""
    now.h = tanh(p.W @ x + p.u * prev.h + p.b)
