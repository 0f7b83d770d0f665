"""Differential equations, series with gaps, spikes, filters."""

import numpy as np

from corpus.references import steps, whole, σ


@steps
def antisymmetric_rnn(p, s, x):
    n = len(s.h)
    A = np.array([[p.W[i, j] - p.W[j, i] - 0.01 * (i == j) for j in range(n)] for i in range(n)])
    return {"h": s.h + 0.1 * np.tanh(A @ s.h + p.V @ x + p.b)}


@steps
def gated_antisymmetric_rnn(p, s, x):
    a = p.W @ s.h - s.h @ p.W - 0.01 * s.h
    z = σ(a + p.V_z @ x + p.b_z)
    return {"a": a, "z": z, "h": s.h + 0.1 * z * np.tanh(a + p.V_h @ x + p.b_h)}


@steps
def co_rnn(p, s, x):
    z = 0.5 * s.z - 0.5 * s.y + 0.5 * np.tanh(np.c_[p.W, p.W_z, p.V] @ np.r_[s.y, s.z, x] + p.b)
    return {"z": z, "y": s.y + z / 2}


@steps
def lem(p, s, u):
    a, b = σ(p.W_1 @ s.y + p.V_1 @ u + p.b_1), σ(p.W_2 @ s.y + p.V_2 @ u + p.b_2)
    z = s.z + a * (np.tanh(p.W_z @ s.y + p.V_z @ u + p.b_z) - s.z)
    return {
        "Δt": a,
        "Δt_bar": b,
        "z": z,
        "y": s.y + b * (np.tanh(p.W_y @ z + p.V_y @ u + p.b_y) - s.y),
    }


@steps
def unicornn(p, s, x):
    dt = 0.1 / (1 + np.exp(-p.c))
    z = s.z - dt * np.tanh(np.diag(p.w) @ s.y + p.V @ x + p.b) - 0.9 * dt * s.y
    return {"z": z, "y": s.y + dt * z}


@steps
def t_lstm(p, s, x, gap):
    short = np.tanh(p.W_d @ s.C + p.b_d)
    C_star = (s.C - short) + short / np.log(np.e + gap)
    f, i, o = (
        σ(W @ x + U @ s.h + b)
        for W, U, b in ((p.W_f, p.U_f, p.b_f), (p.W_i, p.U_i, p.b_i), (p.W_o, p.U_o, p.b_o))
    )
    C = f * C_star + i * np.tanh(p.W_c @ x + p.U_c @ s.h + p.b_c)
    return {"short": short, "C_star": C_star, "f": f, "i": i, "o": o, "C": C, "h": o * np.tanh(C)}


@steps
def cfc(p, s, x, ts):
    z = 1.7159 * np.tanh(0.666 * p.W @ np.r_[x, s.h] + 0.666 * p.b)
    one, two = np.tanh(p.W_1 @ z + p.b_1), np.tanh(p.W_2 @ z + p.b_2)
    t = σ(ts * p.W_ta @ z + ts * p.b_ta + p.W_tb @ z + p.b_tb)
    return {"ff1": one, "ff2": two, "t": t, "h": one + t * (two - one)}


@steps
def gru_d(p, s, x, m, δ, x_mean):
    x_hat = np.array(
        [
            x[d]
            if m[d]
            else x_mean[d] + np.exp(-max(0, p.w_x[d] * δ[d] + p.b_x[d])) * (s.x_last[d] - x_mean[d])
            for d in range(len(x))
        ]
    )
    h = s.h * np.minimum(1, np.exp(-(p.W_γ @ δ + p.b_γ)))
    z = σ(p.W_z @ x_hat + p.U_z @ h + p.V_z @ m + p.b_z)
    r = σ(p.W_r @ x_hat + p.U_r @ h + p.V_r @ m + p.b_r)
    new = np.tanh(p.W_h @ x_hat + p.U_h @ (r * h) + p.V_h @ m + p.b_h)
    return {
        "x_hat": x_hat,
        "z": z,
        "r": r,
        "h": h + z * (new - h),
        "x_last": np.where(m == 1, x, s.x_last),
    }


