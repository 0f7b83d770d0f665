"""Cells of the package and of the corpus as programs: each computes what the interpreter does.

The numbers inside a file are checked by running it; here the weights and inputs are drawn, and for
PyTorch and ONNX other numbers are run too. WHOLE=1 in the environment takes the whole
corpus, a few minutes; otherwise some of it is drawn by a seed.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import corpus
import numpy as np
import pytest
from readings.subjects import CELLS, draw
from sampling import WHOLE

from tinygrad_lstm import (
    Cell,
    ExportError,
    Tensor,
    bidirectional,
    cells,
    compiled,
    export,
    grid,
    stack,
    system,
    systems,
    unroll,
)
from tinygrad_lstm.exporting.self_test import C_FLAGS, self_test
from tinygrad_lstm.exporting.subject import subject

SOME = sorted(random.Random(7).sample(sorted(corpus.CELLS), 14))
ODD = ["odd_names", "keywords", "symbols", "ntm", "leaky", "gelu_block", "largest", "numpy_lstm"]
FAMILY = list(cells.all())
NAMES = list(CELLS) if WHOLE else [*FAMILY, *dict.fromkeys([*ODD, *SOME])]
FEW = list(CELLS) if WHOLE else ["lstm", "lstm_1997", "clockwork", "mut3", *ODD, *SOME[:4]]
NETWORKS = {
    "layers": stack([bidirectional(cells.lstm), cells.gru]),
    "below": stack([cells.lstm, cells.depth_gated]),
    "both ways": bidirectional(cells.gru, cells.rnn),
    "deep": bidirectional(stack([cells.rnn, cells.lstm]), stack([cells.nig])),
}
GCC = shutil.which("gcc") or shutil.which("cc") or shutil.which("clang")
NODE = shutil.which("node")


def problem(name: str) -> corpus.Problem:
    """Weights and inputs drawn for a cell."""
    return draw(CELLS[name], 4, 3)


def exported(q: corpus.Problem, to: str, **options: Any) -> Any:
    return export(q.cell, to, parameters=q.p, **q.sizes, **options)


def close(found: Any, right: Any, tolerance: float, what: str) -> None:
    found, right = np.asarray(found, float), np.asarray(right, float)
    assert found.shape == right.shape, what
    scale = max(1.0, float(np.max(np.abs(right), initial=0.0)))
    assert float(np.max(np.abs(found - right), initial=0.0)) <= tolerance * scale, what


# --- PyTorch --------------------------------------------------------------------------------------
def loaded(text: str, name: str) -> dict[str, Any]:
    space: dict[str, Any] = {"__name__": name}
    exec(compile(text, f"{name}.py", "exec"), space)
    return space


def modules(space: dict[str, Any]) -> list[Any]:
    """The classes of modules in a file, in their order."""
    base = space["nn"].Module
    return [v for v in space.values() if isinstance(v, type) and issubclass(v, base)]


@pytest.mark.parametrize("name", NAMES)
def test_pytorch_has_our_outputs_and_gradients(name: str) -> None:
    torch = pytest.importorskip("torch")
    q = problem(name)
    text = exported(q, "torch", dtype="float64")
    space = loaded(text, name)
    assert space["self_test"]() < 1e-10
    (made,) = modules(space)
    module = made().double()
    module.load_state_dict(space["weights"]())
    own = dict(zip(q.p, module.parameters(), strict=True))

    def leaf(value: Any) -> Any:
        return torch.tensor(np.asarray(value, float), requires_grad=True)

    xs, initial = leaf(q.xs), {n: leaf(v) for n, v in q.initial.items()}
    further = {n: leaf(q.further[n]) for n in q.cell.extra_inputs}
    outputs, state, *_ = module(xs, *further.values(), state=tuple(initial.values()))
    leaves = {n: Tensor(v) for n, v in {**q.p, **q.further}.items()}
    starts = {n: Tensor(v) for n, v in q.initial.items()}
    sequence = Tensor(q.xs)
    run = unroll(
        q.cell,
        {n: leaves[n] for n in q.p},
        sequence,
        starts,
        **{n: leaves[n] for n in q.cell.extra_inputs},
    )
    theirs, ours = [outputs, *state], [run[q.cell.output], *run.final.values()]
    loss: Any = 0.0
    total: Any = 0.0
    for k, (one, other) in enumerate(zip(theirs, ours, strict=True)):
        close(one.detach().numpy(), other.numpy(), 1e-10, f"value {k}")
        weights = np.random.default_rng(k).uniform(0.5, 1.5, other.shape)
        loss, total = loss + (other * weights).sum(), total + (one * torch.tensor(weights)).sum()
    if isinstance(loss, Tensor) and loss.requires_grad:
        loss.backward()
    if total.requires_grad:
        total.backward()
    found = {**own, **further, **initial, "xs": xs}
    right = {**leaves, **starts, "xs": sequence}
    for n, mine in {**own, **further, **initial, "xs": xs}.items():
        one = np.zeros(mine.shape) if found[n].grad is None else found[n].grad.numpy()
        gradient = right[n].grad
        other = np.zeros(mine.shape) if gradient is None else gradient.numpy()
        close(one, other, 1e-10, f"the gradient of {n}")


@pytest.mark.parametrize("name", ["lstm", "gru_reset_after", "layernorm_lstm", "mlstm"])
def test_gradcheck_passes(name: str) -> None:
    torch = pytest.importorskip("torch")
    q = draw(CELLS[name], 2, 2)
    space = loaded(exported(q, "torch", dtype="float64"), name)
    module = modules(space)[0]().double()
    module.load_state_dict(space["weights"]())
    names = [n for n, _ in module.named_parameters()]

    def outputs(xs: Any, *values: Any) -> Any:
        given = dict(zip(names, values, strict=True))
        return torch.func.functional_call(module, given, (xs,))[0]

    xs = torch.tensor(q.xs, requires_grad=True)
    assert torch.autograd.gradcheck(outputs, (xs, *module.parameters()))


def test_another_size_of_a_module() -> None:
    torch = pytest.importorskip("torch")
    space = loaded(export(cells.lstm, "torch"), "lstm")  # type: ignore[arg-type]
    module = space["LSTM"](inputs=7, hidden=5)
    outputs, (h, C) = module(torch.zeros(3, 2, 7))
    assert outputs.shape == (3, 2, 5) and h.shape == C.shape == (2, 5)
    bound = 12**-0.5
    assert float(module.W_f.detach().abs().max()) <= bound and not module.b_f.any()


@pytest.mark.parametrize("name", NAMES)
def test_the_text_is_clean(name: str, tmp_path: Path) -> None:
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent)) or shutil.which("ruff")
    if ruff is None:
        pytest.skip("ruff is not installed")
    file = tmp_path / "module.py"
    file.write_text(exported(problem(name), "torch"), encoding="utf-8")
    # a paper may call a value O
    words = ["check", "--isolated", "--select", "E4,E7,E9,F,I,UP", "--ignore", "E741", str(file)]
    done = subprocess.run([ruff, *words], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout


# --- ONNX -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_onnxruntime_computes_the_same(name: str, kind: str) -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    if kind == "float64" and name not in FEW:
        pytest.skip("one kind of number is enough")
    q = problem(name)
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(
        exported(q, "onnx", dtype=kind), options, providers=["CPUExecutionProvider"]
    )
    known = {i.name for i in [*session.get_inputs(), *session.get_overridable_initializers()]}
    feeds = {"xs": q.xs, **{f"initial_{n}": v for n, v in q.initial.items()}, **q.further}
    rounded = {n: np.asarray(v, kind) for n, v in feeds.items()}
    names = ["outputs", *(f"final_{n}" for n in q.cell.state)]
    found = session.run(names, {n: v for n, v in rounded.items() if n in known})
    run = unroll(
        q.cell,
        {n: np.asarray(v, kind).astype(float) for n, v in q.p.items()},
        rounded["xs"].astype(float),
        {n: rounded[f"initial_{n}"].astype(float) for n in q.initial},
        **{n: rounded[n].astype(float) for n in q.further},
    )
    right = [run[q.cell.output], *run.final.values()]
    for what, one, other in zip(names, found, right, strict=True):
        close(one, other.numpy(), 1e-5 if kind == "float32" else 1e-10, what)


# --- C, JavaScript, WebAssembly -------------------------------------------------------------------
@pytest.mark.skipif(GCC is None, reason="no C compiler")
@pytest.mark.parametrize("name", FEW)
def test_c_compiles_without_a_warning_and_is_right(name: str, tmp_path: Path) -> None:
    q = problem(name)
    for kind in ("float32", "float64") if WHOLE else ("float64",):
        file = tmp_path / f"{kind}.c"
        exported(q, "c", dtype=kind, path=file)
        ran(file, [str(GCC)], tmp_path)
    part = [str(GCC), *C_FLAGS, "-DNO_MAIN", "-c", str(file), "-o", str(tmp_path / "part.o")]
    assert subprocess.run(part).returncode == 0


def ran(file: Path, compiler: list[str], folder: Path) -> None:
    program = str(folder / "program")
    words = [*compiler, *C_FLAGS, "-O0", "-pedantic", str(file), "-lm"]
    for command in ([*words, "-o", program], [program]):
        done = subprocess.run(command, capture_output=True, encoding="utf-8")
        assert done.returncode == 0, done.stdout + done.stderr


def test_c_in_other_compilers(tmp_path: Path) -> None:
    file = tmp_path / "network.c"
    export(NETWORKS["layers"], "c", file, inputs=3, hidden=4)
    tried = 0
    for compiler in filter(shutil.which, ("clang", "tcc")):
        ran(file, [compiler], tmp_path)
        tried += 1
    if WHOLE:
        pytest.importorskip("ziglang")
        ran(file, [sys.executable, "-m", "ziglang", "cc"], tmp_path)
        tried += 1
    if not tried:
        pytest.skip("no clang or tcc; Zig is tried with WHOLE=1, for it builds a C library")


@pytest.mark.skipif(NODE is None, reason="node is not installed")
@pytest.mark.parametrize("name", FEW)
def test_node_runs_the_javascript(name: str, tmp_path: Path) -> None:
    exported(problem(name), "js", path=tmp_path / "cell.js", dtype="float64")
    right, words = self_test(tmp_path / "cell.js", "js")
    assert right, words


@pytest.mark.skipif(NODE is None, reason="node is not installed")
@pytest.mark.skipif(not WHOLE, reason="WHOLE=1 is not set: Zig builds a C library first")
def test_node_runs_the_webassembly(tmp_path: Path) -> None:
    pytest.importorskip("ziglang")
    export(NETWORKS["layers"], "wasm", tmp_path / "network.js", inputs=3, hidden=4)
    right, words = self_test(tmp_path / "network.js", "wasm")
    assert right, words
    export(NETWORKS["layers"], "wasm", tmp_path / "network.wasm", inputs=3, hidden=4)
    right, words = self_test(tmp_path / "network.wasm", "wasm")
    assert right, words
    script = (
        "const n = require('./network.js'); const xs = Float32Array.from({length: 3000}, Math.sin);"
        "const all = n.forward({xs, batch: 2}), half = xs.slice(0, 1500);"
        "const first = n.forward({xs: half, batch: 2});"
        "console.log(all.outputs.length, first.outputs.length, n.selfTest() < 1e-5);"
    )
    done = subprocess.run(
        [str(NODE), "-e", script], capture_output=True, encoding="utf-8", cwd=tmp_path
    )
    assert done.stdout.split() == ["4000", "2000", "true"], done.stdout + done.stderr


# --- networks -------------------------------------------------------------------------------------
@pytest.mark.parametrize("to", ["c", "js", "torch", "onnx"])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name: str, to: str, tmp_path: Path) -> None:
    needed: dict[str, Callable[[], Any]] = {
        "c": lambda: GCC or pytest.skip("no C compiler"),
        "js": lambda: NODE or pytest.skip("node is not installed"),
        "torch": lambda: pytest.importorskip("torch"),
        "onnx": lambda: pytest.importorskip("onnxruntime"),
    }
    needed[to]()
    file = tmp_path / "network"
    made = export(NETWORKS[name], to, file, dtype="float64", inputs=3, hidden=4)
    if to == "torch":
        assert loaded(made, "network")["self_test"]() < 1e-10  # type: ignore[arg-type]
        return
    right, words = self_test(file, to)
    assert right, words


def test_a_test_that_is_wrong_fails(tmp_path: Path) -> None:
    if GCC is None or NODE is None:
        pytest.skip("no C compiler or no node")
    cell: Cell = cells.rnn
    for to, before, after in (("c", "tanhf(sum_1", "tanhf(sum_1 * 1.01f"), ("js", "tanh(", "sin(")):
        text = export(cell, to)
        assert isinstance(text, str) and before in text
        file = tmp_path / f"broken.{to}"
        file.write_text(text.replace(before, after), encoding="utf-8")
        assert not self_test(file, to)[0], to


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (systems.storn, r"'storn'.*wires of their own\.\n  Export each part, such as parts\['q'\]"),
        (stack([cells.gru, system(a=cells.gru, wires={"a.x": "x"})]), "wires of their own"),
        (grid(systems.grid_lstm, down="depth", depth=2), "Export its block, grid.block"),
        (compiled(grid(systems.grid_lstm)), "a grid has places along its axes"),
    ],
)
def test_what_is_no_layer_upon_layer_is_refused(network: Any, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        export(network, "c")


def test_tied_layers_have_copies_of_their_parameters() -> None:
    pytest.importorskip("torch")
    net = bidirectional(stack([cells.gru, cells.rnn, cells.rnn], tied="2 3"))
    p = net.init(inputs=4, hidden=4, dtype=np.float64)
    answers = subject(net, p).answers
    close(answers.outputs, unroll(net, p, answers.xs)[net.output].data, 1e-12, "tied")
    assert loaded(export(net, "torch", parameters=p), "tied")["self_test"]() < 1e-10  # type: ignore[arg-type]
