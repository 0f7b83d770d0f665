"""Captions of coloured cells by `xu2015`, with the penalty on what was looked at and without.

    python -m benchmarks.systems.captions penalty --seconds 75 -o results/

A picture has 3 × 3 cells, of which three are coloured. Its caption says colour, row and column of
each, in the order of reading: nine words and nine places.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np  # noqa: E402

import viz  # noqa: E402
from benchmarks.systems.fitting import fit, store, told  # noqa: E402
from tinygrad_lstm import before, compiled, layer, matvec, otherwise, system, unroll, whole  # noqa: E402
from tinygrad_lstm.systems.attention import xu2015, xu2015_start  # noqa: E402

SIDE, COLOURED, HIDDEN, BATCH = 3, 3, 64, 32
COLOURS = {
    "red": (0.9, 0.1, 0.1),
    "green": (0.1, 0.7, 0.2),
    "blue": (0.1, 0.3, 0.9),
    "yellow": (1.0, 0.9, 0.1),
    "purple": (0.6, 0.1, 0.8),
    "cyan": (0.1, 0.8, 0.9),
}
WORDS = [*COLOURS, "top", "middle", "bottom", "left", "centre", "right"]
STEPS = 3 * COLOURED


@layer(x="symbols", parameters={"E": "width, symbols"})
def embed(now: Any, x: Any, p: Any) -> None:
    """The embedding of a word, a column of E."""
    now.w = matvec(p.E, x)


def captioner(penalised: bool) -> Any:
    """First states from the picture, embedded words, and who looks and says."""
    return system(
        start=xu2015_start,
        embed=embed,
        speaker=xu2015 if penalised else otherwise(xu2015, D=0.0),
        wires={
            "start.x": whole("picture"),
            "speaker.initial.h": "start.h",
            "speaker.initial.c": "start.c",
            "embed.x": before("words"),
            "speaker.x": "embed.w",
            "speaker.y": "words",
            "speaker.a": whole("picture"),
        },
        name="captioner",
    )


def draw(random: np.random.Generator, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Colours of pictures, (batch, 3, 3, 3), and their captions, (words, batch)."""
    places = np.sort(random.random((batch, SIDE**2)).argsort(-1)[:, :COLOURED], -1)
    colours = random.integers(0, len(COLOURS), places.shape)
    pictures = np.ones((batch, SIDE**2, 3), np.float32)
    pictures[np.arange(batch)[:, None], places] = np.array(list(COLOURS.values()))[colours]
    rows, columns = len(COLOURS) + places // SIDE, len(COLOURS) + SIDE + places % SIDE
    said = np.stack([colours, rows, columns], -1).reshape(batch, STEPS)
    return pictures.reshape(batch, SIDE, SIDE, 3), said.T


def annotations(pictures: np.ndarray) -> np.ndarray:
    """What a picture has at each place, (9, batch, 9): its ink, its row and its column."""
    batch = len(pictures)
    here = np.broadcast_to(np.eye(SIDE), (batch, SIDE, SIDE, SIDE))
    found = np.concatenate([1 - pictures, here.swapaxes(1, 2), here], -1)
    return found.reshape(batch, SIDE**2, -1).swapaxes(0, 1).astype(np.float32)


def measure(run: Any, pictures: np.ndarray, said: np.ndarray) -> dict[str, float]:
    """How many words are right, and how much each place was looked at."""
    looked = run["speaker.alpha"].numpy().sum(axis=0)  # (batch, places)
    blank = pictures.reshape(len(pictures), SIDE**2, 3).min(-1) == 1
    return {
        "words right": float((run["speaker.logits"].numpy().argmax(-1) == said).mean()),
        "looked at, coloured": float(looked[~blank].mean()),
        "looked at, blank": float(looked[blank].mean()),
        "least": float(np.quantile(looked, 0.05)),
        "most": float(np.quantile(looked, 0.95)),
        "away from 1": float(np.sqrt(((looked - 1) ** 2).mean())),
    }


def shown(picture: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The picture, and for each word the picture lit where it was looked at."""
    light = (1 - 0.8 * (1 - alpha / alpha.max(-1, keepdims=True))).reshape(-1, SIDE, SIDE, 1)
    return np.concatenate([picture[None], picture * light])


def main() -> None:
    """Learn, measure, and draw where it looks."""
    options = told(__doc__, ["penalty", "none"], 75, 5e-3)
    network = captioner(options.model == "penalty")
    fast, eye = compiled(network), np.eye(len(WORDS), dtype=np.float32)
    sizes = {"symbols": len(WORDS), "width": 32, "hidden": HIDDEN, "align": 32, "annotation": 9}
    p = network.init(**sizes, length=SIDE**2, seed=options.seed, dtype=np.float32)

    def run(q: Any, pictures: np.ndarray, words: np.ndarray) -> Any:
        return unroll(fast, q, picture=annotations(pictures), words=words)

    def draws() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        random = np.random.default_rng(options.seed)
        while True:
            yield draw(random, BATCH)

    def loss(q: Any, pictures: np.ndarray, said: np.ndarray) -> Any:
        return run(q, pictures, eye[said]).loss * np.float32(1 / STEPS)

    valid = draw(np.random.default_rng(10**6), 500)
    test, captions = draw(np.random.default_rng(10**6 + 1), 1000)
    start = {n: t.numpy() for n, t in p.items()}
    found, history = fit(
        loss,
        start,
        draws(),
        lambda q: loss(q, *valid).item(),
        seconds=options.seconds,
        rate=options.rate,
        every=100,
    )
    words = np.zeros((STEPS, len(test), len(WORDS)), np.float32)
    for step in range(STEPS):  # each word after those that it has said itself
        words[step] = eye[run(found, test, words)["speaker.logits"].numpy()[step].argmax(-1)]
    own = run(found, test, words)
    result = {
        "model": options.model,
        "parameters": sum(v.size for v in found.values()),
        "captions right": float((words.argmax(-1) == captions).all(axis=0).mean()),
        **{n: round(v, 4) for n, v in measure(own, test, captions).items()},
        "at the start": {
            n: round(v, 4)
            for n, v in measure(run(start, test, eye[captions]), test, captions).items()
        },
        "CPU seconds": history[-1]["seconds"],
        "steps": history[-1]["step"],
        "history": history,
    }
    at = options.output / f"captions-{options.model}"
    store(at, result, found)
    under = ["the picture", *(WORDS[k] for k in words[:, 0].argmax(-1))]
    seen = shown(test[0], own["speaker.alpha"].numpy()[:, 0])
    viz.frames(seen, captions=under).save(at.with_suffix(".svg"))


if __name__ == "__main__":
    main()
