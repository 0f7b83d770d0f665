"""Figures of stacked and bidirectional networks: what stands where, what leads where."""

import re
from itertools import combinations, pairwise

import pytest

import viz
from tinygrad_lstm import bidirectional, cell, cells, stack, tanh


@cell(state="h m", x="hidden", sequences={"m_below h_below z": "hidden"})
def below(now, prev, x, p, m_below, h_below, z):
    now.m = prev.m * m_below + h_below
    now.h = tanh(now.m + prev.h + x + z)


NETWORKS = {
    "stack": stack([cells.lstm, cells.gru]),
    "both": bidirectional(cells.lstm),
    "layers of both": stack([bidirectional(cells.lstm), bidirectional(cells.gru)]),
    "both of layers": bidirectional(stack([cells.rnn, cells.fgr])),
    "further inputs": stack([cells.lstm, bidirectional(cells.clockwork)]),
    "from below": stack([cells.depth_gated, cells.depth_gated]),
    "several from below": stack([below, below, below]),
    "a cell": cells.lstm_1997,
}
FIGURES = {
    "rolled": viz.rolled,
    "one step": lambda network: viz.unrolled(network, 1),
    "three steps": lambda network: viz.unrolled(network, 3),
}


def placed(figure):
    return {shape.id: shape for shape in figure.scene.shapes}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("figure", FIGURES)
def test_nothing_touches(name: str, figure: str) -> None:
    scene = FIGURES[figure](NETWORKS[name]).scene
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
        assert {("m2-in-x", f"m2-box-{own}"), (f"m2-box-{own}", "m2-join")} <= ways
    assert at["m1-box-backward"].y < at["m1-box-forward"].y
    texts = {shape.text for shape in at.values()}
    assert {"h⃗_0", "h⃗_3", "h⃖_4", "h⃖_1", "C⃖_4", "h_1", "h_2", "h_3"} <= texts
    assert "their outputs are joined" in figure.alt
    assert len(re.findall(r"<title>", figure.svg())) > 3


def test_what_is_read_stands_below_its_box() -> None:
    """Further inputs of an upper layer, too, but for what the layer below gives."""
    for name, (low, high) in {
        "further inputs": ({"x_t"}, {"clock_t", "mask"}),
        "from below": ({"x_t", "C_{below,t}"}, set()),
    }.items():
        scene = viz.rolled(NETWORKS[name]).scene
        at = {shape.id: shape for shape in scene.shapes}
        reads: dict[str, set[str]] = {}
        for wire in scene.wires:
            if at[wire.tail].kind == "terminal":
                reads.setdefault(wire.head, set()).add(at[wire.tail].text)
                tail, head = at[wire.tail], at[wire.head]
                assert tail.box[1] > head.box[3] and head.box[0] < tail.x < head.box[2]
        uppers = [read for box, read in reads.items() if box != "m-box-1"]
        assert reads["m-box-1"] == low and all(read == high for read in uppers), name
        assert len(uppers) == 2 * bool(high)


def test_loops_lead_back_into_their_box() -> None:
    scene = viz.rolled(NETWORKS["stack"]).scene
    loops = {(wire.tail, wire.head, wire.net) for wire in scene.wires if wire.tail == wire.head}
    assert loops == {
        ("m-box-1", "m-box-1", "1.h"),
        ("m-box-1", "m-box-1", "1.C"),
        ("m-box-2", "m-box-2", "2.h"),
    }


def test_equations_of_the_layer_below_have_lines_of_their_own() -> None:
    figure = viz.unrolled(NETWORKS["from below"], 2)
    ways = [(wire.tail, wire.head) for wire in figure.scene.wires]
    assert ways.count(("m2-box-1", "m2-box-2")) == 2
    assert [s.text for s in figure.scene.shapes if s.id.startswith("m2-given")] == ["C^(1)_2"]
    assert "Layer 2 also reads C of the one below." in figure.alt


@pytest.mark.parametrize("figure", ["cell", "chain"])
def test_what_a_network_has_not(figure: str) -> None:
    with pytest.raises(viz.FigureError) as found:
        getattr(viz, figure)(NETWORKS["stack"])
    assert str(found.value) == (
        f"viz.{figure} draws one cell, and network 'stack_of_lstm_and_gru' has several parts.\n"
        f"  Draw the whole with viz.unrolled, or one part: viz.{figure}(network.parts['1'])."
    )
