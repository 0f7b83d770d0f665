"""The GRU in two more forms: as first published, and as deep-learning libraries compute it."""

from tinygrad_lstm.ops import matvec, sigmoid, tanh
from tinygrad_lstm.step import cell

# mypy: disallow-untyped-defs=False


@cell(
    state="h",
    parameters={
        "W_r W_z W": "hidden, inputs",
        "U_r U_z U": "hidden, hidden",
        "b_r b_z b": "hidden",
    },
    papers=["cho2014"],
)
def gru_cho2014(now, prev, x, p):
    """GRU of Cho et al. (2014): the state is reset before the product; z is the share kept.

    In `gru`, the form of Chung et al. (2014), z is the share of the new state: the one form
    becomes the other if the sign of every weight and bias of z is changed. The paper prints no
    biases; zero biases are its equations. For H units and I inputs there are 3H(I + H + 1)
    parameters.

    This is the encoder of the published version. The paper's appendix resets its decoder after
    the product, as `gru_reset_after` does.
    """
    now.r = sigmoid(matvec(p.W_r, x) + matvec(p.U_r, prev.h) + p.b_r)
    now.z = sigmoid(matvec(p.W_z, x) + matvec(p.U_z, prev.h) + p.b_z)
    now.h_tilde = tanh(matvec(p.W, x) + matvec(p.U, now.r * prev.h) + p.b)
    now.h = now.z * prev.h + (1 - now.z) * now.h_tilde


@cell(
    state="h",
    parameters={
        "W_r W_z W_n": "hidden, inputs",
        "U_r U_z U_n": "hidden, hidden",
        "b_ir b_iz b_in b_hr b_hz b_hn": "hidden",
    },
    papers=["cho2014"],
)
def gru_reset_after(now, prev, x, p):
    """GRU of cuDNN, PyTorch and Keras: the product is reset, together with a bias of its own.

    All recurrent products can be computed at once, before r is known. The two biases of a gate
    add up; b_hn stands inside the reset, so that it cannot be merged with b_in, and with b_hn ≠ 0
    no cell that resets before the product computes the same. n is the libraries' letter for the
    candidate. For H units and I inputs there are 3H(I + H + 2) parameters.
    """
    now.r = sigmoid(matvec(p.W_r, x) + p.b_ir + matvec(p.U_r, prev.h) + p.b_hr)
    now.z = sigmoid(matvec(p.W_z, x) + p.b_iz + matvec(p.U_z, prev.h) + p.b_hz)
    now.h_tilde = tanh(
        matvec(p.W_n, x) + p.b_in + now.r * (matvec(p.U_n, prev.h) + p.b_hn)
    )
    now.h = now.z * prev.h + (1 - now.z) * now.h_tilde
