"""Relatives of the LSTM, any two cells side by side, and the conventions people trip over."""

from __future__ import annotations

import equations
import viz
from lesson.chapters import Content
from lesson.formulas import formula, forward, timeless
from lesson.subject import Subject
from tinygrad_lstm import cells
from tinygrad_lstm.cells import gru, gru_cho2014, gru_reset_after, lstm
from tinygrad_lstm.weights.gates import LAYOUTS

ORDER = 60

RELATIVES = {"peephole": "lstm_peephole", "coupled": "lstm_coupled", "gru": "gru"}


def content(subject: Subject) -> Content:
    """The best-known relatives beside the LSTM, three forms of the GRU, orders of gates."""
    own = cells.all()
    figures = {
        name: viz.cell(own[cell]) if name == "gru" else viz.difference(lstm, own[cell])
        for name, cell in RELATIVES.items()
    }
    if not subject.is_lstm:
        figures["own_difference"] = viz.difference(lstm, subject.cell)
    relatives = {
        name: {
            "difference": formula(equations.difference(lstm, own[cell])),
            "forward": formula(forward(own[cell])),
        }
        for name, cell in RELATIVES.items()
    }
    more = {
        "relatives": relatives,
        "own": formula(equations.difference(lstm, subject.cell)),
        "z": formula(equations.difference(gru, gru_cho2014)),
        "reset": formula(equations.difference(gru_cho2014, gru_reset_after)),
        "orders": [
            {
                "framework": "PyTorch",
                "lstm": _signs(LAYOUTS["pytorch"][lstm].order),
                "gru": _signs(LAYOUTS["pytorch"][gru_reset_after].order),
                "key": "pytorch",
            },
            {
                "framework": "Keras",
                "lstm": _signs(LAYOUTS["keras"][lstm].order),
                "gru": _signs(LAYOUTS["keras"][gru_reset_after].order),
                "key": "keras",
            },
            {
                "framework": "ONNX",
                "lstm": _signs(LAYOUTS["onnx"][lstm].order),
                "gru": _signs(LAYOUTS["onnx"][gru_reset_after].order),
                "key": "onnx",
            },
        ],
    }
    return Content({"cells": str(len(own))}, figures, more)


def _signs(order: str) -> list[str]:
    """Names of gates as signs; what C's row holds is the candidate."""
    return [timeless("C_tilde" if gate == "C" else gate) for gate in order]
