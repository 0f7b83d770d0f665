"""`tinygrad-lstm train CELL`: train a cell as a character model, with a progress bar."""

from __future__ import annotations

import argparse
import collections
import contextlib
import math
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

from lesson import cell_options
from tinygrad_lstm import Cell, learning
from tinygrad_lstm.cell_files import find
from tinygrad_lstm.errors import DataError, ShapeError, TinygradError
from tinygrad_lstm.learning import CheckpointError, Progress, Training

SECONDS = 60.0
LEAST = dict(batch=1, length=1, seed=0, steps=0, seconds=0, sample=0, temperature=0)
AS_OPTIONS = {  # what the library's errors ask for, as it is said here
    "another file": "another file by --checkpoint PATH",
    "the same text": "the same --text",
    "a longer text, or a smaller batch or length": "a longer --text, or a smaller --batch or "
    "--length",
    "a rate below": "a --rate below",
    "or clip below": "or --clip below",
    "embedding input, or sizes": "--input embedding, or sizes",
    "Pass further=f, a": "Make them parameters, or train in Python with further=f, a",
    "batch must": "--batch must",
    "length must": "--length must",
    "seed must": "--seed must",
}
SAME = ("batch", "length", "clip", "seed")  # options that are settings under the same name


def arguments(parser: argparse.ArgumentParser) -> None:
    """What to train, on what, how long, and where to keep it."""
    parser.epilog = (
        "Ctrl-C or SIGTERM saves a checkpoint and stops; --resume goes on from it with the same "
        "numbers as if it had never stopped. Losses are in bits a character; held-out text is not "
        "learnt from."
    )
    add = parser.add_argument
    add("cell", metavar="CELL", help="a name, or path/to/file.py:NAME")
    add("--text", metavar="FILE", help="a text in UTF-8 (default: Shakespeare)")
    add("--hidden", type=int, metavar="N", help="entries of a state (default 128)")
    cell_options.add_size(parser, "inputs=64")
    cell_options.add_start(parser)
    add("--input", choices=("embedding", "one-hot"), help="of symbols (default embedding)")
    long = parser.add_mutually_exclusive_group()
    long.add_argument(
        "--seconds", type=float, metavar="S", help=f"of training (default {SECONDS:g})"
    )
    long.add_argument("--steps", type=int, metavar="N", help="of training, in place of seconds")
    add("--batch", type=int, metavar="N", help="streams side by side (default 32)")
    add("--length", type=int, metavar="N", help="characters a step (default 64)")
    add("--rate", type=float, help="of Adam (default 0.006)")
    add("--clip", type=float, metavar="NORM", help="limit of the gradient's norm (default 1)")
    add("--seed", type=int, metavar="N", help="of the random numbers (default 0)")
    add("--checkpoint", type=Path, metavar="PATH", help="where to keep it (default CELL.npz)")
    add("--resume", action="store_true", help="go on from the checkpoint")
    add("--eager", action="store_true", help="compute operation by operation, not by compiled code")
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
    cell = find(options.cell)
    _check(options)
    path = options.checkpoint or Path(f"{cell.name}.npz")
    try:
        with learning.claim(path):
            return _run(options, cell, path)
    except TinygradError as error:
        text = str(error)
        for words, said in AS_OPTIONS.items():
            text = text.replace(words, said)
        raise type(error)(text) from error


def _check(options: argparse.Namespace) -> None:
    """What the options alone tell to be wrong."""
    cell_options.check_least(options, **LEAST)
    for name in ("rate", "clip"):
        value = getattr(options, name)
        if value is not None and not 0 < value < math.inf:
            raise DataError(f"--{name} must be a number above 0, got {value}.")


