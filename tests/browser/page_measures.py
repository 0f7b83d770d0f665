"""What a built lesson page costs a reader and shows him, measured in Chromium.

    python tests/browser/page_measures.py build/lesson.html

prints everything, times too, also at a quarter of the processor's speed: the best of several
openings, since other work on the machine only makes them longer. What no other work can change is
tested in `test_page_measures.py` with the same functions.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

SCREEN = {"width": 1280, "height": 800}
OPENINGS = 5
MEASURES = Path(__file__).with_name("measures.js").read_text(encoding="utf-8")

# Tasks that hold the page up, and what moves by itself, from the first moment on.
WATCH = """
  window.tasks = [];
  window.shifts = 0;
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) window.tasks.push(Math.round(duration));
  }).observe({ type: "longtask", buffered: true });
  new PerformanceObserver((list) => {
    for (const { value, hadRecentInput } of list.getEntries()) {
      if (!hadRecentInput) window.shifts += value;
    }
  }).observe({ type: "layout-shift", buffered: true });
"""
TIMES = """() => {
  const [page] = performance.getEntriesByType("navigation");
  const [paint] = performance.getEntriesByName("first-contentful-paint");
  return [paint.startTime, page.domInteractive, page.domContentLoadedEventEnd];
}"""


@contextmanager
def chromium() -> Iterator[Any]:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def page(browser: Any, file: Path, **options: Any) -> Iterator[tuple[Any, list[str]]]:
    """The page in a tab of its own, and what it says or asks for."""
    context = browser.new_context(**{"viewport": SCREEN, **options})
    tab, said = context.new_page(), list[str]()
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda r: r.url.startswith("http") and said.append(r.url))
    tab.goto(file.resolve().as_uri())
    yield tab, said
    context.close()


def measured(name: str) -> str:
    """The function of `measures.js` of this name, to be evaluated in a page."""
    return f"(given) => {MEASURES.strip()}.{name}(given)"


def shown(tab: Any) -> Iterator[str]:
    """Each appendix, while it is open, and first the lesson itself: "" and their names."""
    tab.evaluate(measured("whole"))
    tab.evaluate("location.hash = document.querySelector('main > .chapter').id")
    tab.wait_for_selector("html:not(.in-appendix)")
    tab.locator(".training").scroll_into_view_if_needed()  # it draws its chart when it is near
    tab.wait_for_selector(".training .hands select")
    yield ""
    for name in tab.evaluate("[...document.querySelectorAll('main > .appendix')].map(e => e.id)"):
        tab.evaluate(f"location.hash = '{name}'")
        tab.wait_for_selector(f"#{name}.open")
        yield str(name)


def everywhere(tab: Any, name: str, *given: Any) -> list[str]:
    """What is found in the lesson and in every appendix."""
    return [found for _ in shown(tab) for found in tab.evaluate(measured(name), *given)]


def screens(tab: Any) -> float:
    """How many screens there are to read, without the appendices."""
    tab.evaluate(measured("whole"))
    return sum(height for _, height in tab.evaluate(measured("heights"))) / float(SCREEN["height"])


def moves(tab: Any, parts: str = "[data-part]") -> dict[str, float]:
    """How far, in px, using a control moves what stands below its part."""
    found = {}
    for name in shown(tab):
        root = f"#{name}" if name else "main > .chapter, header"
        for part in tab.query_selector_all(f":is({root}) :is({parts})"):
            for control, by in part.evaluate(measured("use")).items():
                found[f"{part.get_attribute('data-part')}: {control}"] = by
    return found


def times(browser: Any, file: Path, slower: int) -> dict[str, float]:
    """First paint, interactive, scripts run (ms); the longest task until a second after."""
    found: dict[str, float] = {}
    for _ in range(OPENINGS):
        context = browser.new_context(viewport=SCREEN)
        tab = context.new_page()
        session = context.new_cdp_session(tab)
        session.send("Emulation.setCPUThrottlingRate", {"rate": slower})
        tab.add_init_script(WATCH)
        tab.goto(file.resolve().as_uri())
        tab.wait_for_timeout(1500 * slower)
        names = ("first paint", "interactive", "scripts have run")
        now = dict(zip(names, tab.evaluate(TIMES), strict=True))
        now["longest task"] = max([0, *tab.evaluate("window.tasks")])
        found = {name: min(value, found.get(name, value)) for name, value in now.items()}
        context.close()
    return found


def longest(tab: Any, act: Callable[[], object]) -> float:
    """The longest task, in ms, while something is done; 50 or less are not seen: 0."""
    tab.evaluate("() => { window.tasks.length = 0; }")
    act()
    return float(tab.evaluate("Math.max(0, ...window.tasks)"))


def pages_on_paper(tab: Any) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", tab.pdf(format="A4")))


def learn(tab: Any, seconds: float) -> None:
    """A network learns live for some seconds."""
    part = tab.locator(".training")
    part.scroll_into_view_if_needed()
    part.locator(".hands button").first.click()
    tab.wait_for_timeout(1000 * seconds)
    part.locator(".hands button").first.click()


def scroll_through(tab: Any) -> None:
    height = tab.evaluate("document.documentElement.scrollHeight")
    for y in range(0, int(height), 600):
        tab.evaluate(f"scrollTo({{ top: {y}, behavior: 'instant' }})")
        tab.wait_for_timeout(60)


def main() -> None:
    file = Path(sys.argv[1] if len(sys.argv) > 1 else "build/lesson.html")

    def tell(what: str, value: object) -> None:
        print(f"{what:<44} {value}", flush=True)

    tell("size", f"{file.stat().st_size:,} bytes")
    with chromium() as browser:
        for slower in (1, 4):
            for what, value in times(browser, file, slower).items():
                tell(f"at 1/{slower} speed: {what}", f"{value:.0f} ms")
        with page(browser, file) as (tab, said):
            tell("elements", tab.evaluate("document.querySelectorAll('*').length"))
            tell("screens", f"{screens(tab):.1f}  {dict(tab.evaluate(measured('heights')))}")
            tell("pages on paper", pages_on_paper(tab))
            tell("said or asked", said)
        with page(browser, file) as (tab, said):
            tab.evaluate(WATCH)
            tab.wait_for_timeout(3000)
            tell("longest task while scrolled through", longest(tab, lambda: scroll_through(tab)))
            tell("shifts while scrolled through", f"{tab.evaluate('window.shifts'):.4f}")
            for label in tab.locator(".languages label").all()[::-1]:
                tell(f"longest task at {label.inner_text()}", longest(tab, label.click))
            tell("longest task in 10 s of training", longest(tab, lambda: learn(tab, 10)))
            tell("said or asked", said)
        with page(browser, file, reduced_motion="reduce") as (tab, said):
            tell("moved by", {k: round(v) for k, v in moves(tab).items() if v > 5})
            tell("said or asked", said)
        for width in (360, 768, 1280):
            with page(browser, file, viewport={"width": width, "height": 800}) as (tab, _):
                tell(f"small text at {width} px", everywhere(tab, "small", 11))
                tell(f"clipped at {width} px", everywhere(tab, "clipped"))


if __name__ == "__main__":
    main()
