"""Where things stand in figures other than a cell's: bands, tracks, terminals, arrows, captions."""

import os
import re
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from viz_odd_cells import ODD

import viz
from tinygrad_lstm import bidirectional, cells, compiled, stack, unroll
from viz.anatomy import anatomy
from viz.layout.free import lay_out_freely
from viz.layout.search import arranged
from viz.layout.shapes import Names
from viz.palette import DIM
from viz.scene import HEAD

GOLDEN = Path(__file__).parents[1] / "golden" / "dot"
BOTH = stack([bidirectional(cells.lstm), cells.gru])


def loss_of(network, steps=3, backward=True):
    p = network.init(inputs=2, hidden=2, seed=1)
    run = unroll(network, p, np.random.default_rng(0).normal(size=(steps, 2)))
    loss = sum((step["h"].sum() for step in run.steps[1:]), run.steps[0]["h"].sum())
    loss.name = "L"
    if backward:
        loss.backward()
    return loss


def rnn_run():
    p = cells.rnn.bind({"W": [[0.5, -1.0]], "b": [0.25]})
    loss = unroll(cells.rnn, p, np.array([[1.0], [0.5]])).final["h"].sum()
    loss.name = "L"
    loss.backward()
    return viz.graph(loss)


FIGURES = {
    "rnn-run": rnn_run,
    "lstm-unrolled": lambda: viz.unrolled(cells.lstm, 2),
    "stack-unrolled": lambda: viz.unrolled(stack([cells.lstm, bidirectional(cells.gru)]), 2),
    "minimal_gated": lambda: viz.cell(next(c for c in ODD if c.name == "minimal_gated")),
    "depth_gated": lambda: viz.cell(cells.depth_gated),
    "lstm_1997": lambda: viz.cell(cells.lstm_1997),
    "lstm-difference": lambda: viz.difference(cells.lstm, cells.lstm_coupled),
    "lstm-focus": lambda: viz.cell(cells.lstm, focus=("f",)),
}


@pytest.mark.parametrize("name", FIGURES)
def test_dot_text_is_golden(name):
    """To accept a new layout, look at it, then run with REFRESH_GOLDEN=1."""
    path, dot = GOLDEN / f"{name}.dot", FIGURES[name]().dot
    if os.environ.get("REFRESH_GOLDEN"):
        path.write_text(dot, encoding="utf-8")
    assert dot == path.read_text(encoding="utf-8")


# --- runs over time -------------------------------------------------------------------------------
@pytest.mark.parametrize("network", (cells.lstm, cells.gru, BOTH), ids=str)
def test_a_band_holds_the_cards_of_its_step_and_no_others(network):
    scene = viz.graph(loss_of(network)).scene
    for band in (s for s in scene.shapes if s.kind == "band"):
        step = band.id.removeprefix("band-").partition(".")[0]
        left, top, right, bottom = band.box
        for card in (s for s in scene.shapes if s.kind in ("card", "given")):
            a, b, c, d = card.box
            if left < a and c < right:
                assert f"time-{step}" in card.classes and top < b and d < bottom
            else:
                assert f"time-{step}" not in card.classes or "." in band.id
                assert c < left or right < a
        name = next(s for s in scene.shapes if s.id == f"{band.id}-0")
        assert left < name.box[0] and name.box[2] < right and top < name.box[1]
        assert name.text == f"t = {step}" and name.y < min(
            s.box[1] for s in scene.shapes if s.kind == "card"
        )


@pytest.mark.parametrize("network", (cells.lstm, cells.gru, BOTH), ids=str)
def test_lines_of_a_run_lie_apart_and_pass_no_card(network):
    scene = viz.graph(loss_of(network)).scene
    cards = [s for s in scene.shapes if s.kind in ("card", "given")]
    lines = [w for w in scene.wires if not w.id.endswith("-back")]
    pieces = [(w, *sorted(p)) for w in lines for p in pairwise(w.points)]
    for w, (x0, y0), (x1, y1) in pieces:
        low, high = min(y0, y1), max(y0, y1)
        for card in cards:
            left, top, right, bottom = card.box
            apart = x1 <= left or x0 >= right or high <= top or low >= bottom
            assert apart, (w.id, card.id)
    for (v, (a, b), (c, d)), (w, (e, f), (g, h)) in combinations(pieces, 2):
        if v.net == w.net or v.head == w.head:
            continue
        upright = a == c == e == g and min(max(b, d), max(f, h)) > max(min(b, d), min(f, h))
        level = b == d == f == h and min(c, g) > max(a, e)
        assert not upright and not level, (v.id, w.id)


