"""The process in which the edited file is run and read: it may loop for ever, or crash."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TextIO

from lesson.editing.errors import Words, in_words, place
from lesson.editing.readings import readings
from tinygrad_lstm import cell_files
from tinygrad_lstm.errors import CellError, TinygradError
from tinygrad_lstm.networks import System
from tinygrad_lstm.step import Cell

MEMORY = 4 << 30  # bytes that a file may take, where the system can say so
FILE, READING = 10.0, 60.0  # seconds for the file to run, and for each reading of its cell


@dataclass(frozen=True)
class Order:
    """What is to be run: a file and its text, the name of its cell, limits of time."""

    path: Path
    text: str
    wanted: str
    file_seconds: float = FILE
    reading_seconds: float = READING


def work(connection: Connection, order: Order, left: Path) -> None:
    """Run the file and send what is read of its cell, one JSON text a message.

    left: where a process that is ended by its limit, or crashes, writes which line it was at.
    """

    def tell(**told: object) -> None:
        connection.send_bytes(json.dumps(told).encode())

    _set_apart()
    with open(left, "w", encoding="utf-8") as stack:
        faulthandler.enable(stack)
        try:
            with _limited(order.file_seconds, stack), warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                cell, names = _chosen(order)
                cell.program()
                cell.init(**cell.small_sizes())
            tell(cells=names, cell=cell.name, notes=[_note(w, order) for w in said])
            with _limited(order.reading_seconds, stack):
                for reading in readings(cell):
                    tell(reading=reading.name, html=reading.html, frame=reading.frame)
                    faulthandler.dump_traceback_later(order.reading_seconds, file=stack, exit=True)
        except BaseException as error:  # exit() too
            if not isinstance(error, TinygradError | SyntaxError):
                traceback.print_exc()
            tell(error={"line": place(error, order.path, order.text), "words": in_words(error)})
        tell(done=True)
        faulthandler.disable()


def _set_apart() -> None:
    """A process group and a bound on memory of its own."""
    with contextlib.suppress(AttributeError, OSError):
        os.setsid()
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))


@contextlib.contextmanager
def _limited(seconds: float, stack: TextIO) -> Iterator[None]:
    """Ends the process after a time, whatever it is doing, and leaves where it was."""
    faulthandler.dump_traceback_later(seconds, file=stack, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def _chosen(order: Order) -> tuple[Cell, list[str]]:
    """The cell that is wanted, or the first that the file itself writes, and the names of all."""
    defined = cell_files.run(order.path)
    whole = str(order.path.resolve())
    found = {n: c for n, c in defined.items() if isinstance(c, Cell) and c.state}
    own = {n: c for n, c in found.items() if c.step.__code__.co_filename == whole} or found
    if not own:
        networks = ", ".join(n for n, value in defined.items() if isinstance(value, System))
        if networks:
            raise CellError(f"the file has networks alone: {networks}.\n  A cell is needed here.")
        raise CellError(
            "the file has no cells.\n"
            '  Write @cell(state="h", …) above a function of now, prev, x and p.'
        )
    return own.get(order.wanted) or next(iter(own.values())), list(own)


def _note(warned: warnings.WarningMessage, order: Order) -> dict[str, object]:
    whole = str(order.path.resolve())
    line = warned.lineno if warned.filename == whole else None
    error = CellError(str(warned.message))
    words: Words = in_words(error)
    return {"line": line or place(error, order.path, order.text), "words": words}


def line_left(stack: Path, path: Path) -> int | None:
    """Where in a file a process was that ended without a word, by the stack that it left."""
    with contextlib.suppress(OSError):
        begins = f'  File "{path.resolve()}", line '
        for line in stack.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(begins):
                return int(line[len(begins) :].split()[0])
    return None


def ran_out(stack: Path) -> bool:
    """Whether a process was ended by its limit of time."""
    with contextlib.suppress(OSError):
        return stack.read_text(encoding="utf-8", errors="replace").startswith("Timeout")
    return False
