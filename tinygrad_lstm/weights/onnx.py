"""ONNX: the operators RNN, LSTM and GRU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_lstm.cells.gated import lstm, lstm_coupled
from tinygrad_lstm.cells.gru_forms import gru_cho2014, gru_reset_after
from tinygrad_lstm.cells.odyssey import cifg
from tinygrad_lstm.cells.peepholes import lstm_peephole_gers
from tinygrad_lstm.cells.plain import rnn
from tinygrad_lstm.errors import DTypeError, ShapeError, UnknownNameError
from tinygrad_lstm.networks import Backward, bidirectional, stack
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

ORDERS = {"RNN": "h", "LSTM": "iofC", "GRU": "zrn"}  # of rows
PEEPHOLES = "iof"
ACTIVATIONS = {"RNN": ["Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}
DIRECTIONS = {"forward": ["forward"], "reverse": ["backward"]}
DIRECTIONS["bidirectional"] = ["forward", "backward"]
_COMMON = ["activation_alpha", "activation_beta", "activations", "clip", "direction"]
_COMMON += ["hidden_size", "layout"]
ATTRIBUTES = {
    "RNN": _COMMON,
    "LSTM": [*_COMMON, "input_forget"],
    "GRU": [*_COMMON, "linear_before_reset"],
}
_WHOLE = (int | np.integer, "a whole number")
_KINDS: dict[str, tuple[Any, str]] = {
    "activation_alpha": (list | tuple, "a list of numbers"),
    "activation_beta": (list | tuple, "a list of numbers"),
    "activations": (list | tuple, "a list of names"),
    "clip": (float | int | np.number, "a number"),
    "direction": (str, "a name"),
}
# Each cell's operator, with the attributes that tell it from the operator's other cells.
CELLS: dict[Cell, tuple[str, dict[str, int]]] = {
    rnn: ("RNN", {}),
    lstm: ("LSTM", {}),
    lstm_peephole_gers: ("LSTM", {}),
    lstm_coupled: ("LSTM", {"input_forget": 1}),
    cifg: ("LSTM", {"input_forget": 1}),
    gru_cho2014: ("GRU", {"linear_before_reset": 0}),
    gru_reset_after: ("GRU", {"linear_before_reset": 1}),
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
    owner = f"from_onnx: {op_type}"
    if op_type not in ORDERS:
        known = ", ".join(ORDERS)
        raise UnknownNameError(f"from_onnx: the operators are {known}, got {op_type!r}.")
    options = _options(owner, op_type, attributes)
    sides = DIRECTIONS[options["direction"]]
    weights = {"W": W, "R": R, "B": B, "P": P}
    given = {
        name: array(owner, name, v) for name, v in weights.items() if name in "WR" or v is not None
    }
    order = ORDERS[op_type]
    hidden = _check_shapes(owner, op_type, given, len(sides), options.get("hidden_size"))
    coupled = options.get("input_forget", 0)
    cell = {
        "RNN": rnn,
        "LSTM": (cifg if P is not None else lstm_coupled)
        if coupled
        else (lstm_peephole_gers if P is not None else lstm),
        "GRU": gru_reset_after if options.get("linear_before_reset", 0) else gru_cho2014,
    }[op_type]
    found: dict[str, Array] = {}
    for k, side in enumerate(sides):
        gates = _gates({name: v[k] for name, v in given.items()}, order, hidden)
        if cell is lstm_coupled:
            gates["f"] = -gates["i"]
        found |= {f"{side}.{name}": v for name, v in named(cell, gates).items()}
    if len(sides) > 1:
        network: Any = bidirectional(cell)
    elif sides == ["backward"]:
        network = Backward(cell)
    else:  # a cell whose output is not called h is a stack of one layer, whose output is
        network = cell if cell.output == "h" else stack([cell])
        prefix = "" if network is cell else "1."
        found = {prefix + name: v for name, v in under("forward.", found).items()}
    return network, network.bind(found)


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
    one_layer("to_onnx", network)
    sides = directions("to_onnx", network, list(CELLS))
    cell = next(iter(sides.values()))[0]
    op_type, special = CELLS[cell]
    order, found = ORDERS[op_type], []
    for own, prefix in sides.values():
        gates = gates_of(own, under(prefix, parameters))
        if cell is lstm_coupled:
            gates["i"] = -gates["f"]
        if special.get("input_forget"):
            gates["f"] = Gate(*(np.zeros_like(v) for v in vars(gates["i"]).values()))
        weights = {name: stacked(order, gates, name) for name in "WR"}
        weights["B"] = np.concatenate([stacked(order, gates, name) for name in "br"])
        if cell in (lstm_peephole_gers, cifg):
            weights["P"] = stacked(PEEPHOLES, gates, "p")
        found.append(weights)
    hidden = found[0]["R"].shape[1]
    if any(weights["W"].shape != found[0]["W"].shape for weights in found):
        raise WeightsError(f"to_onnx: the two directions of {network} differ in their sizes.")
    direction = next(name for name, those in DIRECTIONS.items() if those == list(sides))
    return {
        "op_type": op_type,
        "attributes": {"hidden_size": hidden, "direction": direction, **special},
        **{name: np.stack([weights[name] for weights in found]) for name in found[0]},
    }


def _options(owner: str, op_type: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes as Python values, once it is known that each can be represented."""
    if not isinstance(attributes, Mapping):
        raise DTypeError(
            f"{owner}: attributes are a mapping of names to values, got "
            f"{type(attributes).__name__}; without any write {{}}."
        )
    options = {name: _text(value) for name, value in attributes.items()}
    for name, value in options.items():
        if name not in ATTRIBUTES[op_type]:
            raise UnknownNameError(
                f"{owner} has no attribute {name!r}; it has {', '.join(ATTRIBUTES[op_type])}."
            )
        kinds, words = _KINDS.get(name, _WHOLE)
        if not isinstance(value, kinds):
            raise DTypeError(f"{owner}: {name} is {words}, got {value!r}.")
    options.setdefault("direction", "forward")
    if options["direction"] not in DIRECTIONS:
        raise WeightsError(
            f"{owner}: direction is {', '.join(DIRECTIONS)}, got {options['direction']!r}."
        )
    for name in ("input_forget", "linear_before_reset", "layout"):
        if options.get(name, 0) not in (0, 1):
            raise WeightsError(f"{owner}: {name} is 0 or 1, got {options[name]!r}.")
    if "clip" in options:
        raise WeightsError(
            f"{owner}: clip={options['clip']} makes a clipped cell, which has no equal here; only "
            f"nodes without clip can be converted."
        )
    expected = ACTIVATIONS[op_type] * len(DIRECTIONS[options["direction"]])
    given = options.get("activations") or expected
    if [str(name).lower() for name in given] != [name.lower() for name in expected]:
        raise WeightsError(
            f"{owner}: activations {', '.join(map(str, given))} have no equal here; supported are "
            f"{', '.join(expected)}."
        )
    for name in ("activation_alpha", "activation_beta"):
        if len(options.get(name) or ()):
            raise WeightsError(
                f"{owner}: {name}={list(options[name])} has no equal here; Sigmoid and Tanh have "
                f"no such number."
            )
    return options


