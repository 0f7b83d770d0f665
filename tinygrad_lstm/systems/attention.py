"""Attention: decoders that read a memory, H_j for every place j, and what others have made of it.

The scores e_j say how well each place fits, α is their softmax, the context c is the mean that α
weighs. A memory is a constant of all steps: what an encoder gave, (length, annotation).
"""

from tinygrad_lstm.cells.gated import lstm
from tinygrad_lstm.layers import layer
from tinygrad_lstm.letters import each, total
from tinygrad_lstm.ops import concat, matvec, max, sigmoid, softmax, sqrt, sum, tanh, vecdot, where
from tinygrad_lstm.random_variables import log_categorical
from tinygrad_lstm.step import cell

# mypy: disallow-untyped-defs=False

PADDING = -10000.0  # the score of a place that is none, whose weight is 0


@cell(
    state="s",
    parameters={
        "W_a": "align, hidden",
        "U_a": "align, annotation",
        "v_a": "align",
        "W_z W_r W": "hidden, inputs",
        "U_z U_r U": "hidden, hidden",
        "C_z C_r C": "hidden, annotation",
        "U_o": "readout, 2, hidden",
        "V_o": "readout, 2, inputs",
        "C_o": "readout, 2, annotation",
        "W_o": "symbols, readout",
    },
    sequences={"y": "symbols"},
    constants={"H": "length, annotation", "mask": "length"},
    output="logits",
    loss="L",
    papers=["bahdanau2014"],
)
def bahdanau(now, prev, x, p, y, H, mask):
    """The decoder of RNNsearch, with additive attention and its maxout read-out.

    x is the embedding of the word before, y the word to be said, one-hot; mask is 1 where H has a
    place and 0 where it is padded. Scores and read-out see the state before the step. v_a starts
    at 0, so that attention is uniform at first; ln p(y) is -L.
    """
    query = matvec(p.W_a, prev.s)
    now.e = each("j", H, lambda h_j: vecdot(p.v_a, tanh(query + matvec(p.U_a, h_j))))
    now.alpha = softmax(where(mask > 0.5, now.e, PADDING))
    now.c = total("j", now.alpha, H, lambda a_j, h_j: a_j * h_j)
    now.z = sigmoid(matvec(p.W_z, x) + matvec(p.U_z, prev.s) + matvec(p.C_z, now.c))
    now.r = sigmoid(matvec(p.W_r, x) + matvec(p.U_r, prev.s) + matvec(p.C_r, now.c))
    now.s_tilde = tanh(matvec(p.W, x) + matvec(p.U, now.r * prev.s) + matvec(p.C, now.c))
    now.s = (1 - now.z) * prev.s + now.z * now.s_tilde

    def best_of_two(U_k, V_k, C_k):
        return max(matvec(U_k, prev.s) + matvec(V_k, x) + matvec(C_k, now.c))

    now.m = each("k", p.U_o, p.V_o, p.C_o, best_of_two)
    now.logits = matvec(p.W_o, now.m)
    now.L = -log_categorical(y, now.logits)


@layer(
    x="length, annotation",
    parameters={"W_h W_c": "hidden, annotation", "b_h b_c": "hidden"},
    output="h c",
    papers=["xu2015"],
)
def xu2015_start(now, x, p, size):
    """The first states of `xu2015`, from the mean annotation of a picture."""
    now.a_bar = total("j", x, lambda a_j: a_j) / size.length
    now.h = tanh(matvec(p.W_h, now.a_bar) + p.b_h)
    now.c = tanh(matvec(p.W_c, now.a_bar) + p.b_c)


