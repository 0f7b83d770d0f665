"""Reversing 8 or 16 symbols with attention and without.

    python -m benchmarks.systems.reverse attention --length 16 --seconds 120 -o results/

An encoder of GRUs in both directions, and Bahdanau's decoder on its states; without attention the
decoder is an LSTM that starts from what the encoder knows at its end.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np  # noqa: E402

import viz  # noqa: E402
from benchmarks.systems.fitting import fit, store, told  # noqa: E402
from tinygrad_lstm import (  # noqa: E402
    before,
    bidirectional,
    cell,
    cells,
    compiled,
    final,
    layer,
    log_categorical,
    matvec,
    system,
    tanh,
    unroll,
    whole,
)
from tinygrad_lstm.systems import bahdanau  # noqa: E402

SYMBOLS, HIDDEN, BATCH = 8, 32, 32


@layer(parameters={"W": "hidden, inputs", "b": "hidden"})
def start(now: Any, x: Any, p: Any) -> None:
    """The decoder's first state, from what the encoder knows at its end."""
    now.s = tanh(matvec(p.W, x) + p.b)


@cell(
    state="h",
    parameters={"W": "symbols, hidden", "b": "symbols"},
    parts={"rnn": cells.gru},
    sequences={"y": "symbols"},
    loss="L",
)
def blind(now: Any, prev: Any, x: Any, p: Any, y: Any, part: Any) -> None:
    """A decoder without attention: all that it knows of the source is its first state."""
    now.h = part.rnn(x, prev)
    now.logits = matvec(p.W, now.h) + p.b
    now.L = -log_categorical(y, now.logits)


ENDS = [final("encoder.forward.h"), final("encoder.backward.h")]
WITH = system(
    encoder=bidirectional(cells.gru),
    start=start,
    decoder=bahdanau,
    wires={
        "encoder.x": "source",
        "start.x": ENDS,
        "decoder.initial.s": "start.s",
        "decoder.x": before("target"),
        "decoder.y": "target",
        "decoder.H": whole("encoder.h"),
    },
    name="with_attention",
)
WITHOUT = system(
    encoder=bidirectional(cells.gru),
    start=start,
    decoder=blind,
    wires={
        "encoder.x": "source",
        "start.x": ENDS,
        "decoder.initial.h": "start.s",
        "decoder.x": before("target"),
        "decoder.y": "target",
    },
    name="without_attention",
)


def main() -> None:
    """Learn, measure, and draw what was read."""
    options = told(__doc__, ["attention", "none"], 120, 5e-3, length=(16, None))
    attends = options.model == "attention"
    network = WITH if attends else WITHOUT
    fast = compiled(network)
    more = {"align": HIDDEN, "readout": HIDDEN, "length": options.length} if attends else {}
    p = network.init(inputs=SYMBOLS, hidden=HIDDEN, **more, seed=options.seed, dtype=np.float32)
    eye = np.eye(SYMBOLS, dtype=np.float32)

    def run(q: Any, symbols: np.ndarray, net: Any = fast) -> Any:
        given = {"decoder.mask": np.ones(options.length, np.float32)} if attends else {}
        return unroll(net, q, source=eye[symbols], target=eye[symbols[::-1]], **given)

    def draws(seed: int) -> Iterator[tuple[np.ndarray]]:
        random = np.random.default_rng(seed)
        while True:
            yield (random.integers(0, SYMBOLS, (options.length, BATCH)),)

    held_out = np.random.default_rng(10**6).integers(0, SYMBOLS, (options.length, 500))

    def wrong(q: Any) -> float:
        said = run(q, held_out)["decoder.logits"].numpy().argmax(-1)
        return float((said != held_out[::-1]).mean())

    found, history = fit(
        lambda q, symbols: run(q, symbols).loss * np.float32(1 / options.length),
        {n: t.numpy() for n, t in p.items()},
        draws(options.seed),
        wrong,
        seconds=options.seconds,
        rate=options.rate,
        every=50,
        enough=0.0,
    )
    result = {
        "model": options.model,
        "length": options.length,
        "parameters": sum(v.size for v in found.values()),
        "right": round(1 - wrong(found), 4),
        "CPU seconds": history[-1]["seconds"],
        "steps": history[-1]["step"],
        "history": history,
    }
    at = options.output / f"reverse-{options.length}-{options.model}"
    store(at, result)
    if attends:
        words = ["abcdefgh"[k] for k in held_out[:, 0]]
        alpha = run(found, held_out[:, :1], network)["decoder.alpha"]
        viz.alignment(alpha, words, words[::-1]).save(at.with_suffix(".svg"))


if __name__ == "__main__":
    main()
