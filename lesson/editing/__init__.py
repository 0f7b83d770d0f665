"""A cell that is edited in the page: its file beside all that follows from it.

`serve` keeps one file on a page of this machine. What is typed there is written to the file, the
file is run in a process of its own, and the page shows what was read of its cell:

    CellFile -> Run (a process) -> Bench -> PageHandler -> the page

Nothing that a page sends is run: it is written to the file that the user named, if that is still
what the page last saw, and the file is run.
"""

from __future__ import annotations

import base64
import secrets
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from lesson import figures, languages, page
from lesson.building import FONT
from lesson.editing.bench import Bench
from lesson.editing.cell_file import CellFile
from lesson.editing.child import FILE, READING, Order
from lesson.editing.readings import NAMES
from lesson.editing.runs import Message, Run, context
from lesson.editing.site import PageHandler, Site
from lesson.page import asset
from lesson.parts import style
from lesson.prose import Texts
from lesson.serving import serving
from tinygrad_lstm.errors import CellError

INTERVAL, SETTLED = 0.1, 0.05  # seconds between looks at the file; after which a save is complete


def serve(
    path: Path,
    wanted: str = "",
    language: str = languages.DEFAULT,
    port: int = 0,
    started: Callable[[str], object] = print,
    stop: threading.Event | None = None,
    limits: tuple[float, float] = (FILE, READING),
) -> None:
    """Serve the page that edits a file, until `stop`, or Ctrl-C as KeyboardInterrupt.

    wanted: the cell to show, where the file has several. started: told the address, with the token
    that opens it. limits: seconds for the file to run, and for each reading of its cell. Raises
    CellError for what is no Python file of the user's, ServeError for a port that is taken.
    """
    check(path)
    file, bench, wake = CellFile(path), Bench(wanted), threading.Event()
    stop, token, begun = stop or threading.Event(), secrets.token_urlsafe(32), file.read()
    make = partial(_page, file, begun.text, language)
    site = Site(make, bench, file, wake.set, token)
    within, run, running = context(), None, None
    with serving(partial(PageHandler, site), port) as address:
        started(f"{address}?token={token}")
        try:
            while not stop.is_set():
                ours = wake.is_set()
                wake.clear()
                with file.lock:
                    held = file.read()
                    bench.hold(held)
                if (held, bench.wanted) == running:
                    wake.wait(INTERVAL)
                    continue
                if running and not ours:
                    stop.wait(SETTLED)  # an editor may write a file in several strokes
                    if file.read() != held:
                        continue
                if run:
                    run.stop()
                running = held, bench.wanted
                runs = not held.problem
                number = bench.begin(runs)
                if runs:
                    order = Order(file.path, held.text, bench.wanted, *limits)
                    run = Run(order, partial(_tell, bench, number, order), within)
        finally:
            if run:
                run.stop()
                run.join()


def check(path: Path) -> None:
    """CellError for a path that no file of the user's can be edited at."""
    if path.suffix != ".py":
        raise CellError(f"{path} is not a Python file (its name must end in .py).")
    if path.exists() and not path.is_file():
        raise CellError(f"{path} is not a file.")
    if not path.parent.is_dir():
        raise CellError(f"there is no folder {path.parent} for {path.name}.")


def _tell(bench: Bench, number: int, order: Order, message: Message) -> None:
    bench.tell(number, message, order)


def _page(file: CellFile, first: str, language: str, nonce: str) -> str:
    """The page, which asks for all that it shows."""
    return str(
        page.render(
            __name__,
            "edit.html",
            t=Texts("editing"),
            languages={
                tag: languages.language(tag).name
                for tag in sorted(languages.languages(), key=lambda tag: tag != language)
            },
            file=file.path,
            first=first,
            nonce=nonce,
            names=[name for name in NAMES if name != "further"],
            css=f"{figures.colours()}\n{style('checks')}\n{asset(__name__, 'edit.css')}",
            scripts=[
                asset("lesson.page", "base.js"),
                asset(__name__, "editor.js"),
                asset(__name__, "edit.js"),
            ],
            font=base64.b64encode(FONT.read_bytes()).decode(),
        )
    )
