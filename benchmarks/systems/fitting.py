"""Learning by the gradient of any loss, until the time is up; the best by held-out data is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from tinygrad_lstm import value_and_grad
from tinygrad_lstm.learning import Adam, clip_by_norm

Weights = Mapping[str, np.ndarray]


def fit(
    loss: Callable[..., Any],
    weights: Weights,
    batches: Iterator[tuple[Any, ...]],
    *,
    seconds: float,
    rate: float,
    check: Callable[[Weights], float] | None = None,
    every: int = 50,
    clip: float = 1.0,
    patience: float = 0.3,
) -> tuple[Weights, list[dict[str, float]]]:
    """Weights of the lowest `check`, asked every so many steps, and what was seen on the way.

    The rate is that of Adam, and falls to a tenth in the last 30 % of the CPU time.
    """
    average, best, lowest, history = None, weights, np.inf, []
    begun, several = time.process_time(), []
    for step, batch in enumerate(batches, 1):
        spent = (time.process_time() - begun) / seconds
        own = Adam(rate if spent < 1 - patience else rate / 10)
        value, found = value_and_grad(lambda q: loss(q, *batch))(weights)  # noqa: B023
        gradients, _ = clip_by_norm({n: g.numpy() for n, g in found.items()}, clip)
        average = own.start(weights) if average is None else average
        weights, average = own.update(weights, gradients, average, step)
        several.append(value.item())
        if step % every == 0 or spent >= 1:
            seen = {"step": step, "seconds": round(spent * seconds, 1), "loss": np.mean(several)}
            several = []
            if check is not None:
                seen["valid"] = check(weights)
                if seen["valid"] < lowest:
                    best, lowest = {n: np.array(v) for n, v in weights.items()}, seen["valid"]
            history.append({n: round(float(v), 4) for n, v in seen.items()})
            print(history[-1], flush=True)
        if spent >= 1:
            break
    return (weights if check is None else best), history
