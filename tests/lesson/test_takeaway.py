"""Equations to copy and figures to download, tried in a browser as a reader would."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import playwright.sync_api as playwright
import pytest
from markupsafe import Markup

import equations
import viz
from lesson import languages, parts, prose
from lesson.figures import Drawer, backward, colours
from lesson.formulas import formula
from lesson.parts.takeaway import takeaway
from tinygrad_lstm import cells
from tinygrad_lstm import text as formulas
from viz import tikz
from viz.palette import COLOURS
from viz.rendering import svg_to_png

SVG = "{http://www.w3.org/2000/svg}"
LANGUAGES = languages.languages()
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
ENGINE = shutil.which("pdflatex") or shutil.which("lualatex")
GRU = cells.gru
FIGURES = {
    "gru": viz.cell(GRU),
    "back": backward(viz.cell(cells.lstm, focus=("C",)), ("C", "h")),
    "both": viz.difference(cells.lstm, cells.lstm_peephole),
}
FORMULAS = {
    "forward": formula(equations.forward(GRU)["z"]),
    "difference": formula(equations.difference(cells.gru_cho2014, GRU)),
}


def page() -> str:
    """A small page with equations and figures, drawn and marked as the lesson's are."""
    draw = Drawer()
    shown = [
        f'<figure class="drawing" id="figure-{name}"><div class="scroll">{draw(name, figure).svg}'
        f'</div><figcaption><span id="caption-{name}">About {name}.</span><details><summary>In '
        f"words</summary><p>{figure.alt}</p></details></figcaption></figure>"
        for name, figure in FIGURES.items()
    ]
    shown += [
        Markup(
            '<div class="formula scroll" id="{}" data-latex="{}" data-unicode="{}">{}</div>'
        ).format(name, one.latex, one.unicode, one.mathml)
        for name, one in FORMULAS.items()
    ]
    styles = parts.style("takeaway")
    radios = "".join(f'<input type=radio name=language value="{x}">' for x in LANGUAGES)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=Content-Security-Policy "
        "content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
        f'font-src data:; img-src data:"><title>t</title><style>{colours()}{styles}</style>'
        f"{radios}<p id=announcement></p><h1>{prose.Texts('page').line('title')}</h1>"
        f"<main><section>{''.join(shown)}</section></main>"
        f"{draw.glyphs()}{takeaway(draw.figures)}{prose.Texts('sharing').script()}"
        + "".join(f"<script>{script}</script>" for script in parts.scripts("takeaway"))
    )


def test_the_page_s_pieces_make_the_file_that_python_saves(tmp_path: Path) -> None:
    found = re.search(r'id="takeaway-data">(.*?)</script>', takeaway(FIGURES))
    assert found
    data = json.loads(found[1])
    assert data["names"] == list(FIGURES)
    pictures = json.loads(zlib.decompress(base64.b64decode(data["pictures"])))
    for name, figure in FIGURES.items():
        whole = data["before"] + pictures[name] + data["after"]
        saved = figure.save(tmp_path / "x.tex").read_text("utf-8")
        assert whole.splitlines()[0] == saved.splitlines()[0]
        drawn = [line for line in saved.splitlines() if line.startswith((r"  \node", r"  \draw"))]
        assert drawn == pictures[name].splitlines()
        defined = set(re.findall(r"viz ([\w-]+)/\.style|\\definecolor\{viz-([\w-]+)\}", whole))
        assert defined >= set(
            re.findall(r"viz ([\w-]+)/\.style|\\definecolor\{viz-([\w-]+)\}", saved)
        )


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(page(), encoding="utf-8")
    return path


def opened(chromium: Any, file: Path, before: str = "", **options: Any) -> Any:
    """The page in a new tab; `before` is run before its scripts."""
    context = chromium.new_context(**options)
    context.grant_permissions(["clipboard-read"])
    tab = context.new_page()
    tab.said = []
    tab.on("console", lambda m: tab.said.append(m.text))
    tab.on("pageerror", lambda e: tab.said.append(str(e)))
    tab.on("request", lambda r: tab.said.append(r.url) if r.url.startswith("http") else None)
    if before:
        tab.add_init_script(before)
    tab.goto(file.as_uri())
    return tab


