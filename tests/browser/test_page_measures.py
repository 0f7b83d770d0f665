"""What reviewers measure on the page and no other work on the machine can change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lesson_pages import TEXT
from page_measures import (
    WATCH,
    chromium,
    everywhere,
    measured,
    moves,
    page,
    pages_on_paper,
    screens,
    scroll_through,
    shown,
)

from lesson import languages, page_models, prose
from lesson.chapters import appendices, chapters
from lesson.models import WIDE
from lesson.parts.heatmap import BUDGET
from tinygrad_lstm import cells
from tinygrad_lstm.learning import CharacterModel, shakespeare

pytestmark = pytest.mark.browser
MOVES = {  # what may move what is below it, and why
    "stepper: button now": "a question is asked where there was none",
    "family: select": "another cell has more lines, and its own appendix is below",
    "sliders: ": "a number that is held shows its curve in its row",
}


@pytest.fixture(scope="module")
def browser(pages: tuple[Path, Path]) -> Iterator[Any]:
    with chromium() as found:
        yield found


def data(html: str, part: str) -> int:
    """How many bytes a part's data has."""
    begin = html.index(f'id="{part}-data">')
    return len(html[begin : html.index("</script>", begin)].encode())


def test_fits_in_three_megabytes(pages: tuple[Path, Path]) -> None:
    """With the models of a real lesson, which are larger than those of a test."""
    html = pages[0].read_text(encoding="utf-8")
    full = {
        name: page_models.described(CharacterModel(cells.all()[name], shakespeare(), hidden=WIDE))
        for name in ("lstm", "gru", "rnn")
    }
    networks = len(prose.as_json(full).encode()) - data(html, "networks")
    heatmap = 4 * BUDGET // 3 - data(html, "heatmap")
    assert len(shakespeare().vocabulary.symbols) > len(TEXT.vocabulary.symbols)
    assert 300_000 < networks + heatmap < 600_000
    assert len(html.encode()) + networks + heatmap <= 3_000_000


def test_opens_with_the_lesson_alone(pages: tuple[Path, Path], browser: Any) -> None:
    """An appendix is text until it is opened; then it is all there and works."""
    with page(browser, pages[0]) as (tab, said):
        assert tab.evaluate("document.querySelectorAll('*').length") < 22_000
        for name in appendices():
            assert tab.locator(f"#{name} *").count() == 1
        for name in shown(tab):
            if name:
                assert tab.locator(f"#{name} > h2").is_visible()
        assert tab.locator(".family .shown svg").count() == 2
        assert tab.locator(".sliders tr.held, .sliders input[type=range]").count() > 5
        assert tab.locator("#derivation .take.equation").count() > 5
        assert said == []


def test_finds_a_place_within_an_appendix(pages: tuple[Path, Path], browser: Any) -> None:
    with page(browser, pages[0]) as (tab, _):
        tab.evaluate("location.hash = 'title-glossary'")
        tab.wait_for_selector("#glossary.open")
        assert tab.locator("#glossary table").is_visible()
        assert not tab.locator("#loops").is_visible()


def test_is_read_in_thirty_screens(pages: tuple[Path, Path], browser: Any) -> None:
    with page(browser, pages[0]) as (tab, _):
        assert screens(tab) <= 30
        assert pages_on_paper(tab) <= 15


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_every_word_can_be_read(width: int, pages: tuple[Path, Path], browser: Any) -> None:
    """None is smaller than 11 px, none is cut off; on a phone in each language."""
    tags = languages.languages() if width == 360 else (languages.DEFAULT,)
    with page(browser, pages[0], viewport={"width": width, "height": 800}) as (tab, said):
        for tag in tags:
            tab.click(f"label[for=language-{tag}]")
            assert everywhere(tab, "small", 11) == []
            assert everywhere(tab, "clipped") == []
        assert said == []


def test_nothing_moves_in_use(pages: tuple[Path, Path], browser: Any) -> None:
    with page(browser, pages[0], reduced_motion="reduce") as (tab, said):
        moved = {what: by for what, by in moves(tab).items() if not what.startswith(tuple(MOVES))}
        assert {what: by for what, by in moved.items() if by > 5} == {}
        assert said == []


def test_nothing_moves_by_itself(pages: tuple[Path, Path], browser: Any) -> None:
    with page(browser, pages[0]) as (tab, _):
        tab.evaluate(WATCH)
        scroll_through(tab)
        assert tab.evaluate("window.shifts") < 0.05


def test_all_of_it_is_there_without_scripts(pages: tuple[Path, Path], browser: Any) -> None:
    with page(browser, pages[0], java_script_enabled=False) as (tab, _):
        for name in chapters():
            assert tab.locator(f"#{name} h2").first.is_visible()
        counts = {kind: tab.locator(f"main {kind}").count() for kind in ("math", "table", "svg")}
    with page(browser, pages[0]) as (tab, _):
        tab.evaluate(measured("whole"))
        for kind in ("math", "table"):
            assert tab.locator(f"main {kind}:not(.shown *, .stepper *)").count() <= counts[kind]
        assert counts["svg"] > 25
