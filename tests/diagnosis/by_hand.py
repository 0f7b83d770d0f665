"""Backward passes as people write them in NumPy, each with mistakes that circulate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Arrays = Mapping[str, Any]


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def rnn(p: Arrays, xs: Any, h_bar: Any, wrong: str = "") -> dict[str, Any]:
    """The plain network h = tanh(W · [h, x] + b)."""
    (T, B, _), H = xs.shape, len(p["b"])
    h, seen = np.zeros((B, H)), []
    for t in range(T):
        z = np.concatenate([h, xs[t]], 1)
        h = np.tanh(z @ p["W"].T + p["b"])
        seen.append((z, h))
    dW, db, dx = np.zeros_like(p["W"]), np.zeros_like(p["b"]), np.zeros_like(xs)
    dh = np.zeros((B, H))
    for t in reversed(range(T)):
        z, h = seen[t]
        dh = dh + h_bar[t]
        slope = 1 - h**2
        if wrong == "divided by the slope":
            slope = 1 / slope
        if wrong == "tanh once more":
            slope = 1 - np.tanh(h) ** 2
        da = dh * slope
        if wrong == "h of the step":
            z = np.concatenate([h, xs[t]], 1)
        dW += da.T @ z
        db += da.mean(0) if wrong == "bias averaged" else da.sum(0)
        dz = da @ p["W"]
        dx[t] = dz[:, H:]
        dh = dh + dz[:, :H] if wrong == "added to what was carried" else dz[:, :H]
        if wrong == "W not transposed":
            dh = da @ p["W"][:, :H].T
    return {"W": dW, "b": db, "x": dx}


def rnn_twice(p: Arrays, xs: Any, h_bar: Any) -> dict[str, Any]:
    """The total derivative ∂L/∂h_t with the total derivative of h_t: paths are counted again."""
    (T, B, _), H = xs.shape, len(p["b"])
    h, hs, zs = np.zeros((B, H)), [], []
    for t in range(T):
        zs.append(np.concatenate([h, xs[t]], 1))
        h = np.tanh(zs[-1] @ p["W"].T + p["b"])
        hs.append(h)
    total = np.zeros((T, B, H))  # ∂L/∂h_t, with all that comes later
    for t in reversed(range(T)):
        later = 0 if t == T - 1 else ((total[t + 1] * (1 - hs[t + 1] ** 2)) @ p["W"])[:, :H]
        total[t] = h_bar[t] + later
    dW, db = np.zeros_like(p["W"]), np.zeros_like(p["b"])
    for t in range(T):  # the total derivative of h_t goes through all steps before
        g = total[t]
        for s in reversed(range(t + 1)):
            da = g * (1 - hs[s] ** 2)
            dW += da.T @ zs[s]
            db += da.sum(0)
            g = (da @ p["W"])[:, :H]
    return {"W": dW, "b": db}


def lstm(p: Arrays, xs: Any, h_bar: Any, wrong: str = "") -> dict[str, Any]:
    """The LSTM, with the mistakes that circulate."""
    (T, B, _), H = xs.shape, len(p["b_f"])
    bias = {g: p[f"b_{g}"] for g in "fiCo"}
    if wrong == "one bias for three":
        bias |= {"f": p["b_o"], "i": p["b_o"]}
    h, C, seen = np.zeros((B, H)), np.zeros((B, H)), []
    for t in range(T):
        z = np.concatenate([h, xs[t]], 1)
        f, i, o = (sigmoid(z @ p[f"W_{g}"].T + bias[g]) for g in "fio")
        g = np.tanh(z @ p["W_C"].T + bias["C"])
        before, C = C, f * C + i * g
        h = o * np.tanh(C)
        seen.append((z, f, i, g, o, before, C))
    found = {name: np.zeros_like(value) for name, value in p.items()} | {"x": np.zeros_like(xs)}
    dh, dC = np.zeros((B, H)), np.zeros((B, H))
    for t in reversed(range(T)):
        z, f, i, g, o, before, C = seen[t]
        own = h_bar[t] if wrong != "own error left out" or t == T - 1 else 0
        dh = dh + own
        squashed = np.tanh(C)
        slope = 1 - squashed**2
        if wrong == "tanh(tanh(C))":
            slope = 1 - np.tanh(squashed) ** 2
        if wrong == "constant error carousel cut":
            dC = 0 * dC
        stale = dC
        dC = dC + dh * o * slope
        do = dh * squashed
        df = (stale if wrong == "f before C is complete" else dC) * before
        di, dg = dC * g, dC * i
        dof = {"f": df * f * (1 - f), "i": di * i * (1 - i), "o": do * o * (1 - o)}
        if wrong == "σ(f) for the slope":
            dof["f"] = df * sigmoid(f)
        if wrong == "σ' of what is σ already":
            for name, d, y in (("f", df, f), ("i", di, i), ("o", do, o)):
                dof[name] = d * sigmoid(y) * (1 - sigmoid(y))
        curve = 1 - g * g
        if wrong == "tanh(C̃) in the slope":
            curve = 1 - np.tanh(g) ** 2
        dof["C"] = dg * curve
        dz: Any = 0
        for name, d in dof.items():
            found[f"W_{name}"] += d.T @ z
            own_d = dof["f"] if wrong == "b_i from f" and name == "i" else d
            found[f"b_{name}"] += own_d.sum(0)
            dz = dz + d @ p[f"W_{name}"]
        found["x"][t], dh = dz[:, H:], dz[:, :H]
        dC = dC * f
    return found
