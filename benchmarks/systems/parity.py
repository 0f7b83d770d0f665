"""The parity of a string of bits by a tied 1-LSTM Grid and by a stack of LSTMs.

    nice -n 19 python -m benchmarks.systems.parity grid -o results/
    nice -n 19 python -m benchmarks.systems.parity stack -o results/

The whole string is there at once. The grid has no time: the string is projected to the first h and
m, and one block with one set of weights is applied layer after layer, depth being its axis; its x
is 1, which gives its gates their biases. The stack is that of the same depth without it: LSTMs
above one another, each with weights of its own, one step from zero states. A run ends where every
string is right, or 2,000 held-out ones where there are more.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np  # noqa: E402

from benchmarks.systems.fitting import Weights, fit, store, told  # noqa: E402
from tinygrad_lstm import (  # noqa: E402
    Tensor,
    cells,
    compiled,
    grid,
    log_bernoulli,
    matvec,
    stack,
    systems,
    unroll,
)

BATCH, HELD_OUT = 64, 2000


class Model:
    """Weights, and a number above zero for the strings with an odd count of ones."""

    def __init__(self, kind: str, bits: int, units: int, layers: int, seed: int) -> None:
        random = np.random.default_rng(seed)

        def drawn(*shape: int) -> np.ndarray:
            return random.normal(0, shape[-1] ** -0.5, shape).astype(np.float32)

        self.kind, self.layers = kind, layers
        if kind == "grid":
            network: Any = grid(systems.grid_lstm_1, right="depth", depth=layers)
            p = network.init(inputs=1, hidden=units, seed=seed, dtype=np.float32)
            self.own = {"V_h": drawn(units, bits), "V_m": drawn(units, bits)}
        else:
            network = stack([cells.lstm] * layers)
            p = network.init(inputs=bits, hidden=units, seed=seed, dtype=np.float32)
            self.own = {}
        self.own |= {"w_y": drawn(1, units), "b_y": np.zeros(1, np.float32)}
        self.fast = compiled(network)
        self.weights = {**{f"net.{n}": t.numpy() for n, t in p.items()}, **self.own}

    def says(self, q: Mapping[str, Any], strings: np.ndarray) -> Tensor:
        """(batch, 1) of strings (batch, bits)."""
        p = {n.removeprefix("net."): v for n, v in q.items() if n.startswith("net.")}
        x = strings.astype(np.float32) * 2 - 1
        if self.kind == "grid":
            first = {"h_1": matvec(q["V_h"], x), "m_1": matvec(q["V_m"], x)}
            one = np.ones((len(x), 1), np.float32)
            h = unroll(self.fast, p, one, initial=first).final["h_1"]
        else:
            h = unroll(self.fast, p, x[None]).steps[-1][self.fast.output]
        return matvec(q["w_y"], h) + q["b_y"]


def odd(strings: np.ndarray) -> np.ndarray:
    """(batch, 1): whether the count of ones is odd."""
    return strings.sum(-1, keepdims=True) % 2


def held_out(bits: int) -> np.ndarray:
    """Every string, or as many as are asked for."""
    if 2**bits <= HELD_OUT:
        return np.arange(2**bits)[:, None] >> np.arange(bits) & 1
    return np.random.default_rng(10**6).integers(0, 2, (HELD_OUT, bits))


def main() -> None:
    """Learn until all held-out strings are right, or the time is over."""
    more = {"bits": (8, None), "units": (64, None), "layers": (4, None)}
    options = told(__doc__, ["grid", "stack"], 30, 1e-3, **more)
    model = Model(options.model, options.bits, options.units, options.layers, options.seed)
    strings = held_out(options.bits)

    def loss(q: Mapping[str, Any], seen: np.ndarray) -> Tensor:
        target = odd(seen).astype(np.float32)
        return -log_bernoulli(target, model.says(q, seen)).sum() * np.float32(1 / BATCH)

    def draws() -> Iterator[tuple[np.ndarray]]:
        random = np.random.default_rng(options.seed)
        while True:
            yield (random.integers(0, 2, (BATCH, options.bits)),)

    def wrong(q: Weights) -> float:
        return float(((model.says(q, strings).numpy() > 0) != odd(strings)).mean())

    found, history = fit(
        loss,
        model.weights,
        draws(),
        wrong,
        seconds=options.seconds,
        rate=options.rate,
        every=50,
        patience=10**9,
        enough=0.0,
    )
    result = {
        "model": options.model,
        "bits": options.bits,
        "units": options.units,
        "layers": options.layers,
        "parameters": sum(v.size for v in found.values()),
        "right": round(1 - wrong(found), 4),
        "samples": int(history[-1]["step"]) * BATCH,
        "CPU seconds": history[-1]["seconds"],
        "history": history[:: max(len(history) // 40, 1)],
    }
    at = options.output / f"parity-{options.bits}-{options.model}-{options.layers}"
    store(at, result)


if __name__ == "__main__":
    main()
