"""`tinygrad-lstm lesson`: train on real text, build the lesson page and open it."""

from __future__ import annotations

import argparse
import os
import sys
import webbrowser
from collections.abc import Callable, Mapping
from pathlib import Path

from tqdm import tqdm

from lesson import cell_options, classroom_options, languages
from tinygrad_lstm.cell_files import find, parts
from tinygrad_lstm.errors import DataError
from tinygrad_lstm.learning import Progress, read_text, shakespeare

SECONDS, QUICK = 75.0, 8.0  # of training


def arguments(parser: argparse.ArgumentParser) -> None:
    """What it is about, where to write, how long to train, on what, whether to follow a file."""
    parser.add_argument(
        "--cell",
        default="lstm",
        metavar="CELL",
        help="what the lesson is about: a name, or path/to/file.py:NAME (default: %(default)s)",
    )
    cell_options.add_start(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("build/lesson.html"),
        metavar="FILE",
        help="the page to write (default: %(default)s)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        metavar="S",
        help=f"seconds of training in all (default: {SECONDS:g}, with --watch {QUICK:g}); "
        "checkpoints beside the page keep what was learned, so a second build does not train again",
    )
    parser.add_argument("--text", type=Path, metavar="FILE", help="train on this text file")
    parser.add_argument(
        "--language",
        default=languages.DEFAULT,
        metavar="CODE",
        help=f"in which the page opens: {', '.join(languages.languages())}; it holds all of them "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--address",
        metavar="URL",
        help="where on the web the page will stand: where its address is sent, it is shown with a "
        "picture, which is written beside the page",
    )
    parser.add_argument("--no-open", action="store_true", help="do not open a browser")
    parser.add_argument(
        "--watch",
        action="store_true",
        help="serve the page to this machine, and build it anew when a file is saved; Ctrl-C ends",
    )
    parser.add_argument(
        "--edit",
        action="store_true",
        help="edit the cell's file in the browser, beside its equations, figures, derivatives, "
        "steps and checks, which follow what is typed; of a built-in cell a copy, NAME.py in this "
        "folder, is edited. Nothing is trained. Ctrl-C ends",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=0,
        metavar="N",
        help="where --watch and --edit serve (default: one that is free)",
    )
    classroom_options.add(parser)


def run(options: argparse.Namespace) -> int:
    """Build the lesson."""

    if classroom_options.asked(options):
        return classroom_options.write(options)
    languages.check_language(options.language)
    if options.edit:
        return _edit(options)
    if options.seconds is None:
        options.seconds = QUICK if options.watch else SECONDS
    if not 0 < options.seconds < float("inf"):
        raise DataError(f"--seconds must be more than 0, got {options.seconds:g}.")
    if options.watch:
        return _watch(options)
    path = _built(options)
    print(f"The lesson is at {path.resolve()}")
    if not options.no_open and _has_browser():
        webbrowser.open(path.resolve().as_uri())
    return 0


def _edit(options: argparse.Namespace) -> int:
    """Serve the page that edits the cell's file, which a built-in cell gets first."""
    from lesson import editing
    from lesson.editing.first_listing import begin

    if options.watch:
        raise DataError("--edit follows the file already; leave --watch out.")
    file, name = parts(options.cell)
    if file is None:
        file, written = begin(find(options.cell), Path.cwd())
        said = (
            "is new: a copy of the built-in cell" if written else "was there already, and is kept"
        )
        print(f"{file.name} {said}.", flush=True)

    def started(address: str) -> None:
        print(
            f"Edit {file} at\n  {address}\nWhoever has this address can. Ctrl-C ends.", flush=True
        )
        if not options.no_open and _has_browser():
            webbrowser.open(address)

    try:
        editing.serve(file, name, options.language, options.port, started)
    except KeyboardInterrupt:
        print("\nThe editing has ended.")
    return 0


def _watch(options: argparse.Namespace) -> int:
    """Serve the lesson, built anew when the cell's file, the text or a file of ours changes."""
    from lesson import building, watching

    building.check_writable(options.output)
    file, _ = parts(options.cell)
    ours = Path(building.__file__).parent

    def files() -> list[Path]:
        own = (p for p in ours.rglob("*.*") if p.suffix in (".html", ".css", ".js", ".toml"))
        return [p for p in (file, options.text, *own) if p]

    def make(check: watching.Check) -> str:
        def still(progress: Progress) -> None:
            check()

        path = _built(options, still)
        print(f"built {path}", flush=True)
        return path.read_text(encoding="utf-8")

    def started(address: str) -> None:
        print(f"The lesson is at {address} and follows {file or ours}. Ctrl-C ends.", flush=True)
        if not options.no_open and _has_browser():
            webbrowser.open(address)

    try:
        watching.watch(make, files, file, options.port, started)
    except KeyboardInterrupt:
        print("\nThe watching has ended.")
    return 0


def _built(options: argparse.Namespace, report: Callable[[Progress], object] | None = None) -> Path:
    """Build the page that the options ask for, with a bar for each training."""
    from lesson import building
    from lesson.models import check_suited

    cell = find(options.cell)
    check_suited(cell)
    start = cell_options.read_starts(options, cell)
    text = read_text(options.text) if options.text else shakespeare()
    print(f"Training on {text.name}, {len(text):,} characters.", flush=True)
    bars: dict[str, tqdm[None]] = {}

    def tell(name: str, progress: Progress) -> None:
        if name not in bars:
            _close(bars)
            of = " characters"
            bars[name] = tqdm(desc=name, unit=of, unit_scale=True, file=sys.stderr, mininterval=0.5)
        bars[name].set_postfix_str(f"{progress.bits:.2f} bits a character", refresh=False)
        bars[name].update(progress.characters)
        if report:
            report(progress)

    try:
        return building.build(
            options.output,
            options.seconds,
            text,
            options.output.parent,
            tell,
            cell,
            options.language,
            start,
            options.address,
        )
    finally:
        _close(bars)


def _close(bars: Mapping[str, tqdm[None]]) -> None:
    for bar in bars.values():
        bar.close()


def _has_browser() -> bool:
    """Whether there is a screen to open a browser on."""
    screen = sys.platform in ("win32", "darwin") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    return screen and not os.environ.get("CI")
