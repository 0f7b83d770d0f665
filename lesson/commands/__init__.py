"""The command line, `tinygrad-lstm`: one module a command, with `arguments` and `run`."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

COMMANDS = {
    "lesson": "train on real text, build the lesson page and open it",
    "cells": "list the built-in cells",
    "equations": "print a cell's equations, their gradients and derivations",
    "draw": "draw a cell, a network or a computation graph",
    "gallery": "write a page and a figure for every built-in cell",
    "step": "walk forward and backward through a small run",
    "train": "train a cell as a character model",
    "exercise": "exercises with hints, checked by the project's own readings",
    "check": "check a cell: gradients, derivations, batches, sequences",
}


def parser(command: str | None = None) -> argparse.ArgumentParser:
    """The parser of the command line; only the named command's module is imported."""
    import tinygrad_lstm

    top = argparse.ArgumentParser(
        prog="tinygrad-lstm",
        description="Recurrent cells, written once: run, differentiated, printed, drawn, "
        "stepped through and checked. A CELL is a built-in name or path/to/file.py:NAME.",
    )
    top.add_argument("--version", action="version", version=tinygrad_lstm.__version__)
    several = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        own = several.add_parser(name, help=summary, description=summary)
        if name == command:
            importlib.import_module(f"lesson.commands.{name}").arguments(own)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; bad input prints one message and returns 2, without a traceback."""
    words = list(sys.argv[1:] if argv is None else argv)
    command = next((word for word in words if word in COMMANDS), None)
    called = f"tinygrad-lstm {command}" if command else "tinygrad-lstm"
    for stream in (sys.stdout, sys.stderr):  # a character that an encoding has not is spelled out
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            return _run(words, command, called)
        finally:  # so that what cannot be written is known here
            sys.stdout.flush()
    except KeyboardInterrupt:
        print(f"\n{called}: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # a full disk below a redirected output
        print(f"{called}: {error}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2


def _run(words: Sequence[str], command: str | None, called: str) -> int:
    """Run a command. NumPy is imported in here, so that Ctrl-C during it is no traceback."""
    from tinygrad_lstm.errors import TinygradError

    options = parser(command).parse_args(words)
    try:
        return int(importlib.import_module(f"lesson.commands.{options.command}").run(options))
    except TinygradError as error:
        print(f"{called}: {error}", file=sys.stderr)
        return 2
