"""Derive this adjoint, and what teachers see: the answer key and the summary of a class."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import equations
from lesson import languages
from lesson.commands import main
from lesson.exercises import class_summary, derive
from lesson.exercises.collection import built_in
from lesson.exercises.tasks import Answer, checked
from lesson.exercises.words import table
from lesson.terminal_text import width_of
from tinygrad_lstm import cells

LANGUAGES = languages.languages()
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


# --- the exercises -------------------------------------------------------------------------------
@pytest.mark.parametrize("name", cells.all())
def test_every_adjoint_of_every_built_in_cell_is_an_exercise(name: str) -> None:
    cell = cells.all()[name]
    every = {one.label: one for one in derive.derivations(cell)}
    for line in equations.backward(cell):
        assert line.name in every or line.unicode().partition(" = ")[2].startswith("none")
    assert len({one.name for one in every.values()}) == len(every)
    for one in every.values():
        assert one.level in derive.LEVELS and 2 < one.minutes < 60
        assert one.languages == set(LANGUAGES)


def test_levels_follow_from_terms_and_steps() -> None:
    levels = {one.typed: one.level for one in derive.derivations(cells.lstm)}
    assert levels["bar_o"] == levels["delta_f"] == levels["bar_b_f"] == "easy"
    assert levels["bar_C"] == levels["bar_f"] == levels["bar_W_f"] == "medium"
    assert levels["bar_h"] == levels["bar_x"] == "hard"
    before = {one.typed: one.before for one in derive.derivations(cells.lstm)}
    assert before["bar_C"] == ["h̄_t"] and before["bar_h"] == []
    assert before["bar_x"] == ["δ^f_t", "δ^i_t", "δ^C̃_t", "δ^o_t"]


OWN = """
from tinygrad_lstm import cell, concat, sigmoid, tanh


@cell(state="h", parameters={"W_k W_n": "hidden, hidden + inputs", "b_k": "hidden"})
def keeper(now, prev, x, p):
    hx = concat(prev.h, x)
    now.k = sigmoid(p.W_k @ hx + p.b_k)
    now.C_bar = tanh(p.W_n @ hx)
    now.h = now.k * prev.h + (1 - now.k) * now.C_bar
