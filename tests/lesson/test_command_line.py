"""The command line as a process: other locales, Ctrl-C at any moment, ends that are no ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sampling import WHOLE

import viz
from lesson import building, commands, figures
from viz import rendering

ROOT = Path(commands.__file__).parents[2]
PROGRAM = "import sys; from lesson.commands import main; sys.exit(main())"


def ran(
    *words: str, program: str = PROGRAM, folder: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )


# --- locales --------------------------------------------------------------------------------------
@pytest.mark.sample(2)
@pytest.mark.parametrize("encoding", ["cp949", "ascii"])
@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["cells"],
        ["equations", "lstm", "--backward"],
        ["step", "rnn", "--plain"],
        ["check", "rnn", "--examples", "1"],
        ["exercise", "3", "--language", "ko"],
    ],
    ids=lambda words: words[0],
)
def test_output_in_any_encoding(words: list[str], encoding: str, tmp_path: Path) -> None:
    wide = ran(*words, folder=tmp_path)
    (tmp_path / "exercise-3-coupled-gates.py").unlink(missing_ok=True)
    done = ran(*words, folder=tmp_path, PYTHONIOENCODING=encoding)
    assert done.returncode == wide.returncode
    for told, meant in ((done.stdout, wide.stdout), (done.stderr, wide.stderr)):
        if words[0] == "exercise":  # its seed is drawn
            assert told and b"Traceback" not in told or not meant
        else:
            assert told == meant.decode().encode(encoding, "backslashreplace")


def test_files_are_read_and_written_in_an_ascii_locale(tmp_path: Path) -> None:
    bare = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    (tmp_path / "k.py").write_text(
        "from tinygrad_lstm import cell, matvec, tanh\n"
        '@cell(state="h", parameters={"W": "hidden, inputs"})\n'
        'def gate(now, prev, x, p):\n    """글"""\n    now.h = tanh(matvec(p.W, x)) * prev.h\n',
        encoding="utf-8",
    )
    (tmp_path / "k.txt").write_text("나 보기가 역겨워 가실 때에는\n" * 300, encoding="utf-8")
    program = f"import locale; assert locale.getencoding() != 'UTF-8'; {PROGRAM}"
    lesson = "lesson --text k.txt --seconds 0.1 --no-open -o l.html"
    for words in (
        "equations k.py:gate",
        "draw k.py:gate -o k.svg",
        "train k.py:gate --text k.txt --steps 2 --hidden 4",
        *([lesson] if WHOLE else []),
    ):
        done = ran(*words.split(), program=program, folder=tmp_path, **bare)
        assert done.returncode == 0, done.stderr.decode()
    if WHOLE:
        assert "학습" in (tmp_path / "l.html").read_text(encoding="utf-8")


# --- commands are found ---------------------------------------------------------------------------
def test_a_command_is_found_by_its_existence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "greet.py").write_text(
        '"""`tinygrad-lstm greet NAME`: greet somebody."""\n'
        "def arguments(parser): parser.add_argument('name')\n"
        "def run(options): print('Hello,', options.name); return 0\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(commands, "__path__", [*commands.__path__, str(tmp_path)])
    assert commands.summaries()["greet"] == "greet somebody"
    assert all(summary for summary in commands.summaries().values())
    assert commands.main(["greet", "Ada"]) == 0
    assert capsys.readouterr().out == "Hello, Ada\n"


# --- Ctrl-C ---------------------------------------------------------------------------------------
AT_AN_IMPORT = """
import signal, sys
from lesson.commands import main

module = sys.argv.pop(1)
sys.modules.pop(module, None)

def watch(event, given):
    global module
    if event == "import" and given[0] == module:
        module = None
        signal.raise_signal(signal.SIGINT)

sys.addaudithook(watch)
sys.exit(main())
"""


# while it imports datetime, NumPy turns any error into its own
@pytest.mark.parametrize(
    "module",
    [
        "tinygrad_lstm",
        "numpy",
        "datetime",
        "numpy.random",
        "argparse",
        "lesson.cell_checks",
        "sympy",
        "mpmath",
        "hypothesis",
        "tinygrad_lstm.testing.properties",
    ],
)
def test_ctrl_c_while_it_starts_is_one_line(module: str) -> None:
    done = ran(module, "check", "rnn", "--examples", "1", program=AT_AN_IMPORT)
    assert done.stderr.decode() == "\ntinygrad-lstm check: stopped\n"
    assert done.returncode == 130


def test_ctrl_c_in_a_callback_of_the_collector_is_not_lost() -> None:
    program = """
