"""A task of the tests' own, as a reader writes one: which of two symbols came first, and second."""

import time

import numpy as np

from tinygrad_lstm.learning import Batch, Task


def order(lag=5, wait=0):
    """wait: milliseconds that a batch takes, so that a worker can be killed in between."""

    def draw(random, batch):
        while True:
            time.sleep(wait / 1000)
            xs = random.integers(4, 8, (lag + 3, batch))
            first, second = random.integers(0, 2, (2, batch))
            xs[0], xs[-2] = first, 2 + second
            yield Batch(xs, 2 * first + second)

    def error(z, batch):
        return float(np.mean(z.argmax(-1) != batch.target))

    return Task(
        "order", inputs=8, outputs=4, symbols=8, loss="cross-entropy", at="end", batches=draw,
        test=lambda: next(draw(np.random.default_rng(7), 64)), measures={"error": error},
        options={"lag": lag, "wait": wait}, solved=lambda found: found["error"] < 0.05,
    )  # fmt: skip


not_one = 3
