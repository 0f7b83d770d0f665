"""The conventions of published cells and of frameworks that people trip over."""

from __future__ import annotations

import equations
from lesson.chapters import Content
from lesson.formulas import name
from lesson.subject import Subject
from tinygrad_lstm.cells import gru, gru_cho2014, gru_reset_after, lstm
from tinygrad_lstm.weights.gates import LAYOUTS

ORDER = 210
APPENDIX = True

FRAMEWORKS = {"pytorch": "PyTorch", "keras": "Keras", "onnx": "ONNX"}


def content(subject: Subject) -> Content:
    """Whose share z is, where the reset stands, and the orders of gates."""
    ours, theirs = equations.forward(gru), equations.forward(gru_cho2014)
    before, after = theirs["h_tilde"], equations.forward(gru_reset_after)["h_tilde"]
    more = {
        "z": [("Chung 2014", ours["h"]), ("Cho 2014", theirs["h"])],
        "reset": [("Cho 2014", before), ("PyTorch", after)],
        "orders": [
            {
                "key": key,
                "framework": framework,
                "lstm": _signs(LAYOUTS[key][lstm].order),
                "gru": _signs(LAYOUTS[key][gru_reset_after].order),
            }
            for key, framework in FRAMEWORKS.items()
        ],
    }
    return Content(more=more)


def _signs(order: str) -> list[str]:
    """Names of gates as signs; what C's row holds is the candidate."""
    return [name("C_tilde" if gate == "C" else gate, None) for gate in order]
