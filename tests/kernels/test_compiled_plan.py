"""Plans of compiled cells: how many products, what memory, and what they say of themselves."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiling import problem
from readings.subjects import CELLS

import viz
from tinygrad_lstm import cell, cells, compiled, concat, matvec, sigmoid, tanh
from tinygrad_lstm.kernels import kernel, memory
from tinygrad_lstm.kernels.explain import memory as memory_of
from tinygrad_lstm.kernels.labels import term_of
from tinygrad_lstm.kernels.loop import Multiply, Outer, lower
from tinygrad_lstm.kernels.patterns import end_to_end
from tinygrad_lstm.kernels.plan import Plan, Space
from tinygrad_lstm.kernels.planning import plan_step

GOLDEN = Path(__file__).parents[1] / "golden" / "plans"
LSTM = {"hoisted": 1, "forward": 1, "backward": 1, "deferred": 2, "inputs": 1}


def plan(own: Any) -> Plan:
    found: Plan = compiled(own).plan(**{size: 3 + k for k, size in enumerate(own.sizes)})
    return found


# --- how many products ----------------------------------------------------------------------------
@cell(
    state={"out memory": "units"},
    parameters={"A B G D": "units, units + features", "a b g d": "units"},
    x="features",
)
def renamed(now, prev, x, p):
    both = concat(prev.out, x)
    now.one = sigmoid(matvec(p.A, both) + p.a)
    now.two = sigmoid(matvec(p.B, both) + p.b)
    now.three = tanh(matvec(p.G, both) + p.g)
    now.memory = now.one * prev.memory + now.two * now.three
    now.four = sigmoid(matvec(p.D, both) + p.d)
    now.out = now.four * tanh(now.memory)


@cell(
    state="h C",
    parameters={
        "W_f W_i W_C W_o": "hidden, inputs",
        "U_f U_i U_C U_o": "hidden, hidden",
        "b_f b_i b_C b_o": "hidden",
    },
)
def without_concat(now, prev, x, p):
    now.o = sigmoid(p.b_o + matvec(p.U_o, prev.h) + matvec(p.W_o, x))
    now.f = sigmoid(matvec(p.W_f, x) + matvec(p.U_f, prev.h) + p.b_f)
    now.i = sigmoid((p.b_i + matvec(p.W_i, x)) + matvec(p.U_i, prev.h))
    now.C_tilde = tanh(matvec(p.U_C, prev.h) + (matvec(p.W_C, x) + p.b_C))
    now.C = now.f * prev.C + now.i * now.C_tilde
    now.h = now.o * tanh(now.C)


@cell(state="h C", parameters={"W": "4 * hidden, hidden + inputs", "b": "4 * hidden"})
def one_matrix(now, prev, x, p):
    n = prev.h.shape[-1]
    now.z = matvec(p.W, concat(prev.h, x)) + p.b
    now.C = sigmoid(now.z[..., :n]) * prev.C + sigmoid(now.z[..., n : 2 * n]) * tanh(
        now.z[..., 2 * n : 3 * n]
    )
    now.h = sigmoid(now.z[..., 3 * n :]) * tanh(now.C)


@pytest.mark.parametrize("own", [cells.lstm, renamed, without_concat, one_matrix], ids=str)
def test_an_lstm_in_any_writing_has_five_products(own: Any) -> None:
    assert plan(own).products == LSTM


def test_products_of_other_cells() -> None:
    counts = {name: plan(c).products for name, c in cells.all().items()}
    assert counts["rnn"] == LSTM
    for name in ("lstm_peephole_gers", "lstm_coupled", "odyssey_vanilla", "cifg", "nog"):
        assert counts[name] == LSTM, name
    assert counts["gru_reset_after"] == LSTM
    # the reset state is multiplied by a matrix of its own
    assert counts["gru"] == {"hoisted": 1, "forward": 2, "backward": 2, "deferred": 3, "inputs": 1}
    # i, f and o of the step before have matrices of their own
    assert counts["fgr"]["forward"] == counts["fgr"]["backward"] == 4
    for name, found in counts.items():
        assert found["hoisted"] <= 1 and found["inputs"] <= 1, name
        assert found["deferred"] == found["hoisted"] + found["forward"], name


def test_no_gradient_of_x_is_computed_where_none_is_wanted() -> None:
    own = cells.lstm
    program = own.program(hidden=3, inputs=4)
    without = plan_step(program, own.parameters, {"h"}, set())
    assert without.products == {**LSTM, "inputs": 0}
    assert not any(name.startswith("bar.in") for name in without.buffers)


# --- memory ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", "fgr", "mut1", "nog"])
def test_memory_per_step_is_what_is_allocated(
    name: str, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = cells.all()[name]
    asked: list[int] = []
    carve = memory.carved

    def counted(shapes: Any, kind: Any) -> Any:
        block, found = carve(shapes, kind)
        asked.append(sum(array.nbytes for array in found.values()))
        return block, found

    monkeypatch.setattr(kernel, "carved", counted)
    totals = []
    for time in (10, 20):
        asked.clear()
        run, _ = problem(own, dtype=dtype, time=time).run(compiled(own, "numpy"))
        run[own.output].sum().backward()
        totals.append(sum(asked))
    batch, found = 3, plan(own)
    handed_out = sum(b.width for b in found.layout.of(Space.INPUT_ADJOINT).values())  # new each run
    kept = per_step(found) - handed_out
    assert totals[1] - totals[0] == 10 * batch * kept * np.dtype(dtype).itemsize


def per_step(found: Plan) -> int:
    """Numbers for each step and sample."""
    return sum(sum(part.values()) for part in memory_of(lower(found)).values())


@pytest.mark.parametrize("name", CELLS)
def test_no_operation_writes_where_it_reads(name: str) -> None:
    """But for parts of a concatenation that lie where they will be read."""
    found = plan(CELLS[name])
    for stage in (*found.ahead, *found.forward, *found.backward):
        if stage.shape is not None:
            continue  # entry by entry
        (node,) = stage.made
        at, start = found.place(node), 0
        for i in [stage.operands[1]] if stage.product else stage.operands:
            own = found.place(i)
            same = own is not None and at is not None and own.buffer == at.buffer
            ready = same and end_to_end(node) and own.start == at.start + start
            if same and not ready:
                assert own.start + i.size <= at.start or at.start + node.size <= own.start, node
            start += i.size


def test_memory_of_an_lstm() -> None:
    found = memory_of(lower(plan(cells.lstm)))
    assert found == {
        "forward": {"u_1": 12, "f_t i_t o_t": 9, "C̃_t": 3, "C_t": 3, "h_t": 3},
        "backward": {"x̄_t": 4},
    }
    assert per_step(plan(cells.lstm)) == 34
    assert "34 numbers: 136 bytes in float32, 272 in float64" in str(plan(cells.lstm))


@cell(
    state="h c",
    sequences={"s": "inputs"},
    parameters={
        "A_k A_f A_g B_k B_f B_g": "hidden, inputs",
        "U_f U_g": "hidden, hidden",
        "b_f": "hidden",
    },
)
def two_sources(now, prev, x, p, s):
    """Two hoisted products that the product of the loop may be added to; k stands between."""
    now.f = sigmoid(matvec(p.A_f, x) + matvec(p.B_f, s) + matvec(p.U_f, prev.h) + p.b_f)
    now.k = sigmoid(matvec(p.A_k, x) + matvec(p.B_k, s))
    now.g = tanh(matvec(p.A_g, x) + matvec(p.B_g, s) + matvec(p.U_g, prev.h))
    now.c = now.f * prev.c + now.g
    now.h = now.k * tanh(now.c)


# --- the text -------------------------------------------------------------------------------------
@pytest.mark.parametrize("own", [cells.lstm, cells.gru, two_sources], ids=lambda own: own.name)
def test_the_text_of_a_plan_is_golden(own: Any) -> None:
    """To accept a new plan, read it, then run with REFRESH_GOLDEN=1."""
    path = GOLDEN / f"{own.name}.txt"
    text = str(plan(own)) + "\n"
    if os.environ.get("REFRESH_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", cells.all())
def test_every_equation_and_parameter_is_in_the_text(name: str) -> None:
    own = cells.all()[name]
    found = plan(own)
    sections = lower(found).sections()
    text = str(found)
    forward = {t.name for part in ("ahead", "forward") for s in sections[part] for t in s.writes}
    assert set(found.step.equations) <= forward
    for parameter in own.parameters:
        assert str(term_of(parameter, static=True)) in text
    for section in ("once", "ahead", "forward", "backward", "after"):
        assert f"\n{section}: " in text
    every = [statement for part in sections.values() for statement in part]
    products = sum(isinstance(statement, Multiply | Outer) for statement in every)
    assert products == sum(found.products.values())


@pytest.mark.parametrize("name", cells.all())
def test_every_name_in_the_text_is_written_before_it_is_read(name: str) -> None:
    own = cells.all()[name]
    found = plan(own)
    known = {term_of(n).name for n in found.step.inputs if not n.startswith("W.")}
    known |= {*own.parameters, *own.constants}
    known |= {f"carry.{s}" for s in found.states} | {f"given.{s}" for s in found.seeds}
    for statements in lower(found).sections().values():
        for statement in statements:
            assert statement.writes
            reads = {term.name for term in statement.reads}
            assert reads <= known, (statement.lines, reads - known)
            known |= {term.name for term in statement.writes}


def test_the_bar_of_an_adjoint_stands_over_the_letter_of_its_value() -> None:
    """The letter of C_tilde's adjoint is C with both marks, and C̄ is that of C alone."""
    lines = [line.strip() for line in str(plan(cells.lstm)).splitlines()]
    assert "C\u0303\u0304_t = C\u0304_t ⊙ i_t" in lines
    assert "C\u0304_{t-1} = C\u0304_t ⊙ f_t" in lines
    assert not any("bar" in line or "tilde" in line for line in lines)


