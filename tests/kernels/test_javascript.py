"""Cells as JavaScript in node: what the interpreter computes, by the loops and by the script."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiling import LENGTHS, NO_NODE, NO_WASM, compare, problem
from readings.subjects import CELLS, Result, close, draw, equal_sizes
from readings.test_compiled_code import agree
from running_scripts import run_script
from sampling import WHOLE

from tinygrad_lstm import (
    Tensor,
    cell,
    cells,
    compiled,
    concat,
    cos,
    erf,
    errors,
    expm1,
    floor,
    log,
    log1p,
    sigmoid,
    sin,
    softplus,
    sqrt,
    tanh,
    unroll,
)
from tinygrad_lstm.kernels import node, wasm_code
from tinygrad_lstm.kernels.loop import lower
from tinygrad_lstm.kernels.toolchain import NoCompiler

needs_node = pytest.mark.skipif(bool(NO_NODE), reason=NO_NODE)
SITUATIONS: dict[str, dict[str, Any]] = {
    "no first states": {"initial": False, "equations": False},
    "lengths": {"lengths": LENGTHS},
    "reverse": {"lengths": LENGTHS, "reverse": True},
    "one": {"lead": ()},
    "two axes": {"lead": (2, 2), "reverse": True},
    "one step": {"time": 3, "lead": (1,)},
    "float32": {"dtype": np.float32, "lengths": LENGTHS},
    "low": {"memory": "low", "lengths": LENGTHS},
}
# Two cells in all situations, every cell of the package in one, and some others of the corpus;
# WHOLE=1 in the environment: all of them.
NAMES = [*cells.all()]
PAIRS = [
    (name, how)
    for k, name in enumerate(NAMES)
    for j, how in enumerate(SITUATIONS)
    if WHOLE or name in ("lstm", "depth_gated") or (k + j) % len(SITUATIONS) == 0
]
OTHERS = sorted({*CELLS} - {*NAMES})
SAMPLE = OTHERS if WHOLE else random.Random(11).sample(OTHERS, 12)


@needs_node
@pytest.mark.parametrize(("name", "how"), PAIRS)
def test_cells_in_their_situations(name: str, how: str) -> None:
    options = dict(SITUATIONS[how])
    ours = {k: options.pop(k) for k in ("memory", "equations") if k in options}
    compare(cells.all()[name], problem(cells.all()[name], **options), "js", **ours)


@needs_node
@pytest.mark.parametrize("name", SAMPLE)
def test_cells_of_the_corpus(name: str) -> None:
    q = draw(CELLS[name], 3, 3, **equal_sizes(CELLS[name])[1])
    fast = compiled(CELLS[name], code="js")
    agree(Result(q), Result(q, fast), 1e-10, "js")
    assert {type(k.code).__name__ for k in fast._kernels.values()} == {"JavaScriptCode"}


# --- the script that leaves the house -------------------------------------------------------------
@cell(
    state={"given": "hidden, 2", "function": "hidden"},
    parameters={"W": "hidden, hidden + inputs", "n h_bar γ": "hidden", "M": "hidden, hidden"},
    sequences={"at": "hidden"},
    constants={"steps": "hidden"},
    start={"function": 0.25, "n": 1},
    output="function",
)
def constructor(now, prev, x, p, at, steps):
    """Names that mean something else in JavaScript, a matrix as state, weights made of others."""
    turned = sigmoid(p.γ) * (p.M.T @ prev.function)
    now.b = tanh(p.W @ concat(prev.function, x) + turned) * p.n + prev.given.sum(-1) + at * steps
    now.given = 0.5 * prev.given + now.b[:, None] * p.h_bar[:, None]
    now.t = now.b > 0.1
    now.function = tanh(now.b * now.t)


RUN = """
  const cell = Object.values(made)[0], weights = cell.pack(given.p);
  const run = cell.forward(weights, given.inputs, given.options);
  const values = Object.fromEntries(Object.keys(cell.equations).map((n) => [n, run.value(n)]));
  const final = Object.fromEntries(Object.keys(cell.states).map((n) => [n, run.final(n)]));
  const back = cell.backward(run, given.adjoints, given.final), again = {};
  const stream = cell.stream(weights);
  for (const n of Object.keys(cell.equations)) again[n] = [];
  for (const one of given.steps) {
    for (const n of Object.keys(one)) stream.inputs[n].set(one[n].flat(Infinity));
    stream.step();
    for (const n of Object.keys(again)) again[n].push(...stream.values[n]);
  }
  return { values, final, back, again };
