"""Every cell, of the corpus and of the package: gradients, batches, halves, SymPy and engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lesson.cell_checks import sympy_against_engine
from readings.subjects import CELLS, Result, alone, close, draw, equal_sizes
from tinygrad_lstm import check_gradients, concat, unroll
from tinygrad_lstm.testing.strategies import Case


def complex_step_on_all_equations(cell: Any) -> None:
    q = draw(cell, time=2, batch=None)

    def every(p: Any, xs: Any, initial: Any, further: Any) -> Any:
        begin = {name.removeprefix("initial "): value for name, value in initial.items()}
        run = unroll(cell, p, xs, begin, **further)
        values = [run[name] for name in run.names if run[name].dtype.kind in "fc"]
        return concat(*(value.reshape(-1) for value in values))

    begin = {f"initial {name}": value for name, value in q.initial.items()}
    assert check_gradients(every, q.p, q.xs, begin, q.further).entries


def a_batch_is_its_samples(cell: Any) -> None:
    n, same = equal_sizes(cell)
    for time, batch, sizes in ((2, 3, {}), (n, n, same)):  # all different; all the same
        q = draw(cell, time, batch, **sizes)
        whole, parts = Result(q), [Result(alone(q, k)) for k in range(batch)]
        for name in whole.run.names:
            singles = np.stack([part.value(name) for part in parts], axis=1)
            close(whole.value(name), singles, 1e-12, name)
        for name, gradient in whole.gradients.items():
            found = [part.gradients[name] for part in parts]
            if gradient is None:
                assert all(g is None for g in found)
                continue
            axis = 1 if name == "xs" or name in cell.sequences else 0
            other = np.stack(found, axis) if name not in q.p else sum(found)
            close(gradient, other, 1e-12, f"the gradient of {name}")


def two_halves_are_the_whole(cell: Any) -> None:
    q = draw(cell, time=4, batch=2)
    whole = unroll(cell, q.p, q.xs, q.initial, **q.further)
    states: Any = q.initial
    for part in (slice(0, 3), slice(3, 4)):
        further = {n: v[part] if n in cell.sequences else v for n, v in q.further.items()}
        run = unroll(cell, q.p, q.xs[part], states, **further)
        states = run.final
        for name in run.names:
            close(run[name].data, whole[name].data[part], 1e-13, name)


def sympy_is_the_engine(cell: Any) -> None:
    q = draw(cell, time=2, batch=2)
    case = Case(cell, q.sizes, q.p, q.xs, q.initial, q.further)
    assert sympy_against_engine(case) < 1e-9


READINGS = (
    complex_step_on_all_equations,
    a_batch_is_its_samples,
    two_halves_are_the_whole,
    sympy_is_the_engine,
)


@pytest.mark.sample(2)
@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("reading", READINGS, ids=lambda f: f.__name__)
def test_every_cell(reading: Callable[[Any], None], name: str) -> None:
    reading(CELLS[name])
