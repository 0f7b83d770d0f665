"""All exercises in order: the built-in ones, then those of a teacher's files."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from pathlib import Path

import lesson.exercises
from lesson.exercises.tasks import Exercise, ExerciseError
from tinygrad_lstm import cell_files
from tinygrad_lstm.errors import UnknownNameError


def built_in() -> list[Exercise]:
    """The exercises in the modules of this package, from the first to the last."""
    names = [module.name for module in pkgutil.iter_modules(lesson.exercises.__path__)]
    rooms = [importlib.import_module(f"lesson.exercises.{name}") for name in names]
    every = {
        value.name: value
        for room in rooms
        for value in vars(room).values()
        if isinstance(value, Exercise)
    }
    return sorted(every.values(), key=lambda one: one.place)


def load(path: Path) -> list[Exercise]:
    """Run a teacher's file, or each .py file of a folder by name, and return its exercises.

    Files whose names begin with _ are left out of a folder. The order is that of the files.
    """
    files = [path]
    if path.is_dir():
        files = sorted(f for f in path.glob("*.py") if not f.name.startswith("_"))
    found = [
        value
        for file in files
        for value in cell_files.run(file, "exercise file").values()
        if isinstance(value, Exercise)
    ]
    if not found:
        raise ExerciseError(
            f"{path} has no exercises.\n  Write NAME = Exercise(…), with "
            f"`from lesson.exercises import Exercise`."
        )
    return found


def collect(paths: Sequence[Path] = ()) -> list[Exercise]:
    """The built-in exercises and those of files; every name once."""
    every = built_in()
    for path in paths:
        for one in load(path):
            if one.name in {known.name for known in every}:
                raise ExerciseError(
                    f"{path}: there is an exercise {one.name!r} already.\n  Give it another name."
                )
            every.append(one)
    return every


def find(every: Sequence[Exercise], which: str) -> tuple[int, Exercise]:
    """An exercise by its number, counted from 1, or its name."""
    for number, one in enumerate(every, 1):
        if which in (str(number), one.name):
            return number, one
    raise UnknownNameError(
        f"there is no exercise {which!r}; there are 1 to {len(every)}: "
        f"{', '.join(one.name for one in every)}."
    )
