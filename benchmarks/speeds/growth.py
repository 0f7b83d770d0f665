"""How time and memory grow with sizes, and how long planning and compiling take."""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
from collections.abc import Iterator
from typing import Any

from speeds import turns
from speeds.workloads import Workload

GROWING = {
    "time": (100, 300, 1000, 3000, 10_000),
    "hidden": (16, 64, 256, 1024),
    "batch": (1, 8, 64, 512),
}
WHO = ("c", "c.low", "numpy", "numpy.low", "module")
TURNS = 3


def growth(base: Workload, seconds: float) -> Iterator[dict[str, Any] | str]:
    """Time and memory as one size grows and the others stay. Each point is a process of its own.

    bytes: the most memory during training, beyond what the process, data and parameters had.
    """
    for size, values in GROWING.items():
        for n in values:
            workload = dataclasses.replace(base, **{size: n})  # type: ignore[arg-type]
            for name in WHO:
                found = _point(name, workload, seconds)
                if isinstance(found, str):
                    yield f"{name}, {size} {n}: {found}"
                else:
                    yield {"grows": size, "name": name, **found}


def _point(name: str, workload: Workload, seconds: float) -> dict[str, Any] | str:
    contender = turns.start(name, workload)
    if isinstance(contender, str):
        return contender
    try:
        with contender:
            times = [contender(turns.turn, seconds) for _ in range(TURNS)]
            most = contender(turns.peak) - contender.first["peak"]
    except turns.Failure as failure:
        return str(failure)
    return {
        "workload": dataclasses.asdict(workload),
        "seconds": statistics.median(times),
        "bytes": most,
    }


def planning(workload: Workload) -> Iterator[dict[str, Any] | str]:
    """Seconds that the first use of a cell takes beyond a later one: without and with a cache."""
    for name in ("c", "numpy"):
        with tempfile.TemporaryDirectory() as cache:
            found = [_first(name, workload, cache) for _ in range(2)]
        for one in found:
            if isinstance(one, str):
                yield f"{name}, {workload.cell}: {one}"
                break
        else:
            yield {"cell": workload.cell, "name": name, "first": found[0], "cached": found[1]}


def _first(name: str, workload: Workload, cache: str) -> float | str:
    contender = turns.start(name, workload, cache)
    if isinstance(contender, str):
        return contender
    with contender:
        later = statistics.median(contender(turns.turn, 0.0) for _ in range(5))
        return float(max(0.0, contender.first["seconds"] - later))
