"""Tasks by name, and the reader's own from files."""

from __future__ import annotations

from pathlib import Path

from tinygrad_lstm.errors import DataError, UnknownNameError
from tinygrad_lstm.learning.task import Task
from tinygrad_lstm.learning.tasks.registry import Kind, Option, find
from tinygrad_lstm.python_files import run


def find_task(spec: str, **options: Option) -> Task:
    """The task that `NAME` or `path/to/file.py:NAME` stands for.

    In a file it is a `Task`, or a function that returns one, whose keyword arguments with defaults
    are its options. Naming a file runs it.
    """
    path, _, name = spec.rpartition(":")
    if not path.endswith(".py"):
        return find(spec, **options)
    found = run(Path(path)).get(name)
    if isinstance(found, Task):
        if options:
            raise DataError(f"{spec} is a task without options, got {', '.join(options)}.")
        return found
    if not callable(found):
        raise UnknownNameError(f"{spec}: the file has no task, or function that makes one, {name}.")
    kind = Kind(name, found, {})
    odd = [n for n, default in kind.options.items() if not isinstance(default, int | float | str)]
    if odd:
        raise DataError(f"{spec}: the option {odd[0]} needs a default: a number, or text.")
    made = kind(**options)
    if not isinstance(made, Task):
        raise DataError(f"{spec} returned {type(made).__name__}; a task is needed.")
    return made
