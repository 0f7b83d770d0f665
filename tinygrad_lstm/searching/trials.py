"""One configuration of a search: its cell, its trainings, and what is stored of them."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import platform
import socket
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_lstm import python_files
from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.cell_files import find, parts
from tinygrad_lstm.errors import DataError, TinygradError
from tinygrad_lstm.learning import (
    SGD,
    Adam,
    Batch,
    CheckpointError,
    DivergenceError,
    RMSProp,
    Task,
    Training,
    tasks,
)
from tinygrad_lstm.learning.models import EMBEDDING
from tinygrad_lstm.searching.examining import behaviour, examine, fingerprint
from tinygrad_lstm.searching.mutations import Change, draw, mutated
from tinygrad_lstm.searching.spaces import OPTIMISERS, Scalar, SearchError, Space
from tinygrad_lstm.searching.storages import Done, Job
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array
from tinygrad_lstm.version import __version__

_KINDS = {"adam": Adam, "rmsprop": RMSProp, "sgd": SGD}
_DRAWS = 200  # of mutants until one is sound and new
RECORDS = 5  # of a training


@dataclass(frozen=True)
class Outcome:
    """What came of a configuration: the value to be minimised, and what is stored beside it."""

    value: float
    notes: Mapping[str, Any]


def check(space: Space) -> None:
    """Try what a search needs, before anything is stored: cells, tasks, sizes, starts, measures.

    The first configuration of each cell is made, and not trained. SearchError or the error of what
    does not fit, with the name of the search.
    """
    try:
        cells = {name: find(name) for name in space.cells}
        found = [_task(space, name, options) for name, options in space.tasks]
        for task in found:
            if space.value not in task.measures:
                known = ", ".join(task.measures)
                raise SearchError(f"value is {space.value!r}, but {task} measures {known}.")
        fields = {"sizes": "sizes", "derived": "sizes", "parameters": "start", "state": "start"}
        for table in ("sizes", "start"):
            there = {"parameters"} if table == "sizes" else set[str]()
            for cell in cells.values():
                there |= {n for field, own in fields.items() if own == table
                          for n in getattr(cell, field, ())}  # fmt: skip
            for name in (*space.fixed, *space.drawn):
                own = name.removeprefix(f"{table}.")
                if own != name and own not in there:
                    raise SearchError(
                        f"[{table}] {own}: none of the cells has it; there are "
                        f"{', '.join(sorted(there)) or 'none'}."
                    )
        drawn = space.configurations_drawn()
        for k, cell in enumerate(cells.values()):
            for task in found:
                _training(space, task, cell, drawn[min(k, len(drawn) - 1)])
    except TinygradError as error:
        raise type(error)(f"search {space.name!r}: {error}") from error


def run(
    space: Space,
    job: Job,
    folder: Path,
    results: Callable[[], Sequence[Done]],
    note: Callable[[Mapping[str, Any]], None],
) -> Outcome:
    """Train what a configuration says, going on from the checkpoint of a worker that was killed.

    folder: where checkpoints are; results: those of the search so far, from which the parent of a
    mutant is drawn; note: stores which mutant it is before it is trained.
    """
    begun, cpu = time.perf_counter(), time.process_time()
    cell, notes = _cell(space, job, results, note)
    values: list[float] = []
    measures: list[dict[str, float]] = []
    curves: list[list[list[float]]] = []
    steps, diverged, paths = 0, "", checkpoints(space, job.number, folder)
    for k, (name, options) in enumerate(space.tasks):
        task = _task(space, name, options)
        try:
            with warnings.catch_warnings():
                if space.mutations:  # nobody is there to mend a mutant's dead start
                    warnings.simplefilter("ignore")
                training = _trained(space, task, cell, job.values, paths[k])
            found = training.measure()
        except (DivergenceError, DataError) as error:
            if isinstance(error, DataError) and "held-out data" not in str(error):
                raise
            diverged = str(error).splitlines()[0]
            break
        steps += training.state.step
        curve = [[r.step, r.measures[space.value]] for r in training.history]
        value = found[space.value]
        values.append(value / found["guess"] if len(space.tasks) > 1 else value)
        measures.append({n: v for n, v in found.items() if n != "guess"})
        curves.append(curve)
        parameters = int(training.parameters.vector.size)
        notes |= {"parameters": parameters, "solved": [*notes.get("solved", []), training.solved]}
    if diverged:
        notes["diverged"] = diverged
    value = math.inf if diverged else float(np.mean(values))
    return Outcome(
        value,
        {
            **notes,
            "measures": measures,
            "curves": curves,
            "steps": steps,
            "seconds": round(time.perf_counter() - begun, 2),
            "cpu": round(time.process_time() - cpu, 2),
            "fingerprint": fingerprint(cell),
            "commit": commit(),
            "versions": versions(),
            "worker": f"{socket.gethostname()}:{os.getpid()}",
        },
    )


def checkpoints(space: Space, number: int, folder: Path) -> list[Path]:
    """Where the trainings of a configuration are kept until its result is stored, one a task."""
    return [folder / f"{space.name}-{number}-{k}.npz" for k in range(len(space.tasks))]


# --- its cell -------------------------------------------------------------------------------------
def _cell(
    space: Space,
    job: Job,
    results: Callable[[], Sequence[Done]],
    note: Callable[[Mapping[str, Any]], None],
) -> tuple[Cell, dict[str, Any]]:
    if space.mutations is None:
        return find(str(job.values["cell"])), {}
    notes = dict(job.notes)
    if "changes" not in notes:  # else it was begun by another worker
        notes = _mutant(space, job, results())
        note(notes)
    return mutant_of(notes), notes


def mutant_of(notes: Mapping[str, Any], name: str = "") -> Cell:
    """The cell that the notes of a configuration tell: its parent's name, and changes."""
    parent = find(str(notes["parent"]))
    changes = [Change.of(stored) for stored in notes["changes"]]
    return mutated(parent, changes, name) if changes else parent


