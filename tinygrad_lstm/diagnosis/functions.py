"""Somebody's function, called on a problem of our own."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinygrad_lstm.diagnosis.backward import Recorded
from tinygrad_lstm.diagnosis.problems import distinct_sizes
from tinygrad_lstm.errors import DataError, DTypeError
from tinygrad_lstm.step import Cell
from tinygrad_lstm.testing.inputs import random_inputs

Backward = Callable[..., Mapping[str, Any]]
STEPS, BATCH = 5, 3  # of the problem that a function is tried on; no two of its sizes are the same
FRAMES = 3  # of the caller's traceback


def is_step(cell: Cell, backward: Backward) -> bool:
    """Whether a function is of one step, `(p, x, prev, now, bar)`."""
    try:
        kinds = inspect.signature(backward).parameters
    except (TypeError, ValueError):
        return False
    needed = [
        n for n, k in kinds.items()
        if k.default is k.empty and k.kind in (k.POSITIONAL_ONLY, k.POSITIONAL_OR_KEYWORD)
        and n not in {*cell.extra_inputs, "initial"}
    ]  # fmt: skip
    return {"prev", "now", "bar"} <= set(kinds) or len(needed) == 5


class Problems:
    """What a function is tried on: numbers drawn for a cell, and their run.

    step: whether it is a function of one step.
    """

    def __init__(self, cell: Cell, step: bool, seed: int) -> None:
        self.cell, self.step, self.seed = cell, step, seed

    def whole(self) -> Recorded:
        """A problem of which no two sizes are the same."""
        return self._drawn(
            1 if self.step else STEPS, BATCH, distinct_sizes(self.cell, {STEPS, BATCH})
        )

    def small(self, steps: int, batch: int) -> Recorded:
        """A problem of so many steps, of the smallest sizes that are all different."""
        return self._drawn(steps, batch, None)

    def _drawn(self, steps: int, batch: int, sizes: Mapping[str, int] | None) -> Recorded:
        case = random_inputs(self.cell, sizes, steps=steps, batch=batch, rng=self.seed)
        random = np.random.default_rng(self.seed + 1)
        program = self.cell.program(**case.sizes)
        names = list(self.cell.state) if self.step else [self.cell.output]
        seeds = {
            n: random.standard_normal((steps, batch, *program.equations[n].shape)) for n in names
        }
        initial = case.initial
        if not self.step:
            initial = {
                n: np.broadcast_to(self.cell.initial(n, v.shape[1:], v.dtype), v.shape)
                for n, v in initial.items()
            }
        return Recorded(self.cell, case.parameters, case.xs, seeds, initial, **case.further)


def call(backward: Backward, graph: Recorded, step: bool) -> Mapping[str, Any]:
    """The function's answer; what it is given are copies, which it may change."""
    arguments, further = _arguments(backward, graph, step)
    name = getattr(backward, "__name__", "the function")
    try:
        inspect.signature(backward).bind(*arguments, **further)
    except TypeError as error:
        form = "p, x, prev, now, bar" if step else "p, xs, h_bar"
        raise DTypeError(
            f"{graph.cell}: {name} cannot be called as {name}({form}): {error}."
        ) from error
    except ValueError:  # a function without a signature
        pass
    try:
        answer = backward(*arguments, **further)
    except Exception as error:
        raise DataError(f"{graph.cell}: {name}{_told(backward, error)}") from error
    if not isinstance(answer, Mapping):
        raise DTypeError(
            f"{graph.cell}: a mapping of names to gradients is needed, such as "
            f"{{'{next(iter(graph.parameters), 'x')}': …}}, got {type(answer).__name__}."
        )
    if step:
        over = graph.over_time
        answer = {n: v if v is None or n not in over else _first(v) for n, v in answer.items()}
    return answer


def _first(value: Any) -> Any:
    """A value of one step, over the steps."""
    value = value.detach() if hasattr(value, "detach") else value
    return np.asarray(value)[None]


def _arguments(
    backward: Backward, graph: Recorded, step: bool
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    p = {name: np.array(value) for name, value in graph.parameters.items()}
    seeds = {name: np.array(g) for name, g in graph.seeds.items()}
    try:
        wanted = inspect.signature(backward).parameters
    except (TypeError, ValueError):
        wanted = {}  # type: ignore[assignment]
    sequences = graph.cell.sequences
    further: dict[str, Any] = {
        n: np.array(v[0] if step and n in sequences else v)
        for n, v in graph.further.items()
        if n in wanted
    }
    prev = {name: np.array(value) for name, value in graph.start.items()}
    if not step:
        if "initial" in wanted:
            further["initial"] = prev
        return (p, np.array(graph.xs), seeds[graph.cell.output]), further
    at = graph.values[0]
    now = {}
    for name, node in graph.program.equations.items():
        own = np.broadcast_to(at[node], (graph.batch, *node.shape))
        now[name] = np.array(own)
    return (p, np.array(graph.xs[0]), prev, now, {n: g[0] for n, g in seeds.items()}), further


def _told(backward: Backward, error: Exception) -> str:
    """Where in the caller's function an error was raised, and which."""
    code = getattr(backward, "__code__", None)
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        k
        for k, (frame, _) in enumerate(traceback.walk_tb(error.__traceback__))
        if frame.f_code is code
    ]
    shown = frames[own[0] :] if own else frames[1:]
    place = f", line {shown[0].lineno}" if own else ""
    lines = [f"{place} raised {type(error).__name__}: {error}"]
    lines += [f"  line {f.lineno}, in {f.name}: {f.line}" for f in shown[-FRAMES:] if f.line]
    return "\n".join(lines)
