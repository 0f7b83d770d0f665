"""Weights there and back, and by the frameworks' formulas, without any framework."""

from typing import Any

import numpy as np
import pytest

from tinygrad_lstm import bidirectional, cells, stack, unroll, weights
from tinygrad_lstm.networks import Backward
from tinygrad_lstm.weights.gates import LAYOUTS

RANDOM = np.random.default_rng(21)
XS = RANDOM.normal(size=(5, 2, 3))


def filled(network: Any, dtype: Any = np.float64) -> Any:
    p = network.init(inputs=3, hidden=2, dtype=dtype)
    return p.replace({n: RANDOM.normal(size=t.shape).astype(dtype) for n, t in p.items()})


def same(found: Any, expected: Any) -> None:
    assert list(found) == list(expected)
    for name in expected:
        np.testing.assert_array_equal(found[name].data, expected[name].data)
        assert found[name].dtype == expected[name].dtype


# --- by hand --------------------------------------------------------------------------------------
def sigmoid(v: Any) -> Any:
    return 1 / (1 + np.exp(-v))


def by_hand(kind: str, w: Any, x: Any, h: Any, c: Any) -> Any:
    """The formulas of PyTorch's documentation, with both of its biases."""
    gi, gh = w["weight_ih"] @ x + w["bias_ih"], w["weight_hh"] @ h + w["bias_hh"]
    if kind == "rnn":
        return np.tanh(gi + gh)
    if kind == "lstm":
        i, f, g, o = np.split(gi + gh, 4)
        return sigmoid(o) * np.tanh(sigmoid(f) * c + sigmoid(i) * np.tanh(g))
    (ir, iz, n), (hr, hz, hn) = np.split(gi, 3), np.split(gh, 3)
    z = sigmoid(iz + hz)
    return (1 - z) * np.tanh(n + sigmoid(ir + hr) * hn) + z * h


@pytest.mark.parametrize("ending", ["_l0", ""], ids=["module", "cell"])
@pytest.mark.parametrize(("kind", "gates"), {"rnn": 1, "lstm": 4, "gru_reset_after": 3}.items())
def test_a_step_of_pytorch_s_by_its_formula(kind: str, gates: int, ending: str) -> None:
    draw = RANDOM.normal
    w = {
        "weight_ih": draw(size=(2 * gates, 3)),
        "weight_hh": draw(size=(2 * gates, 2)),
        "bias_ih": draw(size=2 * gates),
        "bias_hh": draw(size=2 * gates),
    }
    x, h, c = draw(size=3), draw(size=2), draw(size=2)
    state_dict = {f"encoder.{name}{ending}": value for name, value in w.items()}
    state_dict["encoder_2.weight_hh_l0"] = np.ones(5)  # another part of the model
    for prefix in ("encoder", "encoder."):
        cell, p = weights.from_pytorch(state_dict, prefix=prefix)
        assert cell is cells.all()[kind]
        initial = {name: {"h": h, "C": c}[name] for name in cell.state}
        found = unroll(cell, p, x[None], initial)["h"].data[0]
        np.testing.assert_allclose(found, by_hand(kind, w, x, h, c), rtol=0, atol=1e-14)
    if kind == "lstm":
        biases = w["bias_ih"] + w["bias_hh"]
        for name, expected in zip("ifCo", np.split(biases, 4), strict=True):
            np.testing.assert_array_equal(p[f"b_{name}"].data, expected)


# --- there and back -------------------------------------------------------------------------------
PYTORCH = [cells.rnn, cells.lstm, cells.gru_reset_after]
KERAS = [*PYTORCH, cells.gru_cho2014]
ONNX = [*KERAS, cells.lstm_peephole_gers, cells.lstm_coupled, cells.cifg]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", PYTORCH, ids=str)
def test_pytorch_there_and_back(kind: Any, dtype: Any) -> None:
    layer = bidirectional(kind)
    for network in (kind, layer, stack([kind, kind]), stack([layer, layer, layer])):
        p = filled(network, dtype)
        again, q = weights.from_pytorch(weights.to_pytorch(network, p))
        assert str(again) == str(network)
        same(q, p)


@pytest.mark.parametrize("kind", KERAS, ids=str)
def test_keras_there_and_back(kind: Any) -> None:
    name = LAYOUTS["keras"][kind].kind
    p = filled(kind)
    again, q = weights.from_keras(name, list(weights.to_keras(kind, p).values()))
    assert again is kind
    same(q, p)
    network = bidirectional(kind)
    p = filled(network)
    both = {"class_name": "Bidirectional", "config": {"layer": {"class_name": name}}}
    found = weights.to_keras(network, p)
    assert list(found)[:1] == ["forward/kernel"]
    again, q = weights.from_keras(both, list(found.values()))
    assert str(again) == str(network)
    same(q, p)


@pytest.mark.parametrize("kind", ONNX, ids=str)
def test_onnx_there_and_back(kind: Any) -> None:
    for network in (stack([kind]), Backward(kind), bidirectional(kind)):
        p = filled(network)
        again, q = weights.from_onnx(**weights.to_onnx(network, p))
        run, expected = unroll(again, q, XS), unroll(network, p, XS)
        np.testing.assert_array_equal(run["h"].data, expected["h"].data)


def test_layers_apart_and_together() -> None:
    network = stack([bidirectional(cells.lstm), cells.gru_cho2014])
    p = filled(network)
    apart = weights.layers(network, p)
    assert [str(part) for part, _ in apart] == [
        "network 'bidirectional_lstm'",
        "cell 'gru_cho2014'",
    ]
    again, q = weights.joined(apart)
    assert str(again) == str(network)
    same(q, p)
    assert weights.layers(cells.lstm, {"a": 1}) == [(cells.lstm, {"a": 1})]


