"""A cell's weights gate by gate, and how each framework lays them out: one table, read both ways.

    LAYOUTS["onnx"][lstm].order      "iofC": the blocks of rows, from the first to the last

Between a framework and a cell stand five arrays: W (G * hidden, inputs) on x, R (G * hidden,
hidden) on h, their biases b and r (G * hidden), and p, the peepholes; G gates, block under block.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.cells.gated import lstm, lstm_coupled
from tinygrad_lstm.cells.gru_forms import gru_cho2014, gru_reset_after
from tinygrad_lstm.cells.odyssey import cifg
from tinygrad_lstm.cells.peepholes import lstm_peephole_gers
from tinygrad_lstm.cells.plain import rnn
from tinygrad_lstm.errors import DataError, DTypeError, ShapeError, TinygradError, UnknownNameError
from tinygrad_lstm.networks import Backward, Bidirectional, Stack, bidirectional
from tinygrad_lstm.parameters import Parameters, under
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array


class WeightsError(TinygradError, ValueError):
    """Weights that this project or the framework cannot represent, or a file that holds none."""


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
        **{g: Names(f"W_{g}", f"b_{g}", p=f"p_{g}") for g in "ifo"},
        "C": Names("W_C", "b_C"),
    },
    cifg: {
        **{g: Names(f"W_{g}", f"b_{g}", f"R_{g}", p=f"p_{g}") for g in "io"},
        "C": Names("W_z", "b_z", "R_z"),
    },
    gru_cho2014: {
        **{g: Names(f"W_{g}", f"b_{g}", f"U_{g}") for g in "rz"},
        "n": Names("W", "b", "U"),
    },
    gru_reset_after: {g: Names(f"W_{g}", f"b_i{g}", f"U_{g}", f"b_h{g}") for g in "rzn"},
}


@dataclass(frozen=True)
class Layout:
    """One cell as a framework stores it.

    kind: what the framework calls it; order: of the gates' blocks; options: those that tell it
    from the framework's other cells of this kind; peepholes: the order of the blocks of p;
    opposite: a gate, and the framework's gate whose weights it has with their signs changed.
    """

    kind: str
    order: str
    options: Mapping[str, Any] = field(default_factory=dict)
    peepholes: str = ""
    opposite: tuple[str, str] | None = None


LAYOUTS: dict[str, dict[Cell, Layout]] = {
    "pytorch": {
        rnn: Layout("nn.RNN", "h"),
        gru_reset_after: Layout("nn.GRU", "rzn"),
        lstm: Layout("nn.LSTM", "ifCo"),
    },
    "keras": {
        rnn: Layout("SimpleRNN", "h"),
        lstm: Layout("LSTM", "ifCo"),
        gru_cho2014: Layout("GRU", "zrn", {"reset_after": False}),
        gru_reset_after: Layout("GRU", "zrn", {"reset_after": True}),
    },
    "onnx": {
        rnn: Layout("RNN", "h"),
        lstm: Layout("LSTM", "iofC", {"input_forget": 0}),
        lstm_peephole_gers: Layout("LSTM", "iofC", {"input_forget": 0}, "iof"),
        lstm_coupled: Layout("LSTM", "iofC", {"input_forget": 1}, opposite=("f", "i")),
        cifg: Layout("LSTM", "iofC", {"input_forget": 1}, "iof"),
        gru_cho2014: Layout("GRU", "zrn", {"linear_before_reset": 0}),
        gru_reset_after: Layout("GRU", "zrn", {"linear_before_reset": 1}),
    },
}


def kinds(framework: str) -> dict[str, dict[str, set[Any]]]:
    """A framework's kinds of layers, each with its options and the values they may have."""
    found: dict[str, dict[str, set[Any]]] = {}
    for layout in LAYOUTS[framework].values():
        values = found.setdefault(layout.kind, {})
        for option, value in layout.options.items():
            values.setdefault(option, set()).add(value)
    return found


def choose_cell(
    framework: str, kind: str, options: Mapping[str, Any], peepholes: bool = False
) -> Cell | None:
    """The cell that a framework's layer of this kind is, if there is one."""
    for cell, layout in LAYOUTS[framework].items():
        fits = all(options.get(option, 0) == value for option, value in layout.options.items())
        if layout.kind == kind and fits and bool(layout.peepholes) == peepholes:
            return cell
    return None


