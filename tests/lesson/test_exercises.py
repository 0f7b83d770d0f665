"""Exercises: right answers pass in whatever way they are written; texts and hints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exercise_answers import (
    COUPLED,
    EVERY,
    GRU,
    ILL,
    LANGUAGES,
    LINE,
    ORDER,
    RIGHT,
    WIDER,
    a_line,
    adjoints,
    answered,
    back_through_time,
    both,
    filled,
    gru,
    line_mended,
    memory,
    mended_bias,
    replaced,
    told,
)

import lesson.exercises
from lesson.commands import main
from lesson.exercises import gradients_to_find, long_memory
from lesson.exercises.collection import built_in
from lesson.exercises.words import table
from lesson.terminal_text import width_of, wrap_paragraphs
from tinygrad_lstm import cells


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


@pytest.mark.parametrize("name", ORDER)
def test_the_right_solution_passes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    verdict = answered(name, RIGHT[name])
    assert verdict.passed, verdict.findings


@pytest.mark.parametrize("name", [n for n in ORDER if n not in ("fifty-steps", "adjoint-of-o")])
def test_the_right_solution_passes_whatever_is_drawn(name: str) -> None:
    for seed in range(6):
        verdict = answered(name, RIGHT[name], seed)
        assert verdict.passed, (seed, verdict.findings)


def test_other_right_ways_pass() -> None:
    ways = [
        ("finish-the-cell", a_line("now.C_tilde * now.i + prev.C * now.f"), LINE["C"]),
        (
            "coupled-gates",
            both(
                COUPLED,
                replaced(
                    (
                        "now.f * prev.C + (1 - now.f) * now.C_tilde",
                        "now.C_tilde + now.f * (prev.C - now.C_tilde)",
                    )
                ),
            ),
            7,
        ),
        ("peepholes", WIDER, 7),
        (
            "gru-from-lstm",
            gru(
                GRU.replace(
                    "(1 - now.z) * prev.h + now.z * now.h_tilde",
                    "prev.h + now.z * (now.h_tilde - prev.h)",
                )
            ),
            7,
        ),
        ("adjoint-of-o", adjoints("tanh(C) * bar_h", "bar_o(bar_h, o, C) * (o - o * o)"), 7),
    ]
    for name, change, seed in ways:
        verdict = answered(name, change, seed)
        assert verdict.passed, (name, verdict.findings)


def test_a_plain_network_does_not_learn_to_remember(monkeypatch: pytest.MonkeyPatch) -> None:
    """An LSTM with a forget bias needs less than half of the steps that are given."""
    monkeypatch.setattr(long_memory, "STARTS", 1)
    plain = answered("fifty-steps", lambda text, seed: text)
    says = table("fifty-steps", "says")
    assert all(told(plain, says[key]["en"]) for key in ("forgets", "vanishes"))
    share = re.search(r"right in (\d+)%", plain.findings[0].text)
    assert share and int(share[1]) < 65
    trained = long_memory.train(cells.lstm, {"b_f": 5.0, "b_i": -2.0}, seed=7)
    assert trained.steps <= long_memory.STEPS // 2 and trained.share > 0.95


def test_the_best_of_several_starts_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = iter([0.5, 0.97, 0.99])
    monkeypatch.setattr(
        long_memory,
        "train",
        lambda cell, fills, seed, progress: long_memory.TrainedMemory(seed, next(shares), []),
    )
    best = long_memory.best(cells.lstm, {}, 40)
    assert (best.steps, best.share) == (41, 0.97)


@pytest.mark.parametrize("fault", gradients_to_find._PLANTED)
def test_a_planted_fault_is_measured(fault: tuple[str, str]) -> None:
    """Every line of the listing is right by the complex step, and each planted one is wrong."""
    v = gradients_to_find._numbers(3)
    measured = gradients_to_find.measured_backward(v)
    for planted in (None, fault):
        values: dict[str, Any] = {**v, "np": np}
        lines = dict(gradients_to_find.BACKWARD)
        if planted:
            lines[planted[0]] = planted[1]
        source = "".join(f"{name} = {rule}\n" for name, rule in lines.items())
        exec(source, values)  # the project's own listing
        wrong = [n for n in lines if not np.allclose(values[n], measured[n], rtol=1e-9)]
        assert wrong[:1] == ([planted[0]] if planted else [])


def test_there_are_ten_exercises_and_more_in_three_languages() -> None:
    assert len(EVERY) >= 10
    for made in EVERY.values():
        assert made.languages == set(LANGUAGES)
        for text in (made.title, made.task, *made.hints):
            assert not isinstance(text, str) and set(text) == set(LANGUAGES)
            assert all(text.values())


def test_an_exercise_is_found_by_its_existence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "more.py").write_text(
        "from lesson.exercises import Exercise\n"
        "mine = Exercise('mine', 'Mine', 'Do.', ['So.'], 'x = ...', print, place=4)\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(lesson.exercises, "__path__", [*lesson.exercises.__path__, str(tmp_path)])
    names = [made.name for made in built_in()]
    assert sorted(names) == sorted([*ORDER, "mine"]) and names.index("mine") in (3, 4)
    assert [made.place for made in EVERY.values()] == list(range(1, len(ORDER) + 1))


@pytest.mark.sample(3)
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ORDER)
def test_tasks_and_files_fit_a_terminal_and_are_python(
    name: str, language: str, capsys: pytest.CaptureFixture[str]
) -> None:
    number = ORDER.index(name) + 1
    for seed in range(3):
        assert main(["exercise", str(number), "--language", language, "--seed", str(seed)]) == 0
        for _ in EVERY[name].hints:
            assert main(["exercise", name, "--hint", "--language", language]) == 0
        out = capsys.readouterr().out
        assert "{{" not in out and max(map(width_of, out.splitlines())) <= 80
        path = Path(f"exercise-{number}-{name}.py")
        text = path.read_text(encoding="utf-8")
        compile(text, path, "exec")
        assert "{{" not in text and max(map(width_of, text.splitlines())) <= 100
        path.unlink()


def test_lines_break_as_the_language_does() -> None:
    chinese = "门在零（关）与一（开）之间，所以它决定保留多少。"
    for width in range(8, 40):
        lines = wrap_paragraphs(chinese, width).split("\n")
        assert "".join(lines) == chinese
        assert all(width_of(line) <= width + 2 for line in lines)
        assert not any(line[0] in "，。）" or line[-1] == "（" for line in lines)
    korean = "게이트는 하나의 층입니다. 편향을 더합니다."
    assert wrap_paragraphs(korean, 16) == "게이트는 하나의\n층입니다. 편향을\n더합니다."
    assert wrap_paragraphs("one two\nthree\n\n    code  stays\n- a b c d", 9) == (
        "one two\nthree\n\n    code \n      stays\n- a b c d".replace("code \n", "code\n")
    )


@pytest.mark.parametrize("gate", "fio")
def test_what_is_read_from_the_printed_table_is_right(gate: str) -> None:
    seed = ILL[gate]
    assert main(["exercise", "why-it-forgets", "--seed", str(seed)]) == 0
    path = Path("exercise-5-why-it-forgets.py")
    run = subprocess.run([sys.executable, path], capture_output=True, encoding="utf-8", check=True)
    f = [float(line.split()[2]) for line in run.stdout.splitlines()[1:]]

    def answer(text: str, seed: int) -> str:
        return filled(kept=float(np.prod(f[1:])))(mended_bias(text, seed), seed)

    path.unlink()
    verdict = answered("why-it-forgets", answer, seed)
    assert verdict.passed, verdict.findings
    example = both(mended_bias, filled(repair={"b_f": 0.0}))  # what the file shows repairs nothing
    assert not answered("why-it-forgets", example, seed).passed


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({"bar_h": "h_bar[t]"}, "넘어가지 않습니다"),
        ({"bar_h": "carried"}, ""),
        ({"delta": "bar_h"}, "tanh의 미분이 빠졌습니다"),
        ({"delta": "bar_h * states[t] * (1 - states[t])"}, "sigmoid의 것이지만"),
        ({'gradients["W"]': "delta.T @ joined[t] / batch"}, ""),
        ({'gradients["b"]': "delta.mean(axis=0)"}, "평균했습니다"),
        ({"delta": "bar_h * (1 - states[max(t - 1, 0)] ** 2)"}, ""),
    ],
)
def test_a_wrong_backward_pass_is_told_its_mistake(wrong: dict[str, str], kind: str) -> None:
    verdict = answered("backward-pass", back_through_time(**wrong), 7, "ko")
    assert not verdict.passed and kind in verdict.findings[0].text
    assert "맞는 식:" not in "".join(f.text for f in verdict.findings)  # that is for the hints


def test_mistakes_in_adjoints_that_no_exercise_foresaw_are_named_by_rule() -> None:
    change = adjoints("-bar_h * tanh(C)", "bar_h * tanh(C) * o * o * (1 - o) * (1 - o)")
    texts = [f.text for f in answered("adjoint-of-o", change, 7, "zh").findings]
    assert any("ō_t 中" in text or "你的 ō_t" in text for text in texts)
    assert any("乘了两次" in text for text in texts)
    seed = next(s for s in range(100) if gradients_to_find._planted(s)[0] == "delta_i")
    half = both(
        line_mended,
        lambda t, s: re.sub(r"(?m)^    delta_i = .*$", "    delta_i = bar_i * (1 - i)", t),
    )
    said = [f.text for f in answered("wrong-gradient", half, seed).findings]
    assert any("one minus the value of sigmoid stands where its slope belongs" in t for t in said)


def test_multiplying_by_hand_is_right_and_said() -> None:
    own = memory(
        '@cell(state="h", parameters={"w": "hidden"})\n'
        "def memory(now, prev, x, p):\n    now.h = prev.h + p.w * x[0:1] * x[1:2]\n",
        "{}",
    )
    verdict = answered("fifty-steps", own)
    assert verdict.passed
    assert told(verdict, table("fifty-steps", "says")["by_hand"]["en"])


def test_the_engine_speaks_the_students_language() -> None:
    line = a_line("sigmoid(matvec(p.W_f, x) + p.b_f)")
    texts = [answered("finish-the-cell", line, LINE["f"], x).findings[0].text for x in LANGUAGES]
    assert "W_f (3, 7), x (4,)" in texts[0] and "got shapes" in texts[0]
    assert all("W_f (3, 7), x (4,)" in x and "got" not in x for x in texts[1:])


def test_the_file_of_the_forgetful_network_runs_by_itself() -> None:
    assert main(["exercise", "why-it-forgets", "--seed", "5"]) == 0
    path = Path("exercise-5-why-it-forgets.py")
    run = subprocess.run([sys.executable, path], capture_output=True, encoding="utf-8", check=True)
    lines = run.stdout.splitlines()
    assert len(lines) == 31 and lines[0].split() == ["t", "bit", "f", "i", "o", "C", "h"]


def test_every_exercise_says_how_hard_it_is_and_what_comes_before_it() -> None:
    every = {exercise.name: exercise for exercise in built_in()}
    done: set[str] = set()
    for _ in every:  # whatever comes before something can itself be begun
        done |= {n for n, e in every.items() if e.grade and set(e.grade.after) <= done}
    assert done == set(every)
    assert {e.grade.level for e in every.values() if e.grade} == {"easy", "medium", "hard"}
    assert all(e.grade and 5 <= e.grade.minutes <= 60 for e in every.values())
