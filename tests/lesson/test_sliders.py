"""A one-unit cell in the browser: the printed JavaScript against the engine, and the sliders."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from one_unit import ALL, clipped, drawn, engine, for_page, looped, second

from equations import javascript
from lesson import languages, parts, prose
from lesson.parts.sliders import sliders
from tinygrad_lstm import cells
from tinygrad_lstm.tensor import TABLE

POINTS = 200
CHROMIUM, NODE = shutil.which("chromium"), shutil.which("node")
Evaluate = Callable[[str, str], Any]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A headless Chromium; None where there is none."""
    if not CHROMIUM:
        yield None
        return
    sync = pytest.importorskip("playwright.sync_api")
    with sync.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def evaluated(chromium: Any) -> Evaluate:
    """What JavaScript computes, in a browser or in node."""
    if chromium:
        page = chromium.new_page()
        return lambda code, result: page.evaluate(f"() => {{ {code}\nreturn {result}; }}")
    if not NODE:
        pytest.skip("neither Chromium nor node is installed")
    return in_node


def in_node(code: str, result: str) -> Any:
    """What node computes."""
    whole = f'"use strict"; {code}\nconsole.log(JSON.stringify({result}))'
    run = subprocess.run(
        [str(NODE), "-"], input=whole, capture_output=True, encoding="utf-8", check=True
    )
    return json.loads(run.stdout)


RUN = """points.map(([values, seeds]) => {
  const after = forward(values);
  return { ...after, ...backward(after, seeds) };
})"""


@pytest.mark.sample(3)
@pytest.mark.parametrize("name", ALL)
def test_javascript_computes_what_the_engine_computes(name: str, evaluated: Evaluate) -> None:
    one = ALL[name]
    random = np.random.default_rng(7)
    points = [drawn(one, random) for _ in range(POINTS)]
    given = json.dumps([for_page(one, arrays) for arrays in points])
    found = evaluated(f"{javascript(one)}\nconst points = {given};", RUN)
    program = one.program(**dict.fromkeys(one.sizes, 1))
    gradient = program.gradient()
    for arrays, page in zip(points, found, strict=True):
        expected = engine(program, gradient, arrays)
        parts = {n for n in page["now"] if "_part" in n}  # of an equation too long for one line
        assert {*page["now"]} - parts == {k[4:] for k in expected if k.startswith("now.")}
        for key, value in expected.items():
            space, _, own = key.partition(".")
            size = max(1.0, float(np.max(np.abs(value))))
            close = np.ravel(page[space][own]) - np.ravel(value)
            assert np.max(np.abs(close)) <= 1e-12 * size, f"{name}: {key}"


def test_what_is_held_takes_the_place_of_its_gate_and_passes_nothing_on(
    evaluated: Evaluate,
) -> None:
    arrays = drawn(cells.lstm, np.random.default_rng(3))
    values, seeds = for_page(cells.lstm, arrays)
    held = {**values, "held": {"f": 40.0, "i": -40.0}}
    code = f"{javascript(cells.lstm)}\nconst points = {json.dumps([[held, seeds]])};"
    (page,) = evaluated(code, RUN)
    assert page["pre"]["f"] == 40 and page["now"]["f"] == 1
    assert page["now"]["C"] == pytest.approx(values["prev"]["C"], abs=1e-15)
    assert page["earlier"]["C"] == page["bar"]["C"]
    assert page["bar"]["W_f"] == [0, 0] and page["bar"]["b_i"] == 0
    assert page["bar"]["b_o"] == page["delta"]["o"] != 0
    assert page["delta"]["f"] == 0  # saturated

    # held at 0.5, the gate is the one whose bias brings it there; only the way on is cut
    (page,) = evaluated(
        f"{javascript(cells.lstm)}\n"
        f"const points = {json.dumps([[{**values, 'held': {'f': 0.5}}, seeds]])};",
        RUN,
    )
    hx = np.array([values["prev"]["h"], values["x"]])
    moved = {**arrays, "b_f": arrays["b_f"] * 0 + 0.5 - np.dot(values["p"]["W_f"], hx)}
    program = cells.lstm.program(inputs=1, hidden=1)
    expected = engine(program, program.gradient(), moved)
    assert page["now"]["h"] == pytest.approx(expected["now.h"][0], abs=1e-12)
    assert page["delta"]["f"] == pytest.approx(expected["bar.b_f"][0], abs=1e-12)
    assert page["bar"]["b_f"] == 0
    cut = expected["bar.x"][0] - expected["bar.b_f"][0] * values["p"]["W_f"][1]
    assert page["bar"]["x"] == pytest.approx(cut, abs=1e-12)


