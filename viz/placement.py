"""Columns and rows: where the parts of a cell stand, before any line is drawn.

Rows, from the top: a belt for each state that is carried by pointwise operations; those operations
that lead to or from the belts, by depth; the learned layers; lanes in which the layers' operands
merge. Columns follow the author's order. A part that leads up to a belt stands above what it reads;
one that leads down (to an output, or back into a layer) gets a column of its own, right of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from viz.anatomy import Anatomy, Part


@dataclass
class Column:
    """A column of the grid; `stack` holds its parts from the layer row upwards."""

    stack: list[str] = field(default_factory=list)
    open: bool = True  # whether another part may stand above the stack
    down: bool = False  # its parts lead down; there is no layer at its foot


@dataclass
class Bus:
    """Lines that merge and then feed layers: `sources` are values or other buses ("bus:0")."""

    key: str
    sources: tuple[str, ...]
    layers: list[str]
    straight: str = ""  # the source that enters along the lane
    ramps: list[tuple[str, int, str]] = field(default_factory=list)  # source, column, from where
    lane: int = 0

    @property
    def start(self) -> int:
        """The column in which its sources are first one line."""
        return min(column for _, column, _ in self.ramps)


@dataclass
class Plan:
    """Columns and rows of everything; rows count downwards from 0."""

    anatomy: Anatomy
    columns: list[Column]
    place: dict[str, tuple[int, int]]  # part or terminal -> (column, row)
    belts: dict[str, list[str]]  # a state -> the parts on its belt
    buses: dict[str, Bus]
    state_row: dict[str, int]
    layer_row: int
    rows: int
    exit_column: int


class NotPlaceable(Exception):
    """The grid cannot serve this cell; Graphviz's own layout is used instead."""


def belts_of(anatomy: Anatomy) -> dict[str, list[str]]:
    """For each state with a belt, the operations that carry it from step to step, in order."""
    belts: dict[str, list[str]] = {}
    taken: set[str] = set()
    for state, value in anatomy.states.items():
        start = f"prev.{state}"
        path = _carried(anatomy, start, value, taken)
        if path is None and any(not p.layer for p in anatomy.users(start)):
            path = []
        if path is None and value in anatomy.states and value.startswith("prev."):
            path = []
        if path is not None:
            belts[state] = path
            taken |= set(path)
    return belts


def _carried(anatomy: Anatomy, start: str, goal: str, taken: set[str]) -> list[str] | None:
    """The shortest way from a value to another through operations that are not layers."""
    if start == goal:
        return []
    reached: dict[str, str] = {}
    queue = [start]
    for here in queue:
        for part in anatomy.users(here):
            if part.layer or part.key in taken or part.key in reached:
                continue
            reached[part.key] = here
            queue.append(part.key)
    path = []
    while goal in reached:
        path.insert(0, goal)
        goal = reached[goal]
    return path or None


