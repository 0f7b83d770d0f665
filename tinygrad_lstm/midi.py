"""Music as the bytes of a MIDI file, which every player and notation program reads.

Path("piece.mid").write_bytes(midi(run["x"][:, 0]))        # a piano roll: (time, 88)
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from tinygrad_lstm.errors import DataError
from tinygrad_lstm.tensor import Tensor, TensorLike

TICKS = 480  # a quarter note


def midi(notes: TensorLike, lowest: int = 21, tempo: float = 80.0, steps: int = 1) -> bytes:
    """A piano roll as a Standard MIDI File of one track (format 0).

    notes: (time, keys), a key sounds where it is at least 0.5 and is held from step to step.
    lowest: the MIDI number of the first key, 21 of a piano. tempo: quarter notes a minute. steps:
    how many make a quarter note. DataError for another shape or keys that MIDI does not have.
    """
    values = np.asarray(notes.numpy() if isinstance(notes, Tensor) else notes, float)
    if values.ndim != 2 or not 0 <= lowest <= 128 - values.shape[1]:
        raise DataError(
            f"notes are (time, keys) with MIDI numbers up to 127, got {values.shape} from "
            f"{lowest} on; of a batch choose one: notes[:, 0]."
        )
    if not (3.6 <= tempo <= 1e5 and 1 <= steps <= TICKS):
        raise DataError(f"a tempo of {tempo} and {steps} steps a quarter note cannot be written.")
    head = struct.pack(">4sIHHH", b"MThd", 6, 0, 1, TICKS)
    track = b"\x00\xff\x51\x03" + struct.pack(">I", round(6e7 / tempo))[1:]
    now = 0
    for tick, event in _events(values >= 0.5, lowest, TICKS // steps):
        track += _number(tick - now) + event
        now = tick
    track += b"\x00\xff\x2f\x00"
    return head + struct.pack(">4sI", b"MTrk", len(track)) + track


def _events(held: np.ndarray, lowest: int, ticks: int) -> Iterator[tuple[int, bytes]]:
    """When which key is pressed or let go, what ends before what begins."""
    silence = np.zeros_like(held[:1])
    change = np.diff(np.concatenate([silence, held, silence]).astype(int), axis=0)
    for step, row in enumerate(change):
        for sign, status, velocity in ((-1, 0x80, 0), (1, 0x90, 72)):
            for key in np.flatnonzero(row == sign):
                yield step * ticks, bytes([status, lowest + int(key), velocity])


def _number(value: int) -> bytes:
    """A whole number in sevens of bits, the last without its high bit."""
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.append(value & 0x7F | 0x80)
    return bytes(reversed(digits))
