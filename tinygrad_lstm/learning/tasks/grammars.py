"""The embedded Reber grammar, string by string and as a stream that never ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from tinygrad_lstm.learning.task import Batch, Task
from tinygrad_lstm.learning.tasks import measures
from tinygrad_lstm.learning.tasks.drawn import Random, endless
from tinygrad_lstm.learning.tasks.measures import DRAWN, Measure
from tinygrad_lstm.learning.tasks.registry import Lazily, at_least, task
from tinygrad_lstm.tensor import Array

SYMBOLS = "BTPSXVE"
INNER: tuple[tuple[tuple[str, int], ...], ...] = (
    (("T", 1), ("P", 2)),
    (("S", 1), ("X", 3)),
    (("T", 2), ("V", 4)),
    (("X", 2), ("S", 5)),
    (("P", 3), ("V", 5)),
    (("E", 6),),
)
HOLDS_OUT = np.random.SeedSequence([0, 2**32 - 1, 1997]).generate_state(1)[0]


@dataclass(frozen=True, eq=False, kw_only=True)
class Spelled(Batch):
    """Symbols of strings, with what may come next.

    legal: (time, batch, symbols), true for what may follow; outer: (time, batch), true where what
    follows is the one that was read long ago.
    """

    legal: Array
    outer: Array


def string(random: np.random.Generator) -> tuple[str, list[str], int]:
    """A string, what may follow each of its symbols but the last, and where the outer one is told.

    B, T or P, a string of the inner grammar from B to E, the same T or P, E.
    """
    outer = "TP"[int(random.integers(2))]
    said, legal, state = ["B", outer, "B"], ["TP", "B"], 0
    while state < len(INNER):
        ways = INNER[state]
        legal.append("".join(symbol for symbol, _ in ways))
        symbol, state = ways[int(random.integers(len(ways)))]
        said.append(symbol)
    return "".join([*said, outer, "E"]), [*legal, outer, "E"], len(said) - 1


def _spelled(strings: list[tuple[str, list[str], int]]) -> Spelled:
    lengths = np.array([len(text) - 1 for text, _, _ in strings])
    time, batch = int(lengths.max()), len(strings)
    xs, target = (np.zeros((time, batch), int) for _ in range(2))
    legal, outer = np.zeros((time, batch, len(SYMBOLS)), bool), np.zeros((time, batch), bool)
    for b, (text, following, place) in enumerate(strings):
        numbers = [SYMBOLS.index(symbol) for symbol in text]
        xs[: len(text) - 1, b], target[: len(text) - 1, b] = numbers[:-1], numbers[1:]
        for t, symbols in enumerate(following):
            legal[t, b, [SYMBOLS.index(symbol) for symbol in symbols]] = True
        outer[place, b] = True
    return Spelled(xs, target, lengths, legal=legal, outer=outer)


def illegal(z: Array, batch: Batch) -> Array:
    """Where the symbols that may follow are not the most active outputs: (time, batch)."""
    assert isinstance(batch, Spelled)
    least = np.where(batch.legal, z, np.inf).min(-1)
    wrong: Array = least <= np.where(batch.legal, -np.inf, z).max(-1)
    return wrong


def wrong_strings(z: Array, batch: Batch) -> float:
    """The share of strings with a step whose legal symbols are not the most active outputs."""
    return float((illegal(z, batch) & (batch.counts(z) > 0)).any(0).mean())


def wrong_outer(z: Array, batch: Batch) -> float:
    """The share of wrong ones among the symbols that were read long ago; 0 where none comes."""
    assert isinstance(batch, Spelled)
    return float(illegal(z, batch)[batch.outer].mean()) if batch.outer.any() else 0.0


def wrong_steps(z: Array, batch: Batch) -> float:
    """The share of steps whose legal symbols are not the most active outputs."""
    return measures.share(illegal(z, batch), batch, z)


def _without_memory(batch: Spelled) -> Array:
    """Outputs of one that knows the grammar, but not which outer symbol came: it says T."""
    legal = batch.legal.astype(float)
    legal[batch.outer] = 0.0
    legal[batch.outer, SYMBOLS.index("T")] = 1.0
    return legal


def _of_symbols(name: str, error: Measure, **fields: Any) -> Task:
    """A task to tell what may come next, solved where no error is left."""
    return Task(
        name,
        inputs=len(SYMBOLS),
        outputs=len(SYMBOLS),
        loss="cross-entropy",
        at="every",
        symbols=len(SYMBOLS),
        alphabet=SYMBOLS,
        measures={"error": error, "outer error": wrong_outer, "nats": measures.nats},
        solved=lambda found: found["error"] == 0.0,
        licence=DRAWN,
        **fields,
    )


@task(
    "embedded-reber",
    strings="strings to learn from, and as many others to be tested on",
    pair="which pair of sets, a number",
)
def embedded_reber(*, strings: int = 256, pair: int = 0) -> Task:
    """Strings of a small grammar in a larger one, whose second symbol comes back before the last.

    B, T or P, a Reber string from B to E, the same T or P, E; each way with probability 1/2;
    9 symbols at least. At each step the next symbol is predicted. A string is right if at all
    steps those that may follow are the most active outputs. Tested on strings that are not among
    those that are learnt from.
    """
    at_least("embedded-reber", strings=(strings, 1), pair=(pair, 0))
    # there are some dozens of short ones alone: a string may be drawn again
    random = np.random.default_rng([HOLDS_OUT, pair])
    taught = [string(random) for _ in range(strings)]
    known, held = {text for text, _, _ in taught}, list[tuple[str, list[str], int]]()
    while len(held) < strings:
        if (made := string(random))[0] not in known:
            held.append(made)

    def draw(random: Random, batch: int) -> Batch:
        return _spelled([taught[k] for k in random.integers(0, strings, batch)])

    test = cache(lambda: _spelled(held))
    return _of_symbols(
        "embedded-reber",
        wrong_strings,
        batches=endless(draw),
        test=test,
        baselines=Lazily(
            lambda: {"error without memory": wrong_strings(_without_memory(test()), test())}
        ),
        source="Hochreiter and Schmidhuber 1997, Long Short-Term Memory, experiment 1",
        size=f"{strings:,} strings, {strings:,} others held out",
    )


def _stream(random: np.random.Generator, length: int, batch: int) -> Iterator[Spelled]:
    """Streams of strings, one after another, `length` symbols at a time."""
    rows: list[list[tuple[int, str, bool]]] = [[] for _ in range(batch)]
    start = 0
    while True:
        for row in rows:
            while len(row) <= length:
                text, legal, place = string(random)
                following = [*legal, "B"]  # a new string after each
                row += [(SYMBOLS.index(c), following[t], t == place) for t, c in enumerate(text)]
        xs = np.array([[s for s, _, _ in row[: length + 1]] for row in rows]).T
        may = [[[c in n for c in SYMBOLS] for _, n, _ in row[:length]] for row in rows]
        outer = np.array([[o for _, _, o in row[:length]] for row in rows]).T
        legal_steps = np.array(may).transpose(1, 0, 2)
        yield Spelled(xs[:-1], xs[1:], start=start, legal=legal_steps, outer=outer)
        start += length
        rows = [row[length:] for row in rows]


@task("continual-embedded-reber", length="symbols of the stream that a gradient flows back over")
def continual_embedded_reber(*, length: int = 60) -> Task:
    """Embedded Reber strings one after another, and nobody says where one ends.

    As embedded-reber, as a stream whose states are carried on; states that only grow fail here,
    and the forget gate was made for it. Solved: no step wrong on 16 streams of 1,000 symbols,
    where the paper asks for 10 of 100,000.
    """
    at_least("continual-embedded-reber", length=(length, 2))

    @cache
    def test() -> list[Batch]:
        stream = _stream(np.random.default_rng([HOLDS_OUT, 1]), 100, 16)
        return [next(stream) for _ in range(10)]

    def baselines() -> dict[str, float]:
        said = [(_without_memory(b), b) for b in test() if isinstance(b, Spelled)]
        return {"error without memory": float(np.mean([wrong_steps(z, b) for z, b in said]))}

    return _of_symbols(
        "continual-embedded-reber",
        wrong_steps,
        batches=lambda random, batch: _stream(random, length, batch),
        test=test,
        baselines=Lazily(baselines),
        source="Gers, Schmidhuber and Cummins 2000, Learning to Forget",
        size="drawn without end; 16 streams of 1,000 symbols held out",
    )
