"""The page's address, links, frames, colours and contents, on a small page with its scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stepper_pages import chromium_here

from lesson import languages
from lesson.page import asset
from lesson.parts import style
from lesson.prose import Texts

pytestmark = pytest.mark.browser
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
PART = """
const shown = document.getElementById("shown");
lesson.address.keep("cells", {
  read: (text) => {
    if (/^(a|b),(a|b)$/.test(text ?? "a,b")) shown.textContent = text ?? "a,b";
  },
  write: () => (shown.textContent === "a,b" ? "" : shown.textContent),
});
lesson.address.keep("event", {
  read: (text) => {
    const event = text === null ? 0 : lesson.address.counted(text, 9);
    if (event !== null) shown.dataset.event = event;
  },
  write: () => (Number(shown.dataset.event ?? 0) ? String(Number(shown.dataset.event) + 1) : ""),
});
const pick = (pair) => { shown.textContent = pair; lesson.address.changed(); };
"""


def chapter(name: str, kind: str = "chapter") -> str:
    return (
        f'<section id="{name}" class="{kind}"><h2>{name}</h2><p style="height:1500px">…</p>'
        f'<figure id="figure-{name}"><div class="scroll">drawn</div><figcaption>'
        f'<span>Caption of "{name}" &amp; more</span></figcaption></figure>'
        '<p style="height:600px">…</p><p>end</p></section>'
    )


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tags = languages.languages()
    radios = "".join(
        f'<input type="radio" name="language" id="language-{tag}" value="{tag}"'
        f"{' checked' * (not k)}><label for=language-{tag}>{tag}</label>"
        for k, tag in enumerate(tags)
    )
    titles = "".join(f'<span class="say" lang="{tag}">title {tag}</span>' for tag in tags)
    links = "".join(f'<li><a href="#{name}">{name}</a></li>' for name in ("one", "two", "extra"))
    names = ("base", "later", "address", "sharing", "network", "contents")
    scripts = [*(asset("lesson.page", f"{name}.js") for name in names)]
    scripts += [asset("lesson.parts.takeaway", "takeaway.js"), PART]
    none = '{"before":"","after":"","names":[],"pictures":""}'
    made = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><title>t</title>'
        f"<style>{style()}</style><script>{asset('lesson.page', 'early.js')}</script></head><body>"
        f'<nav class="switch"><fieldset class="languages">{radios}</fieldset>'
        f"{Texts('sharing', {'cell': 'x'}).script()}"
        f'<button type="button" class="theme" hidden></button>'
        f'<button type="button" class="menu" hidden>Contents</button></nav>'
        f'<p id="announcement" aria-live="polite"></p>'
        f'<header style="min-height:800px"><h1>{titles}</h1>'
        f'<nav class="contents"><h2 id="contents">Contents</h2><ol>{links}</ol></nav></header>'
        f"<main>{chapter('one')}{chapter('two')}{chapter('extra', 'appendix')}"
        f'<div data-part="pair" id="part-pair"><b id="shown">a,b</b></div></main>'
        f"{Texts('takeaway').script()}"
        f'<script type="application/json" id="takeaway-data">{none}</script>'
        + "".join(f"<script>{script}</script>" for script in scripts)
        + "</body></html>"
    )
    made_file = tmp_path_factory.mktemp("sharing") / "page.html"
    made_file.write_text(made, encoding="utf-8")
    return made_file


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with chromium_here() as browser:
        yield browser


@pytest.fixture
def tab(file: Path, chromium: Any) -> Iterator[Any]:
    """A tab that has not yet opened the page; an error in a script fails the test."""
    said: list[str] = []
    opened = chromium.new_page(viewport={"width": 1000, "height": 700}, reduced_motion="reduce")
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("console", lambda message: said.append(message.text))
    opened.on("dialog", lambda dialog: said.append(dialog.message))
    yield opened
    opened.close()
    assert said == []


def until(tab: Any, expression: str, wanted: Any) -> None:
    """Wait for what an expression gives; the page's policy lets nothing be evaluated in it."""
    for _ in range(100):
        found = tab.evaluate(expression)
        if found == wanted:
            return
        tab.wait_for_timeout(50)
    assert found == wanted


def address(tab: Any, wanted: str) -> None:
    """Wait until the address says what it should."""
    until(tab, "location.hash", wanted)


