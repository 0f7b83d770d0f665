"""Units of a model that hold something a reader can name, as `learning.meaning` finds them.

A unit of the last state is told of where its value goes with what a probe says closely enough on
both halves of some held-out text, of which the second is no part of the search.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tinygrad_lstm.errors import DataError
from tinygrad_lstm.learning import PROBES, CharacterModel, meaning
from tinygrad_lstm.learning.losses import bits
from tinygrad_lstm.tensor import Array

LETTERS, OFF = 32_000, 4_000  # of held-out text, to search and to switch units off on
ENOUGH = 0.5  # |r| from which a unit is said to hold something,
SOME, RIGHT = 0.3, 0.85  # or |r| and how often it is right
MOST = 6  # units that are told of
LASTING = ("speaker", "line", "word", "sentence", "enclosed", "quoted")


@dataclass(frozen=True)
class Held:
    """What a unit holds, and the evidence on text that the search did not see.

    kind: a key of `KINDS`. r: correlation. right: of what is or is not there, the mean of how often
    a threshold is right where it is and where it is not; None for what counts. cost: bits a letter
    more with the unit switched off. scale: 98 % of its values are nearer to 0.
    """

    unit: int
    kind: str
    r: float
    right: float | None
    cost: float
    scale: float


def _speaker(text: str) -> Array:
    """Told from other capitals, not from all letters: a capital just read takes no memory."""
    capital = np.array([c.isupper() for c in text])
    found: Array = np.where(capital, np.asarray(PROBES["speaker line"](text), float), np.nan)
    return found


def _sentence(text: str) -> Array:
    count, found = 0, []
    for letter in text:
        count = 0 if letter in ".?!" else count + 1
        found.append(float(count))
    return np.array(found)


def _is(kind: Callable[[str], bool]) -> Callable[[str], Array]:
    return lambda text: np.array([float(kind(letter)) for letter in text])


# what is asked of every letter of a text once it has been read; what lasts longest first
KINDS: Mapping[str, Callable[[str], Array]] = {
    "speaker": _speaker,
    "line": lambda text: np.asarray(PROBES["place in line"](text), float),
    "word": lambda text: np.asarray(PROBES["place in word"](text), float),
    "sentence": _sentence,
    "enclosed": lambda text: np.minimum(np.asarray(PROBES["brackets"](text), float), 1.0),
    "quoted": lambda text: np.asarray(PROBES["quotes"](text), float),
    "capital": _is(str.isupper),
    "break": _is(lambda c: c == "\n"),
    "between": _is(lambda c: c == " "),
    "vowel": _is(lambda c: c in "aeiouAEIOU"),
}


def search(model: CharacterModel, held_out: str) -> list[Held]:
    """The units that hold something, each with another kind, in the order of KINDS."""
    state = list(model.cell.state)[-1]
    try:
        rows = meaning(model, held_out, KINDS, equations=[state], most=LETTERS, tried=OFF)
    except DataError:  # too short a text
        return []
    chosen: dict[int, Held] = {}
    for kind in KINDS:
        for row in rows:
            right = None if np.isnan(row.on + row.off) else (row.on + row.off) / 2
            least = min(abs(row.r), abs(row.searched)) if row.r * row.searched > 0 else 0.0
            close = least >= ENOUGH or (least >= SOME and (right or 0.0) >= RIGHT)
            if row.probe == kind and close and row.unit not in chosen:
                chosen[row.unit] = Held(row.unit, kind, row.r, right, row.cost, 1.0)
                break
    if not chosen:
        return []
    ids = model.vocabulary.encode(held_out[:OFF]).astype(np.intp)
    sizes = np.abs(model.run(ids)[state].data.reshape(len(ids), -1)[:, list(chosen)])
    scales = np.quantile(sizes, 0.98, axis=0)
    found = zip(chosen.values(), scales, strict=True)
    return [
        Held(one.unit, one.kind, one.r, one.right, one.cost, float(scale) or 1.0)
        for one, scale in found
    ][:MOST]


def plainest(model: CharacterModel, text: str, held: list[Held]) -> Held:
    """Of what lasts, else of all, the unit in which one sees it best on a short text.

    It is the one with the largest |r| there times the spread of its values, relative to its scale.
    """
    known = [one for one in held if one.kind in LASTING] or held
    ids = model.vocabulary.encode(text).astype(np.intp)
    values = model.run(ids)[list(model.cell.state)[-1]].data.reshape(len(ids), -1).astype(float)

    def seen(one: Held) -> float:
        own, y = values[:, one.unit], KINDS[one.kind](text)
        there = np.isfinite(y)
        apart, kinds = own[there] - own[there].mean(), y[there] - y[there].mean()
        size = np.sqrt((apart @ apart) * (kinds @ kinds))
        return float(abs(apart @ kinds) / size * own.std() / one.scale) if size > 0 else 0.0

    return max(known, key=seen)


def without(model: CharacterModel, ids: Array, unit: int | None) -> Array:
    """What each symbol but the first costs in bits, (time - 1,), with a unit switched off.

    Switched off, its entry is 0 in every state after every step, and the guess does not see it.
    ids: (time,), read from zero states. None: with all units.
    """
    parameters = dict(model.parameters)
    if unit is not None:
        weight = parameters["output.W_y"].copy()
        weight[:, unit] = 0
        parameters["output.W_y"] = weight
    current, costs = None, []
    for t in range(len(ids) - 1):
        run = model.run(ids[t : t + 1], current, t, parameters)
        current = {name: state.data.copy() for name, state in run.final.items()}
        if unit is not None:
            for state in current.values():
                state.reshape(-1)[unit % state.size] = 0
        z = model.logits(run, parameters).data[0].astype(float)
        z -= z.max()
        costs.append(bits(np.log(np.exp(z).sum()) - z[ids[t + 1]]))
    return np.array(costs)
