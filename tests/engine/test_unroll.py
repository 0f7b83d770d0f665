"""Running a cell over a sequence."""

import tracemalloc
from typing import Any

import numpy as np
import pytest

from tinygrad_lstm import Tensor, cell, cells, concat, grad, matvec, tanh, unroll
from tinygrad_lstm.graph import ancestors

RANDOM = np.random.default_rng(3)
P = cells.lstm.init(inputs=3, hidden=4, seed=1)
XS = RANDOM.normal(size=(5, 2, 3))


def test_shapes_and_names() -> None:
    run = unroll(cells.lstm, P, XS)
    assert list(run.steps[0]) == ["f", "i", "C_tilde", "C", "o", "h"]
    assert [run[name].shape for name in run.steps[0]] == [(5, 2, 4)] * 6
    assert {name: t.shape for name, t in run.final.items()} == {"h": (2, 4), "C": (2, 4)}
    assert len(run) == 5
    assert unroll(cells.lstm, P, XS[:, 0])["h"].shape == (5, 4)
    assert unroll(cells.lstm, P, XS[:, :, None])["h"].shape == (5, 2, 1, 4)
    assert repr(run) == "Run of cell 'lstm' over 5 steps: f, i, C_tilde, C, o, h"


def test_nodes_know_their_name_and_time() -> None:
    run = unroll(cells.lstm, P, XS)
    for t, step in enumerate(run.steps):
        assert {(name, node.name, node.time) for name, node in step.items()} == {
            (name, name, t) for name in step
        }
        assert (run.inputs[t].name, run.inputs[t].time) == ("x", t)


def test_the_stacked_value_is_one_node_and_the_last_step_is_the_final_state() -> None:
    run = unroll(cells.lstm, P, XS)
    assert run["C"] is run["C"]
    np.testing.assert_array_equal(run["C"].data[-1], run.final["C"].data)


def test_initial_states_default_to_zero_and_broadcast_over_the_batch() -> None:
    h = RANDOM.normal(size=4)
    one = unroll(cells.lstm, P, XS, {"h": h})
    all_ = unroll(cells.lstm, P, XS, {"h": np.stack([h, h]), "C": np.zeros((2, 4))})
    np.testing.assert_array_equal(one["h"].data, all_["h"].data)


def test_gradients_arrive_where_tensors_were_given() -> None:
    xs, h0 = Tensor(XS), Tensor(np.zeros(4))
    run = unroll(cells.lstm, P, xs, {"h": h0})
    run["h"].sum().backward()
    assert xs.grad.shape == XS.shape
    assert h0.grad.shape == (4,)
    assert np.all(P.W_f.grad.data != 0.0)


def test_mappings_of_arrays_serve_as_parameters() -> None:
    plain = {name: t.numpy() for name, t in P.items()}
    np.testing.assert_array_equal(
        unroll(cells.lstm, plain, XS)["h"].data, unroll(cells.lstm, P, XS)["h"].data
    )


def test_a_weight_shared_over_time_has_the_sum_of_its_steps_gradients() -> None:
    run = unroll(cells.rnn, q := cells.rnn.init(inputs=3, hidden=4, seed=2), XS)
    run["h"].sum().backward()
    total = np.zeros((4, 7))
    states = [np.zeros((2, 4)), *(step["h"].data for step in run.steps)]
    for t, step in enumerate(run.steps):
        adjoint = step["h"].grad.data * (1 - step["h"].data ** 2)
        total += adjoint.T @ np.concatenate([states[t], XS[t]], axis=-1)
    np.testing.assert_allclose(q.W.grad.data, total, rtol=1e-12)


@cell(
    state={"h": "hidden", "M": "slots, hidden"},
    parameters={"W": "hidden, hidden + inputs"},
    sequences={"noise": "hidden"},
    constants={"mask": "slots"},
)
def memory(now: Any, prev: Any, x: Any, p: Any, noise: Any, mask: Any) -> None:
    """A state with two axes, a sequence of noise and a constant mask."""
    now.h = tanh(matvec(p.W, concat(prev.h, x))) + noise
    now.M = prev.M * mask.reshape(-1, 1) + now.h.reshape(*now.h.shape[:-1], 1, now.h.shape[-1])


def test_further_inputs_and_states_of_other_shapes() -> None:
    p = memory.init(inputs=3, hidden=4, slots=2)
    noise, mask = RANDOM.normal(size=(5, 2, 4)), np.array([1.0, 0.5])
    run = unroll(memory, p, XS, noise=noise, mask=mask)
    assert run.final["M"].shape == (2, 2, 4)
    expected = sum(run["h"].data[t] * 0.5 ** (4 - t) for t in range(5))
    np.testing.assert_allclose(run.final["M"].data[:, 1], expected, rtol=1e-12)


def test_long_sequences_need_no_recursion() -> None:
    """T = 20,000 steps of an RNN are 100,000 operations."""
    p = cells.rnn.init(inputs=1, hidden=2, seed=0)
    xs = Tensor(np.linspace(-1, 1, 20_000).reshape(-1, 1))
    unroll(cells.rnn, p, xs).final["h"].sum().backward()
    assert np.isfinite(p.W.grad.data).all()


def test_nothing_is_kept_once_a_run_is_dropped() -> None:
    def once() -> None:
        unroll(cells.lstm, P, np.ones((200, 8, 3)))["h"].sum().backward()

    once()
    tracemalloc.start()
    for _ in range(5):
        once()
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < peak / 10


def test_second_derivatives_through_time() -> None:
    def loss(p: Any) -> Any:
        return unroll(cells.gru, p, XS)["h"].sum()

    p = cells.gru.init(inputs=3, hidden=2, seed=4)
    direction = {name: RANDOM.normal(size=t.shape) for name, t in p.items()}

    def slope(q: Any) -> Any:
        inner = grad(loss)(q)
        return sum((inner[n] * v).sum() for n, v in direction.items())

    curvature = grad(slope)(p)
    h = 1e-5
    ahead, behind = (
        grad(loss)(p.replace({n: t.data + s * h * direction[n] for n, t in p.items()}))
        for s in (1, -1)
    )
    for name in p:
        expected = (ahead[name].data - behind[name].data) / (2 * h)
        np.testing.assert_allclose(curvature[name].data, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["h", "C"])
def test_states_may_be_carried_with_or_without_their_graph(name: str) -> None:
    first = unroll(cells.lstm, P, XS[:2])
    carried = unroll(cells.lstm, P, XS[2:], first.final)
    cut = unroll(cells.lstm, P, XS[2:], {n: t.detach() for n, t in first.final.items()})
    np.testing.assert_array_equal(carried[name].data, cut[name].data)
    cut[name].sum().backward()
    assert first.final["h"].grad is None
    carried[name].sum().backward()
    assert first.final["h"].grad is not None


def test_two_runs_of_the_same_shapes_share_no_first_state() -> None:
    """What is found once for a shape is no node of a graph; figures of both runs are alike."""
    p, xs = cells.rnn.init(inputs=2, hidden=3), np.ones((2, 2))
    first, second = unroll(cells.rnn, p, xs), unroll(cells.rnn, p, xs)
    assert first.initial["h"] is not second.initial["h"]
    assert second.initial["h"].name == "prev.h"
    orders = [
        [n.name for n in ancestors([run["h"].sum()]) if n.name and n.name not in p]
        for run in (first, second)
    ]
    assert orders[0] == orders[1]
