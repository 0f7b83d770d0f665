"""Cells for series with gaps: the time since the last value is an input."""

from tinygrad_lstm import cell, concat, exp, log, maximum, sigmoid, tanh, where


@cell(
    state="h C",
    parameters={
        "W_f W_i W_o W_c": "hidden, inputs",
        "U_f U_i U_o U_c W_d": "hidden, hidden",
        "b_f b_i b_o b_c b_d": "hidden",
    },
    sequences={"gap": ""},
)
def t_lstm(now, prev, x, p, gap):
    """Time-aware LSTM (Baytas et al. 2017): its short-term memory fades, g(Δ) = 1/log(e + Δ)."""
    now.short = tanh(p.W_d @ prev.C + p.b_d)
    now.faded = now.short / log(2.718281828459045 + maximum(gap, 0.0))
    now.C_star = prev.C - now.short + now.faded
    now.f = sigmoid(p.W_f @ x + p.U_f @ prev.h + p.b_f)
    now.i = sigmoid(p.W_i @ x + p.U_i @ prev.h + p.b_i)
    now.o = sigmoid(p.W_o @ x + p.U_o @ prev.h + p.b_o)
    now.C_tilde = tanh(p.W_c @ x + p.U_c @ prev.h + p.b_c)
    now.C = now.f * now.C_star + now.i * now.C_tilde
    now.h = now.o * tanh(now.C)


@cell(
    state="h",
    parameters={
        "W": "backbone, inputs + hidden",
        "b": "backbone",
        "W_1 W_2 W_ta W_tb": "hidden, backbone",
        "b_1 b_2 b_ta b_tb": "hidden",
    },
    sequences={"ts": ""},
)
def cfc(now, prev, x, p, ts):
    """Closed-form continuous-time cell (Hasani et al. 2022); raminmh/CfC PR #19."""
    z = 1.7159 * tanh(0.666 * (p.W @ concat(x, prev.h) + p.b))
    now.ff1 = tanh(p.W_1 @ z + p.b_1)
    now.ff2 = tanh(p.W_2 @ z + p.b_2)
    now.t = sigmoid((p.W_ta @ z + p.b_ta) * ts + (p.W_tb @ z + p.b_tb))
    now.h = now.ff1 * (1 - now.t) + now.t * now.ff2


@cell(
    state={"h": "hidden", "x_last": "inputs"},
    parameters={
        "w_x b_x": "inputs",
        "W_γ": "hidden, inputs",
        "b_γ b_z b_r b_h": "hidden",
        "W_z W_r W_h V_z V_r V_h": "hidden, inputs",
        "U_z U_r U_h": "hidden, hidden",
    },
    sequences={"m δ": "inputs"},
    constants={"x_mean": "inputs"},
)
def gru_d(now, prev, x, p, m, δ, x_mean):
    """GRU-D (Che et al. 2018): a missing value fades from the last one seen to the mean.

    zhiyongc/GRU-D #3 shows the mistake of fading the present value in its place.
    """
    now.γ_x = exp(-maximum(0.0, p.w_x * δ + p.b_x))
    now.γ_h = exp(-maximum(0.0, p.W_γ @ δ + p.b_γ))
    now.x_hat = m * x + (1 - m) * (now.γ_x * prev.x_last + (1 - now.γ_x) * x_mean)
    h = now.γ_h * prev.h
    now.z = sigmoid(p.W_z @ now.x_hat + p.U_z @ h + p.V_z @ m + p.b_z)
    now.r = sigmoid(p.W_r @ now.x_hat + p.U_r @ h + p.V_r @ m + p.b_r)
    now.h_tilde = tanh(p.W_h @ now.x_hat + p.U_h @ (now.r * h) + p.V_h @ m + p.b_h)
    now.h = (1 - now.z) * h + now.z * now.h_tilde
    now.x_last = m * x + (1 - m) * prev.x_last


@cell(
    state="h c",
    parameters={"W_f W_i W_c W_o": "hidden, hidden + inputs", "τ s r_on": "hidden"},
    sequences={"t": ""},
    start={"τ": 4.0, "r_on": 0.5},
)
def phased_lstm(now, prev, x, p, t, leak=0.001):
    """Phased LSTM (Neil et al. 2016): a unit is open for a part of its period alone.

    With learned periods, as in dannyneil/pytorch_plstm #6 and RecurrentLayers.jl #98.
    """
    hx = concat(prev.h, x)
    now.φ = ((t - p.s) % p.τ) / p.τ
    rising, falling = 2 * now.φ / p.r_on, 2 - 2 * now.φ / p.r_on
    open_ = where(now.φ < p.r_on / 2, rising, falling)
    now.k = where(now.φ < p.r_on, open_, leak * now.φ)
    c = sigmoid(p.W_f @ hx) * prev.c + sigmoid(p.W_i @ hx) * tanh(p.W_c @ hx)
    now.c = now.k * c + (1 - now.k) * prev.c
    now.h = now.k * (sigmoid(p.W_o @ hx) * tanh(c)) + (1 - now.k) * prev.h


inputs = {
    "m": lambda random, shape: random.integers(0, 2, shape).astype(float),
    "gap": lambda random, shape: random.exponential(size=shape),
    "δ": lambda random, shape: random.exponential(size=shape),
    "τ": lambda random, shape: random.uniform(1.0, 4.0, shape),
    "r_on": lambda random, shape: random.uniform(0.3, 0.9, shape),
}
