"""What an exercise is, and a student's answer to it."""

from __future__ import annotations

import ast
import re
import tomllib
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from lesson.error_texts import in_language
from lesson.exercises.words import SAYS, Words, hints, languages_of, say, table
from tinygrad_lstm import cell_files
from tinygrad_lstm.errors import ShapeError, TinygradError
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array, Tensor


class ExerciseError(TinygradError, ValueError):
    """An exercise, or a file of exercises, that is not written as it must be."""


class Stop(Exception):
    """The check cannot go on: what is wrong has been noted."""


@dataclass(frozen=True)
class Finding:
    """One thing that a check has found out about an answer, in the student's language."""

    right: bool
    text: str


@dataclass(frozen=True)
class Grade:
    """How hard an exercise is: easy, medium or hard; its minutes; the names of those before it."""

    level: str
    minutes: int
    after: Sequence[str] = ()


@dataclass(frozen=True)
class Exercise:
    """A task, hints, a file to begin with, and a check of what the student makes of it.

    A `Words` is a string, or a mapping of languages to strings: {"en": "…", "ko": "…"}. Title, task
    and hints are in the same languages. In task, hints and start {{name}} stands for a fact.

    name: lower-case letters, digits and hyphens; it names the student's file. hints: from a nudge
    to the solution explained. start: the text of the student's file, or a function of the seed
    that gives it; what is to be filled in is written `...`. check: reads the `Answer` and calls
    its `right` and `wrong`; passed is what has something right and nothing wrong. facts: a
    function of the seed that gives the texts for {{…}}. words: texts for {{…}} that are the same
    for every seed. says: what the check may say, by key, as `answer.says`. place: among the
    built-in exercises, counted from 1. grade: how hard it is, for the list; None says nothing.
    """

    name: str
    title: Words
    task: Words
    hints: Sequence[Words]
    start: str | Callable[[int], str]
    check: Callable[[Answer], None]
    facts: Callable[[int], Mapping[str, Words]] | None = None
    words: Mapping[str, Words] = field(default_factory=dict)
    says: Mapping[str, Words] = field(default_factory=dict)
    place: int = 0
    grade: Grade | None = None

    def __post_init__(self) -> None:
        self.check_name()
        if isinstance(self.hints, str) or not self.hints:
            raise ExerciseError(
                f"exercise {self.name!r}: hints is a list of texts, the last one the solution, "
                f"got {self.hints!r}."
            )
        if not callable(self.check):
            raise ExerciseError(
                f"exercise {self.name!r}: check is a function of the answer, got {self.check!r}."
            )
        hints = {f"hint {k + 1}": hint for k, hint in enumerate(self.hints)}
        for what, text in {"title": self.title, "task": self.task, **hints}.items():
            if not isinstance(text, str | Mapping) or not text:
                raise ExerciseError(
                    f"exercise {self.name!r}: {what} is a string, or a mapping of languages to "
                    f"strings, got {text!r}."
                )
            if lacking := self.languages ^ languages_of(text):
                raise ExerciseError(
                    f"exercise {self.name!r}: title and {what} are not in the same languages "
                    f"({', '.join(sorted(lacking))})."
                )

    def check_name(self) -> None:
        """Raise an ExerciseError for a name that does not make a file's name everywhere."""
        if not isinstance(self.name, str) or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", self.name):
            raise ExerciseError(
                f"an exercise's name is lower-case letters, digits and hyphens, got {self.name!r}."
            )

    @property
    def languages(self) -> frozenset[str]:
        """The languages it is written in."""
        return languages_of(self.title)

    def fill(self, text: Words, seed: int, language: str) -> str:
        """One of its texts, with its words and the facts of the seed filled in."""
        return say(text, language, **{**self.words, **(self.facts(seed) if self.facts else {})})

    def begin(self, seed: int, language: str) -> str:
        """The file the student begins with, without its heading."""
        text = self.start if isinstance(self.start, str) else self.start(seed)
        return self.fill(text, seed, language).strip("\n") + "\n"


def make_exercise(
    place: int,
    name: str,
    start: str | Callable[[int], str] | None = None,
    facts: Callable[[int], Mapping[str, Words]] | None = None,
) -> Callable[[Callable[[Answer], None]], Exercise]:
    """Makes a check a built-in exercise, whose words stand under its name in `exercises.toml`.

    Unless told, the student begins with the file of its name in the folder `starts`.
    """

    def decorate(check: Callable[[Answer], None]) -> Exercise:
        own, words, says = table(name), table(name, "words"), table(name, "says")
        title, task = own["title"], own["task"]
        begin = start_of(name) if start is None else start
        grade = Grade(**_grades()[name])
        lists = hints(name), begin, check, facts, words, says
        return Exercise(name, title, task, *lists, place, grade)

    return decorate


