"""`tinygrad-lstm exercise`: exercises with hints, checked by the project's own readings."""

from __future__ import annotations

import argparse
import secrets
import shutil
import sys
import textwrap
from pathlib import Path

from lesson import languages
from lesson.exercises.collection import collect, find
from lesson.exercises.solved import Solved
from lesson.exercises.tasks import Exercise, ExerciseError, checked, seed_in
from lesson.exercises.words import choose_language, say, table
from lesson.terminal_text import width_of, wrap_paragraphs
from tinygrad_lstm.errors import DataError

MARKS = {True: "✓", False: "✗"}
SAYS = table("command")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which exercise, and what to do with it."""
    parser.epilog = (
        "Without --check and --hint it writes exercise-NUMBER-NAME.py here (never over a file) and "
        "prints the task. --check runs that file. Exit status: 0 if the answer is right, 1 if "
        "not, 2 for bad input."
    )
    parser.add_argument("exercise", nargs="?", metavar="NUMBER", help="its number or its name")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="check the answer")
    what.add_argument("--hint", action="store_true", help="the next hint, up to the solution")
    known = ", ".join(languages.languages())
    parser.add_argument("--language", metavar="L", help=f"{known} (default: the locale's)")
    parser.add_argument("--seed", type=int, metavar="N", help="of the numbers drawn at the start")
    parser.add_argument("--answer", type=Path, metavar="FILE", help="check this file instead")
    parser.add_argument(
        "--file",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help="a teacher's file or folder of exercises, which is run",
    )


def run(options: argparse.Namespace) -> int:
    """List the exercises, begin one, give a hint or check an answer."""
    every = collect(options.file)
    if options.exercise is None:
        if options.check or options.hint or options.seed is not None or options.answer:
            raise ExerciseError("name an exercise, as in: tinygrad-lstm exercise 3 --check")
        known = {language for made in every for language in made.languages}
        return _list(every, choose_language(options.language, known), _arguments(options))
    number, exercise = find(every, options.exercise)
    if options.answer and not options.check:
        raise ExerciseError("--answer names the file that --check is to read: add --check.")
    if options.seed is not None and (options.check or options.hint or options.seed < 0):
        raise DataError("--seed is a whole number from 0, for beginning an exercise.")
    language = choose_language(options.language, exercise.languages)
    path = options.answer or Path(f"exercise-{number}-{exercise.name}.py")
    command = f"tinygrad-lstm exercise {number}{_arguments(options)}"
    if options.check:
        return _check(exercise, path, language, command)
    if options.hint:
        return _hint(exercise, path, language, command)
    return _begin(exercise, number, path, language, command, options.seed)


def _arguments(options: argparse.Namespace) -> str:
    """What of the command is to be repeated in the next one."""
    files = "".join(f" --file {path}" for path in options.file)
    return files + (f" --language {options.language}" if options.language else "")


def _width() -> int:
    return max(40, min(80, shutil.get_terminal_size().columns))


def _show(text: str) -> None:
    print(wrap_paragraphs(text, _width()))


def _tell(key: str, language: str, **facts: str) -> None:
    _show(say(SAYS[key], language, **facts))


def _list(every: list[Exercise], language: str, more: str) -> int:
    done = Solved.read(Path())
    for number, exercise in enumerate(every, 1):
        begun = Path(f"exercise-{number}-{exercise.name}.py").exists()
        state = "done" if exercise.name in done.passed else "begun" if begun else ""
        mark = {"done": "✓", "begun": "…"}.get(state, " ")
        title = say(exercise.title, language)
        room = " " * max(2, _width() - 20 - width_of(title))
        word = room + say(SAYS[state], language) if state else ""
        print(f"{number:3} {mark} {title}{word}".rstrip())
    print()
    _tell("how", language, command=f"tinygrad-lstm exercise 1{more}")
    return 0


def _begin(
    exercise: Exercise, number: int, path: Path, language: str, command: str, seed: int | None
) -> int:
    there = path.exists()
    if there:
        kept = seed_in(path)
        if seed is not None and seed != kept:
            raise ExerciseError(
                f"{path} is there, with seed {kept}, and is not written over.\n"
                f"  Move it away to begin with seed {seed}."
            )
        seed = kept
    if seed is None:
        seed = secrets.randbelow(9000) + 1000
    title = f"{number}. {say(exercise.title, language)}"
    task = exercise.fill(exercise.task, seed, language)
    if not there:
        _write(path, exercise, f"{title}\n\n{task}", seed, language, command)
        done = Solved.read(path.parent)
        if done.hints.pop(exercise.name, None) is not None:  # the hints of another file
            done.write()
    print(title)
    print()
    _show(task)
    print()
    _tell("already" if there else "written", language, path=str(path), command=command)
    return 0


def _write(
    path: Path, exercise: Exercise, heading: str, seed: int, language: str, command: str
) -> None:
    how = say(SAYS["check_with"], language, command=command)
    lines = wrap_paragraphs(heading, 78).split("\n")
    above = "".join(f"# {line}".rstrip() + "\n" for line in lines)
    text = (
        f"{above}#\n# {how}\n\nseed = {seed}  # {say(SAYS['seed'], language)}\n\n"
        f"{exercise.begin(seed, language)}"
    )
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ExerciseError(
            f"{path} cannot be written: {error.strerror or error}.\n"
            f"  Work in a folder that can be written."
        ) from error


def _there(path: Path, command: str) -> None:
    if not path.is_file():
        raise ExerciseError(f"{path} does not exist; begin with\n  {command}")


def _check(exercise: Exercise, path: Path, language: str, command: str) -> int:
    _there(path, command)
    live = sys.stderr.isatty()
    progress = (lambda line: print(f"\r  {line} \x1b[K", end="", file=sys.stderr)) if live else None
    verdict = checked(exercise, path, language, progress or (lambda line: None))
    if progress:
        print("\r\x1b[K", end="", file=sys.stderr)
    for finding in verdict.findings:
        text = textwrap.indent(wrap_paragraphs(finding.text, _width() - 2), "  ")
        print(MARKS[finding.right] + text[1:])
    print()
    if verdict.passed:
        done = Solved.read(path.parent)
        done.passed.add(exercise.name)
        done.write()
    _tell("solved" if verdict.passed else "not_yet", language, command=f"{command} --hint")
    return 0 if verdict.passed else 1


def _hint(exercise: Exercise, path: Path, language: str, command: str) -> int:
    _there(path, command)
    seed = seed_in(path)
    if seed is None:
        raise ExerciseError(
            f"{path} cannot be read, or has no line `seed = NUMBER`: the hints follow from it."
        )
    done = Solved.read(path.parent)
    total = len(exercise.hints)
    number = min(done.hints.get(exercise.name, 0) + 1, total)
    done.hints[exercise.name] = number
    done.write()
    print(say(SAYS["hint"], language, number=number, total=total))
    print()
    _show(exercise.fill(exercise.hints[number - 1], seed, language))
    if number == total:
        print()
        _tell("last_hint", language)
    return 0
