"""`tinygrad-lstm exercise`: the way through an exercise, and a teacher's own ones."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from exercise_answers import COUPLED, ORDER

from lesson.commands import main
from lesson.exercises import Exercise, ExerciseError
from lesson.exercises.words import say


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def test_the_way_through_an_exercise(capsys: pytest.CaptureFixture[str]) -> None:
    def said(*words: str, code: int = 0) -> str:
        assert main(["exercise", *words]) == code
        return capsys.readouterr().out

    first = said()
    assert re.search(r"  3   Couple two gates +easy +10 min +1\n", first)
    begun = said("3", "--seed", "5")
    path = Path("exercise-3-coupled-gates.py")
    assert begun.startswith("3. Couple two gates\n\nIn an LSTM two gates decide")
    assert "    tinygrad-lstm exercise 3 --check\n" in begun
    assert "\nseed = 5  # " in path.read_text(encoding="utf-8")
    assert re.search(r"  3 … Couple two gates .* begun\n", said())

    path.write_text(path.read_text(encoding="utf-8") + "# mine\n", encoding="utf-8")
    again = said("3")
    assert "It is there already: exercise-3-coupled-gates.py" in again
    assert path.read_text(encoding="utf-8").endswith("# mine\n")

    wrong = said("3", "--check", code=1)
    assert wrong.startswith("✗ The cell still declares W_i, b_i: ")
    assert wrong.endswith("Not yet. The next hint:\n\n    tinygrad-lstm exercise 3 --hint\n")
    assert said("3", "--hint").startswith("Hint 1 of 3\n\nIf a share f of the old state is kept")
    assert said("3", "--hint").startswith("Hint 2 of 3\n")
    last = said("3", "--hint")
    assert last.startswith("Hint 3 of 3\n") and "    now.C = now.f * prev.C + (1 - now.f)" in last
    assert last.endswith("\nThat was the last hint.\n") and last == said("3", "--hint")

    path.rename("old.py")
    said("3", "--seed", "5")
    assert said("3", "--hint").startswith("Hint 1 of 3\n")  # a new file, from the first hint
    Path("old.py").replace(path)

    path.write_text(COUPLED(path.read_text(encoding="utf-8"), 5), encoding="utf-8")
    right = said("3", "--check")
    assert right.startswith("✓ The states are right: ")
    assert right.endswith("\nSolved: tries 1, hints 1.\n")
    assert "the complex step" in right
    assert re.search(r"  3 ✓ Couple two gates .* done\n", said())
    assert sorted(p.name for p in Path().iterdir()) == [".tinygrad-lstm-exercises.json", path.name]


def test_an_answer_in_another_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exercise", "coupled-gates", "--seed", "5"]) == 0
    Path("sent").mkdir()
    begun = Path("exercise-3-coupled-gates.py")
    Path("sent/ada.py").write_text(COUPLED(begun.read_text(encoding="utf-8"), 5), encoding="utf-8")
    assert main(["exercise", "3", "--check", "--answer", "sent/ada.py"]) == 0
    assert main(["exercise", "3", "--check"]) == 1
    kept = Path("sent/.tinygrad-lstm-exercises.json").read_text(encoding="utf-8")
    assert json.loads(kept)["passed"]


@pytest.mark.parametrize(
    ("locale", "title"),
    [
        ("ko_KR.UTF-8", "두 게이트 결합하기"),
        ("zh_CN.UTF-8", "把两个门耦合起来"),
        ("fr_FR.UTF-8", "Couple two gates"),
        ("C", "Couple two gates"),
        ("", "Couple two gates"),
    ],
)
def test_the_language_is_the_locales(
    locale: str, title: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANG", locale)
    assert main(["exercise"]) == 0
    assert title in capsys.readouterr().out
    assert main(["exercise", "--language", "zh"]) == 0
    assert "把两个门耦合起来" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["3", "--language", "fr"],
            "there is no language 'fr'; there are en, ko, zh.\n  Write --language en.",
        ),
        (["99"], f"there is no exercise '99'; there are 1 to 15: {', '.join(ORDER)}."),
        (
            ["3", "--check"],
            "exercise-3-coupled-gates.py does not exist; begin with\n  tinygrad-lstm exercise 3",
        ),
        (
            ["3", "--hint"],
            "exercise-3-coupled-gates.py does not exist; begin with\n  tinygrad-lstm exercise 3",
        ),
        (["--check"], "name an exercise, as in: tinygrad-lstm exercise 3 --check"),
        (
            ["3", "--answer", "x.py"],
            "--answer names the file that --check is to read: add --check.",
        ),
        (["3", "--seed", "-1"], "--seed is a whole number from 0, for beginning an exercise."),
        (
            ["3", "--check", "--seed", "1"],
            "--seed is a whole number from 0, for beginning an exercise.",
        ),
        (["--file", "none.py"], "exercise file none.py does not exist."),
    ],
)
def test_bad_use(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exercise", *words]) == 2
    captured = capsys.readouterr()
    assert captured.err == f"tinygrad-lstm exercise: {message}\n" and captured.out == ""
    assert list(Path().iterdir()) == []


def test_files_in_the_way(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exercise", "3", "--seed", "5"]) == 0
    assert main(["exercise", "3", "--seed", "6"]) == 2
    assert "is there, with seed 5, and is not written over" in capsys.readouterr().err
    Path(".tinygrad-lstm-exercises.json").write_text("[]", encoding="utf-8")
    assert main(["exercise"]) == 2
    assert "delete it to begin counting anew" in capsys.readouterr().err
    Path("exercise-3-coupled-gates.py").write_text("seed = x\n", encoding="utf-8")
    Path(".tinygrad-lstm-exercises.json").unlink()
    assert main(["exercise", "3", "--hint"]) == 2
    assert "has no line `seed = NUMBER`" in capsys.readouterr().err


def test_a_file_that_is_no_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exercise", "3", "--seed", "5"]) == 0
    path = Path("exercise-3-coupled-gates.py")
    text = path.read_bytes()
    path.write_bytes(b"\xef\xbb\xbf" + COUPLED(text.decode(), 5).encode())  # as some editors do
    assert main(["exercise", "3", "--check"]) == 0
    path.write_bytes(text + b"\0")
    assert main(["exercise", "3", "--check"]) == 1
    assert "✗ It does not run: " in capsys.readouterr().out


def teachers_example() -> str:
    """The example of docs/exercises.md, as it stands there."""
    text = (Path(__file__).parents[2] / "docs" / "exercises.md").read_text(encoding="utf-8")
    found = re.search(r"```python\n(# teacher\.py.*?)```", text, re.DOTALL)
    assert found
    return found[1]


def test_the_example_of_the_documentation(capsys: pytest.CaptureFixture[str]) -> None:
    Path("teacher.py").write_text(teachers_example(), encoding="utf-8")
    more = ["--file", "teacher.py"]
    assert main(["exercise", *more]) == 0
    assert " 16   A leaky unit\n" in capsys.readouterr().out
    assert main(["exercise", "16", *more, "--seed", "4"]) == 0
    assert "    tinygrad-lstm exercise 16 --file teacher.py --check\n" in capsys.readouterr().out
    path = Path("exercise-16-leaky-unit.py")
    begun = path.read_text(encoding="utf-8")
    assert main(["exercise", "16", *more, "--check"]) == 1
    answers = {
        "0.9 * prev.h + 0.1 * tanh(matvec(p.W, x))": (0, "✓ The states are right"),
        "0.1 * prev.h + 0.9 * tanh(matvec(p.W, x))": (1, "✗ 0.9 is the share that is kept"),
        "prev.h + 0.1 * tanh(matvec(p.W, x))": (1, "✗ Your equation h = "),
        "0.9 * prev.h": (1, "✗ Your equation h = "),
    }
    for line, (code, first) in answers.items():
        path.write_text(begun.replace("now.h = ...", f"now.h = {line}"), encoding="utf-8")
        capsys.readouterr()
        assert main(["exercise", "16", *more, "--check"]) == code
        assert capsys.readouterr().out.startswith(first)
    assert main(["exercise", "leaky-unit", *more, "--hint", "--language", "ko"]) == 0
    assert "힌트 1/2" in capsys.readouterr().out
    assert main(["exercise", "16", *more, "--language", "zh"]) == 2
    assert "there is no language 'zh'; there are en, ko." in capsys.readouterr().err


HEAD = "from lesson.exercises import Exercise\n"
PLAIN = "one = Exercise('one', 'One', 'Do it.', ['So.'], 'answer = ...\\n', lambda a: {check})\n"


def test_a_folder_of_exercises(capsys: pytest.CaptureFixture[str]) -> None:
    Path("more").mkdir()
    text = HEAD + PLAIN.format(check="a.right('good') if a.number('answer') == 2 else None")
    Path("more/b.py").write_text(text, encoding="utf-8")
    Path("more/a.py").write_text(text.replace("'one'", "'two'"), encoding="utf-8")
    Path("more/_helpers.py").write_text("raise RuntimeError", encoding="utf-8")
    assert main(["exercise", "--file", "more"]) == 0
    assert " 17   One" in capsys.readouterr().out
    assert main(["exercise", "one", "--file", "more", "--seed", "1"]) == 0
    path = Path("exercise-17-one.py")
    begun = path.read_text(encoding="utf-8")
    for answer, code in (("2", 0), ("3", 1)):  # 3: the check finds nothing right
        path.write_text(begun.replace("...", answer), encoding="utf-8")
        assert main(["exercise", "17", "--file", "more", "--check"]) == code


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "x = 1\n",
            "teacher.py has no exercises.\n  Write NAME = Exercise(…), with "
            "`from lesson.exercises import Exercise`.",
        ),
        (
            HEAD + PLAIN.format(check="1").replace("'one', 'One'", "'shapes', 'One'"),
            "teacher.py: there is an exercise 'shapes' already.\n  Give it another name.",
        ),
        (
            HEAD + PLAIN.format(check="1").replace("'one', 'One'", "'My One', 'One'"),
            "exercise file teacher.py, line 2 does not run:\n  ExerciseError: an exercise's name "
            "is lower-case letters, digits and hyphens, got 'My One'.",
        ),
        (
            HEAD + PLAIN.format(check="1").replace("['So.']", "[]"),
            "exercise file teacher.py, line 2 does not run:\n  ExerciseError: exercise 'one': "
            "hints is a list of texts, the last one the solution, got [].",
        ),
        (
            HEAD + PLAIN.format(check="1").replace("['So.']", "[{'ko': '이렇게'}]"),
            "exercise file teacher.py, line 2 does not run:\n  ExerciseError: exercise 'one': "
            "title and hint 1 are not in the same languages (en, ko).",
        ),
        (
            HEAD + PLAIN.format(check="1").replace("'Do it.'", "3"),
            "exercise file teacher.py, line 2 does not run:\n  ExerciseError: exercise 'one': task "
            "is a string, or a mapping of languages to strings, got 3.",
        ),
    ],
)
def test_files_of_exercises_that_are_not_right(
    text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("teacher.py").write_text(text, encoding="utf-8")
    assert main(["exercise", "--file", "teacher.py"]) == 2
    assert capsys.readouterr().err == f"tinygrad-lstm exercise: {message}\n"


def test_a_check_that_fails_is_the_teachers(capsys: pytest.CaptureFixture[str]) -> None:
    Path("teacher.py").write_text(HEAD + PLAIN.format(check="1 / 0"), encoding="utf-8")
    assert main(["exercise", "16", "--file", "teacher.py", "--seed", "1"]) == 0
    path = Path("exercise-16-one.py")
    path.write_text(path.read_text(encoding="utf-8").replace("...", "2"), encoding="utf-8")
    assert main(["exercise", "16", "--file", "teacher.py", "--check"]) == 2
    assert capsys.readouterr().err == (
        "tinygrad-lstm exercise: the check of exercise 'one' fails in teacher.py, line 2:\n"
        "  ZeroDivisionError: division by zero\n"
    )


def test_plain_words_need_no_languages() -> None:
    made = Exercise(
        "one",
        "One",
        "Do {{it}}.",
        ["So."],
        "x = {{it}}\n",
        lambda a: None,
        lambda seed: {"it": str(seed)},
    )
    assert made.languages == {"en"}
    assert made.fill(made.task, 3, "ko") == "Do 3." and made.begin(4, "en") == "x = 4\n"
    assert say({"ko": "하나"}, "en") == "하나"
    with pytest.raises(ExerciseError, match="check is a function"):
        Exercise("one", "One", "Do.", ["So."], "", 3)  # type: ignore[arg-type]
