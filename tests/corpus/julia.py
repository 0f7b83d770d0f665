"""Cells in the letters of Julia users."""

from tinygrad_lstm import cell, tanh


@cell(
    state="h",
    parameters={"Wᵢ": "hidden, inputs", "Wₕ": "hidden, hidden", "b": "hidden", "ϵ": ""},
    start={"ϵ": 0.1},
)
def julia(now, prev, x, p):
    """A leaky network (Jaeger et al. 2007), spelt as in RecurrentLayers.jl.

    Python itself reads p.Wᵢ as p.Wi and p.ϵ as p.ε (Unicode's form NFKC): whatever the names are
    declared as, the attributes have to find them.
    """
    now.h̃ = tanh(p.Wᵢ @ x + p.Wₕ @ prev.h + p.b)
    now.h = prev.h + p.ϵ * (now.h̃ - prev.h)
