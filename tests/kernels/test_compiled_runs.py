"""Compiled cells beside others: errors, gradients of any order, memory, pickles and steps."""

from __future__ import annotations

import gc
import pickle
from typing import Any

import numpy as np
import pytest
from compiling import CODES, TOLERANCE, agree, problem
from operation_cells import attention, fast_weights, shared_parts

from tinygrad_lstm import (
    Tensor,
    bidirectional,
    cells,
    check_gradients,
    compiled,
    errors,
    grad,
    stack,
    step_through,
    unroll,
)

# --- errors ---------------------------------------------------------------------------------------
WRONG: dict[str, Any] = {
    "x": lambda p, xs: ((p, xs[..., :2]), {}),
    "axes": lambda p, xs: ((p, xs[0, 0]), {}),
    "empty": lambda p, xs: ((p, xs[:0]), {}),
    "nan": lambda p, xs: ((p, np.where(np.arange(4) > 2, np.nan, xs)), {}),
    "whole numbers": lambda p, xs: ((p, xs.astype(int)), {}),
    "lengths": lambda p, xs: ((p, xs), {"lengths": [6, 7, 1]}),
    "lengths of another batch": lambda p, xs: ((p, xs), {"lengths": [6, 1]}),
    "unknown state": lambda p, xs: ((p, xs, {"k": xs[0]}), {}),
    "shape of a state": lambda p, xs: ((p, xs, {"C": xs[0]}), {}),
    "nan in a state": lambda p, xs: ((p, xs, {"C": np.full((3, 3), np.nan)}), {}),
    "further": lambda p, xs: ((p, xs), {"clock": xs}),
    "a parameter is missing": lambda p, xs: (({n: p[n] for n in p if n != "W_f"}, xs), {}),
    "shape of a parameter": lambda p, xs: (({**p, "b_f": p["b_f"].data[:2]}, xs), {}),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_errors_are_those_of_the_interpreter(wrong: str) -> None:
    p = cells.lstm.init(hidden=3, inputs=4)
    arguments, options = WRONG[wrong](p, np.random.default_rng(0).normal(size=(6, 3, 4)))
    said = []
    for network in (cells.lstm, compiled(cells.lstm, "numpy")):
        with pytest.raises(errors.TinygradError) as caught:
            unroll(network, *arguments, **options)
        said.append((type(caught.value), str(caught.value)))
    assert said[0] == said[1]


@pytest.mark.parametrize("own", [cells.clockwork, cells.depth_gated, cells.lstm_1997, attention])
def test_a_further_input_that_is_missing(own: Any) -> None:
    sizes = {size: 3 + k for k, size in enumerate(own.sizes)}
    said = []
    for network in (own, compiled(own, "numpy")):
        with pytest.raises(errors.UnknownNameError, match="further inputs; pass them") as caught:
            unroll(network, own.init(**sizes), np.ones((2, sizes["inputs"])))
        said.append(str(caught.value))
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"code": "fortran"}, "code is 'auto', 'c', 'numpy', 'js' or 'wasm', got 'fortran'."),
        ({"memory": "none"}, "memory is 'full' or 'low', got 'none'."),
        ({"every": 3}, "every is a whole number of steps, with memory='low', got 3."),
        ({"memory": "low", "every": 0}, "every is a whole number of steps, with memory='low', got"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.CellError) as caught:
        compiled(cells.lstm, **arguments)
    assert str(caught.value).startswith(message)
    with pytest.raises(errors.CellError, match="needs a cell or a network, got 'lstm'"):
        compiled("lstm")
    with pytest.raises(errors.CellError, match="code is 'c', 'numpy', 'js' or 'wasm', got 'rust'"):
        compiled(cells.lstm).source("rust", inputs=2, hidden=2)


