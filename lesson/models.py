"""The lesson's models: character models of cells, trained and kept between builds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.learning import CharacterModel, Progress, Text, Training
from tinygrad_lstm.recurrent import Cell


@dataclass(frozen=True)
class Trained:
    """A model of the lesson and how it came to be."""

    model: CharacterModel
    training: Training


def train(
    cell: Cell, text: Text, seconds: float, folder: Path | None = None,
    report: Callable[[Progress], Any] | None = None,
) -> Trained:  # fmt: skip
    """A character model of a cell, trained for `seconds` in all.

    With a folder, its checkpoint is kept there, and what it has learned already is not learned
    again; a checkpoint that does not fit, because the cell or the text changed, is replaced.
    """
    path = folder / f"{cell.name}.npz" if folder else None
    training = None
    if path and path.is_file():
        try:
            training = Training.resume(path, cell, text)
        except TinygradError:
            training = None
    if training is None:
        training = Training(CharacterModel(cell, text, hidden=128, seed=1), text, every=50)
    rest = seconds - training.state.seconds
    if rest > 0:
        training.run(seconds=rest, report=report, checkpoint=path)
    return Trained(training.model, training)
