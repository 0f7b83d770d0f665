"""Relatives of the LSTM, and what was found when many were compared."""

from __future__ import annotations

import equations
import viz
from lesson.chapters import Content
from lesson.formulas import forward
from lesson.subject import Subject
from tinygrad_lstm import cells
from tinygrad_lstm.cells import lstm

ORDER = 100

RELATIVES = {"peephole": "lstm_peephole_gers", "coupled": "lstm_coupled", "gru": "gru"}


def content(subject: Subject) -> Content:
    """The best-known relatives beside the LSTM."""
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
    }
    return Content({"cells": str(len(own))}, figures, more)
