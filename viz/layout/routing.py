"""Lines along the tracks of a grid: no line through a foreign part, none on top of another.

Each value is a net: a tree of unit steps from where it is computed to where it is read. Belts and
merging lanes are laid first, straight. Every other net then takes the cheapest way, where a corner
costs more than some distance and a crossing more than some corners; crossings are at right angles.
Finally each net is taken out and laid again among the others, until nothing gets cheaper.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import pairwise

from viz.anatomy import OUTPUT, Part
from viz.layout.grid import GridPlan, NotPlaceable

Cell = tuple[int, int]  # (column, row) of the fine grid
Direction = tuple[int, int]
RIGHT, LEFT, DOWN, UP = (1, 0), (-1, 0), (0, 1), (0, -1)
CORNER, CROSSING, BACKWARDS = 6.0, 22.0, 9.0


@dataclass
class Sink:
    """Where a net ends: the directions in which it may arrive, each with a price."""

    at: Cell
    arrive: dict[Direction, float]
    part: str  # the part, bus or terminal that reads the value


@dataclass
class Net:
    """A value's line: `parent` maps each point of the tree to the one before it."""

    key: str
    source: Cell
    depart: dict[Direction, float]
    sinks: list[Sink] = field(default_factory=list)
    fixed: list[list[Cell]] = field(default_factory=list)  # ways laid straight from the outset
    parent: dict[Cell, Cell] = field(default_factory=dict)
    ends: dict[int, Cell] = field(default_factory=dict)
    cost: float = 0.0


@dataclass
class Effort:
    """How many points may still be looked at: a count, so that every machine draws the same."""

    left: int

    def spend(self) -> None:
        """One point more."""
        self.left -= 1
        if self.left < 0:
            raise NotPlaceable("its lines cross too much")


class Grid:
    """The tracks: `spare` of them between every two columns and every two rows."""

    def __init__(self, plan: GridPlan, spare: int, effort: Effort) -> None:
        self.plan, self.step, self.effort = plan, spare + 1, effort
        self.width = (len(plan.columns) + 1) * self.step + 1
        self.height = (plan.rows + 1) * self.step + 1
        self.blocked: set[Cell] = set()
        self.nets: dict[str, Net] = {}
        self.lines: dict[Cell, dict[str, set[int]]] = {}  # point -> net -> axes it runs along
        self.steps: dict[tuple[Cell, Cell], str] = {}
        for place in plan.place.values():
            self.blocked.add(self.at(*place))

    def at(self, column: int, row: int) -> Cell:
        """The fine point of a column and row of the plan."""
        return ((column + 1) * self.step, (row + 1) * self.step)

    # --- occupancy ------------------------------------------------------------------------------
    def lay(self, net: Net, way: list[Cell]) -> None:
        """Add a way, which begins on the net, to it."""
        for a, b in pairwise(way):
            if b in net.parent or b == net.source:
                continue
            net.parent[b] = a
            self.steps[_pair(a, b)] = net.key
            axis = 0 if a[1] == b[1] else 1
            for point in (a, b):
                self.lines.setdefault(point, {}).setdefault(net.key, set()).add(axis)
        end = way[-1]
        if end in self.lines:
            self.lines[end][net.key] |= {0, 1}  # nothing may cross where a line ends

    def lift(self, net: Net) -> None:
        """Take a net's lines off the grid."""
        for b, a in net.parent.items():
            self.steps.pop(_pair(a, b), None)
        for point in {net.source, *net.parent, *net.parent.values()}:
            self.lines.get(point, {}).pop(net.key, None)
        net.parent.clear()
        net.ends.clear()

    def route(self, net: Net) -> None:
        """Lay a net: its fixed ways, then each sink by the cheapest way from what is laid."""
        net.cost = 0.0
        for way in net.fixed:
            self.lay(net, way)
        for k, sink in enumerate(net.sinks):
            if sink.at in net.parent:
                net.ends[k] = sink.at
                continue
            cost, way = self.search(net, sink)
            net.cost += cost
            self.lay(net, way)
            net.ends[k] = sink.at

    def search(self, net: Net, sink: Sink) -> tuple[float, list[Cell]]:
        """The cheapest way from any point of a net to a sink."""
        heap: list[tuple[float, int, Cell, Direction]] = []
        best: dict[tuple[Cell, Direction], float] = {}
        before: dict[tuple[Cell, Direction], tuple[Cell, Direction] | None] = {}
        count = 0

        def push(
            cost: float, point: Cell, d: Direction, prior: tuple[Cell, Direction] | None
        ) -> None:
            nonlocal count
            if cost < best.get((point, d), 1e18):
                best[point, d] = cost
                before[point, d] = prior
                count += 1
                heapq.heappush(heap, (cost, count, point, d))

        if not net.parent:
            for d, price in net.depart.items():
                push(price, net.source, d, None)
        for b, a in net.parent.items():
            if b in self.blocked or len(self.lines.get(b, {})) > 1:
                continue
            came = (b[0] - a[0], b[1] - a[1])
            for d in (RIGHT, LEFT, DOWN, UP):
                if d != (-came[0], -came[1]):
                    push(CORNER if d != came else 0.5, b, d, None)
        while heap:
            cost, _, point, d = heapq.heappop(heap)
            self.effort.spend()
            if cost > best[point, d]:
                continue
            if point == sink.at:
                way = [point]
                state: tuple[Cell, Direction] | None = (point, d)
                while state is not None and (state := before[state]) is not None:
                    way.append(state[0])
                return cost, way[::-1]
            nxt = (point[0] + d[0], point[1] + d[1])
            if _pair(point, nxt) in self.steps:
                continue
            entrance = self.enter(net, nxt, d, sink)
            if entrance is None:
                continue
            total = cost + 2.0 / self.step + entrance
            if nxt == sink.at:
                push(total + sink.arrive[d], nxt, d, (point, d))
                continue
            foreign = any(k != net.key for k in self.lines.get(nxt, {}))
            for turn in (RIGHT, LEFT, DOWN, UP):
                if turn == (-d[0], -d[1]) or (foreign and turn != d):
                    continue
                push(total + (0.0 if turn == d else CORNER), nxt, turn, (point, d))
        raise NotPlaceable(f"no way for {net.key}")

    def enter(self, net: Net, point: Cell, d: Direction, sink: Sink) -> float | None:
        """What it costs to enter a point; None if it must not be."""
        if point == sink.at:
            return 0.0 if d in sink.arrive else None
        column, row = point
        if not (0 < column < self.width - 1 and 0 < row < self.at(0, self.plan.rows - 1)[1]):
            return None
        if point in self.blocked or point in net.parent or point == net.source:
            return None
        axis = 0 if d[1] == 0 else 1
        price = 0.0
        for key, axes in self.lines.get(point, {}).items():
            if key == net.key or axis in axes:
                return None
            price += CROSSING
        return price

    def crossings(self) -> list[Cell]:
        """The points in which two nets cross."""
        return [
            p
            for p, nets in self.lines.items()
            if len(nets) > 1 and all(len(axes) == 1 for axes in nets.values())
        ]