# --- gradients in every way they can be asked for -------------------------------------------------
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("name", ["lstm", "gru", "mut1"])
def test_second_derivatives(name: str, code: str) -> None:
    own = cells.all()[name]
    p = own.init(seed=3, **{size: 3 for size in own.sizes})
    xs = np.random.default_rng(1).normal(size=(4, 2, 3))
    v = {k: np.random.default_rng(4).normal(size=t.shape) for k, t in p.items()}

    def curvature(network: Any) -> dict[str, np.ndarray]:
        def loss(q: Any) -> Tensor:
            run = unroll(network, q, xs)
            return (run[own.output] ** 2).sum() + run.final[own.output].sum()

        def slope(q: Any) -> Tensor:
            first = grad(loss)(q)
            return sum_of([(first[k] * v[k]).sum() for k in v])

        return {k: t.numpy() for k, t in grad(slope)(p).items()}

    agree(curvature(own), curvature(compiled(own, code)), 10 * TOLERANCE[code, "d"])


def sum_of(terms: list[Any]) -> Any:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("second_order", [False, True])
def test_check_gradients_checks_compiled_cells(code: str, second_order: bool) -> None:
    fast = compiled(cells.lstm, code)
    p = cells.lstm.init(hidden=2, inputs=2)
    xs = np.random.default_rng(0).normal(size=(3, 2, 2))
    found = check_gradients(
        lambda q, xs: unroll(fast, q, xs)["h"], p, xs, second_order=second_order
    )
    assert found.entries == (2 if second_order else 1) * (4 * (2 * 4 + 2) + xs.size)


@pytest.mark.parametrize("code", CODES)
def test_backward_twice_gives_the_same(code: str) -> None:
    run, leaves = problem(cells.lstm).run(compiled(cells.lstm, code))
    loss = (run["h"] ** 2).sum()
    loss.backward()
    first = {name: leaf.grad.numpy() for name, leaf in leaves.items()}
    loss.backward()
    assert all(np.array_equal(leaf.grad.numpy(), first[n]) for n, leaf in leaves.items())
    (3 * run["h"]).sum().backward()  # another loss of the same run
    assert not np.allclose(leaves["xs"].grad.numpy(), first["xs"])
    loss.backward()
    assert all(np.allclose(leaf.grad.numpy(), first[n], 1e-12) for n, leaf in leaves.items())


@pytest.mark.parametrize("code", CODES)
def test_a_gradient_of_an_equation_that_no_one_asked_for_before(code: str) -> None:
    plain, fast = cells.lstm, compiled(cells.lstm, code)
    given = problem(plain)
    for name in ("h", "f", "C_tilde", "h"):
        gradients = []
        for network in (plain, fast):
            run, leaves = given.run(network)
            run[name].sum().backward()
            reached = {n: leaf for n, leaf in leaves.items() if leaf.grad is not None}
            gradients.append({n: leaf.grad.numpy() for n, leaf in reached.items()})
        for n in gradients[0]:
            assert np.allclose(gradients[0][n], gradients[1][n], 1e-10, 1e-10), (name, n)


# --- memory ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("memory", ["full", "low"])
@pytest.mark.parametrize("code", CODES)
def test_runs_share_no_memory(memory: str, code: str) -> None:
    for own in (cells.lstm, cells.gru, shared_parts, fast_weights):
        fast = compiled(own, code, memory)
        one, two = problem(own, seed=1), problem(own, seed=2)
        run, _ = one.run(fast)
        values = {name: run[name].data for name in run.names}  # views, not copies
        before = {name: np.array(value) for name, value in values.items()}
        other, _ = two.run(fast)
        (other[own.output] ** 2).sum().backward()
        (run[own.output] ** 2).sum().backward()
        (run[own.output] ** 2).sum().backward()
        for name in run.names:
            assert np.array_equal(values[name], before[name]), (own.name, name)
            assert np.array_equal(run[name].data, before[name]), (own.name, name)


