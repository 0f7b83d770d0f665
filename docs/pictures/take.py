"""The README's three pictures of the lesson, from a page that `make lesson` built.

.venv/bin/python docs/pictures/take.py build/lesson.html
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

PATIENCE = 240_000  # milliseconds, for a busy machine
REST = 2_500  # until what comes near has been built
# in the stepper, back to where a gradient reaches C
STEPPER = """() => {
  const { stepper } = document.querySelector(".stepper");
  stepper.go(stepper.trace.find(stepper.trace.breakpoint("|grad C@6|>0"), -1));
}"""
SHOTS = {  # a picture: what is brought to the top, and the part of the window that is shown
    "reading": ("h1", None, (100, -20, 800, 590)),
    "step": ("#figure-step", None, (40, 0, 920, 570)),
    "stepper": (".stepper", STEPPER, (40, 0, 920, 760)),
}


def main(lesson: Path, folder: Path) -> None:
    """Write reading.png, step.png and stepper.png to `folder`."""
    with sync_playwright() as driver:
        found = shutil.which("chromium") or shutil.which("google-chrome")
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        tab = browser.new_page(
            viewport={"width": 1000, "height": 800}, color_scheme="light", reduced_motion="reduce"
        )
        tab.set_default_timeout(PATIENCE)
        tab.goto(lesson.resolve().as_uri(), wait_until="domcontentloaded")
        tab.evaluate("document.querySelector('.switch').style.display = 'none'")
        for name, (first, script, (x, y, width, height)) in SHOTS.items():
            tab.evaluate(f"document.querySelector('{first}').scrollIntoView()")
            tab.wait_for_timeout(REST)
            if script:
                tab.evaluate(script)
            top = tab.locator(first).first.bounding_box() or {"y": 0.0}
            clip = {"x": x, "y": max(0.0, top["y"] + y), "width": width, "height": height}
            tab.screenshot(path=folder / f"{name}.png", clip=clip)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).parent)
