"""benchmarks/speed.py: what is asked for, who agrees, what is written. Nothing here is timed."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_lstm import cells

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPT = BENCHMARKS / "speed.py"
sys.path.append(str(BENCHMARKS))  # and the processes that contenders run in find it there
import speed  # noqa: E402
from speeds import contenders, growth, products, report, steps, tasks, turns, workloads  # noqa: E402

TINY = workloads.Workload(time=3, batch=2, inputs=3, hidden=4, dtype="float64")


def computed(name: str, workload: Any) -> dict[str, Any]:
    """Loss and gradients of a contender."""
    run, results = contenders.prepare(name, workload)
    run()
    run()
    return results()


def of(cell: str, **changes: Any) -> Any:
    return dataclasses.replace(TINY, cell=cell, **changes)


# --- what is asked for ----------------------------------------------------------------------------
def test_the_whole_table_has_a_row_for_every_cell() -> None:
    rows = speed.chosen(speed.arguments([]))
    own = [row for row in rows if isinstance(row.workload, workloads.Workload)]
    assert {row.workload.cell for row in own} == set(cells.all())
    assert len({row.label for row in rows}) == len(rows)
    assert rows[len(own) :] == tasks.tasks()
    assert all(any(goal.limit for goal in row.goals) for row in rows)


def test_a_row_of_ones_own_has_the_goals_of_the_table_where_it_is_in_the_table() -> None:
    [row] = speed.chosen(speed.arguments(["--cell", "lstm", "--threads", "2"]))
    assert row.label == "M2" and row.goals[0].limit == 0.75
    [row] = speed.chosen(speed.arguments(["--cell", "lstm", "--time", "7", "--input-gradient"]))
    assert (row.workload.time, row.workload.batch, row.workload.input_gradient) == (7, 32, True)
    assert all(goal.limit is None for goal in row.goals)


def test_rows_are_chosen_by_label() -> None:
    rows = speed.chosen(speed.arguments(["--rows", "L,S"]))
    assert [row.label for row in rows] == ["S", "L"]
    with pytest.raises(SystemExit, match="no row Q; there are S, M, M2"):
        speed.chosen(speed.arguments(["--rows", "Q"]))


def test_a_cell_that_is_not_there_is_said_at_once() -> None:
    with pytest.raises(SystemExit, match="there is no cell 'lsmt'"):
        speed.chosen(speed.arguments(["--cell", "lsmt"]))


def test_a_row_tells_the_sizes_that_are_computed() -> None:
    assert str(of("lstm")) == "lstm, 3, 2, 3, 4, float64, 1 thread"
    assert str(of("mut1", threads=2)) == "mut1, 3, 2, 4, 4, float64, 2 threads"  # x is "hidden"


@pytest.mark.parametrize("wrong", ["0", "-1", "many", "1.5"])
def test_sizes_are_whole_numbers(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        speed.arguments([f"--hidden={wrong}"])
    assert f"'{wrong}' is not a whole number of at least 1" in capsys.readouterr().err


# --- who agrees -----------------------------------------------------------------------------------
@pytest.mark.parametrize("cell", cells.all())
def test_ours_compute_the_same_for_every_cell(cell: str) -> None:
    workload = of(cell, input_gradient=True)
    expected = computed("interpreter", workload)
    assert set(expected) == {"loss", "xs", *workload.parameters}
    for name in ("numpy", "numpy.kernel", "numpy.low"):
        assert turns.disagreement(computed(name, workload), expected, 1.0, "float64") is None


@pytest.mark.parametrize("cell", cells.all())
def test_peers_compute_the_same_for_every_cell(cell: str) -> None:
    pytest.importorskip("torch")
    workload = of(cell, input_gradient=True)
    expected = computed("interpreter", workload)
    modules = ["module"] * (cell in contenders.MODULES)
    for name in ("eager", "written", *modules):
        assert turns.disagreement(computed(name, workload), expected, 1.0, "float64") is None


def test_the_gradient_of_x_is_computed_only_where_it_is_asked_for() -> None:
    for name in ("interpreter", "numpy", "numpy.kernel"):
        assert "xs" not in computed(name, TINY)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, None),
        ({"W": np.array([1.0, 2.0 + 1e-8])}, "W differs by 1e-08, where the largest entry is 2"),
        ({"W": np.array([1.0, np.nan])}, "W differs by nan, where the largest entry is 2"),
        ({"W": np.ones(3)}, r"W has shape \(3,\), not \(2,\)"),
        ({"b": np.ones(1)}, "not both have the gradients of b"),
        ({"loss": np.array(1e-8)}, "loss differs by 1e-08, where the largest entry is 1"),
    ],
)
def test_disagreement_is_found_and_named(changes: dict[str, Any], says: str | None) -> None:
    expected = {"loss": np.array(0.0), "W": np.array([1.0, 2.0])}
    found = turns.disagreement({**expected, **changes}, expected, 1.0, "float64")
    if says is None:
        assert found is None
    else:
        assert found is not None
        with pytest.raises(ValueError, match=says):
            raise ValueError(found)


def test_nothing_is_timed_where_gradients_differ() -> None:
    class Wrong:
        name = "numpy"

        def __call__(self, function: Any) -> dict[str, Any]:
            assert function is turns.results
            return {n: 1.01 * v for n, v in computed("numpy", TINY).items()}

    with pytest.raises(SystemExit, match="numpy and the interpreter disagree.*Nothing was timed"):
        turns.check([Wrong()], TINY)  # type: ignore[list-item]


SMALL = steps.Steps(time=3, batch=2, inputs=3, hidden=4, dtype="float64")


@pytest.mark.parametrize(
    "changes", [{}, {"symbols": 5}, {"cell": "gru"}, {"cell": "gru_reset_after", "symbols": 4}]
)
def test_all_learn_the_same_in_a_whole_step(changes: dict[str, Any]) -> None:
    pytest.importorskip("torch")
    workload = dataclasses.replace(SMALL, **changes)
    expected = computed("interpreter", workload)
    for name in workload.contenders():
        found = computed(name, workload)
        assert turns.disagreement(found, expected, 1.0, "float64") is None, name


def test_a_first_call_and_letters_are_computed() -> None:
    for workload in (tasks.FirstCall(dtype="float64"), tasks.Letters(inputs=3, hidden=4)):
        names = [n for n in workload.contenders() if n != "js" or shutil.which("node")]
        expected = computed("interpreter", workload)
        for name in [n for n in names if n != "c"]:
            found = computed(name, workload)
            assert float(found["loss"]) == pytest.approx(float(expected["loss"]), rel=1e-5), name


def test_the_limit_is_made_of_the_products_of_the_plan() -> None:
    whole, step, deferred = products.shapes(products.plan_of(workloads.M))
    assert (whole, sorted(step)) == ([(64, 512)], [(128, 512), (512, 128)])
    assert sorted(deferred) == [(512, 64), (512, 128)]
    with_x = dataclasses.replace(workloads.M, input_gradient=True)
    assert (512, 64) in products.shapes(products.plan_of(with_x))[0]


# --- processes and what is written ----------------------------------------------------------------
def test_a_contender_that_cannot_take_part_says_why() -> None:
    found = turns.start("numpy", of("no_such_cell"))
    assert isinstance(found, str) and "there is no cell 'no_such_cell'" in found
    assert turns.start("module", of("gru")) in (
        "PyTorch has no module for gru",
        "PyTorch is not installed: pip install 'tinygrad-lstm[peers]'",
    )


def test_memory_is_counted_beyond_what_was_there_before() -> None:
    points = [growth._point("numpy", of("lstm", time=n, hidden=64), 0.0) for n in (200, 400)]
    small, large = (point["bytes"] for point in points if not isinstance(point, str))
    assert 1.5 < large / small < 2.5  # it grows with time, and does not count the interpreter
    assert 5 < small / (200 * TINY.batch * 64 * 8) < 40


def test_a_row_from_the_command_line_to_the_readme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = tmp_path / "own.py"
    cell.write_text(
        "from tinygrad_lstm import cell, matvec, tanh\n"
        "@cell(state='h', parameters={'W': 'hidden, inputs', 'u': 'hidden'})\n"
        "def leaky(now, prev, x, p):\n"
        "    now.h = tanh(matvec(p.W, x) + p.u * prev.h)\n",
        encoding="utf-8",
    )
    results = tmp_path / "speed.json"
    sizes = ["--time", "3", "--batch", "2", "--inputs", "3", "--hidden", "4"]
    no_compiler = {**os.environ, "TINYGRAD_LSTM_CC": ""}  # it would compile for longer than it runs
    end = subprocess.run(
        [
            sys.executable,
            str(SCRIPT),
            "--cell",
            f"{cell}:leaky",
            *sizes,
            "--rounds",
            "2",
            "--seconds",
            "0",
            "--json",
            str(results),
            "--interpreter",
        ],
        capture_output=True,
        encoding="utf-8",
        check=False,
        env=no_compiler,
    )
    assert end.returncode == 0, end.stderr
    record = json.loads(results.read_text(encoding="utf-8"))["rows"]["found"][0]
    assert record["workload"]["hidden"] == 4 and record["rounds"] == 2
    assert {"numpy", "numpy.kernel", "interpreter", "products.numpy"} <= set(record["times"])
    low, middle, high = (record["times"]["numpy"][k] for k in ("low", "median", "high"))
    assert 0 < low <= middle <= high
    assert record["absent"]["module"].startswith("PyTorch")
    assert "c" not in record["times"] and "compiler" in record["absent"]["c"]
    assert "| own | interpreter |" in end.stdout

    readme = tmp_path / "README.md"
    readme.write_text(
        "before\n<!-- speed: begin -->\nold\n<!-- speed: end -->\nafter\n", encoding="utf-8"
    )
    monkeypatch.setattr(report, "README", readme)
    report.write_readme(results)
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "| own | interpreter |" in text


def test_rows_measured_again_take_the_place_of_older_ones(tmp_path: Path) -> None:
    path = tmp_path / "results" / "speed.json"
    for found in ([{"label": "S", "n": 1}, {"label": "M", "n": 1}], [{"label": "S", "n": 2}]):
        report.save(path, "rows", found)
        whole = json.loads(path.read_text(encoding="utf-8"))
        whole["rows"]["date"] = "then"
        for row in whole["rows"]["found"]:
            row["measured"]["date"] = "then"
        if len(found) == 2:
            path.write_text(json.dumps(whole), encoding="utf-8")
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]["found"]
    assert [(row["label"], row["n"]) for row in rows] == [("S", 2), ("M", 1)]
    assert rows[0]["measured"]["date"] != "then" == rows[1]["measured"]["date"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0000123, "0.0123"), (0.00105, "1.05"), (0.0162, "16.2"), (1.234, "1234")],
)
def test_milliseconds_have_three_digits(seconds: float, text: str) -> None:
    assert report.ms(seconds) == text
