"""Real sequences with a class: digits row by row, Japanese vowels, names of languages."""

from __future__ import annotations

import gzip
import io
import json
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial

import numpy as np

from tinygrad_lstm.errors import DataError
from tinygrad_lstm.learning.task import Batch, Task
from tinygrad_lstm.learning.tasks import measures
from tinygrad_lstm.learning.tasks.drawn import Random, endless
from tinygrad_lstm.learning.tasks.packages import packaged
from tinygrad_lstm.learning.tasks.registry import Lazily, task
from tinygrad_lstm.tensor import Array


def padded(sequences: Sequence[Array], classes: Sequence[int]) -> Batch:
    """Sequences (time, …) of different lengths side by side."""
    lengths = np.array([len(one) for one in sequences])
    shape = int(lengths.max()), len(sequences), *sequences[0].shape[1:]
    xs = np.zeros(shape, sequences[0].dtype)
    for b, one in enumerate(sequences):
        xs[: len(one), b] = one
    return Batch(xs, np.array(classes), lengths)


def passes(count: int, made: Callable[[Array], Batch]) -> Callable[[Random, int], Iterator[Batch]]:
    """One pass over so many samples in an order of its own."""

    def batches(random: Random, batch: int) -> Iterator[Batch]:
        order = random.permutation(count)
        for k in range(0, count, batch):
            yield made(order[k : k + batch])

    return batches


def _by_means(taught: Array, kinds: Array, held: Array, right: Array) -> dict[str, float]:
    """The errors of chance, and of who says the class with the nearest mean."""
    means = np.stack([taught[kinds == k].mean(0) for k in range(kinds.max() + 1)])
    nearest = ((held[:, None] - means) ** 2).sum(-1).argmin(1)
    return {
        "error of chance": measures.majority(right),
        "error of the nearest mean": float((nearest != right).mean()),
    }


# --- digits ---------------------------------------------------------------------------------------
@cache
def _digits() -> tuple[Array, Array]:
    (file,) = packaged("digits", "scikit-learn", "datasets/data/digits.csv.gz")
    rows = np.loadtxt(io.BytesIO(gzip.decompress(file.read_bytes())), delimiter=",")
    mixed = np.random.default_rng(0).permutation(len(rows))
    return rows[mixed, :-1].astype(np.float32) / 16.0, rows[mixed, -1].astype(int)


