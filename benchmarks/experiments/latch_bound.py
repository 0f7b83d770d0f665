"""How much noise a latched unit withstands: the bound, and what a unit does.

A unit a_t = w tanh(a_{t-1}) + u_t has two stable states where w > 1 (Bengio, Simard and Frasconi
1994). It cannot leave the one it is in while |u_t| is below b* = w √(1 - 1/w) - artanh √(1 - 1/w).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.experiments.parts import Part, table
from tinygrad_lstm import cell, tanh, unroll

WEIGHTS = (1.1, 1.25, 1.5, 2.0, 3.0)
STEPS = 4000


@cell(state="a", x="1", parameters={"w": ""})
def latch(now, prev, x, p):  # type: ignore[no-untyped-def]
    """A unit that feeds itself."""
    now.a = p.w * tanh(prev.a) + x


def bound(w: float) -> float:
    """b*, by the formula."""
    root = math.sqrt(1 - 1 / w)
    return w * root - math.atanh(root)


def kept(w: float, u: float, steps: int) -> bool:
    """Whether a unit that is on stays on against the worst input, -u at every step."""
    state = {"a": np.full(1, 2.0 * w)}
    run = unroll(latch, {"w": np.array(w)}, np.full((steps, 1), -u), initial=state)
    return bool(run["a"].data[-1, 0] > 0)


def measured(w: float, steps: int) -> float:
    """The largest input against which it stays on, by bisection."""
    low, high = 0.0, 2.0 * w
    while high - low > 1e-5:
        middle = (low + high) / 2
        low, high = (middle, high) if kept(w, middle, steps) else (low, middle)
    return low


def parts(budget: float) -> list[Part]:
    """A part for each weight."""
    steps = max(200, int(STEPS * budget))
    return [Part(f"w={w:g}", lambda w=w: {"measured": measured(w, steps)}) for w in WEIGHTS]


def page(found: dict[str, Any]) -> str:
    """The bound beside what was measured."""
    rows = [
        (f"{w:g}", f"{bound(w):.5f}", f"{found[f'w={w:g}']['measured']:.5f}")
        for w in WEIGHTS
        if f"w={w:g}" in found
    ]
    return f"""
A unit that feeds itself, $a_t = w \\tanh(a_{{t-1}}) + u_t$, holds one bit where $w > 1$: it has two
stable states (Bengio, Simard and Frasconi 1994). From the point where the slope of $w \\tanh a$
is 1 follows the largest input that it withstands for ever,
$b^* = w\\sqrt{{1 - 1/w}} - \\operatorname{{artanh}}\\sqrt{{1 - 1/w}}$. Measured is the largest
constant input against which the unit stays on over 4,000 steps (at full size), by bisection.

{table(["w", "b*, by the formula", "measured"], rows)}

The two agree but for the time that is waited: just above the bound the state leaves slowly. Noise
larger than the bound, even rarely, ends the memory: this is why holding on and learning quickly are
at odds in a plain unit, and why gates help.
"""