def button(tab: Any, name: str) -> Any:
    """The button of a formula or figure."""
    return tab.locator(f".takeaway:has(+ #{name}) .take, #figure-{name} .take")


def clipboard(tab: Any) -> str:
    text: str = tab.evaluate("() => navigator.clipboard.readText()")
    return text


@pytest.mark.browser
class TestEquations:
    def test_are_copied_in_three_forms_by_keyboard(self, chromium: Any, file: Path) -> None:
        tab = opened(chromium, file)
        button(tab, "forward").focus()
        tab.keyboard.press("Enter")
        assert tab.evaluate("document.activeElement.textContent") == "LaTeX"
        tab.keyboard.press("Enter")
        playwright.expect(tab.locator("#announcement")).to_have_text("LaTeX copied.")
        assert clipboard(tab) == equations.forward(GRU)["z"].latex()
        tab.keyboard.press("Tab")
        tab.keyboard.press("Space")
        playwright.expect(tab.locator(".forms .said")).to_have_text("Unicode copied.")
        assert clipboard(tab) == "z_t = σ(W_z·[h_{t-1}, x_t])"
        tab.keyboard.press("Tab")
        tab.keyboard.press("Enter")
        playwright.expect(tab.locator(".forms .said")).to_have_text("MathML copied.")
        math = ET.fromstring(clipboard(tab))
        assert math.tag == "{http://www.w3.org/1998/Math/MathML}math"
        assert "".join(math.itertext()) == "zt=σ(Wz·[ht−1,xt])"
        tab.keyboard.press("Escape")
        assert tab.locator(".forms").count() == 0
        assert button(tab, "forward").evaluate("e => e === document.activeElement")
        assert tab.said == []

    def test_colours_are_those_of_latex(self, chromium: Any, file: Path) -> None:
        tab = opened(chromium, file)
        button(tab, "difference").click(force=True)
        tab.locator("[data-form=latex]").click()
        playwright.expect(tab.locator("#announcement")).to_have_text("LaTeX copied.")
        text = clipboard(tab)
        added = formulas.COLOURS["added"][1:].upper()
        assert rf"\textcolor[HTML]{{{added}}}{{\underline{{" in text and "#" not in text

    def test_without_a_clipboard_the_text_is_copied_by_selection(
        self, chromium: Any, file: Path
    ) -> None:
        none = "Object.defineProperty(navigator, 'clipboard', {value: undefined})"
        tab = opened(chromium, file, none)
        button(tab, "forward").click(force=True)
        tab.locator("[data-form=unicode]").click()
        playwright.expect(tab.locator("#announcement")).to_have_text("Unicode copied.")
        assert tab.locator("textarea").count() == 0
        other = opened(chromium, file)
        assert clipboard(other) == "z_t = σ(W_z·[h_{t-1}, x_t])"

    def test_where_nothing_may_copy_the_text_is_left_selected(
        self, chromium: Any, file: Path
    ) -> None:
        none = "navigator.clipboard.writeText = () => Promise.reject(); "
        tab = opened(chromium, file, none + "document.execCommand = () => false")
        button(tab, "forward").click(force=True)
        tab.locator("[data-form=latex]").click()
        playwright.expect(tab.locator("#announcement")).to_contain_text("press Ctrl+C")
        area = tab.get_by_role("textbox", name="LaTeX")
        assert area.input_value() == equations.forward(GRU)["z"].latex()
        chosen = area.evaluate("e => e.value.slice(e.selectionStart, e.selectionEnd)")
        assert chosen == area.input_value()