def test_each_statement_stands_below_its_equation_in_the_authors_order() -> None:
    lines = [line.strip() for line in javascript(cells.lstm).splitlines()]
    at = lines.index("// C_t = f_t ⊙ C_{t-1} + i_t ⊙ C̃_t")
    assert lines[at + 1] == "now.C = now.f * prev.C + now.i * now.C_tilde;"
    at = lines.index("// f_t = σ(W_f·[h_{t-1}, x_t] + b_f)")
    assert lines[at + 1 : at + 3] == [
        "pre.f = held.f ?? (p.W_f[0] * prev.h + p.W_f[1] * x + p.b_f);",
        "now.f = sigmoid(pre.f);",
    ]
    at = lines.index("// C̄_{t-1} = C̄_t ⊙ f_t")
    assert lines[at + 1] == "earlier.C = bar.C * now.f;"
    assert sum(line.startswith("const sigmoid") for line in lines) == 1
    assert "softplus" not in javascript(cells.lstm)


def test_a_bound_that_is_missing_is_infinite(evaluated: Evaluate) -> None:
    code = javascript(clipped)
    assert "-Infinity" in code
    values = {"prev": {"h": 2.0}, "x": 3.0, "p": {"W": 1.0}, "given": {}}
    assert evaluated(code, f"forward({json.dumps(values)}).now.h") == 1.5


# --- the page -------------------------------------------------------------------------------------
LANGUAGES = languages.languages()


def test_the_static_table_is_what_the_engine_computes() -> None:
    made = sliders(cells.lstm_peephole)
    given = json.loads(re.findall(r'class="sliders-data">(.*?)</script>', made)[0])
    values, seeds = given["values"], given["seeds"]
    arrays = {f"prev.{n}": [v] for n, v in values["prev"].items()}
    arrays |= {n: np.reshape(v, (1, -1) if n[0] == "W" else -1) for n, v in values["p"].items()}
    arrays |= {"x": [values["x"]], **{f"seed.{n}": [v] for n, v in seeds.items()}}
    program = cells.lstm_peephole.program(inputs=1, hidden=1)
    expected = engine(program, program.gradient(), arrays)
    assert seeds == {"h": 1, "C": 0}
    rows = table(made)
    assert float(rows["now", "C", 0][0]) == pytest.approx(float(expected["now.C"][0]), rel=1e-3)
    for (space, name, entry), (value, slope) in rows.items():
        if space == "now":
            assert float(value) == pytest.approx(expected[f"now.{name}"].item(), rel=1e-3)
        key = "earlier" if space == "prev" else "bar"
        if space in ("now", "prev", "p", "x") and f"{key}.{name}" in expected:
            derivative = np.ravel(expected[f"{key}.{name}"])[entry]
            assert float(slope) == pytest.approx(derivative, rel=1e-3, abs=1e-12)
    bias = expected["bar.b_f"].item()
    assert float(rows["pre", "f", 0][1]) == pytest.approx(bias, rel=1e-3)
    assert {name for space, name, _ in rows if space == "p"} == {*values["p"]}
    assert [e for s, n, e in rows if (s, n) == ("p", "W_f")] == [0, 1, 2]
    signs = re.findall(r'data-name="W_f"[^>]*data-symbol="([^"]*)"', made)
    assert signs == ["[W_f]_C", "[W_f]_h", "[W_f]_x"]


