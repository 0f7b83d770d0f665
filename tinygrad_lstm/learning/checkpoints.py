"""Checkpoints: a training on disk, from which it goes on with the same numbers."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.array_files import ArrayFile, equations_of, under
from tinygrad_lstm.atomic import hold
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.learning import schema
from tinygrad_lstm.learning.character_model import CharacterModel, FurtherInputs
from tinygrad_lstm.learning.flat import Flat
from tinygrad_lstm.learning.optimisers import Arrays, Averages
from tinygrad_lstm.learning.schema import SchemaError
from tinygrad_lstm.learning.texts import Text, Vocabulary
from tinygrad_lstm.learning.training_state import Position, Record, Settings, TrainingState
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array, constant
from tinygrad_lstm.version import __version__

DESCRIPTION = "description.json"


class CheckpointError(TinygradError, ValueError):
    """A checkpoint that cannot be written or read, or that is not the one that is needed."""


_ANEW = "name another file to begin anew."
CHECKPOINT = ArrayFile(
    what="checkpoint",
    error=CheckpointError,
    format="tinygrad-lstm character model 1",
    damaged="a checkpoint of this program",
    restore={"": f"Restore it from a copy, or {_ANEW}"},
    newer=f"Use a newer version, or {_ANEW}",
    other=f"Write the cell as it was, or {_ANEW}",
)


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds: the trained model, how it was trained, how far, on which text."""

    model: CharacterModel
    settings: Settings
    state: TrainingState
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
    position: Position
    history: tuple[Record, ...]


def save(
    path: str | Path, model: CharacterModel, settings: Settings, state: TrainingState, text: Text
) -> None:
    """Write a checkpoint; the file is replaced whole, so that an older one is never lost."""
    described = schema.written(
        _Description(
            CHECKPOINT.format,
            model.cell.name,
            tuple(equations_of(model.cell, **model.sizes)),
            model.sizes,
            {n: v if isinstance(v, str) else float(v) for n, v in model.start.items()},
            model.input,
            model.dtype.name,
            model.vocabulary.symbols,
            _Source(text.name, text.fingerprint),
            settings,
            state.position,
            state.history,
        )
    )
    described["settings"]["optimiser"]["name"] = type(settings.optimiser).__name__
    arrays = _flat(state.parameters, state.averages)
    arrays |= {f"carried/{name}": tensor.data for name, tensor in state.carried.items()}
    write(Path(path), described, arrays)


def _flat(parameters: Arrays, averages: Averages) -> dict[str, Array]:
    found = {f"parameters/{name}": value for name, value in parameters.items()}
    for kind, values in averages.items():
        found |= {f"averages/{kind}/{name}": value for name, value in values.items()}
    return found


def write(path: Path, description: Any, arrays: Mapping[str, Array]) -> None:
    """Write an .npz file of a description and arrays."""
    text = np.frombuffer(json.dumps(description).encode(), np.uint8)
    with CHECKPOINT.writing(path) as file:
        np.savez(file, allow_pickle=False, **{DESCRIPTION: text, **arrays})


def read(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """The description and the arrays of a file that `write` made."""
    with CHECKPOINT.reading(path) as file, np.load(file, allow_pickle=False) as found:
        arrays = {name: found[name] for name in found.files}  # each is checked against its CRC-32
        description = json.loads(arrays.pop(DESCRIPTION).tobytes())
        if not isinstance(description, dict):
            raise ValueError("its description is not a mapping")
    return description, arrays


def claim(path: str | Path) -> contextlib.AbstractContextManager[None]:
    """Keep a checkpoint for this process, so that no other training writes it in the meantime.

    CheckpointError while another process keeps it, and where it cannot be written.
    """
    try:
        return hold(Path(path))
    except BlockingIOError as error:
        raise CheckpointError(
            f"checkpoint {path} is in use: another training writes it.\n"
            f"  Wait until that has ended, or name another file."
        ) from error
    except OSError as error:
        raise CHECKPOINT.unwritable(Path(path), error) from error


def load(path: str | Path, cell: Cell, further: FurtherInputs | None = None) -> Checkpoint:
    """Read the checkpoint of a model of this cell.

    CheckpointError where it is damaged, of another cell or version, or not what a training writes.
    """
    path = Path(path)
    described, arrays = read(path)
    if not CHECKPOINT.declares(path, described.get("format")):
        raise CheckpointError(f"checkpoint {path} is not a checkpoint of a character model.")
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
            f"  Use the newer version that wrote it, or {_ANEW}"
        ) from error
    except TinygradError as error:
        raise unusable(path, error) from error
    return Checkpoint(model, found.settings, state, found.text.name, found.text.fingerprint)


def unusable(path: str | Path, error: TinygradError) -> CheckpointError:
    """The error for a checkpoint whose content is at fault, as another error says."""
    return CheckpointError(
        f"checkpoint {path} cannot be used: {str(error).splitlines()[0].rstrip('.')}.\n"
        f"  {CHECKPOINT.restore['']}"
    )


def _state(
    found: _Description, model: CharacterModel, arrays: Mapping[str, Array]
) -> TrainingState:
    """The state of a training, and of its model, of arrays that are as they must be."""
    fresh = Flat.of(model.parameters)
    kinds = found.settings.optimiser.start(fresh)
    like = _flat(fresh, kinds)
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
    model.parameters = parameters = fresh.fit(under("parameters/", arrays))
    averages = {kind: fresh.fit(under(f"averages/{kind}/", arrays)) for kind in kinds}
    carried = {name: constant(value) for name, value in under("carried/", arrays).items()}
    return TrainingState(
        parameters, averages, carried, history=found.history, **vars(found.position)
    )


def _check_shapes(arrays: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]]) -> None:
    for name, shape in shapes.items():
        if name not in arrays:
            raise SchemaError(f"array {name} is missing")
        if arrays[name].shape != shape:
            raise SchemaError(f"array {name} must be {shape}, but is {arrays[name].shape}")


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
            f"  {CHECKPOINT.other}"
        )
    # before the cell is traced, which may loop over its sizes
    words = {n: w for n, w in cell.parameters.items() if f"parameters/{n}" in arrays}
    sizes = cell.complete(found.sizes)
    shapes = {f"parameters/{n}": dimensions.shape(w, sizes) for n, w in words.items()}
    _check_shapes(arrays, shapes)
    CHECKPOINT.check_equations(path, cell, found.equations, **found.sizes)
