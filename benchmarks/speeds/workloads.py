"""What is measured: workloads, and the goals that are set for them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tinygrad_lstm import cell_files, cells, sizes


@dataclass(frozen=True)
class Workload:
    """A cell, NAME or path/to/file.py:NAME, with sizes, dtype and number of threads.

    Data and parameters are drawn from a fixed seed: the same in every process.
    """

    cell: str = "lstm"
    time: int = 100
    batch: int = 32
    inputs: int = 64
    hidden: int = 128
    dtype: str = "float32"
    threads: int = 1
    input_gradient: bool = False

    def __str__(self) -> str:
        inputs = sizes.shape(self.found.x, self.sizes)[-1]  # some read as many as they put out
        shape = f"{self.time}, {self.batch}, {inputs}, {self.hidden}"
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        return f"{self.cell}, {shape}, {self.dtype}, {threads}"

    @cached_property
    def found(self) -> Any:
        """The cell."""
        return cell_files.find(self.cell)

    @cached_property
    def sizes(self) -> dict[str, int]:
        """The cell's sizes: what it puts out has `hidden` units, and x has `inputs` features.

        Any other size is a quarter of `hidden`. A cell whose x is declared "hidden" reads that.
        """
        cell = self.found
        known = {name: max(1, self.hidden // 4) for name in cell.sizes}
        for words, n in ((cell.x, self.inputs), (cell.state[cell.output], self.hidden)):
            known |= dict.fromkeys(sizes.names({"": words}), n)
        return known

    @cached_property
    def random(self) -> np.random.Generator:
        """The numbers that data are drawn from."""
        return np.random.default_rng(20)

    @cached_property
    def parameters(self) -> Any:
        """Parameters: matrices as `init` draws them, vectors uniform in ±0.1."""
        p = self.found.init(seed=0, dtype=self.dtype, **self.sizes)
        vectors = {
            n: np.random.default_rng(k).uniform(-0.1, 0.1, t.shape).astype(self.dtype)
            for k, (n, t) in enumerate(p.items())
            if t.ndim < 2
        }
        return p.replace(vectors)

    def _drawn(self, words: str, *lead: int) -> Any:
        shape = (*lead, *sizes.shape(words, self.sizes))
        return self.random.random(shape, dtype=self.dtype)  # type: ignore[call-overload]

    @cached_property
    def xs(self) -> Any:
        """The inputs, (time, batch, …), uniform in ±1."""
        return 2 * self._drawn(self.found.x, self.time, self.batch) - 1

    @cached_property
    def G(self) -> Any:
        """The loss is Σ output ⊙ G: the adjoint that the backward pass starts from, in ±1."""
        cell = self.found
        return 2 * self._drawn(cell.state[cell.output], self.time, self.batch) - 1

    @cached_property
    def further(self) -> dict[str, Any]:
        """The cell's further inputs, uniform in [0, 1]; rows of constants have the sum 1.

        (With larger sums some states explode, and rounding errors with them.)
        """
        found, lead = self.found, (self.time, self.batch)
        constants = {n: self._drawn(words) for n, words in found.constants.items()}
        return {
            **{n: self._drawn(words, *lead) for n, words in found.sequences.items()},
            **{n: v / v.sum(axis=-1, keepdims=True) for n, v in constants.items()},
        }

    def draw(self) -> None:
        """Draw everything, always in the same order."""
        _ = self.parameters, self.xs, self.G, self.further


@dataclass(frozen=True)
class Goal:
    """The time of `ours` over that of `against` is to be at most `limit`; None: no goal is set.

    by_hand: what code written by hand for that cell alone has reached.
    """

    ours: str
    against: str
    limit: float | None
    by_hand: str = "-"


@dataclass(frozen=True)
class Row:
    """A row of the table: a workload under a label, with its goals."""

    label: str
    workload: Any  # a Workload, or one of `tasks.py`
    goals: tuple[Goal, ...]

    @property
    def text(self) -> str:
        """Label and workload."""
        return f"{self.label}: {self.workload}"


S = Workload(time=20, batch=1, inputs=8, hidden=16)
M = Workload()
L = Workload(time=200, batch=64, inputs=256, hidden=512)
PEEPHOLES = "lstm_peephole_gers"
_change = dataclasses.replace


def _goals(against: str, c: float, c_by_hand: str, numpy: float | None, by_hand: str) -> Any:
    return Goal("c", against, c, c_by_hand), Goal("numpy", against, numpy, by_hand)


def table() -> list[Row]:
    """All rows."""
    diagonal = _change(M, cell=PEEPHOLES)
    rows = [
        Row("S", S, _goals("module", 0.5, "0.02", 1.0, "0.94")),
        Row("M", M, _goals("module", 0.78, "0.78-0.89", 1.6, "1.54")),
        Row("M2", _change(M, threads=2), _goals("module", 0.75, "0.75", None, "2.0")),
        Row("M64", _change(M, dtype="float64"), _goals("module", 0.46, "0.62", None, "0.96")),
        Row("L", L, _goals("module", 0.72, "0.77-0.82", None, "1.05")),
        Row(
            "P",
            diagonal,
            (
                *_goals("eager", 0.35, "0.34", None, "0.71"),
                *_goals("torch.compile", 0.55, "0.55", None, "1.2"),
            ),
        ),
        Row(
            "P2",
            _change(diagonal, threads=2),
            (
                *_goals("eager", 0.25, "0.23", None, "0.71"),
                *_goals("torch.compile", 0.45, "0.42", None, "1.3"),
            ),
        ),
        Row(
            "PL2",
            _change(L, cell=PEEPHOLES, threads=2),
            _goals("eager", 0.65, "0.64", None, "1.01"),
        ),
    ]
    others = [name for name in cells.all() if name not in (M.cell, PEEPHOLES)]
    return rows + [
        Row(name, _change(M, cell=name), (Goal("c", "written", 0.4), Goal("c", "eager", None)))
        for name in others
    ]


def row_of(workload: Workload) -> Row:
    """A row for a workload of one's own: the goals of the table where it has this workload."""
    for row in table():
        if _change(workload, input_gradient=False) == row.workload:
            return Row(row.label, workload, row.goals)
    pairs = [(ours, to) for to in ("module", "eager", "torch.compile") for ours in ("c", "numpy")]
    return Row("own", workload, tuple(Goal(ours, to, None) for ours, to in pairs))