def table(made: str) -> dict[tuple[str, str, int], tuple[str, str]]:
    """The numbers of the static table: value and derivative."""
    found = {}
    for row in re.findall("<tr data-space.*?</tr>", made, re.S):
        space, name, entry = re.findall(r'data-(?:space|name|entry)="([^"]*)"', row)
        shown = [n.replace("−", "-") for n in re.findall(r'class="number">([^<]*)<', row)]
        found[space, name, int(entry)] = (shown[0], shown[1] if len(shown) > 1 else "")
    return found


@pytest.mark.parametrize("name", ALL)
def test_every_cell_has_sliders_in_every_language(name: str) -> None:
    made = sliders(ALL[name])
    assert made.count('class="number"') > 5
    for language in LANGUAGES:
        assert made.count(f'class="say" lang="{language}"') == made.count('class="say" lang="en"')
    program = ALL[name].program(**dict.fromkeys(ALL[name].sizes, 1))
    shown = {n for space, n, _ in table(made) if space == "now" and "_part" not in n}
    assert shown == {*program.equations}


def test_a_pre_activation_needs_a_function_that_takes_it() -> None:
    assert not [name for space, name, _ in table(sliders(looped)) if space == "pre"]
    assert [n for s, n, _ in table(sliders(cells.lstm_1997)) if s == "pre"] == [
        "y_in",
        "y_out",
        "g",
    ]


def test_what_cannot_be_taken_apart_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TABLE, "sigmoid", replace(TABLE["sigmoid"], js=None))
    made = sliders(cells.lstm)
    assert "cannot be taken apart into numbers for JavaScript" in made
    assert "<table" not in made
    assert made.count('<div class="say"') == 3


def test_a_cell_that_needs_two_units_has_them() -> None:
    assert {e for space, n, e in table(sliders(second)) if (space, n) == ("now", "h")} == {0, 1, 2}


@pytest.fixture(scope="module")
def tab(chromium: Any) -> Any:
    """A page with the sliders of two cells."""
    if not chromium:
        pytest.skip("no Chromium on this machine")
    styles = parts.style("sliders")
    radios = "".join(f'<input type=radio name=language value="{x}">' for x in LANGUAGES)
    title = prose.Texts("page").line("title")
    page = (
        "<!doctype html><html lang=en><meta http-equiv='Content-Security-Policy' content=\"default-"
        "src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\"><title>t</title>"
        f"<style>{styles}</style>{radios}<p id=announcement></p><h1>{title}</h1><main>"
        f"<div id=one>{sliders(cells.lstm)}</div><div id=two>{sliders(cells.gru)}</div></main>"
        + "".join(f"<script>{s}</script>" for s in parts.scripts("sliders"))
    )
    opened = chromium.new_page(viewport={"width": 1100, "height": 900})
    opened.said = []
    opened.on("console", lambda m: opened.said.append(m.text))
    opened.on("pageerror", lambda e: opened.said.append(str(e)))
    opened.set_content(page)
    return opened


def row(tab: Any, space: str, name: str, entry: int = 0, of: str = "#one") -> Any:
    """A row of the sliders."""
    picked = f'[data-space="{space}"][data-name="{name}"][data-entry="{entry}"]'
    return tab.locator(f"{of} tr{picked}")


def told(tab: Any, space: str, name: str, column: str = "value") -> float:
    """A number that the page shows."""
    cell = row(tab, space, name).locator(f"td.{column}")
    typed = cell.locator("input[type=number]")
    text = typed.input_value() if typed.count() else cell.locator(".number").inner_text()
    return float(text.replace("−", "-"))


