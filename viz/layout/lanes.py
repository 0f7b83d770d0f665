"""What lies below the layers: lanes in which operands merge, their ramps, and the terminals."""

from __future__ import annotations

import math
from itertools import combinations

from viz.anatomy import Anatomy
from viz.layout.grid import Bus, Column, GridPlan, Order


class Lanes:
    """Adds what lies below the layers: merging lanes, their ramps, terminals."""

    def __init__(self, plan: GridPlan) -> None:
        self.plan, self.anatomy, self.place = plan, plan.anatomy, plan.place
        buses = _buses(self.anatomy)
        plan.buses = self.buses = {bus.key: bus for bus in buses}

    def add(self, order: Order) -> None:
        """Buses, lanes, ramps and terminals."""
        plan, a = self.plan, self.anatomy
        buses = list(self.buses.values())
        ordered = sorted(buses, key=lambda b: (-self._depth(b), self._first(b)))
        if order.lanes:
            ordered = [ordered[k] for k in order.lanes if k < len(ordered)]
        lower = [s for s in order.states or a.states if s not in a.belts]
        free = [s for s in lower if any(f"prev.{s}" in b.sources for b in buses)]
        for bus in buses:
            self._choose_straight(bus, free)
        bottom = plan.layer_row
        for bus in ordered:
            if bus.straight not in self.buses:
                bus.lane = bottom = bottom + 1
        for bus in buses:
            before = bus
            while before.straight in self.buses:
                before = self.buses[before.straight]
            bus.lane = before.lane
            if bus.straight in a.previous:
                plan.state_row[a.previous[bus.straight]] = bus.lane
        for state in lower:
            if state not in plan.state_row:
                plan.state_row[state] = bottom = bottom + 1
        for bus in sorted(buses, key=self._depth):
            self._add_ramps(bus)
        self._terminals(bottom + 1)
        plan.rows, plan.exit_column = bottom + 2, len(plan.columns)
        plan.columns.append(Column())

    def _parents(self, bus: Bus) -> list[str]:
        return [s for s in bus.sources if s in self.buses]

    def _depth(self, bus: Bus) -> int:
        """How many buses lie before this one."""
        return max((1 + self._depth(self.buses[s]) for s in self._parents(bus)), default=0)

    def _first(self, bus: Bus) -> int:
        """The column of the first layer that a bus feeds, directly or through another."""
        return min(self.place[layer][0] for layer in self.plan.fed(bus.key))

    def _choose_straight(self, bus: Bus, free: list[str]) -> None:
        entering = [f"prev.{s}" for s in free if f"prev.{s}" in bus.sources]
        if entering:
            bus.straight = entering[0]
            free.remove(self.anatomy.previous[entering[0]])
        parents = self._parents(bus)
        if not entering and parents and self._continues(bus, parents[0]):
            bus.straight = parents[0]
        if not bus.straight and not parents:
            falling = [s for s in bus.sources if self._falls(s, bus)]
            along = [s for s in bus.sources if s in self.anatomy.inputs]
            if along and (falling or self._entered(along[0], bus)):
                bus.straight = along[0]

    def _entered(self, source: str, bus: Bus) -> bool:
        """Whether an input already climbs into a bus whose layers stand further left."""
        return any(
            source in b.sources and b.straight != source and self._first(b) < self._first(bus)
            for b in self.buses.values()
        )

    def _falls(self, source: str, bus: Bus) -> bool:
        """Whether a source stands in a column that leads straight down onto the lane."""
        if source not in self.place or self.place[source][0] >= self._first(bus):
            return False
        column = self.plan.columns[self.place[source][0]]
        return column.down and column.stack[:1] == [source]

    def _continues(self, bus: Bus, parent: str) -> bool:
        """Whether a bus begins where its parent's own layers end, so that one lane serves both."""
        last = max((self.place[layer][0] for layer in self.buses[parent].layers), default=-1)
        taken = any(b.straight == parent for b in self.buses.values())
        return not taken and self._first(bus) > last

    def _add_ramps(self, bus: Bus) -> None:
        first = self._first(bus)
        entering = [s for s in bus.sources if s != bus.straight]
        below = [s for s in entering if self._row_of(s) > bus.lane]
        below.sort(key=self._row_of)
        above = [s for s in entering if s not in below]
        columns: dict[str, int] = {}
        for source in list(above):
            if self._falls(source, bus):
                columns[source] = self.place[source][0]
        rest = [s for s in above if s not in columns]
        pairs = max(len(below), len(rest))
        for k in range(pairs):
            self._insert_column(first, columns)
            for several in (below, rest):
                if k < len(several):
                    columns[several[-1 - k]] = first
        bus.ramps = [(s, columns[s], "below" if s in below else "above") for s in entering]
        if not entering:
            self._insert_column(first, columns)
            bus.ramps = [(bus.straight, first, "left")]

    def _insert_column(self, at: int, pending: dict[str, int]) -> None:
        self.plan.columns.insert(at, Column(open=False))
        for key, (c, r) in self.place.items():
            if c >= at:
                self.place[key] = (c + 1, r)
        for other in self.buses.values():
            other.ramps = [(s, c + (c >= at), side) for s, c, side in other.ramps]
        for key, c in pending.items():
            pending[key] = c + (c >= at)

    def _row_of(self, source: str) -> float:
        """The row that a source comes along: those that end first stand in no other's way."""
        if source in self.buses:
            return self.buses[source].lane
        below = math.inf if source in self.anatomy.inputs else -1
        return self.plan.state_row.get(self.anatomy.previous.get(source, ""), below)

    def _terminals(self, row: int) -> None:
        """x and further inputs stand below the first place that reads them."""
        for name in self.anatomy.inputs:
            taken = {c for c, r in self.place.values() if r == row}
            users = self.anatomy.users(name)
            ramps = {
                c
                for bus in self.buses.values()
                for source, c, side in bus.ramps
                if (source, side) == (name, "below")
            }
            alone = {self.place[p.key][0] for p in users if p.merges and len(p.inputs) == 1}
            columns = (ramps - taken) or (alone - taken)
            if not columns:
                end = len(self.plan.columns)
                first = min((self.place[p.key][0] for p in users), default=end)
                self._insert_column(first, {})
                columns = {first}
            self.place[name] = (min(columns), row)


def _buses(anatomy: Anatomy) -> list[Bus]:
    """One bus for each distinct set of merging operands; what several share is merged once."""
    sets: dict[frozenset[str], Bus] = {}
    for part in anatomy.parts.values():
        if part.merges:
            new = Bus(f"bus:{len(sets)}", part.inputs, [])
            sets.setdefault(frozenset(part.inputs), new).layers.append(part.key)
    buses = [b for b in sets.values() if len(b.sources) > 1 or len(b.layers) > 1]
    while True:
        pairs = combinations(buses, 2)
        shared = max(({*a.sources} & {*b.sources} for a, b in pairs), key=len, default=set())
        if len(shared) < 2:
            return buses
        users = [b for b in buses if shared <= {*b.sources}]
        joint = min(users, key=lambda b: len(b.sources))
        if len(joint.sources) > len(shared):  # nothing reads just this
            common = tuple(s for s in joint.sources if s in shared)
            joint = Bus(f"bus:{len(sets) + len(buses)}", common, [])
            buses.append(joint)
        for bus in users:
            if bus is not joint:
                bus.sources = (joint.key, *(s for s in bus.sources if s not in shared))
