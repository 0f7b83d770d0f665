"""Diagonal peepholes: a weight for each unit, from its cell state to its gates."""

from tinygrad_lstm.ops import concat, matvec, sigmoid, tanh
from tinygrad_lstm.step import cell

# mypy: disallow-untyped-defs=False


@cell(
    state="h C",
    parameters={
        "W_f W_i W_C W_o": "hidden, hidden + inputs",
        "p_f p_i p_o": "hidden",
        "b_f b_i b_C b_o": "hidden",
    },
    papers=["gers2000peephole", "gers2002"],
)
def lstm_peephole_gers(now, prev, x, p):
    """LSTM whose gates see their own unit's cell state (Gers & Schmidhuber 2000).

    The gates f and i see the old state, o sees the new one. `lstm_peephole` has whole matrices in
    place of the vectors p. For H units and I inputs there are 4H(I + H + 1) + 3H parameters, as
    counted by Chung et al. (2014) and Greff et al. (2015).

    The tanh on the way into the state and out of it is that of later papers: Gers et al. (2002)
    leave both out in their timing tasks. They also let no error pass back through the peepholes;
    here the gradient is whole.
    """
    hx = concat(prev.h, x)
    now.f = sigmoid(matvec(p.W_f, hx) + p.p_f * prev.C + p.b_f)
    now.i = sigmoid(matvec(p.W_i, hx) + p.p_i * prev.C + p.b_i)
    now.C_tilde = tanh(matvec(p.W_C, hx) + p.b_C)
    now.C = now.f * prev.C + now.i * now.C_tilde
    now.o = sigmoid(matvec(p.W_o, hx) + p.p_o * now.C + p.b_o)  # sees the new state
    now.h = now.o * tanh(now.C)


@cell(
    state="h C",
    parameters={
        "W_f W_i W_C W_o": "hidden, hidden + inputs",
        "p_o": "hidden",
        "b_f b_i b_C b_o": "hidden",
    },
    papers=["gers2000peephole"],
)
def lstm_peephole_output(now, prev, x, p):
    """LSTM with a peephole for the output gate alone.

    Some papers give peepholes to some gates and not to others; this listing stands for them.
    For H units and I inputs there are 4H(I + H + 1) + H parameters.
    """
    hx = concat(prev.h, x)
    now.f = sigmoid(matvec(p.W_f, hx) + p.b_f)
    now.i = sigmoid(matvec(p.W_i, hx) + p.b_i)
    now.C_tilde = tanh(matvec(p.W_C, hx) + p.b_C)
    now.C = now.f * prev.C + now.i * now.C_tilde
    now.o = sigmoid(matvec(p.W_o, hx) + p.p_o * now.C + p.b_o)  # sees the new state
    now.h = now.o * tanh(now.C)
