"""What a built lesson page costs a reader, measured in Chromium; a table, no test.

    python benchmarks/page_in_browser.py build/lesson.html

First paint and time to interactive, also at a quarter of the processor's speed; how long the
longest task is while a network is trained live; how far what lies below moves while the first
screen is used.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

TASKS = """
  window.longest = 0;
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) {
      window.longest = Math.max(window.longest, duration);
    }
  }).observe({ type: "longtask", buffered: false });
"""
TIMES = """() => {
  const [page] = performance.getEntriesByType("navigation");
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  return [paint.startTime, page.domInteractive, page.domContentLoadedEventEnd];
}"""


def opened(browser: Any, path: Path, slower: int = 1) -> tuple[Any, list[str]]:
    """The page in a tab of its own, and what it says or asks for."""
    tab, said = browser.new_page(viewport={"width": 1280, "height": 800}), list[str]()
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda r: r.url.startswith("http") and said.append(r.url))
    session = tab.context.new_cdp_session(tab)
    session.send("Emulation.setCPUThrottlingRate", {"rate": slower})
    tab.goto(path.resolve().as_uri())
    tab.wait_for_timeout(1500)
    return tab, said


def main() -> None:
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "build/lesson.html")
    found = shutil.which("chromium") or shutil.which("google-chrome")
    print(f"size                              {path.stat().st_size:>10,} bytes")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        for slower in (1, 4):
            tab, said = opened(browser, path, slower)
            paint, interactive, loaded = tab.evaluate(TIMES)
            print(f"at 1/{slower} speed: first paint         {paint:>10.0f} ms")
            print(f"              interactive         {interactive:>10.0f} ms")
            print(f"              scripts have run    {loaded:>10.0f} ms")
            print(f"              console, requests   {len(said):>10}")
            tab.close()
        tab, said = opened(browser, path)
        tab.evaluate(TASKS)
        part = tab.locator(".training")
        part.scroll_into_view_if_needed()
        tab.wait_for_timeout(1500)
        tab.evaluate("() => { window.longest = 0; }")
        part.locator(".hands button").first.click()
        tab.wait_for_timeout(10_000)
        part.locator(".hands button").first.click()
        print(f"longest task in 10 s of training  {tab.evaluate('window.longest'):>10.0f} ms")
        print(f"  {part.locator('.said').inner_text()}")
        top = "document.querySelector('header nav').getBoundingClientRect().top + scrollY"
        before, moved = tab.evaluate(top), 0.0
        for act in (
            lambda: tab.locator("#reading-text").fill("To be, or not to be"),
            lambda: tab.locator("button[data-text=off]").click(),
            lambda: tab.locator("button[data-text=write]").click(),
            lambda: tab.wait_for_timeout(4000),
            lambda: tab.locator("button[data-text=another]").click(),
        ):
            act()
            moved = max(moved, abs(tab.evaluate(top) - before))
        print(f"what lies below the first screen moves {moved:>5.1f} px")
        print(f"said or asked: {said}")
        browser.close()


if __name__ == "__main__":
    main()
