"""What runs over the places of a memory, rows or patches, written for one of them with a letter.

    now.e = each("j", H, lambda h_j: vecdot(p.v_a, tanh(matvec(p.U_a, h_j))))   e_j = v · tanh(U · H_j)
    now.c = total("j", now.alpha, H, lambda a_j, h_j: a_j * h_j)                  c = Σ_j α_j H_j
    now.mu = each("i", "patch", lambda i: p.g + (i - 0.5) * p.delta)              i = 1, …, patch

The function is called once, for one place, and gives a number, a vector, or an array. What it
writes is read so (text, equations, pictures); it is run for all places at once, which is the rule
of a batch (`batching.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_lstm.batching import without_letters
from tinygrad_lstm.errors import LetterError, ShapeError
from tinygrad_lstm.graph import fresh
from tinygrad_lstm.sizes import Size
from tinygrad_lstm.tensor import Letter, Tensor, TensorLike, constant, letters_of

__all__ = ["each", "total"]


@dataclass
class Letters:
    """The letters of a step that is being traced: its sizes, what is open, what each runs over."""

    sizes: Mapping[str, int] = field(default_factory=dict)
    open: list[Letter] = field(default_factory=list)
    lengths: dict[str, int] = field(default_factory=dict)


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
    """The sum of what a function of one place gives: c = Σ_j f(α_j, H_j); arguments as of `each`."""
    return _lettered("total", letter, over)


def _lettered(op: str, name: str, over: tuple[Any, ...]) -> Tensor:
    current = _current.get() or Letters()
    said = f'{op}("{name}", …)' if isinstance(name, str) else f"{op}({name!r:.20}, …)"
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
    letter = Letter(fresh(), name, _length(said, operands, current))
    _check_meaning(said, letter, current)
    current.open.append(letter)
    token = _current.set(current)
    try:
        value = function(*(_at_one_place(one, letter) for one in operands))
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
    """The one length of all that a letter runs over; of lengths that know their names, such a one."""
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


def _check_meaning(said: str, letter: Letter, current: Letters) -> None:
    """One letter stands for the places of one axis throughout a step."""
    before = current.lengths.setdefault(letter.name, letter.length)
    if int(before) != int(letter.length) or len(_words([before, letter.length])) > 1:
        raise LetterError(
            f"{said} runs over {_shown(letter.length)}, but {letter.name} has run over "
            f"{_shown(before)} in this step.\n  Take another letter for the other axis."
        )


def _at_one_place(one: Tensor | int, letter: Letter) -> Tensor:
    if isinstance(one, Tensor):
        letters = (*one.letters, letter)
        return Tensor.lettered("row", [one], one.shape[1:], one.dtype, letters, {"letter": letter})
    return Tensor.lettered("index", (), (), float, (letter,), {"letter": letter})


def check_closed(owner: str, name: str, value: Tensor) -> None:
    """LetterError of an equation that holds for one place alone."""
    left = letters_of([value])
    if left:
        letter = left[0].name
        raise LetterError(
            f"{owner}, equation {name}: it is written for one place {letter} alone.\n"
            f'  Name what it is for every place: now.{name} = each("{letter}", …, lambda …: …).'
        )
