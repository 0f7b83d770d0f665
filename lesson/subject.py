"""What a lesson is about, as every chapter and part of the page is given it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from lesson import measurements
from lesson.figures import Drawer
from lesson.meaning import Held, search
from lesson.measurements import Line
from lesson.models import Trained
from tinygrad_lstm.cells import lstm
from tinygrad_lstm.learning import CharacterModel, Text
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array


@dataclass(frozen=True)
class Subject:
    """A cell, its trained model, a line of text that the model has read, and other models.

    line: the model's values and gradients along a line that it was not trained on. unit: the
    hidden unit that the page follows, counted from 0. beside: models of other cells by the cell's
    name, trained on the same text. draw: makes figures for the page.
    """

    trained: Trained
    text: Text
    line: Line
    unit: int
    beside: Mapping[str, Trained] = field(default_factory=dict)
    draw: Drawer = field(default_factory=Drawer)

    @property
    def cell(self) -> Cell:
        """The cell: the LSTM, or one of the reader's own."""
        return self.trained.model.cell

    @property
    def model(self) -> CharacterModel:
        """The trained model."""
        return self.trained.model

    @property
    def is_lstm(self) -> bool:
        """Whether the page is about the LSTM, for which its stages have texts of their own."""
        return self.cell is lstm

    @property
    def models(self) -> dict[str, Trained]:
        """Every model by its cell's name, the subject's first."""
        return {self.cell.name: self.trained, **self.beside}

    @cached_property
    def held_out(self) -> str:
        """The end of the text, which no model was trained on."""
        return self.text.characters[-len(self.trained.training.validation_ids) :]

    @cached_property
    def opening(self) -> str:
        """The line with the name of who speaks it, where one stands above it."""
        return measurements.with_speaker(self.held_out, self.line.text)

    @cached_property
    def held(self) -> dict[str, list[Held]]:
        """Of every model the units that hold something, by its cell's name."""
        return {name: search(one.model, self.held_out) for name, one in self.models.items()}

    def values(self, name: str) -> Array:
        """The value of an equation in the unit that the page follows, per character."""
        return self._followed(self.line.values[name])

    def gradients(self, name: str) -> Array:
        """The gradient in that value, per character."""
        return self._followed(self.line.gradients[name])

    def _followed(self, values: Array) -> Array:
        flat = values.reshape(len(values), -1)
        one: Array = flat[:, self.unit % flat.shape[1]].astype(float)
        return np.where(np.isfinite(one), one, 0.0)
