"""DRAW on the 8 × 8 digits of scikit-learn, with and without attention, beside a plain VAE.

    python -m benchmarks.systems.digits draw_attention --seconds 240 -o results/

`vae` is DRAW without attention and with one step, which is one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np  # noqa: E402

import viz  # noqa: E402
from benchmarks.systems.fitting import Weights, fit, store, told  # noqa: E402
from tinygrad_lstm import compiled, otherwise, sigmoid, unroll  # noqa: E402
from tinygrad_lstm.systems.drawing import draw, draw_attention, window  # noqa: E402

SIDE, BATCH = 8, 50
TRAIN, VALID = 1300, 1500  # of 1,797


def images() -> np.ndarray:
    """The digits as zeros and ones, (1797, 8, 8), in an order of chance."""
    from sklearn.datasets import load_digits

    pictures = (load_digits().images / 16 > 0.5).astype(np.float32)
    found: np.ndarray = pictures[np.random.default_rng(0).permutation(len(pictures))]
    return found


class Model:
    """A form of DRAW and how many steps it takes."""

    def __init__(self, name: str, steps: int) -> None:
        self.cell = draw_attention if name == "draw_attention" else draw
        self.steps = 1 if name == "vae" else steps
        self.attends = name == "draw_attention"
        self.fast = compiled(self.cell)

    def start(self, seed: int) -> Weights:
        """Weights to start from."""
        own = {"height": SIDE, "width": SIDE, "patch": 3} if self.attends else {"pixels": SIDE**2}
        p = self.cell.init(**own, hidden=64, latent=8, seed=seed, dtype=np.float32)
        return {n: t.numpy() for n, t in p.items()}

    def run(self, q: Any, pictures: np.ndarray, seed: int, net: Any = None) -> Any:
        """What becomes of pictures."""
        given = pictures if self.attends else pictures.reshape(len(pictures), -1)
        xs = np.zeros((self.steps, len(pictures)), np.float32)
        return unroll(net or self.fast, q, xs, image=given, seed=seed)

    def bound(self, q: Weights, pictures: np.ndarray, seed: int) -> tuple[float, float]:
        """KL and -log p(x), nats a picture."""
        run = self.run(q, pictures, seed)
        kl = float(run["KL"].numpy().sum()) / len(pictures)
        return kl, float(run["nll"].numpy()[-1].mean())

    def canvases(self, run: Any, k: int = 0) -> np.ndarray:
        """Of one picture, (steps, 8, 8)."""
        return sigmoid(run["c"].numpy()[:, k]).reshape(self.steps, SIDE, SIDE)


def main() -> None:
    """Learn, measure, and draw."""
    options = told(__doc__, ["draw_attention", "draw", "vae"], 240, 2e-3, steps=(8, None))
    pictures, model = images(), Model(options.model, options.steps)
    train, valid, test = pictures[:TRAIN], pictures[TRAIN:VALID], pictures[VALID:]

    def batches() -> Iterator[tuple[Any, ...]]:
        random = np.random.default_rng(options.seed)
        while True:
            yield train[random.choice(TRAIN, BATCH)], int(random.integers(2**31))

    found, history = fit(
        lambda q, own, seed: model.run(q, own, seed).loss,
        model.start(options.seed),
        batches(),
        lambda q: sum(model.bound(q, valid, 10**6)),
        seconds=options.seconds,
        rate=options.rate,
        every=100,
        clip=5.0,
    )
    kl, nll = np.mean([model.bound(found, test, 10**6 + k) for k in range(5)], axis=0)
    result = {
        "model": options.model,
        "steps": model.steps,
        "parameters": sum(v.size for v in found.values()),
        "test": round(float(kl + nll), 2),
        "KL": round(float(kl), 2),
        "-log p(x)": round(float(nll), 2),
        "valid": min(h["valid"] for h in history),
        "CPU seconds": history[-1]["seconds"],
        "history": history,
    }
    at = options.output / f"digits-{options.model}"
    store(at, result, found)
    run = model.run(found, test[:1], 0, model.cell)
    seen = {n: window(run, n)[:, 0] for n in ("reading", "writing")} if model.attends else None
    viz.frames(model.canvases(run), seen).save(at.with_suffix(".svg"))
    dream = otherwise(model.cell, z=lambda v: v.eps, L=None)
    own = {n: found[n] for n in dream.parameters}
    blank = {"c": np.zeros((16, SIDE, SIDE) if model.attends else (16, SIDE**2))}
    dreamt = unroll(dream, own, np.zeros((model.steps, 16)), blank, seed=1)
    last = sigmoid(dreamt["c"].numpy()[-1]).reshape(16, SIDE, SIDE)
    viz.frames(last, captions=[""] * 16).save(options.output / f"digits-{options.model}-dreamt.svg")


if __name__ == "__main__":
    main()
