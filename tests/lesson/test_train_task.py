"""`tinygrad-lstm train CELL --task NAME`: any task, any optimiser, and going on."""

import re

import numpy as np
import pytest

from lesson.commands import main
from tinygrad_lstm import cells, export, learning, stack
from tinygrad_lstm.cell_files import find
from tinygrad_lstm.learning import SGD, Cosine, TrainingSettings, tasks

OWN = """
import numpy as np
from tinygrad_lstm.learning import Batch, Task

def sign(size: int = 3):
    def batches(random, batch):
        while True:
            xs = random.normal(size=(size, batch, 1))
            yield Batch(xs, (xs[0, :, 0] > 0).astype(int))
    def wrong(z, batch):
        return float((z.argmax(-1) != batch.target).mean())
    return Task("sign", 1, 2, "cross-entropy", "end", batches,
                lambda: next(batches(np.random.default_rng(9), 99)), {"error": wrong},
                lambda found: found["error"] < 0.1)

fixed = sign()

from tinygrad_lstm import cell, matvec, tanh

@cell(state={"h": "reads"}, x="further",
      parameters={"parameters": "reads, further", "clip": "reads"})
def odd(now, prev, x, p):
    now.given = tanh(matvec(p.parameters, x) + p.clip)
    now.h = 0.5 * prev.h + now.given
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(*words):
    return main(["train", *words])


def numbers(path, network=None):
    return learning.load_training(path, None, network).state.parameters.vector.tobytes()


ADDING = ["--task", "adding", "--lag", "4", "--hidden", "4", "--seed", "2"]
HOW = ["--optimiser", "sgd", "--rate", "0.05", "--momentum", "0.9", "--nesterov"]
HOW += ["--schedule", "cosine:50:0.1", "--warm-up", "5", "--clip", "0.5", "--clip-entries", "0.1"]
HOW += ["--weight-noise", "0.01", "--input-noise", "0.02", "--batch", "5", "--every", "10"]


def test_train_and_go_on(here, capsys):
    start = ["--start", "b_f=2", "--start", "b_i=-1"]
    assert train("lstm", *ADDING, *HOW, *start, "--steps", "20") == 0
    out = capsys.readouterr().out
    number = r"\d[\d.e-]*"
    assert re.fullmatch(
        r"cell 'lstm' with 1 outputs and squared-error: hidden=4, inputs=2, 117 numbers\n"
        rf"adding\(lag=4\); without learning: error of the mean {number}, squared error of the "
        rf"mean {number}; from step 0\n"
        rf"(step [12]0: loss {number}, error {number}, squared error {number}, [\d,]+ steps/s\n)"
        "{2}"
        rf"error {number}, squared error {number} on held-out data after 20 steps, \d+ s; saved as "
        r"lstm-adding.npz\n",
        out,
    )
    found = learning.load_training("lstm-adding.npz")
    assert (found.task, found.options) == ("adding", {"lag": 4})
    assert found.model.start == {"b_f": 2.0, "b_i": -1.0}
    assert found.settings == TrainingSettings(
        batch=5,
        clip=0.5,
        clip_entries=0.1,
        every=10,
        seed=2,
        optimiser=SGD(0.05, 0.9, True),
        schedule=Cosine(50, 0.1, 5),
        weight_noise=0.01,
        input_noise=0.02,
    )
    again = ["lstm", "--resume", "--checkpoint", "lstm-adding.npz"]
    assert train(*again, *HOW, "--steps", "7") == 0  # what it has may be said again
    assert "from step 20\n" in capsys.readouterr().out
    whole = ["--steps", "27", "--checkpoint", "whole.npz"]
    assert train("lstm", *ADDING, *HOW, *start, *whole) == 0
    assert numbers("lstm-adding.npz") == numbers("whole.npz")


def test_a_task_of_ones_own_until_it_is_solved(here, capsys):
    words = ["--task", "own.py:sign", "--task-option", "size=1", "--until", "solved"]
    words += ["--rate", "0.1", "--every", "5", "--hidden", "4", "--checkpoint", "sign.npz"]
    assert train("gru,rnn", *words, "--steps", "500") == 0
    assert re.search(
        r"error 0\S* on held-out data, solved, after \d+ steps", capsys.readouterr().out
    )
    network = stack([cells.gru, cells.rnn])
    found = learning.load_training("sign.npz", None, network)
    assert found.state.step < 500 and found.model.network.name == network.name
    assert train("gru,rnn", *words, "--resume", "--steps", "5") == 0
    assert learning.load_training("sign.npz").state.step == found.state.step  # solved already
    assert train("rnn", "--task", "own.py:fixed", "--steps", "1") == 0


def test_the_input_of_a_cell_as_wide_as_its_state(here):
    assert train("mut1", *ADDING, "--steps", "1") == 0
    model = learning.load_training("mut1-adding.npz").model
    assert model.parameters["input.E"].shape == (4, 2)
    assert (
        train("gru", "--task", "copy", "--input", "embedding", "--steps", "1", "--every", "9") == 0
    )
    model = learning.load_training("gru-copy.npz").model
    assert model.parameters["input.E"].shape == (10, 64)
    xs = tasks.find("copy").test().xs
    assert np.isfinite(model.predict(xs)).all()


def test_sizes_and_parameters_of_any_names(here):
    words = ["own.py:odd", "--task", "adding", "--size", "reads=4", "--start", "clip=2"]
    assert train(*words, "--clip", "0.5", "--steps", "2") == 0
    assert train(*words[:3], "--resume", "--steps", "2") == 0
    found = learning.load_training("odd-adding.npz", None, find("own.py:odd"))
    assert found.model.sizes == {"reads": 4, "further": 2} and found.state.step == 4
    assert found.settings.clip == 0.5 and found.model.start == {"clip": 2.0}


def test_its_network_is_exported_with_what_it_learnt(here, capsys):
    training = learning.Training(
        tasks.find("adding", lag=4), stack([cells.rnn, cells.gru]), hidden=4
    )
    training.save("two.npz")
    assert main(["export", "two.npz", "-o", "two.c"]) == 0
    assert (
        "two.npz: the network alone; output.W_y, output.b_y are not in it."
        in capsys.readouterr().err
    )
    network, p = training.model.network, training.parameters
    inner = {name: p[name] for name in network.parameters}
    assert (here / "two.c").read_text("utf-8") == export(network, "c", parameters=inner)


NEW = ["rnn", *ADDING, "--steps", "1"]
OLD = ["rnn", "--resume", "--checkpoint", "old.npz"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rnn", "--task", "addin"], "there is no task 'addin'; did you mean adding? There are "),
        (
            [*NEW, "--task-option", "lagg=3"],
            "the task adding has no option 'lagg'; its options are ",
        ),
        ([*NEW, "--lag", "x"], "adding: lag is a whole number, got 'x'."),
        ([*NEW, "--lag", "-1"], "adding: lag must be at least "),
        (["rnn", "--lag", "3"], "--lag is of a --task; name one."),
        (["rnn", "--task-option", "lags=3"], "--task-option is of a --task; name one."),
        ([*NEW, "--task-option", "lag=3"], "lag is given twice."),
        ([*NEW, "--text", "own.py"], "--text is of a text to learn, and --task adding is another"),
        ([*NEW, "--optimiser", "adam", "--momentum", "0.5"], "--momentum is of --optimiser sgd"),
        ([*NEW, "--nesterov"], "--nesterov is of --optimiser sgd."),
        (
            [*NEW, "--optimiser", "sgd", "--nesterov"],
            "nesterov needs a momentum above 0: SGD(0.1, 0.9, nesterov=True).",
        ),
        ([*NEW, "--clip-entries", "0"], "--clip-entries must be a number above 0, got 0.0."),
        ([*NEW, "--weight-noise", "-1"], "--weight-noise must be at least 0, got -1.0."),
        (
            [*NEW, "--size", "inputs=3"],
            "cell 'rnn': x is (inputs), 3 numbers, but there are 2 to be",
        ),
        ([*NEW, "--task", "copy", "--input-noise", "1"], "--input-noise is for vectors, but copy("),
        (
            ["clockwork", *ADDING],
            "cell 'clockwork' has further inputs (clock, mask), which adding(",
        ),
        (["rnn", "--task", "own.py:nope"], "own.py:nope: the file has no Task 'nope', nor a "),
        (["rnn", "--task", "no.py:x"], "task file no.py does not exist."),
        (
            [*OLD, "--task", "parity"],
            "checkpoint old.npz is of the task adding(lag=4), not of parity",
        ),
        (
            [*OLD, "--task", "adding"],
            "checkpoint old.npz is of the task adding(lag=4), not of adding(lag=50).\n"
            "  Name that --task with its options, or name another file by --checkpoint PATH",
        ),
        (
            [*OLD, "--text", "own.py"],
            "--text is not of the checkpoint old.npz, which is of a task.",
        ),
        ([*OLD, "--batch", "7"], "checkpoint old.npz has batch=32, not batch=7.\n"),
        ([*OLD, "--optimiser", "rmsprop"], "checkpoint old.npz has optimiser=Adam(rate=0.003, "),
        (["gru", *OLD[1:]], "checkpoint old.npz is of cell 'rnn', not of cell 'gru'.\n"),
        (["export", "old.npz", "-o", "x.c", "--hidden", "3"], "old.npz has its own sizes and weig"),
    ],
    ids=lambda value: " ".join(value)[-40:] if isinstance(value, list) else "",
)
def test_bad_input(words, message, here, capsys):
    learning.Training(tasks.find("adding", lag=4), cells.rnn, hidden=4).save("old.npz")
    before = (here / "old.npz").read_bytes()
    command = [] if words[0] == "export" else ["train"]
    assert main([*command, *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"tinygrad-lstm {(command or words)[0]}: {message}"), error
    assert (here / "old.npz").read_bytes() == before
    assert {p.name for p in here.iterdir()} == {"own.py", "old.npz"}


@pytest.mark.parametrize("value", ["cosine", "constant:3", "cosine:x", "step:1:2:3", "expo:3"])
def test_a_schedule_that_is_none(value, capsys):
    with pytest.raises(SystemExit) as ended:
        train("lstm", *ADDING, "--schedule", value)
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith(
        f"argument --schedule: write linear:2000, cosine:2000:0.1, step:500:0.5 or root:100, "
        f"not {value!r}\n"
    )
