"""The search of `identify`: which cell, with which blocks at which gates, gives a recording.

Plain ways are tried before odd ones, and where one level has an answer the next is not tried.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tinygrad_lstm.diagnosis.expressions import Sites
from tinygrad_lstm.diagnosis.readings import Array, Pools, Reading, pools
from tinygrad_lstm.diagnosis.recordings import DIRECTIONS, Frame, directed, first_states
from tinygrad_lstm.diagnosis.rewrites import Rewrite, rewritten
from tinygrad_lstm.diagnosis.step_mistakes import step_mistakes
from tinygrad_lstm.diagnosis.structure import Structure, structure
from tinygrad_lstm.diagnosis.trials import (
    Recording,
    Trial,
    Ways,
    matrix_parameters,
    vector_parameters,
)
from tinygrad_lstm.program import Program

SAMPLES = 2  # of a batch, that the search looks at
MOST_WAYS = 5040
MOST_ORDERS = 120  # of one kind of block, where each kind has its own
MOST_NUMBERS = 2e8  # that one trial may compute of a value


@dataclass(frozen=True)
class Hit:
    """One cell with parameters that give the recording.

    order: the gates in the order of their blocks; sign, more: by gate, where they are not 1 and 0;
    rewrite: another activation than the cell's. order_h: where the blocks on h are in another.
    """

    cell: Structure
    frame: Frame
    direction: str
    pools: Pools
    ways: Ways  # one way
    order: tuple[str, ...]
    order_h: tuple[str, ...]
    sign: Mapping[str, float]
    more: Mapping[str, float]
    rewrite: Rewrite | None
    program: Program
    error: float
    spare: int = 0
    initial: tuple[Array, ...] = ()

    @property
    def names(self) -> set[str]:
        """The names of the arrays that were read."""
        return {reading.name for reading in self.pools.readings}

    def parameters(self, pooled: Pools | None = None) -> dict[str, Array]:
        """The cell's parameters, of these pools or of others that were read in the same way."""
        own = pooled or self.pools
        vectors = vector_parameters(self.cell, own, self.ways)
        found = matrix_parameters(self.cell, own, self.ways, 0)
        found |= {name: array[0] for name, array in vectors.items()}
        return {name: found[name] for name in self.cell.cell.parameters}


@dataclass
class Nearest:
    """How near the search came where nothing is exact: the steps that are right, and the error."""

    steps: int = -1
    error: float = float("inf")
    cell: str = ""

    def note(self, found: tuple[int, float, int], cell: str) -> None:
        """Keep what is nearer."""
        if (-found[0], found[1]) < (-self.steps, self.error):
            self.steps, self.error, self.cell = found[0], found[1], cell


@dataclass(frozen=True)
class Level:
    """Which ways are tried together."""

    directions: Sequence[str] = ("forward",)
    odd: bool = False  # signs of shares, constants added to biases, blocks without effect
    rewrites: Sequence[str] = ()  # other activations, by the messages of their rules
    layouts: bool = False  # gates of a unit side by side, matrices turned in different ways
    apart: bool = False  # every kind of block in an order of its own


LEVELS = (
    Level(),
    Level(DIRECTIONS, odd=True),
    Level(DIRECTIONS, layouts=True),
    Level(DIRECTIONS, odd=True, rewrites=("activation all", "activation none")),
    Level(DIRECTIONS, odd=True, rewrites=("activation other", "activation missing")),
    Level(apart=True),
)
NARROW = 8  # units that the first step is tried on where there are many, and it begins at zero


