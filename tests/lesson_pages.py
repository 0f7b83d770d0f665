"""Pages of the lesson for tests: of the LSTM, and of another cell, with small models."""

from __future__ import annotations

import fcntl
import json
import os
from functools import cache
from pathlib import Path

import pytest

from lesson import building, prose
from lesson.models import Trained
from lesson.subject import Subject
from tinygrad_lstm import cell, cells, learning, matvec, sigmoid, tanh
from tinygrad_lstm.learning import CharacterModel, Text, Training
from tinygrad_lstm.step import Cell

TEXT = Text(learning.shakespeare().characters[:60_000], "a part of Shakespeare")


@cell(state="s", parameters={"A B": "hidden, hidden", "E": "hidden, inputs"}, papers=[])
def slow(now, prev, x, p):
    """A state that is mixed with a candidate, in a share of its own."""
    now.alpha = sigmoid(matvec(p.A, prev.s) + matvec(p.E, x))
    now.new = tanh(matvec(p.B, prev.s) + matvec(p.E, x))
    now.s = now.alpha * prev.s + (1 - now.alpha) * now.new


def trained(one: Cell) -> Trained:
    training = Training(CharacterModel(one, TEXT, hidden=12, inputs=8), TEXT, every=2)
    training.run(steps=6)
    return Trained(training.model, training)


@cache
def about() -> Subject:
    """The LSTM beside two other cells."""
    beside = {name: trained(cells.all()[name]) for name in ("gru", "rnn")}
    return building.subject(trained(cells.lstm), TEXT, beside)


@cache
def about_own() -> Subject:
    """A cell of one's own beside the LSTM."""
    beside = {"lstm": about().trained, "rnn": about().beside["rnn"]}
    return building.subject(trained(slow), TEXT, beside)


@cache
def rendered() -> tuple[str, str, set[str]]:
    """The LSTM's page, another cell's, and the texts that they asked for: built once in a run."""
    kept = Path(os.environ["TINYGRAD_LSTM_TESTS"], "pages.json")
    with kept.with_suffix(".lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the other test processes wait
        if not kept.exists():
            kept.write_text(json.dumps(_rendered()), encoding="utf-8")
    lesson, own, asked = json.loads(kept.read_text(encoding="utf-8"))
    return lesson, own, set(asked)


def _rendered() -> tuple[str, str, list[str]]:
    asked: set[str] = set()
    found = prose.Texts._found

    def noted(self: prose.Texts, language: str, key: str) -> str:
        if self.name == "page":
            asked.add(key)
        return found(self, language, key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prose.Texts, "_found", noted)
        return building.render(about()), building.render(about_own()), sorted(asked)


def written(root: Path) -> tuple[Path, Path]:
    """The two pages as files in a folder."""
    files = root / "lesson.html", root / "own.html"
    for file, page in zip(files, rendered(), strict=False):
        file.write_text(page, encoding="utf-8")
    return files