def state(tab: Any) -> list[Any]:
    found: list[Any] = tab.evaluate(
        "[document.documentElement.lang, shown.textContent, Number(shown.dataset.event ?? 0) + 1]"
    )
    return found


@pytest.mark.parametrize(
    ("hash", "found"),
    [
        ("#two?lang=ko&event=5&cells=b,a", ["ko", "b,a", 5]),
        ("#ko", ["ko", "a,b", 1]),  # addresses of before go on working
        ("#two", ["en", "a,b", 1]),
        ("#lang=zh&event=2", ["zh", "a,b", 2]),
        ("#two?cells=b%2Ca", ["en", "b,a", 1]),
        ("#nowhere?lang=xx&event=0&cells=b", ["en", "a,b", 1]),
        ("#two?event=10&lang&char=&=", ["en", "a,b", 1]),
        ("#two?event=-1&unit=1e3&char=NaN", ["en", "a,b", 1]),
        ("#%E0%A4%A?lang=%", ["en", "a,b", 1]),
        ("#__proto__?constructor=1&__proto__=2", ["en", "a,b", 1]),
        ("#<img src=x onerror=alert(1)>?lang=<b>&cells=<i onclick=alert(2)>", ["en", "a,b", 1]),
    ],
)
def test_the_address_says_what_is_shown(file: Path, tab: Any, hash: str, found: list[Any]) -> None:
    tab.goto(file.as_uri() + hash)
    assert tab.locator("img, i, b:not(#shown), [onclick], [onerror]").count() == 0
    assert state(tab) == found
    if hash.startswith("#two"):
        assert abs(tab.evaluate("two.getBoundingClientRect().top")) < 100
    tab.reload()
    assert state(tab) == found


def test_what_the_reader_changes_is_written_and_history_stays_short(file: Path, tab: Any) -> None:
    tab.goto(file.as_uri())
    entries = tab.evaluate("history.length")
    assert tab.evaluate("location.hash") == ""
    tab.click("label[for=language-ko]")
    address(tab, "#lang=ko")
    tab.evaluate("for (let k = 0; k < 300; k += 1) pick(k % 2 ? 'b,a' : 'b,b')")
    address(tab, "#lang=ko&cells=b,a")
    tab.evaluate("two.scrollIntoView({ behavior: 'instant' })")
    address(tab, "#two?lang=ko&cells=b,a")
    tab.evaluate("scrollTo({ top: 0, behavior: 'instant' }); pick('a,b')")
    tab.click("label[for=language-en]")
    address(tab, "")
    assert tab.evaluate("history.length") == entries


def test_back_and_forward_bring_back_what_was_shown(file: Path, tab: Any) -> None:
    tab.goto(file.as_uri())
    tab.click("nav.contents a >> text=two")
    address(tab, "#two")
    tab.evaluate("pick('b,b')")
    address(tab, "#two?cells=b,b")
    tab.evaluate("location.hash = 'extra'")
    address(tab, "#extra?cells=b,b")  # a link within the page keeps what is shown
    assert tab.is_visible("#extra") and not tab.is_visible("#one")
    tab.evaluate("location.hash = 'two?lang=zh&event=4'")
    address(tab, "#two?lang=zh&event=4&cells=b,b")
    tab.go_back()
    address(tab, "#extra?cells=b,b")
    assert state(tab) == ["en", "b,b", 1] and tab.is_visible("#extra")
    tab.go_forward()
    address(tab, "#two?lang=zh&event=4&cells=b,b")
    assert state(tab) == ["zh", "b,b", 4] and not tab.is_visible("#extra")
    for _ in range(3):
        tab.go_back()
    address(tab, "")
    assert state(tab) == ["en", "a,b", 1]


def test_an_address_of_a_figure_stays_until_the_reader_goes_on(file: Path, tab: Any) -> None:
    tab.goto(f"{file.as_uri()}#figure-two")
    tab.evaluate("pick('b,a')")
    address(tab, "#figure-two?cells=b,a")
    tab.evaluate("scrollTo({ top: 0, behavior: 'instant' })")
    address(tab, "#cells=b,a")


