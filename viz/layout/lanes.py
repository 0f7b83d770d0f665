"""What lies below the layers: lanes in which operands merge, their ramps, and the terminals."""

from __future__ import annotations

import math
from itertools import combinations

from viz.anatomy import Anatomy
from viz.layout.grid import Bus, Column, GridPlan, Order


class Lanes:
    """Adds what lies below the layers: merging lanes, their ramps, terminals."""

    def __init__(
        self,
        anatomy: Anatomy,
        columns: list[Column],
        belts: dict[str, list[str]],
        place: dict[str, tuple[int, int]],
        layer_row: int,
        belt_rows: dict[str, int],
    ) -> None:
        self.anatomy, self.columns, self.belts = anatomy, columns, belts
        self.place, self.layer_row = place, layer_row
        self.state_row = dict(belt_rows)
        self.inputs_below = set(anatomy.inputs)
        self.previous = anatomy.previous

    def plan(self, order: Order) -> GridPlan:
        """Buses, lanes, ramps and terminals."""
        buses = _buses(self.anatomy)
        self.buses = {b.key: b for b in buses}
        keys = [b.key for b in sorted(buses, key=lambda b: (-self._depth(b), self._first(b)))]
        if order.lanes:
            keys = [keys[k] for k in order.lanes if k < len(keys)]
        lower = [s for s in order.states or self.anatomy.states if s not in self.belts]
        free = [s for s in lower if any(f"prev.{s}" in b.sources for b in buses)]
        for bus in buses:
            self._choose_straight(bus, free)
        rows = self._rows(keys)
        for key, row in rows.items():
            self.buses[key].lane = row
            straight = self.buses[key].straight
            if straight in self.previous:
                self.state_row[self.previous[straight]] = row
        bottom = max(rows.values(), default=self.layer_row)
        for state in lower:
            if state not in self.state_row:
                bottom += 1
                self.state_row[state] = bottom
        for bus in sorted(buses, key=self._depth):
            self._add_ramps(bus)
        self._terminals(bottom + 1)
        exit_column = len(self.columns)
        self.columns.append(Column())
        return GridPlan(
            self.anatomy,
            self.columns,
            self.place,
            self.belts,
            self.buses,
            self.state_row,
            self.layer_row,
            bottom + 2,
            exit_column,
        )

    def _parents(self, bus: Bus) -> list[str]:
        return [s for s in bus.sources if s in self.buses]

    def _depth(self, bus: Bus) -> int:
        """How many buses lie before this one."""
        return max((1 + self._depth(self.buses[s]) for s in self._parents(bus)), default=0)

    def _first(self, bus: Bus) -> int:
        """The column of the first layer that a bus feeds, directly or through another."""
        return min(self.place[layer][0] for layer in self._fed(bus))

    def _choose_straight(self, bus: Bus, free: list[str]) -> None:
        entering = [f"prev.{s}" for s in free if f"prev.{s}" in bus.sources]
        if entering:
            bus.straight = entering[0]
            free.remove(self.previous[entering[0]])
        parents = self._parents(bus)
        if not entering and parents and self._continues(bus, parents[0]):
            bus.straight = parents[0]
        if not bus.straight and not parents:
            falling = [s for s in bus.sources if self._falls(s, bus)]
            along = [s for s in bus.sources if s in self.inputs_below]
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
        column = self.columns[self.place[source][0]]
        return column.down and column.stack[:1] == [source]

    def _continues(self, bus: Bus, parent: str) -> bool:
        """Whether a bus begins where its parent's own layers end, so that one lane serves both."""
        last = max((self.place[layer][0] for layer in self.buses[parent].layers), default=-1)
        taken = any(b.straight == parent for b in self.buses.values())
        return not taken and self._first(bus) > last

    def _rows(self, keys: list[str]) -> dict[str, int]:
        rows: dict[str, int] = {}
        row = self.layer_row
        for key in keys:
            straight = self.buses[key].straight
            if straight.startswith("bus:"):
                continue
            row += 1
            rows[key] = row
        for key in keys:
            here = key
            while self.buses[here].straight.startswith("bus:"):
                here = self.buses[here].straight
            rows[key] = rows[here]
        return rows

    def _add_ramps(self, bus: Bus) -> None:
        first = self._first(bus)
        entering = [s for s in bus.sources if s != bus.straight]
        below = sorted((s for s in entering if self._from_below(s, bus)), key=self._row_of)
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

    def _fed(self, bus: Bus) -> list[str]:
        """The layers that a bus feeds, directly or through another."""
        inner = [b for b in self.buses.values() if bus.key in b.sources]
        return [*bus.layers, *(layer for b in inner for layer in self._fed(b))]

    def _insert_column(self, at: int, pending: dict[str, int]) -> None:
        self.columns.insert(at, Column(open=False))
        for key, (c, r) in self.place.items():
            if c >= at:
                self.place[key] = (c + 1, r)
        for other in self.buses.values():
            other.ramps = [(s, c + (c >= at), side) for s, c, side in other.ramps]
        for key, c in pending.items():
            pending[key] = c + (c >= at)

    def _row_of(self, source: str) -> float:
        """The row that a source comes along: those that end first stand in no other's way."""
        if source.startswith("bus:"):
            return self.buses[source].lane
        state = self.previous.get(source, "")
        return self.state_row.get(state, math.inf)

    def _from_below(self, source: str, bus: Bus) -> bool:
        if source in self.inputs_below:
            return True
        if source.startswith("bus:"):
            return self.buses[source].lane > bus.lane
        state = self.previous.get(source)
        return state is not None and self.state_row[state] > bus.lane

    def _terminals(self, row: int) -> None:
        """x and further inputs stand below the first place that reads them."""
        for name in self.anatomy.inputs:
            ramps = [
                c
                for bus in self.buses.values()
                for s, c, side in bus.ramps
                if s == name and side == "below"
            ]
            taken = {c for c, r in self.place.values() if r == row}
            ramps = [c for c in ramps if c not in taken]
            users = [self.place[p.key] for p in self.anatomy.users(name) if p.key in self.place]
            single = [
                c
                for p in self.anatomy.users(name)
                if p.merges and len(p.inputs) == 1
                for c in [self.place[p.key][0]]
                if c not in taken
            ]
            if ramps:
                column = min(ramps)
            elif single:
                column = min(single)
            else:
                column = min((c for c, _ in users), default=len(self.columns))
                self._insert_column(column, {})
            self.place[name] = (column, row)


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