@pytest.mark.parametrize("computed", (True, False))
def test_the_caption_says_what_the_lines_of_a_card_are(computed):
    figure = viz.graph(loss_of(cells.rnn) if computed else cells.rnn.program())
    caption = next(s for s in figure.scene.shapes if s.id == "key")
    wanted = "name, value, ∇ gradient (· not computed yet)" if computed else "name, shape"
    assert caption.text == wanted
    assert caption.y > max(s.box[3] for s in figure.scene.shapes if s.id != "key")


@pytest.mark.parametrize("fold", ("equation", "op", "time"))
def test_arrows_point_back_where_a_gradient_has_flowed(fold):
    before, after = loss_of(cells.lstm, backward=False), loss_of(cells.lstm)
    assert not [w for w in viz.graph(before, fold=fold).scene.wires if "backward" in w.classes]
    figure = viz.graph(after, fold=fold)
    shapes = {s.id: s for s in figure.scene.shapes}
    back = {(w.head, w.tail): w for w in figure.scene.wires if "backward" in w.classes}
    for wire in figure.scene.wires:
        if "backward" not in wire.classes:
            given = shapes[wire.tail].kind == "given"
            given = "∇" not in shapes[wire.tail].title if fold == "op" else given
            assert ((wire.tail, wire.head) in back) != given, wire.id
    for (source, _), wire in back.items():
        x, y = wire.points[-1]
        left, top, right, bottom = shapes[source].box
        assert wire.arrow and left - 0.6 < x < right + 0.6 and top - 0.6 < y < bottom + 0.6
    assert "Arrows that point back" in figure.alt


def test_no_arrow_points_back_to_what_was_detached():
    from tinygrad_lstm import Tensor

    x = Tensor([1.0, 2.0], name="x")
    z = x.detach() * x
    z.sum().backward()
    scene = viz.graph(z, fold="op").scene
    kinds = {s.id: s.title.split(":")[0] for s in scene.shapes}
    back = [(kinds[w.tail], kinds[w.head]) for w in scene.wires if "backward" in w.classes]
    assert back == [("×", "x")]


@pytest.mark.parametrize("handed", (False, True), ids=("read", "handed"))
@pytest.mark.parametrize("second", (cells.lstm, cells.gru), ids=str)
def test_runs_after_one_another_have_steps_of_their_own(second, handed):
    random, steps = np.random.default_rng(0), 4
    p = cells.gru.init(inputs=2, hidden=2)
    first = unroll(cells.gru, p, random.normal(size=(steps, 2)))
    given = {"initial": {"h": first.final["h"]}} if handed else {}
    p = second.init(inputs=2, hidden=2, seed=1)
    run = unroll(second, p, random.normal(size=(steps, 2)) if handed else first["h"], **given)
    scene = viz.graph(run.final["h"].sum(), fold="time").scene
    boxes = {s.id for s in scene.shapes if s.kind == "module"}
    assert len(boxes) == 2 * steps
    inner = {(w.tail, w.head) for w in scene.wires if w.tail in boxes and w.head in boxes}
    along = {(f"t{k}{run}", f"t{k + 1}{run}") for run in ("", ".1") for k in range(steps - 1)}
    across = {("t3", "t0.1")} if handed else {(f"t{k}", f"t{k}.1") for k in range(steps)}
    assert inner == along | across


# --- networks -------------------------------------------------------------------------------------
@pytest.mark.parametrize("cell", (cells.lstm, cells.lstm_1997, cells.clockwork), ids=str)
def test_what_a_module_reads_stands_evenly_below_it(cell):
    scene = viz.unrolled(cell, 2).scene
    box = next(s for s in scene.shapes if s.id == "m1-box")
    given = sorted(s.x for s in scene.shapes if s.id.startswith("m1-in-"))
    assert sum(given) / len(given) == pytest.approx(box.x)
    assert len({round(b - a, 6) for a, b in pairwise(given)}) <= 1
    assert next(s.x for s in scene.shapes if s.id == "m1-out") == box.x


def test_the_states_of_a_layer_pass_evenly_through_its_middle():
    scene = viz.unrolled(stack([cells.lstm, cells.lstm_1997]), 2).scene
    for layer, states in (("1", cells.lstm.state), ("2", cells.lstm_1997.state)):
        box = next(s for s in scene.shapes if s.id == f"m1-box-{layer}")
        heights = sorted(
            next(w.points[0][1] for w in scene.wires if w.id == f"pass-{layer}-{state}-0")
            for state in states
        )
        assert sum(heights) / len(heights) == pytest.approx(box.y)
        assert len({round(b - a, 6) for a, b in pairwise(heights)}) == 1
        assert box.box[1] < heights[0] and heights[-1] < box.box[3]


