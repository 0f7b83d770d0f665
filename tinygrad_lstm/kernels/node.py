"""A node process that runs the scripts of cells: started once, ended with this process."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import threading
import weakref
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.kernels.names import file
from tinygrad_lstm.kernels.toolchain import NoCompiler
from tinygrad_lstm.tensor import Array

SECONDS = 120  # a call that takes longer hangs


def node() -> str:
    """The program: TINYGRAD_LSTM_NODE, or `node` on the path; NoCompiler where there is none."""
    given = os.environ.get("TINYGRAD_LSTM_NODE")
    if found := shutil.which("node" if given is None else given):
        return found
    what = f"no program {given!r}, which TINYGRAD_LSTM_NODE names" if given else "no node"
    raise NoCompiler(f"there is {what}: compiled JavaScript needs Node.js to run")


class Child:
    """A node process, to which messages go one at a time."""

    def __init__(self, program: str) -> None:
        self.owner, self.cells, self._late = os.getpid(), 0, False
        self._lock = threading.Lock()
        text = file("child.js")
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
        try:
            self._process = subprocess.Popen(
                [program, "-e", text], **pipes, stderr=subprocess.DEVNULL
            )
        except OSError as error:
            raise NoCompiler(f"{program} did not run: {error}") from error
        self._send: Any = self._process.stdin
        self._receive: Any = self._process.stdout
        self.pid = self._process.pid
        self.close = weakref.finalize(self, _end, self._process)

    @property
    def alive(self) -> bool:
        """Whether it can be asked; not by a process that was forked from the one that began it."""
        return self.owner == os.getpid() and self._process.poll() is None

    def _stop(self) -> None:
        self._late = True
        self._process.kill()

    def load(self, script: str) -> int:
        """The number of a cell that it knows from now on."""
        text = script.encode()
        self.ask({"script": len(text)}, [text])
        self.cells += 1
        return self.cells - 1

    def ask(
        self, head: Mapping[str, Any], parts: Iterable[Any], into: Iterable[Array] = ()
    ) -> None:
        """Send a message; what is answered is read into arrays."""
        with self._lock:
            late = threading.Timer(SECONDS, self._stop)
            late.daemon = True
            late.start()
            try:
                text = json.dumps(head).encode()
                for part in (struct.pack("<I", len(text)), text, *parts):
                    self._send.write(part)
                self._send.flush()
                (length,) = struct.unpack("<I", self._receive.read(4))
                said = json.loads(self._receive.read(length))
                for array in () if "error" in said else into:
                    if self._receive.readinto(array.reshape(-1).view(np.uint8)) != array.nbytes:
                        raise EOFError
            except (OSError, EOFError, ValueError, struct.error) as error:
                late.cancel()
                self.close()
                what = f"ended before it answered (exit code {self._process.returncode})"
                if self._late:
                    what = f"gave no answer in {SECONDS} s and was stopped"
                raise TinygradError(f"node {what}.") from error
            finally:
                late.cancel()
        if "error" in said:
            raise TinygradError(f"JavaScript failed in node: {said['error']}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """No more messages: it ends by itself."""
    for pipe in (process.stdin, process.stdout):
        try:
            if pipe:
                pipe.close()
        except OSError:
            pass
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


_child: Child | None = None
_starting = threading.Lock()


def child() -> Child:
    """The process of all cells, started anew if it has ended."""
    global _child
    with _starting:
        if _child is None or not _child.alive:
            _child = Child(node())
        return _child