def _pair(a: Cell, b: Cell) -> tuple[Cell, Cell]:
    return (a, b) if a <= b else (b, a)


def routed(plan: GridPlan, spare: int, effort: Effort) -> tuple[Grid, float]:
    """All lines of a plan, and what they cost."""
    grid = Grid(plan, spare, effort)
    nets = _nets(plan, grid)
    grid.nets = nets
    early = [n for n in nets.values() if n.fixed]
    late = sorted((n for n in nets.values() if not n.fixed), key=lambda n: (_reach(n), n.key))
    # belts and lanes first, whole; what branches off them waits for the short lines
    pending = {n.key: n.sinks for n in early}
    for net in early:
        net.sinks = []
        grid.route(net)
    for net in early:
        net.sinks = pending[net.key]
    for net in late:
        grid.route(net)
    for net in early:
        grid.lift(net)
        grid.route(net)
    total = sum(n.cost for n in nets.values())
    for _ in range(3):
        for net in (*early, *late):
            grid.lift(net)
            grid.route(net)
        again = sum(n.cost for n in nets.values())
        if again >= total:
            break
        total = again
    total += 2.0 * _tracks(grid)
    return grid, total


def _reach(net: Net) -> float:
    far = max(abs(s.at[0] - net.source[0]) * 2 + abs(s.at[1] - net.source[1]) for s in net.sinks)
    return far + 20 * (len(net.sinks) - 1)


def _distance(a: Cell, b: Cell) -> int:
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


def _tracks(grid: Grid) -> int:
    """How many spare tracks carry a line along them."""
    vertical = {a[0] for n in grid.nets.values() for b, a in n.parent.items() if a[0] == b[0]}
    level = {a[1] for n in grid.nets.values() for b, a in n.parent.items() if a[1] == b[1]}
    return sum(c % grid.step > 0 for c in vertical) + sum(r % grid.step > 0 for r in level)


