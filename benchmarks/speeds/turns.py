"""Each contender in a process of its own; they take turns.

The number of BLAS threads is read when NumPy is imported and thread pools of different libraries
disturb one another, hence the processes. In a turn a contender computes once untimed, unless that
takes long, then again and again for a given time; all wait while one computes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from speeds.workloads import Workload

SCRIPT = Path(__file__).parents[1] / "speed.py"
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "TINYGRAD_LSTM_THREADS")
CACHE = "TINYGRAD_LSTM_CACHE"  # names the folder of compiled code
PAUSE = 0.03  # s: so long threads that have nothing to do may keep a core busy
LONG = 0.3  # s: a computation that long needs no untimed one before it


class Failure(Exception):
    """A contender that could not compute."""


class Contender:
    """A process that computes a workload when it is told to."""

    def __init__(self, name: str, workload: Workload, cache: str | None = None) -> None:
        self.name, self.seconds = name, float("nan")
        count = str(workload.threads)
        environment = {**os.environ, **dict.fromkeys(THREADS, count)}
        if cache is not None:
            environment[CACHE] = cache
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - closed in close
        self._process = subprocess.Popen(
            [sys.executable, str(SCRIPT), "--worker"],
            stdin=subprocess.PIPE,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            encoding="utf-8",
        )
        try:
            self.first = self("prepare", name=name, workload=dataclasses.asdict(workload))
        except BaseException:
            self.close()
            raise

    def __call__(self, order: str, **details: Any) -> Any:
        """Give an order and wait for the answer. Failure if there is none or it is an error."""
        process = self._process
        assert process.stdin and process.stdout
        try:
            process.stdin.write(json.dumps({"order": order, **details}) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._errors.seek(0)
            last = self._errors.read().strip().splitlines()[-1:]
            raise Failure(f"its process ended with {process.wait()}. {''.join(last)}")
        answer = json.loads(line)
        if "error" in answer:
            raise Failure(answer["error"])
        return answer["answer"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        if self._process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._errors.close()


def start(name: str, workload: Workload, cache: str | None = None) -> Contender | str:
    """A contender, or why it cannot take part."""
    try:
        return Contender(name, workload, cache)
    except Failure as failure:
        return str(failure)


# --- agreement ------------------------------------------------------------------------------------
TOLERANCE = {"float32": 1e-4, "float64": 1e-9}


def disagreement(
    found: Mapping[str, Any], expected: Mapping[str, Any], scale: float, dtype: str
) -> str | None:
    """What differs, if anything does: the loss, or a gradient in proportion to its largest entry.

    scale: what the loss is compared with, as its terms may cancel.
    """
    if set(found) != set(expected):
        only = ", ".join(sorted(set(found) ^ set(expected)))
        return f"not both have the gradients of {only}"
    for name, value in expected.items():
        own = np.asarray(found[name], float)
        if own.shape != value.shape:
            return f"{name} has shape {own.shape}, not {value.shape}"
        size = scale if name == "loss" else float(np.abs(value).max())
        gap = float(np.abs(own - value).max())
        if not gap <= TOLERANCE[dtype] * size:
            return f"{name} differs by {gap:.3g}, where the largest entry is {size:.3g}"
    return None


def check(contenders: list[Contender], workload: Workload) -> None:
    """Stop if losses or gradients differ from the interpreter's."""
    with tempfile.TemporaryDirectory() as folder, Contender("interpreter", workload) as reference:
        path = str(Path(folder, "results.npz"))

        def results(contender: Contender) -> dict[str, Any]:
            contender("results", path=path)
            with np.load(path) as file:
                return {name: np.asarray(file[name], float) for name in file}

        expected = results(reference)
        scale = max(abs(float(expected["loss"])), (workload.time * workload.batch) ** 0.5)
        for contender in contenders:
            if contender.name.startswith("products"):
                continue
            what = disagreement(results(contender), expected, scale, workload.dtype)
            if what:
                raise SystemExit(
                    f"{workload}: {contender.name} and the interpreter disagree: {what} "
                    f"(allowed: {TOLERANCE[workload.dtype]:g} of that). Nothing was timed."
                )


# --- timing ---------------------------------------------------------------------------------------
def quartiles(values: list[float]) -> dict[str, float]:
    """The median, and the quarters of the values below and above."""
    low, middle, high = (float(np.quantile(values, q)) for q in (0.25, 0.5, 0.75))
    return {"median": middle, "low": low, "high": high}


def take_turns(contenders: list[Contender], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Seconds a computation, by contender: one median for each of its turns."""
    times: dict[str, list[float]] = {c.name: [] for c in contenders}
    for k in range(rounds):
        # the other way round every second time: nobody always comes after the same one
        for contender in contenders[:: 1 if k % 2 == 0 else -1]:
            times[contender.name].append(contender("turn", seconds=seconds))
            time.sleep(PAUSE)
    return times


# --- in the process -------------------------------------------------------------------------------
def peak() -> int:
    """The most memory this process has had, in bytes."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


def forget_peak() -> None:
    """Count the most memory from now on, where the system can do that."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def serve() -> None:
    """Obey orders from standard input, one a line, until it ends; answers go to standard output."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    served = _Served()
    for line in sys.stdin:
        order = json.loads(line)
        try:
            found: Any = {"answer": getattr(served, order.pop("order"))(**order)}
        except Exception as error:
            from speeds.contenders import Absent

            if not isinstance(error, Absent):
                traceback.print_exc()
            kind = "" if isinstance(error, Absent) else f"{type(error).__name__}: "
            found = {"error": (kind + str(error)).strip()}
        print(json.dumps(found), file=answers, flush=True)


class _Served:
    def prepare(self, name: str, workload: Mapping[str, Any]) -> dict[str, float]:
        from speeds import contenders

        work = Workload(**workload)
        work.draw()
        begun = time.perf_counter()
        self._run, self._results = contenders.prepare(name, work)
        self._last = float("inf")
        forget_peak()
        before = peak()
        self._timed()
        return {"seconds": time.perf_counter() - begun, "peak": before}

    def _timed(self) -> float:
        begun = time.perf_counter()
        self._run()
        self._last = time.perf_counter() - begun
        return self._last

    def results(self, path: str) -> None:
        np.savez(path, **self._results())

    def turn(self, seconds: float) -> float:
        if self._last < LONG:
            self._timed()
        times = [self._timed()]
        while sum(times) < seconds and len(times) < 20_000:
            times.append(self._timed())
        return statistics.median(times)

    def peak(self) -> int:
        return peak()
