"""Keras: the weight lists of SimpleRNN, LSTM, GRU, and of Bidirectional round one of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_lstm.errors import DTypeError, ShapeError, UnknownNameError
from tinygrad_lstm.parameters import Parameters
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array
from tinygrad_lstm.weights import gates
from tinygrad_lstm.weights.gates import WeightsError

NAMES = ("kernel", "recurrent_kernel", "bias")
KINDS = gates.kinds("keras")
# Options that change what is computed: the values that have an equal here.
_SUPPORTED: dict[str, tuple[Any, ...]] = {
    "activation": ("tanh",),
    "recurrent_activation": ("sigmoid",),
    "dropout": (0,),
    "recurrent_dropout": (0,),
    "go_backwards": (False,),
    "use_bias": (True, False),
}
# Options of training, of the first weights, or of how a sequence is passed.
_WITHOUT_EFFECT = re.compile(
    r"name|trainable|dtype|units|return_\w+|stateful|unroll|time_major|implementation|seed|"
    r"unit_forget_bias|zero_output_for_mask|\w*shape|\w+_(initializer|regularizer|constraint)"
)


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
        return gates.assemble({"forward": _layer(name, options, weights)})
    forward, backward = _both(options)
    half, odd = divmod(len(weights), 2)
    if odd:
        raise ShapeError(
            f"from_keras: Bidirectional has as many weights forward as backward, got "
            f"{len(weights)} in all."
        )
    sides = {
        "forward": _layer(*forward, weights[:half], "forward "),
        "backward": _layer(*backward, weights[half:], "backward "),
    }
    return gates.assemble(sides)


def to_keras(network: Any, parameters: Mapping[str, Any]) -> dict[str, Array]:
    """The weights of a Keras layer by name: the opposite of `from_keras`.

    network: `rnn` (SimpleRNN), `lstm` (LSTM), `gru_reset_after` (GRU), `gru_cho2014` (GRU with
    reset_after=False), or `bidirectional` of one. The names are kernel, recurrent_kernel and bias,
    after `forward/` and `backward/` for two directions; `layer.set_weights(list(….values()))`
    takes the result. A Keras layer is one layer: of a stack convert each of
    `weights.layers(network, parameters)`.

    WeightsError for cells that are no such layer.
    """
    sides = gates.take_apart("to_keras", "keras", network, parameters)
    if "forward" not in sides:
        raise WeightsError(
            f"to_keras: {network} reads backward alone; Keras would return its steps in the "
            f"opposite order.\n  Convert its part, and reverse the sequence there."
        )
    found: dict[str, Array] = {}
    for side, (_, layout, own) in sides.items():
        two = layout.options.get("reset_after", False)
        bias = np.stack([own["b"], own["r"]]) if two else own["b"]
        start = f"{side}/" * (len(sides) > 1)
        weights = own["W"].T.copy(), own["R"].T.copy(), bias
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
    if name not in KINDS and name != "Bidirectional":
        raise UnknownNameError(
            f"from_keras: the layers are {', '.join(KINDS)} and Bidirectional, got {name!r}."
        )
    return name, options


def _both(options: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The two layers within a Bidirectional one."""
    if options.get("layer") is None:
        raise UnknownNameError(
            "from_keras: Bidirectional has no layer in its configuration; write {'class_name': "
            "'Bidirectional', 'config': layer.get_config()}."
        )
    mode = {"merge_mode": options.get("merge_mode", "concat")}
    gates.check_options("from_keras: Bidirectional", mode, {"merge_mode": ("concat",)})
    forward = _configuration(options["layer"])
    backward = _configuration(options.get("backward_layer") or options["layer"])
    backward[1]["go_backwards"] = False  # it is what makes it the backward one
    return [forward, backward]


def _layer(
    name: str, options: Mapping[str, Any], weights: Sequence[Any], side: str = ""
) -> tuple[Cell, dict[str, Array]]:
    """The cell and the parameters of one layer that reads in one direction."""
    owner = f"from_keras: {side}{name}"
    gates.check_options(owner, options, {**_SUPPORTED, **KINDS[name]}, _WITHOUT_EFFECT)
    biased = options.get("use_bias", len(weights) == 3)
    if len(weights) != 2 + biased:
        raise ShapeError(
            f"{owner} has {', '.join(NAMES[: 2 + biased])}, but {len(weights)} arrays were given."
        )
    given = {what: gates.array(owner, what, v) for what, v in zip(NAMES, weights, strict=False)}
    after = options.get("reset_after", "bias" not in given or given["bias"].ndim != 1)
    cell = gates.choose_cell("keras", name, {"reset_after": after})
    assert cell is not None  # of every kind there is one for each value of reset_after
    layout = gates.LAYOUTS["keras"][cell]
    columns = f"{len(layout.order)} * hidden"
    two = layout.options.get("reset_after", False)
    words = {"recurrent_kernel": f"hidden, {columns}", "kernel": f"inputs, {columns}"}
    if biased:
        words["bias"] = f"2, {columns}" if two else columns
    H = gates.check_shapes(owner, words, given)["hidden"]
    if options.get("units", H) != H:
        raise ShapeError(f"{owner}: units={options['units']}, but recurrent_kernel is for {H}.")
    own = {"W": given["kernel"].T, "R": given["recurrent_kernel"].T}
    if biased:
        own |= dict(zip("br", given["bias"] if two else [given["bias"]], strict=False))
    return cell, gates.to_parameters(cell, layout, own)
