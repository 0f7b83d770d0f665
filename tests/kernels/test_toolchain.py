"""What may go wrong between C source and loaded code: every case computes the right numbers."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinygrad_lstm import cells, compiled, unroll
from tinygrad_lstm.kernels import toolchain
from tinygrad_lstm.kernels.toolchain import NoCompiler
from tinygrad_lstm.tensor import TABLE

COMPILER = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")

PROGRAM = """
import json, sys
import numpy as np
from tinygrad_lstm import cells, compiled, unroll
fast = compiled(cells.gru, code=sys.argv[1])
p = cells.gru.init(inputs=2, hidden=3, seed=0)
xs = np.random.default_rng(0).normal(size=(5, 2, 2))
run = unroll(fast, p, xs)
(run["h"] * run["h"]).sum().backward()
(kernel,) = fast._kernels.values()
print(json.dumps([type(kernel.code).__name__, run["h"].data.tolist(), p.W_z.grad.data.tolist()]))
"""


@pytest.fixture(scope="module")
def right() -> tuple[list[float], list[float]]:
    p = cells.gru.init(inputs=2, hidden=3, seed=0)
    xs = np.random.default_rng(0).normal(size=(5, 2, 2))
    run = unroll(cells.gru, p, xs)
    (run["h"] * run["h"]).sum().backward()
    assert p.W_z.grad is not None
    return run["h"].data.tolist(), p.W_z.grad.data.tolist()


def start(cache: Path, code: str = "auto", **environment: str) -> subprocess.Popen[str]:
    given = {**os.environ, "TINYGRAD_LSTM_CACHE": str(cache), **environment}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, code],
        env=given,
        encoding="utf-8",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def outcome(
    process: subprocess.Popen[str], right: tuple[list[float], list[float]]
) -> tuple[str, str]:
    """The code that was used and what was said; the numbers must be right."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    kind, h, gradient = json.loads(out)
    np.testing.assert_allclose(h, right[0], 0, 1e-12)
    np.testing.assert_allclose(gradient, right[1], 0, 1e-12)
    return kind, err


def test_without_a_compiler_numpy_is_used_and_said_once(tmp_path: Path, right: object) -> None:
    kind, said = outcome(start(tmp_path, TINYGRAD_LSTM_CC=""), right)  # type: ignore[arg-type]
    assert kind == "NumpyCode"
    assert said == (
        "tinygrad-lstm: compiled cells use NumPy, since there is no C compiler (cc, gcc, clang, or "
        "the package ziglang).\n"
    )


def test_c_that_is_asked_for_must_be_there(tmp_path: Path) -> None:
    process = start(tmp_path, "c", TINYGRAD_LSTM_CC="")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "NoCompiler: there is no C compiler" in err


@needs_compiler
@pytest.mark.parametrize("script", ["exit 3", "exit 0", "echo error: out of order >&2; exit 1"])
def test_a_broken_compiler(tmp_path: Path, right: object, script: str) -> None:
    broken = tmp_path / "broken-cc"
    broken.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    broken.chmod(0o755)
    kind, said = outcome(start(tmp_path / "c", TINYGRAD_LSTM_CC=str(broken)), right)  # type: ignore[arg-type]
    assert kind == "NumpyCode"
    assert said.count("\n") == 1 and f"the compiler {broken} failed: " in said


@needs_compiler
def test_kept_code_is_used_again(tmp_path: Path, right: object) -> None:
    assert outcome(start(tmp_path), right) == ("CCode", "")  # type: ignore[arg-type]
    made = {f: f.stat().st_mtime_ns for f in tmp_path.iterdir()}
    assert outcome(start(tmp_path), right) == ("CCode", "")  # type: ignore[arg-type]
    assert {f: f.stat().st_mtime_ns for f in tmp_path.iterdir()} == made


