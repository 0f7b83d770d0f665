"""What a page of the editing shows now, and who waits for news of it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from dataclasses import asdict, dataclass, field
from typing import Any

from lesson.editing.cell_file import Held
from lesson.editing.child import Order
from lesson.editing.errors import Words
from lesson.editing.runs import Message
from lesson.prose import Texts


@dataclass
class _Shown:
    """A reading on the page: since which news, of which run, its HTML or its document's key."""

    serial: int
    run: int
    html: str = ""
    frame: str = ""


@dataclass
class Bench:
    """The file's text, the run of it, and the readings of its cell; safe between threads.

    wanted: the cell that is to be shown, where the file has several.
    """

    wanted: str = ""
    held: Held = field(default_factory=Held)
    _edition: int = 0
    _serial: int = 1
    _run: int = 0
    _running: bool = False
    _cell: str = ""
    _cells: list[str] = field(default_factory=list)
    _error: dict[str, Any] | None = None
    _notes: list[dict[str, Any]] = field(default_factory=list)
    _shown: dict[str, _Shown] = field(default_factory=dict)
    _frames: dict[str, str] = field(default_factory=dict)
    _secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    _news: threading.Condition = field(default_factory=threading.Condition)

    def news(self, after: int, seconds: float) -> dict[str, Any]:
        """All that is newer than a serial; waits some seconds for it."""
        with self._news:
            self._news.wait_for(lambda: self._serial > after, seconds)
            readings = [
                {"name": name, "run": one.run, "html": one.html, "frame": one.frame}
                for name, one in self._shown.items()
                if one.serial > after
            ]
            return {
                "serial": self._serial,
                "held": asdict(self.held),
                "edition": self._edition,
                "cells": self._cells,
                "cell": self._cell,
                "run": self._run,
                "running": self._running,
                "error": self._error,
                "notes": self._notes,
                "readings": readings,
            }

    def frame(self, key: str) -> str | None:
        """A document that a reading has of its own, by its key, which nobody can guess."""
        with self._news:
            return self._frames.get(key)

    def hold(self, held: Held) -> int:
        """The file holds this now; gives the number of this edition, by which old news is known."""
        with self._news:
            if held != self.held or not self._edition:
                self.held, self._edition = held, self._edition + 1
                self._changed()
            return self._edition

    def begin(self, running: bool) -> int:
        """A run of what the file holds begins, if it can be run; gives the run's number."""
        with self._news:
            self._running, self._run = running, self._run + 1
            if not running:
                self._error, self._notes = None, []
            self._changed()
            return self._run

    def tell(self, run: int, message: Message, order: Order) -> None:
        """A message of a run; that of an earlier one is not heard."""
        with self._news:
            if run != self._run:
                return
            if "cells" in message:
                self._cells, self._cell = message["cells"], message["cell"]
                self._notes, self._error = message["notes"], None
            elif "reading" in message:
                self._show(message)
            elif "error" in message or "ended" in message:
                self._error, self._running = _error(message, order), False
            elif "done" in message:
                self._running = False
            self._changed()

    def _show(self, message: Message) -> None:
        name, html = message["reading"], message["html"]
        made = _Shown(self._serial + 1, self._run)
        if message["frame"]:
            key = hmac.new(self._secret, html.encode(), hashlib.sha256).hexdigest()
            before = self._shown.get(name)
            if before and before.frame != key:
                self._frames.pop(before.frame, None)
            self._frames[key], made.frame = html, key
        else:
            made.html = html
        self._shown[name] = made

    def _changed(self) -> None:
        self._serial += 1
        self._news.notify_all()


def _error(message: Message, order: Order) -> dict[str, Any]:
    if "error" in message:
        found: dict[str, Any] = message["error"]
        return found
    key, seconds = message["ended"], order.file_seconds
    if key == "endless" and message["line"] is None:
        key, seconds = "long", order.reading_seconds
    words: Words = Texts("editing").plain(key, seconds=f"{seconds:g}")
    return {"line": message["line"], "words": words}
