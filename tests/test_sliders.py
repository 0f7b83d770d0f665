"""A one-unit cell in the browser: the printed JavaScript against the engine, and the sliders."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import viz_cells

from equations import javascript
from tinygrad_lstm import cell, cells, matvec, sigmoid, softmax, tanh
from tinygrad_lstm.program import Program
from tinygrad_lstm.recurrent import Cell

POINTS = 200
CHROMIUM, NODE = shutil.which("chromium"), shutil.which("node")
@cell(state="h", parameters={"W": "hidden, hidden + inputs"})
def twice(now, prev, x, p):  # type: ignore[no-untyped-def]
    """One weight matrix inside two functions, and its product by itself: each a value apart."""
    now.a = matvec(p.W, concatenated(prev.h, x))
    now.b = sigmoid(matvec(p.W, concatenated(prev.h, x)))
    now.constructor = tanh(matvec(p.W, concatenated(prev.h, x)))
    now.h = now.a * now.b - (now.constructor - 2 * prev.h) / (1 + now.b**2)


@cell(state="h", parameters={"W": "hidden, 2 * hidden + inputs", "v": "3 * hidden"})
def several(now, prev, x, p):  # type: ignore[no-untyped-def]
    """Values with several entries, reductions over them."""
    now.s = softmax(p.v * sigmoid(p.v - prev.h))
    now.m = p.v.max() + now.s.mean() - np.cumsum(now.s)[1:2]
    now.h = tanh(matvec(p.W, concatenated(now.m, prev.h, x))) * now.m


def concatenated(*parts: Any) -> Any:
    return np.concatenate(parts)


Evaluate = Callable[[str, str], Any]


@pytest.fixture(scope="module")
def evaluated() -> Iterator[Evaluate]:
    """What JavaScript computes, in a headless browser or in node."""
    if CHROMIUM:
        sync = pytest.importorskip("playwright.sync_api")
        with sync.sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page()
            yield lambda code, result: page.evaluate(f"() => {{ {code}\nreturn {result}; }}")
            browser.close()
    elif NODE:
        yield in_node
    else:
        pytest.skip("neither Chromium nor node is installed")


def in_node(code: str, result: str) -> Any:
    """What node computes."""
    whole = f'"use strict"; {code}\nconsole.log(JSON.stringify({result}))'
    run = subprocess.run([str(NODE), "-"], input=whole, capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


# --- the two sides ------------------------------------------------------------------------------
def drawn(one: Cell, random: np.random.Generator) -> dict[str, Any]:
    """Random numbers for every input and seed of a cell's Program at size 1; further inputs 1."""
    program = one.program(**dict.fromkeys(one.sizes, 1))
    arrays: dict[str, Any] = {
        name: random.normal(0.0, 1.5, node.shape) for name, node in program.inputs.items()
    }
    for name in (*one.sequences, *one.constants):
        arrays[name] = np.ones_like(arrays[name])
    for name in one.state:
        arrays[f"seed.{name}"] = random.normal(size=program.outputs[name].shape)
    return arrays


def for_page(one: Cell, arrays: dict[str, Any]) -> list[dict[str, Any]]:
    """The same numbers as the printed functions take them: values and seeds."""

    def plain(name: str) -> Any:
        flat = np.ravel(arrays[name]).tolist()
        return flat[0] if len(flat) == 1 else flat

    values = {
        "prev": {name: plain(f"prev.{name}") for name in one.state},
        "x": plain("x"),
        "p": {name: plain(name) for name in one.parameters},
        "given": {name: plain(name) for name in (*one.sequences, *one.constants)},
    }
    return [values, {name: plain(f"seed.{name}") for name in one.state}]


def engine(program: Program, gradient: Program, arrays: dict[str, Any]) -> dict[str, Any]:
    """What the engine computes: every value and every adjoint."""
    forward = {n: a for n, a in arrays.items() if not n.startswith("seed.")}
    run = gradient.run(**arrays)
    found = {f"now.{n}": v for n, v in program.run(**forward).items()}
    found |= {f"bar.{n}": run[f"bar.{n}"] for n in program.equations if f"bar.{n}" in run}
    for name in program.inputs:
        space, _, state = name.partition(".")
        found[f"earlier.{state}" if space == "prev" else f"bar.{name}"] = run[name]
    return found


ALL = {
    **cells.all(), "exotic": viz_cells.exotic, "exponential": viz_cells.exponential,
    "deep": viz_cells.deep, "twice": twice, "several": several,
}  # fmt: skip
RUN = """points.map(([values, seeds]) => {
  const after = forward(values);
  return { ...after, ...backward(after, seeds) };
})"""


