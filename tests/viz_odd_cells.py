"""Valid cells of every odd kind that people write, each small: figures must draw them all."""

import numpy as np

from tinygrad_lstm import (
    cell,
    clip,
    concat,
    cumsum,
    exp,
    logsumexp,
    matmul,
    matvec,
    maximum,
    mean,
    outer,
    relu,
    reshape,
    sigmoid,
    softmax,
    softplus,
    sqrt,
    stack,
    swapaxes,
    tanh,
    transpose,
    vecdot,
    where,
)
from tinygrad_lstm import max as largest
from tinygrad_lstm import sum as total

# mypy: disallow-untyped-defs=False

BOTH = "hidden, hidden + inputs"


@cell(state="h", parameters={"w": "hidden + inputs", "W": BOTH})
def scalar_gate(now, prev, x, p):
    """One number gates the whole state."""
    hx = concat(prev.h, x)
    now.g = sigmoid(vecdot(p.w, hx))
    now.h = now.g * prev.h + (1 - now.g) * tanh(matvec(p.W, hx))


@cell(state="h", parameters={"a": "hidden", "W": "hidden, inputs"})
def parameter_alone(now, prev, x, p):
    """An equation of a parameter alone."""
    now.alpha = sigmoid(p.a)
    now.h = now.alpha * prev.h + matvec(p.W, x)


@cell(state="h", x="hidden", parameters={"a mu_k": "hidden"})
def one_minus(now, prev, x, p):
    """One minus a parameter, as a factor."""
    now.k = p.mu_k * x + (1 - p.mu_k) * prev.h
    now.h = (1 - p.a) * now.k


@cell(state="h m pp", x="hidden", parameters={"w u": "hidden"})
def decay(now, prev, x, p):
    """RWKV's running maximum with exp(w) taken away."""
    now.q = maximum(prev.pp - exp(p.w), x + p.u)
    now.m = exp(prev.pp - exp(p.w) - now.q) * prev.m + exp(x - now.q)
    now.pp = now.q
    now.h = now.m / (1 + exp(-p.u))


@cell(state="h", parameters={"W": "hidden, inputs", "U": "hidden, hidden", "s t": "hidden"})
def normalised(now, prev, x, p):
    """Layer normalisation of a product."""
    now.a = matvec(p.W, x) + matvec(p.U, prev.h)
    now.mean = mean(now.a, axis=-1, keepdims=True)
    centred = now.a - now.mean
    now.var = mean(centred * centred, axis=-1, keepdims=True)
    now.h = tanh(p.s * centred / sqrt(now.var + 1e-5) + p.t)


@cell(state="h", parameters={"W": "hidden, inputs", "U": "hidden, hidden"})
def mean_of_product(now, prev, x, p):
    """The mean is that of a product, not of what goes into it."""
    now.h = tanh(matvec(p.W, x) + mean(matvec(p.U, prev.h)))


@cell(
    state="h C",
    parameters={"W": "4 * hidden, inputs", "U": "4 * hidden, hidden", "b": "4 * hidden"},
)
def packed(now, prev, x, p):
    """Four gates of one product, cut apart."""
    now.z = matvec(p.W, x) + matvec(p.U, prev.h) + p.b
    n = prev.h.shape[-1]
    i, f, g, o = (now.z[..., k * n : (k + 1) * n] for k in range(4))
    now.C = sigmoid(f) * prev.C + sigmoid(i) * tanh(g)
    now.h = sigmoid(o) * tanh(now.C)


@cell(
    state={"h": "hidden", "M": "hidden, hidden"},
    parameters={"W_k W_v W_q": "hidden, inputs", "w_f": "inputs"},
)
def matrix_state(now, prev, x, p):
    """A matrix as memory, written by outer products."""
    now.k = matvec(p.W_k, x)
    now.v = matvec(p.W_v, x)
    now.q = matvec(p.W_q, x)
    now.f = sigmoid(vecdot(p.w_f, x))
    now.M = now.f * prev.M + outer(now.v, now.k)
    now.h = matvec(now.M, now.q) / maximum(abs(vecdot(now.k, now.q)), 1)


@cell(
    state="s",
    parameters={
        "W_a": "align, hidden",
        "U_a": "align, annotation",
        "v_a": "align",
        "W": "hidden, hidden + inputs + annotation",
    },
    constants={"H": "length, annotation"},
)
def attention(now, prev, x, p, H):
    """Attends to a memory with additive scores."""
    keys = matmul(H, swapaxes(p.U_a, 0, 1))
    now.e = matvec(tanh(matvec(p.W_a, prev.s)[None, :] + keys), p.v_a)
    now.alpha = softmax(now.e)
    now.c = total(reshape(now.alpha, (-1, 1)) * H, axis=0)
    now.s = tanh(matvec(p.W, concat(prev.s, x, now.c)))


