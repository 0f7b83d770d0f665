"""Wires: what each part of a system reads, and the order in which the parts can be run.

    "p.z": "q.z"                              a value at each step
    "p.x": before("x")                        the value of the step before, zeros at first
    "decoder.H": whole("encoder.h")           all steps, as a memory
    "decoder.mask": mask("encoder")           1 where the memory holds a step, 0 where padding
    "decoder.initial.s": final("encoder.h")   a first state
    "p.x": ["q.z", before("x")]               several, joined

What stands before the first dot is a part; a name that is no part's is an input of the system.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from tinygrad_lstm.errors import CellError, unknown


@dataclass(frozen=True)
class Wire:
    """What a part reads of a source, by kind: each, before, whole, final or mask."""

    source: str
    kind: str = "each"

    def __str__(self) -> str:
        return repr(self.source) if self.kind == "each" else f"{self.kind}({self.source!r})"

    __repr__ = __str__


Source: TypeAlias = "str | Wire | Sequence[str | Wire]"


def before(source: str) -> Wire:
    """A wire that carries the value of the step before, `before("target")`; zeros at first.

    What it starts from is a state of the system, under the source's name: `initial={"target": …}`.
    """
    return _wire(source, "before")


def whole(source: str) -> Wire:
    """A wire that carries a sequence as a memory, `whole("encoder.h")`: (length, its own axes)."""
    return _wire(source, "whole")


def final(source: str) -> Wire:
    """A wire that carries a part's state after its last step, `final("encoder.forward.h")`."""
    return _wire(source, "final")


def mask(source: str) -> Wire:
    """A wire that carries 1 for each step of a part or an input and 0 for padding: (length).

    With it a decoder's softmax gives padded places of its memory no weight.
    """
    return _wire(source, "mask")


def _wire(source: str, kind: str) -> Wire:
    if not isinstance(source, str):
        raise CellError(f"{kind} is of a name, as in {kind}('encoder.h'), got {source!r}.")
    return Wire(source, kind)


@dataclass(frozen=True)
class Read:
    """A wire's source, found: the equation or state `name` of a part, or an input of the system."""

    kind: str
    part: str | None
    name: str

    def __str__(self) -> str:
        source = f"{self.part}.{self.name}" if self.part else self.name
        return str(Wire(source.removesuffix("."), self.kind))

    @property
    def state(self) -> str:
        """What a wire to the step before carries, by the name that it has as a state."""
        return f"{self.part}.{self.name}" if self.part else self.name


Reads: TypeAlias = tuple[Read, ...]


def find_reads(owner: str, target: str, source: Source, parts: Iterable[str]) -> Reads:
    """The sources of a wire, each split into part and name."""
    several = [source] if isinstance(source, str | Wire) else source
    if not isinstance(several, list | tuple) or not several:
        raise CellError(
            f"{owner}: the wire {target!r} comes from a name, or from several in a list, got "
            f"{source!r}."
        )
    return tuple(_read(owner, target, each, [*parts]) for each in several)


def _read(owner: str, target: str, source: str | Wire, parts: Sequence[str]) -> Read:
    wire = source if isinstance(source, Wire) else Wire(source)
    if not isinstance(wire.source, str):
        raise CellError(f"{owner}: the wire {target!r} comes from a name, got {source!r}.")
    part, dot, name = wire.source.partition(".")
    if part in parts:
        return Read(wire.kind, part, name)
    if dot:
        what = f"{owner}: the wire {target!r} comes from {wire}, but there is no part {part!r}"
        raise unknown(what, "the parts are", parts)
    if not part.isidentifier():
        raise CellError(f"{owner}: {part!r} cannot be the name of an input; the wire is {target!r}")
    return Read(wire.kind, None, part)


def find_order(owner: str, wired: Mapping[str, Mapping[str, Reads]]) -> list[tuple[str, ...]]:
    """Groups of parts in an order in which they can be run.

    Parts that read one another, some of it of the step before, are one group: they run together,
    step by step. CellError where values of the same step go round in a circle.
    """
    every = {p: {r.part for _, r in each_of(reads) if r.part} for p, reads in wired.items()}
    same = {
        p: {r.part for _, r in each_of(reads) if r.part and r.kind != "before"}
        for p, reads in wired.items()
    }
    _refuse_cycles(owner, wired, same)
    reached = {part: _reached(part, every) for part in wired}
    done: list[tuple[str, ...]] = []
    left = list(wired)
    while left:
        for part in left:
            group = [p for p in wired if p == part or p in reached[part] and part in reached[p]]
            placed = {p for each in done for p in each}
            if all(every[p] <= {*group, *placed} for p in group):
                done.append(_sorted(group, same))
                left = [p for p in left if p not in group]
                break
    return done


def each_of(reads: Mapping[str, Reads]) -> Iterator[tuple[str, Read]]:
    """Every source of every input, one by one."""
    return ((target, read) for target, several in reads.items() for read in several)


def _reached(part: str, every: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    todo = [*every[part]]
    while todo:
        if (name := todo.pop()) not in found:
            found.add(name)
            todo += every[name]
    return found


def _sorted(group: Sequence[str], same: Mapping[str, set[str]]) -> tuple[str, ...]:
    """The parts of a group, those first that the others read in the same step."""
    placed: list[str] = []
    while len(placed) < len(group):
        ready = (p for p in group if p not in placed and same[p] & {*group} <= {*placed})
        placed.append(next(ready))
    return tuple(placed)


def _refuse_cycles(
    owner: str, wired: Mapping[str, Mapping[str, Reads]], same: Mapping[str, set[str]]
) -> None:
    for first in wired:
        if first not in _reached(first, same):
            continue
        path, part = [first], first
        while True:  # a shortest way round is not needed, one that is a circle is
            part = next(p for p in wired if p in same[part] and first in {p, *_reached(p, same)})
            if part in path:
                break
            path.append(part)
        path = path[path.index(part) :]
        pairs = zip(path, [*path[1:], path[0]], strict=True)
        wires = "; ".join(
            f"{reader}.{target} reads {read}"
            for reader, read_of in pairs
            for target, read in each_of(wired[reader])
            if read.part == read_of and read.kind != "before"
        )
        raise CellError(
            f"{owner}: the wires go round in a circle: {wires}.\n"
            f"  One of them has to carry the value of the step before: before('PART.NAME')."
        )