@cell(
    state={"h c": "hidden", "A": "length"},
    parameters={
        "W_i W_f W_o W_g": "hidden, inputs + hidden + annotation",
        "b_i b_f b_o b_g": "hidden",
        "W_c": "align, annotation",
        "W_d": "align, hidden",
        "b_att U_att": "align",
        "c_tt": "",
        "W_sel": "hidden",
        "b_sel": "",
        "L_h": "inputs, hidden",
        "L_z": "inputs, annotation",
        "L_o": "symbols, inputs",
    },
    start={"U_att": "uniform", "W_sel": "uniform"},
    sequences={"y": "symbols"},
    constants={"a": "length, annotation"},
    output="logits",
    loss="L",
    papers=["xu2015"],
)
def xu2015(now, prev, x, p, y, a):
    """Show, attend and tell: an LSTM that looks at places of a picture, softly, to caption it.

    x is the embedding of the word before, y the word to be said, one-hot, a_j what a picture has
    at place j. A_j sums over time how much place j was looked at; over a sequence the penalties D
    add to Σ_j (1 - A_j)² less the number of places: every place should be seen once.
    """
    query = matvec(p.W_d, prev.h) + p.b_att
    now.e = each("j", a, lambda a_j: vecdot(p.U_att, tanh(matvec(p.W_c, a_j) + query)) + p.c_tt)
    now.alpha = softmax(now.e)
    now.beta = sigmoid(vecdot(p.W_sel, prev.h) + p.b_sel)  # how much the picture matters here
    now.z_hat = now.beta * total("j", now.alpha, a, lambda alpha_j, a_j: alpha_j * a_j)
    xhz = concat(x, prev.h, now.z_hat)
    now.i = sigmoid(matvec(p.W_i, xhz) + p.b_i)
    now.f = sigmoid(matvec(p.W_f, xhz) + p.b_f)
    now.o = sigmoid(matvec(p.W_o, xhz) + p.b_o)
    now.g = tanh(matvec(p.W_g, xhz) + p.b_g)
    now.c = now.f * prev.c + now.i * now.g
    now.h = now.o * tanh(now.c)
    now.logits = matvec(p.L_o, tanh(matvec(p.L_h, now.h) + x + matvec(p.L_z, now.z_hat)))
    now.A = prev.A + now.alpha
    now.D = sum((1 - now.A) ** 2) - sum((1 - prev.A) ** 2)
    now.L = now.D - log_categorical(y, now.logits)


@cell(
    state="h C h_att",
    parts={"rnn": lstm},
    parameters={"W_a": "hidden, annotation", "W_c": "hidden, annotation + hidden"},
    constants={"H": "length, annotation"},
    output="h_att",
    papers=["luong2015"],
)
def luong_general(now, prev, x, p, H, part):
    """Global attention of Luong et al. with the score h · W_a H_j, and input feeding."""
    now.h, now.C = part.rnn(concat(x, prev.h_att), prev)
    now.e = each("j", H, lambda h_j: vecdot(now.h, matvec(p.W_a, h_j)))
    now.alpha = softmax(now.e)
    now.c = total("j", now.alpha, H, lambda a_j, h_j: a_j * h_j)
    now.h_att = tanh(matvec(p.W_c, concat(now.c, now.h)))


@cell(
    state="h C h_att",
    parts={"rnn": lstm},
    parameters={"W_c": "hidden, 2 * hidden"},
    constants={"H": "length, hidden"},
    output="h_att",
    papers=["luong2015"],
)
def luong_dot(now, prev, x, p, H, part):
    """Global attention of Luong et al. with the score h · H_j, and input feeding."""
    now.h, now.C = part.rnn(concat(x, prev.h_att), prev)
    now.e = each("j", H, lambda h_j: vecdot(now.h, h_j))
    now.alpha = softmax(now.e)
    now.c = total("j", now.alpha, H, lambda a_j, h_j: a_j * h_j)
    now.h_att = tanh(matvec(p.W_c, concat(now.c, now.h)))


@cell(
    state="h C h_att",
    parts={"rnn": lstm},
    parameters={
        "W_a": "align, hidden + annotation",
        "v_a": "align",
        "W_c": "hidden, annotation + hidden",
    },
    constants={"H": "length, annotation"},
    start={"v_a": "uniform"},
    output="h_att",
    papers=["luong2015"],
)
def luong_concat(now, prev, x, p, H, part):
    """Global attention of Luong et al. with the score v_a · tanh(W_a [h, H_j]), input feeding."""
    now.h, now.C = part.rnn(concat(x, prev.h_att), prev)
    now.e = each("j", H, lambda h_j: vecdot(p.v_a, tanh(matvec(p.W_a, concat(now.h, h_j)))))
    now.alpha = softmax(now.e)
    now.c = total("j", now.alpha, H, lambda a_j, h_j: a_j * h_j)
    now.h_att = tanh(matvec(p.W_c, concat(now.c, now.h)))


@cell(
    state="h C",
    parts={"rnn": lstm},
    parameters={"W_q": "key, hidden", "W_k": "key, annotation", "W_v": "value, annotation"},
    constants={"H": "length, annotation"},
    papers=["vaswani2017"],
)
def dot_product(now, prev, x, p, H, part, size):
    """An LSTM that asks a memory: scaled dot-product attention with queries, keys and values."""
    now.q = matvec(p.W_q, prev.h)
    now.e = each("j", H, lambda h_j: vecdot(now.q, matvec(p.W_k, h_j)) / sqrt(size.key))
    now.alpha = softmax(now.e)
    now.c = total("j", now.alpha, H, lambda a_j, h_j: a_j * matvec(p.W_v, h_j))
    now.h, now.C = part.rnn(concat(x, now.c), prev)
