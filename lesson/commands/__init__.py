"""The command line, `tinygrad-lstm`: each module here is a command, with `arguments` and `run`.

A module says in the first line of its docstring, after the colon, what the command does.

What takes time to import is imported by `main`, where Ctrl-C is one line and no traceback.
"""

from __future__ import annotations

import importlib
import io
import os
import re
import sys

TYPE_CHECKING = False  # what imports typing is interrupted by a traceback until it is there
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from types import FrameType

# NumPy's words for an array that no memory could hold
_TOO_LARGE = re.compile("array is too big|allowed dimension exceeded|too large to convert")


def summaries() -> dict[str, str]:
    """The commands, each with what it does, of which no module is imported."""
    import pkgutil
    from importlib.util import find_spec

    found = {}
    for name in sorted(module.name for module in pkgutil.iter_modules(__path__)):
        spec = find_spec(f"{__name__}.{name}")
        if spec and spec.origin:
            with open(spec.origin, encoding="utf-8") as file:
                found[name] = file.readline().partition("`: ")[2].strip().strip('".')
    return found


def parser(command: str | None = None) -> argparse.ArgumentParser:
    """The parser of the command line; only the named command's module is imported."""
    import argparse

    import tinygrad_lstm

    top = argparse.ArgumentParser(
        prog="tinygrad-lstm",
        description="Recurrent cells, written once: run, differentiated, printed, drawn, "
        "stepped through and checked. A CELL is a built-in name or path/to/file.py:NAME.",
    )
    top.add_argument("--version", action="version", version=tinygrad_lstm.__version__)
    several = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in summaries().items():
        own = several.add_parser(name, help=summary, description=summary)
        if name == command:
            importlib.import_module(f"lesson.commands.{name}").arguments(own)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; bad input prints one message and returns 2, without a traceback."""
    words = list(sys.argv[1:] if argv is None else argv)
    command: str | None = None
    before, sys.unraisablehook = sys.unraisablehook, _unraisable
    try:
        import signal

        known = summaries()
        command = next((word for word in words if word in known), None)
        if argv is None and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, lambda _, frame: _interrupted(command, frame))
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # not every terminal or pipe knows ✓ and σ
                stream.reconfigure(errors="backslashreplace")
        return _run(command, words)
    except KeyboardInterrupt:
        return _end(command, "stopped", 130)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        return _end(command, "", 0)
    finally:
        sys.unraisablehook = before
        if argv is None:  # the process ends: nothing is left that could be interrupted
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def _interrupted(command: str | None, frame: FrameType | None) -> None:
    """Ctrl-C: KeyboardInterrupt, but an end at once where some library's import may swallow it."""
    while frame is not None:
        if frame.f_code.co_name == "_find_and_load":
            os._exit(_end(command, "stopped", 130))
        frame = frame.f_back
    raise KeyboardInterrupt


def _run(command: str | None, words: list[str]) -> int:
    """Run a command, and tell in one message what went wrong."""
    from tinygrad_lstm.errors import TinygradError

    options = parser(command).parse_args(words)
    try:
        code = int(importlib.import_module(f"lesson.commands.{command}").run(options))
        sys.stdout.flush()
        return code
    except TinygradError as error:
        message = str(error)
    except BrokenPipeError:
        raise
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        message = f"cannot read or write: {place}{error.strerror or error}."
    except (MemoryError, OverflowError, ValueError) as error:
        if not isinstance(error, MemoryError) and not _TOO_LARGE.search(str(error)):
            raise
        why = str(error).rstrip(".") or "none is left"
        message = f"the memory does not suffice: {why}.\n  Choose smaller sizes, or fewer steps."
    except (KeyboardInterrupt, Exception):
        raise
    except BaseException as error:  # such as SystemExit, which no command raises
        message = f"the code of a cell raised {type(error).__name__}: {error}."
    return _end(command, message, 2)


def _end(command: str | None, message: str, code: int) -> int:
    """Say why a command ended early; what it printed before may be lost, if nobody takes it."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if message:
        start = "\n" if code == 130 else ""
        name = f"tinygrad-lstm {command}" if command else "tinygrad-lstm"
        print(f"{start}{name}: {message}", file=sys.stderr)
    return code


def _unraisable(found: sys.UnraisableHookArgs) -> None:
    """Ctrl-C where Python cannot raise it, as in a callback of the collector: once more, later."""
    import _thread
    import threading

    if not issubclass(found.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(found)
        return
    while True:
        try:
            threading.Timer(0.01, _thread.interrupt_main).start()
            return
        except KeyboardInterrupt:  # came already, on a busy machine: here it would be lost, too
            continue
