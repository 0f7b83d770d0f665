"""Units that hold something a reader can name: searched on held-out text, checked on more of it.

For each property y of a place in a text (is a name written here, how far in its line is it …) the
unit u whose state s_u goes with it most is found on the first half of some held-out text:

    r = Σ_t (s_tu - s̄_u)(y_t - ȳ) / √(Σ_t (s_tu - s̄_u)² Σ_t (y_t - ȳ)²)

What is told of it is measured on the second half, which the search has not seen. Names are told
from other capitals, not from all letters: that the last letter is a capital takes no memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tinygrad_lstm import compiled
from tinygrad_lstm.learning import CharacterModel
from tinygrad_lstm.learning.losses import bits
from tinygrad_lstm.tensor import Array

LETTERS, STREAMS, OFF = 48_000, 32, 96  # of held-out text; steps of every stream without a unit
ENOUGH = 0.5  # |r| from which a unit is said to hold something,
SOME, RIGHT = 0.3, 0.85  # or |r| and how often it is right
TRIED, MOST = 4, 6  # units that are tried for a property; units that are told of


@dataclass(frozen=True)
class Held:
    """What a unit holds, and the evidence on text that the search did not see.

    kind: a key of `PROPERTIES`. r: correlation. right: of a property that is or is not there, the
    mean of how often the unit says so where it is and where it is not, at the search's threshold;
    None for one that counts. scale: 98 % of the values are nearer to 0.
    """

    unit: int
    kind: str
    r: float
    right: float | None
    scale: float


def _lines(text: str, of: Callable[[str], Array]) -> Array:
    """Values of every letter, line by line; a line has its end."""
    return np.concatenate([of(line) for line in text.splitlines(keepends=True)])


def _speaker(text: str) -> Array:
    shouted = re.compile(r"\s*[^\Wa-z\d_][^a-z]{2,}\n?", re.ASCII)
    return _lines(text, lambda line: np.full(len(line), float(bool(shouted.fullmatch(line)))))


def _run(text: str, inside: Callable[[str], bool]) -> Array:
    """How many letters in a row, up to and with this one, are of a kind."""
    count, found = 0, []
    for letter in text:
        count = count + 1 if inside(letter) else 0
        found.append(float(count))
    return np.array(found)


def _enclosed(text: str) -> Array:
    depth, found = 0, []
    for letter in text:
        depth = max(0, depth + (letter in "([{") - (letter in ")]}"))
        found.append(float(depth > 0))
    return np.array(found)


# what is searched for, what lasts longest first: the value of every letter of a text, once read
PROPERTIES: Mapping[str, Callable[[str], Array]] = {
    "speaker": _speaker,
    "line": lambda text: _lines(text, lambda line: np.arange(1.0, len(line) + 1)),
    "word": lambda text: _run(text, lambda c: c.isalpha() or c in "'’"),
    "sentence": lambda text: _run(text, lambda c: c not in ".?!"),
    "enclosed": _enclosed,
    "capital": lambda text: np.array([float(c.isupper()) for c in text]),
    "break": lambda text: np.array([float(c == "\n") for c in text]),
    "between": lambda text: np.array([float(c == " ") for c in text]),
    "vowel": lambda text: np.array([float(c in "aeiouAEIOU") for c in text]),
}
COUNTS = ("line", "word", "sentence")


def states(model: CharacterModel, text: str) -> tuple[str, Array]:
    """Text as it was read in streams, and the last state's units after each letter of it."""
    name, length = list(model.cell.state)[-1], len(text) // STREAMS
    pieces = [text[k * length : (k + 1) * length] for k in range(STREAMS)]
    ids = np.stack([model.vocabulary.encode(piece) for piece in pieces], axis=1).astype(np.intp)
    run = model.run(ids, cell=compiled(model.cell))
    values = run[name].data.reshape(length, STREAMS, -1)
    return "".join(pieces), np.swapaxes(values, 0, 1).reshape(length * STREAMS, -1)


