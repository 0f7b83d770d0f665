"""Random inputs of a cell, the complex step on a function, and networks that run themselves."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lstm
from tinygrad_lstm import cells, unroll
from tinygrad_lstm.numerical import complex_slope, complex_step
from tinygrad_lstm.testing.inputs import random_arrays, random_inputs

CELL = cells.clockwork  # which has a further input for each step, and one for all


def test_a_case_is_all_that_a_run_needs() -> None:
    case = random_inputs(CELL, {"hidden": 4, "inputs": 2}, steps=5, batch=3, rng=1)
    assert case.xs.shape == (5, 3, 2) and case.batch_shape == (3,) and case.time == 5
    assert {name: a.shape for name, a in case.initial.items()} == {"y_H": (3, 4)}
    assert {*case.further} == {*CELL.extra_inputs}
    run = case.unroll()
    assert run["y_H"].shape == (5, 3, 4)
    alone = case.sample(1).unroll()
    np.testing.assert_allclose(alone["y_H"].data, run["y_H"].data[:, 1], atol=1e-14)
    again = random_inputs(CELL, case.sizes, steps=5, batch=3, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(again.xs, case.xs)


def test_a_program_runs_on_random_arrays() -> None:
    gradient = cells.lstm.program().gradient(wrt="W_f", of="h")
    values = gradient.run(**random_arrays(gradient, rng=2))
    assert np.any(values["W_f"] != 0.0)


def test_random_inputs_need_neither_hypothesis_nor_pytest() -> None:
    code = (
        "import sys\nsys.modules['hypothesis'] = sys.modules['pytest'] = None\n"
        "from tinygrad_lstm import cells\n"
        "from tinygrad_lstm.testing.inputs import random_inputs\n"
        "random_inputs(cells.gru).unroll()"
    )
    root = Path(tinygrad_lstm.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()


def test_complex_steps_of_a_function() -> None:
    x = np.array([[0.3, -1.2], [2.0, 0.1]])
    np.testing.assert_allclose(complex_slope(np.sin, x), np.cos(x), rtol=1e-15)
    # Σ (x @ x) has derivative Σ_j x_lj + Σ_i x_ik in x_kl
    expected = x.sum(axis=1)[None, :] + x.sum(axis=0)[:, None]
    np.testing.assert_allclose(complex_step(lambda v: v @ v, x), expected, rtol=1e-14)


class Doubled(tinygrad_lstm.Cell):
    """A cell with a way of its own over a sequence."""

    def over(self, p: Any, inputs: Any) -> Any:
        return unroll(cells.rnn, p, 2.0 * inputs.x.sequence)


def test_a_network_that_runs_itself_is_asked() -> None:
    own = Doubled(cells.rnn.step, state="h", parameters=cells.rnn.parameters)
    p, xs = cells.rnn.init(inputs=2, hidden=3), np.ones((4, 2))
    np.testing.assert_array_equal(
        unroll(own, p, xs)["h"].data, unroll(cells.rnn, p, 2 * xs)["h"].data
    )


def test_a_state_that_is_none_says_what_is() -> None:
    run = random_inputs(cells.lstm).unroll()
    with pytest.raises(KeyError, match=r"no final state 'g'; the states are h, C.\n.*steps\[-1\]"):
        run.final["g"]


def test_a_mean_of_nothing_says_so() -> None:
    with pytest.raises(ValueError, match="there is nothing to take the mean of"):
        tinygrad_lstm.Tensor(np.zeros((0, 2))).mean()


@tinygrad_lstm.cell(state="h", parameters={"W": "hidden, rows"}, x="rows, columns")
def of_matrices(now: Any, prev: Any, x: Any, p: Any) -> None:
    now.h = tinygrad_lstm.tanh(p.W @ x.sum(axis=1) + prev.h)


def test_a_matrix_of_another_shape_is_named_by_its_sizes() -> None:
    p = of_matrices.init(rows=3, hidden=2)
    with pytest.raises(ValueError) as caught:
        unroll(of_matrices, p, np.ones((4, 6, 5)))
    assert str(caught.value) == (
        "cell 'of_matrices': x has shape (6, 5), but it is (rows=3, columns=5).\n"
        "  Build the parameters for the shape of x, or pass x of shape (3, 5)."
    )
