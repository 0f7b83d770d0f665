"""Piano rolls: which keys sound next."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

import numpy as np

from tinygrad_lstm.atomic import check_regular
from tinygrad_lstm.errors import DataError
from tinygrad_lstm.learning.task import Batch, Task
from tinygrad_lstm.learning.tasks import measures
from tinygrad_lstm.learning.tasks.registry import Lazily, task
from tinygrad_lstm.learning.tasks.samples import passes
from tinygrad_lstm.tensor import Array

LOWEST, KEYS = 21, 88  # MIDI numbers of a piano
PARTS = ("train", "valid", "test")
_FORMAT = (
    '  It is a mapping of "train", "valid" and "test" to lists of pieces; a piece is a list of\n'
    "  steps, a step the list of MIDI numbers, 21 to 108, that sound: {...: [[[60, 64], []]]}."
)


@cache
def read_rolls(path: str, changed: float) -> tuple[dict[str, list[Array]], str]:
    """The pieces of a JSON file, each (time, 88), and the file's SHA-256."""
    try:
        check_regular(path)
        raw = Path(path).read_bytes()
        found = json.loads(raw)
    except OSError as error:
        raise DataError(f"piano-rolls: {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise DataError(f"piano-rolls: {path} is no JSON: {error}.\n{_FORMAT}") from error
    pieces: dict[str, list[Array]] = {}
    try:
        for part in PARTS:
            pieces[part] = [_roll(piece) for piece in found[part]]
    except (TypeError, KeyError, ValueError) as error:
        raise DataError(f"piano-rolls: {path} is no list of notes ({error!r}).\n{_FORMAT}") from (
            error
        )
    if empty := [part for part in PARTS if not pieces[part]]:
        raise DataError(f"piano-rolls: {path} has no pieces to {empty[0]}.\n{_FORMAT}")
    return pieces, hashlib.sha256(raw).hexdigest()


def _roll(piece: list[list[int]]) -> Array:
    roll = np.zeros((len(piece), KEYS), np.float32)
    if not len(roll):
        raise ValueError("a piece without steps")
    for t, notes in enumerate(piece):
        for note in notes:
            if not LOWEST <= note < LOWEST + KEYS or note != int(note):
                raise ValueError(f"note {note}")
            roll[t, int(note) - LOWEST] = 1.0
    return roll


def rolled(pieces: list[Array]) -> Batch:
    """Pieces side by side: the step before, first silence, and the step that is to be told."""
    lengths = np.array([len(piece) for piece in pieces])
    target = np.zeros((int(lengths.max()), len(pieces), KEYS), np.float32)
    for b, piece in enumerate(pieces):
        target[: len(piece), b] = piece
    xs = np.concatenate([np.zeros_like(target[:1]), target[:-1]])
    return Batch(xs, target, lengths)


@task(
    "piano-rolls",
    path="a JSON file of notes: train, valid, test",
    held_out="what is tested on: valid or test",
)
def piano_rolls(*, path: str = "", held_out: str = "test") -> Task:
    """Which of 88 keys sound at the next step of a piece?

    x is the step before, silence at first; all steps are predicted, the first one too. Nats a step:
    -log p of all keys, summed, its mean over all steps. `path` names the notes, such as those of
    Boulanger-Lewandowski et al. 2012, which no package brings along.
    """
    if not path:
        raise DataError(f"piano-rolls: say where the notes are, by path=FILE.json.\n{_FORMAT}")
    if held_out not in PARTS[1:]:
        raise DataError(f"piano-rolls: held_out is 'valid' or 'test', got {held_out!r}.")
    try:
        changed = Path(path).stat().st_mtime
    except OSError as error:
        raise DataError(f"piano-rolls: {path} cannot be read: {error.strerror}.") from error
    pieces, fingerprint = read_rolls(path, changed)
    taught, held = pieces["train"], pieces[held_out]
    test = cache(lambda: rolled(held))

    def baselines() -> dict[str, float]:
        every = np.concatenate(taught)
        p = (every.sum(0) + 1.0) / (len(every) + 2.0)
        rows, chance = np.concatenate(held), KEYS * float(np.log(2.0))
        alone = -(rows * np.log(p) + (1 - rows) * np.log(1 - p)).sum(-1).mean()
        before, now = (np.concatenate([piece[k] for piece in taught]) for k in _PAIRS)
        stays = np.stack([(now * (before == v)).sum(0) + p for v in (0, 1)]) / np.stack(
            [(before == v).sum(0) + 1.0 for v in (0, 1)]
        )
        xs = np.concatenate([np.concatenate([np.zeros((1, KEYS)), x[:-1]]) for x in held])
        q = np.where(xs == 1, stays[1], stays[0])
        last = -(rows * np.log(q) + (1 - rows) * np.log(1 - q)).sum(-1).mean()
        return {
            "nats of chance": chance,
            "nats of each key alone": float(alone),
            "nats of each key and its last value": float(last),
        }

    return Task(
        "piano-rolls",
        inputs=KEYS,
        outputs=KEYS,
        loss="bernoulli",
        at="every",
        batches=passes(len(taught), lambda own: rolled([taught[k] for k in own])),
        test=test,
        measures={"nats": measures.frame_nats, "accuracy": measures.frame_accuracy},
        baselines=Lazily(baselines),
        fingerprint=fingerprint,
        source=f"{path}; the benchmark is Boulanger-Lewandowski, Bengio and Vincent 2012",
        licence="that of the file",
        size=", ".join(f"{len(pieces[p])} pieces to {p}" for p in PARTS),
    )


_PAIRS = (slice(None, -1), slice(1, None))
