"""RNNsearch (Bahdanau, Cho and Bengio 2014): an encoder, and a decoder that searches its states.

    p = rnnsearch.init(inputs=9, hidden=32, align=32, readout=32)
    run = unroll(rnnsearch, p, source=xs, target=ys, lengths={"source": n, "target": m})
    run["decoder.alpha"]                              # (steps, batch, places): what each step read
    run.loss                                          # -ln p(target | source), mean over the batch

Source and target are one-hot, (time, batch, symbols): the first product with them is the embedding.
"""

from tinygrad_lstm import cells
from tinygrad_lstm.layers import layer
from tinygrad_lstm.networks import bidirectional, system
from tinygrad_lstm.ops import matvec, tanh
from tinygrad_lstm.systems.attention import bahdanau
from tinygrad_lstm.wires import before, final, mask, whole

# mypy: disallow-untyped-defs=False


@layer(parameters={"W_s": "hidden, inputs"}, papers=["bahdanau2014"])
def first_state(now, x, p):
    """What a decoder starts from: s_0 = tanh(W_s h_1) of the state that has read back."""
    now.s = tanh(matvec(p.W_s, x))


rnnsearch = system(
    encoder=bidirectional(cells.gru),
    start=first_state,
    decoder=bahdanau,
    wires={
        "encoder.x": "source",
        "start.x": final("encoder.backward.h"),
        "decoder.x": before("target"),
        "decoder.y": "target",
        "decoder.H": whole("encoder.h"),
        "decoder.mask": mask("encoder"),
        "decoder.initial.s": "start.s",
    },
    name="rnnsearch",
)
