"""Options of tasks on the command line: `--task NAME`, `--lag N`, `--task-option NAME=VALUE`."""

from __future__ import annotations

import argparse
from collections.abc import Collection

from tinygrad_lstm.errors import DataError
from tinygrad_lstm.learning import tasks
from tinygrad_lstm.learning.tasks.registry import Option


def add(parser: argparse.ArgumentParser, own: Collection[str] = ()) -> None:
    """Add an option for each that some task has, and --task-option for those of a file.

    own: options that the command has already, for a text; `read` takes them for a task that has
    such an option.
    """
    parser.set_defaults(of_a_text=own)
    for name, (kinds, meaning) in known().items():
        if name in own:
            continue
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            dest=f"task_{name}",
            metavar=name.rpartition("_")[2].upper()[:8],
            help=f"{meaning} (of {', '.join(kinds)})",
        )
    parser.add_argument(
        "--task-option",
        type=_pair,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other option of the task",
    )


def read(options: argparse.Namespace) -> dict[str, Option]:
    """The options that were given."""
    found: dict[str, Option] = {}
    for name in known():
        text = name in options.of_a_text
        if (value := getattr(options, name if text else f"task_{name}")) is not None:
            found[name] = value
    for name, value in options.task_option:
        if name in found:
            raise DataError(f"{name} is given twice.")
        found[name] = value
    return found


def known() -> dict[str, tuple[list[str], str]]:
    """The options of all tasks: which have it, and what it means in the first of them."""
    found: dict[str, tuple[list[str], str]] = {}
    for kind in tasks.all().values():
        for name in kind.options:
            meaning = kind.meanings.get(name, "").partition(";")[0].replace("%", "%%")
            found.setdefault(name, ([], meaning))[0].append(kind.name)
    return dict(sorted(found.items()))


def _pair(words: str) -> tuple[str, str]:
    name, equals, value = words.partition("=")
    if not (equals and name.isidentifier()):
        raise argparse.ArgumentTypeError(f"write NAME=VALUE, such as lag=20, not {words!r}")
    return name, value
