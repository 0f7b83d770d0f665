"""The whole page as readers meet it: with a screen reader, by keyboard, on paper, at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from page_measures import measured
from stepper_pages import chromium_here

from lesson import languages
from lesson.chapters import appendices, chapters

pytestmark = pytest.mark.browser

FOCUSED = """() => {
  const e = document.activeElement;
  const [style, label] = [getComputedStyle(e), getComputedStyle(e.nextElementSibling ?? e)];
  return { tag: e.localName, top: e.getBoundingClientRect().top + scrollY, id: e.id,
           section: e.closest("main > section")?.id ?? "",
           fixed: Boolean(e.closest(".switch, .picker")), outlined: [style, label].some(
             (s) => s.outlineStyle !== "none" && parseFloat(s.outlineWidth) > 0) };
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with chromium_here() as browser:
        yield browser


@contextmanager
def reading(chromium: Any, file: Path, **options: Any) -> Iterator[Any]:
    """The page in a tab of its own, which must neither complain nor ask for anything."""
    said: list[str] = []
    context = chromium.new_context(**options)
    tab = context.new_page()
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda r: r.url.startswith("http") and said.append(r.url))
    tab.goto(file.as_uri())
    yield tab
    context.close()
    assert said == []


@pytest.fixture
def tab(pages: tuple[Path, Path], chromium: Any) -> Iterator[Any]:
    with reading(chromium, pages[0], viewport={"width": 1280, "height": 900}) as opened:
        yield opened


# --- accessibility --------------------------------------------------------------------------------
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", languages.languages())
def test_axe_finds_nothing(
    language: str, scheme: str, pages: tuple[Path, Path], chromium: Any
) -> None:
    """No violation of any rule, in what is folded either."""
    axe = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
    with reading(chromium, pages[0], color_scheme=scheme, reduced_motion="reduce") as tab:
        tab.click(f"label[for=language-{language}]")
        tab.evaluate(measured("whole"))  # appendices, too, all of them open
        tab.evaluate("document.querySelectorAll('.appendix').forEach(e => e.classList.add('open'))")
        tab.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
        tab.evaluate(axe)  # as the page's policy lets no other script in
        found = tab.evaluate(
            "axe.run({ resultTypes: ['violations'] }).then((r) => r.violations.map("
            "(v) => [v.id, v.help, v.nodes.map((n) => n.target.join(' ')).slice(0, 5)]))"
        )
    assert found == []


def luminance(colour: tuple[float, ...]) -> float:
    r, g, b = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in colour)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_numbers_stand_out_from_their_bars(
    scheme: str, pages: tuple[Path, Path], chromium: Any
) -> None:
    """Text on a gradient, which axe leaves undecided."""

    def contrast(ink: str, ground: str) -> float:
        colours = (tuple(int(c[k : k + 2], 16) / 255 for k in (1, 3, 5)) for c in (ink, ground))
        dark, bright = sorted(map(luminance, colours))
        return (bright + 0.05) / (dark + 0.05)

    with reading(chromium, pages[0], color_scheme=scheme) as tab:
        value = "getComputedStyle(document.documentElement).getPropertyValue"
        names = ("paper", "panel", "value", "negative", "gradient")
        grounds = {n: tab.evaluate(f"{value}('--{n}').trim()") for n in names}
        ink = tab.evaluate(f"{value}('--ink').trim()")
    assert {n: contrast(ink, g) for n, g in grounds.items() if contrast(ink, g) < 4.5} == {}


def test_every_figure_is_there_in_words(tab: Any) -> None:
    figures = tab.locator("figure.drawing")
    assert figures.count() > 15
    without = "figures => figures.filter((f) => !f.querySelector('details p')).map((f) => f.id)"
    assert figures.evaluate_all(without) == []
    unnamed = """() => [...document.querySelectorAll('svg')].filter((s) =>
        !s.closest('[aria-hidden=true], template') && !s.querySelector('title')
        && !s.ariaLabel && !s.hasAttribute('aria-labelledby')
        && !s.closest('[role=group], [role=img], .glyphs')).map((s) => s.outerHTML.slice(0, 90))"""
    assert tab.evaluate(unnamed) == []


def test_focus_goes_the_way_one_reads(tab: Any) -> None:
    """Every stop of the Tab key can be seen, lies below the one before, and none is a trap."""
    order = ["", *chapters()]
    stops: list[dict[str, Any]] = []
    tab.evaluate("document.documentElement.style.scrollBehavior = 'auto'")
    for _ in range(600):
        tab.keyboard.press("Tab")
        stop = tab.evaluate(FOCUSED)
        if stop["tag"] == "body" or (stops and stop == stops[0]):
            break
        stops.append(stop)
    else:
        raise AssertionError(f"no end after {stops[-3:]}")
    assert [s for s in stops if not s["outlined"]] == []
    reached = [order.index(s["section"]) for s in stops]
    assert reached == sorted(reached)
    assert {"loops", "steps", "variants", "gradients", "walk", "model"} <= {
        s["section"] for s in stops
    }


