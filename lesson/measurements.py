"""What the lesson measures on trained models: gates along a line, and how far gradients reach."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
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
    whole = held_out.strip()[:longest]
    return (varied or fitting or [whole if len(whole) > 1 else held_out[:longest]])[0]


def with_speaker(held_out: str, line: str) -> str:
    """A line and, where it is the name of who speaks, the one above it in the text."""
    above = held_out.partition(line)[0].splitlines()[-1:]
    name = above[0].strip() if above else ""
    return f"{name}\n{line}" if name.isupper() and len(name) < len(line) else line


def telling_unit(line: Line, gate: str) -> int:
    """The unit whose gate moves most along a line, among those that mostly hold it open."""
    values = line.values[gate].reshape(len(line.text), -1)
    spread = np.std(values, axis=0)
    holding = np.median(values, axis=0) > 0.75
    return int(np.argmax(np.where(holding, spread, -1.0) if holding.any() else spread))


def reach(model: CharacterModel, text: str, lags: int, pieces: int) -> Array:
    """How much of dh_T/ds_t is left, by how many characters t lies before T: (lags + 1,).

    h is the cell's output and s its whole state. The norm of the derivative of h_T, taken in a
    random direction, relative to the norm at lag 0, or at the first lag that h reads where it does
    not read its own step's state; the geometric mean over pieces from the text's end, with a
    direction of its own for each.
    """
    length = lags + 2
    ids = model.vocabulary.encode(text[-length * pieces :]).reshape(pieces, length).T
    run = model.run(ids[:-1])
    last = run.steps[-1][model.output]
    direction = np.random.default_rng(0).standard_normal(last.shape).astype(last.dtype)
    (last * direction).sum().backward()
    norms = np.zeros((lags + 1, pieces))
    for k, step in enumerate(reversed(run.steps[-(lags + 1) :])):
        whole = [_adjoint(step[state]).reshape(pieces, -1) for state in model.cell.state]
        norms[k] = np.linalg.norm(np.concatenate(whole, axis=1), axis=1)
    for piece in norms.T:
        if piece.any():
            first = int(np.flatnonzero(piece)[0])
            piece[:first] = piece[first]  # nothing is lost before the first that h reads
            piece /= piece[first]
    curve: Array = np.exp(np.mean(np.log(np.maximum(norms, 1e-300)), axis=1))
    return curve


@dataclass(frozen=True)
class Growth:
    """How one entry of a weight's gradient comes together along a line.

    `shares[t]` is what step t contributes; the gradient is their sum. `entry` is where in the
    weight it stands, counted from 0.
    """

    name: str
    entry: tuple[int, ...]
    shares: Array


def growth(model: CharacterModel, text: str, name: str, row: int) -> Growth:
    """The contributions of every step to one row's largest entry of a weight's gradient.

    Each step is given a copy of the parameters of its own, so that each copy's gradient is that
    step's share.
    """
    ids = model.vocabulary.encode(text)
    states, copies, losses = None, [], []
    for t in range(len(ids) - 1):
        copy = {key: Tensor(value, key) for key, value in model.parameters.items()}
        run = model.run(ids[t : t + 1], states, t, copy)
        states = run.final
        losses.append(cross_entropy(model.logits(run, copy), ids[t + 1 : t + 2]))
        copies.append(copy[name])
    total = losses[0]
    for loss in losses[1:]:
        total = total + loss
    total.backward()
    shares = np.stack([_adjoint(copy) for copy in copies])
    whole = np.abs(shares.sum(axis=0))
    row = row % whole.shape[0] if whole.ndim > 1 else 0
    at = np.unravel_index(int(np.argmax(whole[row])), whole[row].shape)
    entry = (row, *map(int, at)) if whole.ndim > 1 else tuple(map(int, at)) or (0,)
    return Growth(name, entry, shares[(slice(None), *entry)].astype(float))


def uniform_bits(symbols: int) -> float:
    """What a character costs when every symbol is as likely as any other: log2 of their number."""
    return bits(float(np.log(symbols)))


@dataclass(frozen=True)
class Bet:
    """Some letters, the one that mostly follows them in a text, and how often it does."""

    before: str
    after: str
    share: float


def safe_bet(text: str, wanted: str = "tho") -> Bet:
    """What follows three letters: those wanted, or else those that tell most about the next."""
    counts = Counter(text[k : k + 4] for k in range(len(text) - 3))
    after: dict[str, Counter[str]] = defaultdict(Counter)
    for four, count in counts.items():
        if four[:3].isalpha():
            after[four[:3]][four[3]] += count
    often = {before: c for before, c in after.items() if c.total() >= 50} or after
    if wanted not in often:
        wanted = max(often, key=lambda b: max(often[b].values()) / often[b].total(), default="")
    if not wanted:
        return Bet(text[:3], text[3:4], 1.0)
    letter, count = after[wanted].most_common(1)[0]
    return Bet(wanted, letter, count / after[wanted].total())


def context_bits(text: str, before: int) -> float:
    """What a letter costs who knows how often each follows the `before` letters ahead of it."""
    whole = Counter(text[k : k + before + 1] for k in range(len(text) - before))
    ahead: Counter[str] = Counter()
    for letters, count in whole.items():
        ahead[letters[:-1]] += count
    costs = (n * math.log2(ahead[letters[:-1]] / n) for letters, n in whole.items())
    return sum(costs) / max(1, whole.total())
