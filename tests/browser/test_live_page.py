"""What lives in the page: models that read, units switched off, a network that learns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import playwright.sync_api as playwright
import pytest
import training_pages
from lesson_pages import about, slow
from stepper_pages import chromium_here

from lesson import languages, meaning, page_models, prose
from lesson.page import asset
from lesson.parts import reach, training
from tinygrad_lstm import cells
from tinygrad_lstm.learning import CharacterModel

pytestmark = pytest.mark.browser
ALPHABETS = (
    "The quick brown fox, whom nobody saw. 가나다 라마바사 아자차카 타파하는 말. "
    "春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。\n"
)
playwright.expect.set_options(timeout=60_000)
POLICY = "default-src 'none'; script-src 'unsafe-inline'"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with chromium_here() as browser:
        yield browser


def small_page(folder: Path, models: dict[str, CharacterModel]) -> Path:
    """A page with nothing but models and the script that reads with them."""
    plans = page_models.joined(page_models.plan(m.readout, m.sizes) for m in models.values())
    data = prose.data("networks", {n: page_models.described(m) for n, m in models.items()})
    scripts = ["const lesson = {};", plans, asset("lesson.page", "network.js")]
    file = folder / "models.html"
    file.write_text(
        f'<!doctype html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" '
        f'content="{POLICY}"><title>models</title>{data}'
        + "".join(f"<script>{script}</script>" for script in scripts),
        encoding="utf-8",
    )
    return file


def test_reads_what_python_reads(tmp_path: Path, chromium: Any) -> None:
    """1,000 letters in three alphabets: states, losses, and the same with a unit switched off."""
    text = (ALPHABETS * 12)[:1000]
    models = {}
    for k, name in enumerate(("lstm", "gru", "rnn")):
        model = CharacterModel(cells.all()[name], text, seed=k, hidden=24, inputs=8)
        model.parameters = {n: 1.7 * v for n, v in model.parameters.items()}
        models[name] = page_models.rounded(model)
    tab = chromium.new_page()
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto(small_page(tmp_path, models).as_uri())
    for name, model in models.items():
        found = tab.evaluate(
            """([name, text, off]) => {
              const network = lesson.networks.all[name];
              network.read(text.slice(0, 300));  // what was read before must not matter
              const told = (steps) => steps.map((step) => [[...step.values.h], step.bits]);
              return [told(network.read(text)), told(network.read(text, [off]))];
            }""",
            [name, text, 5],
        )
        states, costs = (list(column) for column in zip(*found[0], strict=True))
        seen = model.observe(text)
        np.testing.assert_allclose(states, seen.run["h"].data, atol=1e-3)
        np.testing.assert_allclose(costs[1:], seen.bits, atol=0.01)
        ids = model.vocabulary.encode(text[:80]).astype(np.intp)
        without = [bits for _, bits in found[1]][1:80]
        np.testing.assert_allclose(without, meaning.without(model, ids, 5), atol=0.01)
        assert np.abs(np.array(without) - costs[1:80]).max() > 0.01
    assert errors == []
    tab.close()


@contextmanager
def opened_page(chromium: Any, file: Path) -> Iterator[Any]:
    """A page, which must neither complain nor ask for anything."""
    said: list[str] = []
    opened = chromium.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda r: r.url.startswith("http") and said.append(r.url))
    opened.goto(file.as_uri())
    yield opened
    opened.close()
    assert said == []


@pytest.fixture
def tab(pages: tuple[Path, Path], chromium: Any) -> Iterator[Any]:
    with opened_page(chromium, pages[0]) as opened:
        yield opened


def test_the_page_carries_its_models(tab: Any) -> None:
    text = about().opening
    for name, trained in about().models.items():
        seen = trained.model.observe(text)
        found = tab.evaluate(
            "([name, text]) => lesson.networks.all[name].read(text).map((s) => [...s.values.h])",
            [name, text],
        )
        np.testing.assert_allclose(found, seen.run["h"].data, atol=1e-3)
        guess, sizes = reach.hangs_on(trained.model, text, 30)
        live = tab.evaluate(
            """([name, text]) => {
              const { guess, sizes } = lesson.networks.all[name].reach(text, 30);
              return [guess, [...sizes]];
            }""",
            [name, text],
        )
        assert live[0].strip() == guess.strip("␣↵⏎ ")
        np.testing.assert_allclose(live[1], sizes[:31], rtol=1e-3, atol=1e-6)


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The training alone, of a cell that is not built in."""
    return training_pages.written(slow, tmp_path_factory.mktemp("training") / "training.html")


def test_learns_what_python_learns(trainer: Path, chromium: Any) -> None:
    """In a worker, opened from a file, any cell: each ten steps cost what they cost in Python."""
    with opened_page(chromium, trainer) as tab:
        tab.wait_for_selector(".training .said:not(:empty)")
        chosen = tab.locator(".training .hands select").first
        names = chosen.locator("option").evaluate_all("all => all.map((each) => each.value)")
        assert names == ["slow", *cells.all()]
        for name in ("slow", "clockwork"):
            chosen.select_option(name)
            tab.wait_for_function("() => document.querySelector('.training').training.seen?.names")
            tab.evaluate(
                "document.querySelector('.training').training.worker.postMessage("
                "{ go: true, until: 20 })"
            )
            tab.wait_for_function(
                "() => document.querySelector('.training').training.curve.length === 2"
            )
            cell = slow if name == "slow" else cells.all()[name]
            ids = training.learned(training.numbers(tab.locator("textarea").input_value()))
            expected = training.reference(cell, ids, 20)
            curve = tab.evaluate("document.querySelector('.training').training.curve")
            np.testing.assert_allclose(curve, expected, atol=1e-4)
            assert curve[1][1] < curve[0][1] - 0.3