@pytest.mark.browser
class TestInABrowser:
    def test_the_keyboard_moves_a_number_and_all_that_follows(self, tab: Any) -> None:
        before = told(tab, "now", "h")
        slider = row(tab, "p", "b_C").locator("input[type=range]")
        tab.locator("#one details.weights summary").focus()
        tab.keyboard.press("Enter")
        slider.focus()
        for _ in range(30):
            tab.keyboard.press("ArrowRight")
        assert told(tab, "p", "b_C") == pytest.approx(0.3)
        values = json.loads(tab.locator("#one .sliders-data").inner_text())["values"]
        p = {n: np.reshape(v, (1, -1) if n[0] == "W" else -1) for n, v in values["p"].items()}
        p["b_C"] = np.array([0.3])
        given = {**p, "x": [values["x"]], **{f"prev.{n}": [v] for n, v in values["prev"].items()}}
        given |= {"seed.h": [1.0], "seed.C": [0.0]}
        program = cells.lstm.program(inputs=1, hidden=1)
        expected = engine(program, program.gradient(), given)
        assert told(tab, "now", "h") == pytest.approx(expected["now.h"].item(), rel=1e-3)
        assert told(tab, "now", "h") != before
        for space, name, key in (
            ("prev", "C", "earlier.C"),
            ("x", "x", "bar.x"),
            ("pre", "o", "bar.b_o"),
        ):
            shown = told(tab, space, name, "slope")
            assert shown == pytest.approx(expected[key].item(), rel=1e-3)
        assert tab.locator("#announcement").inner_text().startswith("h_t = ")
        tab.locator("#one button.reset").click()
        assert told(tab, "now", "h") == before
        assert told(tab, "p", "b_C") == 0

    def test_driven_to_one_and_zero_the_state_passes_unchanged(self, tab: Any) -> None:
        one = row(tab, "pre", "f").get_by_role("button", name="drive f_t to 1")
        one.focus()
        tab.keyboard.press("Enter")
        row(tab, "pre", "i").get_by_role("button", name="drive i_t to 0").click()
        assert told(tab, "now", "f") == 1 and told(tab, "now", "i") == 0
        assert told(tab, "now", "C") == told(tab, "prev", "C") == 0.8
        assert told(tab, "now", "C", "slope") == told(tab, "prev", "C", "slope") != 0
        assert row(tab, "now", "C").locator(".same").inner_text() == "unchanged"
        assert row(tab, "prev", "C").locator(".same").inner_text() == "unchanged"
        assert row(tab, "prev", "h").locator(".same").inner_text() == ""
        assert told(tab, "pre", "f", "slope") == told(tab, "p", "b_f", "slope") == 0
        assert "no longer computed from the weights" in row(tab, "pre", "f").inner_text()
        cx = row(tab, "pre", "f").locator("circle").get_attribute("cx")
        assert float(cx) == 120
        release = row(tab, "pre", "f").get_by_role("button", name="compute a^f_t from the weights")
        release.click()
        assert not release.is_visible()
        assert told(tab, "now", "f") < 1
        assert told(tab, "now", "i") == 0
        tab.locator("#one button.reset").click()
        assert told(tab, "now", "i") > 0

    def test_typed_numbers_may_lie_beyond_the_slider_and_half_typed_ones_wait(
        self, tab: Any
    ) -> None:
        typed = row(tab, "prev", "C").locator("input[type=number]")
        typed.fill("5")
        assert row(tab, "prev", "C").locator("input[type=range]").input_value() == "2"
        far = told(tab, "now", "C")
        typed.fill("")
        assert told(tab, "now", "C") == far
        typed.blur()
        assert typed.input_value() == "5"
        tab.locator("#one button.reset").click()

    def test_copies_are_apart_and_speak_the_page_s_language(self, tab: Any) -> None:
        other = row(tab, "prev", "h", of="#two").locator("input[type=number]")
        before = told(tab, "now", "h")
        other.fill("-1")
        assert told(tab, "now", "h") == before
        tab.locator("input[value=ko]").check()
        assert tab.locator("#one button.reset").inner_text() == "처음으로"
        button = row(tab, "pre", "f").locator("button").first
        assert button.get_attribute("aria-label") == "f_t 값을 0으로 만들기"
        tab.locator("input[value=en]").check()
        assert tab.locator("#two button.reset").inner_text() == "Reset"

    def test_nothing_is_said_to_the_console(self, tab: Any) -> None:
        assert tab.said == []