def _mutant(space: Space, job: Job, results: Sequence[Done]) -> dict[str, Any]:
    """A mutant that is sound and computes what no other one did; the first are the cells as is."""
    mutations = space.mutations
    assert mutations is not None
    if job.number < len(space.cells):
        own = find(space.cells[job.number])
        return {"parent": space.cells[job.number], "changes": [], "behaviour": behaviour(own),
                "bounded": examine(own).bounded}  # fmt: skip
    random = np.random.default_rng([space.seed, job.number])
    complete = [d for d in results if d.value is not None and math.isfinite(d.value)]
    best = sorted(complete, key=lambda d: d.value or 0.0)[: mutations.keep]
    seen = {d.notes.get("behaviour") for d in results}
    seen |= {behaviour(find(name)) for name in space.cells}
    rejected: dict[str, int] = {}
    for _ in range(_DRAWS):
        if not best or random.random() < mutations.afresh:
            parent, before = space.cells[int(random.integers(len(space.cells)))], []
        else:
            chosen = best[int(random.integers(len(best)))].notes
            parent, before = chosen["parent"], list(chosen["changes"])
        cell = mutant_of({"parent": parent, "changes": before})
        number = int(random.integers(1, mutations.most + 1))
        further = [change.stored() for change in draw(cell, number, random)]
        changes = before + further
        made = mutant_of({"parent": parent, "changes": changes})
        word = behaviour(made)
        found = examine(made)
        why = found.fault or ("it computes what another one does" if word in seen else "")
        if not why:
            return {
                "parent": parent,
                "changes": changes,
                "behaviour": word,
                "bounded": found.bounded,
                "rejected": rejected,
                "equations": str(made.program()).splitlines()[1:],
            }
        rejected[why] = rejected.get(why, 0) + 1
    raise SearchError(f"search {space.name!r}: {_DRAWS} mutants in turn were not worth a training.")


