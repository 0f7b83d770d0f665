"""Every cell of the corpus and of the package: compiled code beside the interpreter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from compiling import MISSING

from readings.subjects import CELLS, Result, close, draw, equal_sizes
from tinygrad_lstm import compiled


def compiled_is_interpreted(cell: Any) -> None:
    n, same = equal_sizes(cell)
    for time, batch, sizes in ((4, 3, {}), (n, n, same), (2, None, {})):
        q = draw(cell, time, batch, **sizes)
        plain = Result(q)
        for options in ({"code": "numpy"}, {"code": "numpy", "memory": "low", "every": 2}):
            agree(plain, Result(q, compiled(cell, **options)), 1e-12, str(options))


def compiled_c_is_interpreted(cell: Any) -> None:
    if MISSING:
        pytest.skip(MISSING)
    q = draw(cell, 3, 3, **equal_sizes(cell)[1])
    agree(Result(q), Result(q, compiled(cell, code="c")), 1e-10, "C")


def agree(plain: Result, fast: Result, tolerance: float, how: str) -> None:
    assert plain.run.names == fast.run.names
    for name in plain.run.names:
        assert plain.run[name].dtype == fast.run[name].dtype, f"{how}: {name}"
        close(fast.value(name), plain.value(name), tolerance, f"{how}: {name}")
    for name, gradient in plain.gradients.items():
        other = fast.gradients[name]
        assert (gradient is None) == (other is None), f"{how}: the gradient of {name}"
        if gradient is not None:
            close(other, gradient, tolerance, f"{how}: the gradient of {name}")


READINGS = (compiled_is_interpreted, compiled_c_is_interpreted)


@pytest.mark.sample(2)
@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("reading", READINGS, ids=lambda f: f.__name__)
def test_every_cell(reading: Callable[[Any], None], name: str) -> None:
    reading(CELLS[name])
