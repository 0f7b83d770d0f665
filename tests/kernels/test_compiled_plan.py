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
from tinygrad_lstm.kernels import describing, memory
from tinygrad_lstm.kernels.plan import Pass, Place, Plan, Single, end_to_end

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
    without = Plan(program, own.parameters, {"h"}, set())
    assert without.products == {**LSTM, "inputs": 0}
    assert not any(name.startswith("bar.x") for name in without.buffers)


# --- memory ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", "fgr", "mut1", "nog"])
def test_memory_per_step_is_what_is_allocated(
    name: str, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = cells.all()[name]
    asked: list[int] = []
    arrays = memory.Pool.arrays

    def counted(self: Any, shapes: Any, kind: Any) -> Any:
        found = arrays(self, shapes, kind)
        asked.append(sum(array.nbytes for array in found.values()))
        return found

    monkeypatch.setattr(memory.Pool, "arrays", counted)
    totals = []
    for time in (10, 20):
        asked.clear()
        run, _ = problem(own, dtype=dtype, time=time).run(compiled(own, "numpy"))
        run[own.output].sum().backward()
        totals.append(sum(asked))
    batch = 3
    assert totals[1] - totals[0] == 10 * batch * describing.per_step(plan(own), dtype)


@pytest.mark.parametrize("name", CELLS)
def test_no_operation_writes_where_it_reads(name: str) -> None:
    """But for parts of a concatenation that lie where they will be read."""
    found = plan(CELLS[name])
    for stage in (*found.ahead, *found.forward, *found.backward):
        if isinstance(stage, Pass):
            continue  # entry by entry
        single = isinstance(stage, Single)
        node = stage.node if single else stage.result
        at, start = found.place(node), 0
        for i in node.inputs if single else [stage.operand]:
            own = found.place(i)
            same = own is not None and at is not None and own.buffer == at.buffer
            ready = end_to_end(node) and own == Place(at.buffer, at.start + start)
            if same and not ready:
                assert own.start + i.size <= at.start or at.start + node.size <= own.start, node
            start += i.size


def test_memory_of_an_lstm() -> None:
    found = describing.memory(plan(cells.lstm))
    assert found == {
        "forward": {"u1": 12, "f i o": 9, "C_tilde": 3, "C": 3, "h": 3},
        "backward": {"x̄_t": 4},
    }
    assert describing.per_step(plan(cells.lstm), np.float32) == 4 * 34
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
    blocks = describing.described(found)
    text = str(found)
    forward = {n for part in ("ahead", "forward") for b in blocks[part] for n in b.writes}
    assert set(found.step.equations) <= forward
    for parameter in own.parameters:
        assert parameter in text
    for section in ("once", "ahead", "forward", "backward", "after"):
        assert f"\n{section}: " in text
    products = sum(b.kind == "product" for part in blocks.values() for b in part)
    assert products == sum(found.products.values())


@pytest.mark.parametrize("name", cells.all())
def test_every_name_in_the_text_is_written_before_it_is_read(name: str) -> None:
    own = cells.all()[name]
    found = plan(own)
    blocks = describing.described(found)
    known = {describing._name(n) for n in found.step.inputs if not n.startswith("W.")}
    known |= {*own.parameters, *own.constants}
    known |= {f"carry.{s}" for s in found.states} | {f"given.{s}" for s in found.seeds}
    for section in blocks.values():
        for block in section:
            assert block.writes
            assert set(block.reads) <= known, (block.lines, known)
            known |= set(block.writes)


def test_the_text_of_a_cell_with_other_operations() -> None:
    @cell(state="h", parameters={"W": "hidden, hidden + inputs"})
    def own(now, prev, x, p):
        now.a = matvec(p.W, concat(prev.h, x))
        now.h = now.a - now.a.mean(-1, True)

    lines = [line.strip() for line in str(plan(own)).splitlines()]
    assert "u3 = mean(a, axis=-1, keepdims=True)" in lines
    assert "W1 = W[:, 0:hidden]   (3 × 3)" in lines
    assert "h = a - u3" in lines


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
    for block in (b for part in describing.described(found).values() for b in part):
        if block.kind == "product":
            assert f"{block.lines[0]}." in figure.alt
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
    assert "\n1\n" in done.stdout and "  u1 += W1 · h_{t-1}   (16 × 4)\n" in done.stdout
    assert (tmp_path / "plan.svg").is_file()