class Placer:
    """Puts every part of a cell into a column, then into a row."""

    def __init__(self, anatomy: Anatomy, belt_order: tuple[str, ...] | None = None) -> None:
        self.anatomy = anatomy
        self.parts = anatomy.parts
        self.belts = belts_of(anatomy)
        self.belt_order = belt_order or tuple(reversed(self.belts))
        self.on_belt = {key: state for state, path in self.belts.items() for key in path}
        self.columns: list[Column] = []
        self.column: dict[str, Column] = {}
        self.last_on_belt: dict[str, Column | None] = dict.fromkeys(self.belts)
        self.up = self._rising()

    def plan(self, lane_order: tuple[int, ...] | None = None) -> Plan:
        """Place everything; `lane_order` permutes the lanes of unrelated buses."""
        waiting: list[Part] = []
        for part in self.parts.values():
            if self._waits(part):
                waiting.append(part)
                continue
            self._set(part)
        for part in waiting:
            if part.key not in self.column:
                self._new_column(part, down=True)
        height = self._heights()
        top = max(height.values(), default=0)
        belt_rows = {state: k for k, state in enumerate(self.belt_order)}
        layer_row = len(self.belts) + top
        place = {}
        index = {id(column): k for k, column in enumerate(self.columns)}
        for key, column in self.column.items():
            row = belt_rows[self.on_belt[key]] if key in self.on_belt else layer_row - height[key]
            if (index[id(column)], row) in place.values():
                raise NotPlaceable(f"{key} falls on another part")
            place[key] = (index[id(column)], row)
        return _Lanes(self, place, belt_rows, layer_row, lane_order).plan()

    def _rising(self) -> set[str]:
        """The operations that lead up to a belt without passing a layer."""
        rising: set[str] = set()
        for part in reversed(self.parts.values()):
            if part.key in self.on_belt:
                targets = [i for i in part.inputs if i in self.parts]
            elif part.key in rising and not part.layer:
                targets = [i for i in part.inputs if i in self.parts]
            else:
                continue
            rising |= {t for t in targets if t not in self.on_belt}
        return rising

    def _above(self, key: str) -> bool:
        """Whether a value comes from a belt, or from what waits to hang below one."""
        return key in self.on_belt or key.startswith("prev.")

    def _waits(self, part: Part) -> bool:
        """A chain that hangs below a belt is placed with the operation that it leads to."""
        if part.layer or part.key in self.on_belt or part.key in self.up:
            return False
        users = self.anatomy.users(part.key)
        if len(users) != 1 or users[0].layer or users[0].key in self.on_belt:
            return False
        return all(
            self._above(i) or (i in self.parts and i not in self.column) for i in part.inputs
        )

    def _set(self, part: Part) -> None:
        if part.key in self.on_belt:
            self._set_on_belt(part)
        elif part.layer:
            self._append(part)
        elif part.key in self.up:
            self._set_above(part)
        else:
            self._set_down(part)

    def _append(self, part: Part) -> None:
        self.columns.append(Column([part.key]))
        self.column[part.key] = self.columns[-1]

    def _insert(self, part: Part, after: Column | None, down: bool = False) -> Column:
        column = Column([part.key], down=down)
        at = len(self.columns) if after is None else self._index(after) + 1
        self.columns.insert(at, column)
        self.column[part.key] = column
        return column

    def _index(self, column: Column) -> int:
        return next(k for k, c in enumerate(self.columns) if c is column)

    def _placed(self, part: Part) -> list[tuple[int, str]]:
        return sorted((self._index(self.column[i]), i) for i in part.inputs if i in self.column)

    def _set_on_belt(self, part: Part) -> None:
        state = self.on_belt[part.key]
        before = self.last_on_belt[state]
        least = -1 if before is None else self._index(before)
        side = [(k, i) for k, i in self._placed(part) if self.on_belt.get(i) != state]
        c, source = side[-1] if side else (-1, "")
        column = self.columns[c] if side else None
        if column and c > least and column.open and column.stack[-1] == source:
            column.open = False
            self.column[part.key] = column
        else:
            after = self.columns[max(c, least)] if max(c, least) >= 0 else None
            column = self._insert(part, after)
            column.stack, column.open = [], False
        self.last_on_belt[state] = column

    def _set_above(self, part: Part) -> None:
        placed = self._placed(part)
        if placed:
            column = self.columns[placed[-1][0]]
            if column.open and column.stack[-1:] == [placed[-1][1]]:
                column.stack.append(part.key)
                self.column[part.key] = column
                return
        self._insert(part, self.columns[placed[-1][0]] if placed else None)

    def _set_down(self, part: Part) -> None:
        placed = self._placed(part)
        if placed:
            column = self.columns[placed[-1][0]]
            if column.down and column.stack[0] == placed[-1][1]:
                column.stack.insert(0, part.key)
                self.column[part.key] = column
                return
            others = [i for i in part.inputs if i != placed[-1][1]]
            top = column.open and column.stack[-1:] == [placed[-1][1]]
            if top and others and all(i.startswith("prev.") for i in others):
                column.stack.append(part.key)  # the states come along from the left
                self.column[part.key] = column
                return
        self._new_column(part, down=True)

    def _new_column(self, part: Part, down: bool) -> None:
        chain = [part]  # from this part up to the belt that it hangs below
        while above := [i for i in chain[-1].inputs if i in self.parts and i not in self.column]:
            for other in above[1:]:
                self._new_column(self.parts[other], down=True)
            chain.append(self.parts[above[0]])
        placed = sorted(k for link in chain for k, _ in self._placed(link))
        column = self._insert(part, self.columns[placed[-1]] if placed else None, down)
        for link in chain[1:]:
            column.stack.append(link.key)
            self.column[link.key] = column

    def _heights(self) -> dict[str, int]:
        """How many rows above the layers a part stands that is not on a belt."""
        height: dict[str, int] = {}
        for part in self.parts.values():
            if part.layer:
                height[part.key] = 0
        changed = True
        rounds = 0
        while changed:
            changed = False
            rounds += 1
            if rounds > len(self.parts) + 2:
                raise NotPlaceable("heights do not settle")
            for key, column in self.column.items():
                if key in self.on_belt or self.parts[key].layer:
                    continue
                least = 1
                below = column.stack.index(key) - 1
                if below >= 0:
                    least = height.get(column.stack[below], 0) + 1
                    least = max([least, *(h + 1 for h in self._beside(column, below, height))])
                if not column.down:
                    for i in self.parts[key].inputs:
                        if i in height and self.column[i] is not column:
                            least = max(least, height[i], self._over(i, column, height))
                if height.get(key, -1) < least:
                    height[key] = least
                    changed = True
        return height


    def _beside(self, column: Column, below: int, height: dict[str, int]) -> list[int]:
        """The heights of operations to the right that read what stands below in a column."""
        users = self.anatomy.users(column.stack[below])
        return [
            height[u.key] for u in users
            if u.key in height and not u.layer and self._right_of(column, u.key)
        ]  # fmt: skip

    def _right_of(self, column: Column, key: str) -> bool:
        return self._index(self.column[key]) > self._index(column)

    def _over(self, source: str, column: Column, height: dict[str, int]) -> int:
        """The least height at which a level line from a source's column meets no other part."""
        first, last = self._index(self.column[source]), self._index(column)
        between = [k for c in self.columns[first + 1 : last] for k in c.stack]
        return max((height.get(k, 0) + 1 for k in between if k in height), default=0)


