"""The commands: compare, tasks, meaning; their pages, messages and exit codes."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest

from lesson import commands
from tinygrad_lstm import cells, learning
from tinygrad_lstm.learning import tasks

ROOT = Path(commands.__file__).parents[2]
SMALL = [
    "--task",
    "temporal-order",
    "--lag",
    "4",
    "--hidden",
    "4",
    "--steps",
    "20",
    "--every",
    "10",
]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def compare(*words: str) -> int:
    return commands.main(["compare", *words, *SMALL])


def test_compare_writes_a_page_that_needs_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    own = Path("own.py")
    own.write_text(
        "from tinygrad_lstm import cell, concat, matvec, tanh\n"
        "@cell(state='given n', parameters={'for_': 'hidden, hidden + inputs'}, output='n')\n"
        "def h_bar(now, prev, x, p):\n"
        "    now.given = tanh(matvec(p.for_, concat(prev.n, x)))\n"
        "    now.n = 0.5 * prev.n + now.given\n",
        "utf-8",
    )
    assert compare("rnn", "own.py:h_bar", "--seeds", "1", "--jobs", "2") == 0
    said = capsys.readouterr().out
    assert (
        len(re.findall(r"^(rnn|h_bar) seed 0: not solved \(steps\) after 20 steps", said, re.M))
        == 2
    )
    assert "cannot be told apart with 1 seed" in said and "\x1b" not in said
    page = Path("compare-temporal-order.html").read_text("utf-8")
    assert not re.search(r"(src|href)=[\"'](?!data:)|url\(|@import|<script|https?:", page)
    assert "default-src 'none'" in page and "prefers-color-scheme: dark" in page
    pictures = re.findall(r'<svg [^>]*role="img" aria-label="([^"]+)"', page)
    assert len(pictures) == page.count("<svg") == 4
    assert "rnn: 0 of 1 seeds, interval 0 to 79 %" in pictures[0]
    assert "error on held-out data over steps of learning: rnn goes from" in pictures[1]
    numbers = json.loads(Path("compare-temporal-order.json").read_text("utf-8"))
    assert numbers["task"] == {"name": "temporal-order", "options": {"lag": 4}}
    assert [c["name"] for c in numbers["cells"]] == ["rnn", "h_bar"]
    assert numbers["conclusions"][0] in said
    for key in ("parameters", "sizes", "fingerprint", "trials"):
        assert numbers["cells"][0][key]
    assert compare("rnn", "own.py:h_bar", "--seeds", "1") == 0  # there is nothing left to do
    assert "seed 0" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rnn", "--task", "addding"], "no task 'addding'; did you mean adding?"),
        (["rnn", "--lag", "1"], "temporal-order: lag must be at least 4, got 1"),
        (["rnn", "--lag", "x"], "lag is a whole number, got 'x'"),
        (["rnn", "--signal", "3"], "no option 'signal'; its options are lag"),
        (["rnn", "--task-option", "lag=4"], "lag is given twice"),
        (["lstn"], "no cell 'lstn'"),
        (["rnn", "rnn"], "rnn is named twice"),
        (["rnn", "--rate", "0"], "--rate must be a number above 0"),
        (["rnn", "--seeds", "0"], "--seeds must be at least 1"),
        (["rnn", "--start", "b_q=1"], "no parameter 'b_q'"),
        (["rnn", "--out", "nowhere/x"], "no folder nowhere"),
        (["rnn", "--task", "piano-rolls", "--lag", "4"], "no option 'lag'"),
        (["none.py:cell"], "none.py"),
    ],
)
def test_bad_input_is_one_message(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.main(["compare", *SMALL, *words]) == 2
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said and said.count("tinygrad-lstm compare:") == 1
    assert not list(Path().glob("compare*"))


def test_ctrl_c_says_how_to_go_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as stopped:
        stopped.setattr("lesson.compare_watch.Watch.show", stop)
        assert compare("rnn", "gru", "--seeds", "2", "--rate", "0.01", "--jobs", "1") == 130
    last = capsys.readouterr().out.splitlines()[-1].split()
    assert last[:4] == ["tinygrad-lstm", "compare", "rnn", "gru"] and "0.01" in last
    assert commands.main(last[1:]) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal")
@pytest.mark.parametrize("rows", [4, 24])
def test_a_small_terminal_is_drawn_within_its_width(rows: int) -> None:
    import pty

    words = ["compare", "rnn", "lstm", *SMALL, "--seeds", "1", "--jobs", "2", "--every", "2"]
    code = f"from lesson.commands import main; raise SystemExit(main({words}))"
    given = {**os.environ, "COLUMNS": "32", "LINES": str(rows), "PYTHONPATH": str(ROOT)}
    child, terminal = pty.fork()
    if child == 0:
        os.execve(sys.executable, [sys.executable, "-c", code], given)
    shown = b""
    while True:
        try:
            shown += os.read(terminal, 4096)
        except OSError:
            break
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    text = shown.decode()
    live = text[text.index("\x1b[J") : text.rindex("\x1b[J")]
    drawn = [re.sub(r"\x1b\[\d*[AJ]", "", line) for line in live.splitlines()]
    assert all(len(line) < 32 for line in drawn) and "of 2 trainings" in live
    assert ("parameters" in live) == (rows == 24)


def test_tasks_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["tasks"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[: len(tasks.all())]] == list(tasks.all())
    for name, kind in tasks.all().items():
        if not kind.needs and name != "piano-rolls":
            assert commands.main(["tasks", name, "--show", "--count", "1"]) == 0
            said = capsys.readouterr().out
            assert "sequence of" in said and tasks.find(name).source in " ".join(said.split())
    assert commands.main(["tasks", "temporal-order", "--lag", "8", "--show", "--seed", "3"]) == 0
    word, answer = re.findall(r"reads  (E\w+B)\n +answer  (\w\w)", capsys.readouterr().out)[0]
    assert answer == re.sub("[^XY]", "", word)
    for words in (
        ["nothing"],
        ["--show"],
        ["--lag", "3"],
        ["adding", "--lag", "1"],
        ["piano-rolls"],
    ):
        assert commands.main(["tasks", *words]) == 2
        assert "Traceback" not in capsys.readouterr().err


def test_a_task_of_one_s_own(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.py").write_text(
        "import numpy as np\n"
        "from tinygrad_lstm.learning import Batch, Task\n"
        "def sign(*, size: int = 3):\n"
        "    '''Is the first number positive?'''\n"
        "    def draw(random, batch):\n"
        "        while True:\n"
        "            xs = random.standard_normal((size, batch, 1))\n"
        "            yield Batch(xs, (xs[0, :, 0] > 0).astype(int))\n"
        "    test = lambda: next(draw(np.random.default_rng(1), 100))\n"
        "    wrong = lambda z, batch: float((z.argmax(-1) != batch.target).mean())\n"
        "    return Task('sign', 1, 2, 'cross-entropy', 'end', draw, test, {'error': wrong},\n"
        "                lambda found: found['error'] < 0.05)\n"
        "odd = 3\n",
        "utf-8",
    )
    words = ["--task", "mine.py:sign", "--task-option", "size=2", "--seeds", "1", "--hidden", "8"]
    assert commands.main(["compare", "rnn", *words, "--steps", "300"]) == 0
    assert "rnn solves sign with its one seed, after" in capsys.readouterr().out
    assert commands.main(["tasks", "mine.py:sign", "--show"]) == 0
    for bad in ("mine.py:odd", "mine.py:none", "gone.py:sign"):
        assert commands.main(["compare", "rnn", "--task", bad]) == 2


def test_meaning_of_a_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    text = learning.Text("one (two) three\n" * 400, "short.txt")
    Path("short.txt").write_text(text.characters, "utf-8")
    model = learning.CharacterModel(cells.gru, text, hidden=4, inputs=3)
    learning.Training(model, learning.read_text("short.txt"), batch=4, length=8, sample=0).run(
        steps=3, checkpoint="gru.npz"
    )
    Path("my.py").write_text("def vowel(text):\n    return [c in 'aeiou' for c in text]\n", "utf-8")
    words = ["gru.npz", "--tried", "200", "--top", "1", "--text", "short.txt"]
    assert commands.main(["meaning", *words, "--probe", "brackets", "--probe", "my.py:vowel"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^brackets +\w+\[\d\]", said, re.M) and re.search(r"^vowel ", said, re.M)
    assert "bits each" in said
    for bad in (["gone.npz"], [*words, "--probe", "rhyme"], [*words, "--equation", "C"]):
        assert commands.main(["meaning", *bad]) == 2
        assert "Traceback" not in capsys.readouterr().err
