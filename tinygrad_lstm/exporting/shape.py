"""Where the numbers of an exported program lie, and which layer reads and writes which.

Weights are one array, a parameter behind the other; so are the states of a sample, and what is
handed on between layers, `work`, for each row (a step of a sequence).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from tinygrad_lstm.exporting.subject import Layer, Subject
from tinygrad_lstm.kernels.names import distinct
from tinygrad_lstm.tensor import Array
from tinygrad_lstm.text import UNICODE


class Rows(NamedTuple):
    """Rows of an array: that of a step and a sequence (row), or of a sequence (b).

    start: how many numbers of each row of `work` lie before them all.
    """

    array: str
    width: int
    start: int = 0
    row: str = "row"


@dataclass(frozen=True)
class Stage:
    """A layer, where its weights and states begin, and what its step gives.

    own: its parameters; starts: where each begins, from the layer's first; states: the same of its
    states; results: what the step writes, by argument, the equation's name.
    """

    layer: Layer
    kept: list[str]
    first_weight: int
    first_state: int
    starts: dict[str, int]
    states: dict[str, int]
    results: dict[str, str]

    @property
    def own(self) -> list[str]:
        """Its parameters in order."""
        return list(self.starts)

    def size(self, equation: str) -> int:
        """How many numbers an equation has."""
        return int(self.layer.program.equations[equation].size)

    def state_size(self, name: str) -> int:
        """How many numbers a state has."""
        return int(self.layer.program.inputs[f"prev.{name}"].size)


@dataclass(frozen=True)
class Call:
    """A loop over all steps: a layer's, or, where there is none, that of the network's output."""

    stage: Stage | None
    reverse: bool = False
    width: int = 0
    symbols: str = ""  # "embedding" or "one-hot": x is of a symbol; "scores": the last loop
    start: int = 0  # of the embedding, or of W_y
    reads: Sequence[Rows] | None = None
    given: list[tuple[str, Sequence[Rows]]] = field(default_factory=list)
    start_of_weights: int = 0
    start_of_state: int = 0
    results: list[Rows] = field(default_factory=list)


class Shape:
    """The layout of a subject.

    weights: (name, shape in words, numbers); further: (argument, layer, name); work: how many
    numbers of every row are handed on.
    """

    def __init__(self, subject: Subject, ascii_only: bool, taken: Sequence[str] = ()) -> None:
        self.subject, self.reader = subject, subject.reader
        self.name = distinct(subject.name, set(taken), ascii_only)
        self.result = "scores" if self.reader else "outputs"
        self.weights: list[tuple[str, str, Array]] = []
        self.stages: list[Stage] = []
        self.states: list[tuple[str, str, int]] = []
        reader, count = self.reader, 0
        self.embedding = 0
        if reader and reader.embedding is not None:
            self.weights.append(("E", "symbols, width", reader.embedding))
            count += reader.embedding.size
        place = 0
        for layer in subject.layers:
            starts, states, size, length = {}, {}, 0, 0
            for n, data in subject.own(layer).items():
                words = layer.program.dimensions.get(n, "")
                self.weights.append((layer.prefix + n, words, data))
                starts[n], size = size, size + data.size
            for n, words in layer.cell.state.items():
                states[n] = length
                length += int(layer.program.inputs[f"prev.{n}"].size)
                self.states.append((layer.prefix + n, words, place + states[n]))
            kept = subject.kept(layer)
            results = {"output": layer.cell.output}
            results |= {f"output_{k}": n for k, n in enumerate(kept, 2)}
            self.stages.append(Stage(layer, kept, count, place, starts, states, results))
            count, place = count + size, place + length
        self.state, self.readout = place, count
        if reader:
            self.weights.append(("W_y", "symbols, hidden", reader.W_y))
            self.weights.append(("b_y", "symbols", reader.b_y))
        used = {"weights", "time", "batch", "xs", "ids", "state", "work", self.result, *taken}
        used |= {"n", "t", "b", "row", "x"}
        self.further = [
            (distinct(f"{n}_{layer.name}" if layer.name else n, used, ascii_only), layer, n)
            for layer, n in subject.further
        ]
        self.work, self._places = 0, dict[tuple[str, str], Rows]()
        self._place()

    def _place(self) -> None:
        """Where the results of layers go: into the outputs, or to be handed on."""
        ends = self.subject.ends
        direct = ends[0] if len(ends) == 1 and not self.reader else None
        read = {r for layer in self.subject.layers for r in layer.reads}
        start = 0
        for stage in self.stages:
            for n in stage.results.values():
                layer, width = stage.layer, stage.size(n)
                whole = layer.name == direct and n == layer.cell.output and layer.name not in read
                self._places[layer.name, n] = (
                    Rows("outputs", width) if whole else Rows("work", width, start)
                )
                start += 0 if whole else width
        self.work = start

    @property
    def public(self) -> list[str]:
        """The names that a program gives."""
        return [f"{self.name}_{word}" for word in ("weights", "start", "forward", "symbols")]

    def calls(self) -> Iterator[Call]:
        """The loops over time in the order in which they run."""
        first = 0
        for stage in self.stages:
            layer = stage.layer
            given: list[tuple[str, Sequence[Rows]]] = []
            for n in layer.cell.extra_inputs:
                if n in layer.below:
                    given.append((n, [self._places[pair] for pair in layer.below[n]]))
                    continue
                own = next(o for o, la, name in self.further if la is layer and name == n)
                row = "row" if n in layer.cell.sequences else "b"
                given.append((own, [Rows(own, int(layer.program.inputs[n].size), row=row)]))
            reads = None
            if layer.reads:
                outputs = {s.layer.name: s.layer.cell.output for s in self.stages}
                reads = [self._places[r, outputs[r]] for r in layer.reads]
            results = [self._places[layer.name, n] for n in stage.results.values()]
            kind = ""
            if self.reader and not layer.reads:
                kind = "one-hot" if self.reader.embedding is None else "embedding"
            yield Call(
                stage,
                layer.reverse,
                int(layer.program.inputs["x"].size),
                kind,
                first,
                reads,
                given,
                stage.first_weight,
                stage.first_state,
                results,
            )
        ends = self.subject.ends
        parts = [self._places[e, self.subject.layer(e).cell.output] for e in ends]
        if self.reader:
            yield Call(None, symbols="scores", start=self.readout, reads=parts)
        elif parts[0].array != "outputs":
            yield Call(None, reads=parts)

    # --- numbers ----------------------------------------------------------------------------------
    @property
    def initial(self) -> Array:
        """What the states of one sample start from."""
        parts = [
            np.asarray(v, float).reshape(-1)
            for stage in self.stages
            for v in self.subject.initial(stage.layer).values()
        ]
        return np.concatenate(parts) if parts else np.zeros(0)

    def final(self) -> Array:
        """The right states at the end of the test, sample by sample."""
        answers = self.subject.answers
        batch = answers.xs.shape[1]
        parts = [answers.final[n].reshape(batch, -1) for n, _, _ in self.states]
        return np.concatenate(parts, axis=1)

    @property
    def output_width(self) -> int:
        """How many numbers the output of a step has."""
        if self.reader:
            return len(self.reader.symbols)
        return sum(int(self.subject.layer(e).output.size) for e in self.subject.ends)

    def numbers(self) -> list[tuple[str, int, str]]:
        """The lengths that a caller needs."""
        x = self.subject.layers[0].program.inputs["x"]
        found = [
            ("INPUT", int(x.size), "numbers of x at a step"),
            ("OUTPUT", self.output_width, "numbers of the output at a step"),
            ("STATE", self.state, "numbers of the states of a sample"),
            ("WEIGHTS", sum(v.size for _, _, v in self.weights), "numbers of all parameters"),
        ]
        if self.reader:
            found[0] = ("SYMBOLS", self.output_width, "symbols that are known")
            del found[1]
        if self.work:
            found.append(("WORK", self.work, "numbers handed on for each step of each sample"))
        return found

    # --- words ------------------------------------------------------------------------------------
    def words(self) -> list[str]:
        """What a caller must know of the arrays."""
        upper, x = self.name.upper(), self.subject.layers[0]
        axes = ", ".join(filter(None, ["time, batch", x.cell.x]))
        lines = [f"xs: ({axes}), row by row; {self.result}: (time, batch, {upper}_OUTPUT)."]
        if self.reader:
            lines = [
                f"ids: (time, batch), numbers of symbols, see {self.name}_symbols; scores: (time,",
                f"batch, {upper}_SYMBOLS), the larger the likelier the symbol is to come next.",
            ]
        for own, layer, n in self.further:
            lead = "time, batch" if n in layer.cell.sequences else "batch"
            words = layer.program.dimensions.get(n, "")
            lines.append(f"{own}: ({', '.join(filter(None, [lead, words]))}).")
        states = ", ".join(f"{n} ({words}) at {start}" for n, words, start in self.states)
        lines += [
            f"state: (batch, {upper}_STATE), read and replaced; of each sample {states}.",
            f"{self.name}_start makes the first ones.",
        ]
        if self.work:
            lines.append(f"work: room for time * batch * {upper}_WORK numbers.")
        lines.append("")
        for stage in self.stages:
            program, name = stage.layer.program, stage.layer.name
            lines.append(
                f"{name or stage.layer.cell.name}, at each step t"
                f"{' from the last to the first' if stage.layer.reverse else ''}:"
            )
            lines += [f"    {program.text(n, UNICODE)}" for n in program.equations]
        return lines

    def weights_words(self) -> list[str]:
        """Each parameter, its shape and where it begins."""
        lines, start = [], 0
        for name, words, data in self.weights:
            shape = ", ".join(map(str, data.shape))
            lines.append(f"{name} ({words or 'a number'}) = ({shape}) at {start}")
            start += math.prod(data.shape)
        return lines or ["nothing"]
