"""What runs over places, in loops over them."""

import numpy as np

from corpus.references import softmax, steps, σ


@steps
def by_letter(p, s, x, H):
    e = np.array([p.v_a @ np.tanh(p.W_a @ s.s + p.U_a @ h) for h in H])
    α = softmax(e)
    c = sum(a * h for a, h in zip(α, H, strict=True))
    return {"e": e, "alpha": α, "c": c, "s": np.tanh(p.W @ s.s + p.C @ c + p.V @ x)}


@steps
def filterbank(p, s, x):
    g, patch, width = p.w @ s.h, p.W.shape[1], x.shape[1]
    μ = np.array([g[0] + (i - patch / 2 - 0.5) * np.exp(g[1]) for i in range(1, patch + 1)])
    Q = np.array(
        [[np.exp(-((a - m) ** 2) / (2 * np.exp(g[2]))) for a in range(1, width + 1)] for m in μ]
    )
    F = np.array([q / (1 + q.sum()) for q in Q])
    z = np.array([[f @ row for f in F] for row in x])
    r = np.array([sum(f * row for row in x) for f in F])
    h = np.tanh(p.W @ r.sum(1) + p.V @ s.h + z.sum())
    return {"g": g, "mu": μ, "Q": Q, "F": F, "z": z, "r": r, "h": h}


@steps
def slots_by_letter(p, s, x):
    g = np.array([σ(p.w @ (m + b)) for m, b in zip(s.M, p.b, strict=True)])
    M = np.array([np.tanh(p.V @ m + a * K @ x) for m, a, K in zip(s.M, g, p.K, strict=True)])
    u = np.array([0.5 * v + m.sum() / 3 for v, m in zip(s.u, M, strict=True)])
    a = softmax(np.array([m @ p.w for m in M]) + u)
    r = sum(k * np.r_[m, σ(m)] for k, m in zip(a, M, strict=True))
    return {"g": g, "M": M, "u": u, "a": a, "r": r}


@steps
def pairs_by_letter(p, s, x, A, B):
    S = np.array([[(a * b) @ s.h + p.s for b in B] for a in A])
    P = np.array([softmax(row) for row in S])
    m = sum(P[i, j] * np.tanh(p.W @ (a - b)) for i, a in enumerate(A) for j, b in enumerate(B))
    n = np.array([s.h / i + a for i, a in enumerate(A, 1)])
    h = np.tanh(m + p.V @ x + sum(2 * row + s.h for row in n))
    return {"S": S, "P": P, "m": m, "n": n, "h": h}
