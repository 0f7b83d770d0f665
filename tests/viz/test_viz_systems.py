"""Systems and grids in figures: graphs of their runs, and what leads where over time."""

from typing import Any

import pytest

import viz
from tinygrad_lstm import before, bidirectional, cell, cells, stack, system, systems, tanh
from viz.figures.graph import small_loss

SYSTEMS = {
    "stack": stack([cells.gru, cells.rnn]),
    "both": stack([bidirectional(cells.rnn), cells.rnn]),
    "storn": systems.storn,
    "rnnsearch": systems.rnnsearch,
}


def arrows(figure: Any) -> list[tuple[Any, Any]]:
    shapes = {shape.id: shape for shape in figure.scene.shapes}
    wires = [wire for wire in figure.scene.wires if "backward" not in wire.classes]
    return [(shapes[wire.tail], shapes[wire.head]) for wire in wires]


@pytest.mark.parametrize("fold", ["equation", "time"])
@pytest.mark.parametrize("name", SYSTEMS)
def test_no_arrow_of_a_run_leads_back(name: str, fold: Any) -> None:
    figure = viz.graph(small_loss(SYSTEMS[name], 3), fold=fold)
    assert all(one.box[2] < two.box[0] for one, two in arrows(figure))


def steps(network: Any) -> dict[str, str]:
    scene = viz.graph(small_loss(network, 3), fold="time").scene
    return {shape.title.split(":")[0]: shape.id for shape in scene.shapes if shape.kind == "module"}


def test_steps_are_of_one_network() -> None:
    every = {f"{part}, t = {t}" for part in "qp" for t in (1, 2, 3)}
    assert {name.replace("\u2002", " ") for name in steps(systems.storn)} == every
    figure = viz.graph(small_loss(SYSTEMS["stack"], 3), fold="time")
    name = {shape.id: shape.title.split(":")[0] for shape in figure.scene.shapes}
    read = {(name[a.id], name[b.id]) for a, b in arrows(figure) if {a.kind, b.kind} == {"module"}}
    along = {(f"{k}, t = {t}", f"{k}, t = {t + 1}") for k in "12" for t in (1, 2)}
    assert read == along | {(f"1, t = {t}", f"2, t = {t}") for t in (1, 2, 3)}


def test_parts_inside_a_cell_are_no_networks() -> None:
    assert [*steps(systems.vrnn)] == ["t = 1", "t = 2", "t = 3"]


def bands(network: Any) -> list[str]:
    """What stands on each band, from left to right."""
    scene = viz.graph(small_loss(network, 3)).scene
    found = sorted((shape for shape in scene.shapes if shape.kind == "band"), key=lambda s: s.x)
    words = [(s.id.rpartition("-")[0], s.text) for s in scene.shapes if s.kind == "caption"]
    return [" ".join(text for own, text in words if own == band.id) for band in found]


def test_networks_in_step_share_a_band_and_others_have_their_own() -> None:
    one, two, three = (f"t = {t}" for t in (1, 2, 3))
    assert bands(systems.storn) == bands(SYSTEMS["stack"]) == [one, two, three]
    found = bands(SYSTEMS["both"])
    assert [b.split(" ")[2] for b in found if "backward" in b] == ["3", "2", "1"]
    found = bands(systems.rnnsearch)
    assert found[-3:] == [f"{t} decoder" for t in (one, two, three)] and len(found) == 10


def test_parts_that_read_one_another_share_bands() -> None:
    @cell(state="h", x="hidden", sequences={"y": "hidden"})
    def follower(now: Any, prev: Any, x: Any, p: Any, y: Any) -> None:
        now.h = tanh(prev.h + x + y)

    net = system(
        a=follower, b=follower,
        wires={"a.x": "x", "a.y": before("b.h"), "b.x": "x", "b.y": "a.h"},
    )  # fmt: skip
    assert len(bands(net)) == 3 and len(steps(net)) == 6
