"""VRNN, VRNN-I and STORN on chorales in quarter notes, against independent sigmoids.

    python -m benchmarks.systems.chorales vrnn jsb-quarter.json --seconds 240 -o results/

The file is {"train": [[[60, 64], …], …], "valid": …, "test": …}: pieces of steps of MIDI numbers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np  # noqa: E402

import viz  # noqa: E402
from benchmarks.systems.fitting import Weights, fit, store, told  # noqa: E402
from tinygrad_lstm import (  # noqa: E402
    cell,
    cells,
    compiled,
    log_bernoulli,
    matvec,
    normal,
    otherwise,
    sigmoid,
    unroll,
)
from tinygrad_lstm.learning.tasks.rolls import KEYS, LOWEST, read_rolls, rolled  # noqa: E402
from tinygrad_lstm.midi import midi  # noqa: E402
from tinygrad_lstm.systems.variational import generator, recogniser, vrnn, vrnn_i  # noqa: E402

BATCH = 32
SIZES = {"mlp": 64, "features": 32, "latent": 16, "hidden": 64}


@cell(
    state="h",
    parameters={"W": "inputs, hidden", "b": "inputs"},
    parts={"rnn": cells.lstm},
    loss="nll",
)
def sigmoids(now: Any, prev: Any, x: Any, p: Any, part: Any) -> None:
    """Independent sigmoids: what each key does at t, given everything before t."""
    now.logits = matvec(p.W, prev.h) + p.b
    now.nll = -log_bernoulli(x, now.logits)
    now.h = part.rnn(x)


def padded(pieces: list[np.ndarray]) -> tuple[Any, Any]:
    """(time, batch, 88) and the lengths."""
    batch = rolled(pieces)
    return batch.target, batch.lengths


class Model:
    """A cell with a declared loss, or STORN's two: -ELBO in nats a step, KL weighed by β."""

    def __init__(self, name: str) -> None:
        self.name = name
        own = {"vrnn": vrnn, "vrnn_i": vrnn_i}.get(name, sigmoids)
        self.cells = [recogniser, generator] if name == "storn" else [own]
        if name in ("vrnn", "vrnn_i"):  # the recurrence that was measured
            vrnn_gru = vrnn.with_parts(rnn=cells.gru)
            self.cells = [vrnn_gru if name == "vrnn" else otherwise(vrnn_gru, mu_0=0, sigma_0=1)]
        self.fast = [compiled(each) for each in self.cells]
        self.latent = name != "lstm"

    def start(self, seed: int) -> Weights:
        """Weights to start from."""
        found = {}
        for k, each in enumerate(self.cells):
            sizes = {
                **SIZES,
                "inputs": KEYS,
                **({"hidden": 100, "latent": 20} if k or self.name == "storn" else {}),
            }
            known = {n: v for n, v in sizes.items() if n in each.sizes}
            p = each.init(**known, seed=seed + k, dtype=np.float32)
            found |= {f"{k}.{n}": t.numpy() for n, t in p.items()}
        return found

    def losses(self, q: Any, xs: np.ndarray, lengths: np.ndarray, seed: int) -> tuple[Any, Any]:
        """Σ KL and Σ -log p(x) over everything."""
        own = [
            {n[2:]: t for n, t in q.items() if n.startswith(f"{k}.")} for k in range(len(self.fast))
        ]
        options: Any = {"lengths": lengths}
        if self.name == "storn":
            found = unroll(self.fast[0], own[0], xs, seed=seed, **options)
            before = np.concatenate([np.zeros_like(xs[:1]), xs[:-1]])
            made = unroll(self.fast[1], own[1], before, z=found["z"], target=xs, **options)
            return found["KL"].sum(), made["nll"].sum()
        if not self.latent:
            return 0.0, unroll(self.fast[0], own[0], xs, **options)["nll"].sum()
        run = unroll(self.fast[0], own[0], xs, seed=seed, **options)
        return run["KL"].sum(), -run["logp"].sum()

    def bound(self, q: Weights, pieces: list[np.ndarray], seed: int) -> tuple[float, float]:
        """KL and -log p(x), nats a step, one sample of each latent variable."""
        kl = nll = steps = 0.0
        order = sorted(range(len(pieces)), key=lambda k: len(pieces[k]))
        for k in range(0, len(order), BATCH):
            xs, lengths = padded([pieces[i] for i in order[k : k + BATCH]])
            more, other = self.losses(q, xs, lengths, seed)
            kl, nll = kl + float(more), nll + float(other)
            steps += lengths.sum()
        return kl / steps, nll / steps

    def dream(self, q: Weights, steps: int, seed: int) -> np.ndarray:
        """A piece of its own, (steps, 88)."""
        random = np.random.default_rng(seed)
        own = [
            {n[2:]: t for n, t in q.items() if n.startswith(f"{k}.")}
            for k in range(len(self.cells))
        ]
        u = random.random((steps, KEYS), np.float32)
        if self.name == "storn":
            last = otherwise(
                generator, z=lambda v: v.eps, target=lambda v: v.u < sigmoid(v.logits),
                inputs={"eps": "latent", "u": "inputs"},
            )  # fmt: skip
            x, h = np.zeros((1, KEYS), np.float32), {}
            piece = []
            weights = {n: own[1][n] for n in last.parameters}
            for t in range(steps):
                eps = random.normal(size=(1, weights["V_in"].shape[1])).astype(np.float32)
                run = unroll(last, weights, x, h, eps=eps, u=u[t : t + 1])
                x, h = run["target"].numpy().astype(np.float32), run.final
                piece.append(x[0])
            return np.array(piece)
        if not self.latent:
            cut = otherwise(sigmoids, x=lambda v: v.u < sigmoid(v.logits), inputs={"u": "inputs"})
        else:
            cut = otherwise(
                self.cells[0],
                z=lambda v: normal(v.mu_0, v.sigma_0, v.eps),
                x=lambda v: v.u < sigmoid(v.logits),
                inputs={"u": "inputs"},
            )
        weights = {n: own[0][n] for n in cut.parameters}
        noise = {"seed": seed} if self.latent else {}
        return np.asarray(unroll(cut, weights, np.zeros(steps), u=u, **noise)["x"].numpy(), float)


