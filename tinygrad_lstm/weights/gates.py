"""A cell's weights gate by gate: what all frameworks share, whatever their order of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lstm.cells.gated import lstm, lstm_coupled
from tinygrad_lstm.cells.gru_forms import gru_cho2014, gru_reset_after
from tinygrad_lstm.cells.odyssey import cifg
from tinygrad_lstm.cells.peepholes import lstm_peephole_gers
from tinygrad_lstm.cells.plain import rnn
from tinygrad_lstm.errors import DataError, DTypeError, ShapeError, TinygradError
from tinygrad_lstm.networks import Backward, Bidirectional, Stack
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array


class WeightsError(TinygradError, ValueError):
    """Weights that this project or the framework cannot represent, or a file that holds none."""


@dataclass(frozen=True)
class Gate:
    """The weights of one gate: W on x, R on h, their biases b and r, its peephole p."""

    W: Array
    R: Array
    b: Array
    r: Array
    p: Array

    def __neg__(self) -> Gate:
        return Gate(-self.W, -self.R, -self.b, -self.r, -self.p)


@dataclass(frozen=True)
class Names:
    """What a cell calls the weights of one gate. Without R, W is [R, W] side by side."""

    W: str
    b: str
    R: str = ""
    r: str = ""
    p: str = ""


CELLS: dict[Cell, dict[str, Names]] = {
    rnn: {"h": Names("W", "b")},
    lstm: {g: Names(f"W_{g}", f"b_{g}") for g in "ifCo"},
    lstm_coupled: {g: Names(f"W_{g}", f"b_{g}") for g in "fCo"},
    lstm_peephole_gers: {
        "i": Names("W_i", "b_i", p="p_i"),
        "f": Names("W_f", "b_f", p="p_f"),
        "C": Names("W_C", "b_C"),
        "o": Names("W_o", "b_o", p="p_o"),
    },
    cifg: {
        "i": Names("W_i", "b_i", "R_i", p="p_i"),
        "C": Names("W_z", "b_z", "R_z"),
        "o": Names("W_o", "b_o", "R_o", p="p_o"),
    },
    gru_cho2014: {
        "r": Names("W_r", "b_r", "U_r"),
        "z": Names("W_z", "b_z", "U_z"),
        "n": Names("W", "b", "U"),
    },
    gru_reset_after: {g: Names(f"W_{g}", f"b_i{g}", f"U_{g}", f"b_h{g}") for g in "rzn"},
}


def named(cell: Cell, gates: Mapping[str, Gate]) -> dict[str, Array]:
    """The gates as a cell's parameters; where it has one bias, the two are added."""
    found: dict[str, Array] = {}
    for gate, names in CELLS[cell].items():
        own = gates[gate]
        found[names.W] = own.W if names.R else np.concatenate([own.R, own.W], axis=1)
        if names.R:
            found[names.R] = own.R
        found[names.b] = own.b if names.r else own.b + own.r
        if names.r:
            found[names.r] = own.r
        if names.p:
            found[names.p] = own.p
    return found


def gates_of(cell: Cell, parameters: Mapping[str, Any]) -> dict[str, Gate]:
    """A cell's parameters gate by gate; what it does not have is zero."""
    arrays = {name: tensor.data for name, tensor in cell.bind(parameters).items()}
    found = {}
    for gate, names in CELLS[cell].items():
        W, b = arrays[names.W], arrays[names.b]
        R = arrays[names.R] if names.R else W[:, : len(b)]
        zero = np.zeros_like(b)
        found[gate] = Gate(
            W if names.R else W[:, len(b) :],
            R,
            b,
            arrays.get(names.r, zero),
            arrays.get(names.p, zero),
        )
    return found


def blocks(array: Array, order: str, axis: int = 0) -> dict[str, Array]:
    """An array of equal blocks, one for each gate, apart."""
    return dict(zip(order, np.split(array, len(order), axis), strict=True))


def stacked(order: str, gates: Mapping[str, Gate], weight: str) -> Array:
    """One kind of weight of all gates, in a framework's order of rows."""
    return np.concatenate([getattr(gates[gate], weight) for gate in order])


