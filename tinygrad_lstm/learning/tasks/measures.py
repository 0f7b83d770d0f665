"""What is measured of predictions z, (time, batch, outputs) or (batch, outputs), on a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinygrad_lstm.learning.losses import bernoulli, cross_entropy
from tinygrad_lstm.learning.task import Batch
from tinygrad_lstm.tensor import Array

Measure = Callable[[Array, Batch], float]
DRAWN = "data drawn by this program"


def share(where: Array, batch: Batch, z: Array) -> float:
    """The mean of numbers (…) over what counts of a batch."""
    counts = batch.counts(z)
    return float((np.asarray(where, float) * counts).sum() / counts.sum())


def wrong_class(z: Array, batch: Batch) -> float:
    """The share of positions whose largest output is not the target."""
    return share(z.argmax(-1) != batch.target, batch, z)


def nats(z: Array, batch: Batch) -> float:
    """The mean of -log p of the targets under softmax(z)."""
    return float(cross_entropy(z.astype(float), batch.target, batch.counts(z)))


OF_CLASSES: Mapping[str, Any] = {  # what tasks have in common that ask for a class at the end
    "loss": "cross-entropy",
    "at": "end",
    "measures": {"error": wrong_class, "nats": nats},
}


def further_than(limit: float) -> Measure:
    """The share of positions with an output further than `limit` from its target."""

    def wrong(z: Array, batch: Batch) -> float:
        return share((np.abs(z - batch.target) > limit).any(-1), batch, z)

    return wrong


def absolute(z: Array, batch: Batch) -> float:
    """The mean of |z - target|."""
    return share(np.abs(z - batch.target).mean(-1), batch, z)


def squared(z: Array, batch: Batch) -> float:
    """The mean of (z - target)²."""
    return share(((z - batch.target) ** 2).mean(-1), batch, z)


def wrong_sign(z: Array, batch: Batch) -> float:
    """The share of outputs on the other side of 0 than their targets."""
    return share(((z > 0) != (batch.target > 0)).any(-1), batch, z)


def frame_nats(z: Array, batch: Batch) -> float:
    """-log p of all entries of a step that are 1 with p = σ(z), summed, its mean over steps."""
    return float(bernoulli(z.astype(float), batch.target.astype(float), batch.counts(z)))


def frame_accuracy(z: Array, batch: Batch) -> float:
    """Hits / (hits + false alarms + misses) of entries with σ(z) > 1/2, its mean over steps."""
    said, came = z > 0, batch.target > 0.5
    hits, all_ = (said & came).sum(-1), (said | came).sum(-1)
    return share(np.where(all_ > 0, hits / np.maximum(all_, 1), 1.0), batch, z)


def majority(target: Array) -> float:
    """The share of classes that are wrong if always the commonest is said."""
    counts = np.bincount(target.reshape(-1).astype(int))
    return float(1.0 - counts.max() / counts.sum())
