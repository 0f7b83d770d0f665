"""Training: it learns, it stops and goes on with the same numbers, it loses nothing."""

import _thread
import dataclasses
import os
import re
import threading
import time

import numpy as np
import pytest
from problems import sizes_of, useful

from tinygrad_lstm import cell, cells, concat, learning, matvec
from tinygrad_lstm.errors import DataError
from tinygrad_lstm.learning import (
    SGD,
    Adam,
    CharacterModel,
    CheckpointError,
    DivergenceError,
    Settings,
    Training,
    tasks,
)

RHYME = "a tiny text, told many times;\nit has no reason, though it rhymes.\n" * 6
SMALL = {"batch": 3, "length": 10, "every": 4, "sample": 5}


def small(which=cells.lstm, text=RHYME, **settings):
    model = CharacterModel(which, text, hidden=6, inputs=5, seed=1)
    return Training(model, text, **{**SMALL, **settings})


def content(training):
    """Everything a training will go on from, the seconds apart."""
    state = vars(training.state).copy()
    state.pop("seconds")
    state["history"] = [dataclasses.replace(r, seconds=0.0) for r in state["history"]]
    arrays = {f"p {k}": v for k, v in state.pop("parameters").items()}
    for kind, values in state.pop("averages").items():
        arrays |= {f"{kind} {k}": v for k, v in values.items()}
    arrays |= {f"carried {k}": v.data for k, v in state.pop("carried").items()}
    return state, {k: (v.dtype, v.shape, v.tobytes()) for k, v in arrays.items()}


@pytest.fixture(scope="module")
def uninterrupted():
    training = small()
    training.run(steps=30)
    return content(training)


# --- learning ------------------------------------------------------------------------------------
@pytest.mark.sample(3)
@pytest.mark.parametrize("which", list(cells.all().values()), ids=str)
def test_a_short_text_is_learnt_by_heart(which):
    text = "abcabdabeacd" * 30  # how often each symbol comes leaves 2.1 bits
    sizes, given = sizes_of(which, 24, 8), useful(which, 24)
    model = CharacterModel(which, text, further=given, **sizes)
    training = Training(
        model, text, batch=4, length=24, every=150, sample=0, optimiser=Adam(rate=0.02)
    )
    training.run(steps=150)
    first, last = training.history
    assert first.validation_bits > 2
    assert last.train_bits < 1.0 and last.validation_bits < 1.0


def test_plain_descent_learns_too():
    training = small(optimiser=SGD(rate=0.3, momentum=0.9), every=100)
    training.run(steps=100)
    assert training.history[1].train_bits < training.history[0].validation_bits - 0.5
    assert training.history[1].validation_bits < training.history[0].validation_bits - 1


def test_history_and_reports():
    training = small()
    reports = []
    training.run(steps=10, report=reports.append)
    assert [p.step for p in reports] == list(range(1, 11))
    assert [r.step for r in training.history] == [0, 4, 8, 10]
    assert [p.record for p in reports if p.record] == list(training.history[1:3])
    assert training.history[0].train_bits is None
    assert training.history[1].train_bits == np.mean([p.bits for p in reports[:4]])
    assert {p.characters for p in reports} == {30}
    seconds = [p.seconds for p in reports]
    assert seconds == sorted(seconds) and seconds[0] > 0
    assert all(len(r.sample) == 5 for r in training.history)


def test_a_report_may_stop_the_training():
    training = small()
    training.run(steps=100, report=lambda progress: progress.step == 6)
    assert training.state.step == 6


def test_seconds_limit_a_run():
    training = small()
    training.run(seconds=1.0)
    assert training.state.step > 0 and 0 < training.state.seconds < 10


def test_the_state_is_carried_and_cut():
    training = small()
    training.run(steps=1)
    carried = training.state.carried
    assert {name: t.shape for name, t in carried.items()} == {"h": (3, 6), "C": (3, 6)}
    assert all(not t.inputs for t in carried.values())
    assert any(np.abs(t.data).max() > 0.01 for t in carried.values())


def test_each_pass_over_the_text_begins_anew():
    training = small()
    fresh, offsets = [], set()
    for _ in range(36):
        if not training.state.carried:
            fresh.append((training.state.passes, training.state.chunk))
            offsets.add(training.characters.offset(training.state.passes))
        training.run(steps=1)
    assert [chunk for _, chunk in fresh] == [0] * len(fresh) and len(fresh) >= 3
    assert [passes for passes, _ in fresh] == list(range(len(fresh)))
    assert len(offsets) > 1


# --- going on ------------------------------------------------------------------------------------
def test_the_same_settings_give_the_same_numbers(uninterrupted):
    training = small()
    training.run(steps=30)
    assert content(training) == uninterrupted


@pytest.mark.parametrize("stop", [0, 1, 4, 13, 14])
def test_a_resumed_training_equals_one_never_stopped(stop, uninterrupted, tmp_path):
    first = small()
    first.run(steps=stop, checkpoint=tmp_path / "c.npz")
    second = Training.resume(tmp_path / "c.npz", cells.lstm, RHYME)
    assert content(second) == content(first)
    second.run(steps=30 - stop)
    assert content(second) == uninterrupted


