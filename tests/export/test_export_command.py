"""The command `export`, checkpoints, names, errors, and which cells are operators of ONNX."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lesson.commands import main
from tinygrad_lstm import (
    ExportError,
    bidirectional,
    cell,
    cells,
    compiled,
    exp,
    export,
    learning,
    log,
    maximum,
    sigmoid,
    softmax,
    tanh,
    weights,
    where,
)
from tinygrad_lstm.errors import DTypeError, ShapeError, UnknownNameError
from tinygrad_lstm.exporting import FORMATS
from tinygrad_lstm.exporting.self_test import self_test
from tinygrad_lstm.exporting.subject import comments, subject
from tinygrad_lstm.ops import register
from tinygrad_lstm.tensor import TABLE

TEXT = 'To be, or not to be: that is the "question" \\ 한 😀, isn\'t it?\n' * 40
NODE = shutil.which("node")
CC = shutil.which("cc") or shutil.which("gcc")
OWN = '''
from tinygrad_lstm import cell, concat, sigmoid, tanh

@cell(state="h", parameters={"W_k W_n": "hidden, hidden + inputs", "b_k": "hidden"})
def keeper(now, prev, x, p):
    """Keeps; its comments hold what ends a comment."""
    hx = concat(prev.h, x)
    now.k = sigmoid(p.W_k @ hx + p.b_k)  # keep */ or "not"
    now.n = tanh(p.W_n @ hx)
    now.h = now.k * prev.h + (1 - now.k) * now.n
'''


def needs(to: str) -> None:
    if to == "c" and CC is None:
        pytest.skip("no C compiler")
    if to == "js" and NODE is None:
        pytest.skip("node is not installed")
    if to == "torch":
        pytest.importorskip("torch")
    if to == "onnx":
        pytest.importorskip("onnxruntime")


def tried(file: Path, to: str) -> tuple[bool, str]:
    """The test of a file; PyTorch's in this process, for it takes seconds to import."""
    if to != "torch":
        return self_test(file, to)
    space: dict[str, Any] = {"__name__": "exported"}
    exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), space)
    worst = space["self_test"]()
    return worst < 1e-10, str(worst)


# --- checkpoints ----------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def trained(tmp_path_factory: Any) -> Path:
    """A folder with a text, a file with a cell, and a checkpoint of either kind of input."""
    folder: Path = tmp_path_factory.mktemp("trained")
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    (folder / "my_cells.py").write_text(OWN, encoding="utf-8")
    common = ["--text", str(folder / "text.txt"), "--hidden", "7", "--steps", "3", "--batch", "2"]
    common += ["--length", "5", "--sample", "0"]
    for name, more in (("lstm", ["--size", "inputs=5"]), ("keeper", ["--input", "one-hot"])):
        own = name if name == "lstm" else f"{folder / 'my_cells.py'}:{name}"
        words = ["train", own, "--checkpoint", str(folder / f"{name}.npz"), *common, *more]
        assert main(words) == 0
    return folder


