"""Class material as it is printed and shown: two pages on either paper, slides by keyboard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stepper_pages import chromium_here

from lesson import classroom
from lesson.classroom.sheets import Classroom
from tinygrad_lstm import cells

pytestmark = pytest.mark.browser

PLACE = """() => {
  const slide = document.querySelector(".current");
  return [slide.id, slide.querySelectorAll(".seen").length];
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with chromium_here() as browser:
        yield browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("class")
    room = Classroom(cells.lstm)
    for name, (make, _) in classroom.SHEETS.items():
        (found / f"{name}.html").write_text(str(make(room)), encoding="utf-8")
    return found


@pytest.fixture
def tab(chromium: Any) -> Iterator[Any]:
    said: list[str] = []
    context = chromium.new_context(viewport={"width": 1280, "height": 720})
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda r: r.url.startswith("http") and said.append(r.url))
    yield page
    context.close()
    assert said == []


def pages(tab: Any, **options: Any) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", tab.pdf(**options)))


@pytest.mark.parametrize(
    ("name", "tags"), [("handout", "en ko zh"), ("worksheet", "ko"), ("answers", "en")]
)
def test_a_sheet_is_two_pages_of_either_paper(tab: Any, folder: Path, name: str, tags: str) -> None:
    tab.goto((folder / f"{name}.html").as_uri())
    for tag in tags.split():
        tab.click(f"label[for=language-{tag}]")
        assert {pages(tab, format=paper) for paper in ("A4", "Letter")} == {2}, tag
        assert tab.evaluate("parseFloat(getComputedStyle(document.body).fontSize)") >= 11, tag


def test_slides_go_on_and_back_by_keyboard(tab: Any, folder: Path) -> None:
    tab.goto((folder / "slides.html").as_uri())
    count = tab.locator(".slide").count()
    for keys, wanted in (
        ("ArrowRight Space Space ArrowLeft", ["slide-2", 1]),
        ("End", [f"slide-{count}", 0]),
        ("ArrowLeft", [f"slide-{count - 1}", 1]),
        ("Home", ["slide-1", 0]),
        ("ArrowLeft", ["slide-1", 0]),
    ):
        for key in keys.split():
            tab.keyboard.press(key)
        assert tab.evaluate(PLACE) == wanted, keys
    assert not tab.locator(".current .notes").is_visible()
    tab.keyboard.press("n")
    assert tab.locator(".current .notes").is_visible()
    with tab.expect_popup() as opened:
        tab.keyboard.press("w")
    speaker = opened.value
    title = tab.locator(".current h1 .say:visible").inner_text()
    assert speaker.locator("h1").inner_text() == title
    speaker.keyboard.press("ArrowRight")  # the speaker's window turns the slides, too
    assert tab.evaluate(PLACE)[0] == "slide-2"
    assert pages(tab, format="A4", landscape=True) == count


def test_no_slide_is_cut_off(tab: Any, folder: Path) -> None:
    tab.goto((folder / "slides.html").as_uri())
    for tag in ("en", "ko"):
        tab.click(f"label[for=language-{tag}]")
        tab.keyboard.press("Home")
        for k in range(tab.locator(".slide").count()):
            assert tab.evaluate("document.documentElement.scrollHeight") <= 720, (tag, k + 1)
            tab.keyboard.press("PageDown")
            for _ in range(tab.locator(".current .part").count() + 1):
                if tab.evaluate(PLACE)[0] != f"slide-{k + 1}":
                    break
                tab.keyboard.press("PageDown")


def test_without_a_script_all_of_it_is_there(chromium: Any, folder: Path) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((folder / "slides.html").as_uri())
    assert page.locator(".part:visible").count() == page.locator(".part").count()
    assert not page.locator(".controls").is_visible()
    page.goto((folder / "handout.html").as_uri())
    assert pages(page, format="A4") == pages(page, format="Letter") == 2
    context.close()
