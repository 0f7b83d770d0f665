"""The lesson page: complete, self-contained, true to its models, and readable in a browser."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lesson_pages import about, rendered

import viz
from lesson import building, languages, measurements, prose
from lesson.figures import Drawer, backward
from lesson.models import train
from tinygrad_lstm import Tensor, cell, cells
from tinygrad_lstm.errors import UnknownNameError
from tinygrad_lstm.learning import CharacterModel, Text, cross_entropy

VOID = {"meta", "link", "br", "hr", "img", "input", "col", "path", "rect", "line", "use"}


def leaves(texts: dict[str, Any], before: str = "") -> dict[str, str]:
    """Dotted keys of a text file and their texts."""
    found: dict[str, str] = {}
    for key, value in texts.items():
        nested = isinstance(value, dict)
        found |= leaves(value, f"{before}{key}.") if nested else {before + key: value}
    return found


class Reader(HTMLParser):
    """Collects ids, references, addresses and whether tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.addresses: list[str] = []
        self.svgs: list[dict[str, str | None]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids += [found["id"] or ""] if "id" in found else []
        for name in ("href", "src", "xlink:href", "action"):
            value = found.get(name)
            if value:
                (self.links if value.startswith("#") else self.addresses).append(value)
        if tag == "svg":
            self.svgs.append(found)
        self.open += [tag]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open[-1] in VOID and self.open[-1] != tag:
            self.open.pop()
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page() -> str:
    return rendered()[0]


@pytest.fixture(scope="module")
def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


def test_needs_nothing_else(page: str, read: Reader) -> None:
    assert "default-src 'none'" in page
    assert [a for a in read.addresses if not a.startswith(("data:image/", "https://"))] == []
    links = re.findall(r'<a href="(https[^"]*)"', page)  # asked for by readers alone
    assert {a for a in read.addresses if a.startswith("https")} == set(links)
    assert not re.search(r"<script[^>]* src", page)
    style = page[page.index("<style>") : page.index("</style>")]
    assert not re.search(r"url\((?!\"?data:|#)", style)
    assert len(page.encode()) < 3_000_000


def test_is_well_formed(read: Reader) -> None:
    assert read.open in ([], ["html"])
    assert len(read.ids) == len(set(read.ids))
    assert {link[1:] for link in read.links} <= set(read.ids)


def test_every_picture_has_alternative_text(read: Reader, page: str) -> None:
    assert len(read.svgs) >= 18
    outer = [svg for svg in read.svgs if "role" in svg]
    for svg in outer:
        assert svg["role"] == "img"
        assert svg.get("aria-label") or svg["aria-labelledby"].split()[0] in read.ids  # type: ignore[union-attr]
    words = re.findall(r"</summary><p>(.*?)</p>", page, re.S)
    assert len(words) >= 16
    assert all(len(w) > 30 for w in words)


def test_every_part_of_the_text_is_on_the_page() -> None:
    """Every text is asked for by the LSTM's page or by that of another cell."""
    page, own, asked = rendered()
    elsewhere = {"any.no_belt", "any.not_compiled"}  # of cells other than these two
    elsewhere.add("model.shakespeare")  # of that text
    elsewhere |= {"forgets.gru_above", "forgets.lstm_above"} - asked  # as the models are
    assert set(leaves(languages.texts("en", "page"))) - asked == elsewhere
    assert "{{" not in re.sub(r"<script.*?</script>", "", page + own, flags=re.S)


def test_text_asks_only_for_what_is_measured() -> None:
    assert prose.fill("{{a}} of {{b}}", {"a": "1", "b": "2"}) == "1 of 2"
    with pytest.raises(UnknownNameError, match=r"asks for \{\{c\}\}, which is not measured"):
        prose.fill("{{c}}", {"a": "1"})


def test_a_line_of_a_play_is_not_read_as_markup() -> None:
    shown = prose.html("> {{line}}", {"line": "*Enter* <b>$5$</b> [two] #1 `x`"})
    assert "*Enter* &lt;b&gt;$5$&lt;/b&gt; [two] #1 `x`" in shown


def test_every_paper_is_listed() -> None:
    papers = cells.papers()
    named = {paper for cell in cells.all().values() for paper in cell.papers}
    assert named <= set(papers)
    assert set(languages.texts("en", "page")["taken"]) <= set(papers)
    assert all(f"<cite>{paper['title']}</cite>" in rendered()[0] for paper in papers.values())


def test_another_cell_takes_the_place_of_the_lstm() -> None:
    """The page is about the cell: its listing, its stages, its gradients, beside the LSTM."""
    own_page, reader = rendered()[1], Reader()
    reader.feed(own_page)
    assert reader.open in ([], ["html"])
    assert len(reader.ids) == len(set(reader.ids))
    assert {"stage-alpha", "stage-new", "stage-s"} <= set(reader.ids)
    assert "stage-f" not in reader.ids
    assert "now.alpha = sigmoid(" in own_page
    assert "α" in own_page and "LSTM" in own_page


def test_line_numbers_are_those_of_the_model() -> None:
    model = about().model
    line = measurements.read_line(model, "To be, or not")
    again = model.observe("To be, or not")
    np.testing.assert_array_equal(line.values["f"], again.run["f"].data)
    assert line.bits == again.bits
    # a step back along the belt: what arrives at C_{t} is at least C_{t+1}'s adjoint through f
    t, f = 5, line.values["f"]
    through_h = (
        line.gradients["h"][t] * line.values["o"][t] * (1 - np.tanh(line.values["C"][t]) ** 2)
    )
    expected = line.gradients["C"][t + 1] * f[t + 1] + through_h
    np.testing.assert_allclose(line.gradients["C"][t], expected, rtol=1e-4, atol=1e-7)


def test_reach_is_the_norm_of_a_jacobian_product() -> None:
    """For a linear one-unit chain the gradient k steps back is exactly w to the k."""
    text = Text("ab" * 2000)
    model = CharacterModel(cells.rnn, text, hidden=1, inputs=1, dtype=np.float64)
    small = {name: value * 1e-6 for name, value in model.parameters.items()}
    weights = {"W": np.array([[0.5, 0.0]]), "output.W_y": np.array([[1.0], [-1.0]])}
    model.parameters = {**small, **weights}
    curve = measurements.reach(model, text.characters, lags=8, pieces=3)
    np.testing.assert_allclose(curve, 0.5 ** np.arange(9), rtol=1e-6)


@cell(state="h", parameters={"w": "hidden", "V": "hidden, inputs"}, output="y")
def late(now, prev, x, p):
    """What it shows are states of earlier steps."""
    now.y = prev.h + 0
    now.h = p.w * prev.h + p.V @ x


@cell(state="h", parameters={"V": "hidden, inputs"}, output="y")
def blind(now, prev, x, p):
    """What it shows is no state at all."""
    now.h = 0.5 * prev.h + p.V @ x
    now.y = p.V @ x


def test_reach_begins_where_the_output_reads_a_state() -> None:
    """An output that reads only earlier states has lost nothing before the first of them."""
    text = Text("ab" * 2000)
    model = CharacterModel(late, text, hidden=1, inputs=1, dtype=np.float64)
    model.parameters = {**model.parameters, "w": np.array([0.5])}
    curve = measurements.reach(model, text.characters, lags=4, pieces=3)
    np.testing.assert_allclose(curve, [1, 1, 0.5, 0.25, 0.125])
    model = CharacterModel(blind, text, hidden=1, inputs=1)
    assert (measurements.reach(model, text.characters, lags=4, pieces=3) < 1e-200).all()


def test_growth_adds_up_to_the_gradient() -> None:
    text = "To be, or not to be"
    found = measurements.growth(about().model, text, "W_f", row=3)
    model = about().model
    copy = {name: Tensor(value, name) for name, value in model.parameters.items()}
    run = model.run(model.vocabulary.encode(text), parameters=copy)
    comes = model.vocabulary.encode(text[1:])
    (cross_entropy(model.logits(run, copy)[:-1], comes) * float(len(comes))).backward()
    assert found.entry[0] == 3
    assert len(found.shares) == len(text) - 1
    np.testing.assert_allclose(
        found.shares.sum(), copy["W_f"].grad.data[found.entry], rtol=1e-3, atol=1e-6
    )


def test_figures_are_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Drawer(tmp_path)("a", viz.cell(cells.gru))
    monkeypatch.setattr(viz.Figure, "svg", None)
    again = Drawer(tmp_path)("a", viz.cell(cells.gru))
    assert again == first
    with pytest.raises(TypeError):
        Drawer(tmp_path)("c", viz.cell(cells.rnn))


def test_backward_figures_lead_back() -> None:
    ahead = viz.cell(cells.lstm, focus=("gate:f", "belt:C"))
    back = backward(ahead, ["f", "C", "h", "prev.h", "prev.C", "x"])
    wires = {wire.id: wire for wire in back.scene.wires}
    gate = wires["wire-f-0"]
    assert gate.arrow and gate.head == "part-f" and "backward" in gate.classes
    assert not wires["wire-bus-0-6"].arrow  # the line goes on to h and x
    assert wires["wire-x-0"].arrow and wires["wire-prev-C-0"].arrow
    assert "backward" not in wires["wire-o-0"].classes
    assert r"\bar{f}_t" in [shape.latex for shape in back.scene.shapes]


def test_chosen_line_is_real_and_fits() -> None:
    text = "Short.\n" + "A line, with enough letters to be shown here\n" + "x" * 80
    assert measurements.choose_line(text) == "A line, with enough letters to be shown here"


def test_unwritable_output_is_said_before_training(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way", encoding="utf-8")
    message = r"cannot write .*lesson\.html: .*file is not a folder\.$"
    with pytest.raises(building.BuildError, match=message):
        building.check_writable(blocked / "lesson.html")


def test_second_build_does_not_train_again(tmp_path: Path, clock: None) -> None:
    text = Text("To be, or not to be, that is the question.\n" * 120, "a line")
    first = train(cells.rnn, text, 0.3, tmp_path)
    steps = first.training.state.step
    again = train(cells.rnn, text, 0.3, tmp_path)
    assert again.training.state.step == steps > 0
    (tmp_path / "rnn.npz").write_bytes(b"not a checkpoint")
    anew = train(cells.rnn, text, 0.3, tmp_path)
    assert anew.training.state.step > 0
