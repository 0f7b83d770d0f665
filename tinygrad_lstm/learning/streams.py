"""A text read side by side: contiguous streams, each with a lead-in that does not count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tinygrad_lstm.errors import DataError
from tinygrad_lstm.learning.character_model import CharacterModel
from tinygrad_lstm.running import Run
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array

LEAD = 128  # characters that a stream reads before it counts, so that its states are filled
LENGTH = 128  # characters that are computed at a time
LEAST = 40  # characters to say anything of


@dataclass(frozen=True)
class Part:
    """Some steps of all streams: what was computed, and which of it counts."""

    run: Run
    comes: Array  # (time, streams) the symbols that come next
    counted: slice  # steps past the lead-in
    width: int  # symbols


class Streams:
    """Up to `most` characters from the start of a text, in `count` streams side by side.

    `places` are the places in the text of what is counted, in order: (characters,), stream after
    stream. The first `lead` characters of the text are read and not counted.
    """

    def __init__(self, ids: Array, most: int, count: int = 32) -> None:
        n = min(len(ids), most + LEAD) - 1  # the last one has nothing to be predicted
        self.lead = min(LEAD, max(0, n) // 8)
        self.count = max(2, min(count, (n - self.lead) // LEAD)) // 2 * 2
        self.each = (n - self.lead) // self.count
        if self.each * self.count < LEAST:
            raise DataError(
                f"the text has {len(ids)} characters, too few to say what units remember.\n"
                f"  Take a longer one; tens of thousands that were not learnt from are best."
            )
        self.ids = ids
        first = self.lead + self.each * np.arange(self.count)
        self.places = (first[:, None] + np.arange(self.each)).reshape(-1)
        self._starts = first - self.lead

    @property
    def half(self) -> int:
        """How many of the counted characters are the first half's."""
        return self.each * self.count // 2

    def read(
        self,
        model: CharacterModel,
        cell: Cell,
        copies: int = 1,
        constants: Mapping[str, Array] | None = None,
    ) -> Iterator[Part]:
        """Run over all of them; `copies` of every stream, (copy, stream) in the batch."""
        states, time = None, self.lead + self.each
        edges = [0, *range(self.lead, time, LENGTH), time]
        for start, stop in zip(edges, edges[1:], strict=False):
            if start == stop:
                continue
            steps = np.arange(start, stop)[:, None] + self._starts
            reads = np.tile(self.ids[steps], copies).astype(np.intp)
            further = {**model.inputs(reads, start), **(constants or {})}
            run = model.readout.run(
                model.parameters, reads, cell, initial=states, seed=start, **further
            )
            states = {name: state.detach() for name, state in run.final.items()}
            if start >= self.lead:
                comes = self.ids[steps + 1].astype(np.intp)
                yield Part(run, comes, slice(0, stop - start), len(model.vocabulary))
