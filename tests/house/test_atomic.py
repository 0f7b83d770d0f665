"""Files that are replaced whole and kept by one process at a time, as other processes meet them."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tinygrad_lstm.atomic import hold, replace_whole


def other(code: str, *words: str) -> "subprocess.Popen[str]":
    """Another process, which has come to where it prints a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "there\n"
    return process


WRITING = """
    import sys, pathlib
    from tinygrad_lstm.atomic import replace_whole
    with replace_whole(pathlib.Path(sys.argv[1])) as file:
        file.write(b"half of a")
        file.flush()
        print("there", flush=True)
        sys.stdin.read()
"""
HOLDING = """
    import sys, pathlib
    from tinygrad_lstm.atomic import hold
    with hold(pathlib.Path(sys.argv[1])):
        print("there", flush=True)
        sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_killed_writer_left_is_removed_by_the_next(number: int, tmp_path: Path) -> None:
    path = tmp_path / "a[1].npz"  # the name is no pattern
    path.write_bytes(b"old")
    process = other(WRITING, str(path))
    process.send_signal(number)
    process.communicate()
    left = path.with_name(f"{path.name}.{process.pid}.part")
    assert left.read_bytes() == b"half of a" and path.read_bytes() == b"old"
    names = ["b.npz.1.part", "a1.npz.1.part", "a[1].npz.old.part"]
    strangers = [tmp_path / name for name in names]
    for stranger in strangers:
        stranger.write_bytes(b"")
    with replace_whole(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert sorted(tmp_path.iterdir()) == sorted([path, *strangers])


def test_what_another_process_is_writing_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a"
    process = other(WRITING, str(path))
    with replace_whole(path) as file:
        file.write(b"ours")
    assert path.read_bytes() == b"ours"
    process.communicate("", timeout=30)
    assert process.returncode == 0
    assert path.read_bytes() == b"half of a"
    assert list(tmp_path.iterdir()) == [path]


def test_an_own_leftover_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.with_name(f"a.{os.getpid()}.part").write_bytes(b"much longer than what comes now")
    with replace_whole(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_one_process_holds_a_file_and_a_dead_one_does_not(tmp_path: Path) -> None:
    path = tmp_path / "a"
    process = other(HOLDING, str(path))
    with pytest.raises(BlockingIOError):
        hold(path)
    with hold(tmp_path / "b"):  # another file is free
        pass
    process.kill()
    process.communicate()
    assert [file.name for file in tmp_path.iterdir()] == ["a.lock"]
    with hold(path), pytest.raises(BlockingIOError):
        hold(path)
    assert not list(tmp_path.iterdir())


def test_holding_where_there_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        hold(tmp_path / "none" / "a")
