"""The files of checkpoints: written whole, kept by one training, each fault one clear error."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_lstm.array_files import ArrayFile
from tinygrad_lstm.atomic import hold
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.learning import schema
from tinygrad_lstm.tensor import Array
from tinygrad_lstm.version import __version__

DESCRIPTION = "description.json"


class CheckpointError(TinygradError, ValueError):
    """A checkpoint that cannot be written or read, or that is not the one that is needed."""


ANEW = "name another file to begin anew."
_held: dict[str, int] = {}  # files that this process keeps, each for a thread
CHECKPOINT = ArrayFile(
    what="checkpoint",
    error=CheckpointError,
    format="tinygrad-lstm character model 1",
    damaged="a checkpoint of this program",
    restore={"": f"Restore it from a copy, or {ANEW}"},
    newer=f"Use a newer version, or {ANEW}",
    other=f"Write the cell as it was, or {ANEW}",
)


TRAINING = replace(CHECKPOINT, format="tinygrad-lstm training 1")


def write(path: Path, description: Any, arrays: Mapping[str, Array]) -> None:
    """Write an .npz file of a description and arrays."""
    text = np.frombuffer(json.dumps(description).encode(), np.uint8)
    with CHECKPOINT.writing(path) as file:
        np.savez(file, allow_pickle=False, **{DESCRIPTION: text, **arrays})


def read(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """The description and the arrays of a file that `write` made."""
    with CHECKPOINT.reading(path) as file, np.load(file, allow_pickle=False) as found:
        arrays = {name: found[name] for name in found.files}  # each is checked against its CRC-32
        description = json.loads(arrays.pop(DESCRIPTION).tobytes())
        if not isinstance(description, dict):
            raise ValueError("its description is not a mapping")
    return description, arrays


def of_task(path: str | Path) -> bool:
    """Whether a checkpoint is that of a training on a task, and not of a character model."""
    return bool(read(Path(path))[0].get("format") == TRAINING.format)


@contextlib.contextmanager
def claim(path: str | Path) -> Iterator[None]:
    """Keep a checkpoint for this thread, so that no other training writes it in the meantime.

    CheckpointError while another process or thread keeps it, and where it cannot be written.
    """
    path, mine = Path(path), threading.get_ident()
    if _held.get(where := os.path.realpath(path)) == mine:
        yield  # within one that keeps it
        return
    try:
        holding = hold(path)
    except BlockingIOError as error:
        raise CheckpointError(
            f"checkpoint {path} is in use: another training writes it.\n"
            f"  Wait until that has ended, or name another file."
        ) from error
    except OSError as error:
        raise CHECKPOINT.unwritable(path, error) from error
    with holding:
        _held[where] = mine
        try:
            yield
        finally:
            del _held[where]


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """What is wrong within a checkpoint, said as being wrong with it."""
    try:
        yield
    except CheckpointError:
        raise
    except schema.UnknownFieldError as error:
        raise CheckpointError(
            f"checkpoint {path} has {error}, which this version, {__version__}, does not know.\n"
            f"  Use the newer version that wrote it, or {ANEW}"
        ) from error
    except TinygradError as error:
        raise unusable(path, error) from error


def unusable(path: str | Path, error: TinygradError) -> CheckpointError:
    """The error for a checkpoint whose content is at fault, as another error says."""
    return CheckpointError(
        f"checkpoint {path} cannot be used: {str(error).splitlines()[0].rstrip('.')}.\n"
        f"  {CHECKPOINT.restore['']}"
    )
