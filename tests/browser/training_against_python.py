"""A minute of training in the page against the same steps in Python, and how the page answers.

    python tests/browser/training_against_python.py build/lesson.html [SECONDS [CELL …]]

For each cell: how many steps Chromium does, what a letter costs then (the last hundred steps, and
the held-out end), what the same steps reach in Python, and the page's longest task while it learns,
at full speed and at a quarter of it. Tasks are told by time that passed and by time of the
processor, which other work on the machine does not lengthen. Ends with 1 where a cost is farther
off than 0.02 bits.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from page_measures import chromium, page

from lesson.parts import training
from lesson.parts.training import plans
from tinygrad_lstm import cells

CLOSE, LAST = 0.02, 100
PART = "document.querySelector('.training').training"


def trained(browser: Any, file: Path, cell: str, seconds: float) -> tuple[Any, str]:
    """What a reader has who trains a cell for some seconds, and the text it learned from."""
    with page(browser, file) as (tab, said):
        part = tab.locator(".training")
        part.scroll_into_view_if_needed()
        part.locator(".hands:not([hidden])").first.wait_for()
        part.locator(".hands select").first.select_option(cell)
        tab.wait_for_function(f"() => {PART}.seen?.names")
        go = part.locator(".hands button").first
        go.click()
        tab.wait_for_timeout(1000 * seconds)
        go.click()
        tab.wait_for_function(f"() => {PART}.unseen.at(-1)?.[0] === {PART}.seen.steps")
        tab.wait_for_function(f"() => !{PART}.seen.running")
        found = tab.evaluate(
            f"() => ({{ steps: {PART}.seen.steps, curve: {PART}.curve, unseen: {PART}.unseen }})"
        )
        text = part.locator("textarea").input_value()
    assert said == [], said
    return found, text


def in_python(name: str, text: str, steps: int) -> tuple[list[float], float]:
    """The same steps: what each batch cost, and the held-out end after them."""
    cell, ids = cells.all()[name], training.numbers(text)
    read = training.learned(ids)
    kept, given = ids[len(read) :], plans.further(cell).inputs
    learner = training.learner(cell)
    costs = list(itertools.islice(training.costs(learner, read, given), steps))
    tiled = {
        n: np.resize(v, (len(kept) - 1, *v.shape[1:])) if n in cell.sequences else v
        for n, v in given.items()
    }
    unseen = learner.loss(kept[:-1, None], kept[1:, None], further=tiled) / np.log(2)
    return costs, float(unseen)


def tasks(browser: Any, file: Path, slower: int, seconds: float = 10) -> tuple[float, float]:
    """The page's longest task while it trains, in ms: by the clock, and of the processor."""
    with page(browser, file) as (tab, said):
        part = tab.locator(".training")
        part.scroll_into_view_if_needed()
        part.locator(".said:not(:empty)").wait_for()
        session = tab.context.new_cdp_session(tab)
        session.send("Emulation.setCPUThrottlingRate", {"rate": slower})
        browser.start_tracing(page=tab, categories=["toplevel", "__metadata"])
        part.locator(".hands button").first.click()
        tab.wait_for_timeout(1000 * seconds)
        events = json.loads(browser.stop_tracing())["traceEvents"]
    assert said == [], said
    main = {e["tid"] for e in events if e.get("args", {}).get("name") == "CrRendererMain"}
    known = [e for e in events if e["tid"] in main and e["name"].endswith("RunTask")]
    return tuple(max(e.get(key, 0) for e in known) / 1000 for key in ("dur", "tdur"))


def main() -> int:
    file = Path(sys.argv[1] if len(sys.argv) > 1 else "build/lesson.html")
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 60.0
    worst = 0.0
    with chromium() as browser:
        for name in sys.argv[3:] or ["lstm"]:
            found, text = trained(browser, file, name, seconds)
            costs, unseen = in_python(name, text, found["steps"])
            ends = [(step, bits) for step, bits in found["curve"] if step > found["steps"] - LAST]
            here = np.mean([bits for _, bits in ends])
            there = np.mean([np.mean(costs[step - training.EVERY : step]) for step, _ in ends])
            held = found["unseen"][-1][1]
            worst = max(worst, abs(here - there), abs(held - unseen))
            print(f"{name}: {found['steps']} steps in {seconds:g} s", flush=True)
            print(f"  the last {LAST}   page {here:.4f}   Python {there:.4f} bits a letter")
            print(f"  held-out end   page {held:.4f}   Python {unseen:.4f}", flush=True)
        for slower in (1, 4):
            clock, processor = tasks(browser, file, slower)
            print(f"longest task at 1/{slower} speed: {clock:.0f} ms, {processor:.0f} of processor")
    return int(worst > CLOSE)


if __name__ == "__main__":
    sys.exit(main())