@steps
def phased_lstm(p, s, x, t):
    φ = (t - p.s) / p.τ - np.floor((t - p.s) / p.τ)
    peak = p.r_on / 2  # a tent over the open part of the period, then the leak
    k = np.where(φ < p.r_on, 1 - abs(φ - peak) / peak, 0.001 * φ)
    f, i, o = (σ(W @ np.r_[s.h, x]) for W in (p.W_f, p.W_i, p.W_o))
    c = f * s.c + i * np.tanh(p.W_c @ np.r_[s.h, x])
    return {"φ": φ, "k": k, "c": s.c + k * (c - s.c), "h": s.h + k * (o * np.tanh(c) - s.h)}


@steps
def leaky(p, s, x):
    mem = np.median([0 * p.beta, p.beta, 0 * p.beta + 1], axis=0) * s.mem + p.W @ x
    mem = mem - s.spk * p.threshold
    return {"mem": mem, "spk": np.heaviside(mem - p.threshold, 0.0)}


@steps
def adaptive_lif(p, s, x):
    ρ, decay = σ(p.ρ), np.exp(-np.exp(p.α))
    a = ρ * s.a + (1 - ρ) * s.z
    A = 0.5 + 1.7 * a
    u = decay * s.u + (1 - decay) * (p.W @ x + p.V @ s.z) - A * s.z
    return {"a": a, "A": A, "u": u, "z": (u > A) * 1.0}


@steps
def quantised_gru(p, s, x):
    levels = lambda v: np.floor(v * 8 + 0.5) / 8  # noqa: E731
    z, new = σ(p.W_z @ x + p.U_z @ s.h), levels(np.tanh(p.W @ x + p.U @ s.h))
    return {"z": z, "h_tilde": new, "h": levels(new + z * (s.h - new))}


@steps
def kalman(p, s, z):
    m, P = p.A @ s.m, np.linalg.multi_dot([p.A, s.P, p.A.T]) + np.diag(np.exp(p.q))
    S = np.einsum("i,ij,j", p.c, P, p.c) + np.exp(p.r)
    K = P @ p.c / S
    J = np.eye(len(m)) - np.outer(K, p.c)  # Joseph's form
    return {
        "innovation": z - p.c @ m,
        "S": S,
        "K": K,
        "m": m + K * (z - p.c @ m),
        "P": J @ P @ J.T + np.exp(p.r) * np.outer(K, K),
    }


@whole
def potter(p, xs, start):
    m, P = start["m"], start["R"] @ start["R"].T
    rows = []
    for z in xs:  # the same by the covariance itself
        m, P = p.A @ m, p.A @ P @ p.A.T
        S, e = p.c @ P @ p.c + np.exp(p.r), z - p.c @ m
        m, P = m + P @ p.c / S * e, P - np.outer(P @ p.c, P @ p.c) / S
        rows.append((e, S, (np.log(S) + e * e / S) / 2, m))
    e, S, nll, m = (np.array(column) for column in zip(*rows, strict=True))
    return {"e": e, "S": S, "nll": nll, "m": m}


@steps
def ctrnn(p, s, x, dt):
    τ = np.log1p(np.exp(p.τ))
    return {"v": s.v + dt / τ * (p.W @ np.tanh(s.v + p.b) + p.V @ x - s.v)}


@steps
def neural_ode(p, s, x, dt):
    slopes = []
    for a in (0.0, 0.5, 0.5, 1.0):
        h = s.h + a * dt * slopes[-1] if slopes else s.h
        slopes.append(np.tanh(p.W @ h + p.V @ x + p.b))
    return {"k_4": slopes[3], "h": s.h + dt * np.average(slopes, axis=0, weights=[1, 2, 2, 1])}


@steps
def liquid(p, s, x):
    v, τ = s.v, np.exp(p.log_tau)
    for _ in range(3):
        f = np.log1p(np.exp(p.W @ v + p.V @ x + p.b))
        v = τ * (v + 0.1 * f * p.A) / (τ + 0.1 * (1 + τ * f))
    return {"v": v}


@steps
def exponential_euler(p, s, x, dt):
    rest = np.c_[p.W, p.V] @ np.r_[np.tanh(s.v), x] + p.b
    return {"rest": rest, "v": rest + (s.v - rest) * np.exp(-dt * dt * np.exp(-p.log_tau))}


@steps
def leapfrog(p, s, x):
    force = lambda q: -p.k * q - p.W @ x  # noqa: E731
    q = s.q + 0.1 * s.p + 0.005 * force(s.q)  # velocity Verlet
    return {"q": q, "p": s.p + 0.05 * (force(s.q) + force(q))}
