"""Calling the author's function of a step, once, to record the equations that it writes."""

from __future__ import annotations

import inspect
import linecache
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.declarations import Declarations, check_name
from tinygrad_lstm.errors import (
    CellError,
    DTypeError,
    LetterError,
    ShapeError,
    TinygradError,
    TracedError,
    UnknownNameError,
    unknown,
)
from tinygrad_lstm.letters import check_closed, letters_within, reads_letter
from tinygrad_lstm.parts import Part, Tracing
from tinygrad_lstm.program import named
from tinygrad_lstm.tensor import Tensor, TensorLike, apply, constant


class Names:
    """Values by name, and no method that a name could meet: `p.count` is the parameter count."""

    __slots__ = ("_values", "_owner", "_missing", "_prefix")
    _empty = "none"

    def __init__(
        self, owner: str, values: Mapping[str, Any], missing: str, prefix: str = ""
    ) -> None:
        object.__setattr__(self, "_owner", owner)
        object.__setattr__(self, "_values", values)
        object.__setattr__(self, "_missing", missing)  # with {owner}, {name}, {known}
        object.__setattr__(self, "_prefix", prefix)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        full = self._prefix + name
        if full in self._values:
            return self._values[full]
        if any(known.startswith(f"{full}.") for known in self._values):  # of a part
            return Names(self._owner, self._values, self._missing, f"{full}.")
        known = ", ".join(self._names()) or self._empty
        raise UnknownNameError(self._missing.format(owner=self._owner, name=name, known=known))

    __getitem__ = __getattr__

    def __repr__(self) -> str:
        names = self._names()
        if not names:
            return f"names of {self._owner}, of which there are none yet"
        part = f"part {self._prefix[:-1]} of " if self._prefix else ""
        return (
            f"all values of {part}{self._owner} together ({', '.join(names)}); name one of them, "
            f"as in {self._prefix}{names[0]}"
        )

    def _names(self) -> list[str]:
        return [n.removeprefix(self._prefix) for n in self._values if n.startswith(self._prefix)]

    def __setattr__(self, name: str, value: Any) -> None:
        raise CellError(f"a step writes now.NAME alone; {name} cannot be set here.")


class Now(Names):
    """The values of this step: `now.f = …` records the equation f, `now.f` reads it."""

    __slots__ = ()
    _empty = "nothing"

    def __setattr__(self, name: str, value: Any) -> None:
        values, name_here, name = self._values, name, self._prefix + name
        if name in values:
            raise CellError(
                f"{self._owner}: equation {name} is written twice; defined so far: "
                f"{', '.join(values)}.\n  Give the second value a name of its own."
            )
        check_name(name_here)
        record(self, name, value)

    __setitem__ = __setattr__


def record(now: Now, name: str, value: TensorLike) -> Tensor:
    """Write an equation under its whole name, `rnn.h`."""
    if not isinstance(value, Tensor):
        value = constant(value, np.dtype(float))
    check_closed(name, value)
    if not value.traced:  # of outside: it keeps its own name
        value = apply("identity", value)
    now._values[name] = named(value, name)
    made: Tensor = now._values[name]
    return made


# messages where a name is not there: with {owner}, {name}, {known}
_UNWRITTEN = (
    "{owner}: now.{name} is read before it is written; defined so far: {known}.\n  Write its "
    "equation above this line, or use prev.{name} for its value one step earlier, if it is a state."
)
_NO_STATE = (
    "{owner}: {name!r} is not a state, so there is no prev.{name}; the states are {known}.\n"
    '  Add it to state="…" if it is to be carried.'
)
_NO_PARAMETER = "{owner} has no parameter {name!r}; it declares {known}."
_NO_SIZE = "{owner} has no size {name!r}; it has {known}."
_NO_PART = "{owner} has no part {name!r}; it has {known}."


def write_equations(cell: Declarations, tracing: Tracing) -> dict[str, Tensor]:
    """The equations that the author's function writes, in `tracing.written`."""
    owner, written, values = str(cell), tracing.written, tracing.values
    now = Now(owner, written, _UNWRITTEN, tracing.prefix)
    before = {n[5:]: value for n, value in values.items() if n.startswith("prev.")}
    prev = Names(owner, before, _NO_STATE)
    p = Names(owner, {name: values[name] for name in cell.parameters}, _NO_PARAMETER)
    extra_inputs: dict[str, Any] = {name: values[name] for name in cell.extra_inputs}
    takes = inspect.signature(cell.step).parameters
    if "size" in takes and "size" not in extra_inputs:
        extra_inputs["size"] = Names(owner, tracing.sizes, _NO_SIZE)
    if cell.components and "part" not in extra_inputs:
        at_work = {name: Part(name, given, tracing) for name, given in cell.components.items()}
        extra_inputs["part"] = Names(owner, at_work, _NO_PART)
    try:
        with letters_within(tracing.sizes) as letters:
            cell.call(now, prev, values["x"], p, extra_inputs)
    except (ShapeError, TracedError, LetterError, DTypeError) as error:
        place = _place(cell, error)
        declared = dimensions.declared(cell.parameters, place)
        fix = declared if isinstance(error, ShapeError) else ""
        raise type(error)(f"{place}\n  {error}{fix}") from error
    except (TinygradError, KeyboardInterrupt):
        raise
    except BaseException as error:  # exit() too
        raise CellError(f"{_place(cell, error)}\n  {type(error).__name__}: {error}") from error
    _check(cell, owner, tracing)
    _check_letters(owner, letters.used, [*before, *values], tracing)
    return written


def _check_letters(owner: str, used: Iterable[str], given: Iterable[str], tracing: Tracing) -> None:
    """A letter is no other sign of the step."""
    taken = {name.removeprefix(tracing.prefix) for name in (*given, *tracing.written)} | {"t"}
    for letter in used:
        if letter in taken:
            what = "the step in time" if letter == "t" else f"also a value of the step, {letter}"
            of = next(
                (name for name, node in tracing.written.items() if reads_letter(node, letter)), ""
            )
            raise LetterError(
                f"{owner}, equation {of}: its letter {letter} is {what}.\n"
                f"  Take another letter, such as {next(n for n in 'jkilmn' if n not in taken)}."
            )


def _check(cell: Declarations, owner: str, tracing: Tracing) -> None:
    prefix = tracing.prefix
    written = {
        name.removeprefix(prefix): node
        for name, node in tracing.written.items()
        if name.startswith(prefix)
    }
    for name in cell.state:
        if name not in written:
            raise CellError(
                f"{owner}: the state {name} is never written; the step defines "
                f"{', '.join(written) or 'nothing'}.\n  Add an equation now.{name} = …, or "
                f'take {name} out of state="{" ".join(cell.state)}".'
            )
    for what, several in (("output", cell.declared_output), ("loss", cell.loss)):
        for name in (several or "").split():
            if name not in written:
                what = f"{owner}: the {what} {name!r} is never written"
                raise unknown(what, "the step defines", written)
    if cell.loss is not None and written[cell.loss].shape:
        raise ShapeError(
            f"{owner}: the loss {cell.loss} has shape {written[cell.loss].shape}, but it is "
            f"one number a step.\n  Sum it: now.{cell.loss} = sum(…)."
        )


def _place(cell: Declarations, error: BaseException) -> str:
    """The author's line that raised an error: the deepest one in the file of the step."""
    file = cell.step.__code__.co_filename
    lines = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
    if not lines:
        return f"in {cell}"
    last = lines[-1]
    source = (last.line or linecache.getline(file, last.lineno or 0)).split("#")[0].strip()
    return f"in {cell}, {Path(file).name} line {last.lineno}: {source}"
