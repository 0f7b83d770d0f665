"""Gated cells."""

import numpy as np

from corpus.references import softmax, steps, σ


def norm(v, gain=1.0, bias=0.0, eps=1e-5):
    return gain * (v - np.average(v)) * (np.average(v**2) - np.average(v) ** 2 + eps) ** -0.5 + bias


@steps
def layernorm_lstm(p, s, x):
    z = np.stack([p.W_f, p.W_i, p.W_g, p.W_o]) @ np.append(s.h, x)
    f, i, o = (
        σ(norm(z[k], *gb))
        for k, gb in ((0, (p.s_f, p.b_f)), (1, (p.s_i, p.b_i)), (3, (p.s_o, p.b_o)))
    )
    g = np.tanh(norm(z[2], p.s_g, p.b_g))
    C = s.C * f + g * i
    return {"f": f, "i": i, "g": g, "o": o, "C": C, "h": np.tanh(norm(C, p.s_C, p.b_C)) * o}


@steps
def layernorm_lstm_packed(p, s, x):
    z = norm(p.W_ih @ x, p.gain_ih, p.bias_ih) + norm(p.W_hh @ s.h, p.gain_hh, p.bias_hh)
    i, f, g, o = z.reshape(4, -1)
    c = σ(f) * s.c + σ(i) * np.tanh(g)
    return {"gates": z, "c": c, "h": σ(o) * np.tanh(norm(c, p.gain_c, p.bias_c))}


@steps
def dreamer_gru(p, s, x):
    x_log = np.where(x > 0, np.log(1 + abs(x)), -np.log(1 + abs(x)))
    z = norm(p.W @ np.append(x_log, s.h), p.gain, p.shift, 1e-3)
    r, c, u = z.reshape(3, -1)
    u = 1 / (1 + np.e * np.exp(-u))
    cand = np.tanh(c / (1 + np.exp(-r)))
    return {"x_log": x_log, "cand": cand, "update": u, "h": s.h + u * (cand - s.h)}


@steps
def packed_lstm(p, s, x):
    W = np.c_[p.weight_ih, p.weight_hh, p.bias_ih + p.bias_hh].reshape(4, len(s.h), -1)
    i, f, g, o = np.einsum("gij,j->gi", W, np.r_[x, s.h, 1])
    i, f, g, o = σ(i), σ(f), np.tanh(g), σ(o)
    c = s.c * f + i * g
    return {"i": i, "f": f, "g": g, "o": o, "c": c, "h": np.tanh(c) * o}


@steps
def projected_lstm(p, s, x):
    W = np.hstack([p.weight_ih, p.weight_hh])
    i, f, g, o = (W @ np.hstack([x, s.h]) + p.bias).reshape(4, -1)
    c = s.c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
    return {"c": c, "h": (σ(o) * np.tanh(c)) @ p.weight_hr.T}


def reset_after(from_x, from_h, h):
    r, z, n = np.split(from_x, 3)
    r_h, z_h, n_h = np.split(from_h, 3)
    n = np.tanh(n + n_h / (1 + np.exp(-r - r_h)))
    keep = 1 / (1 + np.exp(-z - z_h))
    return {"z": keep, "n": n, "h": n + keep * (h - n)}


@steps
def chunked_gru(p, s, x):
    return reset_after(x @ p.W_ih.T + p.b_ih, s.h @ p.W_hh.T + p.b_hh, s.h)


@steps
def gru_hidden_bias(p, s, x):
    W, U = np.vstack([p.W_r, p.W_z, p.W_n]), np.vstack([p.U_r, p.U_z, p.U_n])
    b, b_h = np.hstack([p.b_r, p.b_z, p.b_n]), np.hstack([0 * p.b_r, 0 * p.b_z, p.b_hidden])
    return reset_after(W @ x + b, U @ s.h + b_h, s.h)


@steps
def numpy_lstm(p, s, x):
    f, i, o = (
        σ(np.append(s.h, x) @ W.T + b) for W, b in ((p.Wf, p.bf), (p.Wi, p.bi), (p.Wo, p.bo))
    )
    C_bar = np.tanh(np.append(s.h, x) @ p.Wc.T + p.bc)
    C = f * s.C + i * C_bar
    h = o * np.tanh(C)
    return {"f": f, "i": i, "C_bar": C_bar, "o": o, "C": C, "h": h, "y": softmax(p.Wy @ h + p.by)}


@steps
def mgu(p, s, x):
    f = σ(p.W_f @ np.r_[s.h, x] + p.b_f)
    new = np.tanh(p.W_h @ np.r_[f * s.h, x] + p.b_h)
    return {"f": f, "h_tilde": new, "h": s.h + f * (new - s.h)}


@steps
def ugrnn(p, s, x):
    g = 1 / (1 + np.exp(-1 - p.W_g @ x - p.U_g @ s.h - p.b_g))
    c = np.tanh(x @ p.W_c.T + s.h @ p.U_c.T + p.b_c)
    return {"g": g, "c": c, "h": c + g * (s.h - c)}


@steps
def janet(p, s, x):
    a = p.U_s @ s.c + p.W_s @ x + p.b_s
    c_tilde = np.tanh(p.U_c @ s.c + p.W_c @ x + p.b_c)
    return {"s": a, "c_tilde": c_tilde, "c": s.c * σ(a) + c_tilde * σ(1 - a)}  # 1 - σ(a - 1)


@steps
def star(p, s, x):
    k, z = σ(p.W_k @ x + p.U_k @ s.h + p.b_k), np.tanh(p.W_z @ x + p.b_z)
    return {"k": k, "z": z, "h": np.tanh(s.h + k * (z - s.h))}


@steps
def li_gru(p, s, x):
    z = σ(p.W_z @ x + p.U_z @ s.h + p.b_z)
    a = p.W_h @ x + p.U_h @ s.h + p.b_h
    return {"z": z, "h": z * s.h + (1 - z) * a * (a > 0)}


@steps
def fast_rnn(p, s, x):
    new = np.tanh(p.W @ x + p.U @ s.h + p.b)
    return {"h": new / (1 + np.exp(-p.alpha)) + s.h / (1 + np.exp(-p.beta))}


@steps
def fast_grnn(p, s, x):
    a = np.hstack([p.W, p.U]) @ np.hstack([x, s.h])
    z, new = σ(a + p.b_z), np.tanh(a + p.b_h)
    return {"z": z, "h": z * s.h + (σ(p.ζ) * (1 - z) + σ(p.ν)) * new}
