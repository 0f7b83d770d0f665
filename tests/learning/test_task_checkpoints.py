"""Checkpoints of trainings on tasks that are whole as files and not what a training writes."""

import contextlib
import copy
import dataclasses
import json
import re
import threading

import json_places
import numpy as np
import pytest
from small_tasks import adding, streams

from tinygrad_lstm import __version__, bidirectional, cell, cells, learning, matvec, stack
from tinygrad_lstm.learning import (
    SGD,
    CheckpointError,
    Cosine,
    DivergenceError,
    Training,
    checkpoints,
    places,
)

TASK = streams()
NETWORK = stack([cells.rnn, cells.gru])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "c.npz"
    options = {"optimiser": SGD(0.1, 0.9, True), "schedule": Cosine(9), "weight_noise": 0.01}
    training = Training(TASK, NETWORK, hidden=3, batch=3, every=2, eager=True, **options)
    training.run(steps=5, checkpoint=path)
    return path, *checkpoints.read(path)


GONE = object()
ODD = [GONE, None, True, -1, 0, 2**62, 10**400, -0.5, 1e308, float("nan"), "", "x", [], ["x"], {}]
FREE = {"settings", "position", "history", "start", "place"}


def goes_on(path):
    """Whether a checkpoint can be gone on from; a CheckpointError of one kind says why not."""
    try:
        training = Training.resume(path, TASK, NETWORK, eager=True)
    except CheckpointError as error:
        said = rf"checkpoint {re.escape(str(path))} (is|has|had|cannot be used: )"
        assert re.match(said, str(error)) and len(str(error)) < 1500, str(error)
        return False
    with contextlib.suppress(DivergenceError, MemoryError):  # as for a rate of 1e308
        training.settings = dataclasses.replace(training.settings, every=1000)
        training.run(steps=1)
    return True


def test_every_field_of_a_description(whole, monkeypatch):
    path, described, arrays = whole
    checkpoints.write(path, described, arrays)
    assert goes_on(path) and any(name.startswith("carried/1.h") for name in arrays)
    tried = refused = 0
    for spot in json_places.places(described, most=1):
        own = json_places.at(described, spot)
        for odd in ODD:
            if odd is not GONE and type(odd) is type(own) and odd == own:
                continue
            changed = copy.deepcopy(described)
            if odd is GONE:
                del json_places.at(changed, spot[:-1])[spot[-1]]
            else:
                json_places.at(changed, spot[:-1])[spot[-1]] = odd
            read = json.loads(json.dumps(changed)), arrays
            monkeypatch.setattr(checkpoints, "read", lambda path, read=read: read)
            fine = goes_on(path)
            tried, refused = tried + 1, refused + (not fine)
            number = isinstance(own, int | float) or own is None
            alike = number and type(odd) in (int, float) or type(odd) is type(own) or odd is None
            assert not fine or (spot[0] in FREE and (alike or odd is GONE)), (spot, odd)
    assert tried > 500 and refused > 0.7 * tried


@pytest.mark.parametrize("spot", [(), ("task",), ("head",), ("settings",), ("history", 0)], ids=str)
def test_a_field_that_a_newer_version_may_have_added(spot, whole):
    path, described, arrays = whole
    changed = copy.deepcopy(described)
    json_places.at(changed, spot)["more"] = 1
    checkpoints.write(path, changed, arrays)
    with pytest.raises(CheckpointError) as caught:
        Training.resume(path, TASK)
    name = ".".join(map(str, (*spot, "more"))).replace(".0", "[0]")
    assert str(caught.value) == (
        f"checkpoint {path} has {name}, which this version, {__version__}, does not know.\n"
        f"  Use the newer version that wrote it, or name another file to begin anew."
    )


def test_what_is_of_another(whole, tmp_path):
    path, described, arrays = whole
    checkpoints.write(path, described, arrays)
    other = tmp_path / "text.npz"
    model = learning.CharacterModel(cells.rnn, "abc" * 99, hidden=2)
    Training(model, "abc" * 99, batch=2, length=5).save(other)
    checkpoints.write(tmp_path / "newer.npz", {"format": "tinygrad-lstm training 2"}, {})
    cases = [
        (path, adding(), None, "is of the task streams(symbols=5), not of adding(length=8).\n"),
        (path, streams(4), None, "is of the task streams(symbols=5), not of streams(symbols=4).\n"),
        (
            *(path, dataclasses.replace(TASK, fingerprint="x"), None),
            "is of streams(symbols=5) with other data, which have changed since.\n",
        ),
        (path, TASK, cells.rnn, "is of cell 'stack_of_rnn_and_gru', not of cell 'rnn'.\n"),
        (
            *(path, TASK, TASK.model(NETWORK, input="embedding")),
            "is of network 'stack_of_rnn_and_gru' with 5 outputs and cross-entropy, read out "
            "otherwise than network",
        ),
        (other, TASK, None, "is not of a task such as streams(symbols=5), but of a character"),
        (path, None, None, "is of the task streams, which is not built in.\n"),
        (tmp_path / "newer.npz", TASK, None, "has the format 'tinygrad-lstm training 2', and this"),
    ]
    for where, task, network, message in cases:
        with pytest.raises(CheckpointError) as caught:
            Training.resume(where, task, network)
        assert str(caught.value).startswith(f"checkpoint {where} {message}"), str(caught.value)
    with pytest.raises(CheckpointError, match="is of a training on a task, not of a character"):
        Training.resume(path, cells.rnn)
    whole_file = path.read_bytes()
    for n in (0, 10, len(whole_file) // 2, len(whole_file) - 1):
        path.write_bytes(whole_file[:n])
        with pytest.raises(CheckpointError, match="is not a checkpoint of this program, or only a"):
            Training.resume(path, TASK)


def test_a_cell_of_ones_own_is_asked_for(tmp_path):
    @cell(state="h", parameters={"W": "hidden, inputs"})
    def mine(now, prev, x, p):
        now.h = prev.h + matvec(p.W, x)

    path = tmp_path / "c.npz"
    Training(TASK, mine, hidden=2, eager=True).save(path)
    with pytest.raises(CheckpointError) as caught:
        Training.resume(path, TASK)
    assert str(caught.value) == (
        f"checkpoint {path} is of 'mine' in {__file__}:mine, which is not built in.\n"
        f"  Pass it as well, since no file is run that a checkpoint names."
    )
    assert Training.resume(path, TASK, mine, eager=True).state.step == 0


def test_places():
    every = {
        "lstm": cells.lstm,
        "lstm,gru": stack([cells.lstm, cells.gru]),
        "bi:lstm": bidirectional(cells.lstm),
        "bi:lstm,rnn": stack([bidirectional(cells.lstm), cells.rnn]),
    }
    for spec, network in every.items():
        assert places.place_of(network) == spec
        again = places.built_in_at(spec)
        assert again.name == network.name and again.parameters == network.parameters
    assert places.place_of(bidirectional(cells.lstm, cells.gru)) == ""
    assert places.built_in_at("") is places.built_in_at("no.py:mine") is None


def test_one_thread_at_a_time_keeps_a_file(tmp_path):
    path, told = tmp_path / "c.npz", []

    def second():
        try:
            with learning.claim(path):
                told.append("kept")
        except CheckpointError as error:
            told.append(str(error))

    with learning.claim(path), learning.claim(path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    second()
    assert told == [
        f"checkpoint {path} is in use: another training writes it.\n"
        f"  Wait until that has ended, or name another file.",
        "kept",
    ]
    assert np.array_equal(list(tmp_path.iterdir()), [])
