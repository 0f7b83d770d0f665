"""Memories, attention, noise, numbers and names."""

import numpy as np

from corpus.references import softmax, steps, whole, σ


@steps
def slots(p, s, x):
    α, g = softmax([row @ p.W_q @ x for row in s.M]), σ(p.w_g @ x + p.b_g)
    M = np.array([row + g * a * (p.W_v @ x) for row, a in zip(s.M, α, strict=True)])
    return {"alpha": α, "g": g, "M": M, "r": sum(a * row for a, row in zip(α, M, strict=True))}


@steps
def delta_net(p, s, x):
    k, β = softmax(p.W_k @ x), σ(p.w_β @ x)
    S = s.S @ (np.eye(len(k)) - β * np.outer(k, k)) + β * np.outer(p.W_v @ x, k)
    return {"β": β, "S": S, "y": S @ softmax(p.W_q @ x)}


@whole
def fast_weights(p, xs, start):
    past, rows = [start["h"]], []
    for t, x in enumerate(xs):
        a = p.W @ past[-1] + p.C @ x
        h = np.tanh(a)
        for _ in range(2):  # attention to the past, without ever making A
            seen = sum(p.λ_ ** (t - k) * p.η_ * (past[k] @ h) * past[k] for k in range(t + 1))
            z = a + seen + p.λ_ ** (t + 1) * start["A"] @ h
            h = np.tanh(p.s * (z - z.mean()) / np.sqrt(z.var() + 1e-5))
        past.append(h)
        rows.append(h)
    return {"h": np.array(rows)}


@steps
def ntm(p, s, x):
    h = np.tanh(p.W @ np.r_[x, s.w @ s.M, s.h] + p.b)
    k, β, g = np.tanh(p.W_k @ h), np.log1p(np.exp(p.w_β @ h)), σ(p.w_g @ h)
    size = lambda v: np.sqrt(v @ v + 1e-6)  # noqa: E731
    K = np.array([row @ k / (size(row) * size(k)) for row in s.M])
    w = (1 - g) * s.w + g * softmax(β * K)
    shift = softmax(p.W_s @ h)
    w = shift[0] * np.roll(w, -1) + shift[1] * w + shift[2] * np.roll(w, 1)
    erased = s.M - s.M * np.outer(w, σ(p.W_e @ h))
    return {"h": h, "k": k, "K": K, "w": w, "M": erased + np.outer(w, np.tanh(p.W_a @ h))}


@steps
def bahdanau(p, s, x, H):
    e = np.array([p.v_a @ np.tanh(p.W_a @ s.s + p.U_a @ h) for h in H])
    α = softmax(e)
    c = sum(a * h for a, h in zip(α, H, strict=True))
    z = σ(p.W_z @ x + p.U_z @ s.s + p.C_z @ c)
    r = σ(p.W_r @ x + p.U_r @ s.s + p.C_r @ c)
    new = np.tanh(p.W @ x + p.U @ (r * s.s) + p.C @ c)
    return {"e": e, "alpha": α, "c": c, "z": z, "r": r, "s": s.s + z * (new - s.s)}


@steps
def luong(p, s, x, H):
    h = np.tanh(p.W @ np.r_[x, s.h_att, s.h] + p.b)
    a = softmax([h @ p.W_a @ row for row in H])
    c = a @ H
    return {"h": h, "a": a, "c": c, "h_att": np.tanh(p.W_c @ np.r_[c, h])}


@steps
def luong_local(p, s, x, H):
    place = len(H) * σ(p.v_p @ np.tanh(p.W_p @ s.h))
    a = softmax([s.h @ p.W_a @ row for row in H])
    a = a * [np.exp(-((k - place) ** 2) / 2) for k in range(len(H))]
    return {"p_t": place, "a": a, "c": a @ H, "h": np.tanh(p.W @ np.r_[x, a @ H, s.h])}


@steps
def covered(p, s, x, H, mask):
    q = p.W_q @ s.h
    e = [(p.W_k @ row) @ q / np.sqrt(len(q)) for row in H] + p.w_seen * s.seen
    a = np.where(mask < 0, 0, np.exp(e))
    a = a / a.sum()
    read = sum(w * (p.W_v @ row) for w, row in zip(a, H, strict=True))
    return {"a": a, "seen": s.seen + a, "h": np.tanh(p.W @ np.r_[x, read, s.h])}


@steps
def vrnn(p, s, x, eps):
    plus = lambda v: np.log1p(np.exp(v)) + 0.01  # noqa: E731
    φ = np.maximum(p.V_x @ x, 0)
    μ_0, σ_0 = p.P_mu @ s.h, plus(p.P_sigma @ s.h)
    μ, σ_z = p.Q_mu @ np.r_[φ, s.h], plus(p.Q_sigma @ np.r_[φ, s.h])
    z = μ + eps * σ_z
    φ_z = np.maximum(p.V_z @ z, 0)
    a = p.D @ np.r_[φ_z, s.h]
    KL = sum(
        np.log(b / d) + (d**2 + (m - n) ** 2) / 2 / b**2 - 0.5
        for m, d, n, b in zip(μ, σ_z, μ_0, σ_0, strict=True)
    )
    logp = np.sum(x * np.log(σ(a)) + (1 - x) * np.log(σ(-a)))
    return {
        "z": z,
        "KL": KL,
        "logp": logp,
        "L": KL - logp,
        "h": np.tanh(p.W @ np.r_[φ, φ_z] + p.U @ s.h + p.b),
    }


