"""Checkpoints: a training on disk, from which it goes on with the same numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_lstm import __version__
from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.errors import DataError, TinygradError
from tinygrad_lstm.learning import archive, schema
from tinygrad_lstm.learning.archive import CheckpointError
from tinygrad_lstm.learning.models import CharacterModel, Further
from tinygrad_lstm.learning.schema import SchemaError
from tinygrad_lstm.learning.state import Record, Settings, State
from tinygrad_lstm.learning.texts import Text, Vocabulary
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array, constant

FORMAT = "tinygrad-lstm character model 1"


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds: the trained model, how it was trained, how far, on which text."""

    model: CharacterModel
    settings: Settings
    state: State
    text: str
    fingerprint: str

    @property
    def history(self) -> tuple[Record, ...]:
        """The records made during the training, the one before the first step included."""
        return self.state.history


@dataclass(frozen=True)
class _Source:
    """Which text a model was trained on."""

    name: str
    fingerprint: str


@dataclass(frozen=True)
class _Position:
    """How far a training has come: those fields of its State that are no arrays."""

    step: int
    passes: int
    chunk: int
    seconds: float
    loss: float | None
    norm: float
    recent: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.seconds < 0:
            raise DataError(f"position.seconds must be at least 0, but is {self.seconds}")


@dataclass(frozen=True)
class _Description:
    """What a checkpoint says in JSON beside its arrays."""

    format: str
    cell: str
    equations: tuple[str, ...]
    sizes: dict[str, int]
    start: dict[str, float | str]
    input: str
    dtype: str
    symbols: str
    text: _Source
    settings: Settings
    position: _Position
    history: tuple[Record, ...]


def save(
    path: str | Path, model: CharacterModel, settings: Settings, state: State, text: Text
) -> None:
    """Write a checkpoint; the file is replaced whole, so that an older one is never lost."""
    position = {field.name: getattr(state, field.name) for field in fields(_Position)}
    start = {n: v if isinstance(v, str) else float(v) for n, v in model.start.items()}
    described = asdict(
        _Description(
            FORMAT,
            model.cell.name,
            tuple(_equations(model.cell, model.sizes)),
            model.sizes,
            start,
            model.input,
            model.dtype.name,
            model.vocabulary.symbols,
            _Source(text.name, text.fingerprint),
            settings,
            _Position(**position),
            state.history,
        )
    )
    described["settings"]["optimiser"]["name"] = type(settings.optimiser).__name__
    arrays = {f"parameters/{name}": value for name, value in state.parameters.items()}
    for kind, values in state.averages.items():
        arrays |= {f"averages/{kind}/{name}": value for name, value in values.items()}
    arrays |= {f"carried/{name}": tensor.data for name, tensor in state.carried.items()}
    archive.write(Path(path), described, arrays)


def load(path: str | Path, cell: Cell, further: Further | None = None) -> Checkpoint:
    """Read the checkpoint of a model of this cell.

    CheckpointError where it is damaged, of another cell or version, or not what a training writes.
    """
    path = Path(path)
    described, arrays = archive.read(path)
    _check_format(path, described.get("format"))
    try:
        found: _Description = schema.read(_Description, {"start": {}, **described})
        _check_cell(path, found, cell, arrays)
        model = CharacterModel(
            cell,
            Vocabulary(found.symbols),
            input=found.input,
            dtype=found.dtype,
            further=further,
            start=found.start,
            **found.sizes,
        )
        state = _state(found, model, arrays)
    except CheckpointError:
        raise
    except schema.UnknownFieldError as error:
        raise CheckpointError(
            f"checkpoint {path} has {error}, which this version, {__version__}, does not know.\n"
            f"  Use the newer version that wrote it, or name another file to begin anew."
        ) from error
    except TinygradError as error:
        raise unusable(path, error) from error
    return Checkpoint(model, found.settings, state, found.text.name, found.text.fingerprint)


