"""Bits and symbols that are to be kept: parity, copy, reverse."""

from __future__ import annotations

from functools import partial

import numpy as np

from tinygrad_lstm.learning.task import Batch, Task
from tinygrad_lstm.learning.tasks import measures
from tinygrad_lstm.learning.tasks.drawn import Random, drawn
from tinygrad_lstm.learning.tasks.registry import at_least, task
from tinygrad_lstm.tensor import Array


def _bits(random: Random, batch: int, *, length: int) -> Batch:
    lengths = random.integers(1, length + 1, batch)
    xs = random.integers(0, 2, (length, batch))
    xs[np.arange(length)[:, None] >= lengths] = 0
    return Batch(xs, xs.sum(0) % 2, lengths)


@task("parity", length="bits, at most")
def parity(*, length: int = 12) -> Task:
    """Is the number of ones among the bits that were read odd?

    1 to `length` bits, all lengths as likely; the shorter ones teach the longer. Random weights
    solve short ones, too (Hochreiter and Schmidhuber 1997).
    """
    at_least("parity", length=(length, 1))
    return drawn(
        "parity",
        partial(_bits, length=length),
        lambda batch: {"error of chance": measures.majority(batch.target)},
        inputs=2,
        outputs=2,
        symbols=2,
        alphabet="01",
        classes=["even", "odd"],
        solved=lambda found: found["error"] < 0.01,
        source="Kalchbrenner, Danihelka and Graves 2015, Grid Long Short-Term Memory",
        **measures.OF_CLASSES,
    )


def _repeated(
    random: Random, batch: int, *, length: int, lag: int, symbols: int, reverse: bool
) -> Batch:
    """Symbols, `lag` blanks the last of which says go, and blanks while they are to be said."""
    said = random.integers(0, symbols, (length, batch))
    blank, go = symbols, symbols + 1
    xs = np.full((2 * length + lag, batch), blank)
    target = np.full_like(xs, blank)
    xs[:length], xs[length + lag - 1] = said, go
    target[-length:] = said[::-1] if reverse else said
    return Batch(xs, target)


def wrong_said(z: Array, batch: Batch) -> float:
    """The share of wrong ones among the symbols that are to be said again."""
    blank = z.shape[-1] - 1
    asked = batch.target != blank
    return float((z.argmax(-1) != batch.target)[asked].mean())


def _of_repeated(name: str, source: str, length: int, lag: int, symbols: int, back: bool) -> Task:
    at_least(name, length=(length, 1), lag=(lag, 1), symbols=(symbols, 2))

    def baselines(batch: Batch) -> dict[str, float]:
        said = batch.target[-length:]
        nats = float(length * np.log(symbols) / len(batch.xs))
        return {"error of chance": measures.majority(said), "nats without memory": nats}

    return drawn(
        name,
        partial(_repeated, length=length, lag=lag, symbols=symbols, reverse=back),
        baselines,
        count=256,
        inputs=symbols + 2,
        outputs=symbols + 1,
        loss="cross-entropy",
        at="every",
        symbols=symbols + 2,
        alphabet=[*map(str, range(symbols)), "·", ">"] if symbols <= 10 else (),
        measures={"error": wrong_said, "nats": measures.nats},
        solved=lambda found: found["error"] < 0.01,
        source=source,
    )


@task(
    "copy",
    lag="steps from the last symbol to the sign to say them, at least 1",
    length="symbols to remember",
    symbols="kinds of symbols",
)
def copy(*, lag: int = 30, length: int = 10, symbols: int = 8) -> Task:
    """Symbols are read, then blanks; then they are to be said in the same order.

    `length` of `symbols` symbols, lag - 1 blanks, the sign to begin, `length` blanks. What is to be
    said is a blank at all steps but the last `length`. Who remembers nothing has length log symbols
    / (lag + 2 length) nats a step.
    """
    source = "Arjovsky, Shah and Bengio 2016, Unitary Evolution Recurrent Neural Networks"
    return _of_repeated("copy", source, length, lag, symbols, False)


@task(
    "reverse",
    lag="steps from the last symbol to the sign to say them, at least 1",
    length="symbols to remember",
    symbols="kinds of symbols",
)
def reverse(*, lag: int = 1, length: int = 8, symbols: int = 8) -> Task:
    """Symbols are read, then a sign; then they are to be said in the reverse order.

    As copy, with the last one said first.
    """
    source = "Grefenstette et al. 2015, Learning to Transduce with Unbounded Memory"
    return _of_repeated("reverse", source, length, lag, symbols, True)
