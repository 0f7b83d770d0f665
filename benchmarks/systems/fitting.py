"""Learning by the gradient of any loss, what all these runs are told, and where they store results.

The weights that are best on held-out data are kept.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_lstm import value_and_grad
from tinygrad_lstm.learning import Adam, clip_by_norm

Weights = Mapping[str, np.ndarray]


def fit(
    loss: Callable[..., Any],
    weights: Weights,
    batches: Iterator[tuple[Any, ...]],
    check: Callable[[Weights], float],
    *,
    seconds: float,
    rate: float,
    every: int = 50,
    clip: float = 1.0,
    patience: int = 8,
    enough: float = -np.inf,
) -> tuple[Weights, list[dict[str, float]]]:
    """Weights of the lowest `check`, which is asked every so many steps, and what was seen.

    By Adam. Where `check` has not fallen for `patience` times, it goes on from the best weights at
    a third of the rate; it ends below a thirtieth of it, after so many seconds of CPU time, or
    where `check` is `enough`.
    """
    start, pace, best, lowest, waited = weights, rate, weights, np.inf, 0
    average, since = Adam(rate).start(start), 0
    begun, several, history = time.process_time(), [], []
    for step, batch in enumerate(batches, 1):
        since += 1
        value, found = value_and_grad(lambda q: loss(q, *batch))(weights)  # noqa: B023
        gradients, _ = clip_by_norm({n: g.numpy() for n, g in found.items()}, clip)
        weights, average = Adam(pace).update(weights, gradients, average, since)
        several.append(value.item())
        spent = time.process_time() - begun
        if step % every and spent < seconds:
            continue
        seen = {"step": step, "seconds": spent, "rate": pace, "loss": np.mean(several)}
        several, seen["valid"] = [], check(weights)
        history.append({n: float(f"{v:.5g}") for n, v in seen.items()})
        print(history[-1], flush=True)
        waited += 1
        if seen["valid"] < lowest:
            best, lowest, waited = {n: np.array(v) for n, v in weights.items()}, seen["valid"], 0
        if waited == patience:
            weights, average, since, waited = best, Adam(rate).start(best), 0, 0
            pace /= 3
        if spent >= seconds or pace < rate / 30 or lowest <= enough:
            break
    return best, history


def told(doc: str | None, models: Sequence[str], seconds: float, rate: float, **more: Any) -> Any:
    """What the command line says: the model, seconds, rate, seed, output, and further options.

    more: each with its default, and what it means where its name does not say it.
    """
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("model", choices=models)
    for name, (default, meaning) in more.items():
        if default is None:
            parser.add_argument(name, type=Path, help=meaning)
        else:
            parser.add_argument(f"--{name}", type=type(default), default=default, help=meaning)
    parser.add_argument("--seconds", type=float, default=seconds, help="of CPU time")
    parser.add_argument("--rate", type=float, default=rate)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, default=Path("build/systems"))
    return parser.parse_args()


def store(at: Path, result: Mapping[str, Any], found: Weights | None = None) -> None:
    """Write what was found as AT.json, weights as AT.npz, and print all but the history."""
    at.parent.mkdir(parents=True, exist_ok=True)
    at.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if found is not None:
        np.savez_compressed(at.with_suffix(".npz"), **found)
    print({n: v for n, v in result.items() if n != "history"})