class _Lanes:
    """Adds what lies below the layers: merging lanes, their ramps, terminals."""

    def __init__(
        self, placer: Placer, place: dict[str, tuple[int, int]], belt_rows: dict[str, int],
        layer_row: int, lane_order: tuple[int, ...] | None,
    ) -> None:  # fmt: skip
        self.placer, self.anatomy = placer, placer.anatomy
        self.place, self.layer_row = place, layer_row
        self.state_row = dict(belt_rows)
        self.columns = placer.columns
        self.lane_order = lane_order
        self.inputs_below = set(self.anatomy.inputs)

    def plan(self) -> Plan:
        buses = _buses(self.anatomy, self.place)
        order = sorted(range(len(buses)), key=lambda k: self._depth(buses, k))
        if self.lane_order:
            order = [order[k] for k in self.lane_order if k < len(order)]
        keys = [buses[k].key for k in order]
        self.buses = {b.key: b for b in buses}
        lower = [s for s in self.anatomy.states if s not in self.placer.belts]
        free = [s for s in lower if any(f"prev.{s}" in b.sources for b in buses)]
        for bus in buses:
            self._choose_straight(bus, free)
        rows = self._rows(keys)
        for key, row in rows.items():
            self.buses[key].lane = row
            straight = self.buses[key].straight
            if straight.startswith("prev."):
                self.state_row[straight[5:]] = row
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
        return Plan(
            self.anatomy, self.columns, self.place, self.placer.belts, self.buses,
            self.state_row, self.layer_row, bottom + 2, exit_column,
        )  # fmt: skip

    def _depth(self, buses: list[Bus], k: int) -> tuple[int, int]:
        parents = [s for s in buses[k].sources if s.startswith("bus:")]
        return (-len(parents), min(self.place[layer][0] for layer in buses[k].layers))

    def _choose_straight(self, bus: Bus, free: list[str]) -> None:
        entering = [s for s in bus.sources if s.startswith("prev.") and s[5:] in free]
        if entering:
            bus.straight = entering[0]
            free.remove(entering[0][5:])
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
            source in b.sources and b.straight != source
            and min(self.place[layer][0] for layer in b.layers) < first
            for b in self.buses.values() if b is not bus
        )  # fmt: skip

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
            b for b in self.buses.values()
            if b is not bus and parent in b.sources and b.straight == parent
        ]  # fmt: skip
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
        return source.startswith("prev.") and self.state_row[source[5:]] > bus.lane

    def _terminals(self, row: int) -> None:
        """x and further inputs stand below the first place that reads them."""
        for name in self.anatomy.inputs:
            ramps = [
                c for bus in self.buses.values() for s, c, side in bus.ramps
                if s == name and side == "below"
            ]  # fmt: skip
            taken = {c for c, r in self.place.values() if r == row}
            ramps = [c for c in ramps if c not in taken]
            users = [self.place[p.key] for p in self.anatomy.users(name) if p.key in self.place]
            single = [
                c for p in self.anatomy.users(name) if p.layer and len(p.inputs) == 1
                for c in [self.place[p.key][0]] if c not in taken
            ]  # fmt: skip
            if ramps:
                column = min(ramps)
            elif single:
                column = min(single)
            else:
                column = min((c for c, _ in users), default=len(self.columns))
                self._insert_column(column, {})
            self.place[name] = (column, row)


def _buses(anatomy: Anatomy, place: dict[str, tuple[int, int]]) -> list[Bus]:
    """One bus for each distinct set of merging operands; a set within another feeds it."""
    sets: dict[frozenset[str], Bus] = {}
    for part in anatomy.parts.values():
        if part.layer:
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
