"""Weights from anywhere are recognised: synthetic layouts, PyTorch, Keras and onnxruntime."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sampling import sample
from stored_weights import draw, gru, hard_sigmoid, lstm, stored

from lesson.commands import main
from tinygrad_lstm import Identification, cell, cells, identify, matvec, sigmoid, tanh, unroll
from tinygrad_lstm.errors import DataError, DTypeError, ShapeError, TinygradError
from tinygrad_lstm.weights.gates import LAYOUTS

XS = np.random.default_rng(1).normal(size=(5, 3, 4))  # (time, batch, inputs)


def agrees(found: Identification, xs: Any, y: Any, tolerance: float = 1e-9) -> bool:
    """Whether the engine computes the recorded output with what was found."""
    assert found.parameters is not None
    run = unroll(found.network, found.parameters, xs)
    output = "h" if found.direction != "forward" else found.cell.output  # type: ignore[union-attr]
    return bool(np.abs(run[output].data - y).max() < tolerance)


def all_of(*choices: Any) -> list[tuple[Any, ...]]:
    """A sample of all combinations: every choice of each occurs."""
    every = list(itertools.product(*choices))
    random = np.random.default_rng(0)
    return sample([every[k] for k in random.permutation(len(every))], max(1, len(every) // 16))


ORDERS = ["".join(order) for order in itertools.permutations("ifCo")]


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_of_the_lstm_s_gates(order: str) -> None:
    k = ORDERS.index(order)
    hidden = 4 if k % 2 else 3  # hidden = inputs, too
    g = draw("ifCo", hidden, 4, seed=k)
    turned, joined, biases = bool(k & 2), ("", "hx", "xh")[k % 3], (2, 1, 0, 2)[k // 6]
    y = lstm(g, XS, biases)
    weights = stored(g, order, turned=turned, joined=joined, biases=biases)
    found = identify(weights, XS, y)
    assert found and found.order == order and not found.open, str(found)
    assert (found.cell, found.transposed, found.direction) == (cells.lstm, turned, "forward")
    assert found.joined.replace(", ", "").strip("[]") == joined
    assert found.bias == ("none", "one", "two")[biases]
    assert agrees(found, XS, y) and found.same == ("np",)


@pytest.mark.parametrize(
    ("hidden", "order", "turned", "joined", "biases", "form"),
    all_of(
        (3, 4), ORDERS, (False, True), ("", "hx", "xh"), (0, 1, 2),
        ("stacked", "apart", "axis", "by unit"),
    ),
)  # fmt: skip
def test_forms_of_the_lstm(
    hidden: int, order: str, turned: bool, joined: str, biases: int, form: str
) -> None:
    g = draw("ifCo", hidden, 4, seed=hidden)
    y = lstm(g, XS, biases)
    weights = stored(g, order, turned=turned, joined=joined, biases=biases, form=form)
    found = identify(weights, XS, y)
    assert found and found.order == order, str(found)
    assert found.transposed == turned or form == "axis"
    assert agrees(found, XS, y)


@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize(("biases", "hidden"), [(1, 4), (2, 3)])
def test_conventions_of_the_gru(after: bool, keeps: bool, biases: int, hidden: int) -> None:
    g = draw("rzn", hidden, 4, seed=hidden)
    y = gru(g, XS, biases, after, keeps)
    found = identify(stored(g, "znr", turned=after, biases=biases), XS, y)
    assert found and found.order == "znr", str(found)
    assert found.cell is (cells.gru_reset_after if after else cells.gru_cho2014)
    assert found.flipped == (() if keeps else ("z",))
    assert agrees(found, XS, y)


def test_a_gru_without_biases_that_writes_its_share() -> None:
    g = draw("rzn", 3, 4)
    y = gru(g, XS, 0, after=False, keeps=False)
    found = identify(stored(g, "rzn", biases=0), XS, y)
    assert found.cell is cells.gru and agrees(found, XS, y)


def test_a_constant_added_and_other_activations() -> None:
    g = draw("ifCo", 3, 4)
    weights = stored(g, "iCfo", turned=True, joined="xh", biases=1)
    found = identify(weights, XS, lstm(g, XS, 1, forget=1.0))
    assert (found.order, found.added) == ("iCfo", {"f": 1.0})
    assert "TensorFlow" in str(found) and agrees(found, XS, lstm(g, XS, 1, forget=1.0))
    hard = identify(weights, XS, lstm(g, XS, 1, gate=hard_sigmoid))
    assert (hard.order, hard.activation) == ("iCfo", "hard_sigmoid")
    z = draw("zrn", 4, 4)
    hard = identify(
        stored(z, "zrn", turned=True, biases=1), XS, gru(z, XS, 1, False, gate=hard_sigmoid)
    )
    assert (hard.cell, hard.activation) == (cells.gru_cho2014, "hard_sigmoid")


@pytest.mark.parametrize("peepholes", ["iof", "ifo", "oif"])
def test_peepholes(peepholes: str) -> None:
    g = draw("ifCo", 3, 4)
    y = lstm(g, XS, 2, peepholes=True)
    found = identify(stored(g, "iofC", peepholes=peepholes), XS, y)
    assert found.cell is cells.lstm_peephole_gers and found.order == "iofC"
    assert found.same == ("odyssey_vanilla",) and agrees(found, XS, y)
    assert f"in the order {' '.join(peepholes)}" in str(found)


def test_two_kernels_and_a_row_of_biases() -> None:
    g = draw("rzn", 3, 4)
    rows = {k: np.concatenate([w["W"], w["R"]], 1).T for k, w in g.items()}
    weights = {
        "gates/kernel": np.concatenate([rows["r"], rows["z"]], 1),
        "gates/bias": np.concatenate([g["r"]["b"], g["z"]["b"]]),
        "candidate/kernel": rows["n"],
        "candidate/bias": g["n"]["b"],
    }
    found = identify(weights, XS, gru(g, XS, 1, after=False))
    assert (found.order, found.joined, found.transposed) == ("rzn", "[x, h]", True)
    g = draw("ifCo", 3, 4)
    columns = [np.concatenate([w["b"][None], w["W"].T, w["R"].T]) for w in g.values()]
    found = identify([np.concatenate(columns, 1)], XS, lstm(g, XS, 1))
    assert (found.order, found.joined) == ("ifCo", "[1, x, h]")


@pytest.mark.parametrize("direction", ["reverse", "go_backwards", "last", "reverse last"])
def test_directions_and_the_last_output(direction: str) -> None:
    g = draw("ifCo", 3, 4)
    y = lstm(g, XS[::-1] if direction != "last" else XS)
    recorded = {"reverse": y[::-1], "go_backwards": y}.get(direction, y[-1])
    found = identify(stored(g, "fiCo"), XS, recorded)
    wanted = {"last": "forward", "reverse last": "reverse"}.get(direction, direction)
    assert (found.direction, found.order) == (wanted, "fiCo"), str(found)
    if direction == "reverse":
        assert agrees(found, XS, recorded)


def test_axes_and_first_states() -> None:
    g = draw("ifCo", 3, 4)
    weights, y = stored(g, "ifCo"), lstm(g, XS)
    swapped = identify(weights, XS.swapaxes(0, 1), y.swapaxes(0, 1))
    assert swapped and "the batch is the first axis" in str(swapped)
    assert identify(weights, XS[:, 0], y[:, 0])
    assert identify(weights, XS, (y, None)), "an output with states, as libraries return it"
    p = cells.lstm.init(inputs=4, hidden=3, seed=3)
    states = {"C": np.full((3, 3), 0.5), "h": np.full((3, 3), -0.3)}
    y = unroll(cells.lstm, p, XS, states)["h"].data
    arrays = {name: t.numpy() for name, t in p.items()}
    found = identify(arrays, XS, y, {"c": states["C"], "h": states["h"]})
    assert found and not identify(arrays, XS, y)
    assert found.order == "fiCo", str(found)


# --- frameworks ----------------------------------------------------------------------------------
@pytest.mark.parametrize("inputs", [5, 4])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("bias", [True, False])
def test_pytorch_s_layers(kind: str, bias: bool, inputs: int) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    layer = getattr(torch.nn, kind)(inputs, 4, bias=bias)
    xs = torch.randn(7, 3, inputs)
    y = layer(xs)[0].detach()
    found = identify(layer.state_dict(), xs, y)
    like = next(c for c, layout in LAYOUTS["pytorch"].items() if layout.kind == f"nn.{kind}")
    assert (found.cell, found.order) == (like, LAYOUTS["pytorch"][like].order)
    assert found.call.startswith("weights.from_pytorch({") and agrees(
        found, xs.numpy(), y.numpy(), 1e-5
    )
    both = getattr(torch.nn, kind)(inputs, 4, bias=bias, bidirectional=True)
    y = both(xs)[0].detach()
    found = identify(both.state_dict(), xs, y)
    assert found.direction == "bidirectional" and agrees(found, xs.numpy(), y.numpy(), 1e-5)
    again = found.convert(both.state_dict())
    assert all((again[n].data == t.data).all() for n, t in found.parameters.items())  # type: ignore[union-attr]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize(
    ("name", "options", "activation"),
    [
        ("SimpleRNN", {}, ""),
        ("SimpleRNN", {"activation": "relu"}, "relu"),
        ("LSTM", {}, ""),
        ("LSTM", {"use_bias": False}, ""),
        ("LSTM", {"recurrent_activation": "hard_sigmoid"}, "hard_sigmoid (x / 6 + 1 / 2)"),
        ("GRU", {}, ""),
        ("GRU", {"reset_after": False}, ""),
    ],
)
def test_keras_s_layers(name: str, options: dict[str, Any], activation: str) -> None:
    pytest.importorskip("torch")
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    layer = getattr(keras.layers, name)(5, return_sequences=True, **options)
    xs = np.random.default_rng(7).normal(size=(4, 6, 3)).astype(np.float32)
    layer.build(xs.shape)
    random = np.random.default_rng(8)
    weights = [random.normal(size=w.shape).astype(np.float32) for w in layer.get_weights()]
    layer.set_weights(weights)
    found = identify(weights, xs, keras.ops.convert_to_numpy(layer(xs)))
    assert found and found.activation == activation, str(found)
    assert found.transposed and "the batch is the first axis" in str(found)
    assert found.call.startswith("weights.from_keras(") == (not activation)
    after = {"gru_reset_after": {}, "gru_cho2014": {"reset_after": False}}
    assert name != "GRU" or after[found.cell.name] == options  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("kind", "options", "peepholes", "cell_name"),
    [
        ("RNN", {}, False, "rnn"),
        ("LSTM", {}, False, "lstm"),
        ("LSTM", {}, True, "lstm_peephole_gers"),
        ("LSTM", {"direction": "reverse"}, False, "lstm"),
        ("LSTM", {"direction": "bidirectional"}, False, "lstm"),
        ("LSTM", {"input_forget": 1}, False, "lstm_coupled"),
        ("LSTM", {"input_forget": 1}, True, "cifg"),
        ("GRU", {"linear_before_reset": 1}, False, "gru_reset_after"),
        ("GRU", {"linear_before_reset": 0}, False, "gru_cho2014"),
    ],
)
def test_onnx_s_operators(
    kind: str, options: dict[str, Any], peepholes: bool, cell_name: str
) -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    random = np.random.default_rng(3)
    D, G, H = (
        1 + (options.get("direction") == "bidirectional"), {"RNN": 1, "LSTM": 4, "GRU": 3}[kind], 4
    )  # fmt: skip
    shapes = {"X": (6, 2, 3), "W": (D, G * H, 3), "R": (D, G * H, H), "B": (D, 2 * G * H)}
    shapes |= {"P": (D, 3 * H)} if peepholes else {}
    given = {n: random.normal(0, 0.7, s).astype(np.float32) for n, s in shapes.items()}
    y = _run(runtime, kind, {"hidden_size": H, **options}, given)
    xs = given.pop("X")
    found = identify(given, xs, y)
    assert found and found.cell.name == cell_name, str(found)  # type: ignore[union-attr]
    assert agrees(found, xs, y.swapaxes(1, 2).reshape(6, 2, -1), 1e-5)
    assert (found.direction == "bidirectional") or found.call.startswith("weights.from_onnx(")


def _run(runtime: Any, kind: str, options: Any, given: dict[str, Any]) -> Any:
    import onnx

    order = ["X", "W", "R", "B", "", "", "", "P"]
    names = [n if n in given else "" for n in order]
    while not names[-1]:
        names.pop()
    node = onnx.helper.make_node(kind, names, ["Y"], **options)
    values = [
        onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, v.shape)
        for n, v in given.items()
    ]
    result = onnx.helper.make_tensor_value_info("Y", onnx.TensorProto.FLOAT, None)
    graph = onnx.helper.make_graph([node], "one_node", values, [result])
    opset = [onnx.helper.make_opsetid("", 14)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
    providers = ["CPUExecutionProvider"]
    session = runtime.InferenceSession(model.SerializeToString(), providers=providers)
    return session.run(None, given)[0]


# --- a cell of one's own, and what cannot be told ------------------------------------------------
@cell(
    state={"s": "units"},
    x="width",
    parameters={"A A_g": "units, width", "B B_g": "units, units", "c": "units"},
)
def leaky(now: Any, prev: Any, x: Any, p: Any) -> None:
    """A cell whose sizes and names are its own."""
    now.given = sigmoid(matvec(p.A_g, x) + matvec(p.B_g, prev.s))
    now.n = tanh(matvec(p.A, x) + matvec(p.B, prev.s) + p.c)
    now.s = now.given * prev.s + (1 - now.given) * now.n


@pytest.mark.parametrize("units", [4, 3])
def test_a_cell_of_one_s_own(units: int) -> None:
    p = leaky.init(width=4, units=units, seed=1, c=0.3)
    p = p.replace({"c": np.linspace(-1, 1, units)})
    y = unroll(leaky, p, XS)["s"].data
    arrays = {
        "one": np.concatenate([p.A.data, p.A_g.data]).T,
        "two": np.concatenate([p.B.data, p.B_g.data]).T,
        "three": p.c.numpy(),
    }
    found = identify(arrays, XS, y, cells=[leaky])
    assert found and (found.order, found.transposed) == ("n given", True)
    assert agrees(found, XS, y)
    again = found.convert({name: 2 * array for name, array in arrays.items()})
    np.testing.assert_array_equal(again.B_g.data, 2 * p.B_g.data)


def test_what_a_recording_does_not_decide() -> None:
    g = draw("ifCo", 4, 4)
    found = identify(stored(g, "ifCo"), XS[:1], lstm(g, XS[:1]))
    assert found and {"h", "f"} <= set(found.open)
    assert "does not depend on the matrices on the state, f" in str(found)
    assert len({found.text(tag) for tag in ("en", "ko", "zh")}) == 3


def test_none_and_the_nearest() -> None:
    g = draw("ifCo", 3, 4)
    weights = stored(g, "ifCo", biases=1)
    y = lstm(g, XS, 1)
    found = identify(weights, XS, y + 1e-3 * (np.arange(len(y)) > 1)[:, None, None])
    assert not found and found.nearest in ("lstm", "np")
    assert str(found).startswith("None: no cell with these arrays")
    assert "at step 2" in str(found)
    with pytest.raises(DataError, match="nothing to convert by"):
        found.convert(weights)


@pytest.mark.parametrize(
    ("weights", "xs", "y", "error", "message"),
    [
        ({"W": np.zeros((12, 4)), "D": np.zeros((9, 7))}, XS, XS, ShapeError, "D can be no gate's"),
        ({"W": np.zeros((12, 4), int)}, XS, XS, DTypeError, "W holds int64"),
        ({"W": np.full((12, 4), np.nan)}, XS, XS, DataError, "W holds nan at index [0, 0]"),
        ({}, XS, XS, DataError, "no weights were given"),
        ({"W": np.zeros((12, 4))}, XS, None, DataError, "an output is needed"),
        ({"W": np.zeros((12, 4))}, XS, XS[:2], ShapeError, "must share time and batch"),
        ({"W": np.zeros((12, 4))}, XS[0, 0], XS, ShapeError, "xs has shape (4,)"),
        ("W", XS, XS, DTypeError, "a mapping of names to arrays or a list"),
    ],
)
def test_bad_input_is_one_message(
    weights: Any, xs: Any, y: Any, error: type[TinygradError], message: str
) -> None:
    with pytest.raises(error) as caught:
        identify(weights, xs, y)
    assert message in str(caught.value)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    g = draw("ifCo", 3, 4)
    file = tmp_path / "w.npz"
    np.savez(file, seen=XS, out=lstm(g, XS), **stored(g, "iofC"), dense=np.zeros((9, 7)))
    names = ["--x", "seen", "--y", "out", "--without", "dense"]
    assert main(["identify", str(file), *names]) == 0
    assert "in the order i o f C, as of ONNX" in capsys.readouterr().out
    assert main(["identify", str(file), *names, "--cells", "rnn"]) == 2
    assert "rnn has 1 blocks (3, 4) on x" in capsys.readouterr().err
    assert main(["identify", str(file)]) == 2
    assert "has no array 'x'; it has seen, out, a0" in capsys.readouterr().err
    np.savez(file, x=XS, y=XS[..., :3], **stored(g, "iofC"))
    assert main(["identify", str(file), "--language", "ko"]) == 1
    assert "없음" in capsys.readouterr().out
    file.write_text("no", encoding="utf-8")
    assert main(["identify", str(file)]) == 2
    assert "is no file of arrays" in capsys.readouterr().err