@cell(state="h", parameters={"W": BOTH, "W_y": "outputs, hidden", "b_y": "outputs"})
def readout(now, prev, x, p):
    """An equation that no state reads."""
    now.h = tanh(matvec(p.W, concat(prev.h, x)))
    now.y = softmax(matvec(p.W_y, now.h) + p.b_y)


@cell(state="h", parameters={"W_f W_h": BOTH, "b_f b_h": "hidden"})
def minimal_gated(now, prev, x, p):
    """The minimal gated unit."""
    now.f = sigmoid(matvec(p.W_f, concat(prev.h, x)) + p.b_f)
    now.h_tilde = tanh(matvec(p.W_h, concat(now.f * prev.h, x)) + p.b_h)
    now.h = (1 - now.f) * prev.h + now.f * now.h_tilde


@cell(
    state="s",
    parameters={"W_h W_t": "hidden, inputs", "R_h R_t": "3, hidden, hidden", "b": "3, hidden"},
)
def highway(now, prev, x, p):
    """A recurrent highway of depth three, in a loop."""
    s = prev.s
    for depth in range(3):
        u, v = matvec(p.R_h[depth], s) + p.b[depth], matvec(p.R_t[depth], s)
        if depth == 0:
            u, v = u + matvec(p.W_h, x), v + matvec(p.W_t, x)
        t = sigmoid(v)
        s = tanh(u) * t + s * (1 - t)
    now.s = s


@cell(state="x y", parameters={"W": "hidden, inputs", "U V": "hidden, hidden"})
def state_x(now, prev, x, p):
    """An echo state that is called x."""
    now.x = tanh(matvec(p.W, x) + matvec(p.U, prev.x))
    now.y = tanh(matvec(p.V, now.x)) + prev.y


@cell(
    state="h output next",
    parameters={"b step": "hidden", "delta bar": "hidden, hidden", "tanh_": "hidden, inputs"},
    sequences={"time": "hidden"},
    constants={"body": "hidden"},
)
def odd_names(now, prev, x, p, time, body):
    """Names that figures use for things of their own."""
    now.add = sigmoid(matvec(p.bar, prev.h) + p.b)
    now.tanh = tanh(matvec(p.delta, prev.output) + matvec(p.tanh_, x))
    now.seed = now.add * now.tanh + time
    now.count = now.seed * p.step
    now.values = now.count - body
    now.prev = now.values + prev.next
    now.label = -now.prev
    now.output = now.label * prev.output
    now.next = now.output + now.seed
    now.h = now.next * (now.output - now.add)


@cell(state="σ", parameters={"게이트 lambda_": "hidden, hidden", "W__x": "hidden, inputs"})
def greek(now, prev, x, p):
    """Letters of other scripts, and underscores."""
    now.문 = sigmoid(matvec(p.게이트, prev.σ))
    now.α = tanh(matvec(p.lambda_, prev.σ) + matvec(p.W__x, x))
    now.σ = now.문 * prev.σ + now.α


@cell(state="h n", parameters={"W": "hidden, inputs"})
def never_read(now, prev, x, p):
    """A state that nothing reads, and one that counts."""
    now.h = tanh(matvec(p.W, x))
    now.n = prev.n + 1


@cell(state="h c d", parameters={" ".join(f"W_{k}" for k in range(8)): BOTH, "V": "hidden, hidden"})
def fifteen(now, prev, x, p):
    """Fifteen equations that read one another."""
    hx = concat(prev.h, x)
    now.a_1 = sigmoid(matvec(p.W_0, hx))
    now.a_2 = sigmoid(matvec(p.W_1, hx))
    now.a_3 = tanh(matvec(p.W_2, concat(now.a_1 * prev.h, x)))
    now.a_4 = tanh(matvec(p.W_3, concat(now.a_2 * prev.c, x)))
    now.a_5 = now.a_1 * now.a_4 + now.a_2 * now.a_3
    now.a_6 = sigmoid(matvec(p.W_4, concat(now.a_5, x)))
    now.c = now.a_6 * prev.c + (1 - now.a_6) * now.a_3
    now.a_7 = sigmoid(matvec(p.W_5, concat(now.c, x)))
    now.d = now.a_7 * prev.d + now.a_6 * now.a_4
    now.a_8 = tanh(matvec(p.V, now.d))
    now.a_9 = softmax(matvec(p.W_6, hx))
    now.a_10 = now.a_8 * now.a_9 + now.a_5
    now.a_11 = now.a_10 - now.c
    now.a_12 = sigmoid(matvec(p.W_7, hx))
    now.h = now.a_12 * tanh(now.a_11) + (1 - now.a_12) * now.a_10


