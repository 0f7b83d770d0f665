"""The heat map: its numbers are the model's, and it answers to pointer, keys and choices."""

from __future__ import annotations

import base64
import json
import re
import shutil
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import playwright.sync_api as playwright
import pytest

from lesson import languages, measurements, parts
from lesson.arithmetic import digits, packed
from lesson.parts import heatmap
from tinygrad_lstm import cell, cells, matvec
from tinygrad_lstm.learning import CharacterModel
from tinygrad_lstm.tensor import Array

WORDS = "The quick brown fox jumps, over\tthe lazy dogs."


@cell(state={"M": "hidden, hidden", "h": "hidden"}, parameters={"W v": "hidden, inputs"})
def matrix_state(now: Any, prev: Any, x: Any, p: Any) -> None:
    now.v = matvec(p.v, x)
    now.M = 0.5 * prev.M + now.v.reshape((*now.v.shape, 1))
    now.h = matvec(now.M, matvec(p.W, x))


@pytest.fixture(scope="module")
def line() -> measurements.Line:
    return measurements.read_line(CharacterModel(cells.lstm, WORDS, hidden=9, inputs=5), WORDS)


def described(markup: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="heatmap-data">(.*?)</script>', markup)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def numbers(layer: str, length: int) -> Array:
    """The numbers that a page unpacks: 16 bits each, m + 1000 and e + 24 of m · 10^e."""
    raw = np.frombuffer(base64.b64decode(layer), "<u2").astype(int)
    values = ((raw & 2047) - 1000) * 10.0 ** ((raw >> 11) - 24)
    return np.where((raw & 2047) == 2047, np.nan, values).reshape(-1, length).T


def test_numbers_are_the_model_s(line: measurements.Line) -> None:
    data = described(heatmap.heatmap(line))
    names = list(line.values)
    assert [e["symbol"] for e in data["equations"]] == ["f", "i", "C̃", "C", "o", "h"]
    for name, equation in zip(names, data["equations"], strict=True):
        values = numbers(equation["value"], len(WORDS))
        np.testing.assert_allclose(values, line.values[name], rtol=0.0051)
        found = numbers(equation["gradient"], len(WORDS))
        np.testing.assert_allclose(found, line.gradients[name], rtol=0.0051, atol=1e-22)
        assert equation["gate"] is (name in "fio")
    assert data["characters"][3] == "␣" and data["characters"][31] == "⇥"


def test_packing_keeps_large_and_strange_numbers() -> None:
    strange = [-4.126e7, 12.0, 3e-5, np.nan, -np.inf, 0.0, 0.99951, 99.95, 1e30, 1e-40, -0.0015]
    found = numbers(packed(np.array(strange)), len(strange))[:, 0]
    expected = [-4.13e7, 12.0, 3e-5, np.nan, np.nan, 0.0, 1.0, 100.0, 9.99e9, 0.0, -0.0015]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    for value, kept in zip(strange[:3], found[:3], strict=True):
        assert digits(kept) == digits(value)


def test_the_page_s_model_takes_little_room() -> None:
    random = np.random.default_rng(0)
    names = ("f", "i", "C_tilde", "C", "o", "h")
    large = {name: random.uniform(-1, 1, (48, 128)) for name in names}
    large["C"] *= 20
    text = ("To be, or not to be, that is the question: whether" * 2)[:48]
    line = measurements.Line(text, large, {k: v * 0.01 for k, v in large.items()}, [1.0] * 47)
    markup = heatmap.heatmap(line, "C", 5)
    assert [len(e["units"]) for e in described(markup)["equations"]] == [128] * 6
    bare = 4 / 3 * 2 * 2 * 6 * 48 * 128  # two bytes a number, in base64
    assert len(markup.encode()) < bare + 30_000


def test_units_are_left_out_where_there_are_too_many() -> None:
    model = CharacterModel(matrix_state, WORDS, hidden=40, inputs=5)
    line = measurements.read_line(model, WORDS)
    data = described(heatmap.heatmap(line))
    M = data["equations"][1]
    assert M["shape"] == [40, 40] and 40 < len(M["units"]) < 1600
    flat = line.values["M"].reshape(len(WORDS), -1)
    spread = np.std(flat, axis=0)
    out = np.setdiff1d(np.arange(1600), M["units"])
    assert spread[M["units"]].min() >= spread[out].max()
    np.testing.assert_allclose(numbers(M["value"], len(WORDS)), flat[:, M["units"]], rtol=0.0051)


def test_without_scripts_there_are_a_picture_and_the_numbers(line: measurements.Line) -> None:
    markup = heatmap.heatmap(line, "f", 3)
    found = re.search(r"data:image/png;base64,([^\"]+)", markup)
    assert found
    png = base64.b64decode(found[1])
    width, height = struct.unpack(">II", png[16:24])
    assert (width, height) == (len(WORDS), 9)
    place = png.index(b"IDAT")
    size = struct.unpack(">I", png[place - 4 : place])[0]
    rows = np.frombuffer(zlib.decompress(png[place + 4 : place + 4 + size]), np.uint8)
    levels = rows.reshape(9, -1)[:, 1:].astype(float)
    np.testing.assert_allclose((levels.T - 128) / 127, line.values["f"], atol=0.005)
    row = re.search(r'<th scope="row">f</th>(.*?)</tr>', markup)
    assert row
    shown = [float(v.replace("−", "-")) for v in re.findall("<td>(.*?)</td>", row[1])]
    np.testing.assert_allclose(shown, line.values["f"][:, 3], rtol=0.051)


@pytest.fixture(scope="module")
def tab(line: measurements.Line) -> Iterator[Any]:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no Chromium on this machine")
    styles = parts.style("heatmap")
    radios = "".join(f'<input type=radio name=language value="{x}">' for x in languages.languages())
    title = "".join(f"<span lang={x}>t</span>" for x in languages.languages())
    page = (
        f"<!doctype html><html lang=en><title>t</title><style>{styles}</style>{radios}"
        f"<p id=announcement></p><main><h1>{title}</h1>{heatmap.heatmap(line, 'f', 3)}</main>"
        + "".join(f"<script>{s}</script>" for s in parts.scripts("heatmap"))
    )
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        opened: Any = browser.new_page(viewport={"width": 1000, "height": 900})
        opened.said = []
        opened.on("console", lambda m: opened.said.append(m.text))
        opened.on("pageerror", lambda e: opened.said.append(str(e)))
        opened.set_content(page)
        yield opened
        browser.close()


def read(tab: Any) -> str:
    return str(tab.locator(".heatmap .readout").inner_text())


def number(shown: str) -> float:
    return float(shown.replace("−", "-"))


@pytest.mark.browser
class TestInABrowser:
    def test_keys_walk_over_characters_and_units(self, tab: Any, line: measurements.Line) -> None:
        tab.select_option(".heatmap select >> nth=2", "by_number")
        cell = tab.locator(".heatmap [role=gridcell]")
        cell.focus()
        tab.keyboard.press("Home")
        for _ in range(4):
            tab.keyboard.press("ArrowRight")
        tab.keyboard.press("ArrowDown")
        told = re.fullmatch(
            r"Unit 5 of 9, character 5 of 46, q: f = (\S+); gradient f̄ = (\S+)", read(tab)
        )
        assert told, read(tab)
        assert abs(number(told[1]) - line.values["f"][4, 4]) < 0.0051
        slope = line.gradients["f"][4, 4]
        assert abs(number(told[2]) - slope) < 0.01 * np.abs(line.gradients["f"]).max()
        assert cell.get_attribute("aria-colindex") == "5"
        assert tab.locator(".heatmap [role=row]").get_attribute("aria-rowindex") == "5"
        tab.keyboard.press("End")
        tab.keyboard.press("PageDown")
        assert read(tab).startswith("Unit 9 of 9, character 46 of 46, .:")
        tab.keyboard.press("PageUp")
        assert read(tab).startswith("Unit 1 of 9")
        assert cell.evaluate("e => e === document.activeElement")

    def test_the_pointer_shows_and_chooses(self, tab: Any, line: measurements.Line) -> None:
        tab.select_option(".heatmap select >> nth=2", "by_number")
        box = tab.locator(".heatmap .map canvas").bounding_box()
        x, y = box["width"] / len(WORDS), box["height"] / 9
        before = tab.locator(".heatmap input").input_value()
        tab.mouse.move(box["x"] + 10.5 * x, box["y"] + 6.5 * y)
        assert read(tab).startswith("Unit 7 of 9, character 11 of 46, b:")
        assert tab.locator(".heatmap input").input_value() == before
        tab.mouse.click(box["x"] + 10.5 * x, box["y"] + 6.5 * y)
        tab.mouse.move(0, 0)
        assert read(tab).startswith("Unit 7 of 9, character 11 of 46, b:")
        assert tab.locator(".heatmap input").input_value() == "7"
        assert "unit 7" in tab.locator(".heatmap summary").inner_text()

    @pytest.mark.parametrize("order", ["by_mean", "by_change", "by_value"])
    def test_orders(self, tab: Any, line: measurements.Line, order: str) -> None:
        tab.select_option(".heatmap select >> nth=0", "3")
        tab.select_option(".heatmap select >> nth=2", order)
        tab.locator(".heatmap [role=gridcell]").focus()
        tab.keyboard.press("Home")
        tab.select_option(".heatmap select >> nth=2", "by_number")
        tab.select_option(".heatmap select >> nth=2", order)
        tab.locator(".heatmap [role=gridcell]").focus()
        tab.keyboard.press("PageUp")
        units = []
        for _ in range(9):
            units.append(int(read(tab).split()[1]) - 1)
            tab.keyboard.press("ArrowDown")
        C = line.values["C"]
        keys = {"by_mean": C.mean(axis=0), "by_change": C.var(axis=0), "by_value": C[0]}[order]
        assert sorted(units) == list(range(9))
        assert np.all(np.diff(keys[units]) < 0.011)
        tab.select_option(".heatmap select >> nth=0", "0")

    def test_gradients_are_a_layer_of_their_own(self, tab: Any) -> None:
        def red() -> int:
            return int(
                tab.evaluate(
                    """() => {
                    const c = document.querySelector('.heatmap .map canvas');
                    const copy = new OffscreenCanvas(c.width, c.height);
                    const pen = copy.getContext('2d', { willReadFrequently: true });
                    pen.drawImage(c, 0, 0);
                    const d = pen.getImageData(0, 0, c.width, c.height).data;
                    let n = 0;
                    for (let k = 0; k < d.length; k += 4) n += d[k + 3] > 40 && d[k] > d[k + 2];
                    return n; }"""
                )
            )

        assert red() == 0  # a gate is never below zero
        tab.select_option(".heatmap select >> nth=1", "gradient")
        assert red() > 100
        assert tab.locator(".heatmap .scale span").first.inner_text().startswith("−")
        tab.select_option(".heatmap select >> nth=1", "value")
        assert tab.locator(".heatmap .scale span").all_inner_texts() == ["0", "0.5", "1"]

    @pytest.mark.parametrize(
        ("at", "name", "layer"),
        [("0", "f", "value"), ("0", "f", "gradient"), ("3", "C", "value"), ("3", "C", "gradient")],
    )
    def test_colours_scale_and_words_have_one_range(
        self, tab: Any, line: measurements.Line, at: str, name: str, layer: str
    ) -> None:
        """A gate's values lie from 0 to 1; all else is measured by its own largest."""
        for k, chosen in enumerate((at, layer, "by_number")):
            tab.select_option(f".heatmap select >> nth={k}", chosen)
        values = line.values[name] if layer == "value" else line.gradients[name]
        high = 1.0 if name == "f" and layer == "value" else float(np.abs(values).max())
        low = 0.0 if name == "f" and layer == "value" else -high
        ticks = [number(t) for t in tab.locator(".heatmap .scale span").all_inner_texts()]
        assert (ticks[0], ticks[-1]) == pytest.approx((low, high), rel=0.06)
        told = tab.locator(".heatmap canvas[role=img]").get_attribute("aria-label")
        ends = re.fullmatch(r"The chosen unit along the line, from (\S+) to (\S+)\.", told)
        assert ends, told
        assert (number(ends[1]), number(ends[2])) == pytest.approx((low, high), rel=0.06)
        alphas = tab.evaluate(
            """([columns, rows]) => {
          const c = document.querySelector(".heatmap .map canvas");
          const copy = new OffscreenCanvas(c.width, c.height);
          const pen = copy.getContext("2d", { willReadFrequently: true });
          pen.drawImage(c, 0, 0);
          const at = (k, of, size) => Math.floor(((k + 0.5) / of) * size);
          return Array.from({ length: columns }, (_, x) => Array.from({ length: rows }, (_, y) =>
            pen.getImageData(at(x, columns, c.width), at(y, rows, c.height), 1, 1).data[3]));
        }""",
            [len(WORDS), 9],
        )
        share = np.abs(values) / high
        expected = 255 * (np.sqrt(share) if layer == "gradient" else share)
        large = share > 0.05
        packed = 255 * 0.0051 / high if layer == "value" else 0.0  # values keep two decimals
        np.testing.assert_allclose(np.array(alphas)[large], expected[large], atol=4 + packed)
        tab.select_option(".heatmap select >> nth=0", "0")
        tab.select_option(".heatmap select >> nth=1", "value")

    def test_what_is_only_to_be_seen_is_not_read_out(self, tab: Any) -> None:
        tree = tab.locator(".heatmap .view").aria_snapshot()
        assert re.search(r'- img "The chosen unit along the line, from \S+ to \S+\."', tree)
        assert 'grid "' in tree
        letters = tab.locator(".heatmap .letters").inner_text().split()
        assert "".join(letters).startswith("The␣quick")
        said = re.sub(r"\s+", "", tree)
        assert "The␣quick" not in said and "quick" not in said, tree

    def test_another_language_changes_every_word(self, tab: Any) -> None:
        tab.locator('input[value="ko"]').check()
        assert "글자" in read(tab)
        words = tab.locator(".heatmap .controls").inner_text()
        assert "유닛" in words and "Unit" not in words
        tab.locator('input[value="en"]').check()
        assert read(tab).startswith("Unit")

    def test_nothing_is_said_on_the_console(self, tab: Any) -> None:
        assert tab.said == []
