"""Exponential gates, depth, memories, attention, noise, and the rest."""

import math

import numpy as np

from corpus.references import softmax, steps, whole, σ


def norm(v, gain):
    return gain * (v - v.mean()) / np.sqrt(v.var() + 1e-5)


@whole
def slstm(p, xs, start):
    h, scale = start["h"], np.exp(start["m"])
    c, n, rows = start["c"] * scale, start["n"] * scale, []
    for x in xs:  # without the stabiliser
        W, R = np.stack([p.W_z, p.W_i, p.W_f, p.W_o]), np.stack([p.R_z, p.R_i, p.R_f, p.R_o])
        z, i, f, o = W @ x + R @ h + [p.b_z, p.b_i, p.b_f, p.b_o]
        c, n = σ(f) * c + np.exp(i) * np.tanh(z), σ(f) * n + np.exp(i)
        h = σ(o) * c / n
        rows.append(h)
    return {"h": np.array(rows)}


def read(p, us, start):
    """What mLSTM reads for vectors us, without the stabiliser."""
    C, n, rows = start["C"] * np.exp(start["m"]), start["n"] * np.exp(start["m"]), []
    for u in us:
        q, k, v = p.W_q @ u, p.W_k @ u / np.sqrt(len(p.W_k)), p.W_v @ u
        i, f = np.exp(p.w_i @ u + p.b_i), σ(p.w_f @ u + p.b_f)
        C, n = f * C + i * np.outer(v, k), f * n + i * k
        rows.append(C @ q / max(abs(n @ q), 1))
    return np.array(rows)


@whole
def mlstm(p, xs, start):
    return {"h": σ(xs @ p.W_o.T + p.b_o) * read(p, xs, start)}


@whole
def xlstm_block(p, xs, start):
    up = np.array([p.W_up @ norm(x, p.s) for x in xs])
    u, z = np.hsplit(up, 2)
    h = np.array([norm(r, p.s_h) for r in read(p, u, start)])
    return {"h": h, "y": xs + (h * z * σ(z)) @ p.W_down.T}


@steps
def gelu_block(p, s, x):
    z, i, f, o = np.split(p.W @ np.r_[norm(x, p.s), s.h], 4)
    c = σ(f) * s.c + σ(i) * np.tanh(z)
    h = σ(o) * np.tanh(c)
    Φ = np.array([0.5 * math.erfc(-a / math.sqrt(2)) for a in p.W_1 @ h])
    return {"c": c, "h": h, "y": x + p.W_3 @ ((p.W_1 @ h) * Φ * (p.W_2 @ h))}


@steps
def conv_lstm(p, s, x):
    wide = np.pad(np.hstack([x, s.H]), ((1, 1), (0, 0)))
    z = np.array([np.einsum("kc,kco->o", wide[k : k + 3], p.W) for k in range(len(x))]) + p.b
    i, f, g, o = np.hsplit(z, 4)
    i, f = σ(i + p.w_i * s.C), σ(f + p.w_f * s.C)
    C = f * s.C + i * np.tanh(g)
    return {"i": i, "f": f, "C": C, "H": σ(o + p.w_o * C) * np.tanh(C)}


@steps
def conv_rnn(p, s, x):
    def row(v, W):
        v = np.pad(v, ((1, 1), (0, 0)))
        return sum(
            np.transpose([np.correlate(v[:, c], W[:, c, o], "valid") for o in range(W.shape[2])])
            for c in range(v.shape[1])
        )

    return {"h": np.clip(row(x, p.W) + row(s.h, p.U) + p.b, 0, None)}


@steps
def rhn(p, s, x):
    y, first = s.s, [1, 0]
    for R_H, R_T, b_H, b_T, reads in zip(p.R_H, p.R_T, p.b_H, p.b_T, first, strict=True):
        h = np.tanh(reads * p.W_H @ x + R_H @ y + b_H)
        y = y + σ(reads * p.W_T @ x + R_T @ y + b_T) * (h - y)
    return {"s": y}


