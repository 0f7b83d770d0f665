"""Figures as users meet them: DOT, SVG, files, focus, alternative text, the command."""

import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import graphviz
import numpy as np
import pytest
from viz_cells import OWN, deep, exotic, exponential

import viz
from equations.wording import Said
from lesson import prose
from lesson.commands import main
from tinygrad_lstm import cells, unroll
from viz.anatomy import anatomy
from viz.kinds import all_kinds
from viz.layout.free import lay_out_freely
from viz.layout.shapes import Names
from viz.palette import COLOURS, SHAPES
from viz.rendering import render

GOLDEN = Path(__file__).parents[1] / "golden" / "dot"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def run():
    p = cells.lstm.init(inputs=2, hidden=2, seed=1)
    result = unroll(cells.lstm, p, np.random.default_rng(0).normal(size=(3, 2)))
    result["h"].sum().backward()
    return result


def figures(run):
    lstm = cells.lstm
    return {
        "cell": viz.cell(lstm),
        "focus": viz.cell(lstm, focus=("f",)),
        "rolled": viz.rolled(lstm),
        "unrolled": viz.unrolled(lstm, steps=3),
        "chain": viz.chain(lstm),
        "detailed": viz.chain(cells.gru, detailed=True),
        "legend": viz.legend(),
        "difference": viz.difference(lstm, cells.lstm_peephole),
        "graph": viz.graph(run["h"].sum()),
        "op": viz.graph(run.steps[0]["h"], fold="op"),
        "time": viz.graph(run.final, fold="time"),
        "program": viz.graph(cells.rnn.program()),
    }


# --- golden DOT text --------------------------------------------------------------------------
@pytest.mark.parametrize("name", ("rnn", "lstm", "lstm_peephole", "lstm_coupled", "gru"))
def test_dot_text_is_golden(name):
    """To accept a new layout, look at it, then run: REFRESH_GOLDEN=1 pytest tests/viz"""
    path = GOLDEN / f"{name}.dot"
    dot = viz.cell(cells.all()[name]).dot
    if os.environ.get("REFRESH_GOLDEN"):
        path.write_text(dot, encoding="utf-8")
    assert dot == path.read_text(encoding="utf-8")


# --- every figure -----------------------------------------------------------------------------
def test_every_figure_is_well_formed(run):
    for name, figure in figures(run).items():
        root = ET.fromstring(figure.svg())
        assert root.get("role") == "img", name
        title, desc = root.get("aria-labelledby").split()
        said = {e.get("id"): e.text for e in root.iter() if e.get("id")}
        assert said[title] == figure.title and said[desc] == figure.alt
        assert figure.alt.endswith(".") and len(figure.alt) > 60
        ids = [e.get("id") for e in root.iter() if e.get("id")]
        assert len(ids) == len(set(ids)), name
        assert all(i.startswith(figure.prefix) for i in ids)
        assert not list(root.iter(f"{SVG}text")), "labels are glyphs, not text"
        hrefs = {e.get("href") for e in root.iter(f"{SVG}use")}
        assert hrefs <= {f"#{i}" for i in ids}


def test_every_shape_and_line_reaches_the_svg(run):
    for figure in figures(run).values():
        found = {e.get("id") for e in ET.fromstring(figure.svg()).iter(f"{SVG}g")}
        for element in (*figure.scene.shapes, *figure.scene.wires):
            assert f"{figure.prefix}-{element.id}" in found


def test_graphviz_keeps_every_place():
    scene = viz.cell(cells.gru).scene
    plain = render(viz.cell(cells.gru).dot, format="plain")
    found = {}
    for line in plain.splitlines():
        if line.startswith("node"):
            word = line.split()
            found[word[1].strip('"')] = (72 * float(word[2]), 72 * float(word[3]))
    left, top = found["body"][0] - scene.shapes[0].x, found["body"][1] + scene.shapes[0].y
    for shape in scene.shapes:
        x, y = found[shape.id]
        assert x - left == pytest.approx(shape.x, abs=0.05)
        assert top - y == pytest.approx(shape.y, abs=0.05)


@pytest.mark.parametrize("engine", ("dot", "neato", "circo"))
def test_the_graph_is_one_that_users_can_edit(engine):
    """Whatever is added, and whichever engine is asked, everything keeps its place."""
    figure = viz.cell(cells.rnn)
    graph = figure.graph
    assert isinstance(graph, graphviz.Digraph) and graph.source == figure.dot
    before = render(figure.dot, engine, "plain").splitlines()
    graph.node("mine", pos="60,-60", label="mine")
    graph.edge("part-h", "mine", pos="80,-60 70,-60 65,-60 60,-60")
    after = render(graph.source, engine, "plain").splitlines()
    assert set(before[1:]) < set(after) and len(after) == len(before) + 2
    assert figure.graph.source == figure.dot, "the figure itself stays as it is"


def test_prefix_keeps_two_copies_apart():
    figure = viz.cell(cells.rnn)
    first, second = (re.findall(r' id="([^"]+)"', figure.svg(prefix=p)) for p in ("a", "b"))
    assert first and not set(first) & set(second)