# --- Graphviz's own layout ------------------------------------------------------------------------
@pytest.mark.parametrize("cell", ODD, ids=lambda c: c.name)
def test_in_the_free_layout_too_arrows_end_at_shapes_and_the_body_holds_all(cell):
    a = anatomy(cell)
    scene, _ = lay_out_freely(a, Names())
    shapes = {s.id: s for s in scene.shapes}
    left, top, right, bottom = shapes["body"].box
    ends = {*(f"label-{k}" for k in a.previous), *(f"label-{s}" for s in a.states)}
    for shape in scene.shapes:
        x0, y0, x1, y1 = shape.box
        if shape.id in ends:
            assert x1 <= left or x0 >= right
        elif shape.id != "body" and not shape.id.startswith("second-"):
            assert left < x0 and x1 < right and top < y0 and y1 < bottom, shape.id
    margins = [s.box[0] - left for s in scene.shapes if s.kind in ("layer", "op", "terminal")]
    other = [right - s.box[2] for s in scene.shapes if s.kind in ("layer", "op", "terminal")]
    assert min(margins) == pytest.approx(min(other), abs=1.0)
    for wire in scene.wires:
        head = shapes[wire.head]
        assert wire.tip is not None
        x, y = wire.tip
        x0, y0, x1, y1 = head.box
        assert x0 - 1.5 < x < x1 + 1.5 and y0 - 1.5 < y < y1 + 1.5
        edge = min(abs(x - x0), abs(x - x1), abs(y - y0), abs(y - y1))
        assert edge < 1.5, wire.id
        bx, by = wire.points[-1]
        assert 2 < ((bx - x) ** 2 + (by - y) ** 2) ** 0.5 < 2 * HEAD


def test_a_line_that_is_turned_ends_where_it_began():
    scene, _ = lay_out_freely(anatomy(cells.gru), Names())
    scene.wires += viz.cell(cells.gru).scene.wires
    for wire in scene.wires:
        turned = wire.turned(True)
        assert (turned.tail, turned.head) == (wire.head, wire.tail)
        ends = turned.points[0], turned.tip or turned.points[-1]
        assert ends == (wire.tip or wire.points[-1], wire.points[0])
        assert len(turned.points) % 3 == 1 or not wire.curve
        assert wire.turned(False).tip is None


# --- what is dimmed, and plans --------------------------------------------------------------------
def test_what_is_dimmed_is_so_without_css_and_in_dot():
    figure = viz.cell(cells.lstm, focus=("f",))
    dim = [e.id for e in (*figure.scene.shapes, *figure.scene.wires) if e.dim]
    lit = [e.id for e in (*figure.scene.shapes, *figure.scene.wires) if not e.dim]
    assert dim and lit
    plain, css = figure.svg(css=False), figure.svg()
    for own in dim + lit:
        group = re.search(rf'<g id="{re.escape(figure.prefix)}-{re.escape(own)}" [^>]*>', plain)
        assert group and (f'opacity="{DIM}"' in group[0]) == (own in dim)
    assert not re.search(r'<g [^>]*opacity="', css)
    faded = f"{round(255 * DIM):02x}"
    for line in figure.dot.splitlines():
        if found := re.match(r".* -> .*\bid=\"?([^\s\"]*)", line):
            colour = re.search(r' color="(#\w+)"', line)
            fades = colour is not None and re.fullmatch(rf"#\w{{6}}{faded}", colour[1])
            assert (found[1] in dim) == bool(fades)


@pytest.mark.parametrize("name", ("lstm", "gru", "lstm_1997"))
def test_the_captions_of_a_plan_stand_in_their_band(name):
    cell = cells.all()[name]
    scene = viz.plan(compiled(cell).plan(**dict.fromkeys(cell.sizes, 2))).scene
    shapes = {s.id: s for s in scene.shapes}
    for band in (s for s in scene.shapes if s.kind == "band"):
        above, below = shapes[f"{band.id}-0"], shapes[f"{band.id}-1"]
        assert above.box[3] <= below.box[1] and above.size > below.size
        for caption in (above, below):
            left, top, right, bottom = caption.box
            assert band.box[0] < left and right < band.box[2]
            assert band.box[1] < top and bottom < band.box[3]
        assert (above.y + below.y) / 2 == pytest.approx(band.y, abs=1.0)


def test_how_long_lines_are():
    """What the lines of these cells cost on the grid; more is worse than today's."""
    most = {
        "lstm": 98,
        "gru": 138,
        "lstm_1997": 571,
        "fgr": 765,
        "depth_gated": 352,
        "minimal_gated": 190,
    }
    for name, limit in most.items():
        cell = next(c for c in (*cells.all().values(), *ODD) if c.name == name)
        grid = arranged(anatomy(cell))
        assert sum(net.cost for net in grid.nets.values()) <= limit, name
