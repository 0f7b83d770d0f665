"""How far back a gradient reaches, before any training, and Pascanu's bound.

For the plain network ‖∂h_t/∂h_{t-k}‖ ≤ λ₁^k, where λ₁ is the largest singular value of its
recurrent matrix (Pascanu, Mikolov and Bengio 2013, for tanh): it must vanish where λ₁ < 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.experiments.parts import Part, cell_of, spread, table
from lesson import plots
from tinygrad_lstm import Tensor, cells, unroll
from tinygrad_lstm.cells.clocked import clock, mask

CELLS = ("rnn", "lstm b_f=0", "lstm b_f=1", "lstm b_f=4", "gru", "nfg", "clockwork")
SEEDS, HIDDEN, INPUTS, LAGS = 5, 48, 8, (0, 5, 10, 20, 40, 60, 80, 100)
PERIODS = (1, 2, 4, 8, 16, 32)


def reach(spec: str, seed: int) -> dict[str, Any]:
    """‖∂(r·h_T)/∂x_{T-k}‖ for each lag, over k = 0, and for the plain network the bound."""
    cell, starts = cell_of(spec)
    random = np.random.default_rng(seed)
    steps = LAGS[-1] + 1
    p = cell.init(seed=seed, inputs=INPUTS, hidden=HIDDEN, **starts)
    xs = Tensor(random.normal(size=(steps, 1, INPUTS)), "xs")
    more = {}
    if cell is cells.clockwork:
        more = {"clock": clock(PERIODS, HIDDEN, steps), "mask": mask(PERIODS, HIDDEN)}
    run = unroll(cell, p, xs, **more)
    last = run.final[cell.output]
    (last * random.normal(size=last.shape)).sum().backward()
    assert xs.grad is not None
    norms = np.linalg.norm(xs.grad.data[:, 0], axis=-1)[::-1]
    found: dict[str, Any] = {"norms": [float(norms[k] / norms[0]) for k in LAGS]}
    if spec == "rnn":
        W = p["W"].data[:, :HIDDEN]
        jacobian, states = np.eye(HIDDEN), run["h"].data[:, 0]
        products = []
        for k in range(1, steps):
            jacobian = jacobian @ ((1 - states[steps - k] ** 2)[:, None] * W)
            products.append(float(np.linalg.norm(jacobian, 2)))
        largest = float(np.linalg.norm(W, 2))
        found["largest"] = largest
        found["products"] = [products[k - 1] for k in LAGS if k]
        found["bounds"] = [largest**k for k in LAGS if k]
    return found


def parts(budget: float) -> list[Part]:
    """A part for each cell: all seeds."""
    seeds = max(2, math.ceil(SEEDS * min(budget, 1)))
    return [Part(s, lambda s=s: [reach(s, seed) for seed in range(seeds)]) for s in CELLS]


def _middle(rows: list[dict[str, Any]], k: int) -> float:
    return math.exp(float(np.mean([math.log(max(r["norms"][k], 1e-300)) for r in rows])))


def pictures(found: dict[str, Any]) -> dict[str, str]:
    """The curves."""
    lines = {
        s: [(float(lag), _middle(found[s], k)) for k, lag in enumerate(LAGS)]
        for s in CELLS if s in found
    }  # fmt: skip
    picture = plots.curves(
        lines, "How far back a gradient reaches before training", "steps back",
        "gradient of the last output, by its size at 0 steps back", y_log=True,
    )  # fmt: skip
    return {"gradient-reach.svg": picture}


def page(found: dict[str, Any]) -> str:
    """Each cell's reach, and the bound beside the products it bounds."""
    rows = [
        (s, *(f"{_middle(found[s], k):.2g}" for k in range(1, len(LAGS))))
        for s in CELLS if s in found
    ]  # fmt: skip
    text = f"""
The gradient of a random projection of the last output by the input so many steps before, by its
size for the last input: geometric mean over {len(found.get("rnn", [0]))} seeds, {HIDDEN} units,
random inputs from N(0, 1), fresh parameters. Nothing is trained. The clockwork network has the
periods {", ".join(map(str, PERIODS))}; between two ticks its states are copied, so the size depends
on where the lag falls.

{table(["cell", *(f"{lag} back" for lag in LAGS[1:])], rows)}

![The curves of the table: how each cell's gradient falls with the steps back.](gradient-reach.svg)

The forget gate's start decides: σ(0) = 0.5 a step leaves 2⁻¹⁰⁰ of what flows along the belt after
100 steps, σ(1) = 0.73 about 2·10⁻¹⁴, σ(4) = 0.98 about 16 %. Without a forget gate (nfg, as in
1997) the belt itself loses nothing.
"""
    rnn = found.get("rnn")
    if rnn:
        largest = spread([r["largest"] for r in rnn])
        pairs = [zip(r["products"], r["bounds"], strict=True) for r in rnn]
        holds = all(a <= b * (1 + 1e-9) for several in pairs for a, b in several)
        told = "holds for every seed and lag" if holds else "**does not hold**"
        first = zip(LAGS[1:], rnn[0]["products"], rnn[0]["bounds"], strict=True)
        rows = [(lag, f"{a:.3g}", f"{b:.3g}") for lag, a, b in first]
        text += f"""
## Pascanu's bound

The largest singular value of the plain network's recurrent matrix is {largest} here. The 2-norm of
∂h_t/∂h_{{t-k}} and its bound λ₁^k, for the first seed; the bound {told}.

{table(["k", "norm of ∂h_t/∂h_{t-k}", "λ₁^k"], rows)}
"""
    return text
