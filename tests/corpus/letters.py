"""What runs over places, written for one place with a letter."""

from tinygrad_lstm import (
    cell,
    concat,
    each,
    exp,
    matvec,
    sigmoid,
    softmax,
    sum,
    tanh,
    total,
    vecdot,
)


@cell(
    state="s",
    parameters={
        "W_a": "align, hidden",
        "U_a": "align, annotation",
        "v_a": "align",
        "W U": "hidden, hidden",
        "C": "hidden, annotation",
        "V": "hidden, inputs",
    },
    constants={"H": "length, annotation"},
    start={"v_a": "uniform"},
)
def by_letter(now, prev, x, p, H):
    """Additive attention, place by place."""
    query = matvec(p.W_a, prev.s)
    now.e = each("j", H, lambda h_j: vecdot(p.v_a, tanh(query + matvec(p.U_a, h_j))))
    now.alpha = softmax(now.e)
    now.c = total("j", now.alpha, H, lambda a_j, h_j: a_j * h_j)
    now.s = tanh(matvec(p.W, prev.s) + matvec(p.C, now.c) + matvec(p.V, x))


@cell(
    state="h",
    x="height, width",
    parameters={"w": "4, hidden", "W": "hidden, patch", "V": "hidden, hidden"},
    sizes={"patch": "at least 2"},
)
def filterbank(now, prev, x, p, size):
    """Rows of a Gaussian filterbank, F_{i,a}, and what they read of an image."""
    now.g = matvec(p.w, prev.h)
    now.mu = each("i", "patch", lambda i: now.g[0] + (i - size.patch / 2 - 0.5) * exp(now.g[1]))

    def near(mu_i):
        return each("a", "width", lambda a: exp(-((a - mu_i) ** 2) / (2 * exp(now.g[2]))))

    now.Q = each("i", now.mu, near)
    now.F = each("i", now.Q, lambda q_i: q_i / (1 + total("a", q_i, lambda q_ia: q_ia)))
    now.z = each("k", x, lambda x_k: each("i", now.F, lambda f_i: vecdot(f_i, x_k)))
    now.r = each("i", now.F, lambda f_i: total("k", x, lambda x_k: f_i * x_k))
    now.h = tanh(matvec(p.W, sum(now.r, axis=-1)) + matvec(p.V, prev.h) + sum(now.z))


@cell(
    state={"M": "slots, width", "u": "slots"},
    parameters={
        "K": "slots, width, inputs",
        "b": "slots, width",
        "w": "width",
        "V": "width, width",
    },
    output="r",
)
def slots_by_letter(now, prev, x, p):
    """A memory that is a state, and a matrix for each of its rows."""
    now.g = each("i", prev.M, p.b, lambda m_i, b_i: sigmoid(vecdot(p.w, m_i + b_i)))
    now.M = each(
        "i", prev.M, p.K, now.g, lambda m_i, K_i, g_i: tanh(matvec(p.V, m_i) + g_i * matvec(K_i, x))
    )
    now.u = each("i", prev.u, now.M, lambda u_i, m_i: 0.5 * u_i + sum(m_i) / 3)
    now.a = softmax(each("i", now.M, lambda m_i: vecdot(m_i, p.w)) + now.u)
    now.r = total("i", now.a, now.M, lambda a_i, m_i: a_i * concat(m_i, sigmoid(m_i)))


@cell(
    state="h",
    parameters={"W": "hidden, hidden", "V": "hidden, inputs", "s": ""},
    constants={"A": "left, hidden", "B": "right, hidden"},
)
def pairs_by_letter(now, prev, x, p, A, B):
    """Every row of one memory with every row of another, and sums over both."""
    now.S = each("i", A, lambda a_i: each("j", B, lambda b_j: vecdot(a_i * b_j, prev.h) + p.s))
    now.P = each("i", now.S, lambda s_i: softmax(s_i))
    now.m = total(
        "i",
        A,
        now.P,
        lambda a_i, p_i: total("j", B, p_i, lambda b_j, p_ij: p_ij * tanh(matvec(p.W, a_i - b_j))),
    )
    now.n = each("i", A, "left", lambda a_i, i: prev.h / i + a_i)
    now.h = tanh(now.m + matvec(p.V, x) + total("i", now.n, lambda n_i: n_i * 2 + prev.h))