def batches(pieces: list[np.ndarray], seed: int) -> Iterator[tuple[Any, ...]]:
    """Pieces of like length together, in another order each time; a seed for each."""
    random = np.random.default_rng(seed)
    order = sorted(range(len(pieces)), key=lambda k: len(pieces[k]))
    groups = [order[k : k + BATCH] for k in range(0, len(order), BATCH)]
    count = 0
    while True:
        for k in random.permutation(len(groups)):
            count += 1
            yield (*padded([pieces[i] for i in groups[k]]), count)


def main() -> None:
    """Learn, measure, and dream a piece."""
    warm = (150.0, "steps until the KL counts whole")
    kinds = ["vrnn", "vrnn_i", "storn", "lstm"]
    options = told(__doc__, kinds, 240, 3e-3, data=(None, "the pieces"), warm=warm)
    rolls, _ = read_rolls(str(options.data), 0.0)
    model = Model(options.model)

    def loss(q: Any, xs: np.ndarray, lengths: np.ndarray, count: int) -> Any:
        kl, nll = model.losses(q, xs, lengths, count)
        return (nll + kl * np.float32(min(1.0, count / options.warm))) * np.float32(
            1 / lengths.sum()
        )

    found, history = fit(
        loss,
        model.start(options.seed),
        batches(rolls["train"], options.seed),
        lambda q: sum(model.bound(q, rolls["valid"], 10**6)),
        seconds=options.seconds,
        rate=options.rate,
        every=40,
    )
    tests = [model.bound(found, rolls["test"], 10**6 + k) for k in range(5 if model.latent else 1)]
    kl, nll = np.mean(tests, axis=0)
    result = {
        "model": options.model,
        "seed": options.seed,
        "parameters": sum(v.size for v in found.values()),
        "test": round(float(kl + nll), 3),
        "KL": round(float(kl), 3),
        "-log p(x)": round(float(nll), 3),
        "valid": min(h["valid"] for h in history),
        "CPU seconds": history[-1]["seconds"],
        "history": history,
    }
    at = options.output / f"chorales-{options.model}"
    store(at, result, found)
    piece = model.dream(found, 64, seed=options.seed)
    viz.roll(piece, every=8).save(at.with_suffix(".svg"))
    at.with_suffix(".mid").write_bytes(midi(piece, LOWEST))


if __name__ == "__main__":
    main()