def test_one_watches_it_learn(trainer: Path, chromium: Any) -> None:
    with opened_page(chromium, trainer) as tab:
        part = tab.locator(".training")
        told = part.locator(".said")
        playwright.expect(told).to_contain_text("guessing costs")
        go = part.locator(".hands button").first
        go.click()
        playwright.expect(told).to_contain_text("letters read")
        playwright.expect(told).to_contain_text("held-out end")
        part.locator(".hands select").nth(1).select_option("0.003")  # while it runs
        playwright.expect(part.locator("polyline.c1")).to_have_count(0)  # no longer Python's
        go.click()
        playwright.expect(go).to_have_text("Continue")
        playwright.expect(part.locator("pre")).not_to_be_empty()
        assert part.locator("polyline.c0").count() == part.locator("polyline.c2").count() == 1
        steps = "document.querySelector('.training').training.seen.steps"
        before = tab.evaluate(steps)
        go.click()
        tab.wait_for_function(f"(n) => {steps} > n", arg=before)
        go.click()
        part.locator("summary").click()
        part.locator("textarea").fill("too short")
        part.locator("textarea").blur()
        playwright.expect(told).to_contain_text("at least")
        assert go.is_disabled()
        part.locator("textarea").fill("가나다라 마바사아 " * 20)
        part.locator("textarea").blur()
        playwright.expect(told).to_contain_text("3.17 bits")  # nine letters
        part.locator(".hands select").first.select_option("gru")
        go.click()
        playwright.expect(told).to_contain_text("letters read")
        for tag in languages.languages():
            tab.evaluate(f"document.getElementById('language-{tag}').click()")
            words = languages.texts(tag, "training")["page"]
            assert words["axes"] in part.locator("svg.chart").text_content()
            assert go.inner_text() == words["stop"]


def test_a_rate_that_is_too_large_is_said(trainer: Path, chromium: Any) -> None:
    with opened_page(chromium, trainer) as tab:
        tab.wait_for_selector(".training .said:not(:empty)")
        worker = "document.querySelector('.training').training.worker"
        tab.evaluate(f"{worker}.postMessage({{ go: true, rate: 1e300 }})")
        said = tab.locator(".training .said")
        playwright.expect(said).to_contain_text("too large")
        assert tab.locator(".training .hands button").first.inner_text() != "Stop"


def test_the_first_screen_answers(tab: Any) -> None:
    """Typed text is read, unknown letters are said, and nothing below moves."""
    top = "document.querySelector('header nav').getBoundingClientRect().top + scrollY"
    before = tab.evaluate(top)
    area, part = tab.locator("#reading-text"), tab.locator(".reading")
    area.fill("To be, 글 or not")
    assert part.locator(".tape > *").count() == 15
    assert "글" in part.locator(".said").inner_text()
    assert part.locator(".tape .unknown").count() == 1
    part.locator("button[data-text=off]").click()
    assert "Without unit" in part.locator(".said").inner_text()
    here = part.locator(".tape .here")
    here.focus()
    tab.keyboard.press("Home")
    assert "After letter 1," in part.locator(".now").inner_text()
    tab.keyboard.press("ArrowRight")
    assert "‘o’" in part.locator(".now").inner_text()
    part.locator("button[data-text=write]").click()
    assert len(area.input_value()) == 55
    part.locator("button[data-text=off]").click()
    part.locator("button[data-text=another]").click()
    part.locator(".hands select").nth(1).select_option("rnn")
    assert "RNN" in part.locator(".said").inner_text()
    shares = part.locator(".next li span").all_inner_texts()
    assert len(shares) == 6
    for tag in languages.languages():
        tab.click(f"label[for=language-{tag}]")
        assert languages.texts(tag, "reading")["write"] in part.locator(".hands").inner_text()
    tab.click("label[for=language-en]")
    assert abs(tab.evaluate(top) - before) <= 5


def test_the_gallery_follows(tab: Any) -> None:
    cards = tab.locator(".unit")
    if not cards.count():
        pytest.skip("a model trained for six steps holds nothing")
    cards.last.locator("button").click()
    unit = cards.last.get_attribute("data-unit")
    assert tab.locator(".hands select").first.input_value() == unit


def test_what_a_guess_hangs_on(tab: Any) -> None:
    part = tab.locator(".reach")
    part.scroll_into_view_if_needed()
    tape = part.locator(".tape").first
    tape.locator("button").nth(9).hover()
    assert "After letter 10" in part.locator(".said").inner_text()
    assert part.locator(".tape .here").count() == 3
    tape.locator(".here").focus()
    tab.keyboard.press("ArrowLeft")
    assert "After letter 9" in part.locator(".said").inner_text()


def test_without_scripts_all_of_it_stands_there(pages: tuple[Path, Path], chromium: Any) -> None:
    context = chromium.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(pages[0].as_uri())
    assert tab.locator(".reading .tape span").count() == len(about().opening)
    assert tab.locator(".reading .next li").count() == 6
    assert tab.locator(".training svg").is_visible()
    assert not tab.locator(".desk:visible, .hands:visible, .more:visible").count()
    context.close()
