"""The stepper of the page: any language, screen and cell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
from stepper_pages import (
    CELLS,
    LANGUAGES,
    Tab,
    chromium_here,
    crowded,
    opened,
    three_languages,
    tiny,
    trace_of,
)

from lesson import languages
from lesson.parts import stepper
from tinygrad_lstm import Tensor, cells, step_through


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with chromium_here() as browser:
        yield browser


@pytest.fixture
def tab(chromium: Any, tmp_path: Path) -> Iterator[Tab]:
    html = three_languages(stepper.part(cells.lstm, tiny()))
    size = {"width": 1200, "height": 900}
    with opened(chromium, html, tmp_path / "page.html", viewport=size) as found:
        yield found


@pytest.mark.browser
def test_every_step_reads_well_in_every_language_and_is_quick(tab: Tab) -> None:
    tab("s.go(200)")
    for language in LANGUAGES:
        tab.page.check(f"#language-{language}")
        assert tab.index() == 200
        stride = 1 if language == "en" else 7
        walked = tab(
            f"const stride = {stride};"
            + """
          const found = [];
          for (let k = 0; k <= s.trace.last; k += stride) {
            const start = performance.now();
            s.go(k);
            document.body.getBoundingClientRect();
            const took = performance.now() - start;
            found.push([took, document.querySelector(".stepper-app").innerText]);
          }
          s.go(200);
          return found;
        """
        )
        for _, text in walked:
            assert not re.search(r"undefined|null|NaN|\[object|\{\w+\}", text)
        assert median(t for t, _ in walked) < 50
        assert languages.texts(language, "stepper")["step"]["result"] in tab.text(".card")


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_fits_any_screen(chromium: Any, tmp_path: Path, scheme: str, width: int) -> None:
    tab = Tab(
        chromium,
        stepper.document(tiny(), "ko", cells.lstm),
        tmp_path / "page.html",
        viewport={"width": width, "height": 800},
        color_scheme=scheme,
        reduced_motion="reduce",
    )
    tab("s.go(240)")
    tab.page.click(".now")
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    motion = "getComputedStyle(document.querySelector('.stepper-figure .node')).transitionDuration"
    assert set(tab.page.evaluate(motion).split(", ")) == {"0s"}
    tab.close()


@pytest.mark.browser
def test_without_a_script_the_figure_and_a_table_are_there(chromium: Any, tmp_path: Path) -> None:
    html = three_languages(stepper.part(cells.lstm, tiny()))
    file = tmp_path / "page.html"
    file.write_text(html, encoding="utf-8")
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(file.as_uri())
    assert page.is_visible(".stepper-figure svg")
    assert page.locator(".stepper-still tbody tr:visible").count() > 40
    assert page.locator("button").count() == 0
    context.close()


@pytest.mark.sample(3)
@pytest.mark.browser
@pytest.mark.parametrize("name", ["braid", "crowded", "bursting", "rnn", "lstm_1997", "clockwork"])
def test_steps_through_any_cell(name: str, chromium: Any, tmp_path: Path) -> None:
    html = stepper.document(trace_of(name), "zh", CELLS[name])
    tab = Tab(chromium, html, tmp_path / "page.html")
    tab("for (let k = 0; k <= s.trace.last; k++) s.go(k);")
    tab.page.click(".now")
    tab.close()


@pytest.mark.browser
def test_names_with_subscripts_are_set_as_names(chromium: Any, tmp_path: Path) -> None:
    html = stepper.document(trace_of("crowded"), "en", crowded)
    tab = Tab(chromium, html, tmp_path / "page.html")
    tab.unfold_debugger()
    heads = tab.page.locator(".grid tbody th").all_inner_texts()
    assert heads == ["x", *(f"e{k}" for k in range(1, 9)), "a", "b", "c", "d", "y"]
    texts = tab("""return s.trace.events.map((e) => {
      s.go(e.index);
      return document.querySelector(".card").innerText;
    });""")
    assert any("e4,2" in text for text in texts)
    assert not [text for text in texts if "_" in text]
    assert tab("return s.trace.lookup('e_4_2')[0].l") == "e_{4,2}"
    assert tab("return s.trace.lookup('e_4@2')[0].l") == "e_{4,2}"
    tab.close()


@pytest.mark.browser
def test_numbers_that_are_none_are_shown(chromium: Any, tmp_path: Path) -> None:
    x = Tensor(np.array([1e200, -1.0]), "x")
    with np.errstate(all="ignore"):
        y = x * x * x - x * x * x
        y.name = "y"
        trace = step_through(y.sum())
        html = stepper.document(trace)
    tab = Tab(chromium, html, tmp_path / "page.html")
    assert tab("return s.trace.find(s.trace.breakpoint('nan'), -1)") == trace.find("nan")
    tab("for (let k = 0; k <= s.trace.last; k++) s.go(k);")
    tab(f"s.go({trace.find('nan')})")
    assert "nan" in tab.text(".card")
    tab.close()
