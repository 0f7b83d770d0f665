"""Recurrent cells in NumPy, and their weights stored in every way that is met.

Nothing here knows how `identify` reads arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Arrays = dict[str, Any]


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def hard_sigmoid(z: Any) -> Any:
    return np.clip(0.2 * z + 0.5, 0, 1)


def draw(gates: str, hidden: int, inputs: int, seed: int = 0) -> dict[str, Arrays]:
    """Weights by gate: W on x, R on h, biases b and r, a peephole p."""
    random = np.random.default_rng(seed)
    shapes = {"W": (hidden, inputs), "R": (hidden, hidden), "b": hidden, "r": hidden, "p": hidden}
    return {
        gate: {kind: random.normal(0, 0.6, shape) for kind, shape in shapes.items()}
        for gate in gates
    }


def lstm(
    g: Mapping[str, Arrays],
    xs: Any,
    biases: int = 2,
    peepholes: bool = False,
    forget: float = 0.0,
    gate: Any = sigmoid,
) -> Any:
    """(time, batch, hidden); gates i f C o."""
    batch, hidden = xs.shape[1], len(g["i"]["b"])
    h, C, out = np.zeros((batch, hidden)), np.zeros((batch, hidden)), []
    kinds = "br"[:biases]
    for x in xs:
        a = {k: x @ w["W"].T + h @ w["R"].T + sum(w[b] for b in kinds) for k, w in g.items()}
        hole = {k: w["p"] * peepholes for k, w in g.items()}
        i, f = gate(a["i"] + hole["i"] * C), gate(a["f"] + hole["f"] * C + forget)
        C = f * C + i * np.tanh(a["C"])
        h = gate(a["o"] + hole["o"] * C) * np.tanh(C)
        out.append(h)
    return np.stack(out)


def gru(
    g: Mapping[str, Arrays],
    xs: Any,
    biases: int = 2,
    after: bool = True,
    keeps: bool = True,
    gate: Any = sigmoid,
) -> Any:
    """(time, batch, hidden); gates r z n; keeps: z is the share of the old state."""
    h, out = np.zeros((xs.shape[1], len(g["r"]["b"]))), []
    b = {k: w["b"] * (biases > 0) for k, w in g.items()}
    r_ = {k: w["r"] * (biases > 1) for k, w in g.items()}
    for x in xs:
        r, z = (gate(x @ g[k]["W"].T + h @ g[k]["R"].T + b[k] + r_[k]) for k in "rz")
        R = g["n"]["R"].T
        inner = r * (h @ R + r_["n"]) if after else (r * h) @ R + r_["n"]
        n = np.tanh(x @ g["n"]["W"].T + b["n"] + inner)
        h = z * h + (1 - z) * n if keeps else (1 - z) * h + z * n
        out.append(h)
    return np.stack(out)


def stored(
    g: Mapping[str, Arrays],
    order: str,
    *,
    turned: bool = False,
    joined: str = "",
    biases: int = 2,
    form: str = "stacked",
    peepholes: str = "",
) -> Arrays:
    """The weights as arrays with names that say nothing.

    form: "stacked" (blocks in one array), "apart" (an array for each gate), "axis" (gates as an
    axis of their own), "by unit" (gates of a unit side by side).
    """
    every: dict[str, list[Any]] = {kind: [g[k][kind] for k in order] for kind in "WRbr"}
    if joined:
        parts = (("R", "W"), ("W", "R"))[joined == "xh"]
        every["W"] = [np.concatenate([g[k][p] for p in parts], 1) for k in order]
    kinds = ["W"] + ["R"] * (not joined) + ["b", "r"][:biases]
    found: Arrays = {}
    for n, kind in enumerate(kinds):
        blocks = every[kind]
        if turned and kind in "WR":
            blocks = [block.T for block in blocks]
        axis = 1 if turned and kind in "WR" else 0
        if form == "apart":
            found |= {f"a{n}{k}": block for k, block in enumerate(blocks)}
        elif form == "axis":
            found[f"a{n}"] = np.stack(blocks, axis=axis)
        elif form == "by unit":
            whole = np.stack(blocks, axis=axis + 1)
            shape = list(blocks[0].shape)
            shape[axis] *= len(blocks)
            found[f"a{n}"] = whole.reshape(shape)
        else:
            found[f"a{n}"] = np.concatenate(blocks, axis=axis)
    if peepholes:
        found["a9"] = np.concatenate([g[k]["p"] for k in peepholes])
    return found
