"""Runs of the edited file, each in a process of its own that is ended when it is outdated."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lesson.editing.child import Order, line_left, ran_out, work

Message = dict[str, Any]
GRACE = 20.0  # seconds for a process to begin and to end, beyond its own limits


def context() -> Any:
    """How processes are started: forked from one that has imported everything, where that is."""
    if "forkserver" in multiprocessing.get_all_start_methods():
        chosen = multiprocessing.get_context("forkserver")
        chosen.set_forkserver_preload(["lesson.editing.warm"])
        return chosen
    return multiprocessing.get_context("spawn")


class Run:
    """One run of the file. tell: given each message of it, until it is stopped."""

    def __init__(self, order: Order, tell: Callable[[Message], object], within: Any) -> None:
        self._order, self._tell, self._context = order, tell, within
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it; it tells nothing more."""
        self._stopped.set()

    def join(self) -> None:
        """Wait for its process to end."""
        self._thread.join()

    def _follow(self) -> None:
        with tempfile.TemporaryDirectory(prefix="tinygrad-lstm-") as folder:
            left, order = Path(folder, "stack"), self._order
            ours, theirs = self._context.Pipe(duplex=False)
            process = self._context.Process(target=work, args=(theirs, order, left), daemon=True)
            try:
                process.start()
                theirs.close()
                done = self._receive(ours, process)
            finally:
                if process.pid is not None:
                    _end(process)
                ours.close()
            if not done and not self._stopped.is_set():
                line = line_left(left, order.path)
                key = "endless" if ran_out(left) else "crashed"
                self._tell({"ended": key, "line": line})

    def _receive(self, connection: Any, process: Any) -> bool:
        """Hand on messages; whether the last one came."""
        limit = self._order.file_seconds + GRACE
        last = time.monotonic()
        while not self._stopped.is_set() and time.monotonic() - last < limit:
            if not connection.poll(0.02):
                if process.is_alive() or connection.poll():
                    continue
                return False  # what it has started may hold the connection open
            try:
                message = json.loads(connection.recv_bytes())
            except (EOFError, OSError, ValueError):
                return False
            last, limit = time.monotonic(), self._order.reading_seconds + GRACE
            if self._stopped.is_set():
                return False
            self._tell(message)
            if message.get("done"):
                return True
        return False


def _end(process: Any) -> None:
    """End a process and what it has started."""
    with contextlib.suppress(OSError, AttributeError):
        os.killpg(process.pid, signal.SIGKILL)  # a group of its own, which it may have left behind
    process.kill()
    process.join(5)