@dataclass
class Search:
    """One recording, the arrays' readings, and the cells that it may be."""

    cells: Sequence[Structure]
    frames: Sequence[Frame]
    readings: Mapping[str, Sequence[Reading]]
    initial: Any
    tolerance: float
    nearest: Nearest = field(default_factory=Nearest)
    fitting: set[str] = field(default_factory=set)
    skipped: bool = False

    def run(self) -> list[Hit]:
        """The hits of the first level that has any."""
        for level in LEVELS:
            hits = [hit for cell in self.cells for hit in self._of_cell(cell, level)]
            if hits:
                return hits
        return []

    def _of_cell(self, cell: Structure, level: Level) -> Iterator[Hit]:
        coupled = level.odd and any(gate.share for gate in cell.gates) and _whole(cell)
        for spare in (0, 1) if coupled else (0,):
            several = pools(cell, self.readings, spare)
            if several:
                self.fitting.add(cell.cell.name)
            several = [p for p in several if level.layouts or level.apart or p.level < 4]
            if not several:
                continue
            for number, rewrite in enumerate(_rewrites(cell, level.rewrites)):
                program = cell.program if rewrite is None else rewritten(cell.program, [rewrite])
                narrow = self._narrow(cell, number, level)
                for pool in several if program is not None else ():
                    ways = _ways(cell, pool, level, spare)
                    if ways is None:
                        continue
                    trial = Trial(cell, program or cell.program, pool)
                    small = narrow and Trial(*narrow, _narrowed(pool))
                    for hit in self._tried(trial, small, ways, level):
                        states = tuple(self._first_states(cell, hit.frame))
                        yield replace(hit, rewrite=rewrite, spare=spare, initial=states)

    def _narrow(
        self, cell: Structure, number: int, level: Level
    ) -> tuple[Structure, Program] | None:
        """The cell with few units, and its Program, rewritten in the same place."""
        inputs, hidden = self.frames[0].xs.shape[-1], self.frames[0].output.shape[-1]
        if hidden <= 2 * NARROW or cell.cell.x in cell.cell.state.values():
            return None
        small = structure(cell.cell, inputs, NARROW)
        if small is None:
            return None
        rewrite = _rewrites(small, level.rewrites)[number]
        program = rewritten(small.program, [rewrite]) if rewrite else small.program
        return (small, program) if program else None

    def _tried(self, trial: Trial, small: Trial | None, ways: Ways, level: Level) -> Iterator[Hit]:
        cell = trial.cell
        for frame in self.frames:
            initial = self._first_states(cell, frame)
            scale = float(np.abs(frame.output).max(initial=0.0)) or 1.0
            at_zero = frame.every and not any(state.any() for state in initial)
            for direction in level.directions:
                if len(frame.xs) == 1 and direction != "forward":
                    continue
                if direction == "go_backwards" and not frame.every:
                    continue
                some, own = directed(frame, initial, direction, slice(SAMPLES)), ways
                if at_zero:  # what multiplies the state has no say yet
                    first = Recording(some.xs[:1], some.output[:1], some.initial, True)
                    if small is not None:
                        first = _narrow_recording(first)
                    found = (small or trial).run(own, first, self.tolerance, scale)
                    self.nearest.note(found.nearest, cell.cell.name)
                    if not len(found.places):
                        continue
                    own = own.some(found.places)
                if level.apart:
                    own = _orders_of_h(own, cell, trial.pools)
                if len(own) * some.output.size * len(some.xs) > MOST_NUMBERS:
                    self.skipped = True
                    continue
                matched = trial.run(own, some, self.tolerance, scale)
                self.nearest.note(matched.nearest, cell.cell.name)
                if not len(matched.places):
                    continue
                whole = directed(frame, initial, direction, slice(None))
                chosen = own.some(matched.places)
                matched = trial.run(chosen, whole, self.tolerance)
                for place, error in zip(matched.places, matched.errors, strict=True):
                    one = chosen.some(np.array([place]))
                    yield _hit(trial, frame, direction, one, float(error))

    def _first_states(self, cell: Structure, frame: Frame) -> list[Array]:
        batch, hidden = frame.output.shape[1:]
        names = list(cell.cell.state)
        given = first_states(names, self.initial, batch, hidden)
        return [
            np.broadcast_to(cell.cell.initial(name, (hidden,), float), (batch, hidden))
            if value is None
            else value
            for name, value in zip(names, given, strict=True)
        ]


def _hit(trial: Trial, frame: Frame, direction: str, ways: Ways, error: float) -> Hit:
    cell, pool = trial.cell, trial.pools
    names = [gate.name for gate in cell.gates]

    def order(kind: str) -> tuple[str, ...]:
        places = getattr(ways, kind)[0]
        gates = {int(places[k]): names[gate] for k, gate in enumerate(cell.having(kind))}
        return tuple(gates.get(k, "-") for k in range(len(getattr(pool, kind))))

    by_x, by_h = order("x"), order("h")
    longer = by_x if len(by_x) >= len(by_h) else by_h
    other = by_h if longer is by_x else by_x
    same = [n for n in longer if n in other] == [n for n in other if n in longer]
    sign = {names[k]: float(s) for k, s in enumerate(ways.sign[0]) if s != 1}
    more = {names[k]: float(m) for k, m in enumerate(ways.more[0]) if m != 0}
    return Hit(
        cell, frame, direction, pool, ways, longer, () if same else other, sign, more, None,
        trial.program, error,
    )  # fmt: skip


def _narrowed(pool: Pools) -> Pools:
    """The first units of every block; the state is zero and what multiplies it is not read."""
    h = np.ascontiguousarray(pool.h[:, :NARROW, :NARROW])
    own = {k: getattr(pool, k)[:, :NARROW] for k in "xbrp"}
    return replace(pool, h=h, **own)


def _narrow_recording(recording: Recording) -> Recording:
    initial = tuple(state[:, :NARROW] for state in recording.initial)
    return Recording(recording.xs, recording.output[..., :NARROW], initial, True)


def _whole(cell: Structure) -> bool:
    """Whether every gate has a matrix on x and one on the state, and biases."""
    return all(len(cell.having(k)) == len(cell.gates) for k in ("x", "h", "biases"))


