"""The lesson's models: character models of cells, trained and kept between builds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lesson import formulas
from tinygrad_lstm import cells
from tinygrad_lstm.errors import CellError, TinygradError
from tinygrad_lstm.learning import CharacterModel, DivergenceError, Progress, Text, Training
from tinygrad_lstm.step import Cell

WIDE = 128  # every size of a cell but that of its input


@dataclass(frozen=True)
class Trained:
    """A model of the lesson and how it came to be."""

    model: CharacterModel
    training: Training


def built_in(cell: Cell) -> bool:
    """Whether a cell is one of the family, and not the reader's own."""
    return cells.all().get(cell.name) is cell


def check_suited(cell: Cell) -> None:
    """Raise a CellError or EquationError that says why a lesson cannot be about a cell."""
    cell.program()
    if cell.name in cells.all() and not built_in(cell):
        raise CellError(
            f"{cell} has the name of a built-in cell, which stands beside it on the page.\n"
            f"  Give your cell a name of its own."
        )
    further = ", ".join([*cell.sequences, *cell.constants])
    if further:
        raise CellError(
            f"{cell} has further inputs ({further}), which the text of a lesson does not give.\n"
            f"  Make them parameters, or numbers in the equations."
        )
    if not cell.parameters:
        raise CellError(
            f"{cell} has no parameters, so there is nothing that it could learn.\n"
            f'  Declare some, as in @cell(…, parameters={{"W": "hidden, hidden + inputs"}}).'
        )
    formulas.backward(cell)


def train(
    cell: Cell,
    text: Text,
    seconds: float | None = None,
    folder: Path | None = None,
    report: Callable[[Progress], Any] | None = None,
    start: Mapping[str, Any] | None = None,
    steps: int | None = None,
) -> Trained:
    """A character model of a cell, trained for `seconds`, or `steps`, in all.

    With a folder, its checkpoint is kept there, and what it has learned already is not learned
    again; a checkpoint that does not fit, because the cell, the text or the start values of
    parameters changed, or it learned longer than `steps`, is replaced.
    """
    path = folder / f"{'' if built_in(cell) else 'own-'}{cell.name}.npz" if folder else None
    training = None
    if path and path.is_file():
        try:
            training = Training.resume(path, cell, text)
        except TinygradError:
            training = None
    longer = training is not None and steps is not None and training.state.step > steps
    if training is None or longer or training.model.start != (start or {}):
        sizes: dict[str, Any] = {name: WIDE for name in cell.sizes if name != "inputs"}
        model = CharacterModel(cell, text, seed=1, start=start, **sizes)
        training = Training(model, text, every=50)
    more: dict[str, Any] = {} if training.history else {"steps": 0}  # what it is before it learns
    if steps is not None and steps > training.state.step:
        more = {"steps": steps - training.state.step}
    elif seconds and seconds - training.state.seconds > 0.02 * seconds:  # it may end a little early
        more = {"seconds": seconds - training.state.seconds}
    try:
        if more:
            training.run(**more, report=report, checkpoint=path)
    except DivergenceError as error:
        raise DivergenceError(
            f"{cell} cannot be trained: {str(error).splitlines()[0]}\n"
            f"  Its values grow from step to step. Keep what is handed on within bounds, for "
            f"example by a tanh or a gate."
        ) from error
    return Trained(training.model, training)
