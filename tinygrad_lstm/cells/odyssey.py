"""The vanilla LSTM of the search space odyssey (Greff et al. 2015) and its eight variants.

The numbers of parameters are for N units and M inputs.
"""

from tinygrad_lstm.ops import matvec, sigmoid, tanh
from tinygrad_lstm.step import cell

# mypy: disallow-untyped-defs=False


@cell(
    state="y c",
    papers=["greff2015"],
    parameters={
        "W_z W_i W_f W_o": "hidden, inputs",
        "R_z R_i R_f R_o": "hidden, hidden",
        "p_i p_f p_o b_z b_i b_f b_o": "hidden",
    },
)
def odyssey_vanilla(now, prev, x, p):
    """Vanilla LSTM: all gates, with diagonal peepholes. 4(NM + N² + N) + 3N parameters."""
    now.z = tanh(matvec(p.W_z, x) + matvec(p.R_z, prev.y) + p.b_z)
    now.i = sigmoid(matvec(p.W_i, x) + matvec(p.R_i, prev.y) + p.p_i * prev.c + p.b_i)
    now.f = sigmoid(matvec(p.W_f, x) + matvec(p.R_f, prev.y) + p.p_f * prev.c + p.b_f)
    now.c = now.z * now.i + prev.c * now.f
    now.o = sigmoid(matvec(p.W_o, x) + matvec(p.R_o, prev.y) + p.p_o * now.c + p.b_o)
    now.y = tanh(now.c) * now.o


@cell(
    state="y c",
    papers=["greff2015"],
    parameters={
        "W_z W_f W_o": "hidden, inputs",
        "R_z R_f R_o": "hidden, hidden",
        "p_f p_o b_z b_f b_o": "hidden",
    },
)
def nig(now, prev, x, p):
    """No input gate: i = 1. 3(NM + N² + N) + 2N parameters."""
    now.z = tanh(matvec(p.W_z, x) + matvec(p.R_z, prev.y) + p.b_z)
    now.f = sigmoid(matvec(p.W_f, x) + matvec(p.R_f, prev.y) + p.p_f * prev.c + p.b_f)
    now.c = now.z + prev.c * now.f
    now.o = sigmoid(matvec(p.W_o, x) + matvec(p.R_o, prev.y) + p.p_o * now.c + p.b_o)
    now.y = tanh(now.c) * now.o


@cell(
    state="y c",
    papers=["greff2015"],
    parameters={
        "W_z W_i W_o": "hidden, inputs",
        "R_z R_i R_o": "hidden, hidden",
        "p_i p_o b_z b_i b_o": "hidden",
    },
)
def nfg(now, prev, x, p):
    """No forget gate: f = 1. 3(NM + N² + N) + 2N parameters."""
    now.z = tanh(matvec(p.W_z, x) + matvec(p.R_z, prev.y) + p.b_z)
    now.i = sigmoid(matvec(p.W_i, x) + matvec(p.R_i, prev.y) + p.p_i * prev.c + p.b_i)
    now.c = now.z * now.i + prev.c
    now.o = sigmoid(matvec(p.W_o, x) + matvec(p.R_o, prev.y) + p.p_o * now.c + p.b_o)
    now.y = tanh(now.c) * now.o


@cell(
    state="y c",
    papers=["greff2015"],
    parameters={
        "W_z W_i W_f": "hidden, inputs",
        "R_z R_i R_f": "hidden, hidden",
        "p_i p_f b_z b_i b_f": "hidden",
    },
)
def nog(now, prev, x, p):
    """No output gate: o = 1. 3(NM + N² + N) + 2N parameters."""
    now.z = tanh(matvec(p.W_z, x) + matvec(p.R_z, prev.y) + p.b_z)
    now.i = sigmoid(matvec(p.W_i, x) + matvec(p.R_i, prev.y) + p.p_i * prev.c + p.b_i)
    now.f = sigmoid(matvec(p.W_f, x) + matvec(p.R_f, prev.y) + p.p_f * prev.c + p.b_f)
    now.c = now.z * now.i + prev.c * now.f
    now.y = tanh(now.c)


@cell(
    state="y c",
    papers=["greff2015"],
    parameters={
        "W_z W_i W_f W_o": "hidden, inputs",
        "R_z R_i R_f R_o": "hidden, hidden",
        "p_i p_f p_o b_z b_i b_f b_o": "hidden",
    },
)
def niaf(now, prev, x, p):
    """No input activation function: g(x) = x. 4(NM + N² + N) + 3N parameters."""
    now.z = matvec(p.W_z, x) + matvec(p.R_z, prev.y) + p.b_z
    now.i = sigmoid(matvec(p.W_i, x) + matvec(p.R_i, prev.y) + p.p_i * prev.c + p.b_i)
    now.f = sigmoid(matvec(p.W_f, x) + matvec(p.R_f, prev.y) + p.p_f * prev.c + p.b_f)
    now.c = now.z * now.i + prev.c * now.f
    now.o = sigmoid(matvec(p.W_o, x) + matvec(p.R_o, prev.y) + p.p_o * now.c + p.b_o)
    now.y = tanh(now.c) * now.o


