"""What lies below the layers: lanes in which operands merge, their ramps, and the terminals."""

from __future__ import annotations

from viz.anatomy import Anatomy
from viz.layout.grid import Bus, Column, GridPlan


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

    def plan(self, lane_order: tuple[int, ...] | None) -> GridPlan:
        """Buses, lanes, ramps and terminals; `lane_order` permutes the lanes."""
        buses = _buses(self.anatomy)
        order = sorted(range(len(buses)), key=lambda k: self._depth(buses, k))
        if lane_order:
            order = [order[k] for k in lane_order if k < len(order)]
        keys = [buses[k].key for k in order]
        self.buses = {b.key: b for b in buses}
        lower = [s for s in self.anatomy.states if s not in self.belts]
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
        for bus in sorted(buses, key=lambda b: len([s for s in b.sources if s[:4] == "bus:"])):
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

    def _depth(self, buses: list[Bus], k: int) -> tuple[int, int]:
        parents = [s for s in buses[k].sources if s.startswith("bus:")]
        return (-len(parents), min(self.place[layer][0] for layer in buses[k].layers))

    def _choose_straight(self, bus: Bus, free: list[str]) -> None:
        entering = [s for s in bus.sources if self.previous.get(s) in free]
        if entering:
            bus.straight = entering[0]
            free.remove(self.previous[entering[0]])
        parents = [s for s in bus.sources if s.startswith("bus:")]
        if not entering and parents and self._continues(bus, parents[0]):
            bus.straight = parents[0]
        if not bus.straight and not parents:
            falling = [s for s in bus.sources if self._falls(s, bus)]
            along = [s for s in bus.sources if s in self.inputs_below]
            if along and (falling or self._entered(along[0], bus)):
                bus.straight = along[0]

    def _entered(self, source: str, bus: Bus) -> bool:
        """Whether an input already climbs into a bus whose layers stand further left."""
        first = min(self.place[layer][0] for layer in bus.layers)
        return any(
            source in b.sources
            and b.straight != source
            and min(self.place[layer][0] for layer in b.layers) < first
            for b in self.buses.values()
            if b is not bus
        )

    def _falls(self, source: str, bus: Bus) -> bool:
        """Whether a source stands in a column that leads straight down onto the lane."""
        first = min(self.place[layer][0] for layer in bus.layers)
        if source not in self.place or self.place[source][0] >= first:
            return False
        column = self.columns[self.place[source][0]]
        return column.down and column.stack[:1] == [source]

    def _continues(self, bus: Bus, parent: str) -> bool:
        """Whether a bus begins where its parent's own layers end, so that one lane serves both."""
        last = max(self.place[layer][0] for layer in self.buses[parent].layers)
        others = [
            b
            for b in self.buses.values()
            if b is not bus and parent in b.sources and b.straight == parent
        ]
        return not others and min(self.place[layer][0] for layer in bus.layers) > last

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
        first = min(self.place[layer][0] for layer in self._fed(bus))
        entering = [s for s in bus.sources if s != bus.straight]
        below = [s for s in entering if self._from_below(s, bus)]
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
    """One bus for each distinct set of merging operands; a set within another feeds it."""
    sets: dict[frozenset[str], Bus] = {}
    for part in anatomy.parts.values():
        if part.merges:
            found = sets.setdefault(
                frozenset(part.inputs), Bus(f"bus:{len(sets)}", part.inputs, [])
            )
            found.layers.append(part.key)
    result = {}
    for operands, bus in sets.items():
        inner = [s for s in sets if s < operands and len(s) > 1]
        if inner:
            largest = max(inner, key=len)
            rest = tuple(s for s in bus.sources if s not in largest)
            bus.sources = (sets[largest].key, *rest)
        if len(operands) > 1 or len(bus.layers) > 1:
            result[operands] = bus
    return list(result.values())
