"""All exercises in order: the built-in ones, then those of a teacher's files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lesson.exercises import (
    cells_to_write,
    gradients_to_find,
    long_memory,
    networks_to_read,
    shapes,
)
from lesson.exercises.exercise import Exercise, ExerciseError
from tinygrad_lstm import cell_files
from tinygrad_lstm.errors import UnknownNameError

ORDER = (
    "finish-the-cell",
    "shapes",
    "coupled-gates",
    "heat-map",
    "why-it-forgets",
    "value-used-twice",
    "adjoint-of-o",
    "wrong-gradient",
    "peepholes",
    "gru-from-lstm",
    "fifty-steps",
)


def built_in() -> list[Exercise]:
    """The built-in exercises, from the first to the last."""
    rooms = (cells_to_write, shapes, networks_to_read, gradients_to_find, long_memory)
    every = {made.name: made for room in rooms for made in room.exercises()}
    return [every[name] for name in ORDER]


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


def collected(paths: Sequence[Path] = ()) -> list[Exercise]:
    """The built-in exercises and those of files; every name once."""
    every = built_in()
    for path in paths:
        for made in load(path):
            if made.name in {known.name for known in every}:
                raise ExerciseError(
                    f"{path}: there is an exercise {made.name!r} already.\n  Give it another name."
                )
            every.append(made)
    return every


def found(every: Sequence[Exercise], which: str) -> tuple[int, Exercise]:
    """An exercise by its number, counted from 1, or its name."""
    for number, made in enumerate(every, 1):
        if which in (str(number), made.name):
            return number, made
    raise UnknownNameError(
        f"there is no exercise {which!r}; there are 1 to {len(every)}: "
        f"{', '.join(made.name for made in every)}."
    )
