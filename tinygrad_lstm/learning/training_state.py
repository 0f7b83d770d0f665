"""What a training is at a moment, and what it tells about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from tinygrad_lstm.errors import DataError
from tinygrad_lstm.learning.flat import Flat
from tinygrad_lstm.learning.optimisers import Adam, Averages, Optimiser
from tinygrad_lstm.learning.schema import LATER
from tinygrad_lstm.tensor import Tensor


@dataclass(frozen=True)
class Record:
    """How far a training had come: one entry of its history.

    train_bits: mean loss since the record before (None before the first step); validation_bits:
    loss on held-out text, both in bits a character; seconds: time trained so far; sample: what
    the model wrote then.
    """

    step: int
    train_bits: float | None
    validation_bits: float
    seconds: float
    sample: str


@dataclass(frozen=True)
class Progress:
    """What one step did, for whoever watches.

    bits: loss of this step, bits a character; norm: of the gradient before clipping; seconds: time
    trained so far; characters: how many were read in this step; record: where one was made.
    """

    step: int
    bits: float
    norm: float
    seconds: float
    characters: int
    record: Record | None


@dataclass(frozen=True)
class Settings:
    """How to train. With the model and the text it fixes every number but the seconds.

    batch: streams side by side; length: steps of time that a gradient flows back; clip: limit of
    the gradient's global norm; clip_entries: of each of its entries, before that, None for none;
    every: steps from record to record; held_out: share of the text, from its end, for validation;
    sample: characters of the sample in each record; seed: chooses where each pass over the text
    begins, and what samples say.
    """

    batch: int = 32
    length: int = 64
    clip: float = 1.0
    clip_entries: float | None = field(default=None, metadata=LATER)
    every: int = 100
    held_out: float = 0.05
    sample: int = 200
    seed: int = 0
    optimiser: Optimiser = field(default_factory=lambda: Adam(rate=0.006))

    def __post_init__(self) -> None:
        most = 2**31 - 1
        bounds = {
            "batch": (1, most),
            "length": (1, most),
            "every": (1, most),
            "sample": (0, 100_000),
            "seed": (0, 2**63 - 1),
        }
        for name, (least, most) in bounds.items():
            if getattr(self, name) < least:
                raise DataError(f"{name} must be at least {least}, got {getattr(self, name)}.")
            if getattr(self, name) > most:
                raise DataError(f"{name} must be at most {most:,}, got {getattr(self, name):,}.")
        if not self.clip > 0:
            raise DataError(f"clip must be a norm above 0, got {self.clip}.")
        if self.clip_entries is not None and not self.clip_entries > 0:
            raise DataError(f"clip_entries must be a number above 0, got {self.clip_entries}.")
        if not 0 < self.held_out < 1:
            raise DataError(
                f"the share of text that is held out lies within 0 and 1, got {self.held_out}."
            )


@dataclass(frozen=True, kw_only=True)
class Position:
    """How far a training has come.

    passes and chunk: complete passes over the text and the place within this one; recent: losses
    since the last record, bits a character; loss, norm: of the last step, and of its gradient
    before clipping.
    """

    step: int = 0
    passes: int = 0
    chunk: int = 0
    seconds: float = 0.0
    loss: float | None = None
    norm: float = 0.0
    recent: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.seconds < 0:
            raise DataError(f"position.seconds must be at least 0, but is {self.seconds}")


@dataclass(frozen=True)
class TrainingState(Position):
    """Everything that a step changes. A step makes a new one, so it is never half changed.

    carried: the cell's states after the last step (none at the start of a pass).
    """

    parameters: Flat
    averages: Averages
    carried: Mapping[str, Tensor] = field(default_factory=dict)
    history: tuple[Record, ...] = ()

    @property
    def position(self) -> Position:
        """How far the training has come, without its arrays."""
        return Position(**{own.name: getattr(self, own.name) for own in fields(Position)})
