"""Cells with a single number per sample, with functions of parameters alone, with reductions."""

from tinygrad_lstm import cell, concat, exp, min, prod, sigmoid, softplus, tanh


@cell(state="h", parameters={"w": "hidden + inputs", "b": "", "W": "hidden, hidden + inputs"})
def scalar_gate(now, prev, x, p):
    """One gate for all units, a number (as in the selective gate of Xu et al. 2015)."""
    hx = concat(prev.h, x)
    now.g = sigmoid(p.w @ hx + p.b)
    now.h = now.g * prev.h + (1 - now.g) * tanh(p.W @ hx)


@cell(state="h", parameters={"W": "hidden, inputs", "U": "hidden, hidden", "a w": "hidden"})
def leaky_units(now, prev, x, p):
    """A time constant a unit: the share kept is a function of parameters alone (Mozer 1992)."""
    now.a = sigmoid(p.a)
    now.gain = (1 - p.a) * exp(p.w)
    now.h = now.a * prev.h + (1 - now.a) * tanh(now.gain * (p.W @ x) + p.U @ prev.h)


@cell(state={"level trend": ""}, x="", parameters={"alpha beta phi": ""}, output="forecast")
def holt(now, prev, y, p):
    """Damped Holt smoothing (Gardner & McKenzie 1985), as in ES-RNN: everything is a number."""
    now.α, now.β, now.φ = sigmoid(p.alpha), sigmoid(p.beta), sigmoid(p.phi)
    now.level = now.α * y + (1 - now.α) * (prev.level + now.φ * prev.trend)
    now.trend = now.β * (now.level - prev.level) + (1 - now.β) * now.φ * prev.trend
    now.forecast = now.level + now.φ * now.trend


@cell(state="h", parameters={"W_p": "causes, hidden + inputs", "W": "hidden, hidden + inputs"})
def noisy_or(now, prev, x, p):
    """Gates by logic: any cause writes (noisy-or, Pearl 1988), all together hold."""
    hx = concat(prev.h, x)
    now.c = sigmoid(p.W_p @ hx)
    now.any = 1 - prod(1 - now.c)
    now.all = min(now.c)
    now.h = now.all * prev.h + now.any * tanh(p.W @ hx)


@cell(
    state={"h": "hidden", "budget": ""},
    parameters={"W": "hidden, inputs", "U": "hidden, hidden", "v": "hidden", "b": ""},
    sequences={"cost": ""},
    start={"budget": 1.0, "b": -1.0},
)
def skipping(now, prev, x, p, cost):
    """A gate per step that costs and fills up (after skip RNN, Campos et al. 2018, unrounded)."""
    now.u = sigmoid(p.v @ prev.h + p.b + prev.budget)
    now.budget = prev.budget * (1 - now.u) + softplus(cost) * now.u
    now.h = now.u * tanh(p.W @ x + p.U @ prev.h) + (1 - now.u) * prev.h
