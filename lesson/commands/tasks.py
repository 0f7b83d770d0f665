"""`tinygrad-lstm tasks`: tasks to learn, and what their sequences look like."""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap

import numpy as np

from lesson import cell_options, task_options
from lesson.task_examples import examples
from tinygrad_lstm.errors import DataError
from tinygrad_lstm.learning import tasks
from tinygrad_lstm.learning.tasks.files import find_task


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which task, and whether examples of it are shown."""
    parser.epilog = (
        "Train on one by `train CELL --task NAME`, compare cells by `compare CELL … --task NAME`."
    )
    add = parser.add_argument
    add("task", metavar="NAME", nargs="?", help="a task, or path/to/file.py:NAME (default: all)")
    add("--show", action="store_true", help="print examples, as they are drawn with --seed")
    add("--count", type=int, default=3, metavar="N", help="of examples (default 3)")
    add("--seed", type=int, default=0, metavar="N", help="of the examples (default 0)")
    task_options.add(parser)


def run(options: argparse.Namespace) -> int:
    """Print a line for each task, or what one is."""
    cell_options.check_least(options, count=1, seed=0)
    width = max(40, shutil.get_terminal_size().columns)
    given = task_options.read(options)
    if options.task is None:
        if given or options.show:
            raise DataError("name a task, such as `tinygrad-lstm tasks temporal-order --show`.")
        _list(width)
        return 0
    task = find_task(options.task, **given)
    print(f"{task}\n")
    for paragraph in task.about.split("\n\n"):
        print(textwrap.fill(" ".join(paragraph.split()), min(width, 100)), end="\n\n")
    reads = f"{task.symbols} symbols" if task.symbols else f"{task.inputs} numbers a step"
    when = "the end" if task.at == "end" else "every step"
    known = {
        "reads": reads,
        "predicts": f"{task.outputs} output{'s' * (task.outputs != 1)} at {when}, {task.loss}",
        "measured": ", ".join(task.measures),
        "data": task.size,
        "source": task.source,
        "licence": task.licence,
    }
    for name, value in task.baselines.items():
        known[name] = f"{value:.4g}"
    wide = max(map(len, known))
    for name, said in known.items():
        print(_hanging(f"{name:{wide}}  {said}", wide + 2, width))
    kind = tasks.all().get(options.task)
    for name, default in task.options.items():
        meaning = kind.meanings.get(name, "") if kind else ""
        option = f"--{name.replace('_', '-')} {default}"
        option = option if kind else f"--task-option {name}={default}"
        print(_hanging(f"  {option}  {meaning}", 6, width))
    if options.show:
        random = np.random.default_rng(options.seed)
        for text in examples(task, random, options.count, width):
            print(f"\n{text}")
    return 0


def _list(width: int) -> None:
    known = tasks.all()
    wide = max(map(len, known))
    for name, kind in known.items():
        needs = f" [{kind.needs}]" if kind.needs else ""
        line = f"{name:{wide}}  {kind.summary}{needs}"
        fits = not sys.stdout.isatty() or len(line) <= width
        print(line if fits else f"{line[: width - 1]}…")
    print("\nOf [these], a package has the data. `tinygrad-lstm tasks NAME --show` tells more.")


def _hanging(text: str, indent: int, width: int) -> str:
    return textwrap.fill(
        text, width, subsequent_indent=" " * min(indent, width // 2), break_on_hyphens=False
    )
