"""Somebody's own forward, called: a step or a whole sequence, on a batch or on one sample."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lstm.diagnosis.problems import Problem
from tinygrad_lstm.diagnosis.rewrites import Array
from tinygrad_lstm.errors import DataError, DTypeError, ShapeError, TinygradError, unknown
from tinygrad_lstm.program import Program
from tinygrad_lstm.step import Cell

Forward = Callable[..., Any]


class Form(NamedTuple):
    """How a function is called.

    step: once for a step, not for a whole sequence. apart: states as arguments of their own, not
    as one mapping. batch: with the axis of a batch. known: the arguments that it names.
    """

    step: bool
    apart: bool
    batch: bool
    known: frozenset[str]


def is_forward(function: Any) -> bool:
    """Whether a function's arguments say that it is a step, and not a backward pass."""
    try:
        names = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
    return "prev" in names and not any("bar" in name for name in names)


def _arguments(cell: Cell, function: Any) -> list[str] | None:
    """The arguments that must be given, but for the cell's further inputs and first states."""
    try:
        kinds = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return None
    if any(k.kind is k.VAR_POSITIONAL for k in kinds.values()):
        return None
    own = {"initial", *cell.extra_inputs}
    return [
        n
        for n, k in kinds.items()
        if k.default is k.empty and k.kind is not k.VAR_KEYWORD and n not in own
    ]