def unusable(path: str | Path, error: TinygradError) -> CheckpointError:
    """The error for a checkpoint whose content is at fault, as another error says."""
    return CheckpointError(
        f"checkpoint {path} cannot be used: {str(error).splitlines()[0].rstrip('.')}.\n"
        f"  Restore it from a copy, or name another file to begin anew."
    )


def _state(found: _Description, model: CharacterModel, arrays: Mapping[str, Array]) -> State:
    """The state of a training, and of its model, of arrays that are as they must be."""
    kinds = found.settings.optimiser.start(model.parameters)
    like = {f"parameters/{name}": value for name, value in model.parameters.items()}
    for kind, values in kinds.items():
        like |= {f"averages/{kind}/{name}": value for name, value in values.items()}
    shapes = {name: value.shape for name, value in like.items()}
    if any(name.startswith("carried/") for name in arrays):  # not at the start of a pass
        equations, batch = model.cell.program(**model.sizes).equations, found.settings.batch
        shapes |= {f"carried/{n}": (batch, *equations[n].shape) for n in model.cell.state}
    _check_shapes(arrays, shapes)
    for name, value in arrays.items():
        if name not in shapes:
            raise schema.UnknownFieldError(f"an array {name}")
        if value.dtype.kind != "f" or (name in like and value.dtype != model.dtype):
            raise SchemaError(f"array {name} must be of {model.dtype}, but is of {value.dtype}")
        if not np.isfinite(value).all():
            raise SchemaError(f"array {name} holds what is no finite number")
    model.parameters = _under("parameters/", arrays)
    averages = {kind: _under(f"averages/{kind}/", arrays) for kind in kinds}
    carried = {name: constant(value) for name, value in _under("carried/", arrays).items()}
    return State(model.parameters, averages, carried, history=found.history, **vars(found.position))


def _check_shapes(arrays: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]]) -> None:
    for name, shape in shapes.items():
        if name not in arrays:
            raise SchemaError(f"array {name} is missing")
        if arrays[name].shape != shape:
            raise SchemaError(f"array {name} must be {shape}, but is {arrays[name].shape}")


def _under(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def _equations(cell: Cell, sizes: Mapping[str, int]) -> list[str]:
    return str(cell.program(**sizes)).splitlines()[1:]


def _check_format(path: Path, format: Any) -> None:
    if format == FORMAT:
        return
    if isinstance(format, str) and format.startswith(FORMAT.rstrip("1")):
        raise CheckpointError(
            f"checkpoint {path} has the format {format!r}, and this version, {__version__}, reads "
            f"{FORMAT!r}.\n  Use a newer version, or name another file to begin anew."
        )
    raise CheckpointError(f"checkpoint {path} is not a checkpoint of a character model.")


def _check_cell(path: Path, found: _Description, cell: Cell, arrays: Mapping[str, Array]) -> None:
    if found.cell != cell.name:
        raise CheckpointError(
            f"checkpoint {path} is of cell {found.cell!r}, not of {cell}.\n"
            f"  Train {found.cell}, or name another file for {cell.name}."
        )
    if set(found.sizes) != set(cell.sizes):
        raise CheckpointError(
            f"checkpoint {path} has the sizes {', '.join(found.sizes)}, but those of {cell} are "
            f"{', '.join(cell.sizes)}.\n"
            f"  Write the cell as it was, or name another file to begin anew."
        )
    # before the cell is traced, which may loop over its sizes
    words = {n: w for n, w in cell.parameters.items() if f"parameters/{n}" in arrays}
    sizes = cell.complete(found.sizes)
    shapes = {f"parameters/{n}": dimensions.shape(w, sizes) for n, w in words.items()}
    _check_shapes(arrays, shapes)
    now = _equations(cell, found.sizes)
    if found.equations != tuple(now):
        changed = [line.strip() for line in found.equations if line not in now]
        changed = changed or ["(their order)"]
        raise CheckpointError(
            f"checkpoint {path} is of {cell} with other equations; it had\n"
            + "".join(f"    {line}\n" for line in changed)
            + "  Write the cell as it was, or name another file to begin anew."
        )