@cache
def _grades() -> dict[str, Any]:
    file = resources.files("lesson.exercises").joinpath("levels.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def start_of(name: str) -> str:
    """A file of the folder `starts`."""
    file = resources.files("lesson.exercises").joinpath("starts", f"{name}.txt")
    return file.read_text(encoding="utf-8")


@dataclass
class Answer:
    """A student's file, once run, and what a check notes about it.

    values: everything the file defines, by name; seed: the one the file was begun with; says:
    what the exercise's check may say; progress: takes a line that says how far a long check is.
    """

    path: Path
    values: Mapping[str, Any]
    seed: int
    language: str
    says: Mapping[str, Words] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    progress: Callable[[str], None] = lambda line: None

    def right(self, text: Words, /, **facts: Any) -> None:
        """Note what is right."""
        self.findings.append(Finding(True, say(text, self.language, **facts)))

    def wrong(self, text: Words, /, **facts: Any) -> None:
        """Note what is wrong, and why; the check goes on."""
        self.findings.append(Finding(False, say(text, self.language, **facts)))

    def stop(self, text: Words, /, **facts: Any) -> NoReturn:
        """Note what is wrong, and end the check."""
        self.wrong(text, **facts)
        raise Stop

    def value(self, name: str) -> Any:
        """What the file calls `name`; the check ends if there is nothing of that name."""
        if name not in self.values:
            self.stop(SAYS["missing"], name=name)
        return self.values[name]

    def cell(self, name: str) -> Cell:
        """The cell `name`, which must be written in the file."""
        found = self.value(name)
        if not isinstance(found, Cell):
            self.stop(SAYS["not_a_cell"], name=name)
        if Path(found.step.__code__.co_filename) != self.path.resolve():
            self.stop(SAYS["elsewhere"], name=name, other=found.name)
        return found

    def number(self, name: str) -> float:
        """The number `name`."""
        found = self.value(name)
        if isinstance(found, bool) or not isinstance(found, int | float | np.number):
            self.stop(SAYS["not_a_number"], name=name, value=repr(found))
        return float(found)

    def whole(self, name: str) -> int:
        """The whole number `name`."""
        found = self.number(name)
        if found != int(found):
            self.stop(SAYS["not_whole"], name=name, value=f"{found:g}")
        return int(found)

    def choice(self, name: str, choices: Iterable[Any]) -> Any:
        """What `name` was chosen to be, one of the choices."""
        found, known = self.value(name), list(choices)
        if not any(type(found) is type(one) and found == one for one in known):
            several = ", ".join(map(repr, known))
            self.stop(SAYS["not_a_choice"], name=name, value=repr(found), choices=several)
        return found

    def callable(self, name: str) -> Callable[..., Any]:
        """The function `name`, whose result is read by the check."""
        found = self.value(name)
        if not callable(found) or isinstance(found, Cell):
            self.stop(SAYS["not_a_function"], name=name)
        called: Callable[..., Any] = found
        return called

    def function(self, name: str) -> Callable[..., Array]:
        """The function `name`, whose result is read as an array."""
        found = self.value(name)
        if not callable(found) or isinstance(found, Cell):
            self.stop(SAYS["not_a_function"], name=name)

        def called(*args: Any) -> Array:
            result = found(*args)
            result = result.numpy() if isinstance(result, Tensor) else result
            if result is None or np.asarray(result).dtype.kind not in "fci":
                self.stop(SAYS["not_numbers"], name=name, value=repr(result))
            return np.asarray(result)

        return called


@dataclass(frozen=True)
class Verdict:
    """The outcome of a check: passed if something was right and nothing wrong."""

    findings: Sequence[Finding]

    @property
    def passed(self) -> bool:
        """Whether the exercise is solved."""
        return bool(self.findings) and all(finding.right for finding in self.findings)


def seed_in(path: Path) -> int | None:
    """The seed that a student's file was begun with, read without running the file."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return None
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == ["seed"]:
            value = node.value.value if isinstance(node.value, ast.Constant) else None
            return value if isinstance(value, int) and value >= 0 else None
    return None


def checked(
    exercise: Exercise,
    path: Path,
    language: str,
    progress: Callable[[str], None] = lambda line: None,
) -> Verdict:
    """Run the student's file and check it. Whatever is wrong with the file is a finding.

    Raises ExerciseError where the exercise itself fails.
    """
    answer = Answer(path, {}, 0, language, exercise.says, progress=progress)
    for line, text in _blanks(path):
        answer.wrong(SAYS["blank"], line=line, text=text)
    if answer.findings:
        return Verdict(answer.findings)
    try:
        answer.values = cell_files.run(path, "file")
        seed = seed_in(path)
        if seed is None:
            answer.stop(SAYS["no_seed"])
        answer.seed = seed
        exercise.check(answer)
    except Stop:
        pass
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        theirs = [f for f in frames if f.filename == str(path.resolve())]
        if isinstance(error, ExerciseError) or not (theirs or isinstance(error, TinygradError)):
            where = f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}"
            raise ExerciseError(
                f"the check of exercise {exercise.name!r} fails in {where}:\n"
                f"  {type(error).__name__}: {error}"
            ) from error
        if isinstance(error, TinygradError):
            _refused(answer, error)
        else:
            told = in_language(f"{type(error).__name__}: {error}", answer.language)
            answer.wrong(SAYS["fails"], line=theirs[-1].lineno, error=told)
    return Verdict(answer.findings)


def _refused(answer: Answer, error: TinygradError) -> None:
    """Say what the engine says, once, and what a shape that does not fit is most often due to."""
    file = re.match(r"file .*?(?:, line (\d+))? does not run:\n  ", str(error))
    text = in_language(str(error)[file.end() if file else 0 :], answer.language)
    if file and file[1]:
        answer.wrong(SAYS["fails"], line=file[1], error=text)
        return
    answer.wrong(SAYS["refused"], error=text)
    matrix = r"p\.[WURV]\w*"
    line = str(error).partition("\n")[0]
    if isinstance(error, ShapeError) and re.search(rf"{matrix} \* |\* {matrix}", line):
        answer.wrong(SAYS["star"])


def _blanks(path: Path) -> list[tuple[int, str]]:
    """The lines that still have a `...` to be filled in; x[..., 0] is none."""
    try:
        source = path.read_bytes()
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # told when the file is run
        return []
    indices = {
        part
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript)
        for part in ast.walk(node.slice)
    }
    lines = {
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value is ... and node not in indices
    }
    text = source.decode("utf-8", "replace").splitlines()
    return [(line, text[line - 1].strip()) for line in sorted(lines)]