@pytest.mark.browser
class TestFigures:
    @pytest.mark.parametrize("name", FIGURES)
    def test_are_downloaded_as_svg_that_stands_alone(
        self, chromium: Any, file: Path, name: str
    ) -> None:
        tab = opened(chromium, file, color_scheme="dark")
        button(tab, name).click(force=True)
        with tab.expect_download() as download:
            tab.locator("[data-form=svg]").click()
        assert download.value.suggested_filename == f"{name}.svg"
        assert tab.locator("#announcement").inner_text() == f"{name}.svg is among your downloads."
        text = download.value.path().read_text("utf-8")
        assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<svg xmlns="http://www.w3')
        assert "var(" not in text and "style" not in text
        root = ET.fromstring(text)
        scene = FIGURES[name].scene
        assert root.find(f"{SVG}title").text == f"About {name}."  # type: ignore[union-attr]
        assert root.find(f"{SVG}desc").text == FIGURES[name].alt  # type: ignore[union-attr]
        inside = {element.get("id") for element in root.iter()}
        uses = list(root.iter(f"{SVG}use"))
        assert len(uses) == sum(bool(shape.latex) for shape in scene.shapes)
        assert all(use.get("href", "")[1:] in inside for use in uses)
        groups = {group.get("id", ""): group for group in root.iter(f"{SVG}g")}
        for shape in scene.shapes:
            group = groups[f"{name}-{shape.id}"]
            assert group.get("opacity", "1") == ("0.2" if shape.dim else "1")
            if shape.kind in ("layer", "op"):
                drawn = next(e for e in group if e.get("class") == "shape")
                assert hexed(drawn.get("fill")) == COLOURS[shape.kind][0]
                state = next((c for c in shape.classes if c in ("backward", "changed")), None)
                line = COLOURS[state or f"{shape.kind}-line"][0]
                assert hexed(drawn.get("stroke")) == line
        body = next(root.iter(f"{SVG}rect"))
        assert body.get("fill") == "#ffffff"
        png = svg_to_png(text.partition("?>")[2], 0.5, "#ffffff")
        assert png.startswith(b"\x89PNG")
        assert tab.evaluate("document.querySelectorAll('[data-theme]').length") == 0
        assert tab.said == []

    def test_are_downloaded_as_tikz(self, chromium: Any, file: Path, tmp_path: Path) -> None:
        tab = opened(chromium, file)
        button(tab, "back").focus()
        tab.keyboard.press("Enter")
        tab.keyboard.press("Tab")
        with tab.expect_download() as download:
            tab.keyboard.press("Enter")
        assert download.value.suggested_filename == "back.tex"
        path = tmp_path / "back.tex"
        download.value.save_as(path)
        assert tikz.body(FIGURES["back"].scene) in path.read_text("utf-8")
        if ENGINE:
            command = [ENGINE, "-interaction=nonstopmode", "-halt-on-error", "back.tex"]
            run = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8")
            assert run.returncode == 0, run.stdout[-1500:]


@pytest.mark.browser
def test_one_menu_is_open_and_what_comes_later_has_a_button_too(chromium: Any, file: Path) -> None:
    tab = opened(chromium, file)
    count = len(FIGURES) + len(FORMULAS)
    assert tab.locator(".takeaway").count() == count
    for name in ("gru", "forward"):
        button(tab, name).click(force=True)
        assert tab.locator(".forms").count() == 1
    assert button(tab, "gru").get_attribute("aria-expanded") == "false"
    assert button(tab, "forward").get_attribute("aria-expanded") == "true"
    tab.evaluate(
        """() => {
          const later = document.getElementById("forward").cloneNode(true);
          later.id = "later";
          later.append(later.querySelector("math").cloneNode(true));
          const figure = document.querySelector("#figure-gru .scroll").cloneNode(true);
          figure.querySelector("svg").id = "gru-1";
          const box = document.createElement("div");
          box.append(figure);
          const sign = figure.querySelector("svg").cloneNode(true);
          document.querySelector("section").append(later, box, sign);
        }"""
    )
    playwright.expect(tab.locator(".takeaway")).to_have_count(count + 2)
    tab.locator(".takeaway:has(+ .scroll #gru-1) .take").click(force=True)
    with tab.expect_download() as download:
        tab.locator("[data-form=tikz]").click()
    assert download.value.suggested_filename == "gru.tex"
    button(tab, "later").click(force=True)
    tab.locator("[data-form=mathml]").click()
    playwright.expect(tab.locator(".forms .said")).to_have_text("MathML copied.")
    assert clipboard(tab).count("<math xmlns=") == 2
    tab.locator("input[value=ko]").check()
    assert button(tab, "later").get_attribute("aria-label") == "이 식 복사하기"
    assert button(tab, "gru").first.get_attribute("aria-label") == "이 그림 내려받기"
    tab.emulate_media(media="print")
    assert not button(tab, "forward").is_visible()
    assert tab.said == []


def hexed(colour: str | None) -> str:
    """A computed colour as the palette writes it."""
    return "#" + "".join(f"{int(part):02x}" for part in re.findall(r"\d+", colour or "")[:3])
