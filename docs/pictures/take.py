"""The README's three pictures of the lesson, from a page that `make lesson` built.

.venv/bin/python docs/pictures/take.py build/lesson.html
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

PATIENCE = 240_000  # milliseconds, for a busy machine
# what a reader does before: in the stepper, back to where a gradient reaches C
STEPPER = """() => {
  const stepper = document.querySelector(".stepper").stepper;
  stepper.go(stepper.trace.find(stepper.trace.breakpoint("|grad C@6|>0"), -1));
}"""
PLACE = """e => {
  const box = e.getBoundingClientRect();
  return [box.top + scrollY, box.bottom + scrollY];
}"""


def main(lesson: Path, folder: Path) -> None:
    """Write reading.png, step.png and stepper.png to `folder`."""
    with sync_playwright() as driver:
        found = shutil.which("chromium") or shutil.which("google-chrome")
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        tab = browser.new_page(
            viewport={"width": 1000, "height": 1500}, color_scheme="light", reduced_motion="reduce"
        )
        tab.set_default_timeout(PATIENCE)
        tab.goto(lesson.resolve().as_uri(), wait_until="domcontentloaded")
        _between(tab, "h1", ".reading .guesses, [data-part=reading]", folder / "reading.png")
        tab.locator("#figure-step").scroll_into_view_if_needed()
        tab.wait_for_timeout(1000)
        _between(tab, "#figure-step", "#figure-step", folder / "step.png")
        tab.locator(".stepper").first.scroll_into_view_if_needed()
        tab.wait_for_function("document.querySelector('.stepper').stepper")
        tab.evaluate(STEPPER)
        _between(tab, ".stepper .place", ".stepper .card dd >> nth=2", folder / "stepper.png")
        browser.close()


def _between(tab: Page, first: str, last: str, path: Path) -> None:
    """The page from the top of one element to the bottom of another."""
    top, bottom = (
        tab.locator(f"{chosen} >> visible=true").first.evaluate(PLACE) for chosen in (first, last)
    )
    clip = {"x": 40, "y": top[0] - 10, "width": 920, "height": bottom[1] - top[0] + 20}
    tab.screenshot(path=path, clip=clip, full_page=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).parent)