"""


def javascript(own: Any, dtype: Any, sizes: dict[str, int]) -> str:
    return compiled(own).source("js", dtype, **sizes)  # type: ignore[no-any-return]


def wasm(own: Any, dtype: Any, sizes: dict[str, int]) -> str:
    fast = compiled(own)
    plan = fast.plan(**sizes)
    start = {n: own.initial(n, plan.step.inputs[f"prev.{n}"].shape, dtype) for n in own.state}
    return wasm_code.script(lower(plan, start), dtype)


@needs_node
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("own", [constructor, cells.lstm], ids=str)
@pytest.mark.parametrize(
    "make",
    [javascript, pytest.param(wasm, marks=pytest.mark.skipif(bool(NO_WASM), reason=NO_WASM))],
)
def test_a_script_alone_computes_gradients_of_parameters(
    make: Any, own: Any, dtype: Any, tmp_path: Path
) -> None:
    tolerance = 1e-5 if dtype == np.float32 else 1e-10
    sizes, time, rows, ends = {"inputs": 3, "hidden": 2}, 4, 3, [4, 1, 3]
    script = make(own, dtype, sizes)
    numbers = np.random.default_rng(5)
    p = {n: numbers.normal(size=t.shape) for n, t in own.init(**sizes).items()}
    once = {n: numbers.normal(size=2) for n in own.constants}
    xs = {"x": numbers.normal(size=(time, rows, 3))}
    xs |= {n: numbers.normal(size=(time, rows, 2)) for n in own.sequences}
    ends_at = {n: numbers.normal(size=(rows, 2)) for n in own.state if n != "given"}
    weights = numbers.normal(size=(time, rows, 2))
    leaves = {n: Tensor(v) for n, v in (p | once | xs).items()}
    run = unroll(
        own,
        {n: leaves[n] for n in p},
        leaves["x"],
        lengths=ends,
        **{n: leaves[n] for n in (*own.sequences, *own.constants)},
    )
    loss: Any = (run[own.output] * weights).sum()
    for name, share in ends_at.items():
        loss = loss + (run.final[name] * share).sum()
    loss.backward()
    alone = unroll(
        own, p, xs["x"][:, 0], **{n: xs[n][:, 0] for n in own.sequences}, **once
    )  # a stream begins where a sequence begins
    given = {
        "p": {n: v.tolist() for n, v in (p | once).items()},
        "inputs": {n: v.tolist() for n, v in xs.items()},
        "options": {"rows": rows, "lengths": ends},
        "adjoints": {own.output: weights.tolist()},
        "final": {n: v.tolist() for n, v in ends_at.items()},
        "steps": [{n: v[t, 0].tolist() for n, v in xs.items()} for t in range(time)],
    }
    found = run_script(script, RUN, given, tmp_path)
    for name in run.names:
        value = run[name].numpy().astype(float)
        close(np.reshape(found["values"][name], value.shape), value, tolerance, name)
        value = alone[name].numpy().astype(float)
        close(np.reshape(found["again"][name], value.shape), value, tolerance, f"stream: {name}")
    for name, state in run.final.items():
        close(np.reshape(found["final"][name], state.shape), state.numpy(), tolerance, name)
    for name in (*p, *once):
        expected, own_found = leaves[name].grad, found["back"]["parameters"][name]
        value = np.zeros(leaves[name].shape) if expected is None else expected.numpy()
        close(np.reshape(own_found, value.shape), value, 10 * tolerance, f"gradient of {name}")
    slope = leaves["x"].grad.numpy()
    close(np.reshape(found["back"]["inputs"]["x"], slope.shape), slope, 10 * tolerance, "x")


@needs_node
def test_a_script_says_what_is_missing(tmp_path: Path) -> None:
    script = compiled(cells.lstm).source("js", inputs=3, hidden=4)
    p = {n: t.numpy().tolist() for n, t in cells.lstm.init(inputs=3, hidden=4).items()}
    body = """
      const { lstm } = made, said = [], { W_f, ...rest } = given, weights = lstm.pack(given);
      const calls = [
        () => lstm.pack(rest), () => lstm.pack({ ...given, W_f: [1, 2] }),
        () => lstm.pack({ ...given, W_g: 1 }), () => lstm.forward(weights, {}),
        () => lstm.forward(weights, { x: [1, 2, 3] }, { initial: { h: [1] } }),
        () => lstm.forward(weights, { x: [1, 2, 3] }).value("g"),
      ];
      for (const call of calls) try { call(); } catch (error) { said.push(error.message); }
      return said;
    """
    assert run_script(script, body, p, tmp_path) == [
        "lstm: W_f has 28 numbers, got 0.",
        "lstm: W_f has 28 numbers, got 2.",
        "lstm: no parameter W_g; there are: W_f, W_i, W_C, W_o, b_f, b_i, b_C, b_o.",
        "lstm: x has 3 numbers a step for each of 1 rows, got 0.",
        "lstm: h has 4 numbers, got 1.",
        "lstm: no equation g; there are: f, i, C_tilde, C, o, h.",
    ]


def test_a_script_is_short_whatever_the_sizes() -> None:
    """Tables of places are made when it is loaded."""
    small, large = (compiled(cells.lstm).source("js", inputs=n, hidden=4 * n) for n in (2, 128))
    assert len(large) < len(small) + 1_000 < 25_000
    assert "eval" not in large and "Function(" not in large and "import" not in large


def test_the_comments_of_a_script_are_the_lines_of_the_plan() -> None:
    fast = compiled(cells.gru)
    script = fast.source("js", inputs=3, hidden=4)
    lines = re.findall(r"^    ?(?:  )?(\S.* = .*)$", str(fast.plan(inputs=3, hidden=4)), re.M)
    assert len(lines) > 10
    for line in lines:
        assert re.sub(r"   \(.*", "", line) in script, line


# --- WebAssembly: each is compiled, for half a second ---------------------------------------------
in_wasm = pytest.mark.skipif(bool(NO_WASM), reason=NO_WASM)
FEW = list(SITUATIONS) if WHOLE else ["lengths", "reverse", "float32", "low"]
LESS = SAMPLE if WHOLE else SAMPLE[:4]


@in_wasm
@pytest.mark.parametrize(("name", "how"), [(n, how) for n in ("lstm", "mut1") for how in FEW])
def test_wasm_in_its_situations(name: str, how: str) -> None:
    options = dict(SITUATIONS[how])
    ours = {k: options.pop(k) for k in ("memory", "equations") if k in options}
    compare(cells.all()[name], problem(cells.all()[name], **options), "wasm", **ours)


@in_wasm
@pytest.mark.parametrize("name", LESS)
def test_wasm_of_the_corpus(name: str) -> None:
    q = draw(CELLS[name], 3, 3)
    fast = compiled(CELLS[name], code="wasm")
    agree(Result(q), Result(q, fast), 1e-10, "wasm")
    assert {type(k.code).__name__ for k in fast._kernels.values()} == {"WasmCode"}


@cell(state="h", parameters={"W": "hidden, inputs", "a": "hidden"})
def functions(now, prev, x, p):
    """What a module imports of the functions of C."""
    now.a = erf(p.W @ x) + expm1(prev.h) + softplus(prev.h * p.a)
    now.b = log1p(now.a * now.a) + (now.a * now.a + 0.5) ** 0.3 + floor(3.3 * now.a)
    now.h = sin(now.b) * cos(now.a) + sqrt(now.a * now.a + 1) - log(now.b * now.b + 1)


@in_wasm
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_functions_that_wasm_has_not(dtype: Any) -> None:
    compare(functions, problem(functions, dtype=dtype), "wasm")


def test_without_zig_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ziglang", None)
    with pytest.raises(NoCompiler, match="there is no package ziglang: pip install"):
        wasm(cells.lstm, np.float32, {"inputs": 2, "hidden": 2})
    text = compiled(cells.lstm).source("wasm", inputs=2, hidden=2)  # needs none
    assert text.startswith("/* zig cc -target wasm32-wasi ") and "void forward(" in text


# --- the process ----------------------------------------------------------------------------------
def ran() -> Any:
    fast = compiled(cells.rnn, code="js")
    p = cells.rnn.init(inputs=2, hidden=2)
    return lambda: unroll(fast, p, np.ones((2, 2)))["h"].numpy()


@needs_node
def test_a_process_that_ended_is_started_anew() -> None:
    run = ran()
    before = run()
    process = node.child()
    process.close()
    assert np.array_equal(run(), before) and node.child() is not process


@needs_node
def test_the_process_ends_with_ours() -> None:
    text = (
        "import numpy as np; from tinygrad_lstm import cells, compiled, unroll\n"
        "fast = compiled(cells.rnn, code='js')\n"
        "unroll(fast, cells.rnn.init(inputs=1, hidden=1), np.ones((1, 1)))\n"
        "from tinygrad_lstm.kernels import node; print(node.child().pid)"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, timeout=60, check=True)
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


@pytest.mark.skipif(os.name == "nt", reason="the programs are scripts of a shell")
@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exec sleep 60", "node gave no answer in 0.5 s and was stopped."),
        ("exit 3", "node ended before it answered (exit code 3)."),
        ("echo no", "node ended before it answered"),
    ],
)
def test_a_node_that_is_none(
    script: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "node"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o700)
    monkeypatch.setattr(node, "SECONDS", 0.5)
    monkeypatch.setattr(node, "_child", None)
    monkeypatch.setenv("TINYGRAD_LSTM_NODE", str(program))
    with pytest.raises(errors.TinygradError, match=re.escape(message)):
        ran()()


def without_node(monkeypatch: pytest.MonkeyPatch, named: str) -> Callable[[], Any]:
    monkeypatch.setattr(node, "_child", None)
    monkeypatch.setenv("TINYGRAD_LSTM_NODE", named)
    return ran()


def test_without_node_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.TinygradError, match="there is no node: .* Node.js"):
        without_node(monkeypatch, "")()
    with pytest.raises(errors.TinygradError, match="no program 'nod', which TINYGRAD_LSTM_NODE"):
        without_node(monkeypatch, "nod")()
    assert "function" in compiled(cells.rnn).source("js", inputs=2, hidden=2)  # needs none
