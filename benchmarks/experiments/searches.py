"""Experiments that are searches: their database lies in `build/experiments` and is gone on with."""

from __future__ import annotations

import math
import time
from typing import Any

from benchmarks.experiments.parts import ROOT
from tinygrad_lstm.searching import Done, Space, Storage, check, importance, parse_space, work

FOLDER = ROOT / "build" / "experiments"


def searched(text: str) -> dict[str, Any]:
    """Run a search to its end, or on to it, and give what is stored of it."""
    space = parse_space(text)
    check(space)
    FOLDER.mkdir(parents=True, exist_ok=True)
    begun = time.process_time()
    with Storage.create(space, str(FOLDER / f"{space.name}.db")) as storage:
        work(storage, FOLDER / "trials")
        results = storage.results()
        shares = importance(storage)
    return {
        "space": text,
        "importance": {name: round(share, 4) for name, share in shares.items()},
        "trials": [_row(space, done) for done in results],
        "cpu here": round(time.process_time() - begun, 1),
    }


def partly(text: str) -> tuple[dict[str, Any], float] | None:
    """What there is of a search that is not at its end, and which share of it."""
    space = parse_space(text)
    path = FOLDER / f"{space.name}.db"
    if not path.exists():
        return None
    with Storage.open(str(path), space.name) as storage:
        results = [done for done in storage.results() if done.value is not None]
        shares = importance(storage)
    if not results:
        return None
    found = {"space": text, "importance": shares, "trials": [_row(space, d) for d in results]}
    return found, len(results) / space.trials


def _row(space: Space, done: Done) -> dict[str, Any]:
    """What is kept of a trial: small, and enough to run it again."""
    notes = done.notes
    finite = done.value is not None and math.isfinite(done.value)
    drawn = {
        name: float(f"{v:.4g}") if isinstance(v, float) else v for name, v in done.values.items()
    }
    row: dict[str, Any] = {
        "number": done.number,
        "value": float(f"{done.value:.5g}") if finite and done.value is not None else None,
        "drawn": drawn,
        "parameters": notes.get("parameters"),
        "cpu": notes.get("cpu"),
    }
    if notes.get("measures"):
        row["measures"] = [
            {n: float(f"{v:.4g}") for n, v in each.items()} for each in notes["measures"]
        ]
    for name in ("parent", "changes", "bounded", "solved"):
        if name in notes:
            row[name] = notes[name]
    return row
