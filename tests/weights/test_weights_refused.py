"""What the converters of weights refuse, word by word."""

from typing import Any

import numpy as np
import pytest
from weights_to_refuse import arrays, filled, message

from tinygrad_lstm import bidirectional, cells, errors, stack, weights
from tinygrad_lstm.networks import Backward

LSTM_DICT = arrays(weight_ih_l0=(8, 3), weight_hh_l0=(8, 2), bias_ih_l0=(8,), bias_hh_l0=(8,))


def without(name: str) -> dict[str, Any]:
    return {n: v for n, v in LSTM_DICT.items() if n != name}


def test_what_from_pytorch_refuses() -> None:
    convert = weights.from_pytorch
    assert message(lambda: convert(LSTM_DICT, nonlinearity="relu"), weights.WeightsError) == (
        "from_pytorch: nn.RNN: nonlinearity='relu' has no equal here; supported is 'tanh'."
    )
    assert message(lambda: convert([1, 2]), TypeError) == (  # type: ignore[arg-type]
        "from_pytorch: a mapping of names to arrays is needed, got list; pass module.state_dict()."
    )
    own = "From a larger module take that part alone, by its own state_dict() or by prefix=."
    names = "of an nn.RNN, nn.LSTM or nn.GRU, whose names are weight_ih_l0, weight_hh_l0, …"
    assert message(lambda: convert({}), KeyError) == (
        f"from_pytorch: the state_dict is empty.\n  {own}"
    )
    assert message(lambda: convert({**LSTM_DICT, "fc.weight": np.ones(2)}), KeyError) == (
        f"from_pytorch: fc.weight is not {names}\n  {own}"
    )
    assert message(lambda: convert({1: np.ones(2)}), KeyError) == (  # type: ignore[dict-item]
        f"from_pytorch: 1 is not {names}\n  {own}"
    )
    whole = {f"encoder.rnn.{name}": value for name, value in LSTM_DICT.items()}
    whole |= {"cell.weight_ih": np.ones((8, 3)), "cell.weight_hh": np.ones((8, 2)), "a.b": 0}
    fix = "Of a larger module name the part: prefix='encoder.rnn' or 'cell'."
    assert message(lambda: convert(whole), KeyError) == (
        "from_pytorch: encoder.rnn.weight_ih_l0, encoder.rnn.weight_hh_l0, "
        f"encoder.rnn.bias_ih_l0, … are not {names}\n  {fix}"
    )
    assert message(lambda: convert(whole, prefix="a"), KeyError) == (
        f"from_pytorch: a.b is not {names}\n  {fix}"
    )
    assert message(lambda: convert(whole, prefix="enc"), KeyError) == (
        f"from_pytorch: the state_dict has no name that begins with 'enc.'.\n  {fix}"
    )
    both = {**LSTM_DICT, "weight_ih": np.ones((8, 3)), "weight_hh": np.ones((8, 2))}
    assert message(lambda: convert(both), KeyError) == (
        "from_pytorch: weight_ih, weight_hh belong to another module."
    )
    assert message(lambda: convert(without("bias_hh_l0")), KeyError) == (
        "from_pytorch: the state_dict has no bias_hh_l0."
    )
    assert message(lambda: convert({**LSTM_DICT, "weight_ih_l1": np.ones((8, 2))}), KeyError) == (
        "from_pytorch: the state_dict has no weight_hh_l1, bias_ih_l1, bias_hh_l1."
    )
    assert message(
        lambda: convert({**LSTM_DICT, "weight_ih_l999999": np.ones((8, 2))}), KeyError
    ) == ("from_pytorch: layers are missing between 0 and 999999.")
    assert message(
        lambda: convert({**LSTM_DICT, "weight_ih_l0_reverse": np.ones((8, 3))}), KeyError
    ) == (
        "from_pytorch: the state_dict has no weight_hh_l0_reverse, bias_ih_l0_reverse, "
        "bias_hh_l0_reverse."
    )
    assert message(
        lambda: convert({**LSTM_DICT, "weight_hh_l0": np.ones((4, 2))}), errors.ShapeError
    ) == (
        "from_pytorch: weight_hh_l0 has shape (4, 2); it must be (G * H, H) with G = 1 (nn.RNN), 3 "
        "(nn.GRU) or 4 (nn.LSTM) gates."
    )
    assert message(
        lambda: convert({**LSTM_DICT, "weight_ih_l0": np.ones((6, 3))}), errors.ShapeError
    ) == ("from_pytorch: weight_ih_l0 must be (4 * hidden, inputs) = (8, 3), got shape (6, 3).")
    upper = {n.replace("l0", "l1"): v for n, v in LSTM_DICT.items()}
    assert message(lambda: convert({**LSTM_DICT, **upper}), errors.ShapeError) == (
        "from_pytorch: weight_ih_l1 must be (4 * hidden, inputs) = (8, 2), got shape (8, 3)."
    )
    assert message(
        lambda: convert({**LSTM_DICT, "bias_ih_l0": np.ones((8,), int)}), errors.DTypeError
    ) == ("from_pytorch: bias_ih_l0 holds int64, but floating-point numbers are needed.")
    bad = np.ones(8)
    bad[3] = np.nan
    assert message(lambda: convert({**LSTM_DICT, "bias_ih_l0": bad}), errors.DataError) == (
        "from_pytorch: bias_ih_l0 holds nan at index [3]; 1 of 8 entries are not finite."
    )


