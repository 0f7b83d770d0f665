"""Weights on disk: safetensors, with the network's structure, sizes and equations."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_lstm import systems
from tinygrad_lstm.array_files import ArrayFile, equations_of
from tinygrad_lstm.cells import all as built_in
from tinygrad_lstm.errors import DataError, DTypeError, ShapeError, UnknownNameError
from tinygrad_lstm.parameters import Parameters, under
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array
from tinygrad_lstm.version import __version__
from tinygrad_lstm.weights.gates import WeightsError
from tinygrad_lstm.weights.pytorch import places
from tinygrad_lstm.weights.structures import cells_of, network_of, structure_of

FLOATS = [np.dtype(kind) for kind in (np.float16, np.float32, np.float64)]
_PYTORCH = "If it is of PyTorch, give the state_dict, torch.load(path), to weights.from_pytorch."
_KERAS = "If it is of Keras, give the weights of each layer to weights.from_keras."
WEIGHTS = ArrayFile(
    what="weights file",
    error=WeightsError,
    format="tinygrad-lstm weights 1",
    damaged="a safetensors file of this package",
    restore={
        "": "Restore it from a copy, or save the weights again.",
        **dict.fromkeys((".pt", ".pth", ".ckpt", ".bin"), _PYTORCH),
        **dict.fromkeys((".h5", ".keras"), _KERAS),
        ".onnx": "If it is of ONNX, give the node and its arrays to weights.from_onnx.",
        ".npz": "If it is a checkpoint of a training, read it by learning.load(path, cell).",
    },
    newer="Use a newer version.",
    other="Pass the cell as it was: load(path, cells={name: cell}).",
)


def save(path: str | Path, network: Any, parameters: Mapping[str, Any]) -> None:
    """Write a network's parameters to a safetensors file, which is replaced whole or not at all.

    The metadata hold `format`, the package's `version`, and as JSON `network` (the names of the
    cells: "lstm", {"stack": […]}, {"bidirectional": […]}, {"backward": …}, or a system's or a
    grid's parts, wires and axes, see `structures.py`), `sizes` of each cell
    and `equations` of each, by which `load` sees that a cell is still the one that was saved.

    WeightsError if the file cannot be written, and for two different cells of one name;
    DTypeError for numbers that safetensors does not have.
    """
    from safetensors.numpy import save as encoded

    path, structure = Path(path), structure_of(network)
    bound = network.bind(parameters)
    cells: dict[str, Cell] = {}
    sizes = {}
    for prefix, cell in cells_of(network):
        if cells.setdefault(cell.name, cell) is not cell:
            raise WeightsError(f"weights file {path}: two different cells are called {cell.name}.")
        sizes[prefix] = cell.infer_sizes(under(prefix, bound))
    metadata = {
        "format": WEIGHTS.format,
        "version": __version__,
        "network": json.dumps(structure),
        "sizes": json.dumps(sizes),
        "equations": json.dumps({name: equations_of(cell) for name, cell in cells.items()}),
    }
    for name, tensor in bound.items():
        if tensor.dtype not in FLOATS:
            raise DTypeError(
                f"weights file {path}: parameter {name} holds {tensor.dtype}; a safetensors file "
                f"holds {', '.join(map(str, FLOATS))}.\n  Convert it first."
            )
    data = encoded({n: np.ascontiguousarray(t.data) for n, t in bound.items()}, metadata)
    with WEIGHTS.writing(path) as file:
        file.write(data)


def load(path: str | Path, cells: Mapping[str, Cell] | None = None) -> tuple[Any, Parameters]:
    """The network and the parameters of a file that `save` wrote.

    cells: cells that are not built in, by name, such as {"keeper": keeper}. WeightsError for a
    file that is none or damaged and for a cell whose equations are others than when it was saved,
    UnknownNameError for a cell or tensor that is not there, ShapeError for a tensor of another
    shape.
    """
    path = Path(path)
    with WEIGHTS.reading(path):
        metadata, arrays = _read(path)
        if not WEIGHTS.declares(path, metadata.get("format")):
            raise _foreign(path, arrays)
        described = {name: json.loads(metadata[name]) for name in ("network", "sizes", "equations")}
        known = {**systems.cells(), **built_in(), **(cells or {})}
        network = network_of(path, described["network"], known)
        part = ""
        try:
            for prefix, cell in cells_of(network):
                WEIGHTS.check_equations(path, cell, described["equations"][cell.name])
                part = prefix and f"part {prefix.removesuffix('.')}, "
                cell.bind(under(prefix, arrays), **described["sizes"][prefix])
            part = ""
            return network, network.bind(arrays)
        except (DataError, ShapeError, UnknownNameError) as error:
            raise type(error)(f"weights file {path}: {part}{error}") from error


def _read(path: Path) -> tuple[dict[str, str], dict[str, Array]]:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        names = list(file.keys())
        for name in names:
            if (kind := file.get_slice(name).get_dtype()) not in ("F16", "F32", "F64"):
                raise DTypeError(
                    f"weights file {path}: tensor {name} holds {kind}, but F16, F32 or F64 is "
                    f"needed.\n  Save it anew as such; in PyTorch by tensor.float()."
                )
        return file.metadata() or {}, {name: np.array(file.get_tensor(name)) for name in names}


def _foreign(path: Path, names: Iterable[str]) -> WeightsError:
    fix = "Read its arrays with safetensors.numpy.load_file(path) and give them to "
    found = places(names)
    fix += "weights.from_pytorch" if found else "network.bind"
    fix += f" with prefix={' or '.join(map(repr, filter(None, found)))}" * any(found)
    return WeightsError(
        f"weights file {path} does not say which network it is for: weights.save did not write "
        f"it.\n  {fix}."
    )
