"""Stacks, both directions, padded batches: each against the same thing done by hand."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tinygrad_lstm import (
    Tensor,
    bidirectional,
    cells,
    check_gradients,
    concat,
    errors,
    stack,
    step_through,
    unroll,
)
from tinygrad_lstm.errors import UnknownNameError
from tinygrad_lstm.networks import Backward
from tinygrad_lstm.notation import name_unicode

RANDOM = np.random.default_rng(12)
TIME, BATCH, INPUTS = 6, 4, 3
XS = RANDOM.normal(size=(TIME, BATCH, INPUTS))
LENGTHS = [3, 6, 1, 4]  # unsorted

LSTM, GRU, RNN = cells.lstm, cells.gru, cells.rnn
NETWORKS: dict[str, Any] = {
    "cell": LSTM,
    "stack": stack([LSTM, RNN]),
    "bidirectional": bidirectional(LSTM),
    "two_kinds": bidirectional(RNN, GRU),
    "backward": Backward(GRU),
    "stack_of_bidirectional": stack([bidirectional(LSTM), bidirectional(GRU)]),
    "bidirectional_of_stack": bidirectional(stack([RNN, LSTM])),
    "nested": stack([stack([RNN, bidirectional(RNN)]), Backward(LSTM)]),
}
each = pytest.mark.parametrize("name", NETWORKS)


def parameters(network: Any, seed: int = 0) -> Any:
    p = network.init(inputs=INPUTS, hidden=2, seed=seed)
    random = np.random.default_rng(seed)
    return p.replace({n: t.data + 0.2 * random.normal(size=t.shape) for n, t in p.items()})


def own(p: Mapping[str, Any], part: str) -> dict[str, Any]:
    """A part's parameters under the part's own names."""
    return {n.removeprefix(part): t.data for n, t in p.items() if n.startswith(part)}


def gradients(p: Any, loss: Tensor) -> dict[str, Any]:
    loss.backward()
    return {n: t.grad.data for n, t in p.items()}


# --- padded batches -------------------------------------------------------------------------------
@each
def test_a_padded_batch_is_each_sequence_alone(name: str) -> None:
    network = NETWORKS[name]
    p = parameters(network)
    padded = XS.copy()
    for b, length in enumerate(LENGTHS):
        padded[length:, b] = 1e3  # whatever the padding is, it must not matter
    xs = Tensor(padded)
    run = unroll(network, p, xs, lengths=LENGTHS)
    h = run["h"]
    weight = RANDOM.normal(size=h.shape)
    final_weights = {n: RANDOM.normal(size=t.shape) for n, t in run.final.items()}
    total = (h * weight).sum()
    for n, t in run.final.items():
        total = total + (t * final_weights[n]).sum()
    found = gradients(p, total)

    expected = {n: np.zeros(t.shape) for n, t in p.items()}
    for b, length in enumerate(LENGTHS):
        q = network.bind({n: t.data for n, t in p.items()})
        x = Tensor(XS[:length, b])
        alone = unroll(network, q, x)
        np.testing.assert_allclose(h.data[:length, b], alone["h"].data, rtol=1e-12, atol=1e-15)
        assert not h.data[length:, b].any()
        loss = (alone["h"] * weight[:length, b]).sum()
        for n, t in alone.final.items():
            np.testing.assert_allclose(run.final[n].data[b], t.data, rtol=1e-12, atol=1e-15)
            loss = loss + (t * final_weights[n][b]).sum()
        for n, g in gradients(q, loss).items():
            expected[n] += g
        np.testing.assert_allclose(xs.grad.data[:length, b], x.grad.data, rtol=1e-10, atol=1e-13)
        assert not xs.grad.data[length:, b].any()
    for n, g in found.items():
        np.testing.assert_allclose(g, expected[n], rtol=1e-10, atol=1e-12)


def test_every_equation_is_zero_past_a_sequence_s_end() -> None:
    run = unroll(LSTM, parameters(LSTM), XS, lengths=LENGTHS)
    for name in run.steps[0]:
        for b, length in enumerate(LENGTHS):
            assert run[name].data[:length, b].all()
            assert not run[name].data[length:, b].any()


def test_lengths_of_the_whole_sequence_change_nothing() -> None:
    p = parameters(LSTM)
    run, plain = unroll(LSTM, p, XS, lengths=np.full(BATCH, TIME)), unroll(LSTM, p, XS)
    np.testing.assert_array_equal(run["h"].data, plain["h"].data)


def test_initial_states_of_a_reversed_padded_batch_enter_at_each_sequence_s_end() -> None:
    p, h0 = parameters(RNN), RANDOM.normal(size=(BATCH, 2))
    run = unroll(RNN, p, XS, {"h": h0}, lengths=LENGTHS, reverse=True)
    for b, length in enumerate(LENGTHS):
        alone = unroll(RNN, p, XS[:length, b], {"h": h0[b]}, reverse=True)
        np.testing.assert_allclose(run["h"].data[:length, b], alone["h"].data, rtol=1e-12)
        np.testing.assert_allclose(run.final["h"].data[b], alone.final["h"].data, rtol=1e-12)


WRONG: list[tuple[Any, type[Exception], str]] = [
    (
        [3, 0, 1, 4],
        errors.DataError,
        "cell 'lstm': lengths holds 0 at index [1], but xs has 6 steps: a length is between 1 and "
        "6.",
    ),
    (
        [3, 6, 7, 4],
        errors.DataError,
        "cell 'lstm': lengths holds 7 at index [2], but xs has 6 steps: a length is between 1 and "
        "6.",
    ),
    (
        [3, 6, 1, -4],
        errors.DataError,
        "cell 'lstm': lengths holds -4 at index [3], but xs has 6 steps: a length is between 1 and "
        "6.",
    ),
    (
        [3.0, 6.0, 1.0, 4.0],
        errors.DTypeError,
        "cell 'lstm': lengths are whole numbers of steps, got float64.",
    ),
    (
        [3, 6, 1],
        errors.ShapeError,
        "cell 'lstm': lengths has shape (3,), but the batch is (4,): one for each sequence.",
    ),
    (
        3,
        errors.ShapeError,
        "cell 'lstm': lengths has shape (), but the batch is (4,): one for each sequence.",
    ),
]


@pytest.mark.parametrize(("lengths", "kind", "message"), WRONG)
def test_wrong_lengths(lengths: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as said:
        unroll(LSTM, parameters(LSTM), XS, lengths=lengths)
    assert str(said.value) == message


# --- directions and layers ------------------------------------------------------------------------
@each
def test_reverse_is_the_flipped_sequence_forward(name: str) -> None:
    network = NETWORKS[name]
    p = parameters(network)
    run, flipped = unroll(network, p, XS, reverse=True), unroll(network, p, XS[::-1])
    for equation in run.steps[0]:
        np.testing.assert_array_equal(run[equation].data, flipped[equation].data[::-1])
    for state, value in run.final.items():
        np.testing.assert_array_equal(value.data, flipped.final[state].data)


def test_a_stack_is_one_run_after_the_other() -> None:
    network = NETWORKS["stack"]
    p = parameters(network)
    h0, g0 = RANDOM.normal(size=(BATCH, 2)), RANDOM.normal(size=2)
    run = unroll(network, p, XS, {"1.h": h0, "2.h": g0})
    low = unroll(LSTM, own(p, "1."), XS, {"h": h0})
    high = unroll(RNN, own(p, "2."), low["h"].data, {"h": g0})
    np.testing.assert_array_equal(run["h"].data, high["h"].data)
    np.testing.assert_array_equal(run["1.C"].data, low["C"].data)
    np.testing.assert_array_equal(run.final["1.C"].data, low.final["C"].data)
    np.testing.assert_array_equal(run.final["2.h"].data, high.final["h"].data)


def test_both_directions_are_two_runs_side_by_side() -> None:
    network = NETWORKS["two_kinds"]
    p = parameters(network)
    run = unroll(network, p, XS)
    forward = unroll(RNN, own(p, "forward."), XS)
    backward = unroll(GRU, own(p, "backward."), XS[::-1])
    joined = np.concatenate([forward["h"].data, backward["h"].data[::-1]], axis=-1)
    np.testing.assert_array_equal(run["h"].data, joined)
    np.testing.assert_array_equal(run.final["forward.h"].data, forward.final["h"].data)
    np.testing.assert_array_equal(run.final["backward.h"].data, backward.final["h"].data)


def test_backward_alone_is_the_half_of_both_directions() -> None:
    p = parameters(network := Backward(LSTM))
    both = bidirectional(LSTM)
    q = both.bind({**{n.replace("backward", "forward"): t.data for n, t in p.items()}, **p})
    half = unroll(both, q, XS, lengths=LENGTHS)["h"].data[..., 2:]
    np.testing.assert_array_equal(unroll(network, p, XS, lengths=LENGTHS)["h"].data, half)
    twice = Backward(Backward(LSTM))
    p = twice.bind({f"backward.{n}": t.data for n, t in p.items()})
    plain = unroll(LSTM, own(p, "backward.backward."), XS)
    np.testing.assert_array_equal(unroll(twice, p, XS)["h"].data, plain["h"].data)


def test_nested_networks_have_nested_names() -> None:
    network = NETWORKS["nested"]
    assert list(network.state) == [
        "1.1.h",
        "1.2.forward.h",
        "1.2.backward.h",
        "2.backward.h",
        "2.backward.C",
    ]
    run = unroll(network, parameters(network), XS)
    assert run["h"].shape == (TIME, BATCH, 2)
    assert run["1.h"].shape == (TIME, BATCH, 4)
    low = concat(run["1.2.forward.h"], run["1.2.backward.h"])
    np.testing.assert_array_equal(run["1.h"].data, low.data)


@each
def test_nodes_bear_the_names_of_their_equations(name: str) -> None:
    network = NETWORKS[name]
    run = unroll(network, parameters(network), XS)
    equations = network.program().equations
    assert set(network.state) <= set(equations)
    for t, step in enumerate(run.steps):
        assert [(step[n].name, step[n].time) for n in equations] == [(n, t) for n in equations]


def test_the_output_of_a_network_is_h_whatever_its_cells_call_it() -> None:
    for network in (stack([cells.cifg]), Backward(cells.cifg), bidirectional(cells.cifg)):
        p = parameters(network)
        run = unroll(network, p, XS)
        names = [n for n in run.steps[0] if n.endswith(".y")]
        expected = np.concatenate([run[n].data for n in names], axis=-1)
        np.testing.assert_array_equal(run["h"].data, expected)


@pytest.mark.parametrize("name", ["cell", "stack"])
def test_two_halves_with_carried_states_are_the_whole(name: str) -> None:
    network = NETWORKS[name]
    p = parameters(network)
    whole = unroll(network, p, XS)
    first = unroll(network, p, XS[:2])
    second = unroll(network, p, XS[2:], {n: t.detach() for n, t in first.final.items()})
    np.testing.assert_array_equal(
        whole["h"].data, np.concatenate([first["h"].data, second["h"].data])
    )
    second["h"].sum().backward()
    assert all(t.grad is None for t in first.final.values())


@each
def test_the_program_of_a_network_is_one_step(name: str) -> None:
    network = NETWORKS[name]
    p = parameters(network)
    program = network.program(inputs=INPUTS, hidden=2)
    prev = {n: RANDOM.normal(size=2) for n in network.state}
    arrays = {f"prev.{n}": v for n, v in prev.items()} | {n: t.data for n, t in p.items()}
    found = program.run(x=XS[0, 0], **arrays)
    run = unroll(network, p, XS[:1, 0], prev)
    for n in network.state:
        np.testing.assert_allclose(found[n], run.final[n].data, rtol=1e-14)


# --- gradients ------------------------------------------------------------------------------------
@each
def test_gradients_agree_with_complex_steps(name: str) -> None:
    network = NETWORKS[name]

    def f(p: Any, xs: Any) -> Any:
        run = unroll(network, p, xs, lengths=[2, 3])
        return run["h"] + sum((t.sum() for t in run.final.values()), Tensor(0.0))

    agreement = check_gradients(f, parameters(network, seed=3), XS[:3, :2])
    assert agreement.method == "complex step"
    assert agreement.worst < 1e-10


def test_the_depth_gate_reads_the_state_of_the_layer_below() -> None:
    network = stack([LSTM, cells.depth_gated])
    p = network.init(inputs=2, hidden=2, seed=5)
    xs = XS[:3, :2, :2]
    run = unroll(network, p, xs)
    low = unroll(LSTM, own(p, "1."), xs)
    high = unroll(cells.depth_gated, own(p, "2."), low["h"].data, C_below=low["C"].data)
    np.testing.assert_array_equal(run["h"].data, high["h"].data)
    assert check_gradients(lambda q: unroll(network, q, xs)["h"], p).worst < 1e-10


def test_the_stepper_walks_through_a_stack() -> None:
    network = NETWORKS["stack_of_bidirectional"]
    run = unroll(network, parameters(network), XS[:2, 0])
    text = "\n".join(str(event) for event in step_through(run["h"].sum()))
    assert name_unicode("1.forward.f", "1") in text
    assert name_unicode("2.backward.h", "1") in text


# --- errors ---------------------------------------------------------------------------------------
def test_errors_of_networks() -> None:
    network = stack([bidirectional(LSTM), RNN])
    p = parameters(network)
    arrays = {n: t.data for n, t in p.items()}
    cases: list[tuple[Any, str]] = [
        (
            lambda: unroll(network, p, XS, {"h": np.zeros(2)}),
            "network 'stack_of_bidirectional_lstm_and_rnn': initial has 'h', but the states are "
            "1.forward.h, 1.forward.C, 1.backward.h, 1.backward.C, 2.h.",
        ),
        (
            lambda: unroll(network, p, XS)["1.q"],
            "network 'stack_of_bidirectional_lstm_and_rnn' has no equation '1.q'; it has "
            + ", ".join(unroll(network, p, XS).steps[0])
            + ".",
        ),
        (
            lambda: network.init(inputs=3, units=4),
            "network 'stack_of_bidirectional_lstm_and_rnn' has no size 'units'; its sizes are "
            "hidden, inputs.",
        ),
        (
            lambda: network.bind(arrays, units=4),
            "network 'stack_of_bidirectional_lstm_and_rnn' has no size 'units'; its sizes are "
            "hidden, inputs.",
        ),
        (lambda: network.bind(arrays, hidden=5), "cell 'lstm': the arrays give hidden=2, not 5."),
        (
            lambda: network.bind(arrays, inputs=9),
            f"cell 'lstm': the arrays give inputs={INPUTS}, not 9.",
        ),
        (
            lambda: network.bind({**arrays, "3.W": np.zeros((2, 4))}),
            "network 'stack_of_bidirectional_lstm_and_rnn': no parameter is called 3.W; the "
            f"parameters are {', '.join(arrays)}.",
        ),
        (lambda: bidirectional("lstm"), "a network is made of cells and networks, got 'lstm'."),
        (lambda: Backward(3), "a network is made of cells and networks, got 3."),
    ]
    for case, message in cases:
        with pytest.raises(errors.TinygradError) as said:
            case()
        assert str(said.value) == message


def test_a_number_fills_a_parameter_in_every_part_that_has_it() -> None:
    network = stack([bidirectional(cells.lstm), cells.gru])
    p = network.init(inputs=3, hidden=4, b_f=1.0)
    for name in ("1.forward.b_f", "1.backward.b_f"):
        np.testing.assert_array_equal(p[name].data, np.ones(4))
    assert not p["1.forward.b_i"].data.any()
    with pytest.raises(UnknownNameError, match="has no size 'b_q'"):
        network.init(inputs=3, hidden=4, b_q=1.0)
