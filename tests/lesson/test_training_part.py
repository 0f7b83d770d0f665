"""The page's training in node against the interpreter: cells, texts, and what is packed for it.

EVERY_CELL=1 in the environment takes all cells, the built-in ones and those of the corpus.
"""

from __future__ import annotations

import base64
import json
import os
import random
import zlib
from pathlib import Path
from typing import Any

import corpus
import numpy as np
import pytest
import training_pages
from markupsafe import Markup
from running_scripts import run_script

from lesson.page import asset
from lesson.parts import training
from lesson.parts.training import plans
from tinygrad_lstm import cell, cells, learning, matvec, tanh
from tinygrad_lstm.learning import Adam, InverseRoot, Learner, Vocabulary
from tinygrad_lstm.step import Cell

TEXT = learning.shakespeare().characters[70_000:72_000]
EVERY = bool(os.environ.get("EVERY_CELL"))
SUITED = [one for one in corpus.CELLS.values() if not (one.sequences or one.constants)]
OWN = SUITED if EVERY else random.Random(4).sample(SUITED, 3)
BUILT_IN = ("lstm", "clockwork", "lstm_1997", "mut1")  # two with further inputs, one without inputs
RUN = """
  const { about, settings, text, steps } = given;
  const plan = Object.values(made).find((one) => one.pack);
  const learner = new made.Learner(plan, about, settings, text);
  const costs = Array.from({ length: steps }, () => learner.step(0.01));
  const [first] = Object.keys(plan.equations);
  return { costs, start: about.start, symbols: learner.symbols, left: learner.left,
           held: learner.held, unseen: learner.held.length > 1 ? learner.unseen() : null,
           look: learner.look(first, 5).map((row) => [...row]), written: learner.write(30, 0.6) };
"""


def in_node(one: Cell, folder: Path, steps: int, text: str = TEXT) -> dict[str, Any]:
    """What the page's learner finds in some steps."""
    about = training.about(one)
    script = "\n".join(
        [asset(training.__name__, "learner.js"), about["code"], "module.exports.Learner = Learner;"]
    )
    given = {"about": about, "settings": training.settings(), "text": text, "steps": steps}
    found: dict[str, Any] = run_script(script, RUN, given, folder)
    return found


def interpreted(one: Cell) -> Learner:
    """The same by the interpreter, from what `init` draws."""
    sizes: dict[str, Any] = plans.sizes(one)
    rule: dict[str, Any] = {"optimiser": Adam(training.RATE), "clip": training.CLIP}
    rule["schedule"] = InverseRoot(training.SLOWER)
    return Learner(plans.model(one), seed=plans.SEED, dtype=np.float64, eager=True, **rule, **sizes)


def suited(one: Cell) -> bool:
    """Whether the page can train a cell; if not, it must have no read-out or no JavaScript."""
    return bool(plans.printed(one))


@pytest.mark.parametrize("name", [*cells.all()] if EVERY else BUILT_IN)
def test_built_in_cells_learn_as_in_python(name: str, tmp_path: Path) -> None:
    compare(cells.all()[name], tmp_path)


@pytest.mark.parametrize("one", OWN, ids=str)
def test_cells_of_ones_own_learn_as_in_python(one: Cell, tmp_path: Path) -> None:
    if not suited(one):
        pytest.skip("no vector to read or to read out")
    compare(one, tmp_path)


def compare(one: Cell, folder: Path, steps: int = 10) -> None:
    """Costs, the held-out end and units along the text, through the end of the text and after."""
    ids, further = training.numbers(TEXT), plans.further(one).inputs
    read, kept = training.learned(ids), ids[len(training.learned(ids)) :]
    learner = interpreted(one)
    run = training.costs(learner, read, further)
    expected = [next(run) for _ in range(steps)]
    found = in_node(one, folder, steps)
    np.testing.assert_allclose(found["costs"], expected, rtol=1e-6)
    assert expected[-1] < expected[0] - 0.3
    assert found["held"] == kept.tolist()
    tiled = {
        name: np.resize(values, (len(kept) - 1, *values.shape[1:]))
        if name in one.sequences
        else values
        for name, values in further.items()
    }
    unseen = learner.loss(kept[:-1, None], kept[1:, None], further=tiled) / np.log(2)
    assert found["unseen"] == pytest.approx(unseen, rel=1e-6)
    assert len(found["written"]) == 30 and set(found["written"]) <= set(TEXT)


