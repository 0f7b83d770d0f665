"""What the lesson measures on trained models: gates along a line, and how far gradients reach."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinygrad_lstm.learning import CharacterModel, bits, cross_entropy
from tinygrad_lstm.tensor import Array, Tensor


@dataclass(frozen=True)
class Line:
    """A model on one line of text.

    `values[name]` and `gradients[name]` are (characters, hidden) for every named equation; the
    gradients are those of the summed loss of all characters but the first, in nats. `bits` is
    what each character but the first cost.
    """

    text: str
    values: dict[str, Array]
    gradients: dict[str, Array]
    bits: list[float]


def read_line(model: CharacterModel, text: str) -> Line:
    """Run a model over a line, forward and backward."""
    seen = model.observe(text)
    comes = model.vocabulary.encode(text[1:])
    loss = cross_entropy(model.logits(seen.run)[:-1], comes) * float(len(comes))
    loss.backward()
    values, gradients = {}, {}
    for name in seen.run.steps[0]:
        steps = [step[name] for step in seen.run.steps]
        values[name] = np.stack([node.data for node in steps])
        gradients[name] = np.stack([_adjoint(node) for node in steps])
    return Line(text, values, gradients, seen.bits)


def _adjoint(node: Tensor) -> Array:
    """A node's gradient after backward; zero where the loss does not depend on it."""
    return np.zeros(node.shape) if node.grad is None else node.grad.data.astype(float)


def choose_line(held_out: str, shortest: int = 36, longest: int = 48) -> str:
    """The first line of the held-out text of a length that fits a page and with some variety."""
    fitting = [line.strip() for line in held_out.splitlines()]
    fitting = [line for line in fitting if shortest <= len(line) <= longest]
    varied = [line for line in fitting if len(set(line.lower())) >= 16 and "," in line[:-1]]
    return (varied or fitting or [held_out.replace("\n", " ").strip()[:longest]])[0]


def telling_unit(line: Line, gate: str) -> int:
    """The unit whose gate moves most along a line, among those that mostly hold it open."""
    values = line.values[gate]
    spread = np.std(values, axis=0)
    holding = np.median(values, axis=0) > 0.75
    return int(np.argmax(np.where(holding, spread, -1.0) if holding.any() else spread))


def reach(model: CharacterModel, text: str, state: str, lags: int, pieces: int) -> Array:
    """How much of a gradient is left, by how many characters back: (lags + 1,), 1 at lag 0.

    The norm of the derivative of the last character's loss in the state at each earlier step,
    relative to the norm at the last step; the geometric mean over pieces from the text's end.
    """
    length = lags + 2
    ids = model.vocabulary.encode(text[-length * pieces :]).reshape(pieces, length).T
    run = model.run(ids[:-1])
    last = model.logits(run)[-pieces:]  # time * pieces rows, the last step's at the end
    (cross_entropy(last, ids[-1]) * float(pieces)).backward()
    norms = []
    for step in reversed(run.steps[-(lags + 1) :]):
        norms.append(np.linalg.norm(_adjoint(step[state]), axis=-1))
    relative = np.stack(norms) / norms[0]
    curve: Array = np.exp(np.mean(np.log(np.maximum(relative, 1e-300)), axis=1))
    return curve


def uniform_bits(symbols: int) -> float:
    """What a character costs when every symbol is as likely as any other: log2 of their number."""
    return bits(float(np.log(symbols)))