def search(model: CharacterModel, held_out: str, most: int = MOST) -> list[Held]:
    """The units that hold something, each with another property, in the order of PROPERTIES."""
    if len(held_out) < 64 * STREAMS:
        return []
    text, values = states(model, held_out[:LETTERS])
    whole = np.nan_to_num(values.astype(float))
    found: list[tuple[float, Held]] = []
    capital = np.array([c.isupper() for c in text])
    for kind, measure in PROPERTIES.items():
        there = capital if kind == "speaker" else np.ones(len(text), bool)
        y, values = measure(text)[there], whole[there]
        half = len(y) // 2
        r = correlations(values[:half], y[:half])
        for unit in np.argsort(-np.abs(r))[:TRIED]:
            again, own = float(correlations(values[half:, [unit]], y[half:])[0]), values[:, unit]
            some = 0 < y[:half].max() > y[:half].min() and 0 < y[half:].max() > y[half:].min()
            share = None if kind in COUNTS or not some else hits(own, y, half)
            least = min(abs(r[unit]), abs(again))
            close = least >= ENOUGH or (least >= SOME and (share or 0.0) >= RIGHT)
            if close and again * r[unit] > 0:
                scale = float(np.quantile(np.abs(whole[:, unit]), 0.98)) or 1.0
                clear = max(abs(again), 2 * (share or 0.0) - 1)
                found.append((clear, Held(int(unit), kind, again, share, scale)))
    chosen: list[Held] = []
    for kind in PROPERTIES:
        own_kind = sorted((pair for pair in found if pair[1].kind == kind), key=lambda p: -p[0])
        taken = {each.unit for each in chosen}
        chosen += [each for _, each in own_kind if each.unit not in taken][:1]
    return chosen[:most]


def correlations(values: Array, y: Array) -> Array:
    """Pearson's r of every column with y; 0 where one of them does not change."""
    apart, own = values - values.mean(axis=0), y - y.mean()
    size = np.sqrt((apart**2).sum(axis=0) * (own @ own))
    found: Array = (own @ apart) / np.where(size > 0, size, np.inf)
    return found


def hits(own: Array, y: Array, half: int) -> float:
    """How often a threshold on a unit is right, there and elsewhere alike, on the second half."""
    there = y > 0
    sign = 1.0 if own[:half][there[:half]].mean() > own[:half][~there[:half]].mean() else -1.0
    marks = np.quantile(own[:half], np.linspace(0.02, 0.98, 25))

    def right(part: slice, mark: float) -> float:
        said = sign * (own[part] - mark) > 0
        return float((said[there[part]].mean() + (~said[~there[part]]).mean()) / 2)

    best = max(marks, key=lambda mark: right(slice(half), mark))
    return right(slice(half, None), float(best))


def without(model: CharacterModel, ids: Array, unit: int | None) -> Array:
    """What each symbol but the first costs in bits, (time - 1, …), with a unit switched off.

    Switched off, its entry is 0 in every state after every step, and the guess does not see it.
    ids: (time,) or (time, batch). None: with all units.
    """
    parameters = dict(model.parameters)
    if unit is not None:
        W = parameters["output.W_y"].copy()
        W[:, unit] = 0
        parameters["output.W_y"] = W
    current, costs = None, []
    for t in range(len(ids) - 1):
        run = model.run(ids[t : t + 1], current, t, parameters)
        current = {name: state.data.copy() for name, state in run.final.items()}
        if unit is not None:
            for state in current.values():
                state[..., unit] = 0
        z = model.logits(run, parameters).data.astype(float)
        z -= z.max(axis=-1, keepdims=True)
        logs = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
        came = ids[t + 1].reshape(-1)
        costs.append(bits(1.0) * -logs[np.arange(came.size), came].reshape(ids.shape[1:]))
    return np.stack(costs)


def cost(model: CharacterModel, held_out: str, units: list[int]) -> list[float]:
    """How many bits a letter more the model needs with each of some units switched off."""
    length = min(OFF, len(held_out) // STREAMS)
    if length < 2:
        return [0.0 for _ in units]
    places = np.arange(STREAMS) * (len(held_out) // STREAMS) + np.arange(length)[:, None]
    ids = model.vocabulary.encode(held_out).astype(np.intp)[places]
    whole = without(model, ids, None).mean()
    return [float(without(model, ids, unit).mean() - whole) for unit in units]
