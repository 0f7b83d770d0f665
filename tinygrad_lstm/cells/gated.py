"""The LSTM and its best-known relatives: peepholes, coupled gates, the GRU."""

from tinygrad_lstm.ops import concat, matvec, sigmoid, tanh
from tinygrad_lstm.step import cell

# mypy: disallow-untyped-defs=False


@cell(
    state="h C",
    parameters={
        "W_f W_i W_C W_o": "hidden, hidden + inputs",
        "b_f b_i b_C b_o": "hidden",
    },
    papers=["hochreiter1997", "gers2000"],
)
def lstm(now, prev, x, p):
    """Long short-term memory with a forget gate."""
    hx = concat(prev.h, x)
    now.f = sigmoid(matvec(p.W_f, hx) + p.b_f)  # what to keep of the old state
    now.i = sigmoid(matvec(p.W_i, hx) + p.b_i)  # what to write
    now.C_tilde = tanh(matvec(p.W_C, hx) + p.b_C)  # the candidate
    now.C = now.f * prev.C + now.i * now.C_tilde
    now.o = sigmoid(matvec(p.W_o, hx) + p.b_o)  # what to show
    now.h = now.o * tanh(now.C)


@cell(
    state="h C",
    parameters={
        "W_f W_i W_o": "hidden, 2 * hidden + inputs",
        "W_C": "hidden, hidden + inputs",
        "b_f b_i b_C b_o": "hidden",
    },
    papers=["gers2000peephole", "gers2002"],
)
def lstm_peephole(now, prev, x, p):
    """LSTM with peepholes: every gate sees the cell state."""
    Chx = concat(prev.C, prev.h, x)
    now.f = sigmoid(matvec(p.W_f, Chx) + p.b_f)
    now.i = sigmoid(matvec(p.W_i, Chx) + p.b_i)
    now.C_tilde = tanh(matvec(p.W_C, concat(prev.h, x)) + p.b_C)
    now.C = now.f * prev.C + now.i * now.C_tilde
    now.o = sigmoid(matvec(p.W_o, concat(now.C, prev.h, x)) + p.b_o)  # sees the new state
    now.h = now.o * tanh(now.C)


@cell(
    state="h C",
    parameters={"W_f W_C W_o": "hidden, hidden + inputs", "b_f b_C b_o": "hidden"},
    papers=["greff2015"],
)
def lstm_coupled(now, prev, x, p):
    """LSTM with coupled gates: what is forgotten makes room for what is written."""
    hx = concat(prev.h, x)
    now.f = sigmoid(matvec(p.W_f, hx) + p.b_f)
    now.C_tilde = tanh(matvec(p.W_C, hx) + p.b_C)
    now.C = now.f * prev.C + (1 - now.f) * now.C_tilde
    now.o = sigmoid(matvec(p.W_o, hx) + p.b_o)
    now.h = now.o * tanh(now.C)


@cell(
    state="h",
    parameters={"W_z W_r W_h": "hidden, hidden + inputs"},
    papers=["cho2014", "chung2014"],
)
def gru(now, prev, x, p):
    """Gated recurrent unit, without biases; z is the share of the new state."""
    hx = concat(prev.h, x)
    now.z = sigmoid(matvec(p.W_z, hx))
    now.r = sigmoid(matvec(p.W_r, hx))
    now.h_tilde = tanh(matvec(p.W_h, concat(now.r * prev.h, x)))
    now.h = (1 - now.z) * prev.h + now.z * now.h_tilde
