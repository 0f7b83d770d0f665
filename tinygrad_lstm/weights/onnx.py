"""ONNX: the operators RNN, LSTM and GRU."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from tinygrad_lstm.errors import DTypeError, ShapeError, UnknownNameError
from tinygrad_lstm.parameters import Parameters, under
from tinygrad_lstm.tensor import Array
from tinygrad_lstm.weights import gates
from tinygrad_lstm.weights.gates import WeightsError

KINDS = gates.kinds("onnx")
ACTIVATIONS = {"RNN": ["Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}
DIRECTIONS = {
    "forward": ["forward"],
    "reverse": ["backward"],
    "bidirectional": ["forward", "backward"],
}


def from_onnx(
    op_type: str, attributes: Mapping[str, Any], W: Any, R: Any, B: Any = None, P: Any = None
) -> tuple[Any, Parameters]:
    """The network and the parameters of an ONNX node RNN, LSTM or GRU.

    attributes: by name, as in the node. W (D, G·H, inputs), R (D, G·H, H), B (D, 2·G·H) with the
    biases on x before those on h, P (D, 3·H) the LSTM's peepholes i o f; D directions; rows in the
    order i o f c (LSTM, G = 4), z r h (GRU, 3). Without B and P they are zero.

    The cell: `rnn`; `lstm`, with P `lstm_peephole_gers`; with input_forget=1 `lstm_coupled`, with
    P `cifg`; `gru_cho2014`, with linear_before_reset=1 `gru_reset_after`. input_forget couples f =
    1 - i, as onnxruntime does (the standard does not say which gate goes): the rows of f have no
    effect. As `lstm_coupled` says i = 1 - f, its f has the weights of i with their signs changed.
    For direction="reverse" the network is `networks.Backward(cell)`.

    xs of `unroll` is X as with layout=0, (time, batch, inputs); for layout=1 exchange the first
    two axes. `run["h"]` is (time, batch, D·H); Y of layout=0 is
    `h.reshape(time, batch, D, H).swapaxes(1, 2)`. sequence_lens is `unroll(…, lengths=…)`,
    initial_h and initial_c are `initial={"h": …, "C": …}`, with `forward.h`, `backward.h` for two
    directions (`1.c` and `1.y` for `cifg`): the names are in `network.state`.

    WeightsError for what has no equal here: clip, other activations, activation_alpha and _beta.
    UnknownNameError for an unknown operator or attribute, ShapeError for shapes that do not fit,
    DTypeError, DataError for numbers that are none.
    """
    if op_type not in KINDS:
        known = ", ".join(KINDS)
        raise UnknownNameError(f"from_onnx: the operators are {known}, got {op_type!r}.")
    owner = f"from_onnx: {op_type}"
    options = _options(owner, op_type, attributes)
    weights = {"R": R, "W": W, "B": B, "P": P}
    given = {n: gates.array(owner, n, v) for n, v in weights.items() if n in "WR" or v is not None}
    cell = gates.choose_cell("onnx", op_type, options, "P" in given)
    if cell is None:
        raise WeightsError(f"{owner}: P are peepholes, which only LSTM has.")
    layout, sides = gates.LAYOUTS["onnx"][cell], DIRECTIONS[options.get("direction", "forward")]
    G = len(layout.order)
    words = {
        "R": f"directions, {G} * hidden, hidden",
        "W": f"directions, {G} * hidden, inputs",
        "B": f"directions, {2 * G} * hidden",
        "P": "directions, 3 * hidden",
    }
    shapes = {name: words[name] for name in given}
    hidden = gates.check_shapes(owner, shapes, given, directions=len(sides))["hidden"]
    if options.get("hidden_size", hidden) != hidden:
        raise ShapeError(f"{owner}: hidden_size={options['hidden_size']}, but R is for {hidden}.")
    found = {}
    for k, side in enumerate(sides):
        own = {name: value[k] for name, value in given.items()}
        if "B" in own:
            own["b"], own["r"] = np.split(own["B"], 2)
        if "P" in own:
            own["p"] = own["P"]
        found[side] = cell, gates.to_parameters(cell, layout, own)
    return gates.assemble(found)


def to_onnx(network: Any, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The operator, attributes and arrays of a network: the opposite of `from_onnx`.

    The result maps `op_type`, `attributes`, `W`, `R`, `B` and, for cells with peepholes, `P` to
    their values, so that `from_onnx(**to_onnx(network, parameters))` is the network again. An ONNX
    node is one layer: of a stack convert each of `weights.layers(network, parameters)`. Where the
    cell has one bias, the bias on h is zero. For `lstm_coupled` and `cifg` the rows of f, which
    have no effect, are zero.

    WeightsError for cells that are no such operator.
    """
    if len(getattr(network, "parts", ())) == 1 and "1" in network.parts:
        network, parameters = network.parts["1"], under("1.", parameters)
    sides = gates.take_apart("to_onnx", "onnx", network, parameters)
    _, layout, first = next(iter(sides.values()))
    if any(own["W"].shape != first["W"].shape for _, _, own in sides.values()):
        raise WeightsError(f"to_onnx: the two directions of {network} differ in their sizes.")
    direction = next(name for name, those in DIRECTIONS.items() if those == list(sides))
    hidden = first["R"].shape[1]

    def of_both(*roles: str) -> Array:
        every = [np.concatenate([own[r] for r in roles]) for _, _, own in sides.values()]
        return np.stack(every)

    return {
        "op_type": layout.kind,
        "attributes": {"hidden_size": hidden, "direction": direction, **layout.options},
        "W": of_both("W"),
        "R": of_both("R"),
        "B": of_both("b", "r"),
        **({"P": of_both("p")} if layout.peepholes else {}),
    }


def _options(owner: str, op_type: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes as Python values, once it is known that each can be represented."""
    if not isinstance(attributes, Mapping):
        raise DTypeError(
            f"{owner}: attributes are a mapping of names to values, got "
            f"{type(attributes).__name__}; without any write {{}}."
        )
    options = {name: _plain(value) for name, value in attributes.items()}
    expected = ACTIVATIONS[op_type] * (1 + (options.get("direction") == "bidirectional"))
    supported: dict[str, Collection[Any]] = {
        "direction": list(DIRECTIONS),
        "activations": [expected, [name.lower() for name in expected]],
        "activation_alpha": [[]],
        "activation_beta": [[]],
        "clip": [None],
        "layout": [0, 1],
        **KINDS[op_type],
    }
    gates.check_options(owner, options, supported, re.compile("hidden_size"))
    return options


def _plain(value: Any) -> Any:
    """ONNX keeps strings as bytes, and numbers as NumPy's."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value
