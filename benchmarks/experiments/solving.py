"""Tables of who solves a task: cells × seeds, each trained until it is solved, or so long."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.experiments.parts import Part, beside, learnt, share, spread, table
from lesson import plots
from tinygrad_lstm.learning import Adam, tasks


@dataclass(frozen=True)
class Solving:
    """A task, the cells that try it, and how.

    options: of the task; steps: at most; hidden: units; rate: of Adam; seeds: how many; floor: the
    steps below which no budget goes.
    """

    task: str
    cells: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 3000
    hidden: int = 16
    rate: float = 0.01
    seeds: int = 5
    batch: int = 32
    every: int = 50
    stop: bool = True

    def parts(self, budget: float) -> list[Part]:
        """A part for each cell and seed."""
        seeds = max(1, math.ceil(self.seeds * min(1.0, budget)))
        steps = max(self.every, round(self.steps * budget))
        return [
            Part(f"{spec}, seed {seed}", self._run(spec, seed, steps))
            for seed in range(seeds)
            for spec in self.cells
        ]

    def _run(self, spec: str, seed: int, steps: int) -> Callable[[], dict[str, Any]]:
        def run() -> dict[str, Any]:
            task = tasks.find(self.task, **self.options)
            sizes: dict[str, Any] = {"hidden": self.hidden}
            if spec.startswith("lstm_1997"):  # two blocks of two cells, as in the paper
                sizes = {"cells": 4, "blocks": 2}
                task = beside(task, expand=np.kron(np.eye(2), np.ones((2, 1))))
            return learnt(
                task, spec, steps, seed, self.every, self.stop, optimiser=Adam(self.rate),
                batch=self.batch, **sizes,
            )  # fmt: skip

        return run

    def by_cell(self, found: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
        """The results of each cell, over seeds."""
        rows: dict[str, list[dict[str, Any]]] = {spec: [] for spec in self.cells}
        for key, row in found.items():
            spec = key.partition(", seed")[0]
            rows.setdefault(spec, []).append(row)
        return {spec: several for spec, several in rows.items() if several}

    def table(self, found: Mapping[str, Any]) -> str:
        """Success, sequences until then, and the measures at the end."""
        lines = []
        several = self.by_cell(found)
        names = [*next(iter(several.values()))[0]["measures"]] if several else []
        for spec, rows in several.items():
            solved = [r["sequences"] for r in rows if r["solved"]]
            most = max(r["sequences"] for r in rows)
            after = spread([float(s) for s in solved]) if solved else f"not within {most:,}"
            after = f"{np.mean(solved):,.0f} ({min(solved):,}–{max(solved):,})" if solved else after
            measures = [spread([r["measures"][n] for r in rows]) for n in names]
            lines.append(
                (spec, rows[0]["parameters"], share(len(solved), len(rows)), after, *measures)
            )
        return table(["cell", "parameters", "solved", "after sequences", *names], lines)

    def picture(self, found: Mapping[str, Any], title: str, label: str) -> str:
        """The learning curves of the first seed."""
        lines = {}
        for spec, rows in self.by_cell(found).items():
            row = next(iter(rows))
            lines[spec] = [(self.batch * step, value) for step, value in row["curve"] if step]
        return plots.curves(lines, title, "sequences", label)

    def setting(self) -> str:
        """How it was trained, in a sentence."""
        options = ", ".join(f"{k} {v}" for k, v in self.options.items())
        return (
            f"Task `{self.task}`{f' ({options})' if options else ''}, {self.hidden} units, Adam "
            f"with rate {self.rate:g}, {self.batch} sequences a step, gradient norm at most 1, at "
            f"most {self.steps:,} steps, {self.seeds} seeds at full size. No rate was searched for."
        )
