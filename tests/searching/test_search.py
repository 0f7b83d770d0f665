"""A search from its file to its page, with workers that are killed."""

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lesson import commands
from tinygrad_lstm import cells
from tinygrad_lstm.searching import (
    SearchError,
    Storage,
    importance,
    parse_space,
    read_space,
    several,
    work,
)
from tinygrad_lstm.searching.trials import run

pytest.importorskip("optuna")
HERE = Path(__file__).parent
SPACE = """
name = "tiny"
cells = ["lstm", "gru"]
steps = 12
batch = 8
configurations = 5
[task]
name = "tasks_to_search.py:order"
lag = 3
[optimiser]
name = ["adam", "sgd"]
rate = { from = 0.001, to = 0.1, log = true }
[sizes]
hidden = { from = 3, to = 5 }
[start]
b_f = [0, 1.5]
[noise]
input = { from = 0.0, to = 0.5 }
"""
QUICK = {"heartbeat": 1, "grace": 2, "patience": 20.0}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A reader's folder: a file of tasks, and a search."""
    shutil.copy(HERE / "tasks_to_search.py", tmp_path)
    (tmp_path / "tiny.toml").write_text(SPACE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TINYGRAD_LSTM_CFLAGS", "-O0")
    opened, make = [], Storage.__init__

    def made(self, *args, **options):
        opened.append(self)
        make(self, *args, **options)

    monkeypatch.setattr(Storage, "__init__", made)
    yield tmp_path
    for storage in opened:
        storage.close()


def complete(storage):
    return [done for done in storage.results() if done.state == "COMPLETE"]


def test_from_the_file_to_the_page(folder, capsys):
    storage = Storage.create(read_space("tiny.toml"), "tiny.db")
    assert work(storage, "trials") == 10
    done = complete(storage)
    assert [d.number for d in done] == list(range(10))
    assert {d.values["cell"] for d in done} == {"lstm", "gru"}
    for each in done:
        assert math.isfinite(each.value) and each.value == each.notes["measures"][0]["loss"]
        assert each.notes["steps"] == 12
        assert set(each.notes) >= {"commit", "fingerprint", "versions", "curves", "parameters"}
    assert len({d.notes["fingerprint"] for d in done}) == 2
    assert not list(Path("trials").iterdir())  # no checkpoint is left
    shares = importance(storage)
    assert set(shares) >= {"optimiser.rate", "sizes.hidden", "cell", "noise.input"}
    assert all(0 <= share <= 1 for share in shares.values())
    capsys.readouterr()
    words = ["search", "show", "tiny.toml", "--page", "p.html", "--cell", "best.py"]
    assert commands.main([*words, "--best", "3"]) == 0
    said = capsys.readouterr().out
    assert "10 complete" in said and len([r for r in said.splitlines() if "adam" in r]) <= 3
    page = Path("p.html").read_text(encoding="utf-8")
    assert page.count("<svg") == page.count("<desc>") >= 5 and "http://" not in page.replace(
        "http://www.w3.org/2000/svg", ""
    )
    assert commands.main(["equations", "best.py:best"]) == 0
    # the same again: it is done, and begins nothing
    assert commands.main(["search", "tiny.toml"]) == 0
    assert "10 done" in capsys.readouterr().out


def test_the_same_file_draws_the_same_configurations():
    drawn = parse_space(SPACE).configurations_drawn()
    assert drawn == parse_space(SPACE).configurations_drawn()
    assert drawn != parse_space("seed = 1" + SPACE).configurations_drawn()
    for values in drawn:
        assert 0.001 <= values["optimiser.rate"] <= 0.1 and values["sizes.hidden"] in (3, 4, 5)
    rates = [math.log10(v["optimiser.rate"]) for v in drawn]
    assert min(rates) < -2.5 and max(rates) > -1.5  # uniform in the logarithm


def test_the_files_in_the_guide_are_read():
    guide = (HERE.parents[1] / "docs" / "guides" / "search.md").read_text(encoding="utf-8")
    first, second = (parse_space(text) for text in re.findall(r"```toml\n(.*?)```", guide, re.S))
    assert first.trials == 4 * 60 and second.trials == second.mutations.cells == 300
    assert len(second.tasks) == 2 and "start.b_f" in first.drawn


def test_a_trial_computes_the_same_wherever_it_runs(folder):
    """In one go, and from the checkpoint of one that was killed."""
    storage = Storage.create(read_space("tiny.toml"), "tiny.db")
    job = storage.take()
    whole = run(storage.space, job, folder, storage.results, print)
    for path in folder.glob("*.npz"):
        path.unlink()
    code = (
        "import sys; from pathlib import Path; from tinygrad_lstm.searching import *;"
        "from tinygrad_lstm.searching import trials, Job; import os\n"
        "class Killed(trials.Training):\n"
        "    def _record(self):\n"
        "        made = super()._record()\n"
        "        self.seen = getattr(self, 'seen', 0) + 1\n"
        "        if self.seen == 4: os.kill(os.getpid(), 9)\n"
        "        return made\n"
        "trials.Training = Killed\n"
        "space = read_space('tiny.toml'); values = space.configurations_drawn()[0]\n"
        "trials.run(space, Job(1, 0, values, {}, 0), Path('.'), list, print)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=60)
    assert done.returncode == -signal.SIGKILL and list(folder.glob("tiny-0-0.npz"))
    again = run(storage.space, job, folder, storage.results, print)
    assert again.value == whole.value
    assert again.notes["curves"] == whole.notes["curves"]


def test_killed_workers_lose_nothing(folder):
    slow = SPACE.replace("lag = 3", "lag = 3\nwait = 20").replace("steps = 12", "steps = 30")
    storage = Storage.create(
        parse_space(slow.replace("configurations = 5", "configurations = 2")), "slow.db", **QUICK
    )
    killed = 0
    with several(storage, "trials", 2) as crew:
        begun = time.monotonic()
        while crew.look() and time.monotonic() - begun < 90:
            at_work = [d for d in storage.results() if d.state == "RUNNING"]
            if killed < 1 and len(at_work) > killed and complete(storage):
                os.kill(crew.processes[killed].pid, signal.SIGKILL)
                killed += 1
            time.sleep(0.3)
    assert killed == 1 and len(complete(storage)) == 4
    assert sorted(d.number for d in complete(storage)) == list(range(4))


def test_a_result_that_the_database_could_not_be_told_is_kept(folder, monkeypatch):
    few = parse_space(SPACE.replace("configurations = 5", "configurations = 1"))
    storage = Storage.create(few, "tiny.db", patience=0.0)

    def away(*_):
        raise SearchError("the storage is away")

    with monkeypatch.context() as patched:
        patched.setattr(storage, "finish", away)
        with pytest.raises(SearchError, match="is away"):
            work(storage, "trials")
    (kept,) = Path("trials").glob("*.json")
    value, _ = json.loads(kept.read_text("utf-8"))
    other = Storage.open("tiny.db", **QUICK)
    work(other, "trials")
    first = complete(other)[0]
    assert first.number == 0 and first.value == value and len(complete(other)) == 2
    assert not list(Path("trials").iterdir())


def test_whoever_stops_gives_back_what_they_hold(folder, monkeypatch):
    storage = Storage.create(read_space("tiny.toml"), "tiny.db")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("tinygrad_lstm.searching.trials.run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        work(storage, "trials")
    assert {d.state for d in storage.results()} == {"WAITING"}


def test_a_training_that_diverges_is_a_result_and_a_fault_is_tried_again(folder):
    text = SPACE.replace("to = 0.1", "to = 1e38").replace("from = 0.001", "from = 1e37")
    text = text.replace('["adam", "sgd"]', '"sgd"')
    storage = Storage.create(
        parse_space(text.replace("configurations = 5", "configurations = 1")), "bad.db"
    )
    work(storage, "trials")
    assert all(d.value == math.inf and d.notes["diverged"] for d in complete(storage))
    assert importance(storage) == {}
    job_space = parse_space(
        SPACE.replace('name = "tiny"', 'name = "gone"').replace(
            "configurations = 5", "configurations = 1"
        )
    )
    storage = Storage.create(job_space, "gone.db", retries=1)
    (folder / "tasks_to_search.py").unlink()  # after it was checked
    work(storage, "trials")
    assert [d.state for d in storage.results()] == ["FAIL", "FAIL"]
    assert "does not exist" in storage.results()[0].notes["fault"]


def test_architectures_are_searched(folder, capsys):
    text = SPACE.replace("configurations = 5\n", "").replace("steps = 12", "steps = 4")
    text += "[mutations]\ncells = 6\nmost = 2\nkeep = 3\n"
    text = text.replace("[task]", "[[task]]", 1) + (
        '[[task]]\nname = "tasks_to_search.py:order"\nlag = 2\n'
    )
    Path("arch.toml").write_text(text.replace('"tiny"', '"arch"'), encoding="utf-8")
    storage = Storage.create(read_space("arch.toml"), "arch.db")
    work(storage, "trials")
    done = complete(storage)
    assert len(done) == 6 and [d.notes["changes"] for d in done[:2]] == [[], []]
    assert len({d.notes["behaviour"] for d in done}) == 6  # each another one
    for each in done:
        assert len(each.notes["measures"]) == 2 and each.notes["parent"] in ("lstm", "gru")
        assert isinstance(each.notes["bounded"], bool)
    words = ["search", "show", "arch.db", "--page", "a.html", "--cell", "found.py"]
    assert commands.main(words) == 0
    page = Path("a.html").read_text(encoding="utf-8")
    assert "The best cell" in page and "What differs from" in page
    assert commands.main(["check", "found.py:found", "--examples", "1"]) in (0, 1)


def test_the_size_by_the_number_of_parameters(folder):
    text = SPACE.replace("hidden = { from = 3, to = 5 }", "parameters = 2000")
    text = text.replace('["lstm", "gru"]', '["lstm", "gru", "rnn", "mut1"]').replace(
        "configurations = 5", "configurations = 1"
    )
    text = text.replace("batch", 'input = "embedding"\nbatch').partition("[noise]")[0]
    storage = Storage.create(parse_space(text), "p.db")
    work(storage, "trials")
    for done in complete(storage):
        cell = cells.all()[done.values["cell"]]
        own = done.notes["parameters"] - 4 - 8 * 64  # less a part of the read-out, the embedding
        assert abs(own - 2000) < 400, cell


def test_a_real_database_that_goes_away(folder):
    databases = pytest.importorskip("databases", reason="beside this file")
    pytest.importorskip("psycopg")
    slow = SPACE.replace("lag = 3", "lag = 3\nwait = 20").replace(
        "configurations = 5", "configurations = 2"
    )
    with databases.server() as server:
        storage = Storage.create(parse_space(slow), server.address, **QUICK)
        assert "secret" not in storage.shown
        begun = time.monotonic()
        with several(storage, "trials", 2) as crew:
            while not complete(storage) and time.monotonic() - begun < 60:
                time.sleep(0.2)
            before = {d.number: d.value for d in complete(storage)}
            assert before and server.stop() == 0
            time.sleep(2)
            assert server.begin() == 0
            os.kill(crew.processes[0].pid, signal.SIGKILL)
            while crew.look() and time.monotonic() - begun < 120:
                time.sleep(0.3)
        after = {d.number: d.value for d in complete(storage)}
        assert len(after) == 4 and before.items() <= after.items()
        assert [d.number for d in complete(Storage.open(server.address))] == list(range(4))


TASK = '[task]\nname = "tasks_to_search.py:order"\n'
START = 'cells = ["lstm"]\nsteps = 3\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{START}nmae = 1\n{TASK}", "bad.toml, line 3: nmae is not known here.\n  Known are name"),
        (f"steps = 3\n{TASK}", "cells is missing"),
        (f'cells = ["lsmt"]\nsteps = 3\n{TASK}', "there is no cell 'lsmt'"),
        (f'cells = "lstm"\nsteps = 3\n{TASK}', "line 1: cells is a list, not 'lstm'"),
        (f'cells = ["lstm"]\nsteps = 3.5\n{TASK}', "line 2: steps is a whole number, not 3.5"),
        (f"{START}", "task is missing"),
        (f'{START}[task]\nlag = 3\n', "task needs a name"),
        (f'{START}[task]\nname = "no-such-task"\n', "no-such-task"),
        (f'{START}[task]\nname = "tasks_to_search.py:not_one"\n', "is no task"),
        (f"{START}{TASK}lagg = 3\n", "lagg"),
        (f"{START}{TASK}[optimiser]\nrat = 1\n", "line 6: optimiser.rat is not known here"),
        (f'{START}{TASK}[optimiser]\nname = "admm"\n', "line 6: optimiser.name is 'admm'"),
        (f"{START}{TASK}[optimiser]\nrate = -1\n", "optimiser.rate is a number above 0, not -1"),
        (f"{START}{TASK}[optimiser]\nrate = {{ from = 1, to = 0.1 }}\n", "goes from 1 to 0.1"),
        (f"{START}{TASK}[optimiser]\nrate = {{ from = 0, to = 1, log = true }}\n", "no logarithm"),
        (f"{START}{TASK}[optimiser]\nrate = {{ low = 0, to = 1 }}\n", "has 'low'"),
        (f"{START}{TASK}[sizes]\nhiden = 3\n", "hiden: none of the cells has it; there are hidden"),
        (f"{START}{TASK}[sizes]\nhidden = 2.5\n", "whole number of at least 1, not 2.5"),
        (f"{START}{TASK}[start]\nb_z = 3\n", "b_z: none of the cells has it; there are C"),
        (f'{START}{TASK}[noise]\ninput = "much"\n', "at least 0, not 'much'"),
        (f"{START}{TASK}[mutations]\nmost = 3\n", "mutations.cells is missing"),
        (f'{START}value = "beauty"\n{TASK}', "value is 'beauty', but order"),
        (f'cells = ["clockwork"]\nsteps = 3\n{TASK}', "further inputs (clock, mask)"),
        ("cells = [", "is not TOML"),
    ],
)  # fmt: skip
def test_what_a_file_says_wrong(folder, capsys, text, message):
    Path("bad.toml").write_text(text, encoding="utf-8")
    assert commands.main(["search", "bad.toml"]) == 2
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said
    assert not Path("bad.db").exists()  # nothing was begun


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["search", "nowhere.toml"], "nowhere.toml cannot be read"),
        (["search", "tiny.toml", "--storage", "/nowhere/x.db"], "/nowhere/x.db cannot be used"),
        (["search", "tiny.toml", "--storage", "tasks_to_search.py"], "file is not a database"),
        (["search", "tiny.toml", "--storage", "oracel://x"], "oracel://x cannot be used"),
        (["search", "tiny.toml", "--workers", "0"], "--workers must be at least 1"),
        (["search", "tiny.toml", "--grace", "3"], "--grace must be at least twice --heartbeat"),
        (["search", "work", "nowhere.db"], "nowhere.db, which does not exist"),
        (["search", "nowhere.db"], "is no search file"),
        (["search", "show", "nowhere.toml"], "cannot be read"),
        (["search", "a", "b"], "too many words"),
        (["search", "tiny.toml", "--storage", "postgresql://a:pass@127.0.0.1:1/x"], "a:…@127.0"),
    ],
)
def test_what_a_command_says_wrong(folder, capsys, words, message):
    assert commands.main(words) == 2
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said and "a:pass" not in said


def test_another_search_of_the_same_name(folder, capsys):
    Storage.create(read_space("tiny.toml"), "tiny.db")
    Path("tiny.toml").write_text(SPACE.replace("steps = 12", "steps = 13"), encoding="utf-8")
    assert commands.main(["search", "tiny.toml"]) == 2
    assert "another search called 'tiny'" in capsys.readouterr().err


def test_without_the_extra(folder, capsys, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "optuna"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert commands.main(["search", "tiny.toml"]) == 2
    assert "pip install 'tinygrad-lstm[search]'" in capsys.readouterr().err