@pytest.mark.parametrize("code", ["c", "numpy"])
@pytest.mark.parametrize("name", ["lstm", "gru", "mut1"])
def test_the_comments_of_the_code_are_the_lines_of_the_plan(name: str, code: str) -> None:
    own = cells.all()[name]
    sizes = {size: 3 + k for k, size in enumerate(own.sizes)}
    source, sections = compiled(own).source(code, **sizes), lower(plan(own)).sections()
    several = [s for part in ("ahead", "forward", "backward", "after") for s in sections[part]]
    for line in (line for statement in several for line in statement.lines):
        equation = " += " not in line or "·" in line
        assert not equation or line.split(" = ")[0] in source
    assert all(s.lines[0] in source for s in several if isinstance(s, Multiply | Outer))


def test_the_text_of_a_cell_with_other_operations() -> None:
    @cell(state="h", parameters={"W": "hidden, hidden + inputs"})
    def own(now, prev, x, p):
        now.a = matvec(p.W, concat(prev.h, x))
        now.h = now.a - now.a.mean(-1, True)

    lines = [line.strip() for line in str(plan(own)).splitlines()]
    assert "u_3 = mean(a_t)" in lines
    assert "W_1 = W[:, :hidden]   (3 × 3)" in lines
    assert "h_t = a_t - u_3" in lines


