"""Losses: how far a prediction is from what came, as one number to be made small."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_lstm.errors import DataError, DTypeError, ShapeError
from tinygrad_lstm.ops import log_softmax
from tinygrad_lstm.tensor import Array, Tensor


def cross_entropy(logits: Any, targets: Any, weights: Any = None) -> Any:
    """The mean of -log p(target), in nats, where p = softmax(logits) over the last axis.

    logits: (…, symbols), of any scale and offset; targets: whole numbers (…), each the index of
    the symbol that came; weights: (…), how much each position counts (0 masks it), all alike
    unless given. With weights w the mean is Σ w (-log p) / Σ w. A Tensor if logits are one.
    """
    symbols = logits.shape[-1]
    targets = np.asarray(targets)
    if targets.dtype.kind not in "iu":
        raise DTypeError(f"targets are indices of symbols, whole numbers, got {targets.dtype}.")
    if targets.shape != logits.shape[:-1]:
        raise ShapeError(
            f"logits {logits.shape} ask for targets {logits.shape[:-1]}, got {targets.shape}."
        )
    if targets.size and not 0 <= targets.min() <= targets.max() < symbols:
        raise DataError(
            f"targets must lie between 0 and {symbols - 1}, the indices of {symbols} symbols; "
            f"they go from {targets.min()} to {targets.max()}."
        )
    flat = log_softmax(logits).reshape((-1, symbols))
    cost = -flat[np.arange(targets.size), targets.reshape(-1)]
    return _mean(cost, targets.shape, weights)


def squared_error(outputs: Any, targets: Any, weights: Any = None) -> Any:
    """The mean of (output - target)² over all entries; with weights w, Σ w (…)² / Σ w.

    outputs, targets and weights have one shape. A Tensor if outputs are one.
    """
    if np.shape(targets) != outputs.shape:
        raise ShapeError(f"outputs {outputs.shape} and targets {np.shape(targets)} must be alike.")
    difference = outputs - targets
    return _mean((difference * difference).reshape(-1), outputs.shape, weights)


def bits(nats: float) -> float:
    """Information in bits: nats / log 2. One bit is the answer to one fair yes-or-no question."""
    return float(nats) / float(np.log(2.0))


def _mean(cost: Any, shape: tuple[int, ...], weights: Any) -> Any:
    if weights is None:
        return cost.mean()
    w: Array = np.asarray(weights, dtype=cost.dtype)
    if w.shape != shape:
        raise ShapeError(f"there are positions {shape}, but weights have shape {w.shape}.")
    total = w.sum()
    if not np.isfinite(total) or total <= 0 or (w.real < 0).any():
        raise DataError("weights must be finite, not negative, and not all zero.")
    return (cost * w.reshape(-1)).sum() / _like(total, cost)


def _like(number: Any, cost: Any) -> Any:
    return np.asarray(number, dtype=cost.dtype) if isinstance(cost, Tensor) else number
