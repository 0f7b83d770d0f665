"""How often `diagnose` names a mistake rightly, and whether it calls right gradients wrong.

    python benchmarks/diagnosis.py                      the tables of README.md (an hour)
    python benchmarks/diagnosis.py --mistakes 50 --pairs 20 --right 200 --seed 1

Mistakes are drawn over built-in, posted and random cells, of 1 to 8 steps, batches of 1 to 4 and
sizes of 1 to 4, and rounded to float32 (`tests/diagnosis/wrong_programs.py`, which knows nothing of
how `diagnose` makes its own). Counted is what can be seen: a change of at least 1e-4 of the
largest entry of a gradient, where each of two mistakes must be seen, 1e-5 of single ones. A name
is right if it is that of the mistake that was drawn, a tie if in float64, too, the mistake that was
told and the one that was drawn give the same numbers; the result then says both.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "diagnosis")]

from drawn_tasks import draw_task, tasks  # noqa: E402
from right_gradients import (  # noqa: E402
    JAX,
    TORCH,
    by_program,
    in_samples,
    jax_lstm,
    of_engine,
    single,
    torch_layer,
)
from wrong_programs import Task, Wrong, carry_out  # noqa: E402
from wrong_sums import draw, draw_pair  # noqa: E402

from tinygrad_lstm import diagnose  # noqa: E402
from tinygrad_lstm.errors import TinygradError  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "diagnosis.json"


def seen(right: Any, found: Any) -> float:
    """The largest change of any gradient, of its largest entry."""
    return max(
        float(np.abs(found[n] - right[n]).max(initial=0.0))
        / (max(float(np.abs(a[n]).max(initial=0.0)) for a in (right, found)) or 1.0)
        for n in right
    )


def problems(seed: int) -> Iterator[tuple[Task, np.random.Generator]]:
    """Numbers for cells without end; cells that no gradient can be drawn for are passed over."""
    for _, own, number, random in tasks(seed):
        try:
            yield draw_task(own, number), random
        except (TinygradError, ValueError):
            continue


def finite(found: Any) -> bool:
    return all(np.isfinite(v).all() for v in found.values())


def single_mistakes(count: int, seed: int) -> dict[str, Any]:
    """The table of kinds: drawn, named at the first place, tied, among the first three."""
    table: dict[str, Counter[str]] = defaultdict(Counter)
    took: list[float] = []
    for task, random in problems(seed):
        if sum(row["drawn"] for row in table.values()) >= count:
            break
        try:
            wrong = draw(task, random)
            if wrong is None:
                continue
            right, found = carry_out(task), carry_out(task, wrong)
        except (TinygradError, ValueError):
            continue
        if not finite(found) or seen(right, found) < 1e-5:
            continue
        start = time.process_time()
        told = diagnose(task.cell, found={n: single(v) for n, v in found.items()}, **task.given())
        took.append(time.process_time() - start)
        row = table["/".join(sorted(wrong.kinds))]
        row["drawn"] += 1
        row["first"] += told.kind in wrong.kinds
        row["three"] += bool(wrong.kinds & set(told.likely[:3]))
        if told.kind not in wrong.kinds:
            exact = diagnose(task.cell, found=found, **task.given())
            row["tie"] += bool(wrong.kinds & set(exact.likely))
            print(f"  {task.cell.name}: {wrong.what} told as {told.kind}, {told.likely}")
    return {"table": table, "seconds": {"mean": float(np.mean(took)), "most": max(took)}}


def pairs(count: int, seed: int) -> dict[str, Any]:
    """Two mistakes at once."""
    drawn = named = 0
    took: list[float] = []
    for task, random in problems(seed):
        if drawn >= count:
            break
        try:
            both = draw_pair(task, random)
            if both is None:
                continue
            right = carry_out(task)
            one, two, found = (carry_out(task, wrong) for wrong in both)
        except (TinygradError, ValueError):
            continue
        changes = [(right, one), (right, two), (one, found), (two, found), (right, found)]
        if not finite(found) or min(seen(a, b) for a, b in changes) < 1e-4:
            continue
        start = time.process_time()
        told = diagnose(task.cell, found={n: single(v) for n, v in found.items()}, **task.given())
        took.append(time.process_time() - start)
        drawn += 1
        named += names(told.kinds, both[0], both[1])
    return {"drawn": drawn, "named": named, "seconds": float(np.mean(took))}


def names(kinds: tuple[str, ...], one: Wrong, two: Wrong) -> bool:
    """Whether both mistakes are named, in whichever order."""
    return len(kinds) == 2 and any(
        a in one.kinds and b in two.kinds for a, b in (kinds, kinds[::-1])
    )


def right_ones(count: int, seed: int) -> dict[str, Any]:
    """Right gradients by where they are from: how many, and how many were called wrong."""
    table: dict[str, Counter[str]] = defaultdict(Counter)
    source = problems(seed)
    for k in range(count):
        sort = ["float64", "float32", "samples", "steps", "PyTorch", "JAX"][k % 6]
        if sort in ("PyTorch", "JAX"):
            if not (TORCH if sort == "PyTorch" else JAX):
                continue
            cell, found, given = (torch_layer if sort == "PyTorch" else jax_lstm)(seed + k)
        else:
            task, random = next(source)
            if random.random() < 0.25:  # saturated gates
                large = {n: 4 * v for n, v in task.p.items()}
                task = Task(task.cell, task.sizes, large, task.xs, task.h_bar, task.initial,
                            task.further)  # fmt: skip
            cell, given = task.cell, task.given()
            with np.errstate(all="ignore"):
                try:
                    found = {
                        "float64": lambda task=task: of_engine(task, lambda a: a),
                        "float32": lambda task=task: of_engine(task, single),
                        "samples": lambda task=task: in_samples(task),
                        "steps": lambda task=task: by_program(task),
                    }[sort]()
                except (TinygradError, ValueError):
                    continue
            if not found or not finite(found):
                continue
        told = diagnose(cell, found=found, **given)
        table[sort]["compared"] += 1
        table[sort]["called wrong"] += not told.right
        if not told.right:
            print(f"  {cell.name}, {sort}, {k}: {told}")
    return {name: dict(row) for name, row in table.items()}


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mistakes", type=int, default=500)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--right", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    np.seterr(all="ignore")
    found: dict[str, Any] = {"seed": options.seed}
    if options.mistakes:
        found["mistakes"] = single_mistakes(options.mistakes, options.seed)
        table = found["mistakes"]["table"]
        total: Counter[str] = sum(table.values(), Counter())
        print("| kind | drawn | first place | tie | first three |\n|---|---:|---:|---:|---:|")
        for kind, row in [*sorted(table.items()), ("all", total)]:
            print(f"| {kind} | {row['drawn']} | {row['first']} | {row['tie']} | {row['three']} |")
        print(found["mistakes"]["seconds"])
    if options.pairs:
        found["pairs"] = pairs(options.pairs, options.seed + 1)
        print("pairs:", found["pairs"])
    if options.right:
        found["right"] = right_ones(options.right, options.seed + 2)
        print("right gradients:", found["right"])
    options.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
