"""Every cell of the corpus and of the package: drawn, and walked through step by step."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from figure_kinds import SECONDS, figures_of, spent
from sampling import sample

import viz
from lesson.commands.step import small_run
from readings.subjects import CELLS, Result, draw
from tinygrad_lstm import step_through
from tinygrad_lstm.stepper.trace import to_json


def figures_are_drawn(cell: Any) -> None:
    """Cells in straight lines: Graphviz's own layout is for what nobody has posted."""
    for kind, make in sample(figures_of(cell, every=False).items(), 2, len(cell.name)):
        begun = spent()
        figure = make()
        assert "<svg" in figure.svg()
        assert figure.alt.endswith(".")
        assert spent() - begun < SECONDS, kind
        assert kind != "cell" or not any(wire.curve for wire in figure.scene.wires)


def programs_are_drawn(cell: Any) -> None:
    assert "<svg" in viz.graph(cell.program()).svg()


def steps_can_be_walked(cell: Any) -> None:
    q = draw(cell, time=2, batch=None)
    result = Result(q)
    root = result.run[cell.output]
    trace = step_through((root * root).sum())
    assert len(json.loads(to_json(trace))["events"]) == len(trace)
    loss, about = small_run(cell, 1, 0, {})
    for line in step_through(loss).text():
        assert "Ellipsis" not in line
    assert about


READINGS = (figures_are_drawn, programs_are_drawn, steps_can_be_walked)


@pytest.mark.sample(3)
@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("reading", READINGS, ids=lambda f: f.__name__)
def test_every_cell(reading: Callable[[Any], None], name: str) -> None:
    reading(CELLS[name])
