"""The LSTM's step with what travels on its lines: values forward, terms of gradients back.

Places are those of the figure `viz.cell(lstm)` before it is made wider.
"""

from __future__ import annotations

from dataclasses import replace

import viz
from lesson.annotated import ACROSS, Note, noted, stretched
from lesson.figures import backward
from tinygrad_lstm.cells import lstm
from viz import Figure

_TERMS = {
    "label-prev.C": (r"f_t\odot\bar{C}_t", -38, 40, -1),
    "term-belt": (r"\bar{C}_t", 145, 24, 0),
    "sum-C": (r"\bar{C}_t=\textstyle\sum", 275, 22, 0),
    "label-C": (r"f_{t+1}\odot\bar{C}_{t+1}", 446, 40, 1),
    "term-C": (r"\bar{h}_t\odot o_t\odot(1-\tanh^2 C_t)", 338, 66, -1),
    "term-tanh": (r"\bar{h}_t\odot o_t", 338, 114, -1),
    "label-f": (r"\bar{f}_t=\bar{C}_t\odot C_{t-1}", 84, 84, 1),
    "term-written": (r"\bar{C}_t", 217, 98, 1),
    "label-i": (r"\bar{i}_t=\bar{C}_t\odot\tilde{C}_t", 139, 118, 1),
    "label-C_tilde": (r"\bar{C}_t\odot i_t", 217, 170, 1),
    "label-o": (r"\bar{h}_t\odot\tanh C_t", 285, 170, 1),
    "sum-h": (r"\bar{h}_t\!=\!\textstyle\sum", 348, 204, 1),
    "label-h": (r"W_h^{\top}\cdot\delta_{t+1}", 446, 246, 1),
    "term-loss": (r"\frac{\partial L_t}{\partial h_t}", 404, -48, 1),
    "label-prev.h": (r"W_h^{\top}\cdot\delta_t", -38, 246, -1),
    "term-x": (r"W_x^{\top}\cdot\delta_t", 60, 322, 1),
    **{f"delta-{n}": (rf"\delta^{n}_t", x, 235, 1) for n, x in (("f", 83), ("i", 149), ("o", 284))},
    "delta-C": (r"\delta^C_t", 216, 235, 1),
}


def ahead() -> Figure:
    """One step, as wide as the step back."""
    return stretched(viz.cell(lstm))


def back() -> Figure:
    """The step back: on each line the term that travels along it, at C and h the sums."""
    names = [*lstm.state, *(f"prev.{s}" for s in lstm.state), "x"]
    whole = stretched(backward(viz.cell(lstm), names))
    plain = [
        replace(s, latex="L_t", text="L_t") if s.id == "out-output" else s
        for s in whole.scene.shapes
    ]
    whole = replace(whole, scene=replace(whole.scene, shapes=plain))
    notes = {own: Note(latex, x * ACROSS, y, side) for own, (latex, x, y, side) in _TERMS.items()}
    return noted(whole, "terms", notes, "backward")