# --- the parts together ---------------------------------------------------------------------------
def test_the_stepper_of_the_page(tab: Any) -> None:
    """Forward and back, a breakpoint, a prediction wrong and right, by keyboard alone."""
    index = "document.querySelector('.stepper').stepper.state.index"
    tab.focus(".stepper .moves .next")
    for key in "nnneb":
        tab.keyboard.press(key)
    there = tab.evaluate(index)
    assert there > 3
    tab.keyboard.press("g")
    tab.keyboard.type("|grad C@3|>0")
    tab.keyboard.press("Enter")
    assert "|grad C@3|>0" in tab.inner_text(".stepper .note")
    assert tab.evaluate(index) > there
    tab.focus(".stepper .moves .next")
    marks = set()
    for _ in range(20):
        tab.keyboard.press("a")
        radios = tab.locator(".stepper .question input[type=radio]")
        if not radios.count():
            continue
        radios.first.focus()
        tab.keyboard.press("Space")
        tab.keyboard.press("Enter")
        marks.add(tab.inner_text(".stepper .verdict p >> nth=0")[0])
        if marks == {"✓", "✗"}:
            break
    assert marks == {"✓", "✗"}


def test_sliders_and_copies_of_the_page(pages: tuple[Path, Path], chromium: Any) -> None:
    with reading(chromium, pages[0], permissions=["clipboard-read", "clipboard-write"]) as tab:
        tab.evaluate("location.hash = 'sliders'")
        tab.wait_for_selector("#sliders", state="visible")
        h = '.sliders tr[data-space="now"][data-name="h"] td.value'
        before = tab.inner_text(h)
        tab.locator(".sliders input[type=range]").first.focus()
        tab.keyboard.press("End")
        assert tab.inner_text(h) != before
        tab.evaluate("location.hash = 'module'")
        tab.wait_for_selector("#module", state="visible")
        tab.locator("#module .take.equation").last.focus()
        tab.keyboard.press("Enter")
        tab.keyboard.press("Enter")
        tab.wait_for_function("document.getElementById('announcement').textContent.length > 3")
        assert "f_t" in tab.evaluate("navigator.clipboard.readText()")


# --- size, speed, motion, paper -------------------------------------------------------------------
def test_the_page_is_small_and_its_start_is_shown_at_once(
    pages: tuple[Path, Path], chromium: Any
) -> None:
    assert max(page.stat().st_size for page in pages) <= 3_000_000
    took = []
    for _ in range(3):  # the best of three: other tests run beside this one
        with reading(chromium, pages[0]) as tab:
            assert tab.locator("#loops h2").is_visible()
            took.append(
                tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
            )
    assert min(took) < 1000


def test_nothing_moves_for_those_who_do_not_want_it(
    pages: tuple[Path, Path], chromium: Any
) -> None:
    moving = """() => [...document.querySelectorAll('*')].filter((e) => {
        const s = getComputedStyle(e);
        return s.animationName !== 'none' || parseFloat(s.transitionDuration) > 0;
    }).length + (getComputedStyle(document.documentElement).scrollBehavior === 'smooth' ? 1 : 0)"""
    with reading(chromium, pages[0], reduced_motion="reduce") as tab:
        assert tab.evaluate(moving) == 0


def test_on_paper_all_is_unfolded_and_nothing_is_to_be_pressed(tab: Any) -> None:
    tab.evaluate("lesson.ready()")  # what comes later has folds of its own
    closed = "document.querySelectorAll('details:not([open])').length"
    before = tab.evaluate(closed)
    assert before > 15
    tab.evaluate(f"addEventListener('beforeprint', () => {{ window.folded = {closed}; }})")
    printed = tab.pdf(format="A4")
    assert printed.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) <= 15
    assert tab.evaluate("window.folded") == 0
    assert tab.evaluate(closed) == before  # as the reader left it
    tab.emulate_media(media="print")
    pressed = "button:not(.grid *, .tape *):visible, nav:visible, input:not(td input):visible"
    assert not tab.locator(pressed).count()  # characters of a tape are read
    for chapter in chapters():
        on_paper = chapter not in (*appendices(), "walk")  # which is to be pressed
        assert tab.locator(f"#{chapter} h2").first.is_visible() is on_paper
