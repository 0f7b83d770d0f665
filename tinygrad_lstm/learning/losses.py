"""Losses: how far a prediction is from what came, as one number to be made small.

Each is there twice: as a function of a whole batch, and, for `readout`, as the equation of one step
and sample, `LOSSES`, which is compiled with the cell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lstm.errors import DataError, DTypeError, ShapeError
from tinygrad_lstm.ops import equal, log_softmax, logsumexp, softplus
from tinygrad_lstm.tensor import Array, Tensor


def cross_entropy(logits: Any, targets: Any, weights: Any = None) -> Any:
    """The mean of -log p(target), in nats, where p = softmax(logits) over the last axis.

    logits: (…, symbols), of any scale and offset; targets: whole numbers (…), each the index of
    the symbol that came; weights: (…), how much each position counts (0 masks it), all alike
    unless given. With weights w the mean is Σ w (-log p) / Σ w. A Tensor if logits are one.
    """
    symbols = logits.shape[-1]
    targets = np.asarray(targets)
    if targets.shape != logits.shape[:-1]:
        raise ShapeError(
            f"logits {logits.shape} ask for targets {logits.shape[:-1]}, got {targets.shape}."
        )
    check_indices("targets", targets, symbols)
    flat = log_softmax(logits).reshape((-1, symbols))
    cost = -flat[np.arange(targets.size), targets.reshape(-1)]
    return _mean(cost, targets.shape, weights)


def squared_error(outputs: Any, targets: Any, weights: Any = None) -> Any:
    """The mean of (output - target)² over all entries; with weights w, Σ w (…)² / Σ w.

    outputs, targets and weights have one shape. A Tensor if outputs are one.
    """
    _check_alike(outputs, targets)
    difference = outputs - targets
    return _mean((difference * difference).reshape(-1), outputs.shape, weights)


def bernoulli(logits: Any, targets: Any, weights: Any = None) -> Any:
    """The mean over positions of -log p(targets), entries that are 1 with p = σ(logit), in nats.

        -log p = Σ_k log(1 + e^(z_k)) - t_k z_k

    logits, targets: (…, outputs), targets between 0 and 1; weights: (…), as in `cross_entropy`. Of
    a piano roll it is the negative log-likelihood of a time step. A Tensor if logits are one.
    """
    _check_alike(logits, targets)
    cost = (softplus(logits) - logits * targets).sum(-1)
    return _mean(cost.reshape(-1), cost.shape, weights)


def bits(nats: float) -> float:
    """Information in bits: nats / log 2. One bit is the answer to one fair yes-or-no question."""
    return float(nats) / float(np.log(2.0))


# --- as an equation of a step ---------------------------------------------------------------------
@dataclass(frozen=True)
class Loss:
    """A loss by its name: `each` of one step and sample, `mean` of a batch of them.

    indices: whether a target is the index of an output, and not a value for each.
    """

    name: str
    each: Callable[[Tensor, Tensor], Tensor]
    mean: Callable[..., Any]
    indices: bool = False


def _surprise(z: Tensor, target: Tensor) -> Tensor:
    return logsumexp(z) - (z * equal(np.arange(z.shape[0]), target)).sum()


def _squares(z: Tensor, target: Tensor) -> Tensor:
    difference = z - target
    return (difference * difference).mean()


LOSSES = {
    loss.name: loss
    for loss in (
        Loss("cross-entropy", _surprise, cross_entropy, indices=True),
        Loss("squared-error", _squares, squared_error),
        Loss("bernoulli", lambda z, target: (softplus(z) - z * target).sum(), bernoulli),
    )
}


# --- what they share ------------------------------------------------------------------------------
def check_indices(what: str, numbers: Array, count: int) -> None:
    """DTypeError, DataError for what are no indices of so many symbols."""
    if numbers.dtype.kind not in "iu":
        raise DTypeError(f"{what} are indices of symbols, whole numbers, got {numbers.dtype}.")
    if numbers.size and not 0 <= (least := numbers.min()) <= (most := numbers.max()) < count:
        raise DataError(
            f"{what} must lie between 0 and {count - 1}, the indices of {count} symbols; "
            f"they go from {least} to {numbers.max() if least < 0 else most}."
        )


def _check_alike(outputs: Any, targets: Any) -> None:
    if np.shape(targets) != outputs.shape:
        raise ShapeError(f"outputs {outputs.shape} and targets {np.shape(targets)} must be alike.")


def _mean(cost: Any, shape: tuple[int, ...], weights: Any) -> Any:
    if weights is None:
        return cost.mean()
    w, total = check_weights(weights, shape, cost.dtype)
    return (cost * w.reshape(-1)).sum() / _like(total, cost)


def check_weights(weights: Any, shape: tuple[int, ...], dtype: Any) -> tuple[Array, Any]:
    """Weights of positions of this shape as an array, and their sum."""
    w: Array = np.asarray(weights, dtype=dtype)
    if w.shape != shape:
        raise ShapeError(f"there are positions {shape}, but weights have shape {w.shape}.")
    total = w.sum()
    if not np.isfinite(total) or total <= 0 or (w.real < 0).any():
        raise DataError("weights must be finite, not negative, and not all zero.")
    return w, total


def _like(number: Any, cost: Any) -> Any:
    return np.asarray(number, dtype=cost.dtype) if isinstance(cost, Tensor) else number
