"""Figures of stacked and bidirectional networks: what stands where, what leads where."""

import re
from itertools import combinations, pairwise

import pytest

import viz
from tinygrad_lstm import bidirectional, cells, stack

NETWORKS = {
    "stack": stack([cells.lstm, cells.gru]),
    "both": bidirectional(cells.lstm),
    "layers of both": stack([bidirectional(cells.lstm), bidirectional(cells.gru)]),
    "both of layers": bidirectional(stack([cells.rnn, cells.fgr])),
}


def placed(figure):
    return {shape.id: shape for shape in figure.scene.shapes}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("steps", [1, 3])
def test_nothing_touches(name: str, steps: int) -> None:
    scene = viz.unrolled(NETWORKS[name], steps).scene
    for a, b in combinations(scene.shapes, 2):
        (l1, t1, r1, b1), (l2, t2, r2, b2) = a.box, b.box
        assert r1 <= l2 or r2 <= l1 or b1 <= t2 or b2 <= t1, (a.id, b.id)
    for wire in scene.wires:
        for (x0, y0), (x1, y1) in pairwise(wire.points):
            assert x0 == x1 or y0 == y1
            for shape in scene.shapes:
                if shape.id in (wire.tail, wire.head):
                    continue
                left, top, right, bottom = shape.box
                apart = (
                    max(x0, x1) <= left
                    or right <= min(x0, x1)
                    or max(y0, y1) <= top
                    or bottom <= min(y0, y1)
                )
                assert apart, (wire.id, shape.id)
    for a, b in combinations(scene.wires, 2):  # lines meet only where they share an end
        if {a.tail, a.head} & {b.tail, b.head}:
            continue
        for ((p, q), (r, s)), ((t, u), (v, w)) in (
            (m, n) for m in pairwise(a.points) for n in pairwise(b.points)
        ):
            apart = (
                max(p, r) < min(t, v)
                or max(t, v) < min(p, r)
                or max(q, s) < min(u, w)
                or max(u, w) < min(q, s)
            )
            assert apart, (a.id, b.id)


def test_layers_stand_above_one_another() -> None:
    figure = viz.unrolled(NETWORKS["stack"], 2)
    at = placed(figure)
    column = [at[key] for key in ("m2-in-x", "m2-box-1", "m2-box-2", "m2-out")]
    assert len({shape.x for shape in column}) == 1
    assert [s.y for s in column] == sorted((s.y for s in column), reverse=True)
    assert [s.text for s in column] == ["x_2", "A^(1)", "A^(2)", "h^(2)_2"]
    ways = {(wire.tail, wire.head) for wire in figure.scene.wires}
    assert {("m1-in-x", "m1-box-1"), ("m1-box-1", "m1-box-2"), ("m1-box-2", "m1-out")} <= ways
    assert ("m1-box-1", "m2-box-1") in ways and ("m1-box-2", "m2-box-2") in ways


def test_directions_run_against_each_other() -> None:
    figure = viz.unrolled(NETWORKS["both"], 3)
    at = placed(figure)
    ways = {(wire.tail, wire.head) for wire in figure.scene.wires}
    assert ("m1-box-forward", "m2-box-forward") in ways
    assert ("m2-box-backward", "m1-box-backward") in ways
    assert ("m1-box-backward", "m2-box-backward") not in ways
    for own in ("forward", "backward"):
        assert {("m2-in-x", f"m2-box-{own}"), (f"m2-box-{own}", "m2-join-")} <= ways
    assert at["m1-box-backward"].y < at["m1-box-forward"].y
    texts = {shape.text for shape in at.values()}
    assert {"h⃗_0", "h⃗_3", "h⃖_4", "h⃖_1", "C⃖_4", "h_1", "h_2", "h_3"} <= texts
    assert "their outputs are joined" in figure.alt
    assert len(re.findall(r"<title>", figure.svg())) > 3


@pytest.mark.parametrize("figure", ["cell", "rolled", "chain"])
def test_what_a_network_has_not(figure: str) -> None:
    with pytest.raises(viz.FigureError) as found:
        getattr(viz, figure)(NETWORKS["stack"])
    assert str(found.value) == (
        f"viz.{figure} draws one cell, and network 'stack_of_lstm_and_gru' has several parts.\n"
        f"  Draw the whole with viz.unrolled, or one part: viz.{figure}(network.parts['1'])."
    )