def _run(options: argparse.Namespace, cell: Cell, path: Path) -> int:
    training = _resume(options, cell, path) if options.resume else _begin(options, cell, path)
    model, text = training.model, training.text
    if options.steps is None and options.seconds is None:
        options.seconds = SECONDS
    print(
        f"{model}\n{text.name}: {len(text):,} characters, {len(text.vocabulary)} symbols, the last "
        f"{training.settings.held_out:.0%} held out; from step {training.state.step:,}",
        flush=True,
    )
    steps, begun = training.state.step, time.perf_counter()
    with contextlib.closing(_Watch(training, options)) as watch, _stop_on_signals() as asked:

        def report(progress: Progress) -> bool:
            watch.show(progress)
            return bool(asked)

        # asked a second time it is interrupted; `run` has saved all the same
        with contextlib.suppress(KeyboardInterrupt):
            training.run(options.steps, options.seconds, report, path)
    if asked:
        if options.seconds is None:
            left = ["--steps", str(options.steps - training.state.step + steps)]
        else:
            left = ["--seconds", f"{max(1.0, options.seconds - time.perf_counter() + begun):.0f}"]
        words = ["tinygrad-lstm", "train", options.cell, "--resume"]
        words += ["--checkpoint", str(options.checkpoint)] if options.checkpoint else []
        print(
            f"Stopped at step {training.state.step:,}; saved as {path}. To go on:\n"
            f"  {shlex.join(words + left)}"
        )
        return 128 + asked[0]
    last = training.history[-1]
    print(
        f"{last.validation_bits:.3f} bits a character on held-out text after {last.step:,} steps, "
        f"{last.seconds:.0f} s; saved as {path}"
    )
    if options.sample:
        written = learning.sample(
            model, options.sample, temperature=options.temperature, seed=training.settings.seed
        )
        print(f"\n{written}")
    return 0


def _begin(options: argparse.Namespace, cell: Cell, path: Path) -> Training:
    if path.exists():
        raise CheckpointError(
            f"checkpoint {path} exists already.\n"
            f"  Go on from it with --resume, or name another with --checkpoint PATH."
        )
    text = learning.read_text(options.text) if options.text else learning.shakespeare()
    given = {k: v for k, v in vars(options).items() if v is not None}
    seed = given.get("seed", 0)
    settings: dict[str, Any] = {k: given[k] for k in SAME if k in given}
    if "rate" in given:
        settings["optimiser"] = learning.Adam(rate=given["rate"])
    try:
        model = learning.CharacterModel(
            cell,
            text,
            input=given.get("input", "embedding"),
            seed=seed,
            start=cell_options.read_starts(options, cell),
            **cell_options.read_sizes(options, cell),
        )
    except ShapeError as error:
        raise ShapeError(f"{error}\n  Give sizes by --size NAME=N.") from error
    return Training(model, text, eager=options.eager, **settings)


def _resume(options: argparse.Namespace, cell: Cell, path: Path) -> Training:
    if not path.exists():
        raise CheckpointError(
            f"checkpoint {path} does not exist.\n"
            f"  Leave out --resume to begin anew, or name a file with --checkpoint PATH."
        )
    text = learning.read_text(options.text) if options.text else None
    training = Training.resume(path, cell, text, eager=options.eager)
    settings = training.settings
    kept = {
        **{name: getattr(settings, name) for name in SAME},
        "rate": settings.optimiser.rate,
        "input": training.model.input,
        **training.model.sizes,
    }
    given = {k: v for k, v in vars(options).items() if k in kept and v is not None}
    given |= cell_options.read_sizes(options, cell)
    for name, value in cell_options.read_starts(options, cell).items():
        kept[f"start {name}"] = training.model.start.get(name, "default")
        given[f"start {name}"] = value
    for name, value in given.items():
        if kept[name] != value:
            raise CheckpointError(
                f"checkpoint {path} has {name}={kept[name]}, not {name}={value}.\n"
                f"  Leave the option out to go on, or begin anew with another --checkpoint PATH."
            )
    return training


class _Watch:
    """Loss and speed while training: a bar on a terminal, else a line at each record."""

    def __init__(self, training: Training, options: argparse.Namespace) -> None:
        self._first, self._begun = training.state.step, time.perf_counter()
        self._steps, self._seconds = options.steps, options.seconds
        self._losses: collections.deque[float] = collections.deque(maxlen=50)
        self._times = collections.deque([self._begun], maxlen=50)
        self._held_out = ""
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
        self._losses.append(progress.bits)
        self._times.append(time.perf_counter())
        pace = (self._times[-1] - self._times[0]) / (len(self._times) - 1)  # seconds a step
        speed = f"{progress.characters / pace:,.0f} characters/s"
        loss = f"{np.mean(self._losses):.3f}"
        if progress.record:
            self._held_out = f", held out {progress.record.validation_bits:.3f}"
            if self.bar.disable:
                print(
                    f"step {progress.step:,}: {loss}{self._held_out} bits/character, {speed}",
                    flush=True,
                )
        if not self.bar.disable:
            self.bar.postfix[0] = f"{loss}{self._held_out} bits/character, {speed}"
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
