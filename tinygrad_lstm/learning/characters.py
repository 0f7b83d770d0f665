"""Characters of a text as a task: streams side by side, whose states are carried on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tinygrad_lstm.errors import DataError, DTypeError
from tinygrad_lstm.learning.character_model import CharacterModel
from tinygrad_lstm.learning.losses import bits, cross_entropy
from tinygrad_lstm.learning.sampling import sample
from tinygrad_lstm.learning.task import Batch, Task
from tinygrad_lstm.learning.texts import Text, chunk, chunks_in, needed, split
from tinygrad_lstm.learning.training_state import Settings
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Characters(Task):
    """The next character of a text, for a model of its characters.

    The text is read as `batch` contiguous streams, `length` characters at a time; each further
    pass over it begins at another place.
    """

    reader: CharacterModel
    text: Text
    settings: Settings
    train_ids: Array
    validation_ids: Array

    def offset(self, number: int) -> int:
        """Where a pass over the text begins: at its start, then elsewhere for each further pass."""
        batch, length = self.settings.batch, self.settings.length
        spare = min(length, len(self.train_ids) - needed(batch, length) + 1)
        random = np.random.default_rng([self.settings.seed, number])
        return int(random.integers(spare)) if number else 0

    def reading(self, seed: int, number: int, batch: int) -> Iterator[Batch]:
        """The batches of a pass over the text."""
        return streams(self.train_ids, batch, self.settings.length, self.offset(number))

    def example(self, step: int) -> str:
        """What the model writes now."""
        return sample(self.reader, self.settings.sample, seed=[self.settings.seed, step])


def characters(model: CharacterModel, text: str | Text, settings: Settings) -> Characters:
    """The task to go on as a text does, for a model of its characters."""
    text = text if isinstance(text, Text) else Text(text)
    own = model.vocabulary == text.vocabulary
    ids = text.numbers if own else model.vocabulary.encode(text.characters)
    train_ids, validation_ids = split(ids, settings.held_out)
    batch, length, symbols = settings.batch, settings.length, len(model.vocabulary)
    if len(train_ids) < needed(batch, length):
        raise DataError(
            f"{text.name} has {len(ids):,} characters, {len(train_ids):,} of which "
            f"are to learn from and not held out, but a batch of {batch:,} streams of length "
            f"{length:,} needs {needed(batch, length):,}.\n"
            f"  Take a longer text, or a smaller batch or length."
        )
    return Characters(
        name="characters",
        inputs=symbols,
        outputs=symbols,
        loss="cross-entropy",
        at="every",
        symbols=symbols,
        batches=lambda random, batch: streams(
            train_ids, batch, length, int(random.integers(length))
        ),
        test=lambda: held_out(validation_ids),
        measures={"bits": surprise},
        in_bits=True,
        reader=model,
        text=text,
        settings=settings,
        train_ids=train_ids,
        validation_ids=validation_ids,
    )


def surprise(z: Array, batch: Batch) -> float:
    """The mean of -log2 p of what came: bits a position."""
    return bits(cross_entropy(z, batch.target, batch.counts(z)))


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
    if isinstance(ids, str):
        raise DTypeError(
            "evaluate reads the numbers of symbols, got text; write model.vocabulary.encode(text)."
        )
    if len(ids) < 2:
        raise DataError(f"there is nothing to predict in {len(ids)} symbols; give at least two.")
    total, count, states = 0.0, 0, None
    for batch in held_out(ids, most, streams, length):
        run = model.run(batch.xs, states if batch.start else None, batch.start, cell=cell)
        states = {name: state.detach() for name, state in run.final.items()}
        logits = model.readout.predict(model.parameters, run).data
        total += surprise(logits, batch) * batch.xs.size
        count += batch.xs.size
    return total / count


def held_out(ids: Array, most: int = 32_768, streams: int = 64, length: int = 64) -> list[Batch]:
    """Batches to test a model on, as `evaluate` reads them."""
    predictions = len(ids) - 1
    streams = max(1, min(streams, predictions // 128))
    each = min(predictions, most) // streams
    starts = range(0, each, length)
    return [_chunk(ids, streams, k, min(k + length, each)) for k in starts]


def streams(ids: Array, batch: int, length: int, offset: int) -> Iterator[Batch]:
    """The batches of one pass over a text, from `offset` on."""
    for k in range(chunks_in(len(ids), batch, length, offset)):
        yield _chunk(ids, batch, k * length, (k + 1) * length, offset)


def _chunk(ids: Array, batch: int, start: int, stop: int, offset: int = 0) -> Batch:
    reads, comes = chunk(ids, batch, start, stop, offset)
    return Batch(reads, comes, start=start, seed=start)