import gc, signal, sys
from lesson import commands
from lesson.commands import step

def during(phase, told):
    gc.callbacks.remove(during)
    signal.raise_signal(signal.SIGINT)

def run(options):
    gc.callbacks.append(during)
    gc.collect()
    while True:
        pass

step.run = run
sys.exit(commands.main())
"""
    done = ran("step", "rnn", program=program)
    assert done.stderr.decode() == "\ntinygrad-lstm step: stopped\n"
    assert done.returncode == 130


def test_ctrl_c_at_the_end_is_no_traceback() -> None:
    program = (
        "import atexit, signal, sys; from lesson.commands import main\n"
        "atexit.register(signal.raise_signal, signal.SIGINT)\n"
        "sys.exit(main())"
    )
    done = ran("cells", program=program)
    assert (done.returncode, done.stderr) == (0, b"")


# --- code of the reader's that ends, memory, the disk ---------------------------------------------
ENDS = """
from tinygrad_lstm import cell


class Odd(BaseException):
    pass


@cell(state="h", parameters={{"W": "hidden, inputs"}})
def ends(now, prev, x, p):
    {}
"""


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("import sys; sys.exit(0)", "SystemExit: 0"),
        ("raise SystemExit('bye')", "SystemExit: bye"),
        ("raise Odd('odd')", "Odd: odd"),
        ("raise GeneratorExit", "GeneratorExit"),
    ],
)
def test_a_step_that_ends_the_program(
    line: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(ENDS.format(line), encoding="utf-8")
    for command in ("equations", "step", "check"):
        assert commands.main([command, f"{tmp_path / 'mine.py'}:ends"]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"tinygrad-lstm {command}: ") and told in said
    (tmp_path / "mine.py").write_text(f"{ENDS.format('pass')}\n{line}\n", encoding="utf-8")
    assert commands.main(["step", f"{tmp_path / 'mine.py'}:ends"]) == 2
    said = capsys.readouterr().err
    assert f"mine.py, line 13 does not run:\n  {told}" in said


@pytest.mark.parametrize("number", [10**11, 2**63 - 1, 10**21])
@pytest.mark.parametrize("option", ["--steps", "--hidden", "--inputs"])
def test_a_run_that_no_memory_holds(
    number: int, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.main(["step", "rnn", option, str(number)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("tinygrad-lstm step: ")
    assert "is too large to walk through.\n  Take " in said


def test_other_errors_of_value_are_not_taken_for_want_of_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from lesson.commands import cells

    def run(options: object) -> int:
        raise ValueError("a mistake of ours")

    monkeypatch.setattr(cells, "run", run)
    with pytest.raises(ValueError, match="a mistake of ours"):
        commands.main(["cells"])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", [["cells"], ["equations", "lstm"], ["step", "rnn"]])
def test_a_full_disk_is_one_message(words: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *words], stdout=full, stderr=subprocess.PIPE, cwd=ROOT
        )
    assert done.stderr.decode() == (
        f"tinygrad-lstm {words[0]}: cannot read or write: No space left on device.\n"
    )
    assert done.returncode == 2


# --- what a lesson needs is looked for before it trains -------------------------------------------
@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def train(*given: object) -> None:
        raise AssertionError("it has trained")

    monkeypatch.setattr(building, "train", train)


def test_a_lesson_wants_a_graphviz_before_it_trains(
    no_training: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(rendering.SETTING, "no-such-dot")
    words = ["lesson", "--no-open", "-o", str(tmp_path / "lesson.html")]
    assert commands.main(words) == 2
    assert "no Graphviz could draw the figure" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--text", "none.txt"], "text file none.txt does not exist"),
        (["-o", "blocked/lesson.html"], "blocked is not a folder"),
        (["--language", "xx"], "no lesson in language 'xx'"),
        (["--cell", "nope"], "there is no cell 'nope'"),
    ],
)
def test_a_lesson_wants_everything_before_it_trains(
    words: list[str],
    told: str,
    no_training: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("blocked").touch()
    assert commands.main(["lesson", "--no-open", *words]) == 2
    assert told in capsys.readouterr().err


def test_figures_that_cannot_be_kept_are_drawn(tmp_path: Path) -> None:
    (tmp_path / "figures").touch()
    assert "<svg" in figures.Drawer(tmp_path / "figures")("legend", viz.legend()).svg
