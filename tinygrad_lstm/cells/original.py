"""The LSTM of 1997: memory blocks that cannot forget."""

from tinygrad_lstm.ops import concat, matvec, sigmoid
from tinygrad_lstm.step import cell

# mypy: disallow-untyped-defs=False


@cell(
    state={"h s_c": "cells", "y_in y_out": "blocks"},
    parameters={
        "W_in W_out": "blocks, inputs + cells + 2 * blocks",
        "W_c": "cells, inputs + cells + 2 * blocks",
        "b_in b_out": "blocks",
        "b_c": "cells",
    },
    constants={"expand": "cells, blocks"},
    papers=["hochreiter1997"],
)
def lstm_1997(now, prev, x, p, expand):
    """Long short-term memory without a forget gate (Hochreiter & Schmidhuber 1997).

    h is the paper's y^c, the output of its memory cells; s_c is their internal state. The cells of
    a block share its gates: `expand` is the matrix of 0 and 1 that copies a gate to the cells of
    its block, `numpy.kron(numpy.eye(blocks), numpy.ones((S, 1)))` for S cells a block and the
    identity for one. The gates see what they themselves said a step before, y_in and y_out:
    without that the published numbers of weights do not come out.

    The squashing functions are the paper's, g(a) = 4 σ(a) - 2 in [-2, 2] and h(a) = 2 σ(a) - 1 in
    [-1, 1]. (The caption of its table 10 exchanges the two ranges, against its text.) Which biases
    there are differs from task to task: none, those of the gates, or all; leave the others zero.

    With C cells, B blocks and I inputs there are (C + 2B)(I + C + 2B) weights and C + 2B biases.
    The paper truncates the gradient: no error passes through z. Here it is whole.
    """
    z = concat(x, prev.h, prev.y_in, prev.y_out)
    now.y_in = sigmoid(matvec(p.W_in, z) + p.b_in)  # a block's input gate
    now.y_out = sigmoid(matvec(p.W_out, z) + p.b_out)  # and its output gate
    now.g = 4 * sigmoid(matvec(p.W_c, z) + p.b_c) - 2
    now.s_c = prev.s_c + matvec(expand, now.y_in) * now.g  # nothing is ever forgotten
    now.h = matvec(expand, now.y_out) * (2 * sigmoid(now.s_c) - 1)
