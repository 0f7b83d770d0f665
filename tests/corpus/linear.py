"""State-space cells and linear attention: the recurrence is linear, what drives it is not."""

from tinygrad_lstm import cell, cos, exp, maximum, sigmoid, sin, softplus, sum, tanh


@cell(
    state="re im",
    parameters={
        "ν θ γ": "hidden",
        "B_re B_im": "hidden, inputs",
        "C_re C_im": "outputs, hidden",
        "D": "outputs, inputs",
    },
    start={"ν": -2.0, "θ": 0.5},
    output="y",
)
def lru(now, prev, u, p):
    """Linear recurrent unit (Orvieto et al. 2023): |λ| = exp(-exp ν) < 1; equinox #398."""
    now.r = exp(-exp(p.ν))
    λ_re, λ_im = now.r * cos(p.θ), now.r * sin(p.θ)
    now.re = λ_re * prev.re - λ_im * prev.im + exp(p.γ) * (p.B_re @ u)
    now.im = λ_re * prev.im + λ_im * prev.re + exp(p.γ) * (p.B_im @ u)
    now.y = p.C_re @ now.re - p.C_im @ now.im + p.D @ u


@cell(
    state={"h": "hidden", "m": "order"},
    parameters={
        "e_x": "inputs",
        "e_h": "hidden",
        "e_m": "order",
        "W_x": "hidden, inputs",
        "W_h": "hidden, hidden",
        "W_m": "hidden, order",
    },
    constants={"A": "order, order", "B": "order"},
    start={"e_x e_h": 0.3},
)
def lmu(now, prev, x, p, A, B):
    """Legendre memory unit (Voelker et al. 2019); A and B are its delay's fixed matrices."""
    now.u = p.e_x @ x + p.e_h @ prev.h + p.e_m @ prev.m
    now.m = A @ prev.m + B * now.u
    now.h = tanh(p.W_x @ x + p.W_h @ prev.h + p.W_m @ now.m)


@cell(
    state={"h": "inputs, width"},
    parameters={
        "A_log": "inputs, width",
        "W_B W_C": "width, inputs",
        "W_delta": "inputs, inputs",
        "b_delta D": "inputs",
    },
    start={"D": 1},
    output="y",
)
def mamba(now, prev, x, p):
    """Selective state space (Gu & Dao 2023), one step of its scan; state-spaces/mamba."""
    now.delta = softplus(p.W_delta @ x + p.b_delta)
    now.decay = exp(-now.delta[:, None] * exp(p.A_log))
    now.h = now.decay * prev.h + (now.delta * x)[:, None] * (p.W_B @ x)
    now.y = sum(now.h * (p.W_C @ x), axis=-1) + p.D * x


@cell(
    state="last num den top",
    x="hidden",
    parameters={"mu_k mu_v mu_r w u": "hidden", "W_k W_v W_r W_o": "hidden, hidden"},
    start={"mu_k mu_v mu_r": 0.5, "top": -1e30},
    output="out",
)
def rwkv4(now, prev, x, p):
    """Time mixing of RWKV-4 (Peng et al. 2023) with its running maximum; RWKV-LM #64."""
    now.r = sigmoid(p.W_r @ (x * p.mu_r + prev.last * (1 - p.mu_r)))
    now.k = p.W_k @ (x * p.mu_k + prev.last * (1 - p.mu_k))
    now.v = p.W_v @ (x * p.mu_v + prev.last * (1 - p.mu_v))
    most = maximum(prev.top, p.u + now.k)
    old, new = exp(prev.top - most), exp(p.u + now.k - most)
    now.wkv = (old * prev.num + new * now.v) / (old * prev.den + new)
    faded = prev.top - exp(p.w)
    now.top = maximum(faded, now.k)
    keep, write = exp(faded - now.top), exp(now.k - now.top)
    now.num = keep * prev.num + write * now.v
    now.den = keep * prev.den + write
    now.last = x
    now.out = p.W_o @ (now.r * now.wkv)


@cell(
    state={"S": "width, width"},
    parameters={"W_q W_k W_v": "width, inputs", "γ": ""},
    start={"γ": 3.0},
    output="o",
)
def retention(now, prev, x, p):
    """Retention (Sun et al. 2023) with a learned decay: a fading sum of keys times values."""
    k = (p.W_k @ x) / p.W_k.shape[0] ** 0.5
    now.S = sigmoid(p.γ) * prev.S + k[:, None] * (p.W_v @ x)[None, :]
    now.o = (p.W_q @ x) @ now.S


inputs = {"den": lambda random, shape: random.uniform(0.5, 2.0, shape)}
