"""The depth-gated LSTM: the cell states of neighbouring layers are joined by a gate."""

from tinygrad_lstm.ops import concat, matvec, sigmoid, tanh
from tinygrad_lstm.step import cell

# mypy: disallow-untyped-defs=False


@cell(
    state="h C",
    parameters={
        "W_i W_f W_C W_o": "hidden, hidden + inputs",
        "W_xd": "hidden, inputs",
        "w_cd w_ld": "hidden",
        "b_i b_f b_d b_o": "hidden",
    },
    sequences={"C_below": "hidden"},
    papers=["yao2015"],
)
def depth_gated(now, prev, x, p, C_below):
    """An upper layer of the depth-gated LSTM (Yao et al. 2015): d lets the lower layer's state in.

    `x` is the output h of the layer below and `C_below` its cell state, both of the same time step;
    all layers have the same width. A lowest layer has no layer below: use `lstm`, or C_below = 0.

    The depth gate d and the sum for C are the paper's, with C for its c; as there, the candidate
    has no bias. The gates i, f and o are those of `lstm`, without peepholes. The authors' own
    program has full matrices from the cell state to its gates, couples f = 1 - i, and gives the
    lowest layer a depth gate, too. For H units and I inputs the depth gate adds HI + 3H parameters.
    """
    hx = concat(prev.h, x)
    now.i = sigmoid(matvec(p.W_i, hx) + p.b_i)
    now.f = sigmoid(matvec(p.W_f, hx) + p.b_f)
    now.d = sigmoid(p.b_d + matvec(p.W_xd, x) + p.w_cd * prev.C + p.w_ld * C_below)
    now.C_tilde = tanh(matvec(p.W_C, hx))
    now.C = now.d * C_below + now.f * prev.C + now.i * now.C_tilde
    now.o = sigmoid(matvec(p.W_o, hx) + p.b_o)
    now.h = now.o * tanh(now.C)
