"""The lesson page in a browser: every chapter, the switch, what answers, keyboard, no scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lesson_pages import about
from stepper_pages import chromium_here

from lesson import languages
from lesson.arithmetic import digits, written
from lesson.chapters import appendices, places

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with chromium_here() as browser:
        yield browser


@pytest.fixture(scope="module")
def file(pages: tuple[Path, Path]) -> Path:
    return pages[0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_reads_in_a_browser(file: Path, chromium: Any, scheme: str, width: int) -> None:
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
    tab.click("nav >> text=How it learns")
    assert tab.evaluate("location.hash") == "#gradients"
    tab.close()


@pytest.fixture
def tab(file: Path, chromium: Any) -> Iterator[Any]:
    """The page, open; an error in any script fails the test."""
    errors: list[str] = []
    opened = chromium.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(file.as_uri())
    yield opened
    opened.close()
    assert errors == []


def shown(tab: Any, selector: str) -> str:
    return str(tab.locator(selector).first.inner_text())


def opened(tab: Any, appendix: str) -> None:
    """Turn to an appendix, a page of its own."""
    tab.evaluate(f"location.hash = '{appendix}'")
    tab.wait_for_selector(f"#{appendix}", state="visible")
    assert not tab.locator("#loops").is_visible()


def test_every_chapter_is_there_in_every_language(tab: Any) -> None:
    for language in languages.languages():
        tab.click(f"label[for=language-{language}]")
        titles = languages.texts(language, "page")
        assert tab.evaluate("document.documentElement.lang") == language
        assert tab.title() == titles["title"]
        for chapter, place in places().items():
            if chapter in appendices():
                tab.evaluate(f"location.hash = '{chapter}'")
                tab.wait_for_selector(f"#{chapter}.open")
            assert shown(tab, f"#{chapter} > h2") == f"{place} {titles[chapter]['title']}"
        tab.click("#sources .leave a")
        tab.wait_for_selector("#loops", state="visible")
        others = tab.locator(f'.say:not([lang="{language}"]):visible')
        assert others.count() == 0


def test_the_switch_keeps_the_place(tab: Any) -> None:
    tab.evaluate("lesson.ready()")  # no chapter above takes its height later
    tab.evaluate("document.querySelector('#figure-peephole').scrollIntoView()")
    before = tab.evaluate("document.querySelector('#figure-peephole').getBoundingClientRect().top")
    tab.evaluate("lesson.choose('zh')")  # the switch itself left with the head
    after = tab.evaluate("document.querySelector('#figure-peephole').getBoundingClientRect().top")
    assert abs(after - before) < 2
    tab.wait_for_timeout(800)
    assert tab.evaluate("location.hash") == "#variants?lang=zh"


def test_the_hash_chooses_the_language(file: Path, chromium: Any) -> None:
    tab = chromium.new_page()
    tab.goto(f"{file.as_uri()}#ko")
    assert shown(tab, "h1") == languages.texts("ko", "page")["title"]
    tab.close()


def test_unrolling_by_keyboard(tab: Any) -> None:
    slider = tab.locator(".unrolling input")
    slider.focus()
    width = "document.querySelector('#figure-unrolled svg').viewBox.baseVal.width"
    four = tab.evaluate(width)
    tab.keyboard.press("End")
    assert tab.evaluate(width) > 1.8 * four
    assert "8" in shown(tab, ".unrolling output")
    tab.keyboard.press("Home")
    assert tab.evaluate(width) < 0.4 * four


def test_one_character_serves_all_stages(tab: Any) -> None:
    tab.click("label[for=character-5]")
    f = about().values("f")[5]
    said = shown(tab, '.there[data-stage="f"][data-pass="forward"]')
    shown_f = written(digits(f))
    assert f"character 6, the forget gate of unit {about().unit + 1} stands at {shown_f}" in said
    assert tab.text_content("#figure-step text[data-value=f]") == shown_f
    assert tab.locator(".there[data-stage]:visible").count() == 8
    marked = tab.locator("main .strip thead .there:visible")
    assert marked.count() == 2
    tab.locator("#character-5").focus()
    tab.keyboard.press("ArrowRight")
    assert "character 7," in shown(tab, '.there[data-stage="o"][data-pass="forward"]')
    assert "character 7," in tab.locator("#announcement").inner_text()
    tab.click("label[for=language-ko]")
    assert "7번째 글자" in shown(tab, '.there[data-stage="o"][data-pass="forward"]')


def test_any_two_cells(tab: Any) -> None:
    opened(tab, "family")
    tab.select_option(".family .side:nth-child(1) select", "lstm")
    tab.select_option(".family .side:nth-child(2) select", "lstm_peephole")
    different = tab.locator(".family .side:nth-child(2) .line:not(.same)")
    assert different.evaluate_all("lines => lines.map(x => x.dataset.name)") == ["f", "i", "o"]
    changed = tab.locator(".family .side:nth-child(2) .line .changed")
    assert changed.count() == 6  # a comma and a state in each of three lines
    assert tab.locator(".family .side:nth-child(2) svg .changed").count() >= 3
    tab.select_option(".family .side:nth-child(2) select", "lstm")
    assert tab.locator(".family .line:not(.same)").count() == 0
    assert "compute the same" in tab.locator("#announcement").inner_text()
    ids = tab.evaluate("[...document.querySelectorAll('[id]')].map(x => x.id)")
    assert len(ids) == len(set(ids))


def test_a_gradient_grows(tab: Any) -> None:
    opened(tab, "derivation")
    slider = tab.locator(".growth input")
    slider.focus()
    tab.keyboard.press("Home")
    first = shown(tab, ".growth output")
    rows = "document.querySelector('.growth table').rows"
    later = tab.evaluate(f"[...{rows}[1].cells].filter(x => x.classList.contains('later')).length")
    assert later == tab.evaluate(f"{rows}[0].cells.length") - 2
    tab.keyboard.press("ArrowRight")
    assert shown(tab, ".growth output") != first


def test_without_scripts(file: Path, chromium: Any) -> None:
    """Text, equations and figures are there, and the languages can be chosen."""
    context = chromium.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(file.as_uri())
    assert shown(tab, "h1") == languages.texts("en", "page")["title"]
    tab.click("label[for=language-zh]")
    assert shown(tab, "h1") == languages.texts("zh", "page")["title"]
    assert tab.locator("#figure-unrolled svg").is_visible()
    assert tab.locator("#steps .strip table").first.is_visible()
    assert tab.locator("#variants .formula math").first.is_visible()
    assert not tab.locator(".controls:visible, .picker:visible").count()
    context.close()


def test_another_cells_page_answers_too(pages: tuple[Path, Path], chromium: Any) -> None:
    errors: list[str] = []
    tab = chromium.new_page()
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto(pages[1].as_uri())
    tab.click("label[for=character-3]")
    assert "character 4, alpha" in shown(tab, '.there[data-stage="alpha"]').replace("α", "alpha")
    assert tab.title() == languages.texts("en", "page")["any"]["title"]
    tab.click("label[for=language-ko]")
    assert tab.title() == languages.texts("ko", "page")["any"]["title"]
    tab.close()
    assert errors == []
