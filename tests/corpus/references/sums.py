"""Cells whose memory is a sum or whose gates read the input alone: often in closed form."""

import numpy as np

from corpus.references import steps, whole, σ


@steps
def atr(p, s, x):
    a, b = p.W @ x + p.b, p.U @ s.h
    return {"p": a, "q": b, "i": σ(a + b), "f": σ(a - b), "h": a * σ(a + b) + s.h * σ(a - b)}


@steps
def ran(p, s, x):
    i, f = σ(p.U_i @ s.h + p.W_i @ x + p.b_i), σ(p.U_f @ s.h + p.W_f @ x + p.b_f)
    c = f * s.c + i * (x @ p.W_c.T)
    return {"i": i, "f": f, "c": c, "h": np.tanh(c)}


@steps
def cfn(p, s, x):
    θ, η = σ(p.V_θ @ x + p.U_θ @ s.h + p.b_θ), σ(p.V_η @ x + p.U_η @ s.h + p.b_η)
    return {"θ": θ, "η": η, "h": θ * np.tanh(s.h) + η * np.tanh(x @ p.W.T)}


@whole
def scrn(p, xs, start):
    T = len(xs)
    fading = np.array([[0.95 ** (t - k) * 0.05 * (k <= t) for k in range(T)] for t in range(T)])
    s = fading @ xs @ p.B.T + 0.95 ** np.arange(1, T + 1)[:, None] * start["s"]
    h = [start["h"]]
    for x, context in zip(xs, s, strict=True):
        h.append(σ(p.P @ context + p.A @ x + p.R @ h[-1]))
    return {"s": s, "h": np.array(h[1:]), "y": np.array(h[1:]) @ p.U.T + s @ p.V.T}


@steps
def ind_rnn(p, s, x):
    return {"h": np.tanh(np.diag(p.u) @ s.h + p.W @ x + p.b)}


@steps
def sru(p, s, x):
    f, r = σ(p.W_f @ x + s.c * p.v_f + p.b_f), σ(p.W_r @ x + s.c * p.v_r + p.b_r)
    c = f * s.c + (1 - f) * (x @ p.W.T)
    return {"f": f, "r": r, "c": c, "h": x + r * (c - x)}


@whole
def qrnn(p, xs, start):
    pairs = np.vstack([start["x_before"], xs])
    z, f, o = (
        pairs[:-1] @ W.T + pairs[1:] @ V.T
        for W, V in ((p.W_z, p.V_z), (p.W_f, p.V_f), (p.W_o, p.V_o))
    )
    z, f, o = np.tanh(z), σ(f), σ(o)
    c = faded(f, (1 - f) * z, start["c"])
    return {"z": z, "f": f, "o": o, "c": c, "h": o * c, "x_before": xs}


def faded(keep, new, first):
    """Every new value times all that is kept of it later, added up: no recurrence."""
    T = len(new)
    kept = lambda k, t: np.prod(keep[k:t], axis=0)  # noqa: E731
    return np.array(
        [
            kept(0, t + 1) * first + sum(kept(k + 1, t + 1) * new[k] for k in range(t + 1))
            for t in range(T)
        ]
    )


def g(u):
    return np.where(u < 0, σ(u), 0.5 + u)


@whole
def min_lstm(p, xs, start):
    f, i = σ(xs @ p.W_f.T + p.b_f), σ(xs @ p.W_i.T + p.b_i)
    return {"h": faded(f / (f + i), i / (f + i) * g(xs @ p.W_h.T + p.b_h), start["h"])}


@whole
def min_gru(p, xs, start):
    z = σ(xs @ p.W_z.T + p.b_z)
    return {"z": z, "h": faded(1 - z, z * g(xs @ p.W_h.T + p.b_h), start["h"])}


@whole
def lru(p, xs, start):
    T = len(xs)
    λ = np.exp(-np.exp(p.ν) + 1j * p.θ)
    u = np.exp(p.γ) * (xs @ (p.B_re + 1j * p.B_im).T)
    s = faded(np.broadcast_to(λ, (T, len(λ))), u, start["re"] + 1j * start["im"])
    y = (s @ (p.C_re + 1j * p.C_im).T).real + xs @ p.D.T
    return {"re": s.real, "im": s.imag, "y": y, "r": np.broadcast_to(abs(λ), (T, len(λ)))}


@steps
def lmu(p, s, x, A, B):
    u = np.r_[p.e_x, p.e_h, p.e_m] @ np.r_[x, s.h, s.m]
    m = A @ s.m + u * B
    return {"u": u, "m": m, "h": np.tanh(np.c_[p.W_x, p.W_h, p.W_m] @ np.r_[x, s.h, m])}


@steps
def mamba(p, s, x):
    h, y = np.empty_like(s.h), np.empty_like(x)
    for c in range(len(x)):  # channel by channel, as the paper has it
        Δ = np.log1p(np.exp(p.W_delta[c] @ x + p.b_delta[c]))
        h[c] = np.exp(-Δ * np.exp(p.A_log[c])) * s.h[c] + Δ * x[c] * (p.W_B @ x)
        y[c] = (p.W_C @ x) @ h[c] + p.D[c] * x[c]
    return {"h": h, "y": y}


@whole
def rwkv4(p, xs, start):
    before = np.vstack([start["last"], xs[:-1]])
    mixed = lambda μ: μ * xs + (1 - μ) * before  # noqa: E731
    r, k, v = σ(mixed(p.mu_r) @ p.W_r.T), mixed(p.mu_k) @ p.W_k.T, mixed(p.mu_v) @ p.W_v.T
    num, den = start["num"] * np.exp(start["top"]), start["den"] * np.exp(start["top"])
    wkv = []
    for t in range(len(xs)):  # without the running maximum
        bonus = np.exp(p.u + k[t])
        wkv.append((num + bonus * v[t]) / (den + bonus))
        num = num * np.exp(-np.exp(p.w)) + np.exp(k[t]) * v[t]
        den = den * np.exp(-np.exp(p.w)) + np.exp(k[t])
    return {"r": r, "k": k, "v": v, "wkv": np.array(wkv), "out": (r * wkv) @ p.W_o.T, "last": xs}


@whole
def retention(p, xs, start):
    T = len(xs)
    q, k, v = xs @ p.W_q.T, xs @ p.W_k.T / np.sqrt(len(p.W_k)), xs @ p.W_v.T
    γ = σ(p.γ)
    decay = np.array([[γ ** (t - s) if s <= t else 0.0 for s in range(T)] for t in range(T)])
    first = γ ** np.arange(1, T + 1)[:, None] * (q @ start["S"])
    return {"o": (q @ k.T * decay) @ v + first}  # the parallel form


@whole
def no_parameters(p, xs, start):
    keep, new = np.full_like(xs, 0.9), 0.1 * xs
    return {"h": faded(keep, new, start["h"])}


@steps
def holt(p, s, y):
    α, β, φ = σ(p.alpha), σ(p.beta), σ(p.phi)
    error = y - s.level - φ * s.trend  # the error-correction form
    level, trend = s.level + φ * s.trend + α * error, φ * s.trend + α * β * error
    return {"level": level, "trend": trend, "forecast": level + φ * trend}