@pytest.mark.parametrize("code", CODES)
def test_values_outlive_their_run(code: str) -> None:
    fast = compiled(cells.lstm, code)
    run, leaves = problem(cells.lstm).run(fast)
    h, final = run["h"], run.final["C"].data
    step = run.steps[3]["f"].data
    copies = [np.array(h.data), np.array(final), np.array(step)]
    del run
    gc.collect()
    for seed in range(8):  # more calls than blocks are kept
        other, _ = problem(cells.lstm, seed=seed).run(fast)
        other["h"].sum().backward()
    for value, copy in zip((h.data, final, step), copies, strict=True):
        assert np.array_equal(value, copy)
    h.sum().backward()
    plain, expected = problem(cells.lstm).run(cells.lstm)
    plain["h"].sum().backward()
    for name, leaf in leaves.items():
        assert np.allclose(leaf.grad.numpy(), expected[name].grad.numpy(), 1e-9, 1e-10), name


@pytest.mark.parametrize("code", CODES)
def test_an_array_of_the_caller_may_change_afterwards(code: str) -> None:
    fast = compiled(cells.lstm, code)
    p = cells.lstm.init(hidden=3, inputs=4)
    xs = np.random.default_rng(0).normal(size=(6, 3, 4))
    gradients = []
    for change in (False, True):
        own = xs.copy()
        run = unroll(fast, p, Tensor(own))
        if change:
            own[:] = 7.0
        run["h"].sum().backward()
        gradients.append(p.W_f.grad.numpy())
    assert np.array_equal(*gradients)


# --- other readings -------------------------------------------------------------------------------
LOSSES: dict[str, Any] = {
    "all steps": lambda run: (run["h"] ** 2).sum(),
    "the last step": lambda run: run.steps[-1]["h"].sum(),
    "final states and an equation": lambda run: run.final["C"].sum() + run["f"].mean(),
    "an equation of one step": lambda run: (run.steps[1]["o"] * run.steps[0]["h"]).sum(),
}


@pytest.mark.parametrize("options", [{}, {"lengths": [3, 1], "reverse": True}])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_stepper_shows_every_operation_of_a_compiled_run(
    loss: str, options: dict[str, Any]
) -> None:
    def trace(network: Any) -> Any:
        p = cells.lstm.init(hidden=2, inputs=2, seed=1)
        xs = np.random.default_rng(0).normal(size=(3, 2, 2))
        return step_through(LOSSES[loss](unroll(network, p, xs, **options)))

    plain, fast = trace(cells.lstm), trace(compiled(cells.lstm, "numpy"))
    assert [str(event) for event in fast] == [str(event) for event in plain]
    assert any(name.startswith("f_") for name in fast.equations())


def test_a_compiled_network_is_the_network_it_was_made_of() -> None:
    fast = compiled(cells.lstm)
    assert (fast.name, fast.state, fast.parameters) == (
        cells.lstm.name,
        cells.lstm.state,
        cells.lstm.parameters,
    )
    assert str(fast.program(hidden=3, inputs=2)) == str(cells.lstm.program(hidden=3, inputs=2))
    assert compiled(fast).plain is cells.lstm
    deep = compiled(stack([cells.lstm, bidirectional(cells.gru)]))
    assert deep.parts["1"].plain is cells.lstm
    assert deep.parts["2"].parts["backward"].plain is cells.gru


def test_a_compiled_cell_pickles_as_the_cell_it_was_made_of() -> None:
    fast = pickle.loads(pickle.dumps(compiled(cells.lstm, "numpy", "low", 3)))
    assert fast.plain is cells.lstm
    assert (fast.code, fast.memory, fast.every) == ("numpy", "low", 3)


def test_traced_and_complex_values_are_left_to_the_interpreter() -> None:
    fast, p = compiled(cells.lstm), cells.lstm.init(hidden=2, inputs=2)
    xs = np.random.default_rng(0).normal(size=(3, 2)) + 1e-3j
    assert np.array_equal(unroll(fast, p, xs)["h"].data, unroll(cells.lstm, p, xs)["h"].data)
