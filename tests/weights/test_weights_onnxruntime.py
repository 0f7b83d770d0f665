"""ONNX's operators as onnxruntime computes them, and ours with the same weights.

onnxruntime has these operators in float32 alone.
"""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_lstm import unroll, weights

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}
TYPES = {"float32": onnx.TensorProto.FLOAT, "int32": onnx.TensorProto.INT32}


def run_node(
    op_type: str, attributes: dict[str, Any], inputs: dict[str, Any]
) -> dict[str, np.ndarray[Any, Any]]:
    """One node in a model of its own."""
    order = ["X", "W", "R", "B", "sequence_lens", "initial_h"]
    outputs = ["Y", "Y_h"]
    if op_type == "LSTM":
        order, outputs = [*order, "initial_c", "P"], [*outputs, "Y_c"]
    given_inputs = {n: v for n, v in inputs.items() if v is not None}
    node = onnx.helper.make_node(
        op_type, [n if n in given_inputs else "" for n in order], outputs, **attributes
    )
    graph = onnx.helper.make_graph(
        [node],
        "one_node",
        [
            onnx.helper.make_tensor_value_info(n, TYPES[str(v.dtype)], v.shape)
            for n, v in given_inputs.items()
        ],
        [onnx.helper.make_tensor_value_info(n, TYPES["float32"], None) for n in outputs],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8
    )
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return dict(zip(outputs, session.run(None, given_inputs), strict=True))


@st.composite
def nodes(draw: Any, op_type: str) -> tuple[dict[str, Any], dict[str, Any]]:
    time, batch, hidden, width = (draw(st.integers(1, 5)) for _ in range(4))
    direction = draw(st.sampled_from(["forward", "reverse", "bidirectional"]))
    D, G = 1 + (direction == "bidirectional"), GATES[op_type]
    random = np.random.default_rng(draw(st.integers(0, 2**16)))

    def normal(*shape: int) -> Any:
        return random.normal(size=shape).astype(np.float32)

    attributes = {"hidden_size": hidden, "direction": direction}
    if op_type == "LSTM":
        attributes["input_forget"] = draw(st.integers(0, 1))
    if op_type == "GRU":
        attributes["linear_before_reset"] = draw(st.integers(0, 1))
    inputs = {
        "X": normal(time, batch, width),
        "W": normal(D, G * hidden, width),
        "R": normal(D, G * hidden, hidden),
    }
    if draw(st.booleans()):
        inputs["B"] = normal(D, 2 * G * hidden)
    if draw(st.booleans()):
        lengths = draw(st.lists(st.integers(1, time), min_size=batch, max_size=batch))
        inputs["sequence_lens"] = np.array(lengths, np.int32)
    if draw(st.booleans()):
        inputs["initial_h"] = normal(D, batch, hidden)
    if op_type == "LSTM" and draw(st.booleans()):
        inputs["initial_c"] = normal(D, batch, hidden)
    if op_type == "LSTM" and draw(st.booleans()):
        inputs["P"] = normal(D, 3 * hidden)
    return attributes, inputs


def compare(op_type: str, attributes: dict[str, Any], inputs: dict[str, Any]) -> None:
    theirs = run_node(op_type, attributes, inputs)
    network, p = weights.from_onnx(
        op_type, attributes, inputs["W"], inputs["R"], inputs.get("B"), inputs.get("P")
    )
    h_names = [n for n in network.state if n[-1] in "hy"]
    c_names = [n for n in network.state if n[-1] in "Cc"]
    initial = {}
    for kind, names in (("initial_h", h_names), ("initial_c", c_names)):
        if kind in inputs:
            initial |= dict(zip(names, inputs[kind], strict=True))
    run = unroll(network, p, inputs["X"], initial, lengths=inputs.get("sequence_lens"))
    time, D, batch, H = theirs["Y"].shape
    y = run["h"].data.reshape(time, batch, D, H).swapaxes(1, 2)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, theirs["Y"], rtol=0, atol=1e-5)
    for kind, names in (("Y_h", h_names), ("Y_c", c_names)):
        for k, name in enumerate(names):
            scale = max(1.0, float(np.max(np.abs(theirs[kind]))))
            np.testing.assert_allclose(
                run.final[name].data, theirs[kind][k], rtol=0, atol=1e-5 * scale
            )


@pytest.mark.parametrize("op_type", GATES)
@given(data=st.data())
def test_a_node_computes_the_same(op_type: str, data: Any) -> None:
    compare(op_type, *data.draw(nodes(op_type)))


@pytest.mark.parametrize("peepholes", [False, True])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_coupled_gates_with_and_without_peepholes(direction: str, peepholes: bool) -> None:
    random = np.random.default_rng(1)
    D = 1 + (direction == "bidirectional")
    shapes = {"X": (6, 3, 2), "W": (D, 16, 2), "R": (D, 16, 4), "B": (D, 32), "P": (D, 12)}
    inputs = {n: random.normal(size=s).astype(np.float32) for n, s in shapes.items()}
    if not peepholes:
        del inputs["P"]
    compare("LSTM", {"hidden_size": 4, "direction": direction, "input_forget": 1}, inputs)


@pytest.mark.parametrize("op_type", GATES)
@given(data=st.data())
def test_there_and_back_is_the_same_node(op_type: str, data: Any) -> None:
    attributes, inputs = data.draw(nodes(op_type))
    network, p = weights.from_onnx(
        op_type, attributes, inputs["W"], inputs["R"], inputs.get("B"), inputs.get("P")
    )
    again = weights.to_onnx(network, p)
    assert again["op_type"] == op_type
    assert {k: again["attributes"].get(k, 0) for k in attributes} == attributes
    theirs = run_node(op_type, attributes, inputs)
    ours = run_node(op_type, again["attributes"], {**inputs, **{n: again.get(n) for n in "WRBP"}})
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, rtol=0, atol=2e-6 * max(1, abs(value).max()))
