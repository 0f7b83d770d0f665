"""Workers: processes that take configurations from a storage until none is left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tinygrad_lstm.atomic import replace_whole
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.searching import trials
from tinygrad_lstm.searching.spaces import SearchError
from tinygrad_lstm.searching.storages import Job, Storage

_ASKED = "TINYGRAD_LSTM_SEARCH"  # by the environment: an address may hold a password
Report = Callable[[Job, trials.Outcome], Any]


def work(storage: Storage, folder: str | Path, report: Report | None = None) -> int:
    """Take configurations and train them until all are done, here or elsewhere; how many here.

    folder: where checkpoints are, and results that the database could not be told. A worker that
    is stopped gives back what it holds; what a killed one held waits again after the grace period,
    and goes on from its checkpoint where the folder is the same. SearchError where the database
    stays away for longer than it is waited for: what was finished is then kept in the folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _tell_kept(storage, folder)
    done = 0
    while True:
        job = storage.take()
        if job is None:
            if storage.idle():
                return done
            time.sleep(min(1.0, storage.heartbeat / 2))
            continue
        with storage.alive(job):
            outcome = _outcome(storage, job, folder)
        if outcome is not None:
            _tell(storage, job, outcome, folder)
            _tidy(storage, job.number, folder)
            done += 1
            if report:
                report(job, outcome)


def _outcome(storage: Storage, job: Job, folder: Path) -> trials.Outcome | None:
    try:
        return trials.run(
            storage.space, job, folder, storage.results, lambda notes: storage.note(job, notes)
        )
    except TinygradError as error:
        if isinstance(error, SearchError):
            storage.give_back(job)
            raise
        storage.fail(job, str(error))
        return None
    except BaseException:  # Ctrl-C, or a fault: another one may take it at once
        storage.give_back(job)
        raise


def _kept(storage: Storage, folder: Path, number: int) -> Path:
    return folder / f"{storage.space.name}-{number}.json"


def _tell(storage: Storage, job: Job, outcome: trials.Outcome, folder: Path) -> None:
    """Store a result; where the database stays away, in the folder, until it can be told."""
    try:
        storage.finish(job.number, outcome.value, outcome.notes, job)
    except BaseException:
        with replace_whole(_kept(storage, folder, job.number)) as file:
            file.write(json.dumps([outcome.value, dict(outcome.notes)]).encode())
        raise


def _tell_kept(storage: Storage, folder: Path) -> None:
    for done in storage.results():
        path = _kept(storage, folder, done.number)
        if not path.exists():
            continue
        if done.value is None:
            value, notes = json.loads(path.read_bytes())
            storage.finish(done.number, value, notes, None)
        path.unlink()
        _tidy(storage, done.number, folder)


def _tidy(storage: Storage, number: int, folder: Path) -> None:
    for path in trials.checkpoints(storage.space, number, folder):
        path.unlink(missing_ok=True)


# --- several of them ------------------------------------------------------------------------------
@contextlib.contextmanager
def several(storage: Storage, folder: str | Path, number: int) -> Iterator[Crew]:
    """So many processes that `work` on a storage; those still there at the end are stopped."""
    crew = Crew(storage, Path(folder), number)
    try:
        yield crew
    finally:
        crew.stop()


class Crew:
    """Processes at work. A killed one is replaced; one that ends with an error is not."""

    def __init__(self, storage: Storage, folder: Path, number: int) -> None:
        self._asked = {
            "address": storage.address,
            "name": storage.space.name,
            "folder": str(folder),
            "options": storage.options,
        }
        self.processes = [self._begun() for _ in range(number)]
        self.killed = 0

    def _begun(self) -> subprocess.Popen[bytes]:
        # one thread each: the processes are the parallel ones
        single = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "TINYGRAD_LSTM_THREADS": "1"}
        # the same package, wherever this process has it from
        found = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
        own = {"PYTHONPATH": found.rstrip(os.pathsep), _ASKED: json.dumps(self._asked)}
        environment = {**single, **os.environ, **own}
        words = [sys.executable, "-m", "tinygrad_lstm.searching"]
        return subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL)

    def look(self) -> bool:
        """Whether any is at work; what was killed is replaced. SearchError if all have failed."""
        for k, process in enumerate(self.processes):
            if process.poll() is not None and process.returncode < 0:
                self.killed += 1
                self.processes[k] = self._begun()
        states = [process.poll() for process in self.processes]
        if all(state not in (None, 0) for state in states):
            raise SearchError("all workers ended with an error, which stands above.")
        return any(state is None for state in states)

    def stop(self) -> None:
        """Ask those at work to stop, and wait; each gives back what it holds."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def main() -> int:
    """A worker's process: what to do stands in the environment."""
    asked: Mapping[str, Any] = json.loads(os.environ.pop(_ASKED))
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        with Storage.open(asked["address"], asked["name"], **asked["options"]) as storage:
            work(storage, asked["folder"])
    except KeyboardInterrupt:
        return 130
    except TinygradError as error:
        print(f"tinygrad-lstm search, worker {os.getpid()}: {error}", file=sys.stderr, flush=True)
        return 2
    return 0