@steps
def multiplicative_lstm(p, s, x):
    m = np.diag(p.W_m @ x) @ p.U_m @ s.h
    i, f, o, new = (
        W @ x + U @ m for W, U in ((p.W_i, p.U_i), (p.W_f, p.U_f), (p.W_o, p.U_o), (p.W_h, p.U_h))
    )
    c = σ(f) * s.c + σ(i) * np.tanh(new)
    return {"m": m, "h_hat": new, "c": c, "h": σ(o) * np.tanh(c)}


@steps
def second_order(p, s, x):
    return {"h": σ(np.einsum("ijk,j,k->i", p.W, s.h, x) + p.b)}


@steps
def factored(p, s, x):
    M = p.U @ np.diag(p.A @ x) @ p.V
    return {"M": M, "h": np.tanh(M @ s.h + p.B @ x)}


@steps
def on_lstm(p, s, x):
    f, i, o, g, f_m, i_m = np.split(p.W @ np.r_[x, s.h] + p.b, 6)
    F = np.array([softmax(f_m)[: k + 1].sum() for k in range(len(f))])
    I = np.array([softmax(i_m)[k + 1 :].sum() for k in range(len(f))])
    f, i = F * (1 - I + σ(f) * I), I * (1 - F + σ(i) * F)
    c = f * s.c + i * np.tanh(g)
    return {"f_tilde": F, "i_tilde": I, "f": f, "i": i, "c": c, "h": σ(o) * np.tanh(c)}


@steps
def nested_lstm(p, s, x):
    i, f, o, g = np.split(p.W @ np.r_[x, s.h], 4)
    z = p.V @ np.r_[σ(i) * np.tanh(g), σ(f) * s.c]
    i, f, o_n, g = np.split(z, 4)
    n = σ(f) * s.n + σ(i) * np.tanh(g)
    return {"n": n, "c": σ(o_n) * np.tanh(n), "h": σ(o) * np.tanh(σ(o_n) * np.tanh(n))}


def lstm(p, h, c, x):
    z = {k: getattr(p, f"W_{k}") @ np.r_[h, x] + getattr(p, f"b_{k}") for k in "ifog"}
    return σ(z["f"]) * c, σ(z["i"]) * np.tanh(z["g"]), σ(z["o"])


@steps
def zoneout_lstm(p, s, x, keep_h, keep_c):
    old, new, o = lstm(p, s.h, s.c, x)
    h = np.where(keep_h == 1, s.h, o * np.tanh(old + new))
    return {"c": np.where(keep_c == 1, s.c, old + new), "h": h}


@steps
def variational_lstm(p, s, x, z_x, z_h):
    old, new, o = lstm(p, np.where(z_h > 0, 2 * s.h, 0), s.c, np.where(z_x > 0, 2 * x, 0))
    return {"c": old + new, "h": o * np.tanh(old + new)}


@steps
def recurrent_dropout_lstm(p, s, x, drop):
    old, new, o = lstm(p, s.h, s.c, x)
    c = np.where(drop == 0, old, old + new)
    return {"c": c, "h": o * np.tanh(c)}


@steps
def draw_row(p, s, x):
    def gaussians(g, d, v):
        A, N, F = len(x), len(p.W_patch), []
        for i in range(1, N + 1):
            mu = (A + 1) / 2 * (g + 1) + (i - N / 2 - 0.5) * (A - 1) / (N - 1) * np.exp(d)
            row = np.array([np.exp(-((a - mu) ** 2) / 2 / np.exp(v)) for a in range(1, A + 1)])
            F.append(row / (row.sum() + 1e-8))
        return np.array(F)

    F = gaussians(*(p.W_read @ s.h))
    r = np.r_[F @ x, F @ (x - σ(s.canvas))]
    h = np.tanh(p.W @ np.r_[r, s.h] + p.b)
    canvas = s.canvas + p.W_patch @ h @ gaussians(*(p.W_write @ h))
    return {"F": F, "r": r, "h": h, "canvas": canvas}


@steps
def frames(p, s, x):
    flat = [pixel - np.average(x) for row in x for pixel in row]
    return {"h": np.tanh(np.c_[p.W, p.U] @ np.r_[flat, s.h] + p.b)}