# --- the figure -----------------------------------------------------------------------------------
@pytest.mark.parametrize("name", cells.all())
def test_the_figure_of_a_plan(name: str) -> None:
    found = plan(cells.all()[name])
    figure = viz.plan(found)
    root = ET.fromstring(figure.svg())
    groups = [g.get("class", "").split() for g in root.iter("{http://www.w3.org/2000/svg}g")]
    assert sum("layer" in g for g in groups) == sum(found.products.values())
    for equation in found.step.equations:
        assert any(f"eq-{equation}" in g for g in groups), equation
    for statement in (s for part in lower(found).sections().values() for s in part):
        if isinstance(statement, Multiply | Outer):
            assert f"{statement.lines[0]}." in figure.alt
    boxes = {s.id: s.box for s in figure.scene.shapes if s.kind not in ("band", "label", "caption")}
    bands = {s.id: s.box for s in figure.scene.shapes if s.kind == "band"}
    for a, box in boxes.items():
        inside(box, bands[f"band-{a.rpartition('-')[0]}"])
        assert all(apart(box, other) for b, other in boxes.items() if b != a)
    assert all(apart(one, two) for k, one in bands.items() for j, two in bands.items() if j != k)
    for label in (s for s in figure.scene.shapes if s.kind == "label"):
        inside(label.box, boxes[label.id.rpartition("-")[0]])


Box = tuple[float, float, float, float]


def inside(inner: Box, outer: Box) -> None:
    assert outer[0] <= inner[0] and outer[1] <= inner[1]
    assert inner[2] <= outer[2] and inner[3] <= outer[3]


def apart(a: Box, b: Box) -> bool:
    return a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_the_example_in_the_readme_runs(tmp_path: Path) -> None:
    root = Path(viz.__file__).parents[1]
    readme = (root / "README.md").read_text(encoding="utf-8")
    (block,) = [b for b in re.findall(r"```python\n(.*?)```", readme, re.S) if "viz.plan(" in b]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-"],
        input=block,
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "\n1\n" in done.stdout and "  u_1 += W_1·h_{t-1}   (16 × 4)\n" in done.stdout
    assert (tmp_path / "plan.svg").is_file()