@pytest.mark.parametrize(
    ("which", "options"),
    [(cells.gru, {"optimiser": SGD(rate=0.1, momentum=0.9)}), (cells.rnn, {"seed": 5})],
)
def test_resuming_other_cells_and_settings(which, options, tmp_path):
    whole, first = small(which, **options), small(which, **options)
    whole.run(steps=9)
    first.run(steps=5, checkpoint=tmp_path / "c.npz")
    second = Training.resume(tmp_path / "c.npz", which, RHYME)
    assert second.settings == Settings(**SMALL, **options)
    second.run(steps=4)
    assert content(second) == content(whole)


# between opening a file and entering its `with`, an interrupt leaves closing it to the collector
# alone, and one that meets a callback of the collector's is only told of
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.filterwarnings("ignore:Exception ignored:pytest.PytestUnraisableExceptionWarning")
def test_interrupted_at_any_moment(uninterrupted, tmp_path):
    path = tmp_path / "c.npz"
    training = small()
    training.run(steps=0, checkpoint=path)
    for delay in np.random.default_rng(0).uniform(0.0, 0.05, size=12):
        timer = threading.Timer(delay, _thread.interrupt_main)
        try:
            timer.start()
            training.run(steps=30 - training.state.step, checkpoint=path)
            timer.join()  # or it comes now
            time.sleep(0.06)
        except KeyboardInterrupt:
            timer.join()
        training = Training.resume(path, cells.lstm, RHYME)
    training.run(steps=30 - training.state.step)
    assert content(training) == uninterrupted


def test_a_report_that_fails_loses_nothing(uninterrupted, tmp_path):
    def fail(progress):
        if progress.step == 7:
            raise OSError("the pipe is closed")

    with pytest.raises(OSError, match="the pipe is closed"):
        small().run(steps=30, report=fail, checkpoint=tmp_path / "c.npz")
    training = Training.resume(tmp_path / "c.npz", cells.lstm, RHYME)
    assert training.state.step == 7
    training.run(steps=23)
    assert content(training) == uninterrupted


@pytest.mark.parametrize("stage", ["numpy.savez", "os.fsync", "os.replace"])
def test_interrupted_while_writing(stage, monkeypatch, tmp_path):
    path = tmp_path / "c.npz"
    training = small()
    training.run(steps=2, checkpoint=path)
    good = path.read_bytes()

    def interrupt(file, *args, **options):
        if stage == "numpy.savez":
            file.write(b"half of a")
        raise KeyboardInterrupt

    training.run(steps=2)
    monkeypatch.setattr(stage, interrupt)
    with pytest.raises(KeyboardInterrupt):
        training.save(path)
    assert path.read_bytes() == good
    assert list(tmp_path.iterdir()) == [path]


def test_load_gives_the_model_without_its_text(tmp_path):
    training = small()
    training.run(steps=4, checkpoint=tmp_path / "c.npz")
    found = learning.load(tmp_path / "c.npz", cells.lstm)
    assert found.history == training.history
    assert learning.sample(found.model, 20) == learning.sample(training.model, 20)
    assert found.model.sizes == {"hidden": 6, "inputs": 5}


def test_resume_finds_the_text_file_of_old(tmp_path):
    (tmp_path / "rhyme.txt").write_text(RHYME, encoding="utf-8")
    text = learning.read_text(tmp_path / "rhyme.txt")
    Training(CharacterModel(cells.rnn, text, hidden=2), text, **SMALL).save(tmp_path / "c.npz")
    assert Training.resume(tmp_path / "c.npz", cells.rnn).text.characters == RHYME


