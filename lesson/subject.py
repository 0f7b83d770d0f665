"""What a lesson is about, as every part of the page is given it."""

from __future__ import annotations

from dataclasses import dataclass

from lesson.measurements import Line
from lesson.models import Trained
from tinygrad_lstm.learning import CharacterModel, Text
from tinygrad_lstm.recurrent import Cell


@dataclass(frozen=True)
class Subject:
    """A cell, its trained model and a line of text that the model has read.

    line: the model's values and gradients along a line that it was not trained on. unit: the
    hidden unit that the page follows, counted from 0.
    """

    trained: Trained
    text: Text
    line: Line
    unit: int

    @property
    def cell(self) -> Cell:
        """The cell: the LSTM, or one of the reader's own."""
        return self.trained.model.cell

    @property
    def model(self) -> CharacterModel:
        """The trained model."""
        return self.trained.model
