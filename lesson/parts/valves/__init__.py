"""Ten steps of one unit's belt, whose forget and input gate are turned like valves."""

from __future__ import annotations

from itertools import count

from markupsafe import Markup

from lesson.page import render
from lesson.prose import Texts
from lesson.subject import Subject

STEPS = 10
CANDIDATES = (1.0, -0.6, 0.4, -0.8, 0.7, -0.3, 0.9, -0.5, -0.9, 0.6)  # one a step, any numbers
OPEN, SHUT = 0.9, 0.2


def markup(subject: Subject) -> Markup:
    """Two valves, the state after each step, and what is left of the first; of any LSTM."""
    states = run(OPEN, SHUT)
    return render(
        __name__,
        t=Texts("valves", {"steps": str(STEPS)}),
        valves={"candidates": CANDIDATES, "forget": OPEN, "input": SHUT},
        steps=[(k, c, f"{v:.2f}") for k, c, v in zip(count(1), CANDIDATES, states, strict=False)],
    )


def run(forget: float, write: float) -> list[float]:
    """C after each step: the first candidate is written whole, later ones by the input gate."""
    state, states = 0.0, []
    for k, candidate in enumerate(CANDIDATES):
        state = forget * state + (write if k else 1.0) * candidate
        states.append(state)
    return states
