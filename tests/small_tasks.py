"""Tasks of a few numbers, for tests of training: adding at the end, rolls and streams."""

import numpy as np

from tinygrad_lstm import learning
from tinygrad_lstm.learning import Batch, Task


def adding(length=8):
    """Two marked numbers are to be added."""

    def batches(random, batch):
        while True:
            xs = np.zeros((length, batch, 2))
            xs[..., 0] = random.random((length, batch))
            for k in range(batch):
                xs[random.choice(length, 2, replace=False), k, 1] = 1
            yield Batch(xs, (xs[..., 0] * xs[..., 1]).sum(axis=0)[:, None])

    return Task(
        *("adding", 2, 1, "squared-error", "end", batches),
        test=lambda: next(batches(np.random.default_rng(99), 50)),
        measures={
            "error": lambda z, batch: float((abs(z - batch.target) > 0.1).mean()),
            "mse": lambda z, batch: float(((z - batch.target) ** 2).mean()),
        },
        solved=lambda found: found["mse"] < 0.05,
        options={"length": length},
    )


def rolls(keys=4):
    """Padded sequences of keys that move up by one; a finite set, read in another order a pass."""
    random = np.random.default_rng(7)
    songs = [np.eye(keys)[(np.arange(n) + s) % keys] for n, s in random.integers(2, 7, (21, 2))]

    def padded(some):
        lengths = np.array([len(song) - 1 for song in some])
        xs = np.zeros((2, max(lengths), len(some), keys))
        for k, song in enumerate(some):
            xs[0, : lengths[k], k], xs[1, : lengths[k], k] = song[:-1], song[1:]
        return Batch(xs[0], xs[1], lengths)

    def batches(random, batch):
        while True:
            order = random.permutation(len(songs))
            for k in range(0, len(songs) - batch + 1, batch):
                yield padded([songs[place] for place in order[k : k + batch]])

    def nll(z, batch):
        return float(learning.bernoulli(z, batch.target, batch.counts(z)))

    return Task(
        *("rolls", keys, keys, "bernoulli", "every", batches),
        test=lambda: [padded(songs[:5]), padded(songs[5:])],
        measures={"nll": nll},
        options={"keys": keys},
    )


def streams(symbols=5):
    """Symbols that repeat what came two before, in streams that go on from batch to batch."""

    def batches(random, batch):
        first = random.integers(symbols, size=(2, batch))
        for k in range(6):
            places = np.arange(4 * k, 4 * k + 5) % 2
            yield Batch(first[places[:-1]], first[places[1:]], start=4 * k)

    return Task(
        *("streams", symbols, symbols, "cross-entropy", "every", batches),
        test=lambda: list(batches(np.random.default_rng(99), 3)),
        measures={"accuracy": lambda z, batch: float((z.argmax(-1) == batch.target).mean())},
        symbols=symbols,
        options={"symbols": symbols},
    )