class Half:
    """As a tensor of PyTorch's in bfloat16, which NumPy does not know."""

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("Got unsupported ScalarType BFloat16")

    def float(self) -> Any:
        return np.ones(8)


def test_numbers_that_numpy_does_not_know() -> None:
    assert message(
        lambda: weights.from_pytorch({**LSTM_DICT, "bias_ih_l0": Half()}), errors.DTypeError
    ) == (
        "from_pytorch: bias_ih_l0 cannot be read as a NumPy array: Got unsupported ScalarType "
        "BFloat16\n  Convert it first: bias_ih_l0.float()."
    )


def test_what_to_pytorch_refuses() -> None:
    known = "those that have are rnn, gru_reset_after, lstm, one layer or bidirectional."
    gru = cells.gru
    assert message(lambda: weights.to_pytorch(gru, filled(gru)), weights.WeightsError) == (
        f"to_pytorch: cell 'gru' has no equal there; {known}"
    )
    nested = stack([stack([cells.rnn]), cells.rnn])
    assert message(lambda: weights.to_pytorch(nested, filled(nested)), weights.WeightsError) == (
        "to_pytorch: network 'stack_of_rnn' is a stack, and there each layer is on its own.\n"
        "  Convert each of weights.layers(network, parameters)."
    )
    mixed = bidirectional(cells.rnn, cells.lstm)
    assert message(lambda: weights.to_pytorch(mixed, filled(mixed)), weights.WeightsError) == (
        "to_pytorch: network 'bidirectional_rnn' has two kinds of cells, rnn and lstm; there both "
        "directions are of one kind."
    )
    mixed = stack([bidirectional(cells.lstm), cells.rnn])
    assert message(lambda: weights.to_pytorch(mixed, filled(mixed)), weights.WeightsError) == (
        "to_pytorch: the layers of network 'stack_of_bidirectional_lstm_and_rnn' differ (lstm, 2 "
        "direction(s), hidden=2; rnn, 1 direction(s), hidden=2); those of one module are alike."
    )
    back = Backward(cells.rnn)
    assert message(lambda: weights.to_pytorch(back, filled(back)), weights.WeightsError) == (
        "to_pytorch: network 'backward_rnn' reads backward alone, which no module does."
    )
    assert message(lambda: weights.to_pytorch(cells.rnn, {"W": np.ones((2, 5))}), KeyError) == (
        "cell 'rnn': b is missing; the parameters are W, b."
    )


KERAS_GRU = [np.ones((3, 6)), np.ones((2, 6)), np.ones((2, 6))]


def configured(**options: Any) -> dict[str, Any]:
    return {"class_name": "GRU", "config": options}


