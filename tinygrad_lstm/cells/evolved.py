"""The three best cells that Jozefowicz, Zaremba & Sutskever (2015) found by mutation."""

from tinygrad_lstm.ops import matvec, sigmoid, tanh
from tinygrad_lstm.step import cell

# mypy: disallow-untyped-defs=False


@cell(
    state="h",
    x="hidden",
    parameters={"W_xz W_xr W_hr W_hh": "hidden, hidden", "b_z b_r b_h": "hidden"},
    papers=["jozefowicz2015"],
)
def mut1(now, prev, x, p):
    """MUT1: the update gate sees the input alone, and the input enters the state unweighted.

    x is as wide as the state (the paper embeds its symbols at that width), since tanh(x) is added
    without a matrix. As in MUT2 and MUT3, z is the share of the new state; the GRU in the same
    paper is written the other way round. For H units there are 4H² + 3H parameters.
    """
    now.z = sigmoid(matvec(p.W_xz, x) + p.b_z)
    now.r = sigmoid(matvec(p.W_xr, x) + matvec(p.W_hr, prev.h) + p.b_r)
    now.h_tilde = tanh(matvec(p.W_hh, now.r * prev.h) + tanh(x) + p.b_h)
    now.h = now.h_tilde * now.z + prev.h * (1 - now.z)


@cell(
    state="h",
    x="hidden",
    parameters={"W_xz W_hz W_hr W_hh W_xh": "hidden, hidden", "b_z b_r b_h": "hidden"},
    papers=["jozefowicz2015"],
)
def mut2(now, prev, x, p):
    """MUT2: the reset gate takes the input unweighted, so x is as wide as the state.

    For H units there are 5H² + 3H parameters.
    """
    now.z = sigmoid(matvec(p.W_xz, x) + matvec(p.W_hz, prev.h) + p.b_z)
    now.r = sigmoid(x + matvec(p.W_hr, prev.h) + p.b_r)
    now.h_tilde = tanh(matvec(p.W_hh, now.r * prev.h) + matvec(p.W_xh, x) + p.b_h)
    now.h = now.h_tilde * now.z + prev.h * (1 - now.z)


@cell(
    state="h",
    parameters={
        "W_xz W_xr W_xh": "hidden, inputs",
        "W_hz W_hr W_hh": "hidden, hidden",
        "b_z b_r b_h": "hidden",
    },
    papers=["jozefowicz2015"],
)
def mut3(now, prev, x, p):
    """MUT3: a GRU whose update gate sees the state through a tanh.

    For H units and I inputs there are 3H(I + H + 1) parameters: 6H² + 3H with I = H, as in the
    paper.
    """
    now.z = sigmoid(matvec(p.W_xz, x) + matvec(p.W_hz, tanh(prev.h)) + p.b_z)
    now.r = sigmoid(matvec(p.W_xr, x) + matvec(p.W_hr, prev.h) + p.b_r)
    now.h_tilde = tanh(matvec(p.W_hh, now.r * prev.h) + matvec(p.W_xh, x) + p.b_h)
    now.h = now.h_tilde * now.z + prev.h * (1 - now.z)
