"""The README's three pictures of the lesson, from a page that `make lesson` built.

.venv/bin/python docs/pictures/take.py build/lesson.html
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

# what is shown, and what a reader does before
STEPPER = """() => {
  const stepper = document.querySelector(".stepper").stepper;
  stepper.go(stepper.trace.find(stepper.trace.breakpoint("|grad C@6|>0"), -1));
}"""

PLACE = """e => {
  const box = e.getBoundingClientRect();
  return [box.top + scrollY, box.bottom + scrollY];
}"""


def main(lesson: Path, folder: Path) -> None:
    """Write stepper.png, stage.png and heatmap.png to `folder`."""
    with sync_playwright() as driver:
        found = shutil.which("chromium") or shutil.which("google-chrome")
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        tab = browser.new_page(
            viewport={"width": 1000, "height": 1500}, color_scheme="light", reduced_motion="reduce"
        )
        tab.goto(lesson.resolve().as_uri())
        tab.evaluate("document.querySelector('.switch').remove()")
        tab.evaluate(STEPPER)
        _between(tab, ".stepper .place", ".stepper .card dd >> nth=2", folder / "stepper.png")
        tab.evaluate("document.querySelector('.picker').style.position = 'static'")
        _between(tab, "#figure-back_f", '[data-stage="f"][data-pass="backward"]',
                 folder / "stage.png")  # fmt: skip
        tab.locator(".heatmap [role=gridcell]").first.focus()
        for key in 19 * ["ArrowRight"]:
            tab.keyboard.press(key)
        _between(tab, ".heatmap .controls", ".heatmap .readout", folder / "heatmap.png")
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