# --- what cannot go on ---------------------------------------------------------------------------
def test_damaged_checkpoints(tmp_path):
    path = tmp_path / "c.npz"
    small().save(path)
    whole = path.read_bytes()
    (place,) = [m.start() for m in re.finditer(b"parameters/W_f", whole)][:1]
    flipped = bytearray(whole)
    flipped[place + 200] ^= 1  # within the numbers of W_f
    np.save(tmp_path / "foreign.npy", np.zeros(3))
    np.savez(tmp_path / "foreign.npz", a=np.zeros(3))
    pieces = [whole[:n] for n in (0, 1, 100, len(whole) // 2, len(whole) - 1)]
    foreign = [(tmp_path / f"foreign.{end}").read_bytes() for end in ("npy", "npz")]
    for content in [*pieces, bytes(flipped), *foreign, b"PK\x03\x04 hello", b"hello"]:
        path.write_bytes(content)
        with pytest.raises(CheckpointError) as caught:
            learning.load(path, cells.lstm)
        assert str(caught.value) == (
            f"checkpoint {path} is not a checkpoint of this program, or only a part of one.\n"
            f"  Restore it from a copy, or name another file to begin anew."
        )


def test_no_pickle_is_read(tmp_path):
    np.savez(tmp_path / "c.npz", **{"description.json": np.array([{}], dtype=object)})
    with pytest.raises(CheckpointError, match="is not a checkpoint of this program"):
        learning.load(tmp_path / "c.npz", cells.lstm)


def test_checkpoints_of_something_else(tmp_path):
    path = tmp_path / "c.npz"
    small().save(path)
    with pytest.raises(CheckpointError) as caught:
        Training.resume(path, cells.gru, RHYME)
    assert str(caught.value) == (
        f"checkpoint {path} is of cell 'lstm', not of cell 'gru'.\n"
        f"  Train lstm, or name another file for gru."
    )
    with pytest.raises(CheckpointError) as caught:
        Training.resume(path, cells.lstm, RHYME + "x")
    assert str(caught.value) == (
        f"checkpoint {path} was trained on text, and text is another text, or has changed.\n"
        f"  Name the same text, or another file to begin anew."
    )


def test_a_cell_that_has_changed(tmp_path):
    def version(scale):
        @cell(state="h", parameters={"U": "hidden, hidden + inputs"})
        def mine(now, prev, x, p):
            now.g = matvec(p.U, concat(prev.h, x))
            now.h = scale * now.g

        return mine

    path = tmp_path / "c.npz"
    small(version(0.5)).save(path)
    assert learning.load(path, version(0.5)).model.sizes["hidden"] == 6
    with pytest.raises(CheckpointError) as caught:
        learning.load(path, version(0.25))
    assert str(caught.value) == (
        f"checkpoint {path} is of cell 'mine' with other equations; it had\n"
        f"    h = 0.5 * g\n"
        f"  Write the cell as it was, or name another file to begin anew."
    )


def test_paths_that_cannot_be_used(tmp_path):
    with pytest.raises(CheckpointError) as caught:
        small().run(steps=1, checkpoint=tmp_path / "none" / "c.npz")
    assert str(caught.value) == (
        f"checkpoint {tmp_path}/none/c.npz cannot be written: No such file or directory.\n"
        f"  Name a file in a folder that exists and can be written."
    )
    with pytest.raises(CheckpointError, match=f"^checkpoint {tmp_path}/c.npz does not exist.$"):
        learning.load(tmp_path / "c.npz", cells.lstm)
    with pytest.raises(CheckpointError, match="cannot be read: Is a directory.$"):
        learning.load(tmp_path, cells.lstm)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match="cannot be read: it is a device or a pipe, which"):
        learning.load(tmp_path / "pipe", cells.lstm)


def test_divergence_is_named_and_the_checkpoint_kept(tmp_path):
    @cell(state="h", parameters={"A": "hidden, hidden + inputs"})
    def linear(now, prev, x, p):
        """Nothing holds it: with large weights it is infinite in float32 after a few steps."""
        now.h = matvec(p.A, concat(prev.h, x))

    path = tmp_path / "c.npz"
    training = small(linear, length=20, every=1000, optimiser=Adam(rate=1e3))
    with pytest.raises(DivergenceError) as caught:
        training.run(steps=30, checkpoint=path)
    message = (
        r"after step 1 the loss is (nan|inf) and the gradient's norm (nan|inf); step 1 had "
        r"\S+ bits a character, gradient norm \S+\.\n  Try a rate below 1000, or clip below 1. "
        r"The last checkpoint is kept."
    )
    assert re.fullmatch(message, str(caught.value))
    assert learning.load(path, linear).state.step == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: small(batch=0), "batch must be at least 1, got 0."),
        (lambda: small(clip=0), "clip must be a norm above 0, got 0."),
        (
            lambda: small(held_out=1.0),
            "the share of text that is held out lies within 0 and 1, got 1.0.",
        ),
        (
            lambda: small(text="too short"),
            "text has 9 characters, 7 of which are to learn from and not held out, but a batch of "
            "3 "
            "streams of length 10 needs 31.\n  Take a longer text, or a smaller batch or length.",
        ),
        (
            lambda: small(length=2**31 - 1),  # is told at once
            "text has 396 characters, 376 of which are to learn from and not held out, but a batch "
            "of 3 streams of length 2,147,483,647 needs 6,442,450,942.\n"
            "  Take a longer text, or a smaller batch or length.",
        ),
        (lambda: small(batch=2**31), "batch must be at most 2,147,483,647, got 2,147,483,648."),
        (lambda: small(sample=10**9), "sample must be at most 100,000, got 1,000,000,000."),
        (lambda: small().run(), "say how long to train: run(steps=1000) or run(seconds=60)."),
        (lambda: small().run(steps=-1), "steps must be at least 0, got -1."),
        (lambda: small().run(seconds=float("nan")), "seconds must be at least 0, got nan."),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        call()


def test_the_least_text_is_enough():
    training = small(text=RHYME[:33])
    training.run(steps=3)
    assert training.state.passes == 3


def test_measures_of_another_task_and_of_other_parameters():
    valid, test = tasks.find("adding", lag=4), tasks.find("adding", lag=9)
    training = Training(valid, cells.gru, hidden=4, seed=1)
    training.run(steps=2)
    best = {name: value.copy() for name, value in training.parameters.items()}
    there, here = training.measure(test), training.measure()
    assert there == Training(test, training.model).measure() != here
    training.run(steps=2)
    assert training.measure(test, best) == there != training.measure(test)
    assert training.measure(parameters=best) == here
