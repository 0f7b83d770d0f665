"""A cell's file that is edited through a page's server, as `lesson --edit` serves it."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import re
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from lesson import editing

GOOD = '''from tinygrad_lstm import cell, concat, sigmoid, tanh


@cell(state="h", parameters={"W_k W_n": "hidden, hidden + inputs", "b_k": "hidden"})
def keeper(now, prev, x, p):
    """One gate chooses between the old state and a new one."""
    hx = concat(prev.h, x)
    now.k = sigmoid(p.W_k @ hx + p.b_k)
    now.n = tanh(p.W_n @ hx)
    now.h = now.k * prev.h + (1 - now.k) * now.n
'''
FORKS = "forkserver" in multiprocessing.get_all_start_methods()


@cache
def processes() -> Any:
    """Processes as the command starts them, but that nothing is made before it is asked for."""
    found: Any = multiprocessing.get_context("forkserver" if FORKS else "spawn")
    if FORKS:
        found.set_forkserver_preload(["lesson.editing.child"])
    return found


class Edited:
    """The editing of a file in a thread of its own."""

    def __init__(self, path: Path, wanted: str = "", **options: Any) -> None:
        self.path, self.stop, self.address, self.token = path, threading.Event(), "", ""
        ready = threading.Event()

        def started(address: str) -> None:
            self.address = address
            ready.set()

        self.thread = threading.Thread(
            target=editing.serve,
            args=(path, wanted),
            kwargs={"started": started, "stop": self.stop, **options},
        )
        self.thread.start()
        assert ready.wait(60)
        found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\?token=([\w-]{40,})", self.address)
        assert found
        self.port, self.token = int(found[1]), found[2]

    def ask(
        self, path: str, body: object = None, method: str = "", **headers: str | None
    ) -> tuple[int, str, dict[str, str]]:
        """A request as the page makes it; a header None is left out."""
        own = f"http://127.0.0.1:{self.port}"
        sent = {"X-Token": self.token, "Origin": own, "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}  # type: ignore[misc]
        data = json.dumps(body).encode() if body is not None else None
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        kept = {name: value for name, value in sent.items() if value is not None}
        connection.request(method or ("POST" if data else "GET"), path, data, kept)
        answer = connection.getresponse()
        found = answer.status, answer.read().decode(), dict(answer.getheaders())
        connection.close()
        return found

    def news(self, after: int = 0) -> dict[str, Any]:
        """What the page is told."""
        told: dict[str, Any] = json.loads(self.ask(f"/news?after={after}")[1])
        return told

    def until(self, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """The first news of which something holds."""
        begun, news = time.monotonic(), self.news()
        while not holds(news):
            assert time.monotonic() - begun < 120, news
            news = {**self.news(news["serial"])}
        return news

    def save(self, text: str, seen: str | None) -> tuple[int, dict[str, Any]]:
        status, told, _ = self.ask("/save", {"text": text, "seen": seen})
        return status, json.loads(told)

    def end(self) -> None:
        self.stop.set()
        self.thread.join(60)
        assert not self.thread.is_alive()