# --- the frameworks' formulas ---------------------------------------------------------------------
def sigma(a: Any) -> Any:
    return 1 / (1 + np.exp(-a))


def keras_formula(
    name: str, xs: Any, kernel: Any, recurrent: Any, bias: Any, after: bool = True
) -> Any:
    """What Keras documents, on x times kernel as it stands there: columns, one block a gate."""
    H = len(recurrent)
    h, c, out = np.zeros((xs.shape[1], H)), np.zeros((xs.shape[1], H)), []
    for x in xs:
        if name == "SimpleRNN":
            h = np.tanh(x @ kernel + bias + h @ recurrent)
        elif name == "LSTM":
            z = x @ kernel + h @ recurrent + bias
            i, f, g, o = (z[:, k * H : (k + 1) * H] for k in range(4))
            c = sigma(f) * c + sigma(i) * np.tanh(g)
            h = sigma(o) * np.tanh(c)
        else:
            own, other = bias if after else (bias, np.zeros_like(bias))
            x_part, h_part = x @ kernel + own, h @ recurrent + other
            z = sigma(x_part[:, :H] + h_part[:, :H])
            r = sigma(x_part[:, H : 2 * H] + h_part[:, H : 2 * H])
            reset = r * h_part[:, 2 * H :] if after else (r * h) @ recurrent[:, 2 * H :]
            h = z * h + (1 - z) * np.tanh(x_part[:, 2 * H :] + reset)
        out.append(h)
    return np.stack(out)


@pytest.mark.parametrize(
    ("name", "gates", "after"),
    [("SimpleRNN", 1, True), ("LSTM", 4, True), ("GRU", 3, True), ("GRU", 3, False)],
)
def test_keras_layers_by_their_formulas(name: str, gates: int, after: bool) -> None:
    bias = (2, gates * 2) if name == "GRU" and after else (gates * 2,)
    given = [RANDOM.normal(size=shape) for shape in ((3, gates * 2), (2, gates * 2), bias)]
    expected = keras_formula(name, XS, *given, after=after)
    found = unroll(*weights.from_keras(name, given), XS)["h"].data
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
    config = {"units": 2, "activation": "tanh", "use_bias": True, "return_sequences": True}
    if name == "GRU":
        config["reset_after"] = after
    found = unroll(*weights.from_keras({"class_name": name, "config": config}, given), XS)["h"]
    np.testing.assert_allclose(found.data, expected, rtol=1e-12, atol=1e-14)
    zero = np.zeros(bias)
    plain = keras_formula(name, XS, given[0], given[1], zero, after=after)
    config["use_bias"] = False
    found = unroll(*weights.from_keras({"class_name": name, "config": config}, given[:2]), XS)["h"]
    np.testing.assert_allclose(found.data, plain, rtol=1e-12, atol=1e-14)


def test_both_directions_of_keras_may_have_layers_of_their_own() -> None:
    config = {
        "merge_mode": "concat",
        "layer": {"class_name": "LSTM", "config": {"units": 2}},
        "backward_layer": {"class_name": "GRU", "config": {"units": 2, "go_backwards": True}},
    }
    shapes = [(3, 8), (2, 8), (8,), (3, 6), (2, 6), (2, 6)]
    given = [RANDOM.normal(size=shape) for shape in shapes]
    found = unroll(
        *weights.from_keras({"class_name": "Bidirectional", "config": config}, given), XS
    )
    forward = keras_formula("LSTM", XS, *given[:3])
    backward = keras_formula("GRU", XS[::-1], *given[3:])[::-1]
    expected = np.concatenate([forward, backward], axis=-1)
    np.testing.assert_allclose(found["h"].data, expected, rtol=1e-12, atol=1e-14)


def test_onnx_gates_are_in_the_order_of_the_standard() -> None:
    """W, R and B of one gate are told apart by putting one number into one block."""
    H = 2
    for op_type, attributes, order in (
        ("LSTM", {}, ["W_i", "W_o", "W_f", "W_C"]),
        ("GRU", {"linear_before_reset": 1}, ["W_z", "W_r", "W_n"]),
        ("GRU", {}, ["W_z", "W_r", "W"]),
    ):
        G = len(order)
        W = np.repeat(np.arange(1.0, G + 1), H)[None, :, None] * np.ones((1, 1, 3))
        _, p = weights.from_onnx(op_type, attributes, W, np.zeros((1, G * H, H)))
        for k, name in enumerate(order, 1):
            np.testing.assert_array_equal(p[name].data[:, -3:], np.full((H, 3), float(k)))
    P = np.array([[1.0, 1.0, 2.0, 2.0, 3.0, 3.0]])
    _, p = weights.from_onnx("LSTM", {}, np.zeros((1, 8, 3)), np.zeros((1, 8, 2)), P=P)
    assert [p[n].data[0] for n in ("p_i", "p_o", "p_f")] == [1.0, 2.0, 3.0]


def test_onnx_strings_may_be_bytes_and_defaults_may_be_spelled_out() -> None:
    W, R = np.ones((2, 8, 3)), np.ones((2, 8, 2))
    attributes = {
        "direction": b"bidirectional",
        "activations": [b"Sigmoid", b"Tanh", b"Tanh"] * 2,
        "hidden_size": 2,
        "layout": 1,
        "input_forget": 0,
        "activation_alpha": [],
    }
    network, _ = weights.from_onnx("LSTM", attributes, W, R)
    assert str(network) == "network 'bidirectional_lstm'"
