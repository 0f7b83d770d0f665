"""What a comparison computes: statistics, sizes, gradient reach, going on, sentences."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tinygrad_lstm import cells, learning
from tinygrad_lstm.comparing import (
    ComparisonError,
    Entrant,
    Plan,
    Results,
    compare,
    conclusions,
    entrants_of,
    fisher,
    rank_test,
    wilson,
)
from tinygrad_lstm.comparing.entrants import closest
from tinygrad_lstm.comparing.reach import reach
from tinygrad_lstm.comparing.results import Trial
from tinygrad_lstm.comparing.statistics import holm
from tinygrad_lstm.comparing.trials import Stopped, train
from tinygrad_lstm.errors import CellError, DataError, UnknownNameError
from tinygrad_lstm.learning import tasks

QUICK = {"lag": 4}


def plan(*names: str, **more: object) -> Plan:
    given: dict[str, object] = {"options": QUICK, "seeds": 2, "hidden": 4, "steps": 20, "every": 10}
    return Plan(names or ("rnn", "lstm"), "temporal-order", **{**given, **more})  # type: ignore[arg-type]


def test_statistics_equal_published_values_and_enumeration() -> None:
    assert wilson(5, 5) == pytest.approx((0.5655, 1.0), abs=1e-4)
    assert wilson(0, 5) == pytest.approx((0.0, 0.4345), abs=1e-4)
    assert wilson(7, 10) == pytest.approx((0.3968, 0.8922), abs=1e-4)
    assert fisher(5, 5, 0, 5) == pytest.approx(2 / 252)
    assert fisher(3, 4, 1, 4) == pytest.approx(34 / 70)  # the lady who tastes tea, two-sided
    assert fisher(2, 3, 2, 3) == 1.0 == fisher(0, 5, 0, 5)
    assert rank_test([1, 2, 3, 4, 5], [6, 7, 8, 9, 10]) == pytest.approx(2 / 252)
    assert rank_test([1, 1], [1, 1]) == 1.0
    stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(0)
    for n, m in ((4, 6), (12, 14)):
        a, b = random.normal(0, 1, n), random.normal(1, 1, m)
        exact = n < 10
        known = stats.mannwhitneyu(a, b, method="exact" if exact else "asymptotic",
                                   use_continuity=False).pvalue  # fmt: skip
        assert rank_test(list(a), list(b)) == pytest.approx(known, rel=1e-6)
    for k in range(20):
        a, n, b, m = random.integers(0, 4, 4) + np.array([0, 3, 0, 3])
        table = [[a, n - a], [b, m - b]]
        assert fisher(a, n, b, m) == pytest.approx(stats.fisher_exact(table)[1]), k
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_equal_parameters_are_as_near_as_units_allow() -> None:
    first, second = entrants_of(plan("lstm", "rnn", hidden=20, equal="parameters"))
    assert first.sizes["hidden"] == 20
    task = tasks.find("temporal-order", **QUICK)

    def count(hidden: int) -> int:
        return hidden * (8 + hidden + 1) + 4 * (hidden + 1)

    assert second.parameters == count(second.sizes["hidden"])
    others = [abs(count(n) - first.parameters) for n in range(1, 200)]
    assert abs(second.parameters - first.parameters) == min(others)
    assert first.parameters == learning.Model(task.model(cells.lstm), reads=8, hidden=20).count
    assert [closest(lambda n: n * n, k) for k in (1, 2, 3, 90, 91)] == [1, 1, 2, 9, 10]


def test_reach_equals_the_product_of_jacobians() -> None:
    task = tasks.find("temporal-order", **QUICK)
    model = learning.Model(task.model(cells.rnn), reads=8, hidden=5, seed=1, dtype=np.float64)
    batch = task.tests()[0]
    found = reach(task, model.readout, model.parameters)
    p, n = model.parameters, int(batch.lengths[:8].min())  # type: ignore[index]
    direction = np.random.default_rng(0).standard_normal((8, 5))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    norms = np.zeros((8, n - 1))
    for b in range(8):
        h, jacobians = np.zeros(5), []
        for t in range(n):
            hx = np.concatenate([h, np.eye(8)[batch.xs[t, b]]])
            h = np.tanh(p["W"] @ hx + p["b"])
            jacobians.append((1 - h * h)[:, None] * p["W"][:, :5])
        v = direction[b]
        for k in range(1, n):
            v = jacobians[n - k].T @ v
            norms[b, k - 1] = np.linalg.norm(v)
    np.testing.assert_allclose(found, np.sqrt((norms**2).mean(0)), rtol=1e-10)
    gated = learning.Model(task.model(cells.lstm), reads=8)
    assert len(reach(task, gated.readout, gated.parameters)) == n - 1


def made(solved: dict[str, list[bool]], steps: int = 100, **more: object) -> Results:
    """Results as if they had been trained."""
    names = tuple(solved)
    results = Results(
        plan(*names, seeds=max(map(len, solved.values())), **more),
        [Entrant(n, n, {"hidden": 4, "b_f": 2.0}, {"hidden": 4}, 10, "") for n in names],
        tasks.find("temporal-order", **QUICK),
    )
    for one in results.entrants:
        for seed, good in enumerate(solved[one.spec]):
            error = {"error": 0.0 if good else 0.7, "nats": 1.0}
            end = "solved" if good else "steps"
            results.add(one, Trial(seed, end, steps + seed, 1.0, error))
    return results


def test_sentences_say_what_the_numbers_allow() -> None:
    said = " ".join(conclusions(made({"rnn": [False] * 5, "lstm": [True] * 5})))
    assert "lstm solves it and rnn does not: 5 of 5 against 0 of 5 seeds" in said
    assert "p = 0.008" in said and "57 to 100 %" in said and "b_f starting at 2" in said
    said = " ".join(conclusions(made({"rnn": [False] * 3, "lstm": [True] * 3})))
    assert "cannot be told apart with 3 seeds" in said and "take more --seeds" in said
    said = " ".join(conclusions(made({"gru": [True] * 4 + [False], "lstm": [True] * 5})))
    assert "gru and lstm cannot be told apart with 5 seeds" in said
    said = " ".join(conclusions(made({"gru": [True] * 5, "lstm": [True] * 5})))
    assert "both always solve it, and their steps differ no more than by chance" in said
    many = {"a": [True] * 5, "b": [False] * 5, "c": [True] * 5}
    said = " ".join(conclusions(made(many)))
    assert "a solves it and b does not" in said and "corrected for 3 comparisons" in said
    half = made({"rnn": [False] * 5, "lstm": [True] * 2})
    assert "3 of 10 trainings are still to be done" in conclusions(half)[0]


def test_a_task_without_an_end_compares_the_last_values(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("to be or not to be\n" * 200, "utf-8")
    given = plan("rnn", "lstm", options={"text": str(text), "length": 8}, batch=4)
    given = Plan(given.cells, "characters", given.options, seeds=1, hidden=3, steps=4, every=2)
    results = compare(given, entrants_of(given), tmp_path / "out.json")
    said = conclusions(results)
    assert not results.missing and "no end at which it counts as solved" in said[0]
    assert "cannot be told apart with 1 seed (rank-sum test" in " ".join(said)


def test_a_comparison_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path, whole, seen = tmp_path / "out.json", tmp_path / "whole.json", []
    one = plan(seeds=1)
    compare(one, entrants_of(one), path, 2, lambda results, news: seen.append(news))
    assert {(n.entrant.name, n.seed) for n in seen if n.trial} == {("rnn", 0), ("lstm", 0)}
    more, seen = plan("rnn", "lstm", "gru"), []
    results = compare(more, entrants_of(more), path, 2, lambda r, news: seen.append(news))
    assert len([n for n in seen if n.trial]) == 4 and not results.missing
    assert [p.name for p in tmp_path.iterdir()] == ["out.json"]
    compare(more, entrants_of(more), whole)

    def kept(file: Path) -> list[object]:
        found = json.loads(file.read_text("utf-8"))
        return [
            (c["name"], t["seed"], t["end"], t["steps"], t["measures"], t["reach_after"])
            for c in found["cells"]
            for t in c["trials"]
        ]

    assert kept(path) == kept(whole)
    fewer = plan("gru", seeds=1)  # keeps what it is not asked for
    results = compare(fewer, entrants_of(fewer), path)
    assert (
        len(results.runs[0].trials) == 1 and len(json.loads(path.read_text("utf-8"))["cells"]) == 3
    )
    other = plan(rate=0.1)
    with pytest.raises(ComparisonError, match="another comparison: rate was 0.005, and is 0.1"):
        compare(other, entrants_of(other), path)
    wide = plan(hidden=5)
    with pytest.raises(ComparisonError, match="another rnn: hidden was 4, and is 5"):
        compare(wide, entrants_of(wide), path)
    for broken in ("{", "[]", '{"format": "else"}', json.dumps({"format": 1})):
        path.write_text(broken, "utf-8")
        with pytest.raises(ComparisonError, match="out.json (is no results|has the format)"):
            compare(more, entrants_of(more), path)
        assert path.read_text("utf-8") == broken  # nothing is lost


def test_a_training_that_was_stopped_has_the_same_numbers(tmp_path: Path) -> None:
    given, task = plan("lstm"), tasks.find("temporal-order", **QUICK)
    (entrant,) = entrants_of(given)
    straight = train(given, task, entrant, 1, tmp_path / "a.npz", lambda step, measures: False)
    with pytest.raises(Stopped):
        train(given, task, entrant, 1, tmp_path / "b.npz", lambda step, measures: step == 13)
    again = train(given, task, entrant, 1, tmp_path / "b.npz", lambda step, measures: False)
    assert again.measures == straight.measures and again.reach_after == straight.reach_after
    assert [r[2:] for r in again.history] == [r[2:] for r in straight.history]


SCRIPT = """
import sys
from pathlib import Path
from tinygrad_lstm.comparing import Plan, compare, entrants_of
if __name__ == "__main__":
    more = dict(seeds=2, hidden=8, steps=400, every=5)
    plan = Plan(("lstm", "rnn"), "temporal-order", {"lag": 60}, **more)
    told = lambda results, news: print(news.steps, flush=True)
    compare(plan, entrants_of(plan), Path(sys.argv[1]), 2, told)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_killed_it_goes_on_from_its_file(tmp_path: Path) -> None:
    script, path = tmp_path / "script.py", tmp_path / "out.json"
    script.write_text(SCRIPT, "utf-8")
    words = [sys.executable, str(script), str(path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout is not None
        while int(process.stdout.readline()) < 20:
            pass
        process.send_signal(signal.SIGKILL)
    for _ in range(300):  # the workers see that nobody listens, keep what they have, and end
        if len(list((tmp_path / "out.parts").glob("*.npz"))) == 2:
            break
        time.sleep(0.1)
    assert json.loads(path.read_text("utf-8"))["cells"][0]["trials"] == []
    before = {f.name for f in (tmp_path / "out.parts").glob("*.npz")}
    assert len(before) == 2
    with subprocess.Popen(words, stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) > 1  # not from the first step
        process.kill()


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    given = plan(seeds=1, steps=300)
    killed = []

    def kill(results: Results, news: object) -> None:
        import multiprocessing

        if not killed:
            killed.append(multiprocessing.active_children()[0].pid)
            os.kill(killed[0], getattr(signal, "SIGKILL", signal.SIGTERM))

    results = compare(given, entrants_of(given), tmp_path / "out.json", 1, kill)
    assert killed and not results.missing


def test_what_does_not_fit_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="rnn is named twice"):
        plan("rnn", "rnn")
    with pytest.raises(UnknownNameError, match="no cell 'lstn'"):
        entrants_of(plan("rnn", "lstn"))
    with pytest.raises(CellError, match="lstm_1997.* has further inputs"):
        entrants_of(plan("rnn", "lstm_1997"))
    with pytest.raises(UnknownNameError, match="no size 'depth'"):
        entrants_of(plan(sizes={"depth": 3}))
    with pytest.raises(UnknownNameError, match="no parameter 'b_q'"):
        entrants_of(plan(starts={"b_q": 3.0}))
    own = tmp_path / "own.py"
    own.write_text(
        "from tinygrad_lstm import cell, matvec, outer, tanh\n"
        "@cell(state={'M': 'hidden, hidden'}, parameters={'W': 'hidden, inputs'}, x='inputs')\n"
        "def square(now, prev, x, p):\n"
        "    a = tanh(matvec(p.W, x))\n"
        "    now.M = 0.5 * prev.M + outer(a, a)\n",
        "utf-8",
    )
    with pytest.raises(CellError, match=r"the output M has the shape \(4, 4\), but a vector"):
        entrants_of(plan("rnn", f"{own}:square"))