def test_same_figure_same_text():
    assert viz.cell(cells.lstm).svg() == viz.cell(cells.lstm).svg()
    assert viz.cell(deep).dot == viz.cell(deep).dot


def test_colours_are_custom_properties_with_a_dark_side():
    svg = viz.cell(cells.lstm).svg()
    assert "prefers-color-scheme:dark" in svg and "var(--viz-layer,#" in svg
    plain = viz.cell(cells.lstm).svg(css=False)
    assert "var(" not in plain and "<style" not in plain
    assert COLOURS["layer"][0] in plain


def luminance(colour):
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    parts = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", (0, 1), ids=("light", "dark"))
def test_contrast(theme):
    colour = {name: pair[theme] for name, pair in COLOURS.items()}
    for fill, line, _ in SHAPES.values():
        if fill:
            assert contrast(colour["ink"], colour[fill]) >= 4.5
        if line:
            for ground in {colour[g] for g in ("ground", "body", "band", fill) if g}:
                assert contrast(colour[line], ground) >= 3, (line, ground)
    for ground in (colour["ground"], colour["body"], colour["band"]):
        for line in ("line", "forward", "backward", "changed"):
            assert contrast(colour[line], ground) >= 3, (line, ground)
        assert contrast(colour["quiet"], ground) >= 4.5


# --- focus ------------------------------------------------------------------------------------
def bright(figure):
    parts = {s.id for s in figure.scene.shapes if s.kind in ("layer", "op") and not s.dim}
    return {p.removeprefix("part-") for p in parts}


@pytest.mark.parametrize(
    ("focus", "parts"),
    [
        (("belt:C",), {"C.1", "C"}),
        (("f",), {"f"}),
        (("gate:f",), {"f", "C.1"}),
        (("i", "C_tilde"), {"i", "C_tilde"}),
        (("C",), {"C.1", "C.2", "C"}),
        (("o", "h"), {"o", "h.1", "h"}),
        ((), None),
    ],
)
def test_focus_dims_the_rest(focus, parts):
    figure = viz.cell(cells.lstm, focus=focus)
    everything = {s.id.removeprefix("part-") for s in figure.scene.shapes if s.id[:5] == "part-"}
    assert bright(figure) == (everything if parts is None else parts)
    assert any(w.dim for w in figure.scene.wires) == bool(focus)


def test_focus_lights_the_way_in_and_out():
    scene = viz.cell(cells.lstm, focus=("f",)).scene
    dim = {s.id: s.dim for s in scene.shapes}
    assert not dim["in-x"] and not dim["label-prev.h"] and not dim["label-f"]
    assert dim["label-prev.C"] and dim["out-output"] and dim["part-C.1"]


def test_unknown_focus_lists_what_there_is():
    with pytest.raises(viz.FigureError) as error:
        viz.cell(cells.gru, focus=("forget",))
    assert str(error.value) == (
        "cannot focus on 'forget' in cell 'gru'. There are the equations z, r, h_tilde, h; "
        "the belts belt:h; the gates gate:z, gate:r, gate:h_tilde."
    )


# --- kinds ------------------------------------------------------------------------------------
def test_a_kind_of_figure_is_one_file(tmp_path, monkeypatch, capsys):
    """A module and its words in the folder: the face and the command have it; nothing else."""
    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "states.py").write_text(
        "from equations.wording import Said\n"
        "from tinygrad_lstm.step import Cell\n"
        "from viz.figure import Figure\n"
        "from viz.kinds import figure\n"
        "from viz.scene import Scene, label\n"
        "from viz.symbols import named\n"
        "@figure(size='of the letters')\n"
        "def states(cell: Cell, size: int = 20) -> Figure:\n"
        "    names = [label(n, named(n), 0, 30 * k, size) for k, n in enumerate(cell.state)]\n"
        "    return Figure('states', 'States', Said('Its states.'), Scene(names))\n",
        encoding="utf-8",
    )
    (folder / "states.toml").write_text('[ko]\n"Its states." = "상태들."\n', encoding="utf-8")
    before = dict(all_kinds())
    monkeypatch.setattr(viz.figures, "__path__", [*viz.figures.__path__, str(folder)])
    monkeypatch.setattr(viz.kinds, "_KINDS", dict(before))
    for cached in (all_kinds, viz.kinds.sentences):
        cached.cache_clear()
    assert set(all_kinds()) == {*before, "states"}
    assert (
        main(["draw", "lstm", "--kind", "states", "--size", "9", "-o", str(folder / "a.dot")]) == 0
    )
    assert "C_t" in (folder / "a.dot").read_text(encoding="utf-8")
    assert prose.translate(Said("Its states."), "ko") == "상태들."
    for cached in (all_kinds, viz.kinds.sentences):
        cached.cache_clear()


def test_the_face_has_every_kind():
    assert set(viz.__all__) == {"Figure", "FigureError", *all_kinds()}
    assert all(getattr(viz, name) is kind.draw for name, kind in all_kinds().items())