@pytest.mark.parametrize("allowed", [True, False])
def test_links_are_copied_or_shown(file: Path, chromium: Any, allowed: bool) -> None:
    context = chromium.new_context(viewport={"width": 1000, "height": 700})
    if allowed:
        context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab = context.new_page()
    tab.goto(f"{file.as_uri()}#one?lang=ko&cells=b,a")
    if not allowed:
        tab.evaluate(
            "navigator.clipboard.writeText = () => Promise.reject(); "
            "document.execCommand = () => false"
        )
    said = languages.texts("ko", "sharing")
    tab.click("#two > .takeaway .take.link")
    link = f"{file.as_uri()}#two?lang=ko&cells=b,a"
    told = tab.locator("#two > .takeaway .said")
    if allowed:
        told.filter(has_text=said["link_copied"]).wait_for()
        assert tab.evaluate("navigator.clipboard.readText()") == link
        tab.locator("#figure-one .take.part").click()
        tab.locator("#figure-one [data-form=embed]").click()
        tab.locator("#figure-one .said").filter(has_text=said["embed_copied"]).wait_for()
        frame = tab.evaluate("navigator.clipboard.readText()")
        found = re.fullmatch(r'<iframe src="(\S+)" title="([^"]*)" [^<>]*></iframe>', frame)
        assert found and '"' not in found[2].replace("&#34;", "") and "one" in found[2]
        around = file.with_name("around.html")
        around.write_text(f"<!doctype html><title>around</title>{frame}", encoding="utf-8")
        tab.goto(around.as_uri())
        inside = tab.frame_locator("iframe")
        inside.locator("#figure-one").wait_for()
        assert not inside.locator("#two").is_visible()
    else:
        told.filter(has_text=said["selected"]).wait_for()
        assert tab.input_value("#two > .takeaway textarea") == link
    context.close()


def test_one_part_stands_alone(file: Path, tab: Any) -> None:
    tab.goto(f"{file.as_uri()}#embed=part-pair&lang=zh&cells=b,a")
    assert tab.is_visible("#shown") and state(tab)[:2] == ["zh", "b,a"]
    assert not tab.is_visible("h1") and not tab.is_visible("#one")
    tab.evaluate("pick('b,b')")
    address(tab, "#embed=part-pair&lang=zh&cells=b,b")
    tab.evaluate("document.querySelector('.origin a').removeAttribute('target')")
    tab.click(".origin a")
    tab.wait_for_selector("h1", state="visible")
    assert state(tab)[:2] == ["zh", "b,b"]
    tab.goto("about:blank")
    tab.goto(f"{file.as_uri()}#embed=<b>no</b>")
    assert languages.texts("en", "sharing")["none"] in tab.inner_text("main.place")


@pytest.mark.parametrize("refused", [False, True])
def test_colours_are_chosen_and_kept(file: Path, chromium: Any, refused: bool) -> None:
    context = chromium.new_context(color_scheme="light")
    if refused:
        context.add_init_script(
            "Object.defineProperty(window, 'localStorage', { get() { throw new Error('no'); } })"
        )
    tab = context.new_page()
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto(file.as_uri())
    paper = "getComputedStyle(document.body).backgroundColor"
    light = tab.evaluate(paper)
    for _ in range(2):
        tab.click(".switch .theme")
    dark = tab.evaluate(paper)
    assert dark != light and "dark" in tab.get_attribute(".switch .theme", "aria-label")
    tab.emulate_media(media="print")
    assert tab.evaluate(paper) == light
    tab.emulate_media(media="screen")
    tab.reload(wait_until="commit")
    tab.wait_for_selector("#shown")
    assert tab.evaluate(paper) == (light if refused else dark)
    if not refused:
        tab.emulate_media(color_scheme="dark")
        tab.click(".switch .theme")  # as the system
        assert tab.evaluate(paper) == dark
        tab.click(".switch .theme")  # light, whatever the system has
        assert tab.evaluate(paper) == light
    assert errors == []
    context.close()


def test_contents_tell_where_one_is_and_what_was_read(file: Path, tab: Any) -> None:
    tab.goto(file.as_uri())
    current = "[...document.querySelectorAll('nav.contents [aria-current]')].map(a => a.hash)"
    assert tab.evaluate(current) == []
    tab.evaluate("scrollTo({ top: two.offsetTop - 500, behavior: 'instant' })")
    until(tab, current, ["#one"])
    tab.wait_for_selector("nav.contents a.read")
    assert tab.locator("nav.contents a.read").evaluate_all("l => l.map(a => a.hash)") == ["#one"]
    tab.click(".switch .menu")
    menu = tab.locator("#contents-menu")
    assert menu.is_visible() and "(read)" in menu.locator("a.read").inner_text()
    menu.locator("text=extra").click()
    assert tab.is_visible("#extra") and not menu.is_visible()
