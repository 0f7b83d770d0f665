"""Files that have an end, are replaced whole or not at all, and written by one process."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


@contextlib.contextmanager
def replace_whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` when all is written.

    Whatever stops this, at any moment, the old file stays whole. What a writer that was killed
    left behind (`NAME.PID.part`) is removed by the next one. OSError if it cannot be written.
    """
    of_ours = re.compile(rf"{re.escape(path.name)}\.\d+\.part")
    for left in filter(of_ours.fullmatch, os.listdir(path.parent)):
        with contextlib.suppress(OSError):  # what is being written stays
            _opened(path.with_name(left)).close()
            path.with_name(left).unlink()
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")  # same folder: replace is atomic
    try:
        with _opened(beside) as file:
            file.truncate()
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def hold(path: Path) -> contextlib.AbstractContextManager[None]:
    """Keep `path` for this process; BlockingIOError while another one keeps it.

    It is the system's lock of a file `NAME.lock`, which ends with its process, however that ends.
    """
    beside = path.with_name(f"{path.name}.lock")
    return _holding(beside, _opened(beside))


@contextlib.contextmanager
def _holding(path: Path, file: BinaryIO) -> Iterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(OSError), file:  # Windows does not remove what is open:
            path.unlink()  # there the file stays, and is in nobody's way


def check_regular(path: str | Path) -> None:
    """OSError for a device or a pipe, of which a reader could wait for the end for ever."""
    if stat.S_IFMT(os.stat(path).st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
        raise OSError(errno.EINVAL, "it is a device or a pipe, which may have no end")


def _opened(path: Path) -> BinaryIO:
    """A file, made where there is none, that no other process has opened in this way."""
    while True:
        file = open(path, "r+b", opener=_make)  # noqa: SIM115 (the caller's)
        try:
            _lock(file)
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
        except FileNotFoundError:
            pass  # whoever had it has removed it just now
        except BaseException:
            file.close()
            raise
        file.close()


def _make(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT, 0o666)


def _lock(file: BinaryIO) -> None:
    if sys.platform == "win32":
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(*error.args) from error
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # a file system without locks: each process for itself
        pass