# --- alternative text -------------------------------------------------------------------------
def test_alternative_text_says_what_flows_where():
    assert viz.cell(cells.lstm_coupled).alt == (
        "One step of the cell lstm_coupled. "
        "h_{t-1} and C_{t-1} enter from the left, x_t from below. "
        "h_{t-1} and x_t merge and pass through a σ layer with W_f and b_f, which gives f_t. "
        "h_{t-1} and x_t merge and pass through a tanh layer with W_C and b_C, which gives C̃_t. "
        "C_t = f_t ⊙ C_{t-1} + (1 − f_t) ⊙ C̃_t. "
        "h_{t-1} and x_t merge and pass through a σ layer with W_o and b_o, which gives o_t. "
        "h_t = o_t ⊙ tanh(C_t). C_t runs straight along a belt on top. "
        "h_t and C_t leave to the right; h_t is also the output above."
    )


@pytest.mark.parametrize("cell", OWN, ids=lambda c: c.name)
def test_alternative_text_names_every_equation(cell):
    from equations import name_unicode

    alt = viz.cell(cell).alt
    for name in cell.program().equations:
        assert name_unicode(name) in alt


# --- what a cell is made of -------------------------------------------------------------------
def test_parts_of_unusual_cells():
    parts = anatomy(exotic).parts
    assert parts["a"].sign.text == "softmax" and parts["a"].merges
    assert parts["u"].weights == ("W_u",) and parts["u"].inputs == ("x",)
    assert anatomy(exotic).inputs == ("x", "noise")
    states = anatomy(exponential).states
    assert states == {"h": "h", "C": "C", "n": "n"}


def test_a_figure_by_graphviz_shows_the_same_parts():
    grid = {s.id for s in viz.cell(deep).scene.shapes if s.id.startswith("part-")}
    free, _ = lay_out_freely(anatomy(deep), Names())
    assert {s.id for s in free.shapes if s.id.startswith("part-")} == grid
    figure = viz.Figure("free", "Free", "Free.", free)
    assert ET.fromstring(figure.svg()).get("class") == "viz"


def test_difference_marks_only_what_is_new():
    scene = viz.difference(cells.lstm, cells.lstm_peephole).scene
    assert not [s.id for s in scene.shapes if "changed" in s.classes]
    new = {w.net for w in scene.wires if "changed" in w.classes}
    assert new == {"b-prev.C", "b-C"}
    scene = viz.difference(cells.lstm, cells.lstm_coupled).scene
    new = {s.id for s in scene.shapes if "changed" in s.classes and s.id.startswith(("a-p", "b-p"))}
    assert new == {"a-part-i", "b-part-C.2"}
    same = viz.difference(cells.gru, cells.gru).scene
    assert not [e for e in (*same.shapes, *same.wires) if "changed" in e.classes]


# --- graphs -----------------------------------------------------------------------------------
def texts(figure):
    return {s.id: s.text for s in figure.scene.shapes}


def test_graph_shows_values_and_gradients():
    p = cells.rnn.bind({"W": [[0.5, -1.0]], "b": [0.25]})
    run = unroll(cells.rnn, p, np.array([[1.0]]))
    loss = run.final["h"].sum()
    loss.name = "L"
    before = texts(viz.graph(loss)).values()
    assert "h_1" in before and "−0.635" in before and "∇ ·" in before
    assert "∇ 1" not in before
    loss.backward()
    after = texts(viz.graph(loss)).values()
    assert "∇ 1" in after and "∇ ·" not in after


def test_graph_folds(run):
    loss = run.final["h"].sum()
    by_equation = viz.graph(loss)
    cards = [s for s in by_equation.scene.shapes if s.kind == "card"]
    assert len(cards) == 3 * 6 + 1
    steps = [s for s in viz.graph(loss, fold="time").scene.shapes if s.kind == "module"]
    assert len(steps) == 3
    ops = [s for s in viz.graph(loss, fold="op").scene.shapes if s.kind == "step"]
    assert len(ops) > 3 * 16
    with pytest.raises(viz.FigureError, match="fold is one of equation, op, time; got 'gate'"):
        viz.graph(loss, fold="gate")


def test_time_runs_from_left_to_right(run):
    scene = viz.graph(run.final["h"].sum()).scene
    bands = sorted((s for s in scene.shapes if s.kind == "band"), key=lambda s: s.x)
    assert [b.id for b in bands] == ["band-1", "band-2", "band-3"]
    for left, right in zip(bands, bands[1:], strict=False):
        assert left.box[2] < right.box[0]
    cards = [s for s in scene.shapes if s.kind in ("card", "given")]
    for wire in scene.wires:
        for (x0, y0), (x1, y1) in zip(wire.points, wire.points[1:], strict=False):
            for card in cards:
                if card.id not in (wire.tail, wire.head):
                    left, top, right, bottom = card.box
                    apart = max(x0, x1) <= left or min(x0, x1) >= right
                    assert apart or max(y0, y1) <= top or min(y0, y1) >= bottom


def test_graph_of_something_else():
    with pytest.raises(Exception, match="a graph is drawn of a Tensor, a Program or a mapping"):
        viz.graph(3.0)