@needs_compiler
@pytest.mark.parametrize("poison", ["cut", "other", "note", "loose"])
def test_a_poisoned_cache_is_not_loaded(tmp_path: Path, right: object, poison: str) -> None:
    assert outcome(start(tmp_path), right) == ("CCode", "")  # type: ignore[arg-type]
    (library,) = (f for f in tmp_path.iterdir() if f.suffix in (".so", ".dll"))
    whole = library.read_bytes()
    if poison == "cut":
        library.write_bytes(whole[: len(whole) // 2])
    elif poison == "other":
        library.write_bytes(whole.replace(b"forward", b"forwird"))
    elif poison == "note":
        (tmp_path / f"{library.name}.json").write_text("[]", encoding="utf-8")
    else:
        library.chmod(0o777)
    assert outcome(start(tmp_path), right) == ("CCode", "")  # type: ignore[arg-type]
    assert not library.stat().st_mode & 0o022


@needs_compiler
def test_a_folder_that_others_can_write_is_not_used(tmp_path: Path, right: object) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    kind, said = outcome(start(shared), right)  # type: ignore[arg-type]
    assert kind == "CCode" and not list(shared.iterdir())
    assert said == (
        f"tinygrad-lstm: {shared} can be written by others, or not by us: compiled code is not "
        f"kept.\n"
    )


@needs_compiler
def test_nor_one_below_such_a_folder(tmp_path: Path, right: object) -> None:
    loose = tmp_path / "loose"
    loose.mkdir()
    loose.chmod(0o777)
    inner = loose / "inner"
    inner.mkdir(mode=0o700)
    kind, _ = outcome(start(inner), right)  # type: ignore[arg-type]
    assert kind == "CCode" and not list(inner.iterdir())


@needs_compiler
def test_a_cache_that_cannot_be_made(tmp_path: Path, right: object) -> None:
    file = tmp_path / "a file"
    file.write_text("", encoding="utf-8")
    kind, said = outcome(start(file / "cache"), right)  # type: ignore[arg-type]
    assert kind == "CCode" and said.count("\n") == 1


@needs_compiler
def test_processes_that_compile_at_once(tmp_path: Path, right: object) -> None:
    for process in [start(tmp_path) for _ in range(4)]:
        assert outcome(process, right) == ("CCode", "")  # type: ignore[arg-type]
    assert not [f for f in tmp_path.iterdir() if f.is_dir()]  # nothing is left behind


@needs_compiler
def test_the_cache_is_for_its_owner_alone(tmp_path: Path, right: object) -> None:
    cache = tmp_path / "new" / "cache"
    outcome(start(cache), right)  # type: ignore[arg-type]
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700


@needs_compiler
def test_an_operation_that_has_no_c_is_named_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(TABLE, "tanh", dataclasses.replace(TABLE["tanh"], c=None))
    monkeypatch.setattr(toolchain, "_said", set())
    p, xs = cells.rnn.init(inputs=2, hidden=3), np.ones((2, 2))
    for _ in range(2):
        fast = compiled(cells.rnn)
        found = unroll(fast, p, xs)["h"].data
        (kernel,) = fast._kernels.values()
        assert type(kernel.code).__name__ == "NumpyCode"
        np.testing.assert_allclose(found, unroll(cells.rnn, p, xs)["h"].data, 0, 1e-12)
    (record,) = caplog.records
    assert record.getMessage() == (
        "tinygrad-lstm: compiled cells use NumPy, since operation 'tanh' has no C."
    )


def test_numbers_of_another_kind_are_interpreted_and_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(toolchain, "_said", set())
    p = cells.rnn.init(inputs=2, hidden=3, dtype=np.float16)
    xs = np.ones((2, 2), np.float16)
    for _ in range(2):
        found = unroll(compiled(cells.rnn), p, xs)["h"].data
        assert np.array_equal(found, unroll(cells.rnn, p, xs)["h"].data)
    (record,) = caplog.records
    assert "compiled cells of float16 are interpreted" in record.getMessage()


@needs_compiler
@pytest.mark.skipif(sys.platform == "win32", reason="there is no HOME")
@pytest.mark.parametrize("home", ["", "nowhere", None])
def test_without_a_home_folder_nothing_is_kept(
    home: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TINYGRAD_LSTM_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    if home is None:
        monkeypatch.setenv("HOME", str(tmp_path))
        assert toolchain._cache() == tmp_path / ".cache" / "tinygrad-lstm"
        return
    monkeypatch.setenv("HOME", home)
    assert toolchain._cache() is None
    assert toolchain._folders() == [toolchain._temporary()]
    assert not list(tmp_path.iterdir())


@needs_compiler
def test_sources_are_utf_8_in_any_locale(tmp_path: Path, right: object) -> None:
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    kind, said = outcome(start(tmp_path, **ascii_only), right)  # type: ignore[arg-type]
    assert (kind, said) == ("CCode", "")


def test_a_compiler_that_is_none_is_an_error_of_its_own() -> None:
    assert issubclass(NoCompiler, RuntimeError)
