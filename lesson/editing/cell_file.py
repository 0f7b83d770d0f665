"""The one file that is edited: what it holds, and how it is written without losing anything."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from dataclasses import dataclass
from pathlib import Path

import lesson
import tinygrad_lstm
from tinygrad_lstm.atomic import replace_whole
from tinygrad_lstm.errors import CellError

LARGEST = 256 * 1024  # bytes of a file that is edited


class Changed(Exception):
    """The file on disk is not what the page last saw."""


@dataclass(frozen=True)
class Held:
    """What a file holds. version: of its bytes, "" where there is none.

    problem: a key of `editing.toml` that says why it cannot be edited, "" if it can.
    """

    text: str = ""
    version: str = ""
    problem: str = ""


class CellFile:
    """A Python file on disk as text with \\n, its mark at the start and its ends of lines kept."""

    def __init__(self, path: Path) -> None:
        check_ours(path)
        self.path = path
        self.whole = path.resolve()  # a link stays one: what it leads to is written
        self.lock = threading.RLock()  # while it is held, no other thread of ours writes
        self._mark, self._end = b"", "\n"

    def read(self) -> Held:
        """What the file holds now."""
        try:
            if not stat.S_ISREG(os.stat(self.whole).st_mode):
                return Held(problem="no_file")
            with open(self.whole, "rb") as file:
                data = file.read(LARGEST + 1)
        except FileNotFoundError:
            return Held(problem="deleted")
        except OSError:
            return Held(problem="unreadable")
        version = hashlib.sha256(data).hexdigest()
        if len(data) > LARGEST:
            return Held(version=version, problem="too_large")
        mark = b"\xef\xbb\xbf" if data.startswith(b"\xef\xbb\xbf") else b""
        try:
            text = data[len(mark) :].decode("utf-8")
        except UnicodeDecodeError:
            return Held(version=version, problem="not_text")
        self._mark = mark
        self._end = "\r\n" if "\r\n" in text else "\n"
        return Held(text.replace("\r\n", "\n").replace("\r", "\n"), version)

    def write(self, text: str, seen: str | None) -> Held:
        """Write the text, whole or not at all; what the file holds then.

        seen: the version that the text was made from, "" of a file that is not there; Changed if
        the file holds another by now. None writes in any case.
        """
        with self.lock:
            now = self.read()
            if seen is not None and now.version != seen:
                raise Changed
            if now.problem in ("no_file", "unreadable"):
                raise OSError(now.problem)
            data = self._mark + text.replace("\n", self._end).encode("utf-8")
            if len(data) > LARGEST:
                raise OSError("too_large")
            if hashlib.sha256(data).hexdigest() != now.version:
                mode = stat.S_IMODE(self.whole.stat().st_mode) if now.version else None
                if mode is not None and not os.access(self.whole, os.W_OK):
                    raise PermissionError(f"{self.path} may not be written")
                with replace_whole(self.whole) as file:
                    file.write(data)
                    if mode is not None and hasattr(os, "fchmod"):
                        os.fchmod(file.fileno(), mode)
            return self.read()


def check_ours(path: Path) -> None:
    """CellError for a file of this package, which is not to be edited through a page."""
    whole = path.resolve()
    for package in (tinygrad_lstm, lesson):
        if whole.is_relative_to(Path(str(package.__file__)).resolve().parent):
            raise CellError(
                f"{path} belongs to {package.__name__}, and is not edited.\n"
                f"  Leave its path out, as in --cell lstm: then a copy of the listing is edited."
            )
