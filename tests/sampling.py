"""What of a large table is run: a sample, the same each time, or all with WHOLE=1 set outside."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from typing import TypeVar

import pytest

Row = TypeVar("Row")
Seen = defaultdict[tuple[str, str], dict[object, int]]
WHOLE = bool(os.environ.get("WHOLE"))


def sample(rows: Iterable[Row], every: int, start: int = 0) -> list[Row]:
    """Every so manieth row, beginning at another one for another `start`; all of them if WHOLE."""
    return list(rows) if WHOLE else list(rows)[start % every :: every]


def in_sample(item: pytest.Item, seen: Seen) -> bool:
    """Whether a row of a table is run; `seen` numbers the values of each parameter."""
    mark, row = item.get_closest_marker("sample"), getattr(item, "callspec", None)
    if not mark or not row:
        return True
    place = 0
    for name, value in row.params.items():
        values = seen[item.nodeid.partition("[")[0], name]
        place += values.setdefault(value if isinstance(value, str) else id(value), len(values))
    return place % int(mark.args[0]) == 0