@pytest.mark.parametrize(
    ("layer", "given", "kind", "expected"),
    [
        (
            "ConvLSTM1D",
            KERAS_GRU,
            KeyError,
            "from_keras: the layers are SimpleRNN, LSTM, GRU and Bidirectional, got 'ConvLSTM1D'.",
        ),
        (
            {"units": 3},
            KERAS_GRU,
            KeyError,
            "from_keras: the configuration has no class_name; write {'class_name': 'LSTM', "
            "'config': layer.get_config()}.",
        ),
        (
            {"class_name": "GRU", "config": 3},
            KERAS_GRU,
            errors.DTypeError,
            "from_keras: the config of GRU is a mapping of options, got int; write "
            "layer.get_config().",
        ),
        (
            configured(activation="relu"),
            KERAS_GRU,
            weights.WeightsError,
            "from_keras: GRU: activation='relu' has no equal here; supported is 'tanh'.",
        ),
        (
            configured(recurrent_activation="hard_sigmoid"),
            KERAS_GRU,
            weights.WeightsError,
            "from_keras: GRU: recurrent_activation='hard_sigmoid' has no equal here; supported is "
            "'sigmoid'.",
        ),
        (
            configured(dropout=0.1),
            KERAS_GRU,
            weights.WeightsError,
            "from_keras: GRU: dropout=0.1 has no equal here; supported is 0.\n  At inference it "
            "has no effect: set it to 0 in the configuration.",
        ),
        (
            configured(go_backwards=True),
            KERAS_GRU,
            weights.WeightsError,
            "from_keras: GRU: go_backwards=True has no equal here; supported is False.\n  Reverse "
            "the sequence instead: xs[::-1].",
        ),
        (
            configured(cell_clip=3.0),
            KERAS_GRU,
            KeyError,
            "from_keras: GRU: the option 'cell_clip' is not known here; those that matter are "
            "activation, recurrent_activation, dropout, recurrent_dropout, go_backwards, use_bias, "
            "reset_after.",
        ),
        (
            configured(units=5),
            KERAS_GRU,
            errors.ShapeError,
            "from_keras: GRU: units=5, but recurrent_kernel is for 2.",
        ),
        (
            configured(reset_after=False),
            KERAS_GRU,
            errors.ShapeError,
            "from_keras: GRU: bias must be (3 * hidden) = (6,), got shape (2, 6).",
        ),
        (
            configured(use_bias=False),
            KERAS_GRU,
            errors.ShapeError,
            "from_keras: GRU has kernel, recurrent_kernel, but 3 arrays were given.",
        ),
        (
            "LSTM",
            KERAS_GRU,
            errors.ShapeError,
            "from_keras: LSTM: recurrent_kernel must be (hidden, 4 * hidden) = (2, 8), got shape "
            "(2, 6).",
        ),
        (
            "GRU",
            [np.ones((3, 8)), *KERAS_GRU[1:]],
            errors.ShapeError,
            "from_keras: GRU: kernel must be (inputs, 3 * hidden) = (3, 6), got shape (3, 8).",
        ),
        (
            "GRU",
            KERAS_GRU[:1],
            errors.ShapeError,
            "from_keras: GRU has kernel, recurrent_kernel, but 1 arrays were given.",
        ),
        (
            "GRU",
            np.ones(3),
            errors.DTypeError,
            "from_keras: a list of arrays is needed, got ndarray; pass layer.get_weights().",
        ),
        (
            {"class_name": "Bidirectional", "config": {"merge_mode": "sum", "layer": "GRU"}},
            KERAS_GRU * 2,
            weights.WeightsError,
            "from_keras: Bidirectional: merge_mode='sum' has no equal here; supported is 'concat'.",
        ),
        (
            "Bidirectional",
            KERAS_GRU * 2,
            KeyError,
            "from_keras: Bidirectional has no layer in its configuration; write {'class_name': "
            "'Bidirectional', 'config': layer.get_config()}.",
        ),
        (
            {"class_name": "Bidirectional", "config": {"layer": "GRU"}},
            KERAS_GRU,
            errors.ShapeError,
            "from_keras: Bidirectional has as many weights forward as backward, got 3 in all.",
        ),
        (
            {"class_name": "Bidirectional", "config": {"layer": "GRU"}},
            [*KERAS_GRU, *KERAS_GRU[:2], np.ones((2, 9))],
            errors.ShapeError,
            "from_keras: backward GRU: bias must be (2, 3 * hidden) = (2, 6), got shape (2, 9).",
        ),
    ],
)
def test_what_from_keras_refuses(
    layer: Any, given: Any, kind: type[Exception], expected: str
) -> None:
    assert message(lambda: weights.from_keras(layer, given), kind) == expected


@pytest.mark.parametrize("convert", [weights.to_keras, weights.to_onnx])
def test_stacks_are_converted_layer_by_layer(convert: Any) -> None:
    network = stack([cells.rnn, cells.rnn])
    assert message(lambda: convert(network, filled(network)), weights.WeightsError) == (
        f"{convert.__name__}: network 'stack_of_rnn_and_rnn' is a stack, and there each layer is "
        "on its own.\n  Convert each of weights.layers(network, parameters)."
    )


def test_what_to_keras_and_to_onnx_refuse() -> None:
    p = filled(cells.lstm_coupled)
    assert message(lambda: weights.to_keras(cells.lstm_coupled, p), weights.WeightsError) == (
        "to_keras: cell 'lstm_coupled' has no equal there; those that have are rnn, lstm, "
        "gru_cho2014, gru_reset_after, one layer or bidirectional."
    )
    back = Backward(cells.rnn)
    assert message(lambda: weights.to_keras(back, filled(back)), weights.WeightsError) == (
        "to_keras: network 'backward_rnn' reads backward alone; Keras would return its steps in "
        "the opposite order.\n  Convert its part, and reverse the sequence there."
    )
    p = filled(cells.gru)
    assert message(lambda: weights.to_onnx(cells.gru, p), weights.WeightsError) == (
        "to_onnx: cell 'gru' has no equal there; those that have are rnn, lstm, "
        "lstm_peephole_gers, lstm_coupled, cifg, gru_cho2014, gru_reset_after, one layer or "
        "bidirectional."
    )
