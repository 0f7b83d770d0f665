"""`tinygrad-lstm exercise`: exercises with hints, checked by the project's own readings."""

from __future__ import annotations

import argparse
import secrets
import shlex
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lesson import languages
from lesson.exercises.collection import collect, find
from lesson.exercises.solved import Solved
from lesson.exercises.tasks import Answer, Exercise, ExerciseError, Verdict, checked, seed_in
from lesson.exercises.words import choose_language, say, table
from lesson.terminal_text import cut, width_of, wrap_paragraphs
from tinygrad_lstm.errors import DataError

if TYPE_CHECKING:
    from lesson.exercises.derive import Derivation

MARKS = {True: "✓", False: "✗"}
SAYS = table("command")


@dataclass(frozen=True)
class Chosen:
    """An exercise, how it is headed, the student's file, and the command that names it."""

    exercise: Exercise
    title: str
    path: Path
    command: str
    elsewhere: bool = False  # the file is another than the one that beginning writes


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which exercise, and what to do with it."""
    parser.epilog = (
        "Without --check and --hint it writes exercise-NUMBER-NAME.py here (never over a file) and "
        "prints the task. --check runs that file, --class every answer in the folder named. "
        "Exit status: 0 if the answer is right, 1 if not, 2 for bad input."
    )
    add = parser.add_argument
    about = "its number or its name; derive: the adjoints of a cell"
    add("exercise", nargs="?", metavar="NUMBER", help=about)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="check the answer")
    what.add_argument("--hint", action="store_true", help="the next hint, up to the solution")
    about = "the solutions, for --seed; -o writes text or HTML"
    what.add_argument("--answers", action="store_true", help=about)
    about = "who of a class has solved what: answers in the folder are run; -o writes CSV"
    what.add_argument("--class", dest="students", type=Path, metavar="FOLDER", help=about)
    known = ", ".join(languages.languages())
    add("--language", metavar="L", help=f"{known} (default: the locale's)")
    add("--seed", type=int, metavar="N", help="of the numbers drawn at the start")
    add("--answer", type=Path, metavar="FILE", help="check this file instead")
    about = "a teacher's file or folder of exercises, which is run"
    add("--file", type=Path, action="append", default=[], metavar="PATH", help=about)
    about = "of derive: a name, or path/to/file.py:NAME (default lstm)"
    add("--cell", metavar="CELL", help=about)
    add("--adjoint", metavar="NAME", help="of derive: which one, such as bar_C")
    add("--formula", metavar="TEXT", help="of derive: check this formula; it is parsed, never run")
    add("--limit", type=float, default=60, metavar="S", help="of --class: seconds for each answer")
    add("-o", "--output", type=Path, metavar="FILE", help="of --answers and --class")


def run(options: argparse.Namespace) -> int:
    """List the exercises, begin one, give a hint, check an answer; or what a teacher asks for."""
    _fits(options)
    if options.exercise == "derive":
        return _derive(options)
    every = collect(options.file)
    known = {language for made in every for language in made.languages}
    if options.students is not None:
        language = choose_language(options.language, known)
        return _class(options, every, language)
    if options.answers:
        some = [find(every, options.exercise)[1]] if options.exercise else every
        return _answers(options, some, choose_language(options.language, known))
    if options.exercise is None:
        if options.check or options.hint or options.seed is not None or options.answer:
            raise ExerciseError("name an exercise, as in: tinygrad-lstm exercise 3 --check")
        return _list(every, choose_language(options.language, known), _arguments(options))
    number, exercise = find(every, options.exercise)
    language = choose_language(options.language, exercise.languages)
    title = f"{number}. {say(exercise.title, language)}"
    path = Path(f"exercise-{number}-{exercise.name}.py")
    command = f"tinygrad-lstm exercise {number}{_arguments(options)}"
    elsewhere = options.answer is not None
    chosen = Chosen(exercise, title, options.answer or path, command, elsewhere)
    return _do(options, chosen, language)


def _fits(options: argparse.Namespace) -> None:
    """Raise where options do not belong together."""
    derive = options.exercise == "derive"
    if options.answer and not (options.check or options.hint):
        raise ExerciseError("--answer names the file that --check is to read: add --check.")
    if not derive and (given := [n for n in ("adjoint", "formula") if getattr(options, n)]):
        raise ExerciseError(f"--{given[0]} belongs to: tinygrad-lstm exercise derive")
    if options.cell and not derive and options.students is None:
        raise ExerciseError("--cell belongs to: tinygrad-lstm exercise derive --cell CELL")
    if options.formula is not None and (options.check or options.hint or options.answers):
        raise ExerciseError("--formula checks by itself: leave --check, --hint and --answers out.")
    if options.output and not (options.answers or options.students is not None):
        raise ExerciseError("-o is where --answers or --class are written: add one of them.")
    if options.students is not None and options.exercise:
        raise ExerciseError("--class is about all exercises: leave the exercise's name out.")
    if not 0 < options.limit < 1e6:
        raise DataError("--limit is a number of seconds above 0.")
    begins = not (options.check or options.hint or options.students is not None)
    if options.seed is not None and (options.seed < 0 or not begins) and options.exercise:
        raise DataError("--seed is a whole number from 0, for beginning an exercise.")


def _do(options: argparse.Namespace, chosen: Chosen, language: str) -> int:
    if options.check:
        return _check(chosen, language)
    if options.hint:
        return _hint(chosen, language)
    return _begin(chosen, language, options.seed)


def _arguments(options: argparse.Namespace) -> str:
    """What of the command is to be repeated in the next one."""
    files = "".join(f" --file {shlex.quote(str(path))}" for path in options.file)
    return files + (f" --language {options.language}" if options.language else "")


# --- derive ---------------------------------------------------------------------------------------
def _derive(options: argparse.Namespace) -> int:
    """The adjoints of a cell: their list, or one of them."""
    from lesson.exercises import derive
    from tinygrad_lstm.cell_files import find as find_cell

    spec = options.cell or "lstm"
    cell = find_cell(spec)
    language = choose_language(options.language, languages.languages())
    more = f" --cell {shlex.quote(spec)}" + _arguments(options)
    if options.adjoint is None:
        if options.check or options.hint or options.formula is not None:
            raise ExerciseError(
                "name an adjoint, as in: tinygrad-lstm exercise derive --adjoint bar_C"
            )
        every = derive.derivations(cell)
        if options.answers:
            return _answers(options, every, language)
        return _list_adjoints(every, language, f"tinygrad-lstm exercise derive{more}")
    exercise = derive.of(cell, options.adjoint)
    if options.answers:
        return _answers(options, [exercise], language)
    command = f"tinygrad-lstm exercise derive{more} --adjoint {exercise.typed}"
    title = exercise.fill(exercise.title, 0, language)
    path = options.answer or Path(f"exercise-{exercise.name}.py")
    chosen = Chosen(exercise, title, path, command, options.answer is not None)
    if options.formula is None:
        return _do(options, chosen, language)
    answer = Answer(path, {}, 0, language, exercise.says)
    assert exercise.sheet is not None
    derive.note(answer, exercise.sheet, exercise.label, options.formula)
    return _judged(chosen, Verdict(answer.findings), language)


def _list_adjoints(every: Sequence[Derivation], language: str, command: str) -> int:
    done, words = Solved.read(Path()), table("derive", "list")
    rows = []
    for one in every:
        mark = "✓" if one.name in done.passed else " "
        level = say(words[one.level], language)
        minutes = say(words["minutes"], language, minutes=one.minutes)
        rows.append((f"{mark} {one.typed}", one.adjoint, level, minutes, ", ".join(one.before)))
    heads = [
        say(words[f"head_{k}"], language) for k in ("name", "adjoint", "level", "time", "known")
    ]
    _print_table([("  " + heads[0], *heads[1:]), *rows])
    print()
    first = next((one for one in every if one.name not in done.passed), every[0])
    _tell("how", language, command=f"{command} --adjoint {first.typed}")
    return 0


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    """Rows in columns, each as wide as its widest cell; the last may be cut at the edge."""
    widths = [max(map(width_of, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [t + " " * (w - width_of(t)) for t, w in zip(row, widths, strict=True)]
        print(cut("  ".join(cells).rstrip(), max(_width(), 80)))


# --- for teachers ---------------------------------------------------------------------------------
def _answers(options: argparse.Namespace, every: Sequence[Exercise], language: str) -> int:
    from lesson.exercises import answer_key

    seed = options.seed or 0
    if options.output and options.output.suffix in (".html", ".htm"):
        answer_key.write(options.output, answer_key.html(every, seed, language))
    elif options.output:
        answer_key.write(options.output, answer_key.text(every, seed, language, 80))
    else:
        print(answer_key.text(every, seed, language, _width()), end="")
        return 0
    print(options.output)
    return 0


def _class(options: argparse.Namespace, every: Sequence[Exercise], language: str) -> int:
    from lesson.exercises import class_summary

    progress = (
        (lambda line: print(f"\r  {line} \x1b[K", end="", file=sys.stderr))
        if (sys.stderr.isatty())
        else (lambda line: None)
    )
    settings = class_summary.Settings(language, options.limit, options.file, options.cell, progress)
    found = class_summary.summarise(options.students, every, settings)
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
    if options.output:
        class_summary.write_csv(options.output, found)
    _print_table(class_summary.rows(found, language))
    print()
    for line in class_summary.notes(found, language):
        _show(line)
    return 0


# --- in a terminal --------------------------------------------------------------------------------
def _width() -> int:
    return max(40, min(80, shutil.get_terminal_size().columns))


def _show(text: str) -> None:
    print(wrap_paragraphs(text, _width()))


def _tell(key: str, language: str, **facts: str) -> None:
    _show(say(SAYS[key], language, **facts))


def _list(every: list[Exercise], language: str, more: str) -> int:
    done, words = Solved.read(Path()), table("derive", "list")
    numbers = {exercise.name: str(number) for number, exercise in enumerate(every, 1)}
    rows = []
    for number, exercise in enumerate(every, 1):
        begun = Path(f"exercise-{number}-{exercise.name}.py").exists()
        state = "done" if exercise.name in done.passed else "begun" if begun else ""
        mark = {"done": "✓", "begun": "…"}.get(state, " ")
        grade, told = exercise.grade, say(SAYS[state], language) if state else ""
        rows.append(
            (
                f"{number:3} {mark} {say(exercise.title, language)}",
                say(words[grade.level], language) if grade else "",
                say(words["minutes"], language, minutes=grade.minutes) if grade else "",
                ", ".join(numbers.get(name, name) for name in grade.after) if grade else "",
                told,
            )
        )
    heads = [say(words[f"head_{k}"], language) for k in ("level", "time")]
    _print_table(
        [
            ("      " + say(SAYS["exercise"], language), *heads, say(SAYS["first"], language), ""),
            *rows,
        ]
    )
    print()
    _tell("how", language, command=f"tinygrad-lstm exercise 1{more}")
    print()
    _tell("derive", language, command=f"tinygrad-lstm exercise derive{more} --cell lstm")
    return 0


def _begin(chosen: Chosen, language: str, seed: int | None) -> int:
    exercise, path = chosen.exercise, chosen.path
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
    task = exercise.fill(exercise.task, seed, language)
    if not there:
        _write(chosen, f"{chosen.title}\n\n{task}", seed, language)
        done = Solved.read(path.parent)
        if done.forget(exercise.name):  # the hints and tries of another file
            done.write()
    print(chosen.title)
    print()
    _show(task)
    print()
    key = "already" if there else "written"
    _tell(key, language, path=str(path), command=chosen.command)
    return 0


def _write(chosen: Chosen, heading: str, seed: int, language: str) -> None:
    how = say(SAYS["check_with"], language, command=chosen.command)
    lines = wrap_paragraphs(heading, 78).split("\n")
    above = "".join(f"# {line}".rstrip() + "\n" for line in lines)
    text = (
        f"{above}#\n# {how}\n\nseed = {seed}  # {say(SAYS['seed'], language)}\n\n"
        f"{chosen.exercise.begin(seed, language)}"
    )
    try:
        with open(chosen.path, "x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ExerciseError(
            f"{chosen.path} cannot be written: {error.strerror or error}.\n"
            f"  Work in a folder that can be written."
        ) from error


def _there(chosen: Chosen) -> None:
    if not chosen.path.is_file():
        raise ExerciseError(f"{chosen.path} does not exist; begin with\n  {chosen.command}")


def _check(chosen: Chosen, language: str) -> int:
    _there(chosen)
    live = sys.stderr.isatty()
    progress = (lambda line: print(f"\r  {line} \x1b[K", end="", file=sys.stderr)) if live else None
    verdict = checked(chosen.exercise, chosen.path, language, progress or (lambda line: None))
    if progress:
        print("\r\x1b[K", end="", file=sys.stderr)
    return _judged(chosen, verdict, language)


def _judged(chosen: Chosen, verdict: Verdict, language: str) -> int:
    """Say what was found, and keep it."""
    for finding in verdict.findings:
        text = textwrap.indent(wrap_paragraphs(finding.text, _width() - 2), "  ")
        print(MARKS[finding.right] + text[1:])
    print()
    name, done = chosen.exercise.name, Solved.read(chosen.path.parent)
    done.tries[name] = done.tries.get(name, 0) + 1
    if verdict.passed:
        done.passed.add(name)
    done.write()
    hints = done.hints.get(name, 0)
    key = "not_yet" if not verdict.passed else "solved_with" if hints else "solved"
    elsewhere = f" --answer {shlex.quote(str(chosen.path))}" if chosen.elsewhere else ""
    command = f"{chosen.command} --hint{elsewhere}"
    _tell(key, language, command=command, tries=str(done.tries[name]), hints=str(hints))
    return 0 if verdict.passed else 1


def _hint(chosen: Chosen, language: str) -> int:
    exercise = chosen.exercise
    _there(chosen)
    seed = seed_in(chosen.path)
    if seed is None:
        raise ExerciseError(
            f"{chosen.path} cannot be read, or has no line `seed = NUMBER`: "
            f"the hints follow from it."
        )
    done = Solved.read(chosen.path.parent)
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