@pytest.mark.parametrize("to", ["c", "js", "torch", "onnx"])
@pytest.mark.parametrize("name", ["lstm", "keeper"])
def test_a_checkpoint_predicts_the_next_letter(
    trained: Path, name: str, to: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    needs(to)
    if (name, to) == ("keeper", "torch"):
        pytest.skip("one process with PyTorch is enough")
    file = tmp_path / {"c": "m.c", "js": "m.js", "torch": "m.py", "onnx": "m.onnx"}[to]
    own = [] if name == "lstm" else ["--cell", f"{trained / 'my_cells.py'}:keeper"]
    words = ["export", str(trained / f"{name}.npz"), "-o", str(file), "--check", *own]
    assert main(words) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == str(file) and said[1].startswith("self-test: largest relative difference")


def test_the_scores_of_a_checkpoint(trained: Path, tmp_path: Path) -> None:
    """From the file alone: which letter is which number, and what is expected after a text."""
    runtime = pytest.importorskip("onnxruntime")
    model = learning.load(trained / "lstm.npz", cells.lstm).model
    data = export(model, "onnx")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    symbols = json.loads(session.get_modelmeta().custom_metadata_map["symbols"])
    said = "not to be: 한 😀"
    ids = np.array([[symbols.index(c)] for c in said])
    (scores,) = session.run(["scores"], {"ids": ids})
    right = model.observe(said).probabilities
    assert np.abs(softmax(scores[:, 0]) - right).max() < 1e-5


def test_a_model_writes_in_javascript(trained: Path, tmp_path: Path) -> None:
    if NODE is None:
        pytest.skip("node is not installed")
    model = learning.load(trained / "lstm.npz", cells.lstm).model
    export(model, "js", tmp_path / "model.js")
    script = "console.log(JSON.stringify(require('./model.js').write('To b', 30, 0)))"
    done = subprocess.run([NODE, "-e", script], capture_output=True, encoding="utf-8", cwd=tmp_path)
    likeliest = learning.sample(model, 30, temperature=0, prompt="To b")
    assert json.loads(done.stdout) == likeliest, done.stderr


def test_a_page_can_load_it(tmp_path: Path) -> None:
    """Without `module` and `require`, as in a page, it is a global."""
    if NODE is None:
        pytest.skip("node is not installed")
    export(cells.gru, "js", tmp_path / "gru.js", inputs=2, hidden=3)
    script = (
        "const vm = require('vm'), fs = require('fs');"
        "const page = vm.createContext({atob});"
        "vm.runInContext(fs.readFileSync('gru.js', 'utf8'), page);"
        "console.log(vm.runInContext('gru.selfTest() < 1e-5', page));"
    )
    done = subprocess.run([NODE, "-e", script], capture_output=True, encoding="utf-8", cwd=tmp_path)
    assert done.stdout.strip() == "true", done.stderr


def test_a_file_of_weights(tmp_path: Path) -> None:
    network = bidirectional(cells.lstm)
    p = network.init(inputs=3, hidden=2, seed=4)
    weights.save(tmp_path / "w.safetensors", network, p)
    file = tmp_path / "w.js"
    assert main(["export", str(tmp_path / "w.safetensors"), "-o", str(file)]) == 0
    assert file.read_text(encoding="utf-8") == export(network, "js", parameters=p)


# --- names ----------------------------------------------------------------------------------------
@cell(
    state="forward self",
    parameters={
        "lambda_ train half": "hidden, inputs",
        "int double": "hidden, hidden",
        "b": "hidden",
    },
    output="self",
)
def spoken_for(now, prev, x, p):
    """Names that mean something where a cell is exported to: \\ ''' \"\"\" */ // ?"""
    now.x1 = tanh(p.lambda_ @ x + p.int @ prev.forward + p.b)  # */ "x1" \\
    now.torch = sigmoid(p.train @ x + p.double @ prev.self)
    now.i = now.x1 * now.torch
    now.for_ = tanh(p.half @ x)
    now.expf = now.i + now.for_
    now.weights = now.expf * 0.5
    now.state = now.weights + prev.forward
    now.h_ = now.state
    now.given = tanh(now.h_)
    now.forward = now.given * now.torch
    now.self = now.forward - prev.self


@pytest.mark.parametrize("to", ["c", "js", "torch", "onnx"])
def test_names_that_are_spoken_for(to: str, tmp_path: Path) -> None:
    needs(to)
    file = tmp_path / "odd"
    export(spoken_for, to, file, dtype="float64")
    right, words = tried(file, to)
    assert right, words


@cell(state="h on", parameters={"W": "hidden, inputs"})
def numbers(now, prev, x, p):
    """Equations that are numbers, and operations on them."""
    now.half = 0.5
    now.rate = log(now.half) / 2
    now.steps = np.arange(3.0)
    now.wide = maximum(now.half, tanh(p.W @ x)) + now.steps.sum()
    now.on = now.half * np.ones(prev.on.shape[0])
    now.h = where(now.wide > now.half, now.rate, 1.0) * now.wide + exp(now.rate) * prev.h


@pytest.mark.parametrize("to", ["c", "js", "torch", "onnx"])
def test_equations_that_are_numbers(to: str, tmp_path: Path) -> None:
    needs(to)
    file = tmp_path / "numbers"
    export(numbers, to, file, dtype="float64")
    right, words = tried(file, to)
    assert right, words


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("to", ["c", "js", "torch", "onnx"])
def test_sizes_that_coincide(to: str, n: int, tmp_path: Path) -> None:
    needs(to)
    for name in ("lstm_1997", "odyssey_vanilla"):
        one = cells.all()[name]
        file = tmp_path / name
        export(one, to, file, dtype="float64", **dict.fromkeys(one.sizes, n))
        right, words = tried(file, to)
        assert right, words


def test_the_authors_comments_and_equations_are_in_the_text() -> None:
    text = export(cells.lstm, "torch")
    assert isinstance(text, str)
    assert "            i = torch.sigmoid(hx @ self.W_i.T + self.b_i)  # what to write\n" in text
    assert comments(cells.lstm)["C_tilde"] == "the candidate"
    for to in ("c", "js", "torch"):
        assert "i_t = σ(W_i·[h_{t-1}, x_t] + b_i)" in str(export(cells.lstm, to)), to


def test_a_compiled_cell_is_exported_as_the_cell() -> None:
    assert export(compiled(cells.rnn), "c") == export(cells.rnn, "c")


def test_the_loss_of_a_cell_is_given_too() -> None:
    pytest.importorskip("torch")
    from corpus import CELLS

    text = str(export(CELLS["noisy_rnn"], "torch"))
    assert "return torch.stack(outputs), " in text and "torch.stack(outputs_2)" in text


# --- errors ---------------------------------------------------------------------------------------
def test_errors_of_the_function(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="no format 'cobol'; there are c, js, wasm"):
        export(cells.lstm, "cobol")
    with pytest.raises(ExportError, match="export needs a cell"):
        export(3, "c")
    with pytest.raises(UnknownNameError, match="no size 'hiden'"):
        export(cells.lstm, "c", hiden=3)
    with pytest.raises(DTypeError, match="float32 or float64, got float16"):
        export(cells.lstm, "c", dtype=np.float16)
    with pytest.raises(ShapeError):
        export(cells.lstm, "c", hidden=0)
    file = tmp_path / "a.c"
    file.write_text("mine", encoding="utf-8")
    with pytest.raises(ExportError, match="exists already"):
        export(cells.lstm, "c", file)
    assert file.read_text(encoding="utf-8") == "mine"
    export(cells.lstm, "c", file, overwrite=True)
    assert file.read_text(encoding="utf-8") == export(cells.lstm, "c")


def test_an_operation_that_a_language_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = register("twice_", lambda x: 2 * x, (lambda g, y, x: 2 * g,))
    try:

        @cell(state="h", parameters={"W": "hidden, inputs"})
        def strange(now, prev, x, p):
            """A cell with an operation of its own."""
            now.u = tanh(p.W @ x)
            now.h = twice(now.u) + prev.h

        for to in ("c", "js", "torch", "onnx"):
            if to == "onnx":
                pytest.importorskip("onnx")
            with pytest.raises(ExportError, match="cell 'strange': equation h has .*'?twice_'?"):
                export(strange, to)
    finally:
        del TABLE["twice_"]


def test_a_missing_package_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert main(["export", "lstm", "-o", str(tmp_path / "m.onnx")]) == 2
    said = capsys.readouterr().err
    assert "pip install 'tinygrad-lstm[export]'" in said and len(said.splitlines()) == 1
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lstm", "-o", "m.txt"], "its ending does not tell the language"),
        (["lstm", "-o", "missing/m.c"], "cannot be written: No such file or directory"),
        (["lstn", "-o", "m.c"], "there is no cell 'lstn'"),
        (["lstm", "-o", "m.c", "--size", "hiden=3"], "has no size 'hiden'"),
        (["lstm", "-o", "m.c", "--name", "a b"], "write a name of letters"),
        (["lstm", "-o", "m.c", "--cell", "gru"], "--cell goes with a checkpoint"),
        (["none.npz", "-o", "m.c"], "does not exist"),
        (["none.npz", "-o", "m.c", "--hidden", "3"], "has its own sizes and weights"),
        (["lstm", "-o", "there.c"], "exists already.\n  Name another file, or add --force."),
    ],
)
def test_errors_of_the_command(
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.c").touch()
    assert main(["export", *words]) == 2
    assert said in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["there.c"]


def test_networks_as_the_command_line_names_them(tmp_path: Path) -> None:
    for spec, layers in (("2:lstm", 2), ("bi:lstm,gru", 3), ("2:bi:rnn", 4)):
        file = tmp_path / f"{layers}.js"
        assert main(["export", spec, "-o", str(file), "--hidden", "2", "--inputs", "3"]) == 0
        text = file.read_text(encoding="utf-8")
        assert text.count("function make_step_") == layers
        assert "const INPUT = 3;" in text


def test_every_format_is_described() -> None:
    described = str(export.__doc__)
    assert all(f'"{to}"' in described for to in FORMATS)
    assert subject(cells.lstm).dtype == np.float32
