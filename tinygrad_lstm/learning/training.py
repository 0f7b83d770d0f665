"""The training loop: truncated backpropagation through time with carried state."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_lstm.errors import DataError
from tinygrad_lstm.kernels import compiled
from tinygrad_lstm.learning import checkpoints
from tinygrad_lstm.learning.character_model import CharacterModel, FurtherInputs
from tinygrad_lstm.learning.checkpoints import CheckpointError
from tinygrad_lstm.learning.flat import Flat
from tinygrad_lstm.learning.learner import DivergenceError
from tinygrad_lstm.learning.losses import bits, cross_entropy
from tinygrad_lstm.learning.objectives import Objective
from tinygrad_lstm.learning.optimisers import clipped
from tinygrad_lstm.learning.sampling import sample
from tinygrad_lstm.learning.texts import (
    SHAKESPEARE,
    Text,
    chunk,
    chunks_in,
    needed,
    read_text,
    shakespeare,
    split,
)
from tinygrad_lstm.learning.training_state import Progress, Record, Settings, TrainingState
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array, Tensor, constant


class Training:
    """A character model in training on a text.

        training = learning.Training(model, text, batch=32, length=64)
        training.run(seconds=60, report=print, checkpoint="lstm.npz")
        training.history[-1].validation_bits

    The text is read as `batch` contiguous streams, `length` characters a step; the state after a
    step is carried into the next, cut off from the graph. Every number but the seconds depends on
    the model, the text and the settings alone. Keyword arguments are those of `Settings`.
    eager: compute by the interpreter, operation by operation, and not by the compiled cell; the
    numbers are the same up to rounding.
    """

    def __init__(
        self, model: CharacterModel, text: str | Text, *, eager: bool = False, **settings: Any
    ) -> None:
        self.model = model
        parameters = Flat.of(model.parameters)
        self.cell = model.cell if eager else compiled(model.cell)
        self.objective = Objective(model.readout, parameters, eager=eager, **model.sizes)
        self.text = text if isinstance(text, Text) else Text(text)
        self.settings = Settings(**settings)
        own = model.vocabulary == self.text.vocabulary
        ids = self.text.numbers if own else model.vocabulary.encode(self.text.characters)
        self.train_ids, self.validation_ids = split(ids, self.settings.held_out)
        self._check_length(len(ids))
        self.state = TrainingState(parameters, self.settings.optimiser.start(parameters))

    @classmethod
    def resume(
        cls,
        path: str | Path,
        cell: Cell,
        text: str | Text | None = None,
        further: FurtherInputs | None = None,
        eager: bool = False,
    ) -> Training:
        """The training that a checkpoint holds; it goes on as if it had never stopped.

        text: the one it was trained on; Shakespeare or the file of old unless given.
        """
        found = checkpoints.load(path, cell, further)
        if text is None:
            text = shakespeare() if found.text == SHAKESPEARE else read_text(found.text)
        text = text if isinstance(text, Text) else Text(text)
        if text.fingerprint != found.fingerprint:
            raise CheckpointError(
                f"checkpoint {path} was trained on {found.text}, and {text.name} is another text, "
                f"or has changed.\n  Name the same text, or another file to begin anew."
            )
        try:
            training = cls(found.model, text, eager=eager, **vars(found.settings))
            place, most = found.state.chunk, training._chunks(found.state.passes)
            if place >= most:
                raise DataError(f"position.chunk must be below {most}, but is {place}")
        except DataError as error:
            raise checkpoints.unusable(path, error) from error
        training.state = found.state
        return training

    def _check_length(self, characters: int) -> None:
        batch, length = self.settings.batch, self.settings.length
        if len(self.train_ids) < needed(batch, length):
            raise DataError(
                f"{self.text.name} has {characters:,} characters, {len(self.train_ids):,} of which "
                f"are to learn from and not held out, but a batch of {batch:,} streams of length "
                f"{length:,} needs {needed(batch, length):,}.\n"
                f"  Take a longer text, or a smaller batch or length."
            )

    @property
    def history(self) -> tuple[Record, ...]:
        """The records made so far: before the first step, every `every` steps, and at the end."""
        return self.state.history

    def save(self, path: str | Path) -> None:
        """Write a checkpoint, from which `resume` goes on."""
        checkpoints.save(path, self.model, self.settings, self.state, self.text)

    def run(
        self,
        steps: int | None = None,
        seconds: float | None = None,
        report: Callable[[Progress], Any] | None = None,
        checkpoint: str | Path | None = None,
    ) -> None:
        """Train for further `steps`, or about `seconds`, whichever is first.

        report: told every step; a report that returns True stops the training after that step.
        checkpoint: a file to write before the first step, at every record and at the end, also
        when Ctrl-C (KeyboardInterrupt) or an error of the report ends it. Raises DivergenceError
        where the loss stops being a number; the checkpoint of the last record then stays.
        """
        if steps is None and seconds is None:
            raise DataError("say how long to train: run(steps=1000) or run(seconds=60).")
        for name, value in {"steps": steps, "seconds": seconds}.items():
            if value is not None and not value >= 0:
                raise DataError(f"{name} must be at least 0, got {value}.")
        begun, before = time.perf_counter(), self.state.seconds
        every = self.settings.every
        # a record off the schedule was the end of an earlier run
        scheduled = tuple(record for record in self.history if record.step % every == 0)
        self.state = replace(self.state, history=scheduled)
        self.model.parameters = self.state.parameters
        last = None if steps is None else self.state.step + steps
        try:
            if self.state.step % every == 0 and not self._recorded():
                self._record()
            if checkpoint:
                self.save(checkpoint)
            while (last is None or self.state.step < last) and (
                seconds is None or time.perf_counter() - begun < seconds
            ):
                progress = self._step(lambda: before + time.perf_counter() - begun)
                if progress.record and checkpoint:
                    self.save(checkpoint)
                if report and report(progress) is True:
                    break
            else:
                if not self._recorded():
                    self._record()
        except (DivergenceError, CheckpointError):
            raise
        except BaseException:  # Ctrl-C, or a report that failed: nothing learnt is lost
            if checkpoint:
                self.save(checkpoint)
            raise
        if checkpoint:
            self.save(checkpoint)

    def _step(self, clock: Callable[[], float]) -> Progress:
        """One step of learning; `clock` tells the seconds since the training's start."""
        s, model = self.state, self.model
        batch, length = self.settings.batch, self.settings.length
        offset = self._offset(s.passes)
        start, stop = s.chunk * length, (s.chunk + 1) * length
        reads, comes = chunk(self.train_ids, batch, start, stop, offset)
        further = model.inputs(reads, start)
        with np.errstate(all="ignore"):  # what overflows is found and named below
            found = self.objective(
                *(s.parameters, reads, comes), initial=s.carried, seed=start, further=further
            )
            gradients, norm = clipped(
                found.gradient, self.settings.clip, self.settings.clip_entries
            )
            cost = bits(found.loss)
            if not np.isfinite([cost, norm]).all():
                raise self._diverged(f"loss is {cost} and the gradient's norm {norm}")
            parameters, averages = self.settings.optimiser.update(
                s.parameters, gradients, s.averages, s.step + 1
            )
        carried = {name: constant(value) for name, value in found.final.items()}
        for name, values in [*parameters.items(), *found.final.items()]:
            if not np.isfinite(values).all():
                raise self._diverged(f"step makes {name} infinite or nan")
        passes, place, seconds = s.passes, s.chunk + 1, clock()
        if place == self._chunks(passes):
            passes, place, carried = passes + 1, 0, {}
        self.state = replace(
            s,
            parameters=parameters,
            averages=averages,
            carried=carried,
            step=s.step + 1,
            passes=passes,
            chunk=place,
            seconds=seconds,
            loss=cost,
            norm=norm,
            recent=(*s.recent, cost),
        )
        model.parameters = parameters
        record = None if self.state.step % self.settings.every else self._record()
        return Progress(self.state.step, cost, norm, seconds, batch * length, record)

    def _offset(self, passes: int) -> int:
        """Where a pass over the text begins: at its start, then elsewhere for each further pass."""
        batch, length = self.settings.batch, self.settings.length
        spare = min(length, len(self.train_ids) - needed(batch, length) + 1)
        random = np.random.default_rng([self.settings.seed, passes])
        return int(random.integers(spare)) if passes else 0

    def _chunks(self, passes: int) -> int:
        """How many steps a pass over the text has."""
        batch, length = self.settings.batch, self.settings.length
        return chunks_in(len(self.train_ids), batch, length, self._offset(passes))

    def _recorded(self) -> bool:
        return bool(self.history) and self.history[-1].step == self.state.step

    def _record(self) -> Record:
        """Add a record of this moment to the history."""
        s, settings = self.state, self.settings
        try:
            with np.errstate(all="ignore"):  # as in a step
                held_out = evaluate(self.model, self.validation_ids, cell=self.cell)
                written = sample(self.model, settings.sample, seed=[settings.seed, s.step])
        except DataError as error:
            raise self._diverged(f"model computes what is not a number ({error})") from error
        if not np.isfinite(held_out):
            raise self._diverged(f"loss on held-out text is {held_out}")
        learnt = float(np.mean(s.recent)) if s.recent else None
        record = Record(s.step, learnt, held_out, s.seconds, written)
        recent = s.recent if s.step % settings.every else ()
        self.state = replace(s, recent=recent, history=(*s.history, record))
        return record

    def _diverged(self, what: str) -> DivergenceError:
        s = self.state
        before = "it was the first"
        if s.loss is not None:
            before = f"step {s.step} had {s.loss:.4g} bits a character, gradient norm {s.norm:.4g}"
        return DivergenceError(
            f"after step {s.step} the {what}; {before}.\n  Try a rate below "
            f"{self.settings.optimiser.rate:g}, or clip below {self.settings.clip:g}. The last "
            f"checkpoint is kept."
        )


def evaluate(
    model: CharacterModel,
    ids: Array,
    *,
    most: int = 32_768,
    streams: int = 64,
    length: int = 64,
    cell: Cell | None = None,
) -> float:
    """Loss on symbol numbers `ids` in bits a character, without learning.

    They are read as up to `streams` streams, each from zero states; of a long text about `most`
    characters are read, spread evenly over it. cell: the model's own, or `compiled` of it.
    """
    predictions = len(ids) - 1
    streams = max(1, min(streams, predictions // 128))
    each = min(predictions, most) // streams
    total = 0.0
    states: dict[str, Tensor] = {}
    for start in range(0, each, length):
        reads, comes = chunk(ids, streams, start, min(start + length, each))
        run = model.run(reads, states, start, cell=cell)
        states = {name: state.detach() for name, state in run.final.items()}
        total += cross_entropy(model.logits(run), comes.reshape(-1)).item() * len(reads)
    return bits(total / each)