def _line(a: Cell, b: Cell) -> list[Cell]:
    """The points from a to b, which share a column or a row."""
    dx, dy = (b[0] > a[0]) - (b[0] < a[0]), (b[1] > a[1]) - (b[1] < a[1])
    points = [a]
    while points[-1] != b:
        points.append((points[-1][0] + dx, points[-1][1] + dy))
    return points


def _nets(plan: GridPlan, grid: Grid) -> dict[str, Net]:
    """A net for each value that is read, with the ways that are straight from the outset."""
    a = plan.anatomy
    at = {key: grid.at(*place) for key, place in plan.place.items()}
    sides = {RIGHT: 0.0, UP: 0.0, DOWN: 0.0, LEFT: BACKWARDS}
    left = {state: (0, grid.at(0, row)[1]) for state, row in plan.state_row.items()}
    right = {state: (grid.width - 1, level) for state, (_, level) in left.items()}
    nets = {key: Net(key, left[state], {RIGHT: 0.0}) for key, state in a.previous.items()}
    nets |= {name: Net(name, at[name], {UP: 0.0}) for name in a.inputs}
    nets |= {key: Net(key, at[key], _departures(plan, part)) for key, part in a.parts.items()}
    for key, bus in plan.buses.items():
        nets[key] = Net(key, grid.at(bus.start, bus.lane), {RIGHT: 0.0})

    for state, path in a.belts.items():
        here = f"prev.{state}"
        for key in path:
            nets[here].fixed.append(_line(nets[here].source, at[key]))
            nets[here].sinks.append(Sink(at[key], {RIGHT: 0.0}, key))
            here = key
        if a.states[state] == here:
            nets[here].fixed.append(_line(nets[here].source, right[state]))

    for key, bus in plan.buses.items():
        children = [b.start for b in plan.buses.values() if b.straight == key]
        last = max([bus.start, *children, *(plan.place[layer][0] for layer in bus.layers)])
        nets[key].fixed.append(_line(nets[key].source, grid.at(last, bus.lane)))
        for layer in sorted(bus.layers, key=lambda k: plan.place[k][0]):
            nets[key].fixed.append(_line(grid.at(plan.place[layer][0], bus.lane), at[layer]))
            nets[key].sinks.append(Sink(at[layer], {UP: 0.0}, layer))
        arrivals = list(bus.ramps)
        if bus.straight and bus.straight not in {source for source, _, _ in arrivals}:
            arrivals.append((bus.straight, bus.start, "left"))
        for source, column, side in arrivals:
            way = {"below": UP, "above": DOWN, "left": RIGHT}[side]
            sink = Sink(grid.at(column, bus.lane), {way: 0.0}, key)
            nets[source].sinks.append(sink)
            grid.lines.setdefault(sink.at, {}).setdefault(key, set())

    merged = {layer for bus in plan.buses.values() for layer in bus.layers}
    on_belt = {key for path in a.belts.values() for key in path}
    for key, part in a.parts.items():
        allowed = {UP: 0.0} if part.merges else sides
        if key in on_belt:
            allowed = {UP: 0.0, DOWN: 0.0}
        for source in part.inputs if key not in merged else ():
            if all(sink.at != at[key] for sink in nets[source].sinks):
                nets[source].sinks.append(Sink(at[key], allowed, key))
    for state, value in a.states.items():
        nets[value].sinks.append(Sink(right[state], {RIGHT: 0.0}, f"next.{state}"))
    top = (grid.at(plan.exit_column, 0)[0], 0)
    nets[a.leaving[OUTPUT]].sinks.append(Sink(top, {UP: 0.0}, OUTPUT))
    used = {key: net for key, net in nets.items() if net.sinks}
    for net in used.values():
        net.sinks.sort(key=lambda s: (s.part == OUTPUT, _distance(net.source, s.at)))
    return used


def _departures(plan: GridPlan, part: Part) -> dict[Direction, float]:
    """The directions in which a part's line may begin, each with a price."""
    if part.merges:
        return {UP: 0.0}
    own = plan.columns[plan.place[part.key][0]]
    depart = {RIGHT: CORNER if own.down else 0.0, UP: 0.0, DOWN: 0.0, LEFT: BACKWARDS}
    below = own.stack[: own.stack.index(part.key)] if part.key in own.stack else []
    if below and not own.down and below[-1] in part.inputs:
        depart.pop(DOWN)  # the line that comes from there must get out
    return depart
