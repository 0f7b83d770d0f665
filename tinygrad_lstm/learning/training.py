"""Training: a model and a task, step by step, with records, checkpoints and exact resumption."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import fields, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, overload

import numpy as np

from tinygrad_lstm.errors import DataError, UnknownNameError
from tinygrad_lstm.learning import checkpoints, tasks
from tinygrad_lstm.learning.character_model import CharacterModel
from tinygrad_lstm.learning.characters import Characters, characters
from tinygrad_lstm.learning.checkpoint_files import CheckpointError, claim, unusable
from tinygrad_lstm.learning.flat import Flat
from tinygrad_lstm.learning.learner import DivergenceError, Rule
from tinygrad_lstm.learning.losses import bits
from tinygrad_lstm.learning.models import FurtherInputs, Model
from tinygrad_lstm.learning.objectives import Objective
from tinygrad_lstm.learning.readouts import Readout
from tinygrad_lstm.learning.task import Batch, Task, measured
from tinygrad_lstm.learning.texts import SHAKESPEARE, Text, read_text, shakespeare
from tinygrad_lstm.learning.training_state import (
    Progress,
    Record,
    Settings,
    Stop,
    TrainingSettings,
    TrainingState,
)
from tinygrad_lstm.networks import System
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array, constant


class Training:
    """A model in training on a task.

        training = learning.Training(task, cells.lstm, hidden=32, seed=1)
        training.run(steps=2000, report=print, checkpoint="lstm.npz", until="solved")
        training.history[-1].measures

    model: a network, which gets the read-out and loss that the task needs, or one that has them,
    `readout(…)`, `task.model(…)` or a `Model`. Keyword arguments: those of `TrainingSettings`, and
    sizes, start values, dtype and others as a `Model` takes them. eager: compute by the
    interpreter, operation by operation; the numbers are the same up to rounding.

        training = learning.Training(character_model, text, batch=32, length=64)

    trains a character model, with the `Settings` of one. A text is read as `batch` contiguous
    streams, `length` characters a step; the state after a step is carried into the next, cut off
    from the graph. Every number but the seconds depends on model, task and settings alone.
    """

    @overload
    def __init__(
        self, task: CharacterModel, model: str | Text, *, eager: bool = ..., **options: Any
    ) -> None: ...
    @overload
    def __init__(
        self,
        task: Task,
        model: Model | Readout | Cell | System,
        *,
        eager: bool = ...,
        **options: Any,
    ) -> None: ...
    def __init__(self, task: Any, model: Any, *, eager: bool = False, **options: Any) -> None:
        self.model: Any
        self.settings: Any
        if isinstance(task, CharacterModel):
            self.settings, self.model = Settings(**options), task
            self.task: Task = characters(task, model, self.settings)
        else:
            names = {field.name for field in fields(TrainingSettings)}
            self.settings = TrainingSettings(**{n: v for n, v in options.items() if n in names})
            more = {n: v for n, v in options.items() if n not in names}
            self.task, self.model = task, task.fitted(model, seed=self.settings.seed, **more)
        head = self.model.readout
        if self.settings.input_noise and head.symbols:
            raise DataError(f"input_noise is for vectors, but {self.task} reads symbols.")
        parameters = Flat.of(self.model.parameters)
        self.objective = Objective(head, parameters, eager=eager, **self.model.sizes)
        self.state = TrainingState(parameters, self.settings.optimiser.start(parameters))
        # the batch at a place in the data, and those that follow it
        self._ahead: tuple[tuple[int, int], Batch, Iterator[Batch]] | None = None

    @overload
    @classmethod
    def resume(
        cls,
        path: str | Path,
        task: Cell,
        text: str | Text | None = ...,
        further: FurtherInputs | None = ...,
        eager: bool = ...,
    ) -> Training: ...
    @overload
    @classmethod
    def resume(
        cls,
        path: str | Path,
        task: Task | None = ...,
        text: Readout | Cell | System | None = ...,
        further: FurtherInputs | None = ...,
        eager: bool = ...,
    ) -> Training: ...
    @classmethod
    def resume(
        cls,
        path: str | Path,
        task: Any = None,
        text: Any = None,
        further: Any = None,
        eager: bool = False,
    ) -> Training:
        """The training that a checkpoint holds; it goes on as if it had never stopped.

            Training.resume("adding.npz")                  # a task and a cell that have names
            Training.resume("adding.npz", task, my_cell)   # of one's own
            Training.resume("lstm.npz", cells.lstm, text)  # a character model

        text: the one a character model was trained on; Shakespeare or the file of old unless
        given. further: the function for the cell's further inputs.
        """
        if not isinstance(task, Cell):
            found: Any = checkpoints.load_training(path, task, text, further)
            subject, taught = task or _task_of(path, found), found.model
        else:
            found = checkpoints.load(path, task, further)
            subject, taught = found.model, _text_of(path, found, text)
        try:
            training = cls(subject, taught, eager=eager, **vars(found.settings))
            training.state = found.state
            training._batch()  # which there is at this place
        except DataError as error:
            raise unusable(path, error) from error
        return training

    # --- what it is -------------------------------------------------------------------------------
    @property
    def history(self) -> tuple[Record, ...]:
        """The records made so far: before the first step, every `every` steps, and at the end."""
        return self.state.history

    @property
    def parameters(self) -> Flat:
        """The parameters as they are now, by name and in one vector."""
        return self.state.parameters

    @property
    def solved(self) -> bool:
        """Whether the task was solved at the last record."""
        return bool(self.history) and self.task.solved(self.history[-1].measures)

    @property
    def characters(self) -> Characters:
        """The task of a character model, which knows its text."""
        if not isinstance(self.task, Characters):
            raise DataError(f"{self.task} is not the task of a character model.")
        return self.task

    @property
    def text(self) -> Text:
        """The text of a character model."""
        return self.characters.text

    @property
    def validation_ids(self) -> Array:
        """The numbers of the symbols of the text that is held out."""
        return self.characters.validation_ids

    @cached_property
    def _tests(self) -> Sequence[Batch]:
        return self.task.tests()

    def measure(self, task: Task | None = None, parameters: Any = None) -> dict[str, float]:
        """The task's measures now, on its held-out data. DataError where they are not finite.

        task: another, such as of test pieces; parameters: others, such as of the best record.
        """
        tests, p = self._tests if task is None else task.tests(), self.parameters
        predict = partial(self.objective.predict, p if parameters is None else p.fit(parameters))
        with np.errstate(all="ignore"):  # what overflows is named
            return measured(task or self.task, tests, self.model, predict)

    def save(self, path: str | Path) -> None:
        """Write a checkpoint, from which `resume` goes on."""
        checkpoints.save(path, self.task, self.model, self.settings, self.state)

    # --- running ----------------------------------------------------------------------------------
    def run(
        self,
        steps: int | None = None,
        seconds: float | None = None,
        report: Callable[[Progress], Any] | None = None,
        checkpoint: str | Path | None = None,
        *,
        every: int | None = None,
        until: str | Stop | None = None,
    ) -> None:
        """Train for further `steps`, or about `seconds`, whichever is first.

        report: told every step; a report that returns True stops the training after that step.
        checkpoint: a file to write before the first step, at every record and at the end, also
        when Ctrl-C (KeyboardInterrupt) or an error of the report ends it; CheckpointError while
        another training writes it. every: steps from record to record from now on. until: "solved",
        or a function of the history, such as `no_better(5)`, that says at a record whether to stop.
        Raises DivergenceError where the loss stops being a number; the checkpoint of the last
        record then stays.
        """
        if steps is None and seconds is None:
            raise DataError("say how long to train: run(steps=1000) or run(seconds=60).")
        for name, value in {"steps": steps, "seconds": seconds}.items():
            if value is not None and not value >= 0:
                raise DataError(f"{name} must be at least 0, got {value}.")
        if isinstance(until, str) and until != "solved":
            raise DataError(f'until is "solved" or a function of the history, got {until!r}.')
        if every is not None:
            self.settings = replace(self.settings, every=every)
        with claim(checkpoint) if checkpoint else nullcontext():
            self._run(steps, seconds, report, checkpoint, until)

    def _run(
        self,
        steps: int | None,
        seconds: float | None,
        report: Callable[[Progress], Any] | None,
        checkpoint: str | Path | None,
        until: str | Stop | None,
    ) -> None:
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
            while (
                (last is None or self.state.step < last)
                and (seconds is None or time.perf_counter() - begun < seconds)
                and not (self._recorded() and self._enough(until))
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

    def _enough(self, until: str | Stop | None) -> bool:
        return self.solved if until == "solved" else callable(until) and until(self.history)

    def _step(self, clock: Callable[[], float]) -> Progress:
        """One step of learning; `clock` tells the seconds since the training's start."""
        s, settings, batch = self.state, self.settings, self._batch()
        rule = Rule(settings.optimiser, settings.clip, settings.clip_entries, settings.schedule)
        number = s.step + 1
        try:
            parameters, averages, found = rule.step(
                *(self.objective, s.parameters, s.averages, number),
                self._disturbed(batch.xs, settings.input_noise, 2),
                batch.target,
                at=self._shaken(s.parameters),
                initial=s.carried if batch.start else None,
                lengths=batch.lengths,
                weights=batch.weights,
                seed=s.step if batch.seed is None else batch.seed,
                further={**batch.further, **self.model.inputs(batch.xs, batch.start)},
            )
        except DivergenceError as error:
            raise self._diverged(str(error)) from error
        assert self._ahead is not None  # the batch came from there
        (passes, place), _, rest = self._ahead
        self._ahead = None  # what is interrupted in drawing a batch has no further ones
        following = next(rest, None)
        passes, place = (passes, place + 1) if following else (passes + 1, 0)
        goes_on = following is not None and following.start
        carried = {n: constant(v) for n, v in found.final.items()} if goes_on else {}
        cost = bits(found.loss) if self.task.in_bits else found.loss
        seconds = clock()
        self.state = replace(
            s,
            parameters=parameters,
            averages=averages,
            carried=carried,
            step=number,
            passes=passes,
            chunk=place,
            seconds=seconds,
            loss=cost,
            norm=found.norm,
            recent=(*s.recent, cost),
        )
        self.model.parameters = parameters
        if following:
            self._ahead = (passes, place), following, rest
        record = None if number % settings.every else self._record()
        read = int(np.prod(batch.xs.shape[:2]))
        return Progress(number, cost, found.norm, seconds, read, record)

    def _batch(self) -> Batch:
        """The batch at the place in the data where the training is."""
        s, settings = self.state, self.settings
        here = s.passes, s.chunk
        if self._ahead is None or self._ahead[0] != here:
            rest, count = self.task.reading(settings.seed, s.passes, settings.batch), -1
            for count, batch in enumerate(rest):
                if count == s.chunk:
                    self._ahead = here, batch, rest
                    return batch
            if count < 0:
                raise DataError(f"{self.task} gives no batch of {settings.batch} sequences.")
            raise DataError(f"position.chunk must be below {count + 1}, but is {s.chunk}")
        return self._ahead[1]

    def _shaken(self, p: Flat) -> Flat:
        deviation = self.settings.weight_noise
        return p.like(self._disturbed(p.vector, deviation, 1)) if deviation else p

    def _disturbed(self, values: Array, deviation: float, which: int) -> Array:
        """Values with noise from N(0, deviation²), which depends on seed and step alone."""
        if not deviation:
            return values
        random = np.random.default_rng([self.settings.seed, self.state.step, which])
        noise = deviation * random.standard_normal(values.shape)
        return np.asarray(values + noise.astype(values.dtype))

    def _recorded(self) -> bool:
        return bool(self.history) and self.history[-1].step == self.state.step

    def _record(self) -> Record:
        """Add a record of this moment to the history."""
        s = self.state
        learnt = float(np.mean(s.recent)) if s.recent else None
        try:
            record = Record(s.step, learnt, self.measure(), s.seconds, self.task.example(s.step))
        except DataError as error:
            raise self._diverged(f"model computes what is not a number ({error})") from error
        kept = s.recent if s.step % self.settings.every else ()
        self.state = replace(s, recent=kept, history=(*s.history, record))
        return record

    def _diverged(self, what: str) -> DivergenceError:
        s, settings = self.state, self.settings
        before = "it was the first"
        if s.loss is not None:
            loss = f"{s.loss:.4g} bits a character" if self.task.in_bits else f"loss {s.loss:.4g}"
            before = f"step {s.step} had {loss}, gradient norm {s.norm:.4g}"
        clip = f"clip below {settings.clip:g}" if settings.clip else "clip the gradient"
        return DivergenceError(
            f"after step {s.step} the {what}; {before}.\n  Try a rate below "
            f"{settings.optimiser.rate:g}, or {clip}. The last checkpoint is kept."
        )


def _task_of(path: str | Path, found: checkpoints.TaskCheckpoint) -> Task:
    """The task of a name that a checkpoint is of."""
    try:
        task = tasks.find(found.task, **found.options)
    except UnknownNameError as error:
        raise CheckpointError(
            f"checkpoint {path} is of the task {found.task}, which is not built in.\n"
            f"  Pass it as well: Training.resume(path, task)."
        ) from error
    checkpoints.load_training(path, task, found.model.readout, found.model.further)
    return task


def _text_of(path: str | Path, found: checkpoints.Checkpoint, text: str | Text | None) -> Text:
    """The text that a character model was trained on."""
    if text is None:
        text = shakespeare() if found.text == SHAKESPEARE else read_text(found.text)
    text = text if isinstance(text, Text) else Text(text)
    if text.fingerprint != found.fingerprint:
        raise CheckpointError(
            f"checkpoint {path} was trained on {found.text}, and {text.name} is another text, "
            f"or has changed.\n  Name the same text, or another file to begin anew."
        )
    return text