@cell(state="h", x="hidden", parameters={"w": "hidden"})
def reductions(now, prev, x, p):
    """Sums, means, largest entries, cumulative sums, logsumexp."""
    now.s = total(prev.h * x)
    now.m = largest(prev.h)
    now.l = logsumexp(x + p.w)
    now.k = cumsum(x) / (1 + abs(now.s))
    now.h = now.k * (now.m - now.l) + mean(x) * prev.h


@cell(state="h", x="hidden", parameters={"low W": "hidden", "U": "hidden, hidden"})
def kinks(now, prev, x, p):
    """where, clip, maximum of a parameter, and comparisons."""
    now.u = clip(prev.h + x, -1.5, 2)
    now.v = maximum(now.u, p.low)
    now.w = where(x > prev.h, now.v, p.W * x)
    now.h = relu(matvec(p.U, now.w)) + where(now.u >= 0, 0.25, now.u)


@cell(state="h", x="hidden", parameters={"W": "hidden, hidden"})
def constants_inside(now, prev, x, p):
    """Numbers and arrays in the text: an antisymmetric matrix with a little friction."""
    friction = 0.01 * np.eye(prev.h.shape[-1])
    now.k = np.arange(prev.h.shape[-1]) * x
    now.h = prev.h + 0.1 * tanh(matvec(p.W - swapaxes(p.W, 0, 1) - friction, prev.h) + now.k)


@cell(state="h", parameters={"W": "2, hidden, inputs", "U": "hidden, 2 * hidden"})
def reshaped(now, prev, x, p):
    """A tensor of weights, its product as one row."""
    n = prev.h.shape[-1]
    now.z = matvec(p.W, x)
    now.r = reshape(now.z, (2 * n,))
    now.h = tanh(matvec(p.U, now.r) + prev.h)


@cell(
    state={"h": "hidden", "K": "hidden, slots", "L": "slots"},
    parameters={"W": "hidden, inputs", "w": "slots"},
)
def transposed(now, prev, x, p):
    """A matrix turned around, and a product of three."""
    now.k = matvec(p.W, x)
    now.K = prev.K + outer(now.k, p.w)
    now.L = softmax(matvec(transpose(now.K), now.k)) + 0.5 * prev.L
    now.h = tanh(matvec(matmul(now.K, swapaxes(now.K, 0, 1)), prev.h))


@cell(state="h", x="", parameters={"W": "hidden, hidden", "b": "hidden"})
def no_input(now, prev, x, p):
    """A network that reads nothing."""
    now.h = tanh(matvec(p.W, prev.h) + p.b + 1)


@cell(state="y h", parameters={"W": BOTH, "V": "hidden, hidden"})
def output_second(now, prev, x, p):
    """Its output is the second state."""
    now.h = tanh(matvec(p.W, concat(prev.h, x)))
    now.y = sigmoid(matvec(p.V, now.h)) * prev.y + now.h


@cell(state="h", parameters={"W": "hidden, inputs"})
def powers(now, prev, x, p):
    """Squares, roots, a quotient of one, a value twice."""
    now.v = matvec(p.W, x)
    now.s = now.v * now.v + prev.h**2
    now.h = 1 / sqrt(2 + now.s) - now.s**0.5 + (now.v + now.v) / 3


@cell(state="h s", x="hidden", parameters={"beta": "hidden"})
def spikes(now, prev, x, p):
    """A surrogate gradient: the step forward, a slope backward."""
    now.h = clip(p.beta, 0, 1) * prev.h + x - prev.s
    now.soft = sigmoid(4 * (now.h - 1))
    now.s = now.soft + ((now.h > 1) - now.soft).detach()


@cell(state="h", parameters={"W": "hidden, inputs", "U": "hidden, hidden"})
def repeated(now, prev, x, p):
    """Other names of the same values, and a gate that is read by name and by expression."""
    now.u = matvec(p.W, x)
    now.v = now.u
    now.w = now.v + matvec(p.U, prev.h)
    now.h = softplus(now.w) * now.v + stack([now.u, now.w]).sum(axis=0)


@cell(state="h C", parameters={"W_i W_f W_z": BOTH, "p_i": "hidden", "q": "hidden"})
def peepholes(now, prev, x, p):
    """Gains and offsets inside a layer that are functions of parameters."""
    hx = concat(prev.h, x)
    now.i = sigmoid(matvec(p.W_i, hx) + p.p_i * prev.C + exp(p.q))
    now.f = sigmoid(matvec(p.W_f, hx) + 1)
    now.C = now.f * prev.C + now.i * tanh(matvec(p.W_z, hx))
    now.h = (p.q**2 - p.p_i) * tanh(now.C)


ODD = tuple(value for value in list(globals().values()) if type(value).__name__ == "Cell")