def forms(cell: Cell, function: Forward) -> list[Form]:
    """The ways in which a function may want to be called, the likeliest first."""
    names = _arguments(cell, function)
    try:
        known = frozenset(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        known = frozenset()
    step, apart = [True, False], [False]
    if names is not None:
        step = [True] if "prev" in known or len(names) > 2 else [False, True]
        if len(names) == 2 + len(cell.state) and "prev" not in names:
            apart = [True] if len(cell.state) > 1 else [False, True]
    return [Form(s, a, b, known) for s in step for a in apart for b in (True, False)]


def name_of(function: Any) -> str:
    """What a function is called in an error."""
    return str(getattr(function, "__name__", "the function"))


def ask(function: Forward, form: Form, problem: Problem) -> dict[str, Array]:
    """What the function says of every probe: by equation (time, probes · batch, own axes)."""
    found: dict[str, list[Array]] = {}
    for k in range(problem.probes):
        for name, array in _probe(function, form, problem, k).items():
            found.setdefault(name, []).append(array)
    short = [name for name, arrays in found.items() if len(arrays) < problem.probes]
    if short:
        raise DataError(f"{problem.cell}: {name_of(function)} returns {short[0]} only sometimes.")
    return {name: np.concatenate(arrays, axis=1) for name, arrays in found.items()}


class _Noted(dict[str, Array]):
    """Parameters that know which of them were looked at."""

    read: set[str]

    def __getitem__(self, name: str) -> Array:
        self.read.add(name)
        return super().__getitem__(name)


def unread(function: Forward, form: Form, problem: Problem) -> list[str]:
    """The parameters that a function does not look at, one by one."""
    p, xs, initial = problem.probe(0)
    noted = _Noted(p)
    noted.read = set()
    if not form.batch:
        xs, initial = xs[:, 0], {name: array[0] for name, array in initial.items()}
    _call(function, form, problem, noted, xs, initial)
    return [name for name in p if name not in noted.read] if noted.read else []


def _probe(function: Forward, form: Form, problem: Problem, k: int) -> dict[str, Array]:
    """One probe: (time, batch, own axes) by equation."""
    p, xs, initial = problem.probe(k)
    if form.batch:
        return _call(function, form, problem, p, xs, initial)
    parts = []
    for b in range(problem.batch):
        own = {name: array[b] for name, array in initial.items()}
        parts.append(_call(function, form, problem, dict(p), xs[:, b], own))
    if any(part.keys() != parts[0].keys() for part in parts):
        raise DataError(f"{problem.cell}: {name_of(function)} returns other names each time.")
    return {name: np.stack([part[name] for part in parts], axis=1) for name in parts[0]}


def _call(
    function: Forward,
    form: Form,
    problem: Problem,
    p: dict[str, Array],
    xs: Array,
    initial: dict[str, Array],
) -> dict[str, Array]:
    cell = problem.cell
    further: dict[str, Any] = {
        n: np.array(v[0] if form.step and n in cell.sequences else v)
        for n, v in problem.further.items()
        if n in form.known
    }
    if form.step:
        states = [initial[name] for name in cell.state] if form.apart else [initial]
        arguments = [p, xs[0], *states]
    else:
        arguments = [p, xs]
        if "initial" in form.known:
            further["initial"] = initial
    try:
        with np.errstate(all="ignore"):
            answer = function(*arguments, **further)
    except Exception as error:
        place, trace = "", error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code is getattr(function, "__code__", None):
                place = f", line {trace.tb_lineno}"
            trace = trace.tb_next
        told = f"{type(error).__name__}: {error}"
        raise DataError(f"{cell}: {name_of(function)}{place} raised {told}") from error
    return checked(
        problem.program, cell, answer, 1 if form.step else problem.time, form.step,
        (problem.batch,) if form.batch else (), name_of(function),
    )  # fmt: skip


def checked(
    program: Program,
    cell: Cell,
    answer: Any,
    time: int,
    step: bool,
    batch: tuple[int, ...],
    who: str,
) -> dict[str, Array]:
    """An answer as arrays (time, batch, own axes); one error where it is none."""
    front = batch if step else (time, *batch)
    found = {}
    for name, value in _by_name(cell, answer, step, who).items():
        if value is None:
            continue
        if name not in program.equations:
            raise unknown(
                f"{cell}: {who} returns {name!r}, which is no equation", "there are",
                program.equations,
            )  # fmt: skip
        for method in ("detach", "cpu", "numpy"):  # another library's tensor
            value = getattr(value, method, lambda given=value: given)()
        try:
            array = np.asarray(value)
        except Exception as error:
            raise DTypeError(f"{cell}: {name} of {who} is no array: {error}") from error
        if array.dtype.kind in "iu":
            raise DTypeError(
                f"{cell}: {name} of {who} holds whole numbers ({array.dtype}); it was rounded.\n"
                f"  Begin with an array of floating-point numbers."
            )
        if array.dtype.kind != "f":
            raise DTypeError(f"{cell}: {name} of {who} holds {array.dtype}, not numbers.")
        own = tuple(int(n) for n in program.equations[name].shape)
        if array.shape != (*front, *own):
            words = [*(["time"] if not step else []), *(["batch"] if batch else [])]
            sizes = [f"{word}={n}" for word, n in zip(words, front, strict=True)]
            expected = ", ".join([*sizes, *map(str, own)])
            raise ShapeError(
                f"{cell}: {name} of {who} has shape {array.shape}, but it is ({expected}).\n"
                f"  p, x and the states came with the sizes "
                f"{', '.join(f'{n}={v}' for n, v in program.sizes.items())}."
            )
        found[name] = array.astype(float)[None] if step else array.astype(float)
    if not found:
        raise DataError(f"{cell}: {who} returns nothing; the states are {', '.join(cell.state)}.")
    return found


def _by_name(cell: Cell, answer: Any, step: bool, who: str) -> Mapping[str, Any]:
    """An answer as a mapping: a tuple holds the states in their order, one array the output."""
    if isinstance(answer, Mapping):
        return answer
    states = list(cell.state)
    if isinstance(answer, Sequence) and not isinstance(answer, str):
        if len(answer) == len(states):
            return dict(zip(states, answer, strict=True))
        if len(states) > 1:
            raise DataError(
                f"{cell}: {who} returns {len(answer)} values, but the states are "
                f"{', '.join(states)}.\n  Return a mapping of names to arrays."
            )
    if answer is None or isinstance(answer, str):
        raise DTypeError(
            f"{cell}: a mapping of names to arrays is needed of {who}, such as "
            f"{{'{states[0]}': …}}, got {type(answer).__name__}."
        )
    return {states[0] if step else cell.output: answer}


def answered(function: Forward, problems: Sequence[Callable[[Form], Problem]], cell: Cell) -> Any:
    """(form, problem, answer) of the first way in which the function can be called.

    problems: from the one wanted most; the error told is that of the first way.
    """
    errors: list[TinygradError] = []
    for make in problems:
        for form in forms(cell, function):
            try:
                problem = make(form)
                return form, problem, ask(function, form, problem)
            except TinygradError as error:
                errors.append(error)
    named = [e for e in errors if "raised" not in str(e)]  # it ran, and what it gave was no answer
    raise named[0] if named else errors[0]
