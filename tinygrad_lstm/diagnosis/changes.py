"""What a wrong backward pass does in another way than the right one, and how it is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tinygrad_lstm.diagnosis.rules import Array, Expression, Place
from tinygrad_lstm.tensor import Tensor


@dataclass(frozen=True, eq=False)
class Taken:
    """A value that a wrong rule reads in place of the right one.

    node: of the step; by: from so many steps later; part: of a joined vector that part alone is
    from there; around: before the first step comes the last one, as with an index of -1; ends: a
    state is 0 before the first step and after the last, whatever it is.
    """

    node: Tensor
    by: int = 0
    part: int | None = None
    around: bool = False
    ends: bool = False


@dataclass(frozen=True, eq=False)
class Change:
    """What an edge hands on in place of what it should.

    rule: another expression of the same leaves, None for nothing at all; factor: of the whole;
    taken: leaves whose value is taken from elsewhere; without: the term that the adjoint which
    is handed on lacks, a place, "loss" or "carried"; rolled: by how much the entries of g move.
    """

    rule: Expression | None
    factor: float = 1.0
    taken: Mapping[str, Taken] = field(default_factory=dict)
    without: Place | str | None = None
    rolled: int = 0


@dataclass(frozen=True, eq=False)
class Changes:
    """What a wrong backward pass does in another way than the right one.

    edges: what is handed on along edges; seeds: what the loss hands in, by output over the steps;
    skipped: the steps that are left out; carry: of a state "added" where what is carried is added
    to what was carried before, "kept" where to the state's whole adjoint; result: what is read off,
    from the adjoints and from each step's part of a parameter's gradient.
    """

    edges: Mapping[Place, Change] = field(default_factory=dict)
    seeds: Callable[[Any, dict[str, Array]], dict[str, Array]] | None = None
    skipped: frozenset[int] = frozenset()
    carry: Mapping[str, str] = field(default_factory=dict)
    result: Callable[[dict[str, Array], Mapping[str, Array]], dict[str, Array]] | None = None

    @property
    def deep(self) -> bool:
        """Whether a way back differs, and not only what is read off."""
        return bool(self.edges or self.seeds or self.skipped or self.carry)

    def __add__(self, other: Changes) -> Changes:
        seeds = self.seeds or other.seeds
        if self.seeds and other.seeds:
            one, two = self.seeds, other.seeds

            def seeds(graph: Any, found: dict[str, Array]) -> dict[str, Array]:
                return two(graph, one(graph, found))

        result = self.result or other.result
        if self.result and other.result:
            first, last = self.result, other.result

            def result(found: dict[str, Array], parts: Mapping[str, Array]) -> dict[str, Array]:
                return last(first(found, parts), parts)

        return Changes(
            {**self.edges, **other.edges},
            seeds,
            self.skipped | other.skipped,
            {**self.carry, **other.carry},
            result,
        )


@dataclass(frozen=True, eq=False)
class Mistake:
    """One mistake: its kind, how it is told, and what it changes.

    message: a key of words.toml, filled with `words`. place: the edge whose term it is about, if it
    is about one. rank: of two that give the same numbers the one with the lower rank is told.
    """

    kind: str
    message: str
    changes: Changes
    rank: float = 1.0
    place: Place | None = None
    words: Mapping[str, Any] = field(default_factory=dict)
