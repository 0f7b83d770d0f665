"""Relatives of the LSTM, any two cells side by side, and the conventions people trip over."""

from __future__ import annotations

import equations
import viz
from lesson.chapters import Content
from lesson.formulas import forward, name
from lesson.subject import Subject
from tinygrad_lstm import cells
from tinygrad_lstm.cells import gru, gru_cho2014, gru_reset_after, lstm
from tinygrad_lstm.weights.gates import LAYOUTS

ORDER = 60

RELATIVES = {"peephole": "lstm_peephole", "coupled": "lstm_coupled", "gru": "gru"}
FRAMEWORKS = {"pytorch": "PyTorch", "keras": "Keras", "onnx": "ONNX"}


def content(subject: Subject) -> Content:
    """The best-known relatives beside the LSTM, three forms of the GRU, orders of gates."""
    own = cells.all()
    figures = {
        name: viz.cell(own[cell]) if name == "gru" else viz.difference(lstm, own[cell])
        for name, cell in RELATIVES.items()
    }
    if not subject.is_lstm:
        figures["own_difference"] = viz.difference(lstm, subject.cell)
    more = {
        "relatives": {
            name: (equations.difference(lstm, own[cell]), forward(own[cell]))
            for name, cell in RELATIVES.items()
        },
        "own": equations.difference(lstm, subject.cell),
        "z": equations.difference(gru, gru_cho2014),
        "reset": equations.difference(gru_cho2014, gru_reset_after),
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
    return Content({"cells": str(len(own))}, figures, more)


def _signs(order: str) -> list[str]:
    """Names of gates as signs; what C's row holds is the candidate."""
    return [name("C_tilde" if gate == "C" else gate, None) for gate in order]
