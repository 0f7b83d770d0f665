"""What a training is at a moment, and what it tells about itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import ClassVar

from tinygrad_lstm.errors import DataError
from tinygrad_lstm.learning.flat import Flat
from tinygrad_lstm.learning.optimisers import Adam, Averages, Optimiser
from tinygrad_lstm.learning.schedules import Constant, Schedule
from tinygrad_lstm.learning.schema import LATER
from tinygrad_lstm.tensor import Tensor


@dataclass(frozen=True)
class Record:
    """How far a training had come: one entry of its history.

    loss: mean since the record before (None before the first step); measures: the task's, on its
    held-out data; seconds: time trained so far; sample: what a character model wrote then.
    """

    step: int
    loss: float | None
    measures: dict[str, float]
    seconds: float
    sample: str = field(default="", metadata=LATER)

    @property
    def train_bits(self) -> float | None:
        """The loss of a character model: bits a character."""
        return self.loss

    @property
    def validation_bits(self) -> float:
        """The loss of a character model on held-out text: bits a character."""
        return self.measures["bits"]


Stop = Callable[[tuple[Record, ...]], bool]  # of a history: whether to stop


def no_better(records: int, measure: str | None = None, *, highest: bool = False) -> Stop:
    """To stop early: `run(until=no_better(5))` ends after 5 records without a better one.

    measure: which is to become lower, or with `highest` higher; the task's first unless named.
    """

    def enough(history: tuple[Record, ...]) -> bool:
        values = [r.measures[measure or next(iter(r.measures))] for r in history]
        best = values.index(max(values) if highest else min(values))
        return len(values) - 1 - best >= records

    return enough


@dataclass(frozen=True)
class Progress:
    """What one step did, for whoever watches.

    loss: of this step, of a character model in bits a character; norm: of the gradient before
    clipping; seconds: time trained so far; read: how many steps of all sequences; record: where
    one was made.
    """

    step: int
    loss: float
    norm: float
    seconds: float
    read: int
    record: Record | None

    @property
    def bits(self) -> float:
        """The loss of a character model: bits a character."""
        return self.loss

    @property
    def characters(self) -> int:
        """How many a character model has read in this step."""
        return self.read


@dataclass(frozen=True)
class TrainingSettings:
    """How to train. With model and task it fixes every number but the seconds.

    batch: sequences side by side; clip: limit of the gradient's global norm, clip_entries: of each
    of its entries, before that, None for none; every: steps from record to record; seed: of
    batches and noise; schedule: what share of the optimiser's rate each step has; weight_noise:
    standard deviation of what is added to all parameters for each step's gradient (Graves 2011),
    input_noise: of what is added to inputs that are vectors (Greff et al. 2017).
    """

    batch: int = 32
    clip: float | None = 1.0
    clip_entries: float | None = field(default=None, metadata=LATER)
    every: int = 100
    seed: int = 0
    optimiser: Optimiser = field(default_factory=lambda: Adam(rate=0.003))
    schedule: Schedule = field(default=Constant(), metadata=LATER)
    weight_noise: float = field(default=0.0, metadata=LATER)
    input_noise: float = field(default=0.0, metadata=LATER)
    bounds: ClassVar[Mapping[str, tuple[int, int]]] = {
        "batch": (1, 100_000),
        "every": (1, 2**31 - 1),
        "seed": (0, 2**63 - 1),
    }

    def __post_init__(self) -> None:
        if not isinstance(self.optimiser, Optimiser):
            raise DataError(f"optimiser is one such as Adam(rate=0.003), got {self.optimiser!r}.")
        for name, (least, most) in self.bounds.items():
            if getattr(self, name) < least:
                raise DataError(f"{name} must be at least {least}, got {getattr(self, name)}.")
            if getattr(self, name) > most:
                raise DataError(f"{name} must be at most {most:,}, got {getattr(self, name):,}.")
        if self.clip is not None and not self.clip > 0:
            raise DataError(f"clip must be a norm above 0, got {self.clip}.")
        if self.clip_entries is not None and not self.clip_entries > 0:
            raise DataError(f"clip_entries must be a number above 0, got {self.clip_entries}.")
        for name in ("weight_noise", "input_noise"):
            if not 0 <= (value := getattr(self, name)) <= 1000:
                raise DataError(f"{name} must be a number from 0 to 1000, got {value}.")


@dataclass(frozen=True)
class Settings(TrainingSettings):
    """How to train a character model: as `TrainingSettings`, and how its text is read.

    batch: streams of text side by side; length: steps of time that a gradient flows back;
    held_out: share of the text, from its end, for validation; sample: characters of the sample in
    each record; seed: chooses where each pass over the text begins, and what samples say.
    """

    length: int = 64
    held_out: float = 0.05
    sample: int = 200
    optimiser: Optimiser = field(default_factory=lambda: Adam(rate=0.006))
    bounds: ClassVar[Mapping[str, tuple[int, int]]] = {
        "batch": (1, 2**31 - 1),
        "length": (1, 2**31 - 1),
        "every": (1, 2**31 - 1),
        "sample": (0, 100_000),
        "seed": (0, 2**63 - 1),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.held_out < 1:
            raise DataError(
                f"the share of text that is held out lies within 0 and 1, got {self.held_out}."
            )


@dataclass(frozen=True, kw_only=True)
class Position:
    """How far a training has come.

    passes and chunk: complete passes over the data, and how many batches of this one; recent:
    losses since the last record; loss, norm: of the last step, and of its gradient before
    clipping. Losses of character models are in bits a character.
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

    carried: the network's states after the last step, where the next batch goes on from them.
    """

    parameters: Flat
    averages: Averages
    carried: Mapping[str, Tensor] = field(default_factory=dict)
    history: tuple[Record, ...] = ()

    @property
    def position(self) -> Position:
        """How far the training has come, without its arrays."""
        return Position(**{own.name: getattr(self, own.name) for own in fields(Position)})
