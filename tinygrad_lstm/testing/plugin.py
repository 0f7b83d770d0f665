"""The pytest plugin: the fixture `gradcheck`. It is there once the package is installed.

def test_my_function(gradcheck):
    gradcheck(lambda x: tl.tanh(x) * x, np.ones(3), second_order=True)

def test_my_cell(gradcheck):
    gradcheck(my_cell)                    # on cases that Hypothesis draws
    gradcheck(my_cell, examples=100, seed=1)

def test_my_backward(gradcheck):
    gradcheck(cells.lstm, my_backward)    # a failure says which term is wrong
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def gradcheck() -> Callable[..., Any]:
    """Check a function's derivatives at arrays, or all properties of a cell; raises if one fails.

    `gradcheck(f, *arrays, second_order=False, seed=0)` is tinygrad_lstm.check_gradients.
    `gradcheck(cell, examples=25, seed=0)` checks numeric gradients of both orders, batch against
    singles, split against whole sequences and compiled code against the interpreter, and shows the
    smallest case that fails. `gradcheck(cell, my_backward)` compares a backward pass of your own
    with the derived one, and names the mistake in it (tinygrad_lstm.diagnose).
    """
    from tinygrad_lstm.testing import properties  # Hypothesis only where it is asked for

    return properties.gradcheck