def test_the_start_is_what_init_draws() -> None:
    for one in map(cells.all().__getitem__, BUILT_IN):
        fresh = plans.model(one).init(seed=1, dtype=np.float64, **plans.sizes(one))
        kept = plans.packed(one)
        assert not any("numbers" in told for told in kept.values())  # the page draws all of it
        for name, value in plans.unpacked(kept).items():
            np.testing.assert_allclose(value, fresh[name], atol=1e-15)


@cell(
    state={"a": "hidden", "b": "hidden"},
    parameters={"W": "hidden, hidden", "U": "hidden, inputs", "g": "hidden", "k": ""},
    start={"W": "orthogonal", "U": "glorot", "g": 0.5, "k": 1.5},
    output="y",
    papers=[],
)
def turning(now, prev, x, p):
    """Two states, a start of every kind, and an output that is no state."""
    now.a = tanh(p.k * (p.W @ prev.a) + p.U @ x + p.g * prev.b)
    now.b = 0.9 * prev.b + 0.1 * now.a
    now.y = now.a + now.b


def test_starts_of_every_kind(tmp_path: Path) -> None:
    kinds = {name: {*told} - {"shape"} for name, told in plans.packed(turning).items()}
    assert kinds["W"] == {"numbers"} and kinds["g"] == kinds["k"] == {"all"}
    compare(turning, tmp_path)


@pytest.mark.parametrize(
    "text",
    ["가나다라 마바사아 자차카 타파하 " * 12, "夜来风雨声，花落知多少。\n" * 9, "😀🙂 ab " * 20],
    ids=["Hangul", "Han", "beyond 16 bits"],
)
def test_texts_in_other_alphabets(text: str, tmp_path: Path) -> None:
    found = in_node(cells.rnn, tmp_path, 8, text)
    run = training.costs(interpreted(cells.rnn), training.numbers(text), {})
    np.testing.assert_allclose(found["costs"], [next(run) for _ in range(8)], rtol=1e-6)
    assert "".join(found["symbols"]) == Vocabulary(text).symbols
    assert found["left"] == found["held"] == [] and found["unseen"] is None


def test_too_many_letters(tmp_path: Path) -> None:
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 90))) * 3
    found = in_node(cells.rnn, tmp_path, 2, text)
    assert found["left"] == [chr(0x4E00 + k) for k in range(plans.SYMBOLS, 90)]
    run = training.costs(interpreted(cells.rnn), training.numbers(text), {})
    np.testing.assert_allclose(found["costs"], [next(run), next(run)], rtol=1e-6)


@cell(state="h", parameters={"W": "hidden, hidden"}, papers=[])
def silent(now, prev, x, p):
    """Reads a matrix and so cannot be read letter by letter."""
    now.h = tanh(matvec(p.W, prev.h) + x.sum())


def packed_in(markup: Markup) -> Any:
    text = str(markup).partition('id="learner-data">')[2].partition("<")[0]
    return json.loads(zlib.decompress(base64.b64decode(text)))


def test_the_part_offers_the_pages_own_cell_first(monkeypatch: pytest.MonkeyPatch) -> None:
    offered = {"turning": turning, "rnn": cells.rnn}
    monkeypatch.setattr(training, "candidates", lambda subject: offered)
    markup = training.markup(training_pages.subject(turning))
    assert [*packed_in(markup)["cells"]] == ["turning", "rnn"]
    assert "cannot learn in this page" not in markup


def test_the_part_says_that_a_cell_cannot_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "printed", lambda one: "" if one is silent else "code")
    monkeypatch.setattr(training, "candidates", lambda s: {"silent": silent, "rnn": cells.rnn})
    markup = training.markup(training_pages.subject(silent))
    assert "silent cannot be written in JavaScript" in markup
    assert [*packed_in(markup)["cells"]] == ["rnn"]
