"""What a system's wires mean for its parts: checked once, when the system is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tinygrad_lstm.declarations import TAKEN
from tinygrad_lstm.errors import CellError, unknown
from tinygrad_lstm.step import Cell
from tinygrad_lstm.wires import Read, Reads, Source, each_of, find_order, find_reads

SEQUENCE, CONSTANT, STATE = "sequence", "constant", "first state"
INITIAL = "initial."


@dataclass
class Outer:
    """An input of a system: whether it has a value at each step, and who reads it.

    words: its shape as the first reader has it that reads it alone.
    """

    kind: str
    readers: list[tuple[str, str]] = field(default_factory=list)
    words: str | None = None


class Wiring:
    """The wires of a system, found and checked.

    wired: for each part what its inputs read; order: groups of parts, see `find_order`; inputs: of
    the system, in the order in which wires name them; once: layers that are computed once and not
    at each step; clocks: for each other part, and each input with steps, whose steps it goes by.
    """

    def __init__(
        self,
        owner: str,
        parts: Mapping[str, Any],
        wires: Mapping[str, Source],
        names: Mapping[str, Sequence[str]],
    ) -> None:
        self.owner, self.parts, self._names = owner, parts, names
        self.wired: dict[str, dict[str, Reads]] = {name: {} for name in parts}
        for target, source in wires.items():
            part, own = self._target(target)
            self.wired[part][own] = find_reads(owner, target, source, parts)
        self.order = find_order(owner, self.wired)
        self._check_sources()
        self.wired = {
            part: {target: tuple(map(self._in_full, reads)) for target, reads in own.items()}
            for part, own in self.wired.items()
        }
        self.inputs = self._inputs()
        self.once = self._once()
        self._check_kinds()
        self.clocks = self._clocks()

    def _target(self, target: str) -> tuple[str, str]:
        part, _, own = str(target).partition(".")
        if part not in self.parts:
            what = f"{self.owner}: the wire {target!r} leads to no part: there is no {part!r}"
            raise unknown(what, "the parts are", self.parts)
        declared = declared_of(self.parts[part])
        if own not in declared:
            if own.startswith(INITIAL) and not self.parts[part].state:
                raise CellError(
                    f"{self.owner}: the wire {target!r} leads to a first state, but "
                    f"{self.parts[part]} has no state."
                )
            what = f"{self.owner}: the wire {target!r} leads nowhere: {part} takes no {own!r}"
            raise unknown(what, "it takes", declared)
        return part, own

    def _check_sources(self) -> None:
        for name, reads in self.wired.items():
            if "x" not in reads:
                raise CellError(
                    f"{self.owner}: nothing is wired to {name}.x ({self.parts[name].x}).\n"
                    f'  Write wires={{"{name}.x": …}} with an input\'s name, or PART.EQUATION.'
                )
            for target, read in each_of(reads):
                self._check_source(f"{name}.{target}", read)

    def _in_full(self, read: Read) -> Read:
        if read.part is None or read.kind == "mask":
            return read
        return replace(read, name=canonical(self.parts[read.part], read.name))

    def _check_source(self, target: str, read: Read) -> None:
        if read.part is None:
            if read.name in TAKEN and read.name != "x":
                raise CellError(
                    f"{self.owner}: an input cannot be called {read.name!r}, which is an argument "
                    f"of unroll; the wire is {target!r}."
                )
            if read.kind == "final":
                raise CellError(
                    f"{self.owner}: the wire {target!r} comes from {read}, but final is of a "
                    f"part's state, as in final('PART.STATE')."
                )
            return
        part = self.parts[read.part]
        if read.kind == "mask":
            if read.name:
                raise CellError(
                    f"{self.owner}: the wire {target!r} comes from {read}; a mask is that of a "
                    f"part, or of an input: mask({read.part!r})."
                )
            return
        known: Sequence[str] = self._names[read.part]
        have = "it has"
        if read.kind == "final":
            known, have = list(part.state), "its states are"
            if not known:
                raise CellError(
                    f"{self.owner}: the wire {target!r} comes from {read}, but {part} has no state."
                )
        if canonical(part, read.name) not in known:
            source = f"{read.part}.{read.name}"
            what = (
                f"{self.owner}: the wire {target!r} comes from {source!r}, but {part} has no "
                f"{'state' if read.kind == 'final' else 'equation'} {read.name!r}"
            )
            raise unknown(what, have, known)

    # --- inputs and kinds -------------------------------------------------------------------------
    def _inputs(self) -> dict[str, Outer]:
        found: dict[str, Outer] = {}
        for name, reads in self.wired.items():
            declared = declared_of(self.parts[name])
            for target, several in reads.items():
                kind, words = declared[target]
                for read in (r for r in several if r.part is None):
                    steps = kind == SEQUENCE or read.kind in ("before", "whole", "mask")
                    own = SEQUENCE if steps else CONSTANT
                    outer = found.setdefault(read.name, Outer(own))
                    if outer.kind != own:
                        first = ".".join(outer.readers[0])
                        raise CellError(
                            f"{self.owner}: {name}.{target} reads the input {read.name!r} as a "
                            f"{own}, {first} as a {outer.kind}.\n  A memory made of all steps is "
                            f"whole({read.name!r})."
                        )
                    outer.readers.append((name, target))
                    if len(several) == 1 and read.kind in ("each", "before"):
                        outer.words = outer.words or words
        return found

    def _once(self) -> frozenset[str]:
        """Layers without a step of their own: what they read, or those who read them, has none."""
        found: set[str] = set()
        for name in (p for group in self.order for p in group):
            if self.parts[name].state or getattr(self.parts[name], "parts", None):
                continue
            reads = [read for _, read in each_of(self.wired[name])]
            if all(self._is_once(read, found) for read in reads):
                found.add(name)
                continue
            kinds = {
                declared_of(self.parts[p])[t][0]
                for p, own in self.wired.items()
                for t, read in each_of(own)
                if read.part == name and read.kind == "each"
            }
            outer = all(read.part is None and read.kind == "each" for read in reads)
            if outer and kinds and SEQUENCE not in kinds:
                found.add(name)
                for read in reads:
                    self.inputs[read.name].kind = CONSTANT
        return frozenset(found)

    def _is_once(self, read: Read, once: set[str]) -> bool:
        if read.kind != "each":
            return read.kind != "before"
        return self.inputs[read.name].kind == CONSTANT if read.part is None else read.part in once

    def is_once(self, read: Read) -> bool:
        """Whether a wire carries one value and not one at each step."""
        return self._is_once(read, {*self.once})

    def _check_kinds(self) -> None:
        for name, reads in self.wired.items():
            declared = declared_of(self.parts[name])
            for target, read in each_of(reads):
                kind = declared[target][0]
                if kind != SEQUENCE and not self.is_once(read):
                    fix = f"whole('{read.state}')" if kind == CONSTANT else "final('PART.STATE')"
                    raise CellError(
                        f"{self.owner}: {name}.{target} is a {kind}, but {read} has a value at "
                        f"each step.\n  Write {fix}."
                    )

    # --- steps ------------------------------------------------------------------------------------
    def _clocks(self) -> dict[str, str]:
        """Whose steps a part or an input goes by; inputs are called `input.NAME`."""
        parent: dict[str, str] = {}

        def root(name: str) -> str:
            while parent.setdefault(name, name) != name:
                name = parent[name]
            return name

        for name, outer in self.inputs.items():
            if outer.kind == SEQUENCE:
                root(f"input.{name}")
        for group in self.order:
            for name in (p for p in group if p not in self.once):
                root(name)
                declared = declared_of(self.parts[name])
                for target, read in each_of(self.wired[name]):
                    if declared[target][0] == SEQUENCE and not self.is_once(read):
                        one, other = root(read.part or f"input.{read.name}"), root(name)
                        # the earlier name stays
                        parent[other] = one
        clocks = {name: root(name) for name in parent}
        for name in (p for p in self.parts if p not in self.once):
            of = clocks[name]
            if not any(c == of for n, c in clocks.items() if n.startswith("input.")):
                raise CellError(
                    f"{self.owner}: nothing tells how many steps {name} has; wire an input with "
                    f"steps to {name}.x."
                )
        return clocks

    @property
    def sequences(self) -> list[str]:
        """The inputs with a value at each step."""
        return [name for name, outer in self.inputs.items() if outer.kind == SEQUENCE]

    def clock_inputs(self, clock: str) -> list[str]:
        """The inputs whose steps a clock goes by."""
        return [
            name.removeprefix("input.")
            for name, own in self.clocks.items()
            if own == clock and name.startswith("input.")
        ]

    def befores(self) -> dict[str, tuple[str, str]]:
        """What wires to the step before carry, with the part and the input that reads it first."""
        found: dict[str, tuple[str, str]] = {}
        for name, reads in self.wired.items():
            for target, read in each_of(reads):
                if read.kind == "before":
                    single = len(reads[target]) == 1
                    if read.state not in found or single:
                        found[read.state] = name, target
        return found


def declared_of(part: Any) -> dict[str, tuple[str, str]]:
    """What a part takes: for each input and first state its kind, and its shape in words."""
    found = {"x": (SEQUENCE, part.x)}
    found |= {name: (SEQUENCE, words) for name, words in part.sequences.items()}
    found |= {name: (CONSTANT, words) for name, words in part.constants.items()}
    return found | {f"{INITIAL}{name}": (STATE, words) for name, words in part.state.items()}


def output_of(part: Any) -> str:
    """The equation of a part's Program that is its output: of a stack that of its last layer."""
    if isinstance(part, Cell) or len(part.joined) > 1:
        return str(part.output)
    inside, _, name = part.joined[0].partition(".")
    return f"{inside}.{canonical(part.parts[inside], name)}"


def canonical(part: Any, name: str) -> str:
    """A part's equation by the name that it has in its Program; no name is its output."""
    if not name or name == part.output:
        return output_of(part)
    inside, _, own = name.partition(".")
    within = getattr(part, "parts", {}).get(inside)
    return f"{inside}.{canonical(within, own)}" if within is not None and own else name
