"""Files of named arrays with a description in JSON: replaced whole or not at all, no pickle."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_lstm.atomic import check_regular, hold, replace_whole
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.tensor import Array

DESCRIPTION = "description.json"


class CheckpointError(TinygradError, ValueError):
    """A checkpoint that cannot be written or read, or that is not the one that is needed."""


def write(path: Path, description: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write an .npz file. Whatever stops this, at any moment, the old file stays whole."""
    text = json.dumps(description).encode()
    entries = {DESCRIPTION: np.frombuffer(text, np.uint8), **arrays}
    try:
        with replace_whole(path) as file:
            np.savez(file, allow_pickle=False, **entries)
    except OSError as error:
        raise _unwritable(path, error) from error


def claim(path: str | Path) -> contextlib.AbstractContextManager[None]:
    """Keep a checkpoint for this process, so that no other training writes it in the meantime.

    CheckpointError while another process keeps it, and where it cannot be written.
    """
    try:
        return hold(Path(path))
    except BlockingIOError as error:
        raise CheckpointError(
            f"checkpoint {path} is in use: another training writes it.\n"
            f"  Wait until that has ended, or name another file."
        ) from error
    except OSError as error:
        raise _unwritable(Path(path), error) from error


def _unwritable(path: Path, error: OSError) -> CheckpointError:
    return CheckpointError(
        f"checkpoint {path} cannot be written: {error.strerror or error}.\n"
        f"  Name a file in a folder that exists and can be written."
    )


def read(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """The description and the arrays of a file that `write` made."""
    try:
        check_regular(path)
        with open(path, "rb") as file:
            arrays = _arrays(file)
        description = json.loads(arrays.pop(DESCRIPTION).tobytes())
        if not isinstance(description, dict):
            raise ValueError("its description is not a mapping")
    except FileNotFoundError as error:
        raise CheckpointError(f"checkpoint {path} does not exist.") from error
    except OSError as error:
        if error.errno is not None:
            raise CheckpointError(f"checkpoint {path} cannot be read: {error.strerror}.") from error
        raise _damaged(path) from error
    except Exception as error:  # zip, zlib, header and JSON readers each fail in their own ways
        raise _damaged(path) from error
    return description, arrays


def _arrays(file: Any) -> dict[str, Array]:
    with np.load(file, allow_pickle=False) as found:
        return {name: found[name] for name in found.files}  # each is checked against its CRC-32


def _damaged(path: Path) -> CheckpointError:
    return CheckpointError(
        f"checkpoint {path} is not a checkpoint of this program, or only a part of one.\n"
        f"  Restore it from a copy, or name another file to begin anew."
    )
