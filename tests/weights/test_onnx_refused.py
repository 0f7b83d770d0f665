"""What the reader of ONNX nodes refuses, word by word."""

from typing import Any

import pytest
from weights_to_refuse import arrays, message

from tinygrad_lstm import errors, weights

LSTM_NODE = arrays(W=(1, 8, 3), R=(1, 8, 2))
NO_EQUAL = "from_onnx: LSTM: {}={!r} has no equal here; supported is {}."
SIGNS = ["Sigmoid", "Tanh", "Tanh"]


@pytest.mark.parametrize(
    ("option", "value", "supported"),
    [
        ("clip", 3.0, "None.\n  Only nodes without clip can be converted"),
        ("activations", "Tanh", f"{SIGNS} or ['sigmoid', 'tanh', 'tanh']"),
        ("activations", ["Sigmoid", "Relu", "Tanh"], f"{SIGNS} or ['sigmoid', 'tanh', 'tanh']"),
        ("activation_alpha", [0.5], "[]"),
        ("activation_beta", 0.5, "[]"),
        ("direction", "sideways", "'forward' or 'reverse' or 'bidirectional'"),
        ("direction", ["forward"], "'forward' or 'reverse' or 'bidirectional'"),
        ("input_forget", 2, "0 or 1"),
        ("layout", "1", "0 or 1"),
    ],
)
def test_attributes_that_would_change_what_is_computed(
    option: str, value: Any, supported: str
) -> None:
    said = message(
        lambda: weights.from_onnx("LSTM", {option: value}, **LSTM_NODE), weights.WeightsError
    )
    assert said == NO_EQUAL.format(option, value, supported)


def test_an_operator_or_attribute_that_is_not_there() -> None:
    assert message(lambda: weights.from_onnx("Conv", {}, **LSTM_NODE), KeyError) == (
        "from_onnx: the operators are RNN, LSTM, GRU, got 'Conv'."
    )
    other = {"linear_before_reset": 1}
    assert message(lambda: weights.from_onnx("LSTM", other, **LSTM_NODE), KeyError) == (
        "from_onnx: LSTM: the option 'linear_before_reset' is not known here; those that matter "
        "are direction, activations, activation_alpha, activation_beta, clip, layout, "
        "input_forget."
    )
    none: Any = None
    assert message(lambda: weights.from_onnx("LSTM", none, **LSTM_NODE), errors.DTypeError) == (
        "from_onnx: LSTM: attributes are a mapping of names to values, got NoneType; without any "
        "write {}."
    )


MUST_BE = "from_onnx: {}: {} must be ({}) = {}, got shape {}."


@pytest.mark.parametrize(
    ("op_type", "attributes", "changed", "words", "expected"),
    [
        ("LSTM", {"direction": "bidirectional"}, {"R": (1, 8, 2)}, "4 * hidden, hidden", (2, 8, 2)),
        ("GRU", {}, {"R": (1, 8, 2)}, "3 * hidden, hidden", (1, 6, 2)),
        ("LSTM", {}, {"R": (8, 2)}, "4 * hidden, hidden", (1, 4, 1)),
        ("LSTM", {}, {"W": (1, 8, 0)}, "4 * hidden, inputs", (1, 8, 1)),
        ("LSTM", {}, {"W": (1, 6, 3)}, "4 * hidden, inputs", (1, 8, 3)),
        ("LSTM", {}, {"B": (1, 8)}, "8 * hidden", (1, 16)),
        ("LSTM", {}, {"P": (1, 8)}, "3 * hidden", (1, 6)),
    ],
)
def test_arrays_of_another_shape(
    op_type: str, attributes: dict[str, Any], changed: dict[str, Any], words: str, expected: Any
) -> None:
    ((name, shape),) = changed.items()
    given = LSTM_NODE | arrays(**changed)
    assert message(
        lambda: weights.from_onnx(op_type, attributes, **given), errors.ShapeError
    ) == MUST_BE.format(op_type, name, f"directions, {words}", expected, shape)


def test_arrays_that_do_not_go_together() -> None:
    convert = weights.from_onnx
    other = {"hidden_size": 3}
    assert message(lambda: convert("LSTM", other, **LSTM_NODE), errors.ShapeError) == (
        "from_onnx: LSTM: hidden_size=3, but R is for 2."
    )
    for op_type, name in (("LSTM", "W"), ("GRU", "R")):
        without_one: Any = {**LSTM_NODE, name: None}
        assert message(
            lambda op=op_type, given=without_one: convert(op, {}, **given),  # type: ignore[misc]
            errors.DTypeError,
        ) == (f"from_onnx: {op_type}: {name} is None, but an array is needed.")
    plain = arrays(W=(1, 2, 3), R=(1, 2, 2), P=(1, 6))
    assert message(lambda: convert("RNN", {}, **plain), weights.WeightsError) == (
        "from_onnx: RNN: P are peepholes, which only LSTM has."
    )
