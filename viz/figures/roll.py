"""Music as a piano roll: time runs to the right, pitch upwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from equations.wording import Said, joined
from tinygrad_lstm.tensor import Array, Tensor, TensorLike
from viz import sentences
from viz.data import array, check_room, level, mark, runs, word
from viz.figure import Figure, FigureError
from viz.kinds import figure
from viz.scene import Scene, Wire, ground
from viz.symbols import plain

WIDE, HIGH = 9.0, 5.0  # a step, a key
NOTE = 10.0
OCTAVE = 12
NAMES = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")
MARGIN = 2  # keys beyond the lowest and the highest note
SEEN = 0.5  # a note is told of from this on


@figure()
def roll(notes: TensorLike | Sequence[Sequence[int]], lowest: int = 21, every: int = 4) -> Figure:
    """A piano roll: a bar for each note that is held, a line below each C.

        viz.roll(run["x"][:, 0])                    # (time, 88), 21 is the piano's lowest key
        viz.roll([[60, 64, 67], [60, 65, 69]])      # MIDI numbers of each step

    notes: (time, keys), numbers between 0 and 1, the darker the larger, a batch of one may stand
    between the axes; or for each step the MIDI numbers of its notes. lowest: the MIDI number of
    the first key. every: how many steps lie between the numbers below.

    Raises FigureError where notes are none of this.
    """
    values, lowest = _keys(notes, lowest)
    if every < 1:
        raise FigureError(f"viz.roll: every={every}; a number stands below every step at most.")
    time, keys = values.shape
    used = np.flatnonzero((level(values) > 0).any(axis=0))
    first = max(0, int(used.min()) - MARGIN) if used.size else 0
    last = min(keys - 1, int(used.max()) + MARGIN) if used.size else min(keys - 1, OCTAVE)
    width, height = WIDE * time, HIGH * (last - first + 1)
    scene = Scene()
    for key in range(first, last + 1):
        y = height - HIGH * (key - first + 1)
        if (lowest + key) % OCTAVE == 0:
            own, below = name(lowest + key), y + HIGH
            ends = ((0.0, below), (width, below))
            line = Wire(f"octave-{own}", ends, f"{own}-a", f"{own}-b", own, width=0.5)
            scene.wires.append(line)
            scene.shapes += word(own, plain(own), -5, y + HIGH / 2, NOTE, -1, kind="caption")
        for start, n, shade in runs(level(values[:, key]).tolist()):
            if shade:
                place = WIDE * start + 0.4, y + 0.4, WIDE * n - 0.8, HIGH - 0.8
                told = f"{name(lowest + key)}: {start + 1}–{start + n}"
                scene.shapes.append(mark(f"note-{key}-{start}", *place, ("ink", shade), told))
    check_room("roll", len(scene.shapes), "Show a part: notes[:200].")
    scene.shapes.append(ground("frame", "frame", (0, 0, width, height)))
    for step in range(every, time + 1, every) if time >= every else [1]:
        x = WIDE * (step - 0.5)
        scene.shapes += word(f"step-{step}", plain(str(step)), x, height + 9, NOTE, kind="caption")
    title = f"A piano roll of {time} steps"
    return Figure("roll", title, _describe(values, lowest), scene)


def name(midi: int) -> str:
    """The name of a MIDI number: 60 is C4."""
    return f"{NAMES[midi % OCTAVE]}{midi // OCTAVE - 1}"


def _keys(notes: TensorLike | Sequence[Sequence[int]], lowest: int) -> tuple[Array, int]:
    """(time, keys) and the MIDI number of the first key."""
    if not isinstance(notes, Tensor | np.ndarray) and _are_numbers(notes):
        several: Any = notes
        pitches = [[int(pitch) for pitch in step] for step in several]
        wrong = [p for step in pitches for p in step if not 0 <= p < 128]
        if wrong or not pitches:
            what = f"the note {wrong[0]}" if wrong else "no steps"
            raise FigureError(f"viz.roll: notes have {what}; MIDI numbers are 0 to 127.")
        used = sorted({p for step in pitches for p in step})
        if used:
            first = max(0, used[0] - MARGIN)
            values = np.zeros((len(pitches), min(127, used[-1] + MARGIN) - first + 1))
            for t, step in enumerate(pitches):
                values[t, np.array(step, int) - first] = 1.0
            return values, first
        return np.zeros((len(pitches), OCTAVE + 1)), 60
    values = array("roll", "notes", notes, "time, keys", batched=1)
    low, high = values.min(), values.max()
    if low < 0 or high > 1:
        raise FigureError(
            f"viz.roll: notes have {low if low < 0 else high:.4g}, and a key is held by 0 to 1.\n"
            "  Of logits, pass sigmoid(logits); of MIDI numbers, a list of each step's own."
        )
    if lowest < 0 or lowest + values.shape[1] > 128:
        raise FigureError(
            f"viz.roll: {values.shape[1]} keys from lowest={lowest} on are not all MIDI numbers, "
            "which are 0 to 127."
        )
    return values, lowest


def _are_numbers(notes: object) -> bool:
    """Whether it is the MIDI numbers of each step, which may be of any number, and not 0 and 1."""
    if not isinstance(notes, Sequence) or isinstance(notes, str):
        return False
    if not all(isinstance(step, Sequence) and not isinstance(step, str) for step in notes):
        return False
    every = [pitch for step in notes for pitch in step]
    whole = all(isinstance(p, int | np.integer) and not isinstance(p, bool) for p in every)
    return whole and (
        any(p > 1 for p in every) or len({len(step) for step in notes}) > 1 or not every
    )


def _describe(values: Array, lowest: int) -> str:
    held = values >= SEEN
    said: list[str] = []
    if not held.any():
        return Said("A piano roll of {steps} steps without notes.", steps=str(len(values)))
    used = np.flatnonzero(held.any(axis=0))
    said.append(
        Said(
            "A piano roll of {steps} steps, time to the right and pitch upwards: {count} notes a "
            "step, from {low} to {high}.",
            steps=str(len(values)),
            count=f"{held.sum() / len(held):.1f}",
            low=name(lowest + int(used[0])),
            high=name(lowest + int(used[-1])),
        )
    )
    for start, n, chord in runs([tuple(np.flatnonzero(step)) for step in held]):
        if chord:
            names = sentences.listed(name(lowest + int(key)) for key in chord)
            steps = str(start + 1) if n == 1 else f"{start + 1}–{start + n}"
            said.append(Said("{steps}: {names}.", steps=steps, names=names))
    return joined(said)
