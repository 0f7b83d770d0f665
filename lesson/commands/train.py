"""`tinygrad-lstm train CELL`: train a cell on a text or a task, with a progress bar."""

from __future__ import annotations

import argparse
import collections
import contextlib
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from lesson import cell_options, task_options, training_options
from lesson.network_names import HELP, find_network
from tinygrad_lstm import learning
from tinygrad_lstm.cell_files import find, parts
from tinygrad_lstm.errors import DataError, ShapeError, TinygradError
from tinygrad_lstm.learning import CheckpointError, Progress, Task, Training, tasks
from tinygrad_lstm.learning.checkpoint_files import of_task
from tinygrad_lstm.python_files import run as run_file

SECONDS = 60.0
OF_A_TEXT = ("text", "length")  # options that some tasks have as well
LEAST = dict(length=1, steps=0, seconds=0, sample=0, temperature=0)
AS_OPTIONS = {  # what the library's errors ask for, as it is said here
    "another file": "another file by --checkpoint PATH",
    "the same text": "the same --text",
    "a longer text, or a smaller batch or length": "a longer --text, or a smaller --batch or "
    "--length",
    "a rate below": "a --rate below",
    "or clip below": "or --clip below",
    "or clip the gradient": "or --clip NORM",
    "embedding input, or sizes": "--input embedding, or sizes",
    "the input 'linear'": "--input linear",
    "Name that task with its options": "Name that --task with its options",
    "batch must": "--batch must",
    "length must": "--length must",
    "seed must": "--seed must",
    "input_noise is": "--input-noise is",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """What to train, on what, how long, and where to keep it."""
    parser.epilog = (
        "Ctrl-C or SIGTERM saves a checkpoint and stops; --resume goes on from it with the same "
        "numbers as if it had never stopped. Losses of a text are in bits a character; held-out "
        "data are not learnt from. `tinygrad-lstm tasks` lists the tasks."
    )
    add = parser.add_argument
    add("cell", metavar="CELL", help=f"a name, or path/to/file.py:NAME; with --task {HELP}")
    add("--text", metavar="FILE", help="a text in UTF-8 (default: Shakespeare)")
    add("--task", metavar="NAME", help="a task in place of a text, or path/to/file.py:NAME")
    add("--hidden", type=int, metavar="N", help="entries of a state (default: text 128, task 32)")
    cell_options.add_size(parser, "inputs=64")
    cell_options.add_start(parser)
    add(
        "--input",
        choices=("embedding", "one-hot", "linear"),
        help="of symbols: embedding, of a text by default, or one-hot; of a task's vectors linear, "
        "through a matrix",
    )
    long = parser.add_mutually_exclusive_group()
    long.add_argument(
        "--seconds", type=float, metavar="S", help=f"of training (default {SECONDS:g})"
    )
    long.add_argument("--steps", type=int, metavar="N", help="of training, in place of seconds")
    add("--until", choices=("solved",), help="stop when the task is solved")
    add("--length", type=int, metavar="N", help="characters of a text a step (default 64)")
    training_options.add(parser)
    add("--checkpoint", type=Path, metavar="PATH", help="default CELL.npz, or CELL-TASK.npz")
    add("--resume", action="store_true", help="go on from the checkpoint")
    add("--eager", action="store_true", help="compute operation by operation, not by compiled code")
    task_options.add(parser, OF_A_TEXT)
    add("--sample", type=int, metavar="N", default=300, help="characters to write at the end")
    add(
        "--temperature",
        type=float,
        metavar="T",
        default=0.8,
        help="of the sample: 0 takes the likeliest, 1 draws as the model believes",
    )


def run(options: argparse.Namespace) -> int:
    """Train, save, and show what the model writes."""
    cell_options.check_least(options, **LEAST)
    training_options.check(options)
    options.given = task_options.read(options)
    if options.task is None and (strange := options.given.keys() - {*OF_A_TEXT}):
        raise DataError(f"{_option(min(strange))} is of a --task; name one.")
    cell = find(options.cell) if options.task is None else find_network(options.cell)
    short = "" if options.task is None else f"-{Path(options.task.rpartition(':')[2]).stem}"
    path = options.checkpoint or Path(f"{cell.name}{short}.npz")
    try:
        with learning.claim(path):
            return _run(options, cell, path)
    except TinygradError as error:
        text = str(error)
        for words, said in AS_OPTIONS.items():
            text = text.replace(words, said)
        raise type(error)(text) from error


def _run(options: argparse.Namespace, cell: Any, path: Path) -> int:
    training = _resume(options, cell, path) if options.resume else _begin(options, cell, path)
    if options.steps is None and options.seconds is None:
        options.seconds = SECONDS
    print(f"{training.model}\n{_about(training)}; from step {training.state.step:,}", flush=True)
    steps, begun = training.state.step, time.perf_counter()
    with contextlib.closing(_Watch(training, options)) as watch, _stop_on_signals() as asked:

        def report(progress: Progress) -> bool:
            watch.show(progress)
            return bool(asked)

        # asked a second time it is interrupted; `run` has saved all the same
        with contextlib.suppress(KeyboardInterrupt):
            training.run(
                *(options.steps, options.seconds, report, path),
                every=options.every,
                until=options.until,
            )
    if asked:
        if options.seconds is None:
            left = ["--steps", str(options.steps - training.state.step + steps)]
        else:
            left = ["--seconds", f"{max(1.0, options.seconds - time.perf_counter() + begun):.0f}"]
        words = ["tinygrad-lstm", "train", options.cell]
        words += ["--task", options.task] if options.task else []
        if options.task:
            words += [w for n, v in options.given.items() for w in ("--task-option", f"{n}={v}")]
        words += ["--until", options.until] if options.until else []
        words += ["--resume"]
        words += ["--checkpoint", str(options.checkpoint)] if options.checkpoint else []
        print(
            f"Stopped at step {training.state.step:,}; saved as {path}. To go on:\n"
            f"  {shlex.join(words + left)}"
        )
        return 128 + asked[0]
    _tell(options, training, path)
    return 0


def _about(training: Training) -> str:
    if isinstance(training.model, learning.CharacterModel):
        text = training.text
        return (
            f"{text.name}: {len(text):,} characters, {len(text.vocabulary)} symbols, the last "
            f"{training.settings.held_out:.0%} held out"
        )
    task = training.task
    known = [f"{name} {value:.4g}" for name, value in task.baselines.items()]
    return f"{task}" + f"; without learning: {', '.join(known)}" * bool(known)


def _tell(options: argparse.Namespace, training: Training, path: Path) -> None:
    """What came of it."""
    last, model = training.history[-1], training.model
    after = f"after {last.step:,} steps, {last.seconds:.0f} s; saved as {path}"
    if not isinstance(model, learning.CharacterModel):
        found = ", ".join(f"{name} {value:.4g}" for name, value in last.measures.items())
        print(f"{found} on held-out data{', solved,' * training.solved} {after}")
        return
    print(f"{last.validation_bits:.3f} bits a character on held-out text {after}")
    if options.sample:
        written = learning.sample(
            model, options.sample, temperature=options.temperature, seed=training.settings.seed
        )
        print(f"\n{written}")


# --- beginning and going on -----------------------------------------------------------------------
def _begin(options: argparse.Namespace, cell: Any, path: Path) -> Training:
    if path.exists():
        raise CheckpointError(
            f"checkpoint {path} exists already.\n"
            f"  Go on from it with --resume, or name another with --checkpoint PATH."
        )
    starts = cell_options.read_starts(options, cell)
    sizes = cell_options.read_sizes(options, cell)
    try:
        if options.task is not None:
            task = _task(options)
            own = training_options.settings(options, learning.TrainingSettings())
            head, seed = task.model(cell, input=options.input), own.get("seed", 0)
            model = learning.Model.of(head, sizes, starts, reads=task.inputs, seed=seed)
            return Training(task, model, eager=options.eager, **own)
        if options.input == "linear":
            raise DataError("--input linear is for vectors, and a text has symbols.")
        text = learning.read_text(options.text) if options.text else learning.shakespeare()
        own = training_options.settings(options, learning.Settings())
        own |= {} if options.length is None else {"length": options.length}
        input, seed = options.input or "embedding", own.get("seed", 0)
        reader = learning.CharacterModel(cell, text, input=input, seed=seed, start=starts, **sizes)
    except ShapeError as error:
        raise ShapeError(f"{error}\n  Give sizes by --size NAME=N.") from error
    return Training(reader, text, eager=options.eager, **own)


def _resume(options: argparse.Namespace, cell: Any, path: Path) -> Training:
    if not path.exists():
        raise CheckpointError(
            f"checkpoint {path} does not exist.\n"
            f"  Leave out --resume to begin anew, or name a file with --checkpoint PATH."
        )
    if options.task is not None:
        training = Training.resume(path, _task(options), cell, eager=options.eager)
    elif of_task(path):
        for name in options.given:
            raise DataError(
                f"{_option(name)} is not of the checkpoint {path}, which is of a task.\n"
                f"  Name it with --task, or leave the option out to go on."
            )
        training = Training.resume(path, None, cell, eager=options.eager)
    else:
        text = learning.read_text(options.text) if options.text else None
        training = Training.resume(path, cell, text, eager=options.eager)
    model, settings = training.model, training.settings
    kept = {"input": model.readout.input, **model.sizes}
    given = {"input": options.input, **cell_options.read_sizes(options, cell)}
    if isinstance(settings, learning.Settings):
        kept["length"], given["length"] = settings.length, options.length
    for name, value in cell_options.read_starts(options, cell).items():
        kept[f"start {name}"] = model.start.get(name, "default")
        given[f"start {name}"] = value
    others = {n: (kept[n], v) for n, v in given.items() if v is not None and kept[n] != v}
    for name, (had, value) in {**training_options.differences(options, settings), **others}.items():
        raise CheckpointError(
            f"checkpoint {path} has {name}={had}, not {name}={value}.\n"
            f"  Leave the option out to go on, or begin anew with another --checkpoint PATH."
        )
    return training


def _task(options: argparse.Namespace) -> Task:
    """The task of a name, or the reader's own of a file: a Task, or a function that makes one."""
    path, name = parts(options.task)
    given = options.given
    if path is None:
        own = tasks.all()[name].options if name in tasks.all() else given
        for text in OF_A_TEXT:
            if text in given and text not in own:
                raise DataError(f"--{text} is of a text to learn, and --task {name} is another.")
        return tasks.find(name, **given)
    found = run_file(path, "task file").get(name)
    if isinstance(found, Task) and not given:
        return found
    kind = f"no Task {name!r}, nor a function that makes one"
    if not callable(found):
        kind = f"{name!r} as it is, without options" if isinstance(found, Task) else kind
        raise DataError(f"{options.task}: the file has {kind}.")
    return tasks.Kind(name, found, {})(**given)


def _option(name: str) -> str:
    """An option of a task, as it is written."""
    return "--task-option" if name not in task_options.known() else f"--{name.replace('_', '-')}"


class _Watch:
    """Loss and speed while training: a bar on a terminal, else a line at each record."""

    def __init__(self, training: Training, options: argparse.Namespace) -> None:
        self._first, self._begun = training.state.step, time.perf_counter()
        self._steps, self._seconds = options.steps, options.seconds
        self._losses: collections.deque[float] = collections.deque(maxlen=50)
        self._times = collections.deque([self._begun], maxlen=50)
        self._held_out, self._text = "", isinstance(training.model, learning.CharacterModel)
        self.bar = tqdm(
            total=1.0,
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
            bar_format="{percentage:3.0f}% |{bar}| {elapsed}<{remaining}  {postfix[0]}",
            postfix=["starting"],
        )

    def close(self) -> None:
        """Leave the bar as it is and go to the next line."""
        self.bar.close()

    def show(self, progress: Progress) -> None:
        """Show a step."""
        self._losses.append(progress.loss)
        self._times.append(time.perf_counter())
        pace = (self._times[-1] - self._times[0]) / (len(self._times) - 1)  # seconds a step
        if record := progress.record:
            self._held_out = (
                f", held out {record.validation_bits:.3f}"
                if self._text
                else ", ".join(
                    ["", *(f"{name} {value:.4g}" for name, value in record.measures.items())]
                )
            )
        loss = f"{np.mean(self._losses):.3f}{self._held_out}"
        if self._text:
            told = f"{loss} bits/character, {progress.characters / pace:,.0f} characters/s"
        else:
            loss = f"{np.mean(self._losses):.3g}{self._held_out}"
            told = f"loss {loss}, {1 / pace:,.0f} steps/s"
        if record and self.bar.disable:
            print(f"step {progress.step:,}: {told}", flush=True)
        if not self.bar.disable:
            self.bar.postfix[0] = told
            if self._steps is None:
                done = (self._times[-1] - self._begun) / self._seconds
            else:
                done = (progress.step - self._first) / self._steps
            self.bar.update(min(done, 1.0) - self.bar.n)


@contextlib.contextmanager
def _stop_on_signals() -> Iterator[list[int]]:
    """The signals that have asked to stop: after the first one the step is finished, a second
    one interrupts. It may be Ctrl-C (SIGINT), or SIGTERM, as when a machine is shut down."""
    asked: list[int] = []

    def ask(number: int, frame: object) -> None:
        asked.append(number)
        if len(asked) > 1:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield asked
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