@cell(
    state="y c",
    papers=["greff2015"],
    parameters={
        "W_z W_i W_f W_o": "hidden, inputs",
        "R_z R_i R_f R_o": "hidden, hidden",
        "p_i p_f p_o b_z b_i b_f b_o": "hidden",
    },
)
def noaf(now, prev, x, p):
    """No output activation function: h(x) = x. 4(NM + N² + N) + 3N parameters."""
    now.z = tanh(matvec(p.W_z, x) + matvec(p.R_z, prev.y) + p.b_z)
    now.i = sigmoid(matvec(p.W_i, x) + matvec(p.R_i, prev.y) + p.p_i * prev.c + p.b_i)
    now.f = sigmoid(matvec(p.W_f, x) + matvec(p.R_f, prev.y) + p.p_f * prev.c + p.b_f)
    now.c = now.z * now.i + prev.c * now.f
    now.o = sigmoid(matvec(p.W_o, x) + matvec(p.R_o, prev.y) + p.p_o * now.c + p.b_o)
    now.y = now.c * now.o


@cell(
    state="y c",
    papers=["greff2015"],
    parameters={
        "W_z W_i W_o": "hidden, inputs",
        "R_z R_i R_o": "hidden, hidden",
        "p_i p_o b_z b_i b_o": "hidden",
    },
)
def cifg(now, prev, x, p):
    """Coupled input and forget gate: f = 1 - i. 3(NM + N² + N) + 2N parameters."""
    now.z = tanh(matvec(p.W_z, x) + matvec(p.R_z, prev.y) + p.b_z)
    now.i = sigmoid(matvec(p.W_i, x) + matvec(p.R_i, prev.y) + p.p_i * prev.c + p.b_i)
    now.f = 1 - now.i
    now.c = now.z * now.i + prev.c * now.f
    now.o = sigmoid(matvec(p.W_o, x) + matvec(p.R_o, prev.y) + p.p_o * now.c + p.b_o)
    now.y = tanh(now.c) * now.o


@cell(
    state="y c",
    papers=["greff2015"],
    parameters={
        "W_z W_i W_f W_o": "hidden, inputs",
        "R_z R_i R_f R_o": "hidden, hidden",
        "b_z b_i b_f b_o": "hidden",
    },
)
def np(now, prev, x, p):
    """No peepholes. 4(NM + N² + N) parameters."""
    now.z = tanh(matvec(p.W_z, x) + matvec(p.R_z, prev.y) + p.b_z)
    now.i = sigmoid(matvec(p.W_i, x) + matvec(p.R_i, prev.y) + p.b_i)
    now.f = sigmoid(matvec(p.W_f, x) + matvec(p.R_f, prev.y) + p.b_f)
    now.c = now.z * now.i + prev.c * now.f
    now.o = sigmoid(matvec(p.W_o, x) + matvec(p.R_o, prev.y) + p.b_o)
    now.y = tanh(now.c) * now.o


@cell(
    state="y c i f o",
    papers=["greff2015"],
    parameters={
        "W_z W_i W_f W_o": "hidden, inputs",
        "R_z R_i R_f R_o": "hidden, hidden",
        "R_ii R_if R_io R_fi R_ff R_fo R_oi R_of R_oo": "hidden, hidden",
        "p_i p_f p_o b_z b_i b_f b_o": "hidden",
    },
)
def fgr(now, prev, x, p):
    """Full gate recurrence: every gate sees all gates a step before.

    4(NM + N² + N) + 3N + 9N² parameters. R_ab leads from gate b to gate a; in which order the
    paper writes the two letters of these nine matrices is not certain, and changes names alone.
    """
    now.z = tanh(matvec(p.W_z, x) + matvec(p.R_z, prev.y) + p.b_z)
    now.i = sigmoid(
        matvec(p.W_i, x)
        + matvec(p.R_i, prev.y)
        + p.p_i * prev.c
        + p.b_i
        + matvec(p.R_ii, prev.i)
        + matvec(p.R_if, prev.f)
        + matvec(p.R_io, prev.o)
    )
    now.f = sigmoid(
        matvec(p.W_f, x)
        + matvec(p.R_f, prev.y)
        + p.p_f * prev.c
        + p.b_f
        + matvec(p.R_fi, prev.i)
        + matvec(p.R_ff, prev.f)
        + matvec(p.R_fo, prev.o)
    )
    now.c = now.z * now.i + prev.c * now.f
    now.o = sigmoid(
        matvec(p.W_o, x)
        + matvec(p.R_o, prev.y)
        + p.p_o * now.c
        + p.b_o
        + matvec(p.R_oi, prev.i)
        + matvec(p.R_of, prev.f)
        + matvec(p.R_oo, prev.o)
    )
    now.y = tanh(now.c) * now.o