@task("digits", needs="scikit-learn", width="pixels that are read at a step: 8 a row, 1 a pixel")
def digits(*, width: int = 8) -> Task:
    """Which digit was written, read row by row?

    8 x 8 pixels between 0 and 1, `width` of them a step. Four fifths are learnt from, the others
    tested; which ones is drawn once.
    """
    if width < 1 or 64 % width:
        raise DataError(f"digits: width must divide 64, such as 8, got {width}.")
    pixels, classes = _digits()
    known = len(pixels) * 4 // 5
    rows = pixels.reshape(len(pixels), 64 // width, width).transpose(1, 0, 2)
    test = cache(lambda: Batch(rows[:, known:], classes[known:]))

    def baselines() -> dict[str, float]:
        return _by_means(pixels[:known], classes[:known], pixels[known:], classes[known:])

    return Task(
        "digits",
        inputs=width,
        outputs=10,
        batches=passes(known, lambda own: Batch(rows[:, own], classes[own])),
        test=test,
        solved=lambda found: found["error"] < 0.03,
        baselines=Lazily(baselines),
        **measures.OF_CLASSES,
        source="the digits in the package scikit-learn (UCI, Alpaydin and Kaynak 1998)",
        licence="CC BY 4.0",
        size=f"{len(pixels):,} images, {len(pixels) - known} of them held out",
    )


# --- Japanese vowels ------------------------------------------------------------------------------
@cache
def _vowels(part: str) -> tuple[list[Array], list[int]]:
    (file,) = packaged("japanese-vowels", "aeon", f"data/JapaneseVowels/JapaneseVowels_{part}.ts")
    sequences, speakers = [], []
    for line in file.read_text(encoding="utf-8").partition("@data")[2].split():
        *channels, speaker = line.split(":")
        sequences.append(np.array([c.split(",") for c in channels], np.float32).T)
        speakers.append(int(speaker) - 1)
    return sequences, speakers


@task("japanese-vowels", needs="aeon")
def japanese_vowels() -> Task:
    """Which of nine men says the two vowels?

    12 coefficients of the voice a step, 7 to 29 steps; 270 sequences are learnt from, 370 tested,
    as they were published.
    """
    sequences, speakers = _vowels("TRAIN")
    test = cache(lambda: padded(*_vowels("TEST")))

    def baselines() -> dict[str, float]:
        held, own = _vowels("TEST")
        taught, told = (np.stack([one.mean(0) for one in part]) for part in (sequences, held))
        return _by_means(taught, np.array(speakers), told, np.array(own))

    def chosen(own: Array) -> Batch:
        return padded([sequences[k] for k in own], [speakers[k] for k in own])

    return Task(
        "japanese-vowels",
        inputs=12,
        outputs=9,
        batches=passes(len(sequences), chosen),
        test=test,
        solved=lambda found: found["error"] < 0.03,
        baselines=Lazily(baselines),
        **measures.OF_CLASSES,
        source="Japanese Vowels in the package aeon (UCI, Kudo, Toyama and Shimbo 1999)",
        licence="CC BY 4.0",
        size="640 sequences, 370 of them held out",
    )


# --- names ----------------------------------------------------------------------------------------
def _strings(found: object) -> Iterator[str]:
    if isinstance(found, str):
        yield found
    elif isinstance(found, list | dict):
        for one in found.values() if isinstance(found, dict) else found:
            yield from _strings(one)


@cache
def names_of(language: str) -> tuple[str, ...]:
    """The names and surnames of a language, in lower case, each once and in order."""
    (file,) = packaged("names", "mimesis", f"datasets/{language}/person.json")
    person = json.loads(file.read_text(encoding="utf-8"))
    listed = _strings([person.get(key, []) for key in ("names", "surnames", "surname")])
    clean = (unicodedata.normalize("NFC", name).casefold() for name in listed)
    return tuple(sorted({n for n in clean if n.replace("-", "").replace("'", "").isalpha()}))


@task("names", needs="mimesis", languages="which, by their codes, with blanks between them")
def names(*, languages: str = "cs de es fi fr hu it nl pl pt sv tr") -> Task:
    """Which language is a name of, read letter by letter?

    Names and surnames in lower case; those that two of the languages have are left out, a fifth of
    the others is held out. A language is drawn, then one of its names, so that all are as likely.
    """
    codes = languages.split()
    if len(codes) < 2 or len(set(codes)) < len(codes):
        raise DataError(f"names: languages are two different codes at least, got {languages!r}.")
    listed = [names_of(code) for code in codes]
    known_to = Counter(name for own in listed for name in own)
    once = [[name for name in own if known_to[name] == 1] for own in listed]
    random = np.random.default_rng(0)
    mixed = [[own[k] for k in random.permutation(len(own))] for own in once]
    if short := [code for code, own in zip(codes, mixed, strict=True) if len(own) < 10]:
        raise DataError(f"names: there are fewer than 10 names of {', '.join(short)} alone.")
    held = [own[: len(own) // 5] for own in mixed]
    taught = [own[len(own) // 5 :] for own in mixed]
    letters = "".join(sorted({c for own in mixed for name in own for c in name}))
    numbers = {letter: k for k, letter in enumerate(letters)}

    def spelled(chosen: list[tuple[str, int]]) -> Batch:
        rows = [np.array([numbers[c] for c in name]) for name, _ in chosen]
        return padded(rows, [language for _, language in chosen])

    def draw(random: Random, batch: int) -> Batch:
        own = random.integers(0, len(codes), batch)
        return spelled([(taught[k][random.integers(len(taught[k]))], int(k)) for k in own])

    least = min(map(len, held))  # as many of each
    test = cache(lambda: spelled([(n, k) for k, own in enumerate(held) for n in own[:least]]))
    pairs = partial(_pair_error, taught, [own[:least] for own in held], len(letters))
    return Task(
        "names",
        inputs=len(letters),
        outputs=len(codes),
        symbols=len(letters),
        alphabet=letters,
        classes=codes,
        batches=endless(draw),
        test=test,
        **measures.OF_CLASSES,
        baselines=Lazily(
            lambda: {"error of chance": 1 - 1 / len(codes), "error of letter pairs": pairs()}
        ),
        source="first names and surnames in the package mimesis",
        licence="MIT",
        size=f"{sum(map(len, taught)):,} names of {len(codes)} languages, "
        f"{least * len(codes):,} others held out",
    )


def _pair_error(taught: list[list[str]], held: list[list[str]], letters: int) -> float:
    """The error of the likeliest language by pairs of letters, counted with 0.1 added to each."""
    tables = []
    for own in taught:
        counts: dict[str, float] = {}
        for name in own:
            for pair in zip("^" + name, name + "$", strict=True):
                for key in ("".join(pair), pair[0]):
                    counts[key] = counts.get(key, 0.0) + 1.0
        tables.append(counts)

    def score(name: str, counts: dict[str, float]) -> float:
        pairs = zip("^" + name, name + "$", strict=True)
        return sum(
            float(np.log((counts.get(a + b, 0.0) + 0.1) / (counts.get(a, 0.0) + 0.1 * letters)))
            for a, b in pairs
        )

    right = [
        max(range(len(tables)), key=lambda k: score(name, tables[k])) == language
        for language, own in enumerate(held)
        for name in own
    ]
    return 1.0 - sum(right) / len(right)
