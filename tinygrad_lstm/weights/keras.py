"""Keras: the weight lists of SimpleRNN, LSTM, GRU, and of Bidirectional round one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_lstm.cells.gated import lstm
from tinygrad_lstm.cells.gru_forms import gru_cho2014, gru_reset_after
from tinygrad_lstm.cells.plain import rnn
from tinygrad_lstm.errors import DTypeError, ShapeError, UnknownNameError
from tinygrad_lstm.networks import bidirectional
from tinygrad_lstm.parameters import Parameters
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array
from tinygrad_lstm.weights.gates import (
    Gate,
    WeightsError,
    array,
    blocks,
    check,
    directions,
    gates_of,
    named,
    one_layer,
    stacked,
    under,
)

ORDERS = {"SimpleRNN": "h", "LSTM": "ifCo", "GRU": "zrn"}  # of columns
CELLS: dict[Cell, str] = {
    rnn: "SimpleRNN",
    lstm: "LSTM",
    gru_cho2014: "GRU",
    gru_reset_after: "GRU",
}
NAMES = ("kernel", "recurrent_kernel", "bias")

# Options that change what is computed: the values that have an equal here.
_SUPPORTED: dict[str, tuple[Any, ...]] = {
    "activation": ("tanh",),
    "recurrent_activation": ("sigmoid",),
    "dropout": (0,),
    "recurrent_dropout": (0,),
    "go_backwards": (False,),
    "use_bias": (True, False),
    "reset_after": (True, False),
}
# Options of training, of the first weights, or of how a sequence is passed.
_WITHOUT_EFFECT = {
    "name",
    "trainable",
    "dtype",
    "units",
    "return_sequences",
    "return_state",
    "stateful",
    "unroll",
    "time_major",
    "implementation",
    "unit_forget_bias",
    "seed",
    "zero_output_for_mask",
    "input_shape",
    "batch_input_shape",
    "batch_shape",
    "kernel_initializer",
    "recurrent_initializer",
    "bias_initializer",
    "kernel_regularizer",
    "recurrent_regularizer",
    "bias_regularizer",
    "activity_regularizer",
    "kernel_constraint",
    "recurrent_constraint",
    "bias_constraint",
}


def from_keras(layer: str | Mapping[str, Any], weights: Sequence[Any]) -> tuple[Any, Parameters]:
    """The network and the parameters of a Keras layer.

    layer: "SimpleRNN", "LSTM" or "GRU", or a configuration {"class_name": …, "config":
    layer.get_config()}, also that of a Bidirectional layer round one of these, with
    merge_mode="concat". weights: `layer.get_weights()`: kernel (inputs, G·H), recurrent_kernel (H,
    G·H) and, unless use_bias=False, bias; for Bidirectional the forward ones and then the backward
    ones. Columns are in the order i f c o (LSTM, G = 4), z r h (GRU, 3).

    The cell is `rnn`, `lstm`, `gru_reset_after` or, with reset_after=False, `gru_cho2014`. The
    bias of a GRU is (2, 3·H) with reset_after, on x and on h, and (3·H,) without; of a layer that
    is only named the shape of the bias tells which it is, and without a bias it is reset_after, as
    in Keras. Activations of a layer that is only named are Keras's own, tanh and sigmoid.

    `unroll(network, parameters, xs)["h"]` is what the layer returns with return_sequences, its
    first two axes exchanged. Options of training (initializers, regularizers, constraints) have no
    effect. WeightsError for options that have no equal here: other activations, dropout,
    go_backwards, other merge_modes. UnknownNameError for unknown classes and options, ShapeError
    for shapes that do not fit, DTypeError, DataError for numbers that are none.
    """
    name, options = _configuration(layer)
    if not isinstance(weights, Sequence) or isinstance(weights, str):
        raise DTypeError(
            f"from_keras: a list of arrays is needed, got {type(weights).__name__}; pass "
            f"layer.get_weights()."
        )
    if name != "Bidirectional":
        cell, found = _one(name, options, weights)
        return cell, cell.bind(found)
    sides = _both(options)
    half, odd = divmod(len(weights), 2)
    if odd:
        raise ShapeError(
            f"from_keras: Bidirectional has as many weights forward as backward, got "
            f"{len(weights)} in all."
        )
    read = {
        "forward": _one(*sides[0], weights[:half], "forward "),
        "backward": _one(*sides[1], weights[half:], "backward "),
    }
    network = bidirectional(read["forward"][0], read["backward"][0])
    return network, network.bind(
        {f"{side}.{n}": v for side, (_, own) in read.items() for n, v in own.items()}
    )


def to_keras(network: Any, parameters: Mapping[str, Any]) -> dict[str, Array]:
    """The weights of a Keras layer by name: the opposite of `from_keras`.

    network: `rnn` (SimpleRNN), `lstm` (LSTM), `gru_reset_after` (GRU), `gru_cho2014` (GRU with
    reset_after=False), or `bidirectional` of one. The names are kernel, recurrent_kernel and bias,
    after `forward/` and `backward/` for two directions; `layer.set_weights(list(….values()))`
    takes the result. A Keras layer is one layer: of a stack convert each of
    `weights.layers(network, parameters)`.

    WeightsError for cells that are no such layer.
    """
    one_layer("to_keras", network)
    sides = directions("to_keras", network, list(CELLS))
    if "forward" not in sides:
        raise WeightsError(
            f"to_keras: {network} reads backward alone; Keras would return its steps in the "
            f"opposite order.\n  Convert its part, and reverse the sequence there."
        )
    found: dict[str, Array] = {}
    for side, (cell, prefix) in sides.items():
        gates, order = gates_of(cell, under(prefix, parameters)), ORDERS[CELLS[cell]]
        b, r = stacked(order, gates, "b"), stacked(order, gates, "r")
        weights = (
            stacked(order, gates, "W").T.copy(),
            stacked(order, gates, "R").T.copy(),
            np.stack([b, r]) if cell is gru_reset_after else b,
        )
        start = f"{side}/" * (len(sides) > 1)
        found |= {start + name: value for name, value in zip(NAMES, weights, strict=True)}
    return found


def _configuration(layer: Any) -> tuple[str, dict[str, Any]]:
    name, options = layer, {}
    if isinstance(layer, Mapping):
        if not isinstance(layer.get("class_name"), str):
            raise UnknownNameError(
                "from_keras: the configuration has no class_name; write {'class_name': 'LSTM', "
                "'config': layer.get_config()}."
            )
        config = layer.get("config") or {}
        if not isinstance(config, Mapping):
            raise DTypeError(
                f"from_keras: the config of {layer['class_name']} is a mapping of options, got "
                f"{type(config).__name__}; write layer.get_config()."
            )
        name, options = layer["class_name"], dict(config)
    if name not in ORDERS and name != "Bidirectional":
        raise UnknownNameError(
            f"from_keras: the layers are {', '.join(ORDERS)} and Bidirectional, got {name!r}."
        )
    return name, options


def _both(options: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The two layers within a Bidirectional one."""
    if options.get("layer") is None:
        raise UnknownNameError(
            "from_keras: Bidirectional has no layer in its configuration; write {'class_name': "
            "'Bidirectional', 'config': layer.get_config()}."
        )
    if options.get("merge_mode", "concat") != "concat":
        raise WeightsError(
            f"from_keras: Bidirectional with merge_mode={options['merge_mode']!r} has no equal "
            f"here; supported is 'concat'."
        )
    forward = _configuration(options["layer"])
    backward = _configuration(options.get("backward_layer") or options["layer"])
    backward[1]["go_backwards"] = False  # it is what makes it the backward one
    return [forward, backward]


