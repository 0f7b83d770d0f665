"""The artificial long-lag tasks of Hochreiter and Schmidhuber (1997), and the latch (1994)."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np

from tinygrad_lstm.errors import DataError
from tinygrad_lstm.learning.task import Batch, Task
from tinygrad_lstm.learning.tasks import measures
from tinygrad_lstm.learning.tasks.drawn import Random, drawn, of_the_mean
from tinygrad_lstm.learning.tasks.registry import at_least, task
from tinygrad_lstm.tensor import Array

PAPER = "Hochreiter and Schmidhuber 1997, Long Short-Term Memory, experiment "
MARKS, LONGEST = "abcdXYEB", 100_000


def lengths_of(random: Random, batch: int, time: int) -> Array:
    """Lengths T to T + T/10, all as likely."""
    return random.integers(time, time + time // 10 + 1, batch)


def _fits(name: str, lag: int, least: int) -> None:
    at_least(name, lag=(lag, least))
    if lag > LONGEST:
        raise DataError(f"{name}: lag must be at most {LONGEST:,}, got {lag:,}.")


# --- adding and multiplication --------------------------------------------------------------------
def _marked(random: Random, batch: int, *, time: int, sums: bool) -> Batch:
    lengths = lengths_of(random, batch, time)
    low, neutral = (-1.0, 0.0) if sums else (0.0, 1.0)
    xs = np.zeros((lengths.max(), batch, 2), np.float32)
    xs[..., 0] = random.uniform(low, 1.0, xs.shape[:2])
    which = np.arange(batch)
    first = random.integers(0, min(10, time // 2 - 1), batch)
    second = random.integers(0, time // 2 - 2, batch)
    second += second >= first  # among those that are not marked
    xs[0, :, 1] = xs[lengths - 1, which, 1] = -1.0
    xs[first, which, 1] = xs[second, which, 1] = 1.0
    xs[0, (first == 0) | (second == 0), 0] = neutral
    one, two = xs[first, which, 0], xs[second, which, 0]
    target = 0.5 + (one + two) / 4.0 if sums else one * two
    xs[np.arange(len(xs))[:, None] >= lengths] = 0.0
    return Batch(xs, target[:, None].astype(np.float32), lengths)


def _of_marked(name: str, lag: int, sums: bool, number: str) -> Task:
    _fits(name, lag, 3)
    found = {"error": measures.further_than(0.04), "squared error": measures.squared}
    return drawn(
        name,
        partial(_marked, time=2 * lag, sums=sums),
        of_the_mean(found, lambda batch: batch.target.mean()),
        inputs=2,
        outputs=1,
        loss="squared-error",
        at="end",
        measures=found,
        solved=lambda found: found["error"] < 0.01,
        source=PAPER + number,
    )


@task("adding", lag="steps from the later mark to the end, at least; the length is 2 lag or more")
def adding(*, lag: int = 50) -> Task:
    """Two of many numbers are marked; at the end their sum is asked for.

    T = 2 lag. Pairs (value, marker); values from U[-1, 1]; lengths T to T + T/10. Marker 1 at one
    of the first ten pairs and at another of the first T/2 - 1, -1 at the first and the last, else
    0; a first pair that is marked has the value 0. Target 0.5 + (X1 + X2)/4; wrong if further than
    0.04 from it. The read-out is linear, where the paper has a logistic unit.
    """
    return _of_marked("adding", lag, True, "4")


@task(
    "multiplication",
    lag="steps from the later mark to the end, at least; the length is 2 lag or more",
)
def multiplication(*, lag: int = 50) -> Task:
    """Two of many numbers are marked; at the end their product is asked for.

    As adding, but values are from U[0, 1], a first pair that is marked has the value 1, and the
    target is X1 X2.
    """
    return _of_marked("multiplication", lag, False, "5")


# --- temporal order -------------------------------------------------------------------------------
def _ordered(
    random: Random, batch: int, *, time: int, windows: tuple[tuple[int, int], ...]
) -> Batch:
    lengths = lengths_of(random, batch, time)
    xs = random.integers(0, 4, (lengths.max(), batch))
    target = np.zeros(batch, int)
    for low, high in windows:
        kind = random.integers(0, 2, batch)
        xs[random.integers(low, high + 1, batch), np.arange(batch)] = 4 + kind
        target = 2 * target + kind
    xs[0] = MARKS.index("E")
    xs[lengths - 1, np.arange(batch)] = MARKS.index("B")
    xs[np.arange(len(xs))[:, None] >= lengths] = 0
    return Batch(xs, target, lengths)


def _of_order(
    name: str, time: int, marks: tuple[tuple[float, float], ...], limit: float, number: str
) -> Task:
    windows = tuple((round(a * time), round(b * time)) for a, b in marks)
    edges = [0, *(edge for window in windows for edge in window), time - 1]
    if any(a > b for a, b in zip(edges, edges[1:], strict=False)) or any(
        a >= b for (_, a), (b, _) in zip(windows, windows[1:], strict=False)
    ):
        raise DataError(f"{name}: sequences of {time} steps do not hold its marks; take more lag.")
    return drawn(
        name,
        partial(_ordered, time=time, windows=windows),
        lambda batch: {"error of chance": measures.majority(batch.target)},
        inputs=len(MARKS),
        outputs=2 ** len(marks),
        symbols=len(MARKS),
        alphabet=MARKS,
        classes=["".join(kind) for kind in itertools.product("XY", repeat=len(marks))],
        solved=lambda found: found["error"] < limit,
        source=PAPER + number,
        **measures.OF_CLASSES,
    )


@task("temporal-order", lag="steps from the second mark to the end, at least; T = 2.5 lag")
def temporal_order(*, lag: int = 40) -> Task:
    """In which order did two marks, each an X or a Y, come, long before the end?

    T = 2.5 lag. Symbols a b c d X Y E B; E first, B last, lengths T to T + T/10; X or Y at a place
    of [T/10, T/5] and of [T/2, 6T/10], counted from 0, any of a b c d elsewhere. Four classes: XX,
    XY, YX, YY. The softmax's largest output is the answer, where the paper asks for all outputs
    within 0.3 of theirs.
    """
    _fits("temporal-order", lag, 4)
    return _of_order("temporal-order", round(2.5 * lag), ((0.1, 0.2), (0.5, 0.6)), 0.01, "6a")


@task("temporal-order-6b", lag="steps from the third mark to the end, at least; T = lag / 0.24")
def temporal_order_of_three(*, lag: int = 24) -> Task:
    """In which order did three marks, each an X or a Y, come, long before the end?

    T = lag / 0.24. As temporal-order, with marks at places of [T/10, T/5], [0.33 T, 0.43 T] and
    [0.66 T, 0.76 T], and eight classes.
    """
    _fits("temporal-order-6b", lag, 3)
    marks = ((0.1, 0.2), (0.33, 0.43), (0.66, 0.76))
    return _of_order("temporal-order-6b", round(lag / 0.24), marks, 0.01, "6b")


# --- two sequences, noise and signal --------------------------------------------------------------
def _two(
    random: Random,
    batch: int,
    *,
    time: int,
    signal: int,
    noisy: bool,
    values: tuple[float, float],
    target_noise: float,
) -> Batch:
    lengths = lengths_of(random, batch, time)
    kind = random.integers(0, 2, batch)
    xs = random.normal(0.0, np.sqrt(0.2), (lengths.max(), batch, 1))
    xs[:signal] = 2.0 * kind[:, None] - 1.0 + (xs[:signal] if noisy else 0.0)
    xs[np.arange(len(xs))[:, None] >= lengths] = 0.0
    target = np.where(kind == 1, *values) + random.normal(0.0, np.sqrt(target_noise), batch)
    return Batch(xs.astype(np.float32), target[:, None].astype(np.float32), lengths)


def _of_two(
    name: str,
    lag: int,
    signal: int,
    number: str,
    limits: tuple[float, int, float],
    *,
    noisy: bool = False,
    values: tuple[float, float] = (1.0, 0.0),
    target_noise: float = 0.0,
) -> Task:
    _fits(name, lag, 2)
    at_least(name, signal=(signal, 1))
    if signal >= lag:
        raise DataError(f"{name}: signal must be below lag = {lag}, got {signal}.")
    kind = partial(_two, time=lag, signal=signal, noisy=noisy, values=values)
    far, wrong, mean = limits
    found = {"error": measures.further_than(far), "mean error": measures.absolute}
    return drawn(
        name,
        partial(kind, target_noise=target_noise),
        of_the_mean(found, lambda batch: sum(values) / 2),
        count=256,
        held=partial(kind, target_noise=0.0),
        inputs=1,
        outputs=1,
        loss="squared-error",
        at="end",
        measures=found,
        solved=lambda m: 256 * m["error"] < wrong and m["mean error"] < mean,
        source=PAPER + number,
    )


_LAG = "steps of a sequence, at least"
_SIGNAL = "first inputs that tell the class (the paper has 3 and 1)"


@task("two-sequence", lag=_LAG, signal=_SIGNAL)
def two_sequence(*, lag: int = 100, signal: int = 3) -> Task:
    """The first few inputs tell one of two classes, noise follows; the class is asked for.

    Lengths lag to lag + lag/10; the first `signal` inputs are 1 or -1, the others from N(0,
    variance 0.2); target 1 or 0, wrong if further than 0.2. Solved: none of 256 wrong, and mean
    error below 0.01 (the paper's ST2). Bengio et al. 1994 set it; random weights solve it, too.
    """
    return _of_two("two-sequence", lag, signal, "3a", (0.2, 1, 0.01))


@task("noise-and-signal", lag=_LAG, signal=_SIGNAL)
def noise_and_signal(*, lag: int = 100, signal: int = 3) -> Task:
    """As two-sequence, with the noise on the first few inputs as well.

    Solved: fewer than 6 of 256 wrong, and mean error below 0.04.
    """
    return _of_two("noise-and-signal", lag, signal, "3b", (0.2, 6, 0.04), noisy=True)


@task("two-sequence-3c", lag=_LAG, signal=_SIGNAL)
def two_sequence_noisy_targets(*, lag: int = 100, signal: int = 3) -> Task:
    """As two-sequence, with noisy targets: 0.2 or 0.8, and N(0, variance 0.1).

    Learnt from noisy targets, tested against those without: wrong if further than 0.1. Solved:
    none of 256 wrong, and mean error below 0.015.
    """
    return _of_two(
        "two-sequence-3c", lag, signal, "3c", (0.1, 1, 0.015), values=(0.2, 0.8), target_noise=0.1
    )


# --- the latch ------------------------------------------------------------------------------------
def _latched(random: Random, batch: int, *, lag: int, signal: int, noise: float) -> Batch:
    kind = random.integers(0, 2, batch)
    xs = np.zeros((signal + lag, batch, 2 * signal + 1), np.float32)
    for t in range(signal):
        xs[t, np.arange(batch), kind * signal + t] = 1.0
    xs[signal:, :, -1] = random.normal(0.0, noise, (lag, batch))
    return Batch(xs, np.where(kind == 1, 0.8, -0.8).astype(np.float32)[:, None])


@task(
    "latch",
    lag="steps of noise after the class was told",
    signal="steps at which the class is told",
    noise="standard deviation of the noise",
)
def latch(*, lag: int = 17, signal: int = 3, noise: float = 0.2) -> Task:
    """One bit is to be held against noise; how it is told is learnt, too.

    In the first `signal` steps the input is one of two values a step, one for each class, which are
    learnt: x is the row of an identity matrix, so that they are columns of the input weights. Then
    noise N(0, noise²) enters by an input of its own. Target 0.8 or -0.8 at the end; wrong if of the
    other sign. The paper has one unit, T = signal + lag = 20.
    """
    _fits("latch", lag, 0)
    at_least("latch", signal=(signal, 1), noise=(noise, 0.0))

    def chance(batch: Batch) -> dict[str, float]:
        target = batch.target
        return {"error of chance": float(min((target > 0).mean(), (target < 0).mean()))}

    return drawn(
        "latch",
        partial(_latched, lag=lag, signal=signal, noise=noise),
        chance,
        inputs=2 * signal + 1,
        outputs=1,
        loss="squared-error",
        at="end",
        measures={"error": measures.wrong_sign, "squared error": measures.squared},
        solved=lambda found: found["error"] < 0.01,
        source="Bengio, Simard and Frasconi 1994, Learning long-term dependencies is difficult",
    )
