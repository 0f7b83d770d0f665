"""What of a large table is run: a sample, the same each time, or all with WHOLE=1 set outside."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeVar

Row = TypeVar("Row")
WHOLE = bool(os.environ.get("WHOLE"))


def sample(rows: Iterable[Row], every: int, start: int = 0) -> list[Row]:
    """Every so manieth row, beginning at another one for another `start`; all of them if WHOLE."""
    return list(rows) if WHOLE else list(rows)[start % every :: every]
