"""`tinygrad-lstm train`: as a person meets it, Ctrl-C included."""

import re
import signal
import subprocess
import sys

import numpy as np
import pytest

from lesson.commands import main
from tinygrad_lstm import cells, learning, systems
from tinygrad_lstm.cell_files import find

TEXT = "a tiny text, told many times;\nit has no reason, though it rhymes.\n" * 8
OPTIONS = ["--hidden", "8", "--size", "inputs=6", "--batch", "2", "--length", "8", "--seed", "3"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "rhyme.txt").write_text(TEXT, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(*words):
    return main(["train", *words])


def parameters(path, cell=cells.gru):
    return {name: v.tobytes() for name, v in learning.load(path, cell).state.parameters.items()}


def test_train_and_go_on(here, capsys):
    new = [*OPTIONS, "--text", "rhyme.txt"]
    assert train("gru", *new, "--steps", "120", "--sample", "20") == 0
    out = capsys.readouterr().out
    assert re.fullmatch(
        r"CharacterModel of cell 'gru': hidden=8, inputs=6, embedding input, 651 numbers\n"
        r"rhyme.txt: 528 characters, 21 symbols, the last 5% held out; from step 0\n"
        r"step 100: \d\.\d{3}, held out \d\.\d{3} bits/character, [\d,]+ characters/s\n"
        r"\d\.\d{3} bits a character on held-out text after 120 steps, \d+ s; saved as gru.npz\n"
        r"\n(.|\n){20}\n",
        out,
    )
    assert train("gru", "--resume", "--steps", "30", "--sample", "0") == 0
    assert "from step 120\n" in capsys.readouterr().out
    assert train("gru", *new, "--steps", "150", "--checkpoint", "whole.npz") == 0
    assert parameters("gru.npz") == parameters("whole.npz")


def started(*words):
    """`train` in a process of its own."""
    start = [sys.executable, "-c", "import sys, lesson.commands as c; sys.exit(c.main())", "train"]
    return subprocess.Popen(
        [*start, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    )


def until(process, line):
    """Wait for what a process says."""
    while not process.stdout.readline().startswith(line):
        assert process.poll() is None


CTRL_C = """
import signal, sys
from lesson import commands
from lesson.commands import train

NUMBER = int(sys.argv.pop(1))
show = train._Watch.show

def showing(self, progress):
    show(self, progress)
    if progress.step == 150:
        signal.raise_signal(NUMBER)

train._Watch.show = showing
sys.exit(commands.main())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_save_and_the_advice_goes_on(number, here, capsys):
    words = ["gru", *OPTIONS, "--text", "rhyme.txt", "--steps", "700"]
    done = subprocess.run(
        [sys.executable, "-c", CTRL_C, str(int(number)), "train", *words],
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    rest = done.stdout
    assert done.returncode == 128 + number
    found = re.search(
        r"Stopped at step (\d+); saved as gru.npz. To go on:\n"
        r"  tinygrad-lstm train (gru --resume --steps (\d+))\n$",
        rest,
    )
    assert found and (found[1], found[3]) == ("150", "550")
    assert train(*found[2].split(), "--sample", "0") == 0
    assert train(*words, "--checkpoint", "whole.npz", "--sample", "0") == 0
    assert parameters("gru.npz") == parameters("whole.npz")
    assert {p.name for p in here.iterdir()} == {"rhyme.txt", "gru.npz", "whole.npz"}


def test_a_second_training_of_one_checkpoint_is_told_at_its_start(here, capsys):
    words = ["gru", *OPTIONS, "--text", "rhyme.txt"]
    first = started(*words, "--seconds", "60")
    until(first, "CharacterModel")
    for more in ([], ["--resume"]):
        assert train(*words, *more, "--steps", "1") == 2
        assert capsys.readouterr().err == (
            "tinygrad-lstm train: checkpoint gru.npz is in use: another training writes it.\n"
            "  Wait until that has ended, or name another file by --checkpoint PATH.\n"
        )
    until(first, "step 100:")
    first.kill()  # it leaves its lock file, which is in nobody's way
    first.communicate()
    assert (here / "gru.npz.lock").exists()
    assert train(*words, "--steps", "1") == 2  # nor is its checkpoint overwritten
    assert "checkpoint gru.npz exists already" in capsys.readouterr().err
    assert train("gru", "--resume", "--steps", "1", "--sample", "0") == 0
    assert {p.name for p in here.iterdir()} == {"rhyme.txt", "gru.npz"}


def test_start_values_of_parameters(here, capsys):
    words = ["lstm", *OPTIONS, "--text", "rhyme.txt", "--steps", "0", "--sample", "0"]
    start = ["--start", "b_f=2", "--start", "b_i=-1, W_o=0.25"]
    assert train(*words, *start) == 0
    assert train(*words, "--checkpoint", "usual.npz") == 0
    found, usual = (learning.load(name, cells.lstm).model for name in ("lstm.npz", "usual.npz"))
    assert found.start == {"b_f": 2.0, "b_i": -1.0, "W_o": 0.25} and usual.start == {}
    for name, value in found.parameters.items():
        expected = found.start.get(name, usual.parameters[name])
        np.testing.assert_array_equal(value, np.broadcast_to(expected, value.shape))
    # what a checkpoint has may be said again
    assert train("lstm", "--resume", *start, "--steps", "1", "--sample", "0") == 0


def test_a_cell_of_ones_own(here, capsys):
    (here / "mine.py").write_text(
        "from tinygrad_lstm import cell, matvec, tanh\n"
        '@cell(state="h", parameters={"U": "hidden, hidden"}, x="hidden")\n'
        "def mine(now, prev, x, p):\n"
        "    now.h = tanh(matvec(p.U, prev.h) + x)\n",
        encoding="utf-8",
    )
    words = ["--text", "rhyme.txt", "--batch", "2", "--length", "8", "--hidden", "8"]
    assert train("mine.py:mine", *words, "--steps", "3", "--sample", "5") == 0
    assert (here / "mine.npz").is_file()


def test_a_cell_whose_sizes_have_other_names(here, capsys):
    (here / "mine.py").write_text(
        "from tinygrad_lstm import cell, matvec, tanh\n"
        '@cell(state={"z": "code"}, parameters={"V": "code, latent"}, x="latent")\n'
        "def mine(now, prev, x, p):\n"
        "    now.z = tanh(0.5 * prev.z + matvec(p.V, x))\n",
        encoding="utf-8",
    )
    words = ["mine.py:mine", "--text", "rhyme.txt", "--batch", "2", "--length", "8"]
    assert train(*words, "--steps", "1") == 2
    assert capsys.readouterr().err == (
        "tinygrad-lstm train: cell 'mine' needs code=…: its sizes are code, latent.\n"
        "  Give sizes by --size NAME=N.\n"
    )
    assert train(*words, "--size", "code=5", "--steps", "3", "--sample", "5") == 0
    model = learning.load("mine.npz", find("mine.py:mine")).model
    assert model.sizes == {"code": 5, "latent": 64} and model.output == "z"
    assert model.parameters["input.E"].shape == (len(model.vocabulary), 64)


def test_one_hot_input_and_a_text_in_korean(here):
    (here / "k.txt").write_text("나 보기가 역겨워 가실 때에는\n" * 9, encoding="utf-8")
    words = ["--text", "k.txt", "--batch", "2", "--length", "8", "--input", "one-hot"]
    assert train("rnn", *words, "--hidden", "4", "--steps", "3") == 0
    model = learning.load("rnn.npz", cells.rnn).model
    assert model.input == "one-hot" and model.sizes["inputs"] == len(model.vocabulary) == 13
    assert "input.E" not in model.parameters


NEW = ["gru", *OPTIONS, "--text", "rhyme.txt", "--steps", "1"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["nope"],
            f"there is no cell 'nope'; built in are {', '.join(cells.all())}.\n"
            f"  Systems are {', '.join(systems.all())}.\n"
            "  For a cell of your own write path/to/file.py:NAME.",
        ),
        ([*NEW, "--text", "no.txt"], "text file no.txt does not exist."),
        (
            [*NEW, "--text", "/dev/zero"],
            "text file /dev/zero cannot be read: it is a device or a pipe, which may have no end.",
        ),
        (
            [*NEW, "--hidden", "0"],
            "cell 'gru': hidden must be a whole number of at least 1, got 0.\n"
            "  Give sizes by --size NAME=N.",
        ),
        (
            [*NEW, "--size", "seed=3"],
            "cell 'gru' has no size 'seed'; its sizes are hidden, inputs.",
        ),
        (
            [*NEW, "--start", "W_z=0.5,U=1"],
            "--start U=…: cell 'gru' has no parameter 'U'; its parameters are W_z, W_r, W_h.",
        ),
        (
            ["clockwork", "--text", "rhyme.txt"],
            "cell 'clockwork' has further inputs (clock, mask), which text does not give.\n  Make "
            "them parameters, or pass further=f in Python, a function f(start, shape) of their "
            "values.",
        ),
        ([*NEW, "--rate", "nan"], "--rate must be a number above 0, got nan."),
        ([*NEW, "--clip", "0"], "--clip must be a number above 0, got 0.0."),
        ([*NEW, "--seed", "-1"], "--seed must be at least 0, got -1."),
        ([*NEW, "--batch", "0"], "--batch must be at least 1, got 0."),
        (
            [*NEW, "--batch", "3000000000"],
            "--batch must be at most 2,147,483,647, got 3,000,000,000.",
        ),
        ([*NEW, "--temperature", "-1"], "--temperature must be at least 0, got -1.0."),
        ([*NEW, "--sample", "-1"], "--sample must be at least 0, got -1."),
        ([*NEW, "--steps", "-1"], "--steps must be at least 0, got -1."),
        (
            [*NEW, "--length", "300"],  # and is told at once
            "rhyme.txt has 528 characters, 502 of which are to learn from and not held out, but a "
            "batch of 2 streams of length 300 needs 601.\n"
            "  Take a longer --text, or a smaller --batch or --length.",
        ),
        (
            [*NEW, "--length", "99999999"],
            "rhyme.txt has 528 characters, 502 of which are to learn from and not held out, but a "
            "batch of 2 streams of length 99,999,999 needs 199,999,999.\n"
            "  Take a longer --text, or a smaller --batch or --length.",
        ),
        (
            [*NEW, "--checkpoint", "no/c.npz"],
            "checkpoint no/c.npz cannot be written: No such file or directory.\n"
            "  Name a file in a folder that exists and can be written.",
        ),
        (
            [*NEW, "--checkpoint", "old.npz"],
            "checkpoint old.npz exists already.\n"
            "  Go on from it with --resume, or name another with --checkpoint PATH.",
        ),
        (
            ["gru", "--resume"],
            "checkpoint gru.npz does not exist.\n"
            "  Leave out --resume to begin anew, or name a file with --checkpoint PATH.",
        ),
        (
            ["rnn", "--resume", "--checkpoint", "old.npz"],
            "checkpoint old.npz is of cell 'gru', not of cell 'rnn'.\n"
            "  Train gru, or name another file by --checkpoint PATH for rnn.",
        ),
        (
            ["gru", "--resume", "--checkpoint", "old.npz", "--hidden", "9"],
            "checkpoint old.npz has hidden=8, not hidden=9.\n"
            "  Leave the option out to go on, or begin anew with another --checkpoint PATH.",
        ),
        (
            ["gru", "--resume", "--checkpoint", "old.npz", "--text", "other.txt"],
            "checkpoint old.npz was trained on rhyme.txt, and other.txt is another text, or has "
            "changed.\n  Name the same --text, or another file by --checkpoint PATH to begin anew.",
        ),
        (
            ["gru", "--resume", "--checkpoint", "old.npz", "--start", "W_z=0.5"],
            "checkpoint old.npz has start W_z=default, not start W_z=0.5.\n"
            "  Leave the option out to go on, or begin anew with another --checkpoint PATH.",
        ),
        (
            ["gru", "--resume", "--checkpoint", "rhyme.txt"],
            "checkpoint rhyme.txt is not a checkpoint of this program, or only a part of one.\n"
            "  Restore it from a copy, or name another file by --checkpoint PATH to begin anew.",
        ),
    ],
)
def test_bad_input(words, message, here, capsys):
    (here / "other.txt").write_text(TEXT + "x", encoding="utf-8")
    text = learning.read_text("rhyme.txt")
    model = learning.CharacterModel(cells.gru, text, hidden=8, inputs=6)
    learning.Training(model, text, batch=2, length=8).save("old.npz")
    before = (here / "old.npz").read_bytes()
    assert train(*words) == 2
    assert capsys.readouterr().err == f"tinygrad-lstm train: {message}\n"
    assert (here / "old.npz").read_bytes() == before
    assert {p.name for p in here.iterdir()} <= {"rhyme.txt", "other.txt", "old.npz", "gru.npz"}


@pytest.mark.parametrize("value", ["b_f", "b_f=", "=2", "b f=2", "b_f=2,", "b_f=nan", "b_f=-inf"])
def test_a_start_value_that_is_none(value, capsys):
    with pytest.raises(SystemExit) as ended:
        train("lstm", "--start", value)
    assert ended.value.code == 2
    word = "''" if value == "b_f=2," else repr(value)
    assert capsys.readouterr().err.endswith(
        f"argument --start: write NAME=VALUE, such as b_f=2, not {word}\n"
    )


def test_divergence_on_the_command_line(here, capsys):
    assert train(*NEW[:-1], "50", "--rate", "1e38") == 2
    assert capsys.readouterr().err == (
        "tinygrad-lstm train: after step 0 the step makes W_z infinite or nan; it was the first.\n"
        "  Try a --rate below 1e+38, or --clip below 1. The last checkpoint is kept.\n"
    )
    assert all(
        np.isfinite(v).all() for v in learning.load("gru.npz", cells.gru).model.parameters.values()
    )


NOISY = """
from tinygrad_lstm import cell, matvec, tanh

@cell(state="h", parameters={"W": "hidden, inputs", "U": "hidden, hidden", "s": "hidden"},
      start={"s": 0.5}, noise={"eps": "hidden"})
def noisy(now, prev, x, p, eps):
    '''Moved at random.'''
    now.h = tanh(matvec(p.W, x) + matvec(p.U, prev.h) + p.s * eps)
"""


def test_noise_is_drawn_anew_at_each_step_and_the_same_after_resuming(here, capsys):
    (here / "own.py").write_text(NOISY, encoding="utf-8")
    own = ["own.py:noisy", *OPTIONS, "--text", "rhyme.txt"]
    assert train(*own, "--steps", "6", "--checkpoint", "whole.npz") == 0
    assert train(*own, "--steps", "3", "--checkpoint", "parts.npz") == 0
    again = ["own.py:noisy", "--resume", "--text", "rhyme.txt", "--checkpoint", "parts.npz"]
    assert train(*again, "--steps", "3") == 0
    cell = find("own.py:noisy")
    assert parameters("whole.npz", cell) == parameters("parts.npz", cell)
    model = learning.CharacterModel(cell, learning.Vocabulary("ab"), inputs=2, hidden=4)
    ids = np.zeros((3, 2), int)
    first, second, same = (model.run(ids, start=k)["h"].data for k in (0, 3, 0))
    np.testing.assert_array_equal(first, same)
    assert not np.any(first[0] == second[0])
