"""Steps that cannot be compared with a cell, and the words and the command of diagnose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_forward import lstm

from lesson.commands import main
from tinygrad_lstm import cells, diagnose
from tinygrad_lstm.errors import (
    CellError,
    DataError,
    DTypeError,
    ShapeError,
    TinygradError,
    UnknownNameError,
)


# --- what cannot be compared ---------------------------------------------------------------------
def altered(change: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda p, x, prev: {"h": change(lstm(p, x, prev)["h"])}


def fails(p: Any, x: Any, prev: Any) -> Any:
    raise ValueError("no")


@pytest.mark.parametrize(
    ("step", "error", "message"),
    [
        (
            altered(lambda h: h[:, :2]),
            ShapeError,
            "h of <lambda> has shape (2, 2), but it is (batch",
        ),
        (altered(lambda h: h.astype(int)), DTypeError, "holds whole numbers (int64)"),
        (altered(lambda h: h.astype(str)), DTypeError, "holds <U"),
        (altered(lambda h: h * np.nan), DataError, "your h is nan at [0, 0]"),
        (lambda p, x, prev: {"q": x}, UnknownNameError, "returns 'q', which is no equation"),
        (lambda p, x, prev: {}, DataError, "returns nothing; the states are h, C"),
        (lambda p, x, prev: None, DTypeError, "a mapping of names to arrays is needed"),
        (lambda p, x, prev: (x, x, x), DataError, "returns 3 values, but the states are h, C"),
        (fails, DataError, "fails, line"),
        (lambda p, x, prev: p["W_q"], DataError, "KeyError: 'W_q'"),
    ],
)
def test_bad_steps_are_one_message(
    step: Callable[..., Any], error: type[TinygradError], message: str
) -> None:
    with pytest.raises(error) as caught:
        diagnose(cells.lstm, forward=step)
    assert message in str(caught.value)


def test_steps_that_fit_no_cell() -> None:
    with pytest.raises(DataError, match="with the parameters of none of rnn, lstm"):
        diagnose(among=lambda p, x, prev: p["kernel"] @ x)
    with pytest.raises(DataError, match="a function of .p, x, prev. is needed"):
        diagnose(forward=3)
    with pytest.raises(DataError, match="either a forward or gradients, not both"):
        diagnose(cells.lstm, forward=lstm, found={})
    with pytest.raises(CellError, match="a cell is needed, got 'lstm'"):
        diagnose(forward=lstm, among=["lstm"])


# --- words and the command -----------------------------------------------------------------------
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import numpy as np\n\n"
        "def step(p, x, prev):\n"
        "    return np.concatenate([prev['h'], x], 1) @ p['W'].T + p['b']\n\n"
        "def any_form(*arguments):\n"
        "    return step(*arguments)\n",
        encoding="utf-8",
    )
    assert main(["diagnose", "rnn", f"{file}:step"]) == 1
    assert "tanh is left out" in capsys.readouterr().out
    assert main(["diagnose", "rnn", f"{file}:any_form", "--forward", "--language", "ko"]) == 1
    assert "빠졌습니다" in capsys.readouterr().out
    assert main(["diagnose", "--among", f"{file}:step"]) == 1
    assert "This is rnn, but for this:" in capsys.readouterr().out
    assert main(["diagnose", "--among", f"{file}:step", "--cells", "lstm,gru"]) == 2
    assert "runs with the parameters of none of lstm, gru" in capsys.readouterr().err
    assert main(["diagnose", "rnn"]) == 2
    assert "write diagnose CELL path/to/file.py:NAME" in capsys.readouterr().err
    assert main(["diagnose", "rnn", "--among", f"{file}:step"]) == 2
    assert "without a CELL" in capsys.readouterr().err
