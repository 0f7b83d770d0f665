"""A lesson that is rebuilt whenever a file is saved, served to this machine alone."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import traceback
from collections.abc import Callable, Iterable
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

from markupsafe import Markup

from lesson import prose
from lesson.page import asset
from lesson.serving import Handler, serving
from tinygrad_lstm.errors import TinygradError

POLICY = "default-src 'none';"
SETTLED = 0.05  # seconds without a change after which a save is complete
Check = Callable[[], None]


class Saved(Exception):
    """A file was saved while the lesson was being built from it: begin again."""


class Site:
    """The page that browsers are to show, its version, and whether a newer one is in the making."""

    def __init__(self) -> None:
        self._lesson = ""  # the last that could be built
        self._show(_page(_all("waiting")))

    def done(self, lesson: str) -> None:
        """Show a lesson."""
        self._lesson = lesson
        self._show(lesson)

    def failed(self, message: str) -> None:
        """Show what is wrong, above the last lesson that could be built."""
        words = prose.Texts("watch").line("broken") if self._lesson else _all("unbuilt")
        told = Markup('<aside class="watch-error" role="alert"><p>{}</p><pre>{}</pre></aside>')
        page = self._lesson or _page(Markup(""))
        banner = str(told.format(words, message))
        self._show(re.sub("<body[^>]*>", lambda body: body[0] + banner, page, count=1))

    def news(self) -> bytes:
        """What an open page asks for, to find out whether there is a newer one."""
        return json.dumps({"version": self.version, "building": self.building}).encode()

    def _show(self, page: str) -> None:
        self.version = hashlib.sha256(page.encode()).hexdigest()[:16]
        self.page, self.building = _following(page, self.version), False


def _all(key: str) -> Markup:
    """A text in every language, for a page that has no switch."""
    words = prose.Texts("watch").plain(key)
    return Markup("").join(Markup('<p lang="{}">{}</p>').format(x, w) for x, w in words.items())


def _page(content: Markup) -> str:
    """A page for the time when there is no lesson yet."""
    return asset("lesson.page", "watch.html").replace("{{content}}", content)


def _following(page: str, version: str) -> bytes:
    """A page as it is served: it asks this server, and this server alone, for news."""
    t = prose.Texts("watch")
    style, script = (asset("lesson.page", f"watch.{kind}") for kind in ("css", "js"))
    note = Markup('<p class="watch-note" role="status" data-note="{}" hidden>{}</p>')
    notes = Markup("").join(note.format(name, t.line(name)) for name in ("rebuilding", "gone"))
    page = page.replace(POLICY, f"{POLICY} connect-src 'self';", 1)
    head = f'<link rel="icon" href="data:,"><style>{style}</style></head>'
    before, end, after = page.replace("</head>", head, 1).rpartition("</body>")
    script = f'<script data-version="{version}">{script}</script>'
    return f"{before}{notes}{script}{end}{after}".encode()


class _Handler(Handler):
    """Answers GET / with the page and GET /version with the news of it; nothing else is served."""

    def __init__(self, site: Site, *args: Any) -> None:
        self.site = site
        super().__init__(*args)

    def do_GET(self) -> None:
        """The page, or whether there is a newer one."""
        if self.path == "/":
            self.answer("text/html; charset=utf-8", self.site.page)
        elif self.path == "/version":
            self.answer("application/json", self.site.news())
        else:
            self.send_error(HTTPStatus.NOT_FOUND)


def watch(
    make: Callable[[Check], str],
    files: Callable[[], Iterable[Path]],
    cell_file: Path | None = None,
    port: int = 0,
    started: Callable[[str], object] = print,
    stop: threading.Event | None = None,
    interval: float = 0.25,
) -> None:
    """Build a lesson with `make`, serve it, and build it anew when one of `files` changes.

    make is given a function to call now and then, which raises Saved when what it makes is
    outdated. An error is shown on the page, with its line where it lies in `cell_file`, until the
    next save. started: told the address. Ends with `stop`, or with Ctrl-C as KeyboardInterrupt.
    """
    stop = stop or threading.Event()
    site, built = Site(), None
    with serving(partial(_Handler, site), port) as address:
        started(address)
        while not stop.is_set():
            state = _state(files())
            if state == built:
                stop.wait(interval)
                continue
            if built is not None:
                stop.wait(SETTLED)  # an editor may write a file in several strokes
                if _state(files()) != state:
                    continue

            def check(state: object = state) -> None:
                if stop.is_set() or _state(files()) != state:
                    raise Saved

            if built is not None:
                site.building = True
            try:
                site.done(make(check))
            except Saved:
                continue
            except TinygradError as error:
                site.failed(explained(error, cell_file))
            except Exception as error:  # a mistake of ours must not end the watching
                traceback.print_exc()
                site.failed(explained(error, cell_file))
            built = state


def _state(files: Iterable[Path]) -> dict[Path, tuple[int, int] | None]:
    """When each file was changed last, and its size; None where it is missing."""
    found: dict[Path, tuple[int, int] | None] = {}
    for path in files:
        try:
            told = path.stat()
        except OSError:
            found[path] = None
        else:
            found[path] = told.st_mtime_ns, told.st_size
    return found


def explained(error: Exception, path: Path | None) -> str:
    """An error's message, and the lines of a cell file around the one it comes from."""
    message = str(error) if isinstance(error, TinygradError) else f"{type(error).__name__}: {error}"
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path else []
    except (OSError, UnicodeDecodeError):
        lines = []
    at = line_of(error, path, lines) if path and lines else None
    if at is None:
        return message
    near = range(max(1, at - 2), min(len(lines), at + 2) + 1)
    shown = [f"{'→' if k == at else ' '} {k:4}  {lines[k - 1]}" for k in near]
    return "\n".join([message, "", *shown])


def line_of(error: BaseException | None, path: Path, lines: list[str]) -> int | None:
    """The line of a file that an error comes from: the deepest one, or where its cell begins."""
    whole, message, found = str(path.resolve()), str(error), None
    while error is not None:
        for frame in traceback.extract_tb(error.__traceback__):
            found = frame.lineno if frame.filename == whole else found
        if isinstance(error, SyntaxError) and error.filename == whole:
            found = error.lineno
        error = error.__cause__
    named = re.search(r"cell '(\w+)'", message)
    if found is None and named:
        begins = re.compile(rf"\s*def {named[1]}\b")
        found = next((k for k, line in enumerate(lines, 1) if begins.match(line)), None)
    return found
