"""PyTorch: the state_dict of nn.RNN, nn.LSTM and nn.GRU."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad_lstm.cells.gated import lstm
from tinygrad_lstm.cells.gru_forms import gru_reset_after
from tinygrad_lstm.cells.plain import rnn
from tinygrad_lstm.errors import DTypeError, ShapeError, UnknownNameError
from tinygrad_lstm.networks import bidirectional, stack
from tinygrad_lstm.parameters import Parameters
from tinygrad_lstm.recurrent import Cell
from tinygrad_lstm.tensor import Array
from tinygrad_lstm.weights.gates import (
    Gate,
    WeightsError,
    array,
    blocks,
    check,
    directions,
    gates_of,
    layers,
    named,
    stacked,
)

ORDERS: dict[Cell, str] = {rnn: "h", gru_reset_after: "rzn", lstm: "ifCo"}  # of rows
_NAME = re.compile(r"(weight_ih|weight_hh|bias_ih|bias_hh|weight_hr)_l(\d+)(_reverse)?")
_KINDS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def from_pytorch(
    state_dict: Mapping[str, Any], *, nonlinearity: str = "tanh"
) -> tuple[Any, Parameters]:
    """The network and the parameters of an nn.RNN, nn.LSTM or nn.GRU.

    state_dict: `module.state_dict()`, tensors or arrays: weight_ih_l{k} (G·H, inputs of layer k),
    weight_hh_l{k} (G·H, H), bias_ih_l{k} and bias_hh_l{k} (G·H), and the same with `_reverse` for
    the other direction; rows in the order i f g o (LSTM, G = 4), r z n (GRU, 3). Which module it
    was is seen from G: `rnn`, `lstm` or `gru_reset_after` is the cell. Where the cell has one bias
    the two are added; without biases (bias=False) they are zero.

    One layer is the cell or `bidirectional(cell)`, several are a `stack` of them, and
    `unroll(network, parameters, xs)["h"]` is the module's output, (time, batch, directions · H).
    The network's states stand in the order of h_n and c_n: first by layer, then by direction. A
    state_dict does not tell the nonlinearity of an nn.RNN: pass it where it is not tanh.

    WeightsError for what has no equal here: proj_size, nonlinearity="relu". UnknownNameError for
    missing and unknown names, ShapeError for shapes that do not fit, DTypeError, DataError for
    numbers that are none.
    """
    if nonlinearity != "tanh":
        raise WeightsError(
            f"from_pytorch: nn.RNN with nonlinearity={nonlinearity!r} has no equal here; the cell "
            f"rnn is tanh's."
        )
    if not isinstance(state_dict, Mapping):
        raise DTypeError(
            f"from_pytorch: a mapping of names to arrays is needed, got "
            f"{type(state_dict).__name__}; pass module.state_dict()."
        )
    count, sides = _structure(state_dict)
    arrays = {name: array("from_pytorch", name, value) for name, value in state_dict.items()}
    cell, hidden = _cell(arrays["weight_hh_l0"])
    order = ORDERS[cell]
    zero = np.zeros(len(order) * hidden, arrays["weight_hh_l0"].dtype)
    first = arrays["weight_ih_l0"]
    inputs = first.shape[1] or 1 if first.ndim == 2 else 1
    parts: list[Any] = []
    found: dict[str, Array] = {}
    for k in range(count):
        for side in sides:
            suffix = f"_l{k}{side}"
            own = {kind: arrays.get(f"{kind}{suffix}", zero) for kind in _KINDS}
            _check_shapes(own, suffix, len(order), hidden, hidden * len(sides) if k else inputs)
            prefix = f"{k + 1}." * (count > 1)
            if len(sides) > 1:
                prefix += "backward." if side else "forward."
            apart = [blocks(own[kind], order) for kind in _KINDS] + [blocks(zero, order)]
            gates = {gate: Gate(*(weights[gate] for weights in apart)) for gate in order}
            found |= {f"{prefix}{n}": v for n, v in named(cell, gates).items()}
        parts.append(bidirectional(cell) if len(sides) > 1 else cell)
    network = stack(parts) if count > 1 else parts[0]
    return network, network.bind(found)


def to_pytorch(network: Any, parameters: Mapping[str, Any]) -> dict[str, Array]:
    """A state_dict of arrays for nn.RNN, nn.LSTM or nn.GRU: the opposite of `from_pytorch`.

    network: `rnn`, `lstm` or `gru_reset_after`, `bidirectional` of one, or a `stack` of either,
    all layers alike and of one width. `module.load_state_dict({name: torch.from_numpy(a) …})`
    takes the result. Where the cell has one bias, bias_ih is that bias and bias_hh is zero.

    WeightsError for networks that no such module is.
    """
    found: dict[str, Array] = {}
    alike: set[tuple[Any, ...]] = set()
    for k, (part, own) in enumerate(layers(network, parameters)):
        sides = directions("to_pytorch", part, list(ORDERS))
        if "forward" not in sides:
            raise WeightsError(f"to_pytorch: {part} reads backward alone, which no module does.")
        for side, (cell, prefix) in sides.items():
            mine = {n.removeprefix(prefix): v for n, v in own.items() if n.startswith(prefix)}
            gates, order = gates_of(cell, mine), ORDERS[cell]
            suffix = f"_l{k}" + "_reverse" * (side == "backward")
            for kind, weight in zip(_KINDS, "WRbr", strict=True):
                found[kind + suffix] = stacked(order, gates, weight)
            alike.add((cell.name, len(sides), found[f"weight_hh{suffix}"].shape[1]))
    if len(alike) > 1:
        several = "; ".join(f"{name}, {n} direction(s), hidden={h}" for name, n, h in sorted(alike))
        raise WeightsError(
            f"to_pytorch: the layers of {network} differ ({several}); those of one module are "
            f"alike."
        )
    return found


def _structure(names: Iterable[str]) -> tuple[int, list[str]]:
    """How many layers and which directions ("" and "_reverse") the names of a state_dict mean."""
    read = {str(name): _NAME.fullmatch(str(name)) for name in names}
    unknown = [name for name, match in read.items() if not match]
    if unknown or not read:
        raise UnknownNameError(
            f"from_pytorch: {', '.join(unknown) or 'an empty state_dict'} is not of an "
            f"nn.RNN, nn.LSTM or nn.GRU, whose names are weight_ih_l0, weight_hh_l0, …\n  From a "
            f"larger module take that part alone, by its own state_dict()."
        )
    matches = [match for match in read.values() if match]
    projected = [match[0] for match in matches if match[1] == "weight_hr"]
    if projected:
        raise WeightsError(
            f"from_pytorch: {projected[0]} is the projection of an LSTM with proj_size, which has "
            f"no equal here; only modules with proj_size=0 can be converted."
        )
    count = 1 + max(int(match[2]) for match in matches)
    sides = ["", "_reverse"] if any(match[3] for match in matches) else [""]
    kinds = _KINDS if any(match[1].startswith("bias") for match in matches) else _KINDS[:2]
    if count > len(read):
        raise UnknownNameError(f"from_pytorch: layers are missing between 0 and {count - 1}.")
    expected = [f"{kind}_l{k}{side}" for k in range(count) for side in sides for kind in kinds]
    missing = [name for name in expected if name not in read]
    if missing:
        raise UnknownNameError(f"from_pytorch: {', '.join(missing)} missing from the state_dict.")
    return count, sides


def _cell(recurrent: Array) -> tuple[Cell, int]:
    """Which cell, and how wide: there is one square block of rows for each gate."""
    rows, hidden = recurrent.shape if recurrent.ndim == 2 else (0, 0)
    for cell, order in ORDERS.items():
        if hidden and rows == len(order) * hidden:
            return cell, hidden
    raise ShapeError(
        f"from_pytorch: weight_hh_l0 has shape {recurrent.shape}; it must be (G * H, H) with G = 1 "
        f"(nn.RNN), 3 (nn.GRU) or 4 (nn.LSTM) gates."
    )


def _check_shapes(
    own: Mapping[str, Array], suffix: str, gates: int, hidden: int, inputs: int
) -> None:
    shapes = {
        "weight_ih": (f"{gates} * hidden, inputs", (gates * hidden, inputs)),
        "weight_hh": (f"{gates} * hidden, hidden", (gates * hidden, hidden)),
        "bias_ih": (f"{gates} * hidden", (gates * hidden,)),
        "bias_hh": (f"{gates} * hidden", (gates * hidden,)),
    }
    for kind, (words, shape) in shapes.items():
        check("from_pytorch", kind + suffix, own[kind], words, shape)
