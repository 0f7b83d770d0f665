"""Threads over the batch: each takes some of the samples through the whole loop over time."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_WORTH = 3e6  # multiplications that are worth a thread's while
_pool: list[ThreadPoolExecutor] = []


def threads(work: float = math.inf) -> int:
    """How many threads may share this work: TINYGRAD_LSTM_THREADS, or the processors there are."""
    if work < 2 * _WORTH:
        return 1
    given = os.environ.get("TINYGRAD_LSTM_THREADS", "")
    if given.isdigit() and int(given) > 0:
        return int(given)
    affinity = getattr(os, "sched_getaffinity", None)
    return min(8, len(affinity(0)) if affinity else os.cpu_count() or 1)


def split(rows: int, work: float, workers: int) -> list[tuple[int, int]]:
    """The rows in nearly equal parts, one for each thread that is worth its while."""
    n = max(1, min(workers, rows, int(work / _WORTH)))
    ends = [rows * k // n for k in range(n + 1)]
    return list(zip(ends, ends[1:], strict=False))


def in_parallel(function: Callable[[int, int, int], None], parts: list[tuple[int, int]]) -> None:
    """function(first, last, k) for each part, at the same time."""
    if len(parts) == 1:
        function(*parts[0], 0)
        return
    if not _pool or _pool[0]._max_workers < len(parts) - 1:
        _pool[:] = [ThreadPoolExecutor(max(threads(), len(parts)) - 1, "tinygrad-lstm")]
    later = [_pool[0].submit(function, *part, k) for k, part in enumerate(parts[1:], 1)]
    function(*parts[0], 0)
    for future in later:
        future.result()


def forget() -> None:
    """After a fork there are no threads in the child."""
    _pool.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget)
