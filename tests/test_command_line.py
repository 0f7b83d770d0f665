"""What every command does with its output, its encoding and Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lesson import commands

ROOT = Path(commands.__file__).parents[2]
COMMAND = [sys.executable, "-c", "import sys; from lesson.commands import main; sys.exit(main())"]


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *words], cwd=ROOT, capture_output=True, timeout=120, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip


@pytest.mark.parametrize("encoding", ["ascii", "cp949"])
@pytest.mark.parametrize(
    ("words", "character"),
    [
        (["equations", "lstm"], "̃"),
        (["step", "rnn", "--plain", "--steps", "1"], "−"),
        (["cells"], "í"),
        (["check", "rnn", "--examples", "1"], "✓"),
        (["exercise"], "—"),
    ],
    ids=lambda value: value[0],
)
def test_an_encoding_without_a_character_spells_it_out(
    words: list[str], character: str, encoding: str
) -> None:
    done = run(*words, PYTHONIOENCODING=encoding)
    plain = run(*words, PYTHONIOENCODING="utf-8")
    assert (done.returncode, done.stderr) == (plain.returncode, b"") and plain.stderr == b""
    text = plain.stdout.decode()
    assert done.stdout.decode(encoding) == text.encode(encoding, "backslashreplace").decode(
        encoding
    )
    if character in text:
        assert character.encode("ascii", "backslashreplace") in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("words", [["cells"], ["equations", "lstm"]])
def test_a_full_disk_is_one_line(words: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, *words], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, timeout=60,
            check=False,
        )  # fmt: skip
    command = f"tinygrad-lstm {words[0]}" if words[0] in commands.COMMANDS else "tinygrad-lstm"
    assert done.stderr.decode() == f"{command}: [Errno 28] No space left on device\n"
    assert done.returncode == 2


def test_nothing_heavy_is_imported_before_ctrl_c_is_caught() -> None:
    code = "import sys, lesson.commands; print(sorted({'numpy', 'tinygrad_lstm'} & {*sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("after", [0.25, 0.4, 0.6])
def test_ctrl_c_while_a_command_starts_is_one_line(after: float) -> None:
    begun = "import sys; print('begun', flush=True); from lesson.commands import main; "
    with subprocess.Popen(
        [sys.executable, "-c", f"{begun}sys.exit(main())", "check", "lstm"], cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        time.sleep(after)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert said == "\ntinygrad-lstm check: stopped\n"
    assert process.returncode == 130


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise BaseException('gone')", "BaseException: gone"),
        ("exit()", "SystemExit: None"),
    ],
)
@pytest.mark.parametrize("where", ["file", "step"])
def test_what_ends_a_program_is_an_error_of_the_cell(
    where: str, body: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.py"
    step = body if where == "step" else "now.h = prev.h + x.sum()"
    path.write_text(
        "from tinygrad_lstm import cell\n" + (f"{body}\n" if where == "file" else "")
        + f"@cell(state='h')\ndef mine(now, prev, x, p):\n    {step}\n",
        encoding="utf-8",
    )  # fmt: skip
    assert commands.main(["equations", f"{path}:mine"]) == 2
    said = capsys.readouterr().err
    place = f"line {2 if where == 'file' else 4}"
    assert said.startswith("tinygrad-lstm equations: ") and place in said
    assert said.endswith(f"\n  {message}\n")