# --- arrays as they are given ---------------------------------------------------------------------
def array(owner: str, name: str, value: Any) -> Array:
    """A copy of an array or a framework's tensor, checked; errors bear the framework's name."""
    for method in ("detach", "cpu"):
        value = getattr(value, method, lambda given=value: given)()
    if value is None:
        raise DTypeError(f"{owner}: {name} is None, but an array is needed.")
    try:
        found = np.asarray(value).copy()  # the tensor may go on changing
    except (TypeError, ValueError, RuntimeError) as error:
        convert = f"\n  Convert it first: {name}.float()." * hasattr(value, "float")
        raise DTypeError(
            f"{owner}: {name} cannot be read as a NumPy array: {error}{convert}"
        ) from error
    if found.dtype.kind != "f":
        raise DTypeError(
            f"{owner}: {name} holds {found.dtype}, but floating-point numbers are needed."
        )
    finite = np.isfinite(found)
    if not finite.all():
        place = [int(k) for k in np.argwhere(~finite)[0]]
        raise DataError(
            f"{owner}: {name} holds {found[tuple(place)]} at index {place}; "
            f"{np.count_nonzero(~finite)} of {found.size} entries are not finite."
        )
    return found


def check(owner: str, name: str, given: Array, words: str, shape: tuple[int, ...]) -> None:
    """Raise unless the array has the shape that the words mean."""
    if given.shape != shape:
        raise ShapeError(f"{owner}: {name} must be ({words}) = {shape}, got shape {given.shape}.")


# --- networks -------------------------------------------------------------------------------------
def directions(
    owner: str, network: Any, known: Sequence[Cell], prefix: str = ""
) -> dict[str, tuple[Cell, str]]:
    """A layer's cells and the prefixes of their names, by direction: forward, backward or both."""
    if isinstance(network, Bidirectional | Backward):
        parts: dict[str, tuple[Any, str]] = {
            name: (part, f"{prefix}{name}.") for name, part in network.parts.items()
        }
    else:
        parts = {"forward": (network, prefix)}
    for part, _ in parts.values():
        if part not in known:
            raise WeightsError(
                f"{owner}: {part} has no equal there; those that have are "
                f"{', '.join(str(cell.name) for cell in known)}, one layer or bidirectional."
            )
    kinds = list(dict.fromkeys(part.name for part, _ in parts.values()))
    if len(kinds) > 1:
        raise WeightsError(
            f"{owner}: {network} has two kinds of cells, {' and '.join(kinds)}; there both "
            f"directions are of one kind."
        )
    return parts


def under(prefix: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters whose names begin with a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in parameters.items() if k.startswith(prefix)}


def one_layer(owner: str, network: Any) -> None:
    """Raise for a stack, where a framework's weights are those of one layer."""
    if isinstance(network, Stack):
        raise WeightsError(
            f"{owner}: {network} has {len(network.parts)} layers, and there each layer is on its "
            f"own.\n  Convert each of weights.layers(network, parameters)."
        )


def layers(network: Any, parameters: Mapping[str, Any]) -> list[tuple[Any, dict[str, Any]]]:
    """The layers of a network with their own parameters, the lowest first.

    What is no stack is one layer.
    """
    if not isinstance(network, Stack):
        return [(network, dict(parameters))]
    return [(part, under(f"{name}.", parameters)) for name, part in network.parts.items()]


def joined(parts: Sequence[tuple[Any, Mapping[str, Any]]]) -> tuple[Stack, Any]:
    """One stack of several layers, each with its parameters, and the parameters of the stack.

    The opposite of `layers`: the way to a network from frameworks whose weights come layer by
    layer, as in `joined([from_keras("LSTM", first), from_keras("LSTM", second)])`.
    """
    network = Stack([part for part, _ in parts])
    arrays = {
        f"{k}.{name}": getattr(value, "data", value)
        for k, (_, own) in enumerate(parts, 1)
        for name, value in own.items()
    }
    return network, network.bind(arrays)
