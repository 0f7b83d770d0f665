"""What the experiments have in common: parts that are done once, trainings, tables, the store."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from tinygrad_lstm import Cell, cells
from tinygrad_lstm.atomic import hold, replace_whole
from tinygrad_lstm.learning import Batch, DivergenceError, Task, Training
from tinygrad_lstm.searching.trials import commit, versions

ROOT = Path(__file__).parents[2]
STORE = ROOT / "benchmarks" / "results" / "experiments"
PAGES = ROOT / "docs" / "experiments"


@dataclass(frozen=True)
class Part:
    """A piece of an experiment: its key among the results, and what computes it.

    partly: of one that is not at its end what there is, and which share of it; None for nothing.
    """

    key: str
    run: Callable[[], Any]
    partly: Callable[[], tuple[Any, float] | None] = lambda: None


class Results:
    """What has been measured of an experiment: one JSON file, a row a part."""

    def __init__(self, name: str) -> None:
        self.path = STORE / f"{name}.json"

    def read(self) -> dict[str, Any]:
        """Every part by its key."""
        if not self.path.exists():
            return {}
        found: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        return found

    def add(self, key: str, budget: float, result: Any, seconds: float) -> None:
        """Store a part, beside what another process stores."""
        row = {
            "budget": budget, "result": result, "cpu": round(seconds, 1), "commit": commit()[:12],
            "versions": versions(),
        }  # fmt: skip
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(self.path):
            rows = self.read() | {key: row}
            lines = [f"{json.dumps(k)}: {json.dumps(rows[k])}" for k in sorted(rows)]
            with replace_whole(self.path) as file:
                file.write(("{\n" + ",\n".join(lines) + "\n}\n").encode())

    def done(self, key: str, budget: float) -> bool:
        """Whether a part is there, of this budget or a larger one."""
        row = self.read().get(key)
        return row is not None and row["budget"] >= budget

    def results(self) -> dict[str, Any]:
        """The results alone."""
        return {key: row["result"] for key, row in self.read().items()}


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    while True:
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(hold(path))
            except BlockingIOError:
                time.sleep(0.1)
                continue
            yield
            return


# --- trainings ------------------------------------------------------------------------------------
def cell_of(spec: str) -> tuple[Cell, dict[str, float]]:
    """A cell and starts: "lstm b_f=4" is the LSTM whose forget bias starts at 4."""
    name, *starts = spec.split()
    found = (start.partition("=") for start in starts)
    return cells.all()[name], {key: float(value) for key, _, value in found}


def learnt(
    task: Task, spec: str, steps: int, seed: int, every: int = 50, stop: bool = True, **options: Any
) -> dict[str, Any]:
    """Train until the task is solved, or for so many steps: what is stored of it."""
    cell, starts = cell_of(spec)
    training = Training(task, cell, seed=seed, every=every, **starts, **options)
    begun = time.process_time()
    batch = training.settings.batch
    diverged = False
    try:
        training.run(steps=steps, until="solved" if stop else None)
    except DivergenceError:
        diverged = True
    main = next(iter(task.measures))
    curve = [[r.step, _rounded(r.measures[main])] for r in training.history]
    last = training.history[-1].measures
    return {
        "solved": training.solved and not diverged,
        "steps": training.state.step,
        "sequences": training.state.step * batch,
        "measures": {name: _rounded(value) for name, value in last.items()},
        "best": min(value for _, value in curve),
        "curve": curve[:: max(1, len(curve) // 20)],
        "parameters": int(training.parameters.vector.size),
        "diverged": diverged,
        "cpu": round(time.process_time() - begun, 2),
    }


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")


def beside(task: Task, **further: Any) -> Task:
    """The task with further inputs for the network, the same for every batch."""

    def given(batch: Batch) -> Batch:
        return replace(batch, further={**batch.further, **further})

    return replace(
        task,
        batches=lambda random, size: map(given, task.batches(random, size)),
        test=lambda: [given(batch) for batch in task.tests()],
    )


# --- tables ---------------------------------------------------------------------------------------
def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows as Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def spread(values: Sequence[float], digits: int = 3) -> str:
    """Mean ± standard deviation over seeds; one value alone without."""
    if not values:
        return "–"
    if len(values) == 1:
        return f"{values[0]:.{digits}g}"
    return f"{mean(values):.{digits}g} ± {stdev(values):.2g}"


def share(successes: int, trials: int) -> str:
    """Successes of trials, with Wilson's interval of 95 %."""
    if not trials:
        return "–"
    z, p, n = 1.96, successes / trials, trials
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return f"{successes}/{trials} ({100 * low:.0f}–{100 * high:.0f} %)"


def said_of(rows: Mapping[str, Any], wanted: Sequence[str]) -> str:
    """What produced the numbers: budgets, CPU time, commit, versions, and what is not there."""
    there = [row for key, row in rows.items() if key in wanted] or [*rows.values()]
    missing = len([key for key in wanted if key not in rows])
    budgets = sorted({row["budget"] for row in there})
    cpu = sum(row["cpu"] for row in there)
    text = (
        f"{len(there)} parts at a budget of {', '.join(f'{b:g}' for b in budgets)} (1 is full "
        f"size), {cpu / 60:.1f} minutes of processor time in all."
    )
    if missing:
        text += f" **{missing} of {len(wanted)} parts were not run.**"
    if there:
        version = there[-1]["versions"]
        named = ", ".join(f"{name} {v}" for name, v in version.items())
        text += f" Last at commit {there[-1]['commit'] or 'unknown'}, {named}."
    return text
