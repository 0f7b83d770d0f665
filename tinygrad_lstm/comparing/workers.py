"""Worker processes: each takes one training after another, and tells how far it is."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from tinygrad_lstm.atomic import hold
from tinygrad_lstm.comparing.conclusions import conclusions
from tinygrad_lstm.comparing.entrants import Entrant
from tinygrad_lstm.comparing.plans import ComparisonError, Plan
from tinygrad_lstm.comparing.results import Results, Trial
from tinygrad_lstm.comparing.trials import Stopped, checkpoint_of, train
from tinygrad_lstm.errors import TinygradError

OFTEN = 0.1  # seconds between two messages of a worker
PATIENCE = 30.0  # seconds that workers are given to keep what they have learnt
TRIES = 2  # processes that may die over one training


@dataclass(frozen=True)
class News:
    """How far a training is, for whoever watches; `trial` once it is done."""

    entrant: Entrant
    seed: int
    steps: int
    measures: dict[str, float]
    trial: Trial | None = None


Watch = Callable[[Results, News], Any]


def compare(
    plan: Plan,
    entrants: Sequence[Entrant],
    path: Path,
    jobs: int = 1,
    tell: Watch = lambda results, news: None,
) -> Results:
    """Train what the plan asks for and the file has not, and write it there as it is found.

    jobs: processes side by side. tell: told the results so far and the news of a training. What is
    interrupted, or killed, is gone on with by the same call; a comparison of other settings than
    the file's is refused. Each training's own checkpoint is kept beside the file, in PATH.parts,
    until it is done.
    """
    folder = path.with_name(f"{path.stem}.parts")
    with _kept(path):
        results = Results(plan, entrants, plan.found_task())
        results.take(path)
        results.write(path, conclusions(results))
        if missing := results.missing:
            folder.mkdir(exist_ok=True)
            _work(results, missing, folder, path, jobs, tell)
        results.write(path, conclusions(results))
        with contextlib.suppress(OSError):
            folder.rmdir()
    return results


@contextlib.contextmanager
def _kept(path: Path) -> Iterator[None]:
    try:
        holding = hold(path)
    except BlockingIOError as error:
        raise ComparisonError(
            f"{path} is in use: another comparison writes it.\n  Wait, or name another with --out."
        ) from error
    except OSError as error:
        raise ComparisonError(f"{path} cannot be written: {error.strerror}.") from error
    with holding:
        yield


class _Worker:
    """A process and the pipe to it; `job` is what it trains."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, plan, str(folder)), daemon=True)
        with _single_thread():
            self.process.start()
        theirs.close()
        self.job: tuple[int, int] | None = None

    def give(self, job: tuple[int, int], entrant: Entrant) -> None:
        """Let it train a cell with a seed."""
        self.job = job
        self.pipe.send((job, entrant))

    def end(self) -> None:
        """Let it keep what it has and end."""
        self.pipe.close()
        self.process.join(PATIENCE)
        if self.process.is_alive():
            self.process.kill()


@contextlib.contextmanager
def _single_thread() -> Iterator[None]:
    """One thread for each worker: they share the processors already."""
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "TINYGRAD_LSTM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _work(
    results: Results,
    missing: list[tuple[int, int]],
    folder: Path,
    path: Path,
    jobs: int,
    tell: Watch,
) -> None:
    waiting, died = list(missing), dict[tuple[int, int], int]()
    workers = [_Worker(results.plan, folder) for _ in range(min(jobs, len(waiting)))]
    try:
        while waiting or any(worker.job for worker in workers):
            for worker in workers:
                if worker.job is None and waiting:
                    job = waiting.pop(0)
                    worker.give(job, results.entrants[job[0]])
            busy = {w.pipe: w for w in workers if w.job is not None}
            for pipe in wait([*busy]):
                assert isinstance(pipe, Connection)
                worker = busy[pipe]
                job = worker.job or waiting[0]  # it is busy
                entrant = results.entrants[job[0]]
                try:
                    steps, measures, found = pipe.recv()
                except (EOFError, OSError):  # killed, or out of memory
                    died[job] = died.get(job, 0) + 1
                    worker.end()
                    if died[job] >= TRIES:
                        raise ComparisonError(
                            f"the process that trained {entrant.name} with seed {job[1]} ended "
                            f"twice; what is done is in {path}.\n  The memory may not suffice: "
                            f"take smaller sizes, or fewer --jobs."
                        ) from None
                    workers[workers.index(worker)] = _Worker(results.plan, folder)
                    waiting.insert(0, job)
                    continue
                if isinstance(found, str):
                    raise ComparisonError(f"{entrant.name}, seed {job[1]}: {found}")
                if found is not None:
                    worker.job = None
                    results.add(entrant, found)
                    results.write(path, conclusions(results))
                    checkpoint_of(folder, entrant, job[1]).unlink(missing_ok=True)
                tell(results, News(entrant, job[1], steps, measures, found))
    finally:
        for worker in workers:
            worker.pipe.close()
        for worker in workers:
            worker.end()


def serve(pipe: Connection, plan: Plan, folder: str) -> None:
    """What a worker does: train what it is given until nobody listens."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it says when to stop
    task = plan.found_task()
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionError, OSError):
        while True:
            job, entrant = pipe.recv()
            last = 0.0

            def tell(steps: int, measures: dict[str, float]) -> bool:
                nonlocal last
                try:
                    if pipe.poll():  # nothing is said but that the other end is gone
                        return True
                    if time.monotonic() - last > OFTEN:
                        last = time.monotonic()
                        pipe.send((steps, measures, None))
                except OSError:
                    return True
                return False

            place = checkpoint_of(Path(folder), entrant, job[1])
            try:
                trial = train(plan, task, entrant, job[1], place, tell)
                pipe.send((trial.steps, trial.measures, trial))
            except Stopped:
                return
            except (TinygradError, MemoryError) as error:
                pipe.send((0, {}, str(error) or "the memory does not suffice"))