def _one(
    name: str, options: Mapping[str, Any], weights: Sequence[Any], side: str = ""
) -> tuple[Cell, dict[str, Array]]:
    """The cell and the named arrays of one layer that reads in one direction."""
    owner = f"from_keras: {side}{name}"
    _check_options(owner, name, options)
    biased = options.get("use_bias", len(weights) == 3)
    if len(weights) != 2 + biased:
        raise ShapeError(
            f"{owner} has {', '.join(NAMES[: 2 + biased])}, but {len(weights)} arrays were given."
        )
    given = {what: array(owner, what, v) for what, v in zip(NAMES, weights, strict=False)}
    order, recurrent = ORDERS[name], given["recurrent_kernel"]
    G, H = len(order), recurrent.shape[0] if recurrent.ndim == 2 else 0
    if not H or recurrent.shape != (H, G * H):
        raise ShapeError(
            f"{owner}: recurrent_kernel must be (hidden, {G} * hidden), got shape "
            f"{recurrent.shape}."
        )
    if options.get("units", H) != H:
        raise ShapeError(f"{owner}: units={options['units']}, but recurrent_kernel is for {H}.")
    inputs = given["kernel"].shape[0] or 1 if given["kernel"].ndim == 2 else 1
    check(owner, "kernel", given["kernel"], f"inputs, {G} * hidden", (inputs, G * H))
    cell = {"SimpleRNN": rnn, "LSTM": lstm}.get(name, gru_reset_after)
    after = options.get("reset_after", "bias" not in given or given["bias"].ndim != 1)
    zero = np.zeros(G * H, recurrent.dtype)
    bias = [zero, zero]
    if name == "GRU" and not after:
        cell = gru_cho2014
    if "bias" in given:
        two = cell is gru_reset_after
        words, shape = (f"2, {G} * hidden", (2, G * H)) if two else (f"{G} * hidden", (G * H,))
        check(owner, "bias", given["bias"], words, shape)
        bias = list(given["bias"]) if two else [given["bias"], zero]
    apart = [blocks(v, order) for v in (given["kernel"].T, recurrent.T, *bias, zero)]
    return cell, named(cell, {g: Gate(*(weights[g] for weights in apart)) for g in order})


def _check_options(owner: str, name: str, options: Mapping[str, Any]) -> None:
    for option, value in options.items():
        if option in _WITHOUT_EFFECT:
            continue
        own = option in _SUPPORTED
        own &= not (option == "recurrent_activation" and name == "SimpleRNN")
        own &= not (option == "reset_after" and name != "GRU")
        if not own:
            raise UnknownNameError(
                f"{owner}: the option {option!r} is not known here; those that matter are "
                f"{', '.join(_SUPPORTED)}."
            )
        if value in _SUPPORTED[option]:
            continue
        known = " or ".join(map(repr, _SUPPORTED[option]))
        fix = {
            "dropout": "\n  At inference it has no effect: set it to 0 in the configuration.",
            "recurrent_dropout": "\n  At inference it has no effect: set it to 0 in the "
            "configuration.",
            "go_backwards": "\n  Reverse the sequence instead: xs[::-1].",
        }.get(option, "")
        raise WeightsError(
            f"{owner}: {option}={value!r} has no equal here; supported is {known}.{fix}"
        )
