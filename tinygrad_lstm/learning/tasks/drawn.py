"""Tasks whose sequences are drawn: without end to learn from, always the same to be tested on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np

from tinygrad_lstm.learning.task import Batch, Task
from tinygrad_lstm.learning.tasks.measures import DRAWN, Measure
from tinygrad_lstm.learning.tasks.registry import Lazily
from tinygrad_lstm.tensor import Array

Random = np.random.Generator
Draw = Callable[[Random, int], Batch]
TESTED = 512


def endless(draw: Draw) -> Callable[[Random, int], Iterator[Batch]]:
    """One batch after another."""

    def batches(random: Random, batch: int) -> Iterator[Batch]:
        while True:
            yield draw(random, batch)

    return batches


def drawn(
    name: str,
    draw: Draw,
    baselines: Callable[[Batch], Mapping[str, float]],
    *,
    count: int = TESTED,
    held: Draw | None = None,
    **fields: Any,
) -> Task:
    """A task of what is drawn. baselines: of the held-out sequences; fields: others of a `Task`.

    count: how many sequences are held out, drawn by `held`, as all others unless given, from random
    numbers that no training has.
    """
    test = cache(lambda: (held or draw)(np.random.default_rng([0, 2**32 - 1, 1997]), count))
    return Task(
        name,
        batches=endless(draw),
        test=test,
        baselines=Lazily(lambda: baselines(test())),
        licence=DRAWN,
        size=f"drawn without end; {count:,} held out",
        **fields,
    )


def of_the_mean(
    found: Mapping[str, Measure], mean: Callable[[Batch], float]
) -> Callable[[Batch], dict[str, float]]:
    """Measures of who always says the mean of all targets."""

    def baselines(batch: Batch) -> dict[str, float]:
        said: Array = np.full_like(batch.target, mean(batch))
        return {f"{name} of the mean": measure(said, batch) for name, measure in found.items()}

    return baselines