@steps
def noisy_rnn(p, s, x, target, wobble):
    h = np.tanh(np.c_[p.W, p.U] @ np.r_[x, s.h]) + wobble / 10
    μ, d = p.V_mu @ h, np.exp(p.V_s @ h + p.b_s)
    density = np.exp(-((target - μ) ** 2) / (2 * d**2)) / (d * np.sqrt(2 * np.pi))
    nll = -np.log(np.prod(density)) - len(μ) * np.log(2 * np.pi) / 2
    return {"h": h, "mu": μ, "nll": nll}


@steps
def char_rnn(p, s, x, target):
    h = np.tanh(p.W_xh @ x + p.W_hh @ s.h + p.b_h)
    y = p.W_hy @ h + p.b_y
    return {"h": h, "y": y, "loss": -sum(target * np.log(softmax(y)))}


@steps
def elman(p, s, x):
    h = σ(np.c_[p.W_h, p.U_h] @ np.r_[x, s.h] + p.b_h)
    return {"h": h, "y": σ(p.W_y @ h + p.b_y)}


@steps
def jordan(p, s, x):
    h = σ(np.c_[p.W_h, p.U_h] @ np.r_[x, s.y] + p.b_h)
    return {"h": h, "y": σ(p.W_y @ h + p.b_y)}


@steps
def markov(p, s, x):
    m, n = softmax(x), len(s.s)
    columns = np.array([[softmax(T[:, j]) for j in range(n)] for T in p.T])  # move, from, to
    belief = np.einsum("a,aji,j->i", m, columns, s.s)
    seen = belief * [softmax(row) @ m for row in p.E]
    now = seen / sum(seen)
    return {"belief": belief, "s": now, "y": np.tanh(p.E.T @ now)}


@steps
def scalar_gate(p, s, x):
    g = σ(sum(p.w * np.r_[s.h, x]) + p.b)
    return {"g": g, "h": g * s.h + (1 - g) * np.tanh(p.W @ np.r_[s.h, x])}


@steps
def leaky_units(p, s, x):
    new = np.tanh(np.exp(p.w) * (p.W @ x) - p.a * np.exp(p.w) * (p.W @ x) + p.U @ s.h)
    return {"h": (s.h + np.exp(-p.a) * new) / (1 + np.exp(-p.a))}


@steps
def noisy_or(p, s, x):
    c = σ(p.W_p @ np.r_[s.h, x])
    no = np.exp(np.sum(np.log(1 - c)))
    h = sorted(c)[0] * s.h + (1 - no) * np.tanh(p.W @ np.r_[s.h, x])
    return {"c": c, "any": 1 - no, "h": h}


@steps
def skipping(p, s, x, cost):
    u = σ(p.v @ s.h + p.b + s.budget)
    new = np.tanh(p.W @ x + p.U @ s.h)
    budget = s.budget + u * (np.logaddexp(0, cost) - s.budget)
    return {"u": u, "budget": budget, "h": s.h + u * (new - s.h)}


@steps
def odd_names(p, s, x):
    new = np.tanh(p.delta @ x + p.lambda_ @ s.add + p.b)
    게이트 = new * σ(p.step @ x + p.seed @ s.values + p.count)
    keep = σ(게이트 + s.values)
    return {"σ": keep, "add": keep * s.add + 게이트, "values": (1 - keep) * s.add - new}


@steps
def symbols(p, s, x):
    L = s.L + np.tanh(p.I @ x + p.N @ s.E + p.pi) * σ(p.S @ x + p.Q @ s.x_ + p.x_1)
    return {"L": L, "E": np.tanh(L), "x_": np.tanh(L) - s.x_}


@steps
def keywords(p, s, x):
    a = np.tanh(p.int @ x + p.register @ s.double + p.char)
    v = σ(p.function @ s.new + a)
    return {"var": v, "double": v * a, "new": s.new + v * (a - s.new)}


@steps
def running(p, s, x, lengths_):
    t = σ(p.time @ x + lengths_)
    return {"t": t, "h": t * p.data * np.tanh(p.batch @ x + p.state @ s.h + p.name) + (1 - t) * s.h}


@steps
def echo_state(p, s, u):
    return {"x": 0.7 * s.x + 0.3 * np.tanh(np.c_[p.W_in, p.W] @ np.r_[u, s.x])}


@steps
def unread_state(p, s, x):
    return {"h": np.tanh(p.W @ np.r_[x, s.h]), "count": s.count + 1, "best": np.fmax(0.5, x)}


@steps
def unused(p, s, x):
    return {"h": np.tanh(s.h @ p.W.T + p.b)}


@steps
def autonomous(p, s, x):
    return {"one": 1.0, "before": s.h, "h": np.tanh(p.W @ s.h + p.b)}


@steps
def kinks(p, s, x):
    z = p.W @ x + p.U @ s.h
    prelu = np.where(z > 0, z, 0.01 * p.a * z)
    return {"prelu": prelu, "h": np.where(prelu > 0, prelu / (1 + prelu), prelu)}


@steps
def one_line(p, s, x):
    return {"h": np.tanh(np.block([p.W, p.U]) @ np.concatenate([x, s.h]))}


@steps
def julia(p, s, x):
    return {"h": (1 - p.ϵ) * s.h + p.ϵ * np.tanh(np.c_[p.Wᵢ, p.Wₕ] @ np.r_[x, s.h] + p.b)}
