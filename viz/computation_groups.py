"""Which values of a computation belong together: those of a network, of a run of it, of a band.

The names of a system's values carry the part that they are of, `encoder.forward.h`. What stands
before the equation's name is a network, unless it is a part inside a cell.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TypeAlias

Place: TypeAlias = Hashable


@dataclass(frozen=True)
class Value:
    """A value: its name, its step, what it is computed from, nothing where it is given.

    apart: whether it takes a step out of what has been gathered from all of them.
    """

    key: str
    name: str
    time: int | None
    inputs: tuple[str, ...]
    apart: bool = False


@dataclass(frozen=True)
class Groups:
    """Of each value that has a step: its network, its run (a number), and its band.

    A run has the steps of one network. Those of several that go along with one another, step by
    step, share bands. Bands are numbered in an order in which none reads a later one; what has no
    step but is read by one has the number of a band of its own.
    """

    network: Mapping[str, str]
    run: Mapping[str, int]
    band: Mapping[str, int]
    title: Mapping[int, str]  # of a band: the networks in it, where there are several bands a step


def groups_of(values: Sequence[Value]) -> Groups:
    """The groups of values, which stand in an order in which none reads a later one."""
    timed = {value.key: value for value in values if value.time is not None}
    network = _networks(values, timed)
    if _order(values, lambda v: (network[v.key], v.time) if v.key in network else v.key) is None:
        network = dict.fromkeys(network, "")
    run = _runs(timed, network)
    clock = _clocks(values, timed, network, run)
    order = _order(values, lambda v: (clock[run[v.key]], v.time) if v.key in run else v.key)
    if order is None:  # runs that read one another in turns
        times = sorted({value.time or 0 for value in timed.values()})
        return Groups(network, run, {k: times.index(v.time or 0) for k, v in timed.items()}, {})
    read = set(timed)  # by a step, if through others
    for value in reversed(values):
        if value.key in read:
            read.update(value.inputs)
    places = [place for place in order if isinstance(place, tuple) or place in read]
    number = {place: n for n, place in enumerate(places)}
    band = {v.key: number[clock[run[v.key]], v.time] for v in timed.values() if v.inputs}
    band |= {v.key: number[v.key] for v in values if v.key in number}
    for value in timed.values():  # what is given stands where it is read first, or at its step
        readers = [v.key for v in values if value.key in v.inputs and v.key in band]
        if not value.inputs:
            at = [band[key] for key in readers]
            same = ((clock[run[key]], value.time) for key in readers if key in run)
            at += [number[place] for place in same if place in number]
            band[value.key] = min(at, default=len(places))
    return Groups(network, run, band, _titles(timed, network, band))


def _networks(values: Sequence[Value], timed: Mapping[str, Value]) -> dict[str, str]:
    """The network of each value; of what is given that of the first that reads it."""
    own = {key: value.name.rpartition(".")[0] for key, value in timed.items() if value.inputs}
    cells = set()  # what is read by parts inside them is of cells
    for key, outer in own.items():
        for i in timed[key].inputs:
            above = own.get(i, outer)
            if above != outer and outer.startswith(f"{above}." if above else ""):
                cells.add(above)

    def network(name: str) -> str:
        words = name.split(".") if name else []
        heads = [".".join(words[:k]) for k in range(len(words) + 1)]
        return next((head for head in heads if head in cells), name)

    found = {key: network(name) for key, name in own.items()}
    for value in values:
        for i in value.inputs:
            if i in timed and i not in found and value.key in found:
                found[i] = found[value.key]
    return {key: found.get(key, "") for key in timed}


def _runs(timed: Mapping[str, Value], network: Mapping[str, str]) -> dict[str, int]:
    """The run of each value: within one a step reads its own values and those of the step beside.

    What a run was given as a sequence is not its own.
    """
    place = {key: n for n, key in enumerate(timed)}
    links = [
        (place[i], place[key])
        for key, value in timed.items()
        for i in value.inputs
        if i in timed and not value.apart and network[i] == network[key]
        if abs((value.time or 0) - (timed[i].time or 0)) <= 1
    ]
    found = _joined(range(len(place)), links)
    number = {first: n for n, first in enumerate(dict.fromkeys(found))}
    return {key: number[found[n]] for key, n in place.items()}


def _joined(items: Sequence[int], links: Sequence[tuple[int, int]]) -> list[int]:
    """For each item the first of those that links join it to."""
    first = list(items)

    def find(n: int) -> int:
        while first[n] != n:
            n = first[n]
        return n

    for one, two in links:
        ends = sorted((find(one), find(two)))
        first[ends[1]] = ends[0]
    return [find(n) for n in items]


def _clocks(
    values: Sequence[Value],
    timed: Mapping[str, Value],
    network: Mapping[str, str],
    run: Mapping[str, int],
) -> dict[int, int]:
    """For each run the first of those that it goes along with, step by step."""
    times: dict[int, set[int]] = {}
    called: dict[int, str] = {}
    for key, value in timed.items():
        times.setdefault(run[key], set()).add(value.time or 0)
        called[run[key]] = network[key]
    clock = {n: n for n in times}

    def join(one: int, two: int) -> None:
        nonlocal clock
        keep, other = sorted((clock[one], clock[two]))
        if keep == other:
            return
        tried = {n: keep if c == other else c for n, c in clock.items()}
        if _order(values, lambda v: (tried[run[v.key]], v.time) if v.key in run else v.key):
            clock = tried
            times[keep] = times[keep] | times[other]

    alike: dict[str, list[int]] = {}
    for n in times:  # steps of a network that hands nothing on
        for other in alike.setdefault(called[n], []):
            if clock[n] == n and not times[clock[other]] & times[n]:
                join(other, n)
        alike[called[n]].append(n)
    for key, value in timed.items():
        for i in value.inputs:
            if i in timed and timed[i].time == value.time and called[run[i]] != called[run[key]]:
                one, two = times[clock[run[i]]], times[clock[run[key]]]
                if one == two or min(len(one), len(two)) > 1:
                    join(run[i], run[key])
    return clock


def _order(values: Sequence[Value], place: Callable[[Value], Place]) -> list[Place] | None:
    """The places of what is computed, each behind what it reads, those of a run together.

    None where there is a circle.
    """
    known = {value.key: place(value) for value in values if value.inputs}
    reads: dict[Place, set[Place]] = {}
    for value in values:
        if value.inputs:
            own = reads.setdefault(known[value.key], set())
            own.update(known[i] for i in value.inputs if i in known)
            own.discard(known[value.key])
    sorter = TopologicalSorter(reads)
    try:
        sorter.prepare()
    except CycleError:
        return None
    order: list[Place] = []
    ready: list[Place] = []
    while sorter.is_active():
        ready += sorter.get_ready()
        on = (n for n in ready if order and isinstance(n, tuple) and _clock(n) == _clock(order[-1]))
        order.append(next(on, ready[0]))
        ready.remove(order[-1])
        sorter.done(order[-1])
    return order


def _clock(place: Place) -> Place:
    return place[0] if isinstance(place, tuple) else None


def _titles(
    timed: Mapping[str, Value], network: Mapping[str, str], band: Mapping[str, int]
) -> dict[int, str]:
    """What a band is of, where there is more than one band for a step."""
    of: dict[int, dict[str, None]] = {}
    steps: dict[int, set[int]] = {}
    for key, value in timed.items():
        if value.inputs:
            steps.setdefault(value.time or 0, set()).add(band[key])
            of.setdefault(band[key], {})[network[key]] = None
    if all(len(several) == 1 for several in steps.values()):
        return {}
    return {n: ", ".join(name for name in names if name) for n, names in of.items()}
