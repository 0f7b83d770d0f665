"""Checkpoints: a training on disk, from which it goes on with the same numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.array_files import equations_of
from tinygrad_lstm.learning import schema
from tinygrad_lstm.learning.character_model import CharacterModel
from tinygrad_lstm.learning.characters import Characters
from tinygrad_lstm.learning.checkpoint_files import (
    ANEW,
    CHECKPOINT,
    TRAINING,
    CheckpointError,
    explained,
    read,
    write,
)
from tinygrad_lstm.learning.flat import Flat
from tinygrad_lstm.learning.models import FurtherInputs, Model
from tinygrad_lstm.learning.optimisers import Arrays, Averages
from tinygrad_lstm.learning.own_losses import OWN, OwnLoss
from tinygrad_lstm.learning.places import built_in_at, place_of
from tinygrad_lstm.learning.readouts import Readout, readout
from tinygrad_lstm.learning.schema import SchemaError
from tinygrad_lstm.learning.task import Task
from tinygrad_lstm.learning.texts import Vocabulary
from tinygrad_lstm.learning.training_state import (
    Position,
    Record,
    Settings,
    TrainingSettings,
    TrainingState,
)
from tinygrad_lstm.networks import System
from tinygrad_lstm.parameters import under
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array, constant


class _Trained:
    state: TrainingState

    @property
    def history(self) -> tuple[Record, ...]:
        """The records made during the training, the one before the first step included."""
        return self.state.history


@dataclass(frozen=True)
class Checkpoint(_Trained):
    """What a checkpoint holds: the trained model, how it was trained, how far, on which text."""

    model: CharacterModel
    settings: Settings
    state: TrainingState
    text: str
    fingerprint: str


@dataclass(frozen=True)
class TaskCheckpoint(_Trained):
    """What the checkpoint of a training on a task holds; options: those of the task."""

    model: Model
    settings: TrainingSettings
    state: TrainingState
    task: str
    options: Mapping[str, int | float | str]


# --- what it says in JSON beside its arrays -------------------------------------------------------
@dataclass(frozen=True)
class _Source:
    """Which text a model was trained on."""

    name: str
    fingerprint: str


@dataclass(frozen=True)
class _Identity:
    """Which task."""

    name: str
    options: dict[str, int | float | str]
    fingerprint: str

    def __str__(self) -> str:
        options = ", ".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.name}({options})" if options else self.name


@dataclass(frozen=True)
class _Head:
    """How a network is read out."""

    outputs: int
    loss: str
    at: str
    symbols: int
    input: str
    vectors: int


@dataclass(frozen=True)
class _TextRecord:
    """A record of a character model."""

    step: int
    train_bits: float | None
    validation_bits: float
    seconds: float
    sample: str


@dataclass(frozen=True, kw_only=True)
class _Described:
    """What all checkpoints say."""

    format: str
    equations: tuple[str, ...]
    sizes: dict[str, int]
    start: dict[str, float | str]
    dtype: str
    position: Position


@dataclass(frozen=True, kw_only=True)
class _OfText(_Described):
    """What that of a character model says."""

    cell: str
    input: str
    symbols: str
    text: _Source
    settings: Settings
    history: tuple[_TextRecord, ...]


@dataclass(frozen=True, kw_only=True)
class _OfTask(_Described):
    """What that of any other training says; place: where the network was found."""

    network: str
    place: str
    head: _Head
    task: _Identity
    settings: TrainingSettings
    history: tuple[Record, ...]


def save(
    path: str | Path, task: Task, model: Model, settings: TrainingSettings, state: TrainingState
) -> None:
    """Write a checkpoint; the file is replaced whole, so that an older one is never lost."""
    common: dict[str, Any] = {
        "equations": tuple(equations_of(model.network, **model.sizes)),
        "sizes": model.sizes,
        "start": {n: v if isinstance(v, str) else float(v) for n, v in model.start.items()},
        "dtype": model.dtype.name,
        "settings": settings,
        "position": state.position,
    }
    described: _OfText | _OfTask
    if isinstance(task, Characters):
        described = _OfText(
            format=CHECKPOINT.format,
            cell=model.network.name,
            input=model.readout.input,
            symbols=task.reader.vocabulary.symbols,
            text=_Source(task.text.name, task.text.fingerprint),
            history=tuple(
                _TextRecord(r.step, r.loss, r.validation_bits, r.seconds, r.sample)
                for r in state.history
            ),
            **common,
        )
    else:
        described = _OfTask(
            format=TRAINING.format,
            network=model.network.name,
            place=place_of(model.network),
            head=_head(model.readout),
            task=_identity(task),
            history=state.history,
            **common,
        )
    arrays = _flat(state.parameters, state.averages)
    arrays |= {f"carried/{name}": tensor.data for name, tensor in state.carried.items()}
    write(Path(path), schema.written(described), arrays)


def _identity(task: Task) -> _Identity:
    return _Identity(task.name, dict(task.options), task.fingerprint)


def _head(head: Readout) -> _Head:
    return _Head(head.outputs, head.loss.name, head.at, head.symbols, head.input, head.vectors)


def _flat(parameters: Arrays, averages: Averages) -> dict[str, Array]:
    found = {f"parameters/{name}": value for name, value in parameters.items()}
    for kind, values in averages.items():
        found |= {f"averages/{kind}/{name}": value for name, value in values.items()}
    return found


def load(path: str | Path, cell: Cell, further: FurtherInputs | None = None) -> Checkpoint:
    """Read the checkpoint of a model of this cell.

    CheckpointError where it is damaged, of another cell or version, or not what a training writes.
    """
    path = Path(path)
    described, arrays = read(path)
    format = described.get("format")
    if not CHECKPOINT.declares(path, format):
        of = (
            "of a training on a task, not"
            if TRAINING.declares(path, format)
            else "not a checkpoint"
        )
        raise CheckpointError(f"checkpoint {path} is {of} of a character model.")
    with explained(path):
        found: _OfText = schema.read(_OfText, {"start": {}, **described})
        _check_network(path, found, found.cell, cell, arrays)
        model = CharacterModel(
            cell,
            Vocabulary(found.symbols),
            input=found.input,
            dtype=found.dtype,
            further=further,
            start=found.start,
            **found.sizes,
        )
        history = tuple(
            Record(r.step, r.train_bits, {"bits": r.validation_bits}, r.seconds, r.sample)
            for r in found.history
        )
        state = _state(found, found.settings, history, model, arrays)
    return Checkpoint(model, found.settings, state, found.text.name, found.text.fingerprint)


def load_training(
    path: str | Path,
    task: Task | None = None,
    network: Readout | Cell | System | None = None,
    further: FurtherInputs | None = None,
) -> TaskCheckpoint:
    """Read the checkpoint of a training on a task.

        learning.load_training("adding.npz").model.predict(xs)

    task: the one that it must be of; network: the cell, the network, or that with its read-out;
    built-in cells, and networks of such, are found by name; further: the function for its further
    inputs. CheckpointError as `load`.
    """
    path = Path(path)
    described, arrays = read(path)
    format = described.get("format")
    if not TRAINING.declares(path, format):
        what = "a checkpoint of a training on a task"
        if CHECKPOINT.declares(path, format):
            what = f"of a task{f' such as {task}' * bool(task)}, but of a character model"
        raise CheckpointError(f"checkpoint {path} is not {what}.")
    with explained(path):
        found: _OfTask = schema.read(_OfTask, described)
        if task is not None and found.task != _identity(task):
            raise _of_another(path, found.task, _identity(task))
        own = network.network if isinstance(network, Readout) else network
        own = own or built_in_at(found.place)
        if own is None:
            raise CheckpointError(
                f"checkpoint {path} is of {found.network!r}"
                f"{f' in {found.place}' * bool(found.place)}, which is not built in.\n"
                f"  Pass it as well, since no file is run that a checkpoint names."
            )
        _check_network(path, found, found.network, own, arrays)
        _check_head(found.head, arrays)
        head = OwnLoss(own) if found.head.loss == OWN else readout(own, **vars(found.head))
        if isinstance(network, Readout) and _head(network) != found.head:
            raise CheckpointError(
                f"checkpoint {path} is of {head}, read out otherwise than {network}.\n"
                f"  Make the read-out as it was, or {ANEW}"
            )
        reads = 0 if task is None else task.inputs
        model = Model.of(
            head, found.sizes, found.start, reads=reads, dtype=found.dtype, further=further
        )
        state = _state(found, found.settings, found.history, model, arrays)
    return TaskCheckpoint(model, found.settings, state, found.task.name, found.task.options)


def _of_another(path: Path, found: _Identity, wanted: _Identity) -> CheckpointError:
    if (found.name, found.options) == (wanted.name, wanted.options):
        return CheckpointError(
            f"checkpoint {path} is of {found} with other data, which have changed since.\n"
            f"  Restore them, or {ANEW}"
        )
    return CheckpointError(
        f"checkpoint {path} is of the task {found}, not of {wanted}.\n"
        f"  Name that task with its options, or {ANEW}"
    )


def _state(
    found: _Described,
    settings: TrainingSettings,
    history: tuple[Record, ...],
    model: Model,
    arrays: Mapping[str, Array],
) -> TrainingState:
    """The state of a training, and of its model, of arrays that are as they must be."""
    fresh = Flat.of(model.parameters)
    kinds = settings.optimiser.start(fresh)
    like = _flat(fresh, kinds)
    shapes = {name: value.shape for name, value in like.items()}
    if any(name.startswith("carried/") for name in arrays):  # not at the start of a pass
        equations = model.network.program(**model.sizes).equations
        states = {n: equations[n].shape for n in model.network.state}
        shapes |= {f"carried/{n}": (settings.batch, *shape) for n, shape in states.items()}
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
    return TrainingState(parameters, averages, carried, history=history, **vars(found.position))


def _check_shapes(arrays: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]]) -> None:
    for name, shape in shapes.items():
        if name not in arrays:
            raise SchemaError(f"array {name} is missing")
        if arrays[name].shape != shape:
            raise SchemaError(f"array {name} must be {shape}, but is {arrays[name].shape}")


def _check_head(head: _Head, arrays: Mapping[str, Array]) -> None:
    """Whether a read-out is as large as its arrays, before it is made."""
    if head.loss != OWN:
        _check_shapes(arrays, {"parameters/output.b_y": (head.outputs,)})
    embeds = bool(head.symbols) and head.input == "embedding"
    count = head.symbols if embeds else head.vectors
    shape = np.shape(arrays.get("parameters/input.E", np.empty((0, 0))))
    if len(shape) != 2 or shape[0 if embeds else 1] != count:
        raise SchemaError(f"array parameters/input.E of {shape} does not fit its head")


def _check_network(
    path: Path, found: _Described, name: str, network: Cell | System, arrays: Mapping[str, Array]
) -> None:
    """Whether a network is the one that was trained."""
    kind = "cell" if isinstance(network, Cell) else "network"
    if name != network.name:
        raise CheckpointError(
            f"checkpoint {path} is of {kind} {name!r}, not of {network}.\n"
            f"  Train {name}, or name another file for {network.name}."
        )
    known = {*network.sizes}
    if {*found.sizes} - known or (isinstance(network, Cell) and {*found.sizes} != known):
        raise CheckpointError(
            f"checkpoint {path} has the sizes {', '.join(found.sizes)}, but those of {network} are "
            f"{', '.join(network.sizes)}.\n"
            f"  {CHECKPOINT.other}"
        )
    # before a cell is traced, which may loop over its sizes
    for prefix, cell, sizes in _cells(network, found.sizes):
        words = {n: w for n, w in cell.parameters.items() if f"parameters/{prefix}{n}" in arrays}
        own = {n: cell.derived.get(n, n) for n in dimensions.names(cell.parameters)}
        full = cell.complete(sizes, dimensions.names(own))
        shapes = {f"parameters/{prefix}{n}": dimensions.shape(w, full) for n, w in words.items()}
        _check_shapes(arrays, shapes)
    CHECKPOINT.check_equations(path, network, found.equations, **found.sizes)


def _cells(
    network: Cell | System, sizes: Mapping[str, int], prefix: str = ""
) -> Iterator[tuple[str, Cell, Mapping[str, int]]]:
    """The cells of a network, with the prefix of their parameters and their sizes, lowest first."""
    if isinstance(network, Cell):
        yield prefix, network, sizes
        return
    for name, part in network.parts.items():
        own = network.part_sizes(sizes)[name]
        yield from _cells(part, own, f"{prefix}{name}.")
