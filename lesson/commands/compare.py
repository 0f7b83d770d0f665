"""`tinygrad-lstm compare CELL …`: cells trained on the same data, and what may be concluded."""

from __future__ import annotations

import argparse
import math
import os
import shlex
from pathlib import Path

from lesson import cell_options, task_options
from lesson.compare_page import page
from lesson.compare_watch import Watch, table
from tinygrad_lstm.comparing import Plan, Results, compare, conclusions, entrants_of
from tinygrad_lstm.comparing.plans import OPTIMISERS, ComparisonError
from tinygrad_lstm.errors import DataError, TinygradError

AS_OPTIONS = {
    "seeds must": "--seeds must",
    "hidden must": "--hidden must",
    "rate must": "--rate must",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which cells, on what, how, and where to write what is found."""
    parser.epilog = (
        "What is stopped, or killed, is gone on with by the same command; more --seeds or further "
        "cells are added to what is there. `tinygrad-lstm tasks` lists the tasks."
    )
    add = parser.add_argument
    add("cells", metavar="CELL", nargs="+", help="names, or path/to/file.py:NAME")
    add("--task", metavar="NAME", required=True, help="a task, or path/to/file.py:NAME")
    add("--seeds", type=int, default=5, metavar="N", help="trainings of each cell (default 5)")
    add(
        "--steps", type=int, default=1500, metavar="N", help="of a training, at most (default 1500)"
    )
    add("--seconds", type=float, metavar="S", help="of a training, at most (default: no limit)")
    add("--hidden", type=int, default=32, metavar="N", help="units (default 32)")
    add(
        "--equal",
        choices=("units", "parameters"),
        default="units",
        help="what the cells have the same number of; parameters: those of the first one",
    )
    add("--rate", type=float, default=0.005, help="of the optimiser (default 0.005)")
    add("--optimiser", choices=tuple(OPTIMISERS), default="adam", help="(default adam)")
    add("--batch", type=int, default=32, metavar="N", help="sequences a step (default 32)")
    add("--clip", type=float, default=1.0, metavar="NORM", help="of the gradient (default 1)")
    add(
        "--every", type=int, default=50, metavar="N", help="steps between measurements (default 50)"
    )
    cell_options.add_size(parser, "inputs=64")
    parser.add_argument(
        "--start",
        type=cell_options.pairs,
        action="extend",
        metavar="NAME=VALUE",
        help="start value of a parameter, for the cells that have it (default b_f=2)",
    )
    add("--jobs", type=int, metavar="N", help="processes side by side (default: one a processor)")
    add("--out", type=Path, metavar="PATH", help="PATH.html and PATH.json (default compare-TASK)")
    task_options.add(parser)


def run(options: argparse.Namespace) -> int:
    """Train, show how far it is, and write the page and the numbers."""
    cell_options.check_least(options, seeds=1, steps=1, hidden=1, batch=1, every=1, jobs=1)
    for name in ("rate", "clip", "seconds"):
        value = getattr(options, name)
        if value is not None and not 0 < value < math.inf:
            raise DataError(f"--{name} must be a number above 0, got {value}.")
    plan = _plan(options)
    entrants = entrants_of(plan)
    out = options.out or Path(f"compare-{Path(options.task.replace(':', '-')).name}")
    out = out.with_suffix("") if out.suffix in (".html", ".json") else out
    numbers, shown = (out.with_name(f"{out.name}.{kind}") for kind in ("json", "html"))
    if not out.parent.is_dir():
        raise ComparisonError(f"--out: there is no folder {out.parent}.")
    jobs = options.jobs or _processors()
    print(f"{plan.found_task()}: {', '.join(f'{e.name} ({e.parameters:,})' for e in entrants)}")
    watch = Watch(plan, entrants)
    try:
        results = compare(plan, entrants, numbers, jobs, watch.show)
    except KeyboardInterrupt:
        watch.close()
        words = ["tinygrad-lstm", "compare", *_words(options)]
        print(
            f"Stopped; what is done is kept. To go on, the same once more:\n  {shlex.join(words)}"
        )
        return 130
    except TinygradError:
        watch.close()
        raise
    watch.close()
    return _tell(results, numbers, shown)


def _tell(results: Results, numbers: Path, shown: Path) -> int:
    print(f"\n{table(results)}\n")
    for sentence in conclusions(results):
        print(sentence)
    try:
        shown.write_text(page(results), encoding="utf-8")
    except OSError as error:
        raise ComparisonError(f"{shown} cannot be written: {error.strerror}.") from error
    print(f"\n{shown}\n{numbers}")
    return 0


def _plan(options: argparse.Namespace) -> Plan:
    starts = None if options.start is None else dict(options.start)
    return Plan(
        cells=tuple(options.cells),
        task=options.task,
        options=task_options.read(options),
        sizes=dict(options.size),
        starts=starts,
        **{
            name: getattr(options, name)
            for name in (
                *("seeds", "hidden", "equal", "rate", "optimiser", "batch", "clip", "steps"),
                *("seconds", "every"),
            )
        },
    )


def _processors() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _words(options: argparse.Namespace) -> list[str]:
    """The command's words, for what was given otherwise than by default."""
    parser = argparse.ArgumentParser()
    arguments(parser)
    words = [*options.cells, "--task", options.task]
    for action in parser._actions:
        value = getattr(options, action.dest, None)
        if action.dest in ("help", "cells", "task") or value is None or value == action.default:
            continue
        for one in value if isinstance(value, list) else [value]:
            said = "=".join(map(str, one)) if isinstance(one, tuple) else str(one)
            words += [action.option_strings[0], said]
    return words
