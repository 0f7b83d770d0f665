"""Checkpoints: a training on disk, from which it goes on with the same numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tinygrad_lstm.learning import archive
from tinygrad_lstm.learning.archive import CheckpointError
from tinygrad_lstm.learning.models import CharacterModel, Further
from tinygrad_lstm.learning.optimisers import OPTIMISERS
from tinygrad_lstm.learning.state import Record, Settings, State
from tinygrad_lstm.learning.texts import Text, Vocabulary
from tinygrad_lstm.recurrent import Cell
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


def save(
    path: str | Path, model: CharacterModel, settings: Settings, state: State, text: Text
) -> None:
    """Write a checkpoint; the file is replaced whole, so that an older one is never lost."""
    position = ("step", "passes", "chunk", "seconds", "loss", "norm", "recent")
    described = {
        "format": FORMAT,
        "cell": model.cell.name,
        "equations": _equations(model.cell, model.sizes),
        "sizes": model.sizes,
        "input": model.input,
        "dtype": model.dtype.name,
        "symbols": model.vocabulary.symbols,
        "text": {"name": text.name, "fingerprint": text.fingerprint},
        "settings": asdict(settings) | {"optimiser": _described(settings.optimiser)},
        "position": {name: getattr(state, name) for name in position},
        "history": [asdict(record) for record in state.history],
    }
    arrays = {f"parameters/{name}": value for name, value in state.parameters.items()}
    for kind, values in state.averages.items():
        arrays |= {f"averages/{kind}/{name}": value for name, value in values.items()}
    arrays |= {f"carried/{name}": tensor.data for name, tensor in state.carried.items()}
    archive.write(Path(path), described, arrays)


def load(path: str | Path, cell: Cell, further: Further | None = None) -> Checkpoint:
    """Read the checkpoint of a model of this cell."""
    path = Path(path)
    described, arrays = archive.read(path)
    if described.get("format") != FORMAT:
        raise CheckpointError(f"checkpoint {path} is not a checkpoint of a character model.")
    _check_cell(path, described, cell)
    settings = dict(described["settings"])
    optimiser = dict(settings.pop("optimiser"))
    settings["optimiser"] = OPTIMISERS[optimiser.pop("name")](**optimiser)
    model = CharacterModel(
        cell, Vocabulary(described["symbols"]), input=described["input"],
        dtype=described["dtype"], further=further, **described["sizes"],
    )  # fmt: skip
    model.parameters = _under("parameters/", arrays)
    averages: dict[str, dict[str, Array]] = {}
    for name, value in _under("averages/", arrays).items():
        kind, _, own = name.partition("/")
        averages.setdefault(kind, {})[own] = value
    carried = {name: constant(value) for name, value in _under("carried/", arrays).items()}
    position = dict(described["position"])
    recent = tuple(position.pop("recent"))
    history = tuple(Record(**record) for record in described["history"])
    state = State(
        model.parameters, averages, carried, recent=recent, history=history, **position
    )
    text = described["text"]
    return Checkpoint(model, Settings(**settings), state, text["name"], text["fingerprint"])


def _under(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def _described(optimiser: Any) -> dict[str, Any]:
    return {"name": type(optimiser).__name__, **asdict(optimiser)}


def _equations(cell: Cell, sizes: Mapping[str, int]) -> list[str]:
    return str(cell.program(**sizes)).splitlines()[1:]


def _check_cell(path: Path, described: Mapping[str, Any], cell: Cell) -> None:
    if described["cell"] != cell.name:
        raise CheckpointError(
            f"checkpoint {path} is of cell {described['cell']!r}, not of {cell}.\n"
            f"  Train {described['cell']}, or name another file for {cell.name}."
        )
    was, now = described["equations"], _equations(cell, described["sizes"])
    if was != now:
        changed = [line.strip() for line in was if line not in now] or ["(their order)"]
        raise CheckpointError(
            f"checkpoint {path} is of {cell} with other equations; it had\n"
            + "".join(f"    {line}\n" for line in changed)
            + "  Write the cell as it was, or name another file to begin anew."
        )
