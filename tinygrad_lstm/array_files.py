"""Files of arrays that belong to cells: written whole or not at all, each fault one clear error.

A file remembers the equations of its cells: numbers learned for one text are not run by another.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from tinygrad_lstm.atomic import check_regular, replace_whole
from tinygrad_lstm.errors import CellError, TinygradError
from tinygrad_lstm.networks import System
from tinygrad_lstm.step import Cell
from tinygrad_lstm.version import __version__


@dataclass(frozen=True)
class ArrayFile:
    """A kind of file, and what is said where one is not as it must be.

    what: its name in errors, which are of the class `error`; format: what a file declares, which
    ends in the version's number; damaged: what a file is not that cannot be read; restore: how to
    mend one that is not whole, by the file's ending or ""; newer, other: what to do about one of
    a newer version, and about one of a cell with other equations.
    """

    what: str
    error: type[TinygradError]
    format: str
    damaged: str
    restore: Mapping[str, str]
    newer: str
    other: str

    @contextlib.contextmanager
    def writing(self, path: Path) -> Iterator[BinaryIO]:
        """A file to write. Whatever stops this, at any moment, the old file stays whole."""
        try:
            with replace_whole(path) as file:
                yield file
        except OSError as error:
            raise self.unwritable(path, error) from error

    def unwritable(self, path: Path, error: OSError) -> TinygradError:
        """The error for a file that cannot be written."""
        return self.error(
            f"{self.what} {path} cannot be written: {error.strerror or error}.\n"
            f"  Name a file in a folder that exists and can be written."
        )

    @contextlib.contextmanager
    def reading(self, path: Path) -> Iterator[BinaryIO]:
        """A file to read; what its readers raise that is no error of ours says that it is damaged.

        (Readers of zip, zlib, safetensors, headers and JSON each fail in their own ways.)
        """
        try:
            check_regular(path)
            with open(path, "rb") as file:
                yield file
        except TinygradError:
            raise
        except FileNotFoundError as error:
            raise self.error(f"{self.what} {path} does not exist.") from error
        except Exception as error:
            if isinstance(error, OSError) and error.strerror:
                raise self.error(f"{self.what} {path} cannot be read: {error.strerror}.") from error
            fix = self.restore.get(path.suffix, self.restore[""])
            raise self.error(
                f"{self.what} {path} is not {self.damaged}, or only a part of one.\n  {fix}"
            ) from error

    def declares(self, path: Path, format: Any) -> bool:
        """Whether a file is of this format; an error for one that a newer version has written."""
        if format == self.format:
            return True
        if not isinstance(format, str) or not format.startswith(self.format.rstrip("1")):
            return False
        raise self.error(
            f"{self.what} {path} has the format {format!r}, and this version, "
            f"{__version__}, reads {self.format!r}.\n  {self.newer}"
        )

    def check_equations(
        self, path: Path, cell: Cell | System, before: Sequence[str], **sizes: int
    ) -> None:
        """Raise unless a cell has the equations that the file remembers."""
        now, lines = equations_of(cell, **sizes), [line.strip() for line in before]
        if now != lines:
            changed = [line for line in lines if line not in now] or ["(their order)"]
            raise self.error(
                f"{self.what} {path} is of {cell} with other equations; it had\n"
                + "".join(f"    {line}\n" for line in changed)
                + f"  {self.other}"
            )


def equations_of(network: Cell | System, **sizes: int) -> list[str]:
    """The equations of a cell or network as a file remembers them; of parts where steps differ."""
    try:
        return [line.strip() for line in str(network.program(**sizes)).splitlines()[1:]]
    except CellError:
        if isinstance(network, Cell):
            raise
    own = {name: equations_of(part) for name, part in network.parts.items()}
    return [f"{name}: {line}" for name, lines in own.items() for line in lines]
