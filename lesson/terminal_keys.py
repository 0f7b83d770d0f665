"""Single keys from the terminal, on POSIX and Windows; what was set is put back in any case."""

from __future__ import annotations

import codecs
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

RESIZED, END = "resized", "end"
_NAMES = {"A": "up", "B": "down", "C": "right", "D": "left", "H": "home", "F": "end of trace"}
_WINDOWS = {"H": "up", "P": "down", "M": "right", "K": "left", "G": "home", "O": "end of trace"}
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"  # a screen of our own, no cursor
_POLL = 0.25  # seconds between looks at the window's size


@contextmanager
def keys() -> Iterator[Callable[[], str]]:
    """Take over the terminal; gives a function that waits for the next key.

    A key is its character, or "up", "down", "left", "right", "enter", "escape", "backspace";
    RESIZED when the window has changed its size, END when there is no more input.
    """
    with _terminal() as read:
        sys.stdout.write(_ENTER)
        sys.stdout.flush()
        try:
            yield read
        finally:
            sys.stdout.write(_LEAVE)
            sys.stdout.flush()


def _plain(key: str) -> str:
    if key == "\x03":
        raise KeyboardInterrupt
    return {"\r": "enter", "\n": "enter", "\x7f": "backspace", "\x08": "backspace"}.get(key, key)


if sys.platform == "win32":
    import msvcrt

    @contextmanager
    def _terminal() -> Iterator[Callable[[], str]]:
        os.system("")  # lets the console understand escape sequences
        size = os.get_terminal_size()

        def read() -> str:
            nonlocal size
            while not msvcrt.kbhit():
                time.sleep(0.02)
                if os.get_terminal_size() != size:
                    size = os.get_terminal_size()
                    return RESIZED
            key = msvcrt.getwch()
            if key in "\x00\xe0":
                return _WINDOWS.get(msvcrt.getwch(), "")
            return "escape" if key == "\x1b" else _plain(key)

        yield read

else:
    import select
    import termios
    import tty

    @contextmanager
    def _terminal() -> Iterator[Callable[[], str]]:
        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor)
        size = os.get_terminal_size(sys.stdout.fileno())
        decoder = codecs.getincrementaldecoder("utf-8")("ignore")

        def ready(seconds: float) -> bool:
            return bool(select.select([descriptor], [], [], seconds)[0])

        def read() -> str:
            nonlocal size
            while True:
                if not ready(_POLL):
                    if os.get_terminal_size(sys.stdout.fileno()) != size:
                        size = os.get_terminal_size(sys.stdout.fileno())
                        return RESIZED
                    continue
                byte = os.read(descriptor, 1)
                if not byte:
                    return END
                if byte != b"\x1b":
                    if key := decoder.decode(byte):
                        return _plain(key)
                    continue
                if not ready(0.05):
                    return "escape"
                sequence = os.read(descriptor, 16).decode("ascii", "ignore")
                return _NAMES.get(sequence[-1:], "") if sequence[:1] in ("[", "O") else ""

        tty.setcbreak(descriptor)
        try:
            now = termios.tcgetattr(descriptor)
            now[6][termios.VSUSP] = b"\x00"  # a suspended program would keep our screen
            termios.tcsetattr(descriptor, termios.TCSANOW, now)
            yield read
        finally:
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