# --- ways ----------------------------------------------------------------------------------------
def _ways(cell: Structure, pool: Pools, level: Level, spare: int) -> Ways | None:
    """Every order of the gates, with the signs and constants that the level has."""
    count = len(cell.gates)
    if level.apart:
        return _apart(cell, pool)
    orders = list(itertools.islice(itertools.permutations(range(count + spare), count), MOST_WAYS))
    odd = [*_odd(cell)] if level.odd else [(np.ones(count), np.zeros(count))]
    places = np.array([order for order in orders for _ in odd])  # of each gate's block
    sign = np.array([s for _ in orders for s, _ in odd])
    more = np.array([m for _ in orders for _, m in odd])
    kinds = [_ranks(places, cell.having(kind), spare) for kind in ("x", "h", "biases", "peephole")]
    if spare and len(pool.p):  # peepholes of gates alone: i, o and f of i, o, f and C
        kinds[3] = _peepholes_with_spare(places, cell)
    found = Ways(kinds[0], kinds[1], kinds[2], kinds[3], sign, more)
    return _orders_of_p(found) if level.layouts and len(pool.p) else found


def _orders_of_p(ways: Ways) -> Ways:
    """Peepholes in every order of their own, too."""
    orders = np.array(list(itertools.permutations(range(ways.p.shape[1]))))
    repeated = ways.some(np.repeat(np.arange(len(ways)), len(orders)))
    return replace(repeated, p=np.tile(orders, (len(ways), 1)))


def _ranks(places: Array, having: Sequence[int], spare: int) -> Array:
    """Of the gates that have something, the order of its blocks: that of the gates."""
    own = places[:, list(having)]
    if spare or own.shape[1] == places.shape[1]:
        return own
    return own.argsort(axis=1).argsort(axis=1)


def _peepholes_with_spare(places: Array, cell: Structure) -> Array:
    """The blocks of peepholes where there is one more: all gates but those that have none."""
    having = cell.having("peephole")
    without = [k for k in range(places.shape[1]) if k not in having]
    own = places[:, having]
    before: Array = (places[:, None, without] < own[:, :, None]).sum(axis=2)
    return own - before


def _odd(cell: Structure) -> Iterator[tuple[Array, Array]]:
    """Signs of the gates that share, and 1 added to a bias."""
    shares = [k for k, gate in enumerate(cell.gates) if gate.share]
    biased = [k for k in cell.having("biases") if cell.gates[k].activation == "sigmoid"]
    for signs in itertools.product((1.0, -1.0), repeat=min(len(shares), 4)):
        for more in [None, *biased]:
            sign, added = np.ones(len(cell.gates)), np.zeros(len(cell.gates))
            for k, s in zip(shares, signs, strict=False):
                sign[k] = s
            if more is not None:
                added[more] = 1.0
            yield sign, added


def _apart(cell: Structure, pool: Pools) -> Ways | None:
    """The blocks on x and the biases each in an order of their own, where each is an array.

    Those on h are put in order by `_orders_of_h`, when the first step has left few ways.
    """
    kinds, names = ("x", "h", "biases", "peephole"), "xhbp"
    every = []
    for kind, name in zip(kinds, names, strict=True):
        orders = list(itertools.permutations(range(len(cell.having(kind)))))
        several = len(pool.names[name]) > 1 and len(orders) <= MOST_ORDERS
        every.append(orders if several or name == "x" else orders[:1])
    of_h = len(pool.names["h"]) > 1 and pool.names["h"] != pool.names["x"]
    if sum(len(orders) > 1 for orders in every) < 2 and not of_h:
        return None
    every[1] = every[1][:1]
    grid = np.array(list(itertools.product(*[range(len(orders)) for orders in every])))
    places = [
        np.array(orders, dtype=int).reshape(len(orders), -1)[grid[:, k]]
        for k, orders in enumerate(every)
    ]
    ones = np.ones((len(grid), len(cell.gates)))
    return Ways(places[0], places[1], places[2], places[3], ones, 0 * ones)


def _orders_of_h(ways: Ways, cell: Structure, pool: Pools) -> Ways:
    """Blocks on h in every order of their own, where each is an array; else in that of x."""
    count = len(cell.having("h"))
    if len(pool.names["h"]) < 2 or pool.names["h"] == pool.names["x"] or count > 5:
        return replace(ways, h=ways.x) if ways.x.shape[1] == count else ways
    orders = np.array(list(itertools.permutations(range(count))))
    repeated = ways.some(np.repeat(np.arange(len(ways)), len(orders)))
    return replace(repeated, h=np.tile(orders, (len(ways), 1)))


def _rewrites(cell: Structure, wanted: Sequence[str]) -> list[Rewrite | None]:
    """Other activations, everywhere or in one place; as it is, where none are wanted."""
    if not wanted:
        return [None]
    found = step_mistakes(Sites(cell.program), False)
    return [rewrite for rewrite in found if rewrite.message in wanted]