"""


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_way_through_a_derivation(language: str, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*words: str, code: int = 0) -> str:
        assert main(["exercise", "derive", *words, "--language", language]) == code
        out = capsys.readouterr().out
        assert "{{" not in out
        assert max(width_of(x) for x in out.splitlines() if "tinygrad-lstm" not in x) <= 80
        return out

    Path("mine.py").write_text(OWN, encoding="utf-8")
    own = ["--cell", "mine.py:keeper"]
    words = table("derive", "list")
    listed = said(*own)
    assert re.search(rf"  bar_k +k̄_t +{words['medium'][language]} ", listed)
    begun = said(*own, "--adjoint", "k", "--seed", "4")
    assert "k̄_t" in begun.splitlines()[0]
    path = Path("exercise-derive-keeper-bar_k.py")
    text = path.read_text(encoding="utf-8")
    assert max(width_of(x) for x in text.splitlines() if "tinygrad-lstm" not in x) <= 100
    said(*own, "--adjoint", "bar.k", "--check", code=1)  # nothing is written yet
    wrong = text.replace('formula = ""', 'formula = "bar_h * h_before"')
    path.write_text(wrong, encoding="utf-8")
    assert said(*own, "--adjoint", "bar_k", "--check", code=1).startswith("✗ ")
    path.write_text(
        text + "\n\ndef bar_k(bar_h, h_before, C_bar):\n    return bar_h * (h_before - C_bar)\n",
        encoding="utf-8",
    )
    right = said(*own, "--adjoint", "k̄_t", "--check")
    assert right.startswith("✓ ")
    count = len(derive.of(cells.lstm, "bar_C").hints)
    hints = [said(*own, "--adjoint", "bar_k", "--hint") for _ in range(count)]
    assert "k̄_t = h̄_t ⊙ (h_{t-1} - " in hints[-1]
    assert "✓ bar_k" in said(*own)
    kept = json.loads(Path(".tinygrad-lstm-exercises.json").read_text(encoding="utf-8"))
    assert kept["tries"] == {"derive-keeper-bar_k": 3}
    assert kept["hints"] == {"derive-keeper-bar_k": count}


def test_a_formula_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["exercise", "derive", "--adjoint", "C", "--formula"]
    assert main([*words, "bar_h o tanh'(C) + bar_C_next f_next"]) == 0
    assert "✓ Your C̄_t is right" in capsys.readouterr().out
    assert main([*words, "bar_h o tanh'(C)"]) == 1
    assert "lacks what comes back from the next step" in capsys.readouterr().out
    assert main([*words, "bar_h o tanh'(C"]) == 1
    out = capsys.readouterr().out
    assert "This bracket is never closed" in out
    mark = next(k for k, line in enumerate(out.splitlines()) if "^" in line)
    line, below = out.splitlines()[mark - 1 : mark + 1]
    assert line[below.index("^")] == "("
    assert main([*words, "__import__('os').mkdir('broken')"]) == 1
    assert not Path("broken").exists()


def test_what_a_solution_says_is_graded_right() -> None:
    for name in ("gru", "lstm_1997", "clockwork"):
        for one in derive.derivations(cells.all()[name]):
            last = one.fill(one.hints[-1], 0, "en").strip()
            answer = Answer(Path("x.py"), {"formula": last}, 0, "en", one.says)
            one.check(answer)
            assert [f.right for f in answer.findings] == [True], (name, last)


def test_a_function_that_fails_is_told_with_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    one = derive.of(cells.lstm, "bar_o")
    path = Path("a.py")
    path.write_text("seed = 1\n\n\ndef bar_o(bar_h):\n    return bar_h + q\n", encoding="utf-8")
    (finding,) = checked(one, path, "en").findings
    assert finding.text == "Line 5 does not run: NameError: name 'q' is not defined"
    path.write_text("seed = 1\n\n\ndef bar_o(bar_q):\n    return 1.0\n", encoding="utf-8")
    (finding,) = checked(one, path, "zh").findings
    assert "takes 'bar_q', which is no value; there are f, " in finding.text
    path.write_text("seed = 1\nformula = 3\n", encoding="utf-8")
    assert "`formula` is 3" in checked(one, path, "en").findings[0].text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["derive", "--cell", "q"], "there is no cell 'q'; built in are "),
        (["derive", "--adjoint", "q"], "cell 'lstm' has no adjoint 'q' to derive; there are bar_h"),
        (["derive", "--check"], "name an adjoint, as in: tinygrad-lstm exercise derive --adjoint"),
        (["3", "--adjoint", "C"], "--adjoint belongs to: tinygrad-lstm exercise derive"),
        (["3", "--cell", "gru"], "--cell belongs to: tinygrad-lstm exercise derive --cell CELL"),
        (["derive", "--adjoint", "C", "--formula", "f", "--hint"], "--formula checks by itself"),
        (["3", "-o", "x"], "-o is where --answers or --class are written: add one of them."),
        (["--class", "none"], "none is no folder. Name the folder that the answers lie in."),
        (["--class", "."], ". has no answers: files named as the exercises write them, such as"),
        (["--class", ".", "--limit", "0"], "--limit is a number of seconds above 0."),
        (["3", "--class", "."], "--class is about all exercises: leave the exercise's name out."),
    ],
)
def test_bad_use(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exercise", *words]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"tinygrad-lstm exercise: {message}") and captured.out == ""


# --- the answer key ------------------------------------------------------------------------------
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_answer_key(language: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exercise", "--answers", "--seed", "5", "--language", language]) == 0
    out = capsys.readouterr().out
    for one in built_in():
        title = f"{one.place}. {one.fill(one.title, 5, language)}"
        assert title in out.splitlines()
        code = [x for x in one.fill(one.hints[-1], 5, language).splitlines() if x[:4] == "    "]
        assert code and code[0] in out
    assert "{{" not in out
    assert main(["exercise", "derive", "--adjoint", "C", "--answers", "-o", "key.html"]) == 0
    page = Path("key.html").read_text(encoding="utf-8")
    assert "<pre>C̄_t = h̄_t ⊙ o_t" in page and "default-src &#39;none&#39;" not in page
    assert "content=\"default-src 'none'" in page and "<script" not in page
    assert main(["exercise", "3", "--answers", "-o", "key.txt"]) == 0
    assert "(1 - now.f) * now.C_tilde" in Path("key.txt").read_text(encoding="utf-8")


# --- a class -------------------------------------------------------------------------------------
def begun(folder: Path, number: str, language: str = "en", seed: str = "5") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    here = Path.cwd()
    os.chdir(folder)
    try:
        assert main(["exercise", number, "--seed", seed, "--language", language]) == 0
        return folder / next(p.name for p in Path().glob(f"exercise-{number}-*.py"))
    finally:
        os.chdir(here)


def test_one_answer_takes_no_other_along(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    room = tmp_path / "class"
    ada = begun(room / "ada", "6")
    facts = next(e for e in built_in() if e.name == "value-used-twice").facts
    assert facts is not None
    text = ada.read_text(encoding="utf-8")
    for name in ("bar_b", "bar_a", "bar_w"):
        text = text.replace(f"{name} = ...", f"{name} = {facts(5)[name]}")
    text = text.replace("bar_c = ...", f"bar_c = {facts(5)['b']}")
    ada.write_text(text.replace("[...]", "['c', 'b', 'a']"), encoding="utf-8")
    os.chdir(ada.parent)
    assert main(["exercise", "6", "--hint"]) == 0
    assert main(["exercise", "6", "--check"]) == 0
    os.chdir(tmp_path)
    marker = tmp_path / "alive"
    endless = begun(room / "=bob", "6")
    endless.write_text(
        "import subprocess, sys\n"
        f"subprocess.Popen([sys.executable, '-c', \"import time; time.sleep(16); "
        f"open({str(marker)!r}, 'w')\"])\n"
        "while True: pass\n",
        encoding="utf-8",
    )
    ended = begun(room / "cem", "6")
    ended.write_text("import os, sys\nprint('x' * 99999)\nos._exit(0)\n", encoding="utf-8")
    flat = room / "dia_77 exercise-6-value-used-twice (1).py"
    flat.write_text(text, encoding="utf-8")
    derived = room / "eve-exercise-derive-gru-bar_z.py"
    derived.write_text("seed = 1\nformula = 'bar_h (h_tilde - h_before)'\n", encoding="utf-8")
    (room / "notes.py").write_text("raise SystemExit('never run')", encoding="utf-8")
    outside = tmp_path / "exercise-6-value-used-twice.py"
    outside.write_text("open('ran', 'w')", encoding="utf-8")
    (room / "link-exercise-6-value-used-twice.py").symlink_to(outside)
    capsys.readouterr()
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["exercise", "--class", "class", "--limit", "10", "-o", "out.csv"]) == 0
    out = capsys.readouterr().out
    states = {
        line.split("  ")[0]: line.split()[-3:-1] for line in out.splitlines() if line.endswith("/2")
    }
    assert {"ada", "=bob", "cem", "dia_77", "eve"} <= set(states)
    assert "∞" in "".join(states["=bob"]) and "!" in "".join(states["cem"])
    assert "It did not end within 10 s and was stopped." in out
    assert "link-exercise-6-value-used-twice.py, notes.py" in out
    rows = list(csv.DictReader(io.StringIO(Path("out.csv").read_text(encoding="utf-8-sig"))))
    found = {row["student"]: row for row in rows}
    assert (found["ada"]["state"], found["ada"]["tries"], found["ada"]["hints"]) == (
        "solved", "1", "1",
    )  # fmt: skip
    assert found["'=bob"]["state"] == "stopped" and found["cem"]["state"] == "ended"
    assert found["dia_77"]["state"] == "wrong" and "is still open" in found["dia_77"]["note"]
    assert found["dia_77"]["tries"] == "" and found["eve"]["state"] == "solved"
    assert not Path("ran").exists()
    time.sleep(7)
    assert not marker.exists()  # what an answer began is ended with it


def test_a_teachers_own_exercises_and_cells(tmp_path: Path) -> None:
    Path("teacher.py").write_text(
        "from lesson.exercises import Exercise\n"
        "one = Exercise('one', 'One', 'Do it.', ['So.'], 'answer = ...\\n',\n"
        "    lambda a: a.right('good') if a.number('answer') == 2 else a.wrong('no'))\n",
        encoding="utf-8",
    )
    Path("mine.py").write_text(OWN, encoding="utf-8")
    room = tmp_path / "room"
    for student, answer in {"ada": 2, "bob": 3}.items():
        (room / student).mkdir(parents=True)
        text = f"seed = 1\nanswer = {answer}\n"
        (room / student / "exercise-16-one.py").write_text(text, encoding="utf-8")
    text = "seed = 1\nformula = 'bar_h (h_before - C_bar)'\n"
    (room / "ada" / "exercise-derive-keeper-bar_k.py").write_text(text, encoding="utf-8")
    words = ["exercise", "--class", "room", "--file", "teacher.py", "--cell", "mine.py:keeper"]
    code = "import sys; from lesson.commands import main; sys.exit(main())"
    run = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        encoding="utf-8",
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"},
    )
    assert re.search(r"ada +✓ +✓ +2/2", run.stdout) and re.search(r"bob +✗ +· +0/2", run.stdout)
    assert "bob, one: no" in run.stdout


def test_columns_of_the_csv_are_those_of_a_result() -> None:
    assert set(class_summary.COLUMNS) == set(class_summary.Result.__dataclass_fields__)
