"""`tinygrad-lstm lesson`: train, build the page, say where it is and open it."""

from __future__ import annotations

import argparse
import os
import sys
import webbrowser
from pathlib import Path

from tqdm import tqdm

from tinygrad_lstm.learning import Progress, read_text, shakespeare


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where to write, how long to train, on what."""
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("build/lesson.html"), metavar="FILE",
        help="the page to write (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--seconds", type=float, default=75.0, metavar="S",
        help="seconds of training in all (default: %(default)g); checkpoints beside the page keep "
        "what was learned, so a second build does not train again",
    )  # fmt: skip
    parser.add_argument("--text", type=Path, metavar="FILE", help="train on this text file")
    parser.add_argument("--no-open", action="store_true", help="do not open a browser")


def run(options: argparse.Namespace) -> int:
    """Build the lesson."""
    from lesson.building import build

    text = read_text(options.text) if options.text else shakespeare()
    print(f"Training on {text.name}, {len(text):,} characters.", flush=True)
    bar = _Bar()
    try:
        path = build(options.output, options.seconds, text, options.output.parent, bar)
    finally:
        bar.close()
    print(f"The lesson is at {path.resolve()}")
    if not options.no_open and _has_browser():
        webbrowser.open(path.resolve().as_uri())
    return 0


class _Bar:
    """A progress bar for each cell in training."""

    def __init__(self) -> None:
        self._bar: tqdm[None] | None = None
        self._name = ""

    def __call__(self, name: str, progress: Progress) -> None:
        if self._bar is None or name != self._name:
            self.close()
            self._name = name
            self._bar = tqdm(
                desc=name, unit=" characters", unit_scale=True, file=sys.stderr, mininterval=0.5
            )
        self._bar.set_postfix_str(f"{progress.bits:.2f} bits a character", refresh=False)
        self._bar.update(progress.characters)

    def close(self) -> None:
        """End the current bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _has_browser() -> bool:
    """Whether there is a screen to open a browser on."""
    if sys.platform in ("win32", "darwin"):
        return not os.environ.get("CI")
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