# --- its trainings --------------------------------------------------------------------------------
def _trained(
    space: Space, task: Task, cell: Cell, values: Mapping[str, Scalar], path: Path
) -> Training:
    every = max(1, space.steps // RECORDS)
    training = None
    if path.exists():
        with contextlib.suppress(CheckpointError):  # of another version, or damaged: afresh
            training = Training.resume(path, task, task.model(cell, **_input(space, task)))
    training = training or _training(space, task, cell, values, every)
    left = space.steps - training.state.step
    try:
        training.run(steps=left, checkpoint=path)
    except CheckpointError:  # a worker that counts as killed still writes it: go without
        training = _training(space, task, cell, values, every)
        training.run(steps=space.steps)
    return training


def _training(
    space: Space, task: Task, cell: Cell, values: Mapping[str, Scalar], every: int = 100
) -> Training:
    """The training of a configuration, before its first step."""
    given: dict[str, Scalar] = {**space.fixed, **values}
    table = _tables(given)
    optimiser = dict(table.get("optimiser", {}))
    kind = str(optimiser.pop("name", "adam"))
    if kind == "sgd" and not optimiser.get("momentum"):
        optimiser.pop("nesterov", None)
    made: Any = _KINDS[kind](**{n: v for n, v in optimiser.items() if n in OPTIMISERS[kind]})
    noise, sizes = table.get("noise", {}), table.get("sizes", {})
    embeds = space.input == "embedding" and task.symbols
    known = {*cell.parameters, *cell.state}
    options: dict[str, Any] = {
        "optimiser": made,
        "batch": space.batch,
        "clip": space.clip,
        "every": every,
        "seed": int(values["seed"]),
        "input_noise": float(noise.get("input", 0.0)),
        "weight_noise": float(noise.get("weights", 0.0)),
        **{n: v for n, v in table.get("start", {}).items() if n in known},
        **sizes_of(cell, EMBEDDING if embeds else task.inputs, sizes),
    }
    return Training(task, task.model(cell, **_input(space, task)), **options)


def _input(space: Space, task: Task) -> dict[str, str]:
    return {"input": space.input} if task.symbols else {}


def _tables(values: Mapping[str, Scalar]) -> dict[str, dict[str, Scalar]]:
    found: dict[str, dict[str, Scalar]] = {}
    for key, value in values.items():
        table, dot, name = key.partition(".")
        if dot:
            found.setdefault(table, {})[name] = value
    return found


def sizes_of(cell: Cell, inputs: int, given: Mapping[str, Scalar]) -> dict[str, int]:
    """The sizes of a cell among those given; `parameters` instead makes it about so large.

    inputs: the numbers that it reads at a step.
    Then all sizes that are not given, nor follow from the length of x, are the same number, such
    that the cell has as near as can be so many parameters, its read-out not counted.
    """
    own = {n: int(v) for n, v in given.items() if n in (*cell.sizes, *cell.derived)}
    wanted = given.get("parameters")
    if wanted is None:
        return own
    reads = dimensions.names({"x": cell.x})
    free = [n for n in cell.sizes if n not in own and (n not in reads or n == "hidden")]
    if not free:
        return own

    def count(width: int) -> int:
        sizes = {**own, **dict.fromkeys(free, width)}
        sizes |= {n: inputs for n in reads if n not in sizes}
        full = cell.complete(sizes)
        shapes = (dimensions.shape(words, full) for words in cell.parameters.values())
        return sum(math.prod(shape) for shape in shapes)

    low = high = max(cell.bounds.get(n, 1) for n in free)
    while count(high) < int(wanted):
        low, high = high, 2 * high
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) < int(wanted) else (low, middle)
    width = min((low, high), key=lambda w: abs(count(w) - int(wanted)))
    return {**own, **dict.fromkeys(free, width)}


# --- its task -------------------------------------------------------------------------------------
def _task(space: Space, name: str, options: Mapping[str, Scalar]) -> Task:
    task = find_task(name, options)
    if task.symbols and any(n == "noise.input" for n in (*space.fixed, *space.drawn)):
        task = _as_vectors(task)
    head = task.model(find(space.cells[0]))

    def loss(z: Array, batch: Batch) -> float:
        return float(head.mean_loss(z, batch.target, batch.counts(z)))

    def guess(z: Array, batch: Batch) -> float:
        return loss(np.zeros_like(z), batch)

    measures = {**task.measures, "loss": loss}
    return replace(task, measures=measures | ({"guess": guess} if len(space.tasks) > 1 else {}))


def find_task(name: str, options: Mapping[str, Scalar]) -> Task:
    """A task by name and options; `path/to/file.py:NAME` is the reader's own.

    There NAME is a Task, or a function of the options that makes one.
    """
    path, own = parts(name)
    if path is None:
        return tasks.find(name, **options)
    found = python_files.run(path, "task file").get(own)
    if callable(found):
        try:
            found = found(**options)
        except TypeError as error:
            raise SearchError(f"{name}: {error}.") from error
    if not isinstance(found, Task):
        raise SearchError(f"{name} is no task: write a Task, or a function that makes one.")
    return found


def _as_vectors(task: Task) -> Task:
    """The task with one-hot vectors for symbols, to which noise can be added."""

    def spelt(batch: Batch) -> Batch:
        return replace(batch, xs=np.eye(task.symbols, dtype=np.float32)[batch.xs])

    def batches(random: np.random.Generator, size: int) -> Iterator[Batch]:
        return map(spelt, task.batches(random, size))

    def test() -> list[Batch]:
        return [spelt(batch) for batch in task.tests()]

    return replace(task, symbols=0, inputs=task.symbols, batches=batches, test=test)


# --- what it was run with -------------------------------------------------------------------------
@functools.cache
def commit() -> str:
    """The commit of this package, with + where its files have changed; "" without git."""
    folder = Path(__file__).parent
    words = ["git", "-C", str(folder)]
    try:
        head, status = (
            subprocess.run(
                [*words, *more], capture_output=True, encoding="utf-8", timeout=10, check=True
            ).stdout.strip()
            for more in (["rev-parse", "HEAD"], ["status", "--porcelain", "-uno", "."])
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return head + "+" * bool(status)


@functools.cache
def versions() -> dict[str, str]:
    """The versions that the numbers depend on."""
    return {
        "tinygrad-lstm": __version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


def files(space: Space) -> list[Path]:
    """The files of cells that a search names, which each machine needs at the same place."""
    paths = (parts(name)[0] for name in space.cells)
    return [path for path in paths if path is not None]
