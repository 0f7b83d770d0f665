"""A character model: a cell between an input of symbols and a softmax over the next one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.errors import CellError, DataError, ShapeError, UnknownNameError
from tinygrad_lstm.learning.losses import bits
from tinygrad_lstm.learning.models import EMBEDDING, FurtherInputs, Model, complete_sizes, completed
from tinygrad_lstm.learning.readouts import INPUTS, readout
from tinygrad_lstm.learning.texts import Text, Vocabulary
from tinygrad_lstm.ops import softmax
from tinygrad_lstm.running import Run
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array, Tensor

UNITS = 128  # where nobody says how many


class CharacterModel(Model):
    """A cell that reads symbols and says how likely each symbol is to come next.

        x_t = E[symbol_t]  (embedding), or the row of the identity matrix  (one-hot)
        h_t = the cell's state
        p(symbol_{t+1}) = softmax(W_y · h_t + b_y)

    cell: any Cell; h_t stands for its output, `cell.output`. text: a str, a Text or a Vocabulary:
    which symbols there are. sizes: the cell's own, by name; where it has them, `hidden` is 128 and
    the size of x, `inputs` as a rule, is the width of the embedding, 64, unless told. dtype:
    float32 is faster, float64 for checks. start: start values of parameters by name, as
    `cell.init` takes them. further: for a cell with further inputs, a function (start, shape) ->
    {name: array} of their values at the steps from `start` on of a text; shape, (time, batch) or
    (time,), is that of the symbols read.

    `readout` is the cell with its read-out and loss, with which a training learns. `parameters`
    maps names to arrays, which lie in one vector: the cell's own names, and input.E, output.W_y
    (symbols, hidden), output.b_y (symbols,).
    """

    def __init__(
        self,
        cell: Cell,
        text: str | Text | Vocabulary,
        *,
        input: str = "embedding",
        seed: int = 0,
        dtype: Any = np.float32,
        further: FurtherInputs | None = None,
        start: Mapping[str, float | str] | None = None,
        **sizes: int,
    ) -> None:
        if not isinstance(cell, Cell):
            raise CellError(
                f"a character model is of a cell, got {cell!r}; write cells.lstm, or "
                f"cells.all()[name]."
            )
        if input not in INPUTS:
            raise DataError(f"input is {' or '.join(map(repr, INPUTS))}, got {input!r}.")
        self.cell, self.input, self.further = cell, input, further
        self.vocabulary = text if isinstance(text, Vocabulary) else _vocabulary(text)
        self.output, symbols = cell.output, len(self.vocabulary)
        own = _sizes(cell, input, symbols, sizes)
        for name in start or {}:
            if name not in cell.parameters:
                raise UnknownNameError(
                    f"{cell} has no parameter {name!r} to start; its parameters are "
                    f"{', '.join(cell.parameters) or 'none'}."
                )
        names = ", ".join(n for n in cell.extra_inputs if n not in cell.noise)
        if names and further is None:
            raise CellError(
                f"{cell} has further inputs ({names}), which text does not give.\n"
                "  Make them parameters, or pass further=f in Python, a function "
                "f(start, shape) of their values."
            )
        self._take(readout(cell, symbols, symbols=symbols, input=input), own, start, seed, dtype)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name}={n}" for name, n in self.sizes.items())
        return f"CharacterModel of {self.cell}: {sizes}, {self.input} input, {self.count:,} numbers"

    def run(
        self,
        ids: Array,
        states: Mapping[str, Any] | None = None,
        start: int = 0,
        parameters: Mapping[str, Any] | None = None,
        cell: Cell | None = None,
    ) -> Run:
        """The cell over symbols (time, batch) or (time,), from `states`, or from its own start.

        parameters: Tensors or arrays to use in place of the model's own; start: the number of
        steps read before, which only a cell's further inputs and noise depend on; cell: the
        model's own, or `compiled` of it.
        """
        p = self.parameters if parameters is None else parameters
        further = self.inputs(ids, start)
        return self.readout.run(p, ids, cell, initial=states, seed=start, **further)

    def logits(self, run: Run, parameters: Mapping[str, Any] | None = None) -> Tensor:
        """W_y · h_t + b_y for every step of a run, one row each: (time * batch, symbols)."""
        p = self.parameters if parameters is None else parameters
        return self.readout.predict(p, run).reshape((-1, len(self.vocabulary)))

    def observe(self, text: str) -> Observation:
        """Run over one text from zero states: every gate's values, and what it expects next."""
        if not text:
            raise DataError("there is no text to observe; give at least one character.")
        run = self.run(self.vocabulary.encode(text))
        probabilities = softmax(self.logits(run)).data
        return Observation(text, self.vocabulary, run, probabilities)


@dataclass(frozen=True)
class Observation:
    """A trained model on one text.

    `run` has every named equation per character: `run["f"]` is (characters, hidden).
    `probabilities` is (characters, symbols): row t is what the model expects after reading
    characters 0 to t.
    """

    text: str
    vocabulary: Vocabulary
    run: Run
    probabilities: Array

    @property
    def bits(self) -> list[float]:
        """-log2 p of each character but the first, given those before it: how surprising it was."""
        came = self.vocabulary.encode(self.text[1:])
        p = self.probabilities[np.arange(came.size), came]
        return [bits(-value) for value in np.log(p)]

    def expected(self, t: int, count: int = 3) -> list[tuple[str, float]]:
        """The likeliest symbols after character t, with their probabilities, likeliest first."""
        row = self.probabilities[t]
        order = np.argsort(-row, kind="stable")[:count]
        return [(self.vocabulary.symbols[k], float(row[k])) for k in order]


def _vocabulary(text: str | Text) -> Vocabulary:
    return text.vocabulary if isinstance(text, Text) else Vocabulary(text)


def _sizes(cell: Cell, input: str, symbols: int, given: Mapping[str, int]) -> dict[str, int]:
    """All sizes of the cell, with defaults for those that every character model has."""
    embeds = input == "embedding"
    sizes = complete_sizes(cell, EMBEDDING if embeds else symbols, given, UNITS, free=embeds)
    axes = dimensions.shape(cell.x, completed(cell, sizes))
    if len(axes) != 1:
        raise CellError(f"{cell}: x is ({cell.x}), but a symbol is read as a vector.")
    if input == "one-hot" and axes[0] != symbols:
        raise ShapeError(
            f"{cell}: x is ({cell.x}) = {axes[0]} numbers, but one-hot input has one for each of "
            f"the {symbols} symbols.\n  Use embedding input, or sizes that make x {symbols} long."
        )
    return sizes
