"""Writing with a trained model: draw the next symbol, read it, draw again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinygrad_lstm.errors import DataError
from tinygrad_lstm.learning.character_model import CharacterModel
from tinygrad_lstm.tensor import Array


@np.errstate(all="ignore")  # what overflows is named where it is read again
def sample(
    model: CharacterModel,
    length: int = 300,
    *,
    temperature: float = 0.8,
    seed: int | Sequence[int] = 0,
    prompt: str = "",
) -> str:
    """`length` characters that the model writes after `prompt`, which is not part of the result.

    Each is drawn from softmax(logits / temperature): 1 draws as the model believes, lower is
    bolder in the likely, 0 always takes the likeliest. Without a prompt it reads a new line first.
    """
    if length < 0:
        raise DataError(f"a sample has 0 characters or more, got {length}.")
    if not (temperature >= 0 and np.isfinite(temperature)):
        raise DataError(f"temperature must be 0 or more, got {temperature}.")
    random = np.random.default_rng(seed)
    first = "\n" if "\n" in model.vocabulary.symbols else model.vocabulary.symbols[0]
    ids = model.vocabulary.encode(prompt or first)
    states = None
    read = 0
    written: list[int] = []
    while len(written) < length:
        run = model.run(ids, states, read)
        read += len(ids)
        states = {name: state.detach() for name, state in run.final.items()}
        logits = model.logits(run).data[-1].astype(float)
        written.append(_draw(logits, temperature, random))
        ids = np.array(written[-1:])
    return model.vocabulary.decode(written)


def _draw(logits: Array, temperature: float, random: np.random.Generator) -> int:
    if temperature == 0:
        return int(np.argmax(logits))
    with np.errstate(over="ignore"):  # a tiny temperature: the unlikely get weight e^-inf = 0
        sums = np.cumsum(np.exp((logits - logits.max()) / temperature))
    k = int(np.searchsorted(sums, random.random() * sums[-1], side="right"))
    return min(k, len(sums) - 1)
