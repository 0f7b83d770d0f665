"""PyTorch: the state_dict of nn.RNN, nn.LSTM, nn.GRU and of their cells."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from tinygrad_lstm.errors import DTypeError, ShapeError, UnknownNameError
from tinygrad_lstm.parameters import Parameters, under
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array
from tinygrad_lstm.weights import gates
from tinygrad_lstm.weights.gates import WeightsError

_NAME = re.compile(r"(weight_ih|weight_hh|bias_ih|bias_hh|weight_hr)(?:_l(\d+)(_reverse)?)?")
_ROLES = {"weight_ih": "W", "weight_hh": "R", "bias_ih": "b", "bias_hh": "r"}


def from_pytorch(
    state_dict: Mapping[str, Any], *, prefix: str = "", nonlinearity: str = "tanh"
) -> tuple[Any, Parameters]:
    """The network and the parameters of an nn.RNN, nn.LSTM or nn.GRU, or of their cells.

    state_dict: `module.state_dict()`, tensors or arrays: weight_ih_l{k} (G·H, inputs of layer k),
    weight_hh_l{k} (G·H, H), bias_ih_l{k} and bias_hh_l{k} (G·H), and the same with `_reverse` for
    the other direction, or without `_l{k}` (nn.LSTMCell); rows in the order i f g o (LSTM, G = 4),
    r z n (GRU, 3). Which module it was is seen from G: `rnn`, `lstm` or `gru_reset_after` is the
    cell. Where the cell has one bias the two are added; without biases (bias=False) they are zero.
    prefix: the module's place in a larger one, whose whole state_dict may then be given, such as
    "encoder.rnn".

    One layer is the cell or `bidirectional(cell)`, several are a `stack` of them, and
    `unroll(network, parameters, xs)["h"]` is the module's output, (time, batch, directions · H).
    The network's states stand in the order of h_n and c_n: first by layer, then by direction. A
    state_dict does not tell the nonlinearity of an nn.RNN: pass it where it is not tanh.

    WeightsError for what has no equal here: proj_size, nonlinearity="relu". UnknownNameError for
    missing and unknown names, ShapeError for shapes that do not fit, DTypeError, DataError for
    numbers that are none.
    """
    gates.check_options(
        "from_pytorch: nn.RNN", {"nonlinearity": nonlinearity}, {"nonlinearity": ("tanh",)}
    )
    if not isinstance(state_dict, Mapping):
        raise DTypeError(
            f"from_pytorch: a mapping of names to arrays is needed, got "
            f"{type(state_dict).__name__}; pass module.state_dict()."
        )
    start = prefix and f"{prefix.removesuffix('.')}."
    own_dict = under(start, {str(name): value for name, value in state_dict.items()})
    suffixes = _suffixes(own_dict, start, places(state_dict))
    arrays = {name: gates.array("from_pytorch", name, value) for name, value in own_dict.items()}
    cell, hidden = _cell(f"weight_hh{suffixes[0][0]}", arrays)
    sizes = {"hidden": hidden}
    parts = []
    for sides in suffixes:
        found: dict[str, tuple[Cell, dict[str, Array]]] = {}
        for side, suffix in zip(("forward", "backward"), sides, strict=False):
            rows = f"{len(gates.LAYOUTS['pytorch'][cell].order)} * hidden"
            words = {f"{kind}{suffix}": rows for kind in _ROLES if f"{kind}{suffix}" in arrays}
            words[f"weight_ih{suffix}"] = f"{rows}, inputs"
            words[f"weight_hh{suffix}"] = f"{rows}, hidden"
            sizes = gates.check_shapes("from_pytorch", words, arrays, **sizes)
            own = {_ROLES[name.removesuffix(suffix)]: arrays[name] for name in words}
            found[side] = cell, gates.to_parameters(cell, gates.LAYOUTS["pytorch"][cell], own)
        parts.append(gates.assemble(found))
        sizes = {"hidden": hidden, "inputs": hidden * len(sides)}
    return gates.joined(parts) if len(parts) > 1 else parts[0]


def to_pytorch(network: Any, parameters: Mapping[str, Any]) -> dict[str, Array]:
    """A state_dict of arrays for nn.RNN, nn.LSTM or nn.GRU: the opposite of `from_pytorch`.

    network: `rnn`, `lstm` or `gru_reset_after`, `bidirectional` of one, or a `stack` of either,
    all layers alike and of one width. `module.load_state_dict({name: torch.from_numpy(a) …})`
    takes the result. Where the cell has one bias, bias_ih is that bias and bias_hh is zero.

    WeightsError for networks that no such module is.
    """
    found: dict[str, Array] = {}
    alike: set[tuple[Any, ...]] = set()
    for k, (part, own) in enumerate(gates.layers(network, parameters)):
        sides = gates.take_apart("to_pytorch", "pytorch", part, own)
        if "forward" not in sides:
            raise WeightsError(f"to_pytorch: {part} reads backward alone, which no module does.")
        for side, (cell, _, arrays) in sides.items():
            suffix = f"_l{k}" + "_reverse" * (side == "backward")
            found |= {kind + suffix: arrays[role] for kind, role in _ROLES.items()}
            alike.add((cell.name, len(sides), arrays["R"].shape[1]))
    if len(alike) > 1:
        several = "; ".join(f"{name}, {n} direction(s), hidden={h}" for name, n, h in sorted(alike))
        raise WeightsError(
            f"to_pytorch: the layers of {network} differ ({several}); those of one module are "
            f"alike."
        )
    return found


def places(names: Iterable[str]) -> list[str]:
    """Where a state_dict has an nn.RNN, nn.LSTM, nn.GRU or one of their cells: the prefixes."""
    found = (re.fullmatch(r"(?:(.+)\.)?weight_hh(?:_l0)?", str(name)) for name in names)
    return [match[1] or "" for match in found if match]


def _suffixes(names: Iterable[str], start: str, others: list[str]) -> list[list[str]]:
    """What follows weight_ih in a state_dict: for each layer, forward and then backward.

    start, others: the prefix taken off the names, and those that could have been.
    """
    read = {name: _NAME.fullmatch(name) for name in names}
    unknown = [name for name, match in read.items() if not match]
    if unknown or not read:
        what = "the state_dict is empty."
        if start:
            what = f"the state_dict has no name that begins with {start!r}."
        if unknown:
            what = ", ".join(start + name for name in unknown[:3]) + ", …" * (len(unknown) > 3)
            what += f" {'are' if len(unknown) > 1 else 'is'} not of an nn.RNN, nn.LSTM or nn.GRU, "
            what += "whose names are weight_ih_l0, weight_hh_l0, …"
        fix = "From a larger module take that part alone, by its own state_dict() or by prefix=."
        if any(others):
            named = " or ".join(repr(place) for place in others if place)
            fix = f"Of a larger module name the part: prefix={named}."
        raise UnknownNameError(f"from_pytorch: {what}\n  {fix}")
    matches = [match for match in read.values() if match]
    projected = [match[0] for match in matches if match[1] == "weight_hr"]
    if projected:
        raise WeightsError(
            f"from_pytorch: {projected[0]} is the projection of an LSTM with proj_size, which has "
            f"no equal here; only modules with proj_size=0 can be converted."
        )
    numbers = sorted({int(match[2]) for match in matches if match[2]})
    if numbers != list(range(len(numbers))):
        raise UnknownNameError(f"from_pytorch: layers are missing between 0 and {numbers[-1]}.")
    biased = any(match[1].startswith("bias") for match in matches)
    kinds = list(_ROLES)[: 4 if biased else 2]
    sides = ["", "_reverse"] if any(match[3] for match in matches) else [""]
    suffixes = [[f"_l{k}{side}" for side in sides] for k in numbers] or [[""]]
    expected = [f"{kind}{suffix}" for own in suffixes for suffix in own for kind in kinds]
    missing = ", ".join(name for name in expected if name not in read)
    if missing:
        raise UnknownNameError(f"from_pytorch: the state_dict has no {missing}.")
    further = ", ".join(name for name in read if name not in expected)
    if further:  # a module's and a cell's
        raise UnknownNameError(f"from_pytorch: {further} belong to another module.")
    return suffixes


def _cell(name: str, arrays: Mapping[str, Array]) -> tuple[Cell, int]:
    """Which cell, and how wide: there is one square block of rows for each gate."""
    shape = arrays[name].shape
    for cell, layout in gates.LAYOUTS["pytorch"].items():
        if len(shape) == 2 and shape[1] and shape[0] == len(layout.order) * shape[1]:
            return cell, shape[1]
    raise ShapeError(
        f"from_pytorch: {name} has shape {shape}; it must be (G * H, H) with G = 1 (nn.RNN), 3 "
        f"(nn.GRU) or 4 (nn.LSTM) gates."
    )
