"""`lesson --edit` in a browser: typing, a mistake and its mending, two tabs, another editor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import playwright.sync_api as playwright
import pytest
from edited_files import GOOD, Edited, processes
from stepper_pages import chromium_here

from lesson import editing

pytestmark = pytest.mark.browser


@pytest.fixture
def edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Edited]:
    monkeypatch.setattr(editing, "context", processes)
    path = tmp_path / "own.py"
    path.write_text(GOOD, encoding="utf-8")
    found = Edited(path)
    yield found
    found.end()


@pytest.mark.timeout(300)
def test_typing_is_followed(edited: Edited) -> None:
    with chromium_here() as browser:
        tabs, said = [], []
        for _ in range(2):
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            tab.set_default_timeout(60_000)
            tab.on("console", lambda message: said.append(message.text))
            tab.on("pageerror", lambda error: said.append(str(error)))
            tab.goto(edited.address)
            tabs.append(tab)
        one, other = tabs
        expect = playwright.expect
        expect.set_options(timeout=60_000)
        for tab in tabs:
            expect(tab.locator("#equations math")).to_contain_text("k")
            assert tab.input_value("#text") == GOOD
        # a mistake, at its line, in three languages
        select(one, "p.W_n @ hx")
        one.keyboard.type("p.W_m @ hx")
        expect(one.locator("#trouble")).to_contain_text("W_m")
        assert one.inner_text(".numbers b") == "9"
        assert one.get_attribute("#text", "aria-invalid") == "true"
        english = one.inner_text("#trouble")
        one.locator('label[for="language-ko"]').click()
        assert "W_m" in one.inner_text("#trouble") and one.inner_text("#trouble") != english
        one.locator('label[for="language-en"]').click()
        assert one.inner_text("#trouble") == english
        # the other tab has it as well; undone by the keyboard, all is well again
        expect(other.locator("#trouble")).to_contain_text("W_m")
        assert "p.W_m" in other.input_value("#text")
        one.focus("#text")
        for _ in range(20):
            if one.input_value("#text") == GOOD:
                break
            one.keyboard.press("Control+z")
        assert one.input_value("#text") == GOOD
        expect(one.locator("#trouble")).to_be_empty()
        expect(other.locator("#trouble")).to_be_empty()
        assert edited.path.read_text(encoding="utf-8") == GOOD
        # an equation changes, and so does what follows from it
        select(one, "(1 - now.k)")
        one.keyboard.type("now.z")
        select(one, "    now.h")
        one.keyboard.press("ArrowLeft")
        one.keyboard.type("    now.z = 1 - now.k")
        one.keyboard.press("Enter")
        one.keyboard.press("Backspace")
        for _ in range(3):
            one.keyboard.press("Backspace")
        expect(one.locator("#equations math")).to_contain_text("z")
        assert "    now.z = 1 - now.k\n    now.h" in edited.path.read_text(encoding="utf-8")
        # the sliders stand in a document of their own, without an origin
        frame = one.frame_locator("#sliders iframe:not(.next)")
        expect(frame.locator("tr[data-name='k']").first).to_be_attached()
        origin = one.locator("#sliders iframe:not(.next)").element_handle().content_frame()
        assert origin.evaluate("self.origin") == "null"
        # another editor, while something is typed here
        assert said == []
        one.route("**/save", lambda route: route.abort())  # before it is written
        select(one, "One gate")
        one.keyboard.type("My gate")
        theirs = edited.path.read_text(encoding="utf-8").replace("One gate", "Their gate")
        edited.path.write_text(theirs, encoding="utf-8")
        expect(other.locator("#text")).to_have_value(theirs)
        expect(one.locator('p[data-problem="changed"]')).to_be_visible()
        one.unroute("**/save")
        one.wait_for_timeout(600)
        assert edited.path.read_text(encoding="utf-8") == theirs
        one.click(".keep")
        mine = theirs.replace("Their gate", "My gate")
        expect(other.locator("#text")).to_have_value(mine)
        expect(one.locator(".conflict")).to_be_hidden()
        # what is gone comes back when it is asked for
        edited.path.unlink()
        one.click(".again")
        expect(one.locator(".conflict")).to_be_hidden()
        assert edited.path.read_text(encoding="utf-8") == mine


def select(tab: Any, words: str) -> None:
    """Select words in the editor, as a reader does with the mouse."""
    tab.evaluate(
        "(words) => { const a = document.querySelector('#text'), i = a.value.indexOf(words);"
        " a.focus(); a.setSelectionRange(i, i + words.length); }",
        words,
    )
