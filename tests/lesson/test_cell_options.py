"""`--start NAME=VALUE`, as each command that has it takes it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lesson import building, cell_options, models
from lesson.commands import main, parser
from lesson.commands.step import small_run
from tinygrad_lstm import cells
from tinygrad_lstm.errors import UnknownNameError
from tinygrad_lstm.learning import Text
from tinygrad_lstm.tensor import ancestors

TEXT = Text("To be, or not to be, that is the question.\n" * 120, "a line")


@pytest.mark.parametrize("command", ["train", "lesson", "step"])
def test_values_may_be_repeated_and_joined_by_commas(command: str) -> None:
    words = [command, "--start", "b_f=2,b_i=-1e-3", "--start", "W_o = orthogonal", "--start=b_f=1"]
    if command != "lesson":
        words.insert(1, "lstm")
    options = parser(command).parse_args(words)
    assert cell_options.read_starts(options, cells.lstm) == {
        "b_f": 1.0,
        "b_i": -1e-3,
        "W_o": "orthogonal",
    }
    with pytest.raises(
        UnknownNameError, match=r"^--start b_f=…: cell 'rnn' has no parameter 'b_f'"
    ):
        cell_options.read_starts(options, cells.rnn)


def test_a_small_run_begins_there() -> None:
    usual, changed = (
        {node.name: node for node in ancestors([small_run(cells.lstm, 1, 0, {}, start)[0]])}
        for start in (None, {"b_f": 2.0})
    )
    np.testing.assert_array_equal(changed["b_f"].data, [2.0, 2.0])
    for name in set(cells.lstm.parameters) - {"b_f"}:
        np.testing.assert_array_equal(changed[name].data, usual[name].data)


def test_step_shows_them(capsys: Any) -> None:
    assert main(["step", "lstm", "--plain", "--steps", "1", "--start", "b_f=2"]) == 0
    assert "\n  b_f = [2 2]\n" in capsys.readouterr().out
    assert main(["step", "rnn", "--plain", "--start", "b_f=2"]) == 2
    assert capsys.readouterr().err == (
        "tinygrad-lstm step: --start b_f=…: cell 'rnn' has no parameter 'b_f'; its parameters are "
        "W, b.\n"
    )


def test_a_lesson_s_model_of_other_start_values_is_trained_anew(tmp_path: Path) -> None:
    def train(seconds: float, **start: float) -> Any:
        return models.train(cells.rnn, TEXT, seconds, tmp_path, start=start).training

    first = train(0.2, b=1.0)
    kept, other = train(0.0, b=1.0), train(0.0)  # no time to train again
    assert kept.history == first.history != () and kept.model.start == {"b": 1.0}
    assert other.state.step == 0 and other.model.start == {}


def test_a_lesson_trains_its_cell_from_them_and_no_other(monkeypatch: Any, tmp_path: Path) -> None:
    told: dict[str, Any] = {}

    def train(cell: Any, *more: Any, steps: int | None = None) -> Any:
        told[cell.name] = more[4] if len(more) > 4 else None, steps
        return SimpleNamespace(training=SimpleNamespace(state=SimpleNamespace(step=7)))

    monkeypatch.setattr(building, "train", train)
    monkeypatch.setattr(building, "subject", lambda *_: None)
    monkeypatch.setattr(building, "render", lambda *_: "page")
    path = building.build(tmp_path / "page", 1.0, TEXT, cell=cells.gru, start={"W_z": 0.5})
    assert path.read_text(encoding="utf-8") == "page"
    assert told == {"gru": ({"W_z": 0.5}, None), "lstm": (None, 7), "rnn": (None, 7)}