def _text(value: Any) -> Any:
    """ONNX keeps strings as bytes."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, list | tuple):
        return [_text(entry) for entry in value]
    return value


def _check_shapes(
    owner: str, op_type: str, given: Mapping[str, Array], sides: int, hidden_size: int | None
) -> int:
    W, R, G = given["W"], given["R"], len(ORDERS[op_type])
    hidden = R.shape[2] if R.ndim == 3 else 0
    if not hidden or R.shape != (sides, G * hidden, hidden):
        raise ShapeError(
            f"{owner}: R must be (directions, {G} * hidden, hidden) with directions={sides}, got "
            f"shape {R.shape}."
        )
    if hidden_size is not None and hidden_size != hidden:
        raise ShapeError(f"{owner}: hidden_size={hidden_size}, but R is for {hidden}.")
    inputs = W.shape[2] or 1 if W.ndim == 3 else 1
    words = f"directions, {G} * hidden, inputs"
    check(owner, "W", W, words, (sides, G * hidden, inputs))
    if "B" in given:
        words = f"directions, {2 * G} * hidden"
        check(owner, "B", given["B"], words, (sides, 2 * G * hidden))
    if "P" in given:
        if op_type != "LSTM":
            raise WeightsError(f"{owner}: P are peepholes, which only LSTM has.")
        check(owner, "P", given["P"], "directions, 3 * hidden", (sides, 3 * hidden))
    return hidden


def _gates(given: Mapping[str, Array], order: str, hidden: int) -> dict[str, Gate]:
    """The gates of one direction."""
    zero = np.zeros(len(order) * hidden, given["W"].dtype)
    b, r = np.split(given["B"], 2) if "B" in given else (zero, zero)
    apart = [blocks(weight, order) for weight in (given["W"], given["R"], b, r, zero)]
    peepholes = blocks(given["P"], PEEPHOLES) if "P" in given else {}
    apart[-1] |= peepholes
    return {gate: Gate(*(weights[gate] for weights in apart)) for gate in order}