def to_parameters(cell: Cell, layout: Layout, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """A cell's parameters from W, R, b, r and p; what is not given is zero.

    Where the cell has one bias, the two are added.
    """
    zero = np.zeros(len(arrays["R"]), arrays["W"].dtype)
    blocks = {role: _apart(arrays.get(role, zero), layout.order) for role in "WRbr"}
    blocks["p"] = _apart(arrays["p"], layout.peepholes) if layout.peepholes else {}
    found: dict[str, Array] = {}
    for gate, names in CELLS[cell].items():
        source, sign = gate, 1
        if layout.opposite and gate == layout.opposite[0]:
            source, sign = layout.opposite[1], -1
        W, R, b, r = (sign * blocks[role][source] for role in "WRbr")
        found[names.W] = W if names.R else np.concatenate([R, W], axis=1)
        found[names.b] = b if names.r else b + r
        if names.R:
            found[names.R] = R
        if names.r:
            found[names.r] = r
        if names.p:
            found[names.p] = blocks["p"][gate]
    return found


def from_parameters(cell: Cell, layout: Layout, parameters: Mapping[str, Any]) -> dict[str, Array]:
    """W, R, b and r of a cell's parameters, with peepholes p; what the cell does not have is 0."""
    own = {name: tensor.data for name, tensor in cell.bind(parameters).items()}
    gates: dict[str, dict[str, Array]] = {}
    for gate, names in CELLS[cell].items():
        W, b = own[names.W], own[names.b]
        gates[gate] = {
            "W": W if names.R else W[:, len(b) :],
            "R": own[names.R] if names.R else W[:, : len(b)],
            "b": b,
            "r": own.get(names.r, np.zeros_like(b)),
            "p": own.get(names.p, np.zeros_like(b)),
        }
    if layout.opposite:
        gate, source = layout.opposite
        gates[source] = {role: -value for role, value in gates.pop(gate).items()}
    without_effect = {role: np.zeros_like(value) for role, value in gates[layout.order[0]].items()}

    def stacked(role: str, order: str) -> Array:
        return np.concatenate([gates.get(gate, without_effect)[role] for gate in order])

    found = {role: stacked(role, layout.order) for role in "WRbr"}
    return found | ({"p": stacked("p", layout.peepholes)} if layout.peepholes else {})


def _apart(array: Array, order: str) -> dict[str, Array]:
    """An array of equal blocks, one for each gate, apart."""
    return dict(zip(order, np.split(array, len(order)), strict=True))


# --- what is given --------------------------------------------------------------------------------
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


def check_shapes(
    owner: str, words: Mapping[str, str], arrays: Mapping[str, Array], **sizes: int
) -> dict[str, int]:
    """The sizes hidden and inputs that shapes in words imply; ShapeError where they do not agree.

    words: by the framework's name of the array, those first that tell a size.
    """
    for name, shape_words in words.items():
        axes, shape = [axis.strip() for axis in shape_words.split(",")], arrays[name].shape
        for size in ("hidden", "inputs"):
            if size in axes and size not in sizes:
                fits = len(shape) == len(axes)
                sizes[size] = shape[axes.index(size)] or 1 if fits else 1
        expected = dimensions.shape(shape_words, sizes)
        if shape != expected:
            raise ShapeError(
                f"{owner}: {name} must be ({shape_words}) = {expected}, got shape {shape}."
            )
    return sizes


_FIXES = {
    **dict.fromkeys(
        ("dropout", "recurrent_dropout"),
        "\n  At inference it has no effect: set it to 0 in the configuration.",
    ),
    "clip": "\n  Only nodes without clip can be converted.",
    "go_backwards": "\n  Reverse the sequence instead: xs[::-1].",
}


def check_options(
    owner: str,
    options: Mapping[str, Any],
    supported: Mapping[str, Collection[Any]],
    without_effect: re.Pattern[str] | None = None,
) -> None:
    """Raise for an option that would change what is computed, or that nobody knows."""
    for name, value in options.items():
        if without_effect and without_effect.fullmatch(name):
            continue
        if name not in supported:
            raise UnknownNameError(
                f"{owner}: the option {name!r} is not known here; those that matter are "
                f"{', '.join(supported)}."
            )
        if value not in list(supported[name]):
            known = " or ".join(map(repr, supported[name]))
            raise WeightsError(
                f"{owner}: {name}={value!r} has no equal here; supported is {known}."
                f"{_FIXES.get(name, '')}"
            )


# --- networks -------------------------------------------------------------------------------------
def assemble(sides: Mapping[str, tuple[Cell, Mapping[str, Array]]]) -> tuple[Any, Parameters]:
    """One layer of cells with their parameters by direction: forward, backward or both."""
    network: Any
    if len(sides) > 1:
        network = bidirectional(sides["forward"][0], sides["backward"][0])
    elif "backward" in sides:
        network = Backward(sides["backward"][0])
    else:
        cell, own = sides["forward"]
        # a cell whose output is not called h is a stack of one layer, whose output is
        return (cell, cell.bind(own)) if cell.output == "h" else joined([(cell, own)])
    arrays = {f"{side}.{n}": v for side, (_, own) in sides.items() for n, v in own.items()}
    return network, network.bind(arrays)


def take_apart(
    owner: str, framework: str, network: Any, parameters: Mapping[str, Any]
) -> dict[str, tuple[Cell, Layout, dict[str, Array]]]:
    """By direction the cell of one layer, its layout and its five arrays."""
    if isinstance(network, Stack):
        raise WeightsError(
            f"{owner}: {network} is a stack, and there each layer is on its own.\n"
            f"  Convert each of weights.layers(network, parameters)."
        )
    sides = {"forward": (network, parameters)}
    if isinstance(network, Bidirectional | Backward):
        sides = {n: (part, under(f"{n}.", parameters)) for n, part in network.parts.items()}
    known = LAYOUTS[framework]
    for part, _ in sides.values():
        if part not in known:
            raise WeightsError(
                f"{owner}: {part} has no equal there; those that have are "
                f"{', '.join(str(cell.name) for cell in known)}, one layer or bidirectional."
            )
    names = list(dict.fromkeys(part.name for part, _ in sides.values()))
    if len(names) > 1:
        raise WeightsError(
            f"{owner}: {network} has two kinds of cells, {' and '.join(names)}; there both "
            f"directions are of one kind."
        )
    return {
        side: (cell, known[cell], from_parameters(cell, known[cell], own))
        for side, (cell, own) in sides.items()
    }


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
        f"{k}.{name}": value if isinstance(value, np.ndarray) else value.data
        for k, (_, own) in enumerate(parts, 1)
        for name, value in own.items()
    }
    return network, network.bind(arrays)