@pytest.mark.parametrize("name", ALL)
def test_javascript_computes_what_the_engine_computes(name: str, evaluated: Evaluate) -> None:
    one = ALL[name]
    random = np.random.default_rng(7)
    points = [drawn(one, random) for _ in range(POINTS)]
    given = json.dumps([for_page(one, arrays) for arrays in points])
    found = evaluated(f"{javascript(one)}\nconst points = {given};", RUN)
    program = one.program(**dict.fromkeys(one.sizes, 1))
    gradient = program.gradient()
    for arrays, page in zip(points, found, strict=True):
        expected = engine(program, gradient, arrays)
        assert {*page["now"]} == {k[4:] for k in expected if k.startswith("now.")}
        for key, value in expected.items():
            space, _, own = key.partition(".")
            size = max(1.0, float(np.max(np.abs(value))))
            close = np.ravel(page[space][own]) - np.ravel(value)
            assert np.max(np.abs(close)) <= 1e-12 * size, f"{name}: {key}"


def test_what_is_held_takes_the_place_of_its_gate_and_passes_nothing_on(
    evaluated: Evaluate,
) -> None:
    arrays = drawn(cells.lstm, np.random.default_rng(3))
    values, seeds = for_page(cells.lstm, arrays)
    held = {**values, "held": {"f": 40.0, "i": -40.0}}
    code = f"{javascript(cells.lstm)}\nconst points = {json.dumps([[held, seeds]])};"
    (page,) = evaluated(code, RUN)
    assert page["pre"]["f"] == 40 and page["now"]["f"] == 1
    assert page["now"]["C"] == pytest.approx(values["prev"]["C"], abs=1e-15)
    assert page["earlier"]["C"] == page["bar"]["C"]
    assert page["bar"]["W_f"] == [0, 0] and page["bar"]["b_i"] == 0
    assert page["bar"]["b_o"] == page["delta"]["o"] != 0
    assert page["delta"]["f"] == 0  # saturated

    # held at 0.5, the gate is the one whose bias brings it there; only the way on is cut
    (page,) = evaluated(
        f"{javascript(cells.lstm)}\n"
        f"const points = {json.dumps([[{**values, 'held': {'f': 0.5}}, seeds]])};", RUN,
    )  # fmt: skip
    hx = np.array([values["prev"]["h"], values["x"]])
    moved = {**arrays, "b_f": arrays["b_f"] * 0 + 0.5 - np.dot(values["p"]["W_f"], hx)}
    program = cells.lstm.program(inputs=1, hidden=1)
    expected = engine(program, program.gradient(), moved)
    assert page["now"]["h"] == pytest.approx(expected["now.h"][0], abs=1e-12)
    assert page["delta"]["f"] == pytest.approx(expected["bar.b_f"][0], abs=1e-12)
    assert page["bar"]["b_f"] == 0
    cut = expected["bar.x"][0] - expected["bar.b_f"][0] * values["p"]["W_f"][1]
    assert page["bar"]["x"] == pytest.approx(cut, abs=1e-12)


def test_each_statement_stands_below_its_equation_in_the_authors_order() -> None:
    lines = [line.strip() for line in javascript(cells.lstm).splitlines()]
    at = lines.index("// C_t = f_t ⊙ C_{t-1} + i_t ⊙ C̃_t")
    assert lines[at + 1] == "now.C = now.f * prev.C + now.i * now.C_tilde;"
    at = lines.index("// f_t = σ(W_f·[h_{t-1}, x_t] + b_f)")
    assert lines[at + 1 : at + 3] == [
        "pre.f = held.f ?? (p.W_f[0] * prev.h + p.W_f[1] * x + p.b_f);",
        "now.f = sigmoid(pre.f);",
    ]
    at = lines.index("// C̄_{t-1} = C̄_t ⊙ f_t")
    assert lines[at + 1] == "earlier.C = bar.C * now.f;"
    assert sum(line.startswith("const sigmoid") for line in lines) == 1
    assert "softplus" not in javascript(cells.lstm)


@cell(state="h", parameters={"W": "hidden, hidden"})
def unknown(now, prev, x, p):  # type: ignore[no-untyped-def]
    """An infinite constant, which no number of JavaScript stands for by itself."""
    now.h = np.clip(matvec(p.W, prev.h) + x, None, 0.5) * x


def test_a_bound_that_is_missing_is_infinite(evaluated: Evaluate) -> None:
    code = javascript(unknown)
    assert "-Infinity" in code
    values = {"prev": {"h": 2.0}, "x": 3.0, "p": {"W": 1.0}, "given": {}}
    assert evaluated(code, f"forward({json.dumps(values)}).now.h") == 1.5
