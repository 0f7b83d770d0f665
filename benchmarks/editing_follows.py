"""How soon the page of `lesson --edit` shows what follows from a save.

    python benchmarks/editing_follows.py [CELL …]

For each built-in cell named, each save changes an equation's text, so that nothing is kept from
the last one. Printed are the medians of the seconds from a save to each reading but the checks, by
the clock; a page waits a third of a second more, for the end of the typing.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

from lesson.editing.child import Order
from lesson.editing.first_listing import listing
from lesson.editing.readings import NAMES
from lesson.editing.runs import Message, Run, context
from tinygrad_lstm import cells

SAVES = 7


def main(names: list[str]) -> None:
    """Measure and print."""
    within = context()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "edited.py")
        _run(path, listing(cells.rnn), within)  # the first waits until all is imported
        for name in names or ["lstm", "gru", "rnn"]:
            found = defaultdict[str, list[float]](list)
            for k in range(SAVES):
                text = listing(cells.all()[name]).replace("now.h = ", f"now.h = (1 + {k / 64}) * ")
                for reading, seconds in _run(path, text, within).items():
                    found[reading].append(seconds)
            print(f"{name} (load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)")
            for reading, several in found.items():
                print(f"  {reading:10} {statistics.median(several):6.2f} s")


def _run(path: Path, text: str, within: object) -> dict[str, float]:
    path.write_text(text, encoding="utf-8")
    found: dict[str, float] = {}
    begun = time.perf_counter()

    enough = threading.Event()

    def tell(message: Message) -> None:
        if "reading" in message:
            found[message["reading"]] = time.perf_counter() - begun
        if message.get("reading") == NAMES[-2] or "error" in message:
            enough.set()

    run = Run(Order(path, text, ""), tell, within)
    enough.wait()
    run.stop()
    run.join()
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
