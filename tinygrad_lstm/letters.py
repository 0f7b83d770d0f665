"""What runs over the places of a memory, rows or patches, written for one of them with a letter.

    now.e = each("j", H, lambda h_j: vecdot(p.v, tanh(matvec(p.U, h_j))))   e_j = v · tanh(U · H_j)
    now.c = total("j", now.alpha, H, lambda a_j, h_j: a_j * h_j)            c = Σ_j α_j H_j
    now.mu = each("i", "patch", lambda i: p.g + (i - 0.5) * p.delta)        i = 1, …, patch

The function is called once, for one place, and gives a number, a vector, or an array. What it
writes is read so (text, equations, pictures); it is run for all places at once, which is the rule
of a batch (`batching.py`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_lstm.batching import without_letters
from tinygrad_lstm.errors import LetterError, ShapeError, TracedError
from tinygrad_lstm.graph import fresh
from tinygrad_lstm.registration import register
from tinygrad_lstm.sizes import Size
from tinygrad_lstm.tensor import Letter, Tensor, ancestors, apply, constant, letters_of

__all__ = ["each", "total"]


@dataclass
class Letters:
    """The letters of a step that is being traced: its sizes, what is open, what each runs over."""

    sizes: Mapping[str, int] = field(default_factory=dict)
    open: list[Letter] = field(default_factory=list)
    used: dict[str, Letter] = field(default_factory=dict)


_current: ContextVar[Letters | None] = ContextVar("letters", default=None)


@contextmanager
def letters_within(sizes: Mapping[str, int]) -> Iterator[Letters]:
    """The letters that are used inside, where sizes can be called by their names."""
    found = Letters(sizes)
    token = _current.set(found)
    try:
        yield found
    finally:
        _current.reset(token)


def each(letter: str, *over: Any) -> Tensor:
    """What a function of one place gives, for every place of an axis: e_j = f(H_j).

        each("j", H, lambda h_j: …)                    a row of H
        each("j", H, alpha, lambda h_j, a_j: …)        rows of arrays of one length
        each("i", "patch", lambda i: …)                i = 1, …, patch: a size by its name
        each("i", H, "length", lambda h_i, i: …)       both

    over: what it runs over, arrays along their first axis or a length, and last the function. The
    result is (length, …), with the axes of what the function gives for one place. `each` may stand
    in `each`, with another letter. LetterError of a letter that is used already, ShapeError of
    lengths that differ; each names the fix.
    """
    return _lettered("each", letter, over)


def total(letter: str, *over: Any) -> Tensor:
    """The sum of what a function of one place gives, c = Σ_j f(α_j, H_j); arguments: see `each`."""
    return _lettered("total", letter, over)


def _lettered(op: str, name: str, over: tuple[Any, ...]) -> Tensor:
    current = _current.get() or Letters()
    said = f'{op}("{name}", …)' if isinstance(name, str) else f"{op}(…)"
    if not isinstance(name, str) or not name.isidentifier():
        raise LetterError(
            f'{said} begins with a letter for the places: {op}("j", H, lambda h_j: …).'
        )
    if len(over) < 2 or not callable(over[-1]) or any(map(callable, over[:-1])):
        raise LetterError(
            f"{said} takes what it runs over, and last a function of one place.\n"
            f'  Write {op}("{name}", H, lambda h_{name}: …).'
        )
    *several, function = over
    if any(own.name == name for own in current.open):
        raise LetterError(
            f"{said} stands inside another one of the same letter; take a letter of its own."
        )
    operands = [_operand(said, one, current) for one in several]
    letter = _opened(said, name, _length(said, operands, current), current)
    current.open.append(letter)
    token = _current.set(current)
    try:
        value = function(*_arguments(said, function, operands, letter))
    finally:
        _current.reset(token)
        current.open.remove(letter)
    if value is None:
        raise LetterError(
            f"{said}: its function gives nothing; let it return the value at one place.\n"
            f"  A lambda does, a def needs return."
        )
    value = value if isinstance(value, Tensor) else constant(value, np.dtype(float))
    letters = tuple(own for own in value.letters if own != letter)
    shape = (letter.length, *value.shape) if op == "each" else value.shape
    kind = value.dtype if value.dtype.kind in "fc" else np.dtype(float)
    made = Tensor.lettered(op, [value], shape, kind, letters, {"letter": letter})
    traced = letters or any(isinstance(one, Tensor) and one.traced for one in operands)
    return made if traced or current.sizes else without_letters([made])[made]


def _refuse(*arrays: Any, **attributes: Any) -> Any:
    raise TracedError("what is written for one place is computed for all of them at once.")


def _written(op: str, x: Tensor, letter: Letter) -> Tensor:
    """A row of an array, or what there is at every place."""
    left = tuple(own for own in x.letters if own != letter)
    row = op == "row"
    shape = x.shape[1:] if row else (letter.length, *x.shape)
    letters = tuple(sorted((*left, letter))) if row else left
    return Tensor.lettered(op, [x], shape, x.dtype, letters, {"letter": letter})


# read, and differentiated to be read; what runs has no letters any more
register("row", _refuse, (lambda g, y, x, letter: _written("each", g, letter),), "whole")
register("each", _refuse, (lambda g, y, x, letter: _written("row", g, letter),), "whole")
register(
    "total",
    _refuse,
    (lambda g, y, x, letter: g if letter in x.letters else g * int(letter.length),),
    "whole",
)


def at_each_place(node: Tensor) -> Tensor:
    """A sum of arrays as the array of sums, where all are written for one place of a letter."""
    if node.op != "add" or node.name is not None:
        return node
    a, b = (at_each_place(i) for i in node.inputs)
    if {a.op, b.op} != {"each"} or a.attributes != b.attributes or a.name or b.name:
        return node
    letter: Letter = a.attributes["letter"]
    return _written("each", at_each_place(apply("add", a.inputs[0], b.inputs[0])), letter)


def _operand(said: str, one: Any, current: Letters) -> Tensor | int:
    """What a letter runs over: an array, or a length."""
    if isinstance(one, str):
        if one not in current.sizes:
            known = ", ".join(current.sizes) or "none outside of a cell's step"
            raise LetterError(f"{said} runs over {one!r}, which is no size; there are {known}.")
        return current.sizes[one]
    if isinstance(one, int) and not isinstance(one, bool):
        if one < 1:
            raise LetterError(f"{said} runs over {one} places; there must be one at least.")
        return one
    found = one if isinstance(one, Tensor) else constant(one, np.dtype(float))
    if not found.ndim:
        called = f"{found.name} " if found.name else ""
        raise LetterError(
            f"{said} runs over the first axis of an array, but {called}is a number without axes.\n"
            f"  What is the same at every place is read by the function: leave it out here."
        )
    return found


def _length(said: str, operands: list[Tensor | int], current: Letters) -> int:
    """The one length of all that a letter runs over; one that knows its name, if any does."""
    lengths = [one.shape[0] if isinstance(one, Tensor) else one for one in operands]
    if len(set(map(int, lengths))) > 1 or len(_words(lengths)) > 1:
        shown = ", ".join(
            f"{_called(o)}: {_shown(n)}" for o, n in zip(operands, lengths, strict=True)
        )
        raise ShapeError(
            f"{said} runs over several arrays at once, whose first axes differ: {shown}.\n"
            f"  Declare them with one length, or take a letter for each."
        )
    return next((n for n in lengths if isinstance(n, Size)), lengths[0])


def _words(lengths: list[int]) -> set[str]:
    return {n.words for n in lengths if isinstance(n, Size)}


def _called(one: Tensor | int) -> str:
    return (one.name or "an array") if isinstance(one, Tensor) else "the size"


def _shown(n: int) -> str:
    return f"{n.words} = {int(n)}" if isinstance(n, Size) else str(n)


def _opened(said: str, name: str, length: int, current: Letters) -> Letter:
    """A letter, which stands for the places of one axis throughout a step."""
    letter = current.used.setdefault(name, Letter(fresh(), name, length))
    before = letter.length
    if int(before) != int(length) or len(_words([before, length])) > 1:
        raise LetterError(
            f"{said} runs over {_shown(length)}, but {name} has run over {_shown(before)} in this "
            f"step.\n  Take another letter for the other axis."
        )
    return letter


def _arguments(
    said: str, function: Callable[..., Any], operands: list[Tensor | int], letter: Letter
) -> list[Tensor]:
    """What the function is given: a row of each array, the number of the place for a length."""
    given = [_at_one_place(one, letter) for one in operands]
    try:
        inspect.signature(function).bind(*given)
    except TypeError as error:
        n = len(given)
        raise LetterError(
            f"{said} runs over {n} {'array or length' if n == 1 else 'arrays or lengths'}, so "
            f"its function is given {n}: {error}."
        ) from error
    except ValueError:  # a function whose signature Python does not know
        pass
    return given


def _at_one_place(one: Tensor | int, letter: Letter) -> Tensor:
    if isinstance(one, Tensor):
        letters = (*one.letters, letter)
        return Tensor.lettered("row", [one], one.shape[1:], one.dtype, letters, {"letter": letter})
    return Tensor.lettered("index", (), (), float, (letter,), {"letter": letter})


def check_closed(name: str, value: Tensor) -> None:
    """LetterError of an equation that holds for one place alone."""
    left = letters_of([value])
    if left:
        letter = left[0].name
        raise LetterError(
            f"equation {name} is written for one place {letter} alone.\n"
            f'  Name what it is for every place: now.{name} = each("{letter}", …, lambda …: …).'
        )


def reads_letter(node: Tensor, letter: str) -> bool:
    """Whether a value is written with a letter."""
    found = (n.attributes["letter"].name for n in ancestors([node]) if "letter" in n.attributes)
    return letter in found
