"""Who of a class has solved what: the answers in a folder, each run in a process of its own."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lesson.exercises import derive
from lesson.exercises.answer_key import write
from lesson.exercises.solved import Solved
from lesson.exercises.tasks import Exercise, ExerciseError
from lesson.exercises.words import say, table
from tinygrad_lstm import cells
from tinygrad_lstm.cell_files import find as find_cell
from tinygrad_lstm.errors import TinygradError

MARKS = {"solved": "✓", "wrong": "✗", "stopped": "∞", "ended": "!"}
COLUMNS = ("student", "exercise", "state", "tries", "hints", "note", "file")


@dataclass(frozen=True)
class Settings:
    """How a class is checked: seconds for each answer, a teacher's exercises, a cell to derive."""

    language: str = "en"
    limit: float = 60.0
    files: Sequence[Path] = ()
    cell: str | None = None
    progress: Callable[[str], None] = lambda line: None


@dataclass(frozen=True)
class Result:
    """One answer. state: solved, wrong, stopped at the limit of time, or ended with its process.

    tries, hints: as they were counted on the student's machine, None where nothing tells.
    """

    student: str
    exercise: str
    state: str
    tries: int | None
    hints: int | None
    note: str
    file: str


@dataclass(frozen=True)
class Summary:
    """The results of a class, the exercises in order, and files that are no answers."""

    results: Sequence[Result]
    exercises: Sequence[str]
    strange: Sequence[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Found:
    path: Path
    student: str
    exercise: str
    cell: str
    alone: bool  # the folder is this student's: what is counted there belongs to them


def summarise(folder: Path, every: Sequence[Exercise], settings: Settings) -> Summary:
    """Check every answer in a folder and its subfolders; each file is run.

    A student is a subfolder, or what stands before or after `exercise-…` in the name of a file.
    ExerciseError: no folder, or no answers in it.
    """
    if not folder.is_dir():
        raise ExerciseError(f"{folder} is no folder. Name the folder that the answers lie in.")
    order = [one.name for one in every]
    found, strange = list[_Found](), list[str]()
    for path in sorted(folder.rglob("*.py")):
        inner = path.relative_to(folder)
        if any(part.startswith((".", "__")) for part in inner.parts):
            continue
        if not path.resolve().is_relative_to(folder.resolve()):
            strange.append(str(inner))  # a link that leads elsewhere
        elif (answer := _answer(path, folder, order, settings.cell)) is not None:
            found.append(answer)
        else:
            strange.append(str(inner))
    if not found:
        raise ExerciseError(
            f"{folder} has no answers: files named as the exercises write them, such as "
            f"ada/exercise-1-{order[0]}.py or ada-exercise-1-{order[0]}.py."
        )
    results = []
    for number, one in enumerate(found, 1):
        settings.progress(f"{number}/{len(found)} {one.path.relative_to(folder)}")
        results.append(_result(one, folder, settings))
    names = {r.exercise for r in results}
    derived = sorted(name for name in names if name not in order)
    return Summary(results, [n for n in order if n in names] + derived, strange)


def _answer(path: Path, folder: Path, order: Sequence[str], cell: str | None) -> _Found | None:
    """Whose answer to which exercise a file is, by its name."""
    parts = re.fullmatch(r"(.*?)[\s_.-]*exercise-(?:\d+-)?(.+)", path.stem)
    if not parts:
        return None
    inner = path.relative_to(folder).parts
    for name, spec in _exercises(parts[2], order, cell):
        rest = re.sub(r"\(\d+\)|\s", " ", parts[2][len(name) :]).strip(" _-.")
        own = parts[1].strip(" _-.") or rest
        student = inner[0] if len(inner) > 1 else own or folder.resolve().name
        return _Found(path, student, name, spec, len(inner) > 1 or not own)
    return None


def _exercises(rest: str, order: Sequence[str], cell: str | None) -> Iterator[tuple[str, str]]:
    """The exercises that the rest of a file's name may begin with, the longest first."""
    for name in sorted(order, key=len, reverse=True):
        if rest.startswith(name):
            yield name, ""
    if not rest.startswith(f"{derive.NAME}-"):
        return
    specs = [cell] if cell else []
    specs += sorted(cells.all(), key=len, reverse=True)
    for spec in specs:
        known = find_cell(spec)
        if rest.startswith(f"{derive.NAME}-{known.name}-"):
            with contextlib.suppress(TinygradError):
                several = [one.name for one in derive.derivations(known)]
                for name in sorted(several, key=len, reverse=True):
                    if rest.startswith(name):
                        yield name, spec


def _result(one: _Found, folder: Path, settings: Settings) -> Result:
    state, note = _checked(one, settings)
    tries = hints = None
    if one.alone:
        with contextlib.suppress(ExerciseError):
            counted = Solved.read(one.path.parent)
            tries, hints = counted.tries.get(one.exercise), counted.hints.get(one.exercise, 0)
    file = str(one.path.relative_to(folder))
    return Result(one.student, one.exercise, state, tries, hints, note, file)


def _checked(one: _Found, settings: Settings) -> tuple[str, str]:
    """The state of an answer and what is first wrong with it, found by a process of its own."""
    words = table("class")
    with tempfile.TemporaryDirectory() as place:
        result = Path(place, "verdict.json")
        command = [sys.executable, "-m", "lesson.exercises.check_one", str(result), one.exercise]
        command += [str(one.path.resolve()), settings.language, _whole(one.cell)]
        command += [str(path.resolve()) for path in settings.files]
        quiet = subprocess.DEVNULL
        child = subprocess.Popen(
            command,
            stdin=quiet,
            stdout=quiet,
            stderr=quiet,
            cwd=place,
            env=_environment(),
            start_new_session=True,
        )
        try:
            child.wait(timeout=settings.limit)
        except subprocess.TimeoutExpired:
            return "stopped", say(words["stopped"], settings.language, limit=f"{settings.limit:g}")
        finally:
            _end(child)
        try:
            found = json.loads(result.read_text(encoding="utf-8"))
            passed, wrong = bool(found["passed"]), [str(text) for text in found["wrong"]]
        except (OSError, ValueError, KeyError, TypeError):
            return "ended", say(words["ended"], settings.language, code=child.returncode)
    if passed:
        return "solved", ""
    note = " ".join(wrong[0].split()) if wrong else say(words["nothing"], settings.language)
    return "wrong", note


def _whole(spec: str) -> str:
    """A cell's name, or its file from the root, since the check runs in a folder of its own."""
    path, colon, name = spec.rpartition(":")
    return f"{Path(path).resolve()}{colon}{name}" if path else spec


def _environment() -> dict[str, str]:
    """The process's own, in which this package is found as it is here."""
    paths = os.pathsep.join(str(Path(p or ".").resolve()) for p in sys.path)
    return {**os.environ, "PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"}


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a process, and what it has begun."""
    with contextlib.suppress(OSError, AttributeError):
        os.killpg(child.pid, signal.SIGKILL)
    with contextlib.suppress(OSError):
        child.kill()
    child.wait()


# --- as a table -----------------------------------------------------------------------------------
def rows(summary: Summary, language: str) -> list[tuple[str, ...]]:
    """A row for each student, a column for each exercise: a mark, then tries and hints."""
    words = table("class")
    found = [("", *summary.exercises, say(words["solved"], language))]
    for student in dict.fromkeys(r.student for r in summary.results):
        own = {r.exercise: r for r in summary.results if r.student == student}
        cells_ = [_cell(own.get(name)) for name in summary.exercises]
        count = sum(r.state == "solved" for r in own.values())
        found.append((student, *cells_, f"{count}/{len(summary.exercises)}"))
    return found


def _cell(result: Result | None) -> str:
    if result is None:
        return "·"
    counted = "" if result.tries is None else f" {result.tries}"
    return f"{MARKS[result.state]}{counted}{f'+{result.hints}' if result.hints else ''}"


def notes(summary: Summary, language: str) -> list[str]:
    """What the marks mean, what is wrong where, and the files that are no answers."""
    words = table("class")
    found = [say(words["legend"], language)]
    for r in summary.results:
        if r.state != "solved":
            found.append(f"{r.student}, {r.exercise}: {r.note}")
    if summary.strange:
        found.append(say(words["strange"], language, names=", ".join(summary.strange)))
    return found


def write_csv(path: Path, summary: Summary) -> None:
    """A line for each answer; text that a spreadsheet would take for a formula begins with '."""
    made = io.StringIO()
    rows_ = csv.writer(made, lineterminator="\r\n")
    rows_.writerow(COLUMNS)
    for r in summary.results:
        values = (r.student, r.exercise, r.state, r.tries, r.hints, r.note, r.file)
        rows_.writerow(["" if v is None else _plain(v) for v in values])
    write(path, "\ufeff" + made.getvalue())  # by which spreadsheets know UTF-8


def _plain(value: str | int) -> str | int:
    risky = isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r")
    return f"'{value}" if risky else value
