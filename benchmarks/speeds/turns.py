"""Each contender in a process of its own; they take turns.

The number of BLAS threads is read when NumPy is imported and thread pools of different libraries
disturb one another, hence the processes. In a turn a contender computes once untimed, unless that
takes long, then again and again for a given time; all wait while one computes.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Self

import numpy as np

from speeds.contenders import Absent, prepare
from speeds.workloads import Workload

THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "TINYGRAD_LSTM_THREADS")
CACHE = "TINYGRAD_LSTM_CACHE"  # names the folder of compiled code
PAUSE = 0.03  # s: so long threads that have nothing to do may keep a core busy
LONG = 0.3  # s: a computation that long needs no untimed one before it


class Failure(Exception):
    """A contender that could not compute."""


class Contender:
    """A process that computes a workload when it is told to. Failure says why it cannot."""

    def __init__(self, name: str, workload: Any, cache: str | None = None) -> None:
        self.name = name
        settings = dict.fromkeys(THREADS, str(workload.threads))
        if cache is not None:
            settings[CACHE] = cache
        spawn = multiprocessing.get_context("spawn")  # a new process reads the settings
        self._pool = ProcessPoolExecutor(1, spawn)
        try:
            with _environment(settings):
                self.first = self(begin, name, workload)
        except BaseException:
            self.close()
            raise

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function of this module there."""
        try:
            return self._pool.submit(function, *arguments).result()
        except Absent as reason:
            raise Failure(str(reason)) from None
        except BrokenProcessPool as error:
            raise Failure(f"its process ended: {error}") from error
        except Exception as error:
            raise Failure(f"{type(error).__name__}: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._pool.shutdown()


@contextlib.contextmanager
def _environment(settings: Mapping[str, str]) -> Any:
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def start(name: str, workload: Any, cache: str | None = None) -> Contender | str:
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


def check(contenders: list[Contender], workload: Any) -> None:
    """Stop if losses or gradients differ from the interpreter's."""
    with Contender("interpreter", workload) as reference:
        expected = reference(results)
    scale = abs(float(expected["loss"]))
    if isinstance(workload, Workload):  # the terms of its loss may cancel
        scale = max(scale, (workload.time * workload.batch) ** 0.5)
    for contender in contenders:
        if contender.name.startswith("products"):
            continue
        what = disagreement(contender(results), expected, scale, workload.dtype)
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


def take_turns(
    contenders: list[Contender], rounds: int, seconds: float, cpu: bool = False
) -> dict[str, list[float]]:
    """Seconds a computation, by contender: one median for each of its turns.

    cpu: those of the processor, which others that are at work on the machine change less.
    """
    times: dict[str, list[float]] = {c.name: [] for c in contenders}
    for k in range(rounds):
        # the other way round every second time: nobody always comes after the same one
        for contender in contenders[:: 1 if k % 2 == 0 else -1]:
            times[contender.name].append(contender(turn, seconds, cpu))
            time.sleep(PAUSE)
    return times


# --- in the process -------------------------------------------------------------------------------
_own: dict[str, Any] = {}  # what this process computes, and how long it took last


def begin(name: str, workload: Any) -> dict[str, float]:
    """Prepare a workload and compute once; the seconds, and the memory that was used before."""
    workload.draw()
    begun = time.perf_counter()
    _own["run"], _own["results"] = prepare(name, workload)
    forget_peak()
    before = peak()
    _timed()
    return {"seconds": time.perf_counter() - begun, "peak": before}


def results() -> dict[str, Any]:
    """The loss and the gradients of the last computation."""
    return {name: np.asarray(value, float) for name, value in _own["results"]().items()}


def turn(seconds: float, cpu: bool = False) -> float:
    """The median of the times of a computation, again and again for some seconds."""
    clock = time.process_time if cpu else time.perf_counter
    if _own["last"] < LONG:
        _timed(clock)
    end = time.perf_counter() + seconds
    times = [_timed(clock)]
    while time.perf_counter() < end and len(times) < 20_000:
        times.append(_timed(clock))
    return statistics.median(times)


def _timed(clock: Callable[[], float] = time.perf_counter) -> float:
    begun = clock()
    _own["run"]()
    _own["last"] = clock() - begun
    return float(_own["last"])


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
