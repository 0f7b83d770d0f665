"""Convolutional cells in one dimension: a state is a row of places, each with its channels."""

from tinygrad_lstm import cell, concat, relu, sigmoid, split, tanh


def conv(v, kernel):
    """A row (width, channels) with a kernel (3, channels, out), zeros beyond both ends."""
    nothing = 0 * v[:1]
    left = concat(nothing, v[:-1], axis=0)
    right = concat(v[1:], nothing, axis=0)
    return left @ kernel[0] + v @ kernel[1] + right @ kernel[2]


@cell(
    state={"H C": "width, hidden"},
    x="width, inputs",
    parameters={"W": "3, inputs + hidden, 4 * hidden", "b": "4 * hidden", "w_i w_f w_o": "hidden"},
    sizes={"width": "at least 2"},
)
def conv_lstm(now, prev, x, p):
    """ConvLSTM (Shi et al. 2015) along one dimension, peepholes a channel; tensorflow #23870."""
    i, f, g, o = split(conv(concat(x, prev.H), p.W) + p.b, 4)
    now.i = sigmoid(i + p.w_i * prev.C)
    now.f = sigmoid(f + p.w_f * prev.C)
    now.C = now.f * prev.C + now.i * tanh(g)
    now.o = sigmoid(o + p.w_o * now.C)
    now.H = now.o * tanh(now.C)


@cell(
    state={"h": "width, hidden"},
    x="width, inputs",
    parameters={"W": "3, inputs, hidden", "U": "3, hidden, hidden", "b": "hidden"},
)
def conv_rnn(now, prev, x, p):
    """Its plain form: every place reads itself and its neighbours; Precipitation-Nowcasting #1."""
    now.h = relu(conv(x, p.W) + conv(prev.h, p.U) + p.b)
