"""benchmarks/experiments: parts are done once, pages say what was run, searches' files are read."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[2]))
from benchmarks.experiments import __main__ as runner  # noqa: E402
from benchmarks.experiments import architectures, jsb_chorales, odyssey, parts  # noqa: E402
from tinygrad_lstm.searching import parse_space  # noqa: E402

ROOT = Path(__file__).parents[2]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Results and pages of a test, and not the stored ones."""
    monkeypatch.setattr(parts, "STORE", tmp_path)
    monkeypatch.setattr(parts, "PAGES", tmp_path)
    monkeypatch.setattr(runner, "PAGES", tmp_path)
    return tmp_path


def test_a_part_is_done_once_and_again_for_a_larger_budget(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["latch-bound", "--budget", "0.05"]
    assert runner.main([*words, "--share", "1/2"]) == 0
    assert capsys.readouterr().out.count("latch-bound: w=") == 3
    assert "**2 of 5 parts were not run.**" in (elsewhere / "latch-bound.md").read_text("utf-8")
    assert runner.main(words) == 0
    assert capsys.readouterr().out.count("latch-bound: w=") == 2
    assert runner.main(words) == 0
    assert capsys.readouterr().out == ""
    page = (elsewhere / "latch-bound.md").read_text("utf-8")
    assert "not run" not in page and "| 1.25 | 0.07781 |" in page
    rows = json.loads((elsewhere / "latch-bound.json").read_text("utf-8"))
    assert abs(rows["w=2"]["result"]["measured"] - 0.53284) < 1e-3
    assert not parts.Results("latch-bound").done("w=2", 1.0)
    assert "[adding](adding.md)" in (elsewhere / "README.md").read_text("utf-8")
    assert "Not run yet" in (elsewhere / "adding.md").read_text("utf-8")


def test_a_training_is_stored_and_told(elsewhere: Path) -> None:
    words = ["two-sequence", "--budget", "0.001", "--share", "1/6"]
    assert runner.main(words) == 0
    (row,) = parts.Results("two-sequence").results().values()
    assert row["steps"] == 50 and row["parameters"] == 265 and not row["diverged"]
    assert "| nfg | 265 |" in (elsewhere / "two-sequence.md").read_text("utf-8")


def test_every_experiment_has_parts_and_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIANO_ROLLS", "rolls.json")
    for name, module in runner.modules().items():
        keys = [part.key for part in module.parts(1.0)]
        assert len(keys) == len(set(keys)) > 0, name
        assert (ROOT / "docs" / "experiments" / f"{name}.md").is_file()
    assert parse_space(architectures.space(1.0)).trials >= 300
    for task in odyssey.TASKS:
        space = parse_space(odyssey.space(task, 1.0))
        assert len(space.cells) >= 8 and space.configurations >= 60
    assert len(jsb_chorales.CELLS) == 15


def test_stored_pages_are_those_of_the_stored_numbers(elsewhere: Path) -> None:
    """A page that was changed by hand, or numbers without their page, are found."""
    for name, module in runner.modules().items():
        stored = ROOT / "benchmarks" / "results" / "experiments" / f"{name}.json"
        if stored.exists():
            (elsewhere / stored.name).write_bytes(stored.read_bytes())
            body: Any = module.page(parts.Results(name).results())
            page = (ROOT / "docs" / "experiments" / f"{name}.md").read_text("utf-8")
            assert body.strip() in page, name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["addin"], "no experiment 'addin'; there are adding"),
        (["adding", "--share", "3/2"], "--share is like 1/2"),
        (["adding", "--budget", "0"], "--budget"),
    ],
)
def test_what_is_asked_for_wrongly(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        runner.main(words)
    assert stop.value.code == 2 and message in capsys.readouterr().err


def test_shares_and_spreads() -> None:
    assert parts.share(5, 5).startswith("5/5 (57–100 %)")
    assert parts.share(0, 0) == "–" and parts.spread([2.0]) == "2"
    assert parts.spread([1.0, 3.0]) == "2 ± 1.4"
