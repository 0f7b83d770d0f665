"""The lesson page: complete, self-contained, true to its models, and readable in a browser."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import playwright.sync_api as playwright
import pytest

from lesson import building, measurements, prose
from lesson.models import Trained, train
from tinygrad_lstm import cells, learning
from tinygrad_lstm.errors import UnknownNameError
from tinygrad_lstm.learning import CharacterModel, Text, Training

VOID = {"meta", "link", "br", "hr", "img", "input", "col", "path", "rect", "line", "use"}


@pytest.fixture(scope="session")
def models() -> tuple[Trained, Trained, Text]:
    text = Text(learning.shakespeare().characters[:60_000], "a part of Shakespeare")
    found = []
    for cell in (cells.lstm, cells.rnn):
        training = Training(CharacterModel(cell, text, hidden=12, inputs=8), text, every=2)
        training.run(steps=6)
        found.append(Trained(training.model, training))
    return found[0], found[1], text


@pytest.fixture(scope="session")
def page(models: tuple[Trained, Trained, Text]) -> str:
    return building.render(*models)


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


@pytest.fixture(scope="session")
def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


def test_needs_nothing_else(page: str, read: Reader) -> None:
    assert "default-src 'none'" in page
    assert read.addresses == []
    assert "<script src" not in page
    assert not re.search(r"url\((?!data:|#)", page)
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


def test_every_part_of_the_text_is_on_the_page(
    models: tuple[Trained, Trained, Text], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every text is asked for, and nothing that is not there."""
    asked: set[str] = set()
    found = prose.Texts._found

    def noted(self: prose.Texts, language: str, key: str) -> str:
        asked.add(key)
        return found(self, language, key)

    monkeypatch.setattr(prose.Texts, "_found", noted)
    page = building.render(*models)
    assert set(leaves(prose.load("en", "page"))) == asked
    assert "{{" not in page


def test_text_asks_only_for_what_is_measured() -> None:
    assert prose.filled("{{a}} of {{b}}", {"a": "1", "b": "2"}) == "1 of 2"
    with pytest.raises(UnknownNameError, match=r"asks for \{\{c\}\}, which is not measured"):
        prose.filled("{{c}}", {"a": "1"})


def test_a_line_of_a_play_is_not_read_as_markup() -> None:
    shown = prose.html("> {{line}}", {"line": "*Enter* <b>$5$</b> [two] #1 `x`"})
    assert "*Enter* &lt;b&gt;$5$&lt;/b&gt; [two] #1 `x`" in shown


def test_every_paper_is_listed() -> None:
    papers = prose.load("papers")
    named = {paper for cell in cells.all().values() for paper in cell.papers}
    assert named <= set(papers)
    assert named <= set(prose.load("en", "page")["sources"])
    assert set(prose.load("en", "page")["sources"]) == set(papers)


def test_line_numbers_are_those_of_the_model(
    models: tuple[Trained, Trained, Text],
) -> None:
    model = models[0].model
    line = measurements.read_line(model, "To be, or not")
    again = model.observe("To be, or not")
    np.testing.assert_array_equal(line.values["f"], again.run["f"].data)
    assert line.bits == again.bits
    # a step back along the belt: what arrives at C_{t} is at least C_{t+1}'s adjoint through f
    t, f = 5, line.values["f"]
    through_h = (
        line.gradients["h"][t]
        * line.values["o"][t]
        * (1 - np.tanh(line.values["C"][t]) ** 2)
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
    curve = measurements.reach(model, text.characters, "h", lags=8, pieces=3)
    np.testing.assert_allclose(curve, 0.5 ** np.arange(9), rtol=1e-6)


def test_chosen_line_is_real_and_fits() -> None:
    text = "Short.\n" + "A line, with enough letters to be shown here\n" + "x" * 80
    assert measurements.choose_line(text) == "A line, with enough letters to be shown here"


def test_unwritable_output_is_said_before_training(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    message = r"cannot write .*lesson\.html: .*file is not a folder\.$"
    with pytest.raises(building.BuildError, match=message):
        building.writable(blocked / "lesson.html")


def test_second_build_does_not_train_again(tmp_path: Path) -> None:
    text = Text("To be, or not to be, that is the question.\n" * 120, "a line")
    first = train(cells.rnn, text, 0.3, tmp_path)
    steps = first.training.state.step
    again = train(cells.rnn, text, 0.3, tmp_path)
    assert again.training.state.step == steps > 0
    (tmp_path / "rnn.npz").write_bytes(b"not a checkpoint")
    anew = train(cells.rnn, text, 0.1, tmp_path)
    assert anew.training.state.step > 0


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-background-networking"]
        )
        yield browser
        browser.close()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_reads_in_a_browser(
    page: str, tmp_path: Path, chromium: Any, scheme: str, width: int
) -> None:
    file = tmp_path / "lesson.html"
    file.write_text(page, encoding="utf-8")
    said: list[str] = []
    asked: list[str] = []
    tab = chromium.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(file.as_uri())
    assert said == []
    assert [a for a in asked if not a.startswith(("file:", "data:"))] == []
    root = "document.documentElement"
    assert tab.evaluate(f"{root}.scrollWidth") <= width
    assert tab.evaluate("document.fonts.check('16px \"STIX Two Math Subset\"')")
    ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    dark = sum(map(int, re.findall(r"\d+", ground)[:3])) < 3 * 128
    assert dark is (scheme == "dark")
    tab.click("nav >> text=How gradients flow back")
    assert tab.evaluate("location.hash") == "#gradients"
    tab.close()
