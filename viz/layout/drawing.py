"""From a routed grid to a scene: coordinates, rounded lines, arrowheads, labels beside lines."""

from __future__ import annotations

from itertools import pairwise

from viz.anatomy import OUTPUT
from viz.layout.labels import mark_lengths, mark_second, name_beside
from viz.layout.routing import Cell, Grid, Net
from viz.layout.shapes import (
    BETWEEN,
    LABEL,
    OUTSIDE,
    TERMINAL,
    Names,
    part_shapes,
    part_size,
    terminal,
)
from viz.scene import Point, Scene, Shape, Wire, ground, label, prefixed, step
from viz.symbols import named

RADIUS = 10.0
GAP = 4.5  # half the gap of a line that passes below another

Pairs = set[tuple[str, str]]  # a value, and the part or end that reads it


class Drawing:
    """The scene of one cell. `x` and `y` map the grid's used columns and rows to points."""

    def __init__(self, grid: Grid, names: Names) -> None:
        self.grid, self.plan, self.names = grid, grid.plan, names
        self.anatomy = grid.plan.anatomy
        self.scene = Scene()
        self.sizes = {key: part_size(part) for key, part in self.anatomy.parts.items()}
        self._measure()
        self.crossed = set(grid.crossings())
        self.links: dict[str, Pairs] = {}  # of each line
        self._draw()

    # --- coordinates ----------------------------------------------------------------------------
    def _measure(self) -> None:
        grid, plan, a = self.grid, self.plan, self.anatomy
        columns: dict[int, float] = {}  # used column -> half the width of what stands there
        rows: dict[int, float] = {}
        for net in grid.nets.values():
            ways = net.parent.items()
            upright = [p[0] for q, p in ways if p[0] == q[0]]
            level = [p[1] for q, p in ways if p[1] == q[1]]
            ends = (net.source, *net.ends.values())
            columns |= dict.fromkeys([*upright, *(c for c, _ in ends)], 0.0)
            rows |= dict.fromkeys([*level, *(r for _, r in ends)], 0.0)
        for key, place in plan.place.items():
            c, r = grid.at(*place)
            w, h = self.sizes.get(key, (0.0, 0.0))
            columns[c] = max(columns.get(c, 0.0), w / 2)
            rows[r] = max(rows.get(r, 0.0), h / 2)
        for row in plan.state_row.values():
            rows.setdefault(grid.at(0, row)[1], 0.0)
        inner = sorted(c for c in columns if 0 < c < grid.width - 1)
        self.x: dict[int, float] = {}
        position, before, foot = 0.0, 12.0, 0.0
        feet = {  # the terminals below must not touch each other either
            grid.at(*plan.place[name])[0]: self._input(name, 0, 0).width
            for name in self.anatomy.inputs
        }
        ramps = {grid.at(c, 0)[0] for bus in plan.buses.values() for _, c, _ in bus.ramps}
        for c in inner:
            space = 20.0 if before and columns[c] else 16.0
            position += before + columns[c] + (28.0 if c in ramps else space)
            if c in feet:
                position = max(position, foot + feet[c] / 2)
                foot = position + feet[c] / 2 + 8
            self.x[c] = position
            before = columns[c]
        self.width = position + before + 26.0
        self.x[0] = -OUTSIDE if self.names.left else 0.0
        self.x[grid.width - 1] = self.width + (OUTSIDE if self.names.right else BETWEEN)

        layer = grid.at(0, plan.layer_row)[1]
        bottom = grid.at(0, plan.rows - 1)[1]
        lanes = {
            grid.at(0, row)[1]
            for row in (*(bus.lane for bus in plan.buses.values()), *plan.state_row.values())
            if row > plan.layer_row
        }
        labelled = {layer} | {
            grid.at(*plan.place[key])[1]
            for key, part in a.parts.items()
            if set(part.names) - set(a.states) and plan.place[key][1] >= len(a.belts)
        }
        body = sorted(r for r in rows if 0 < r < bottom)
        self.y: dict[int, float] = {}
        position, before, last = 0.0, 6.0, -1
        for r in body:
            space = 22.0 if before and rows[r] else 17.0
            if r in labelled or last == layer:
                space = 38.0 if r in labelled else 24.0
            if {r, last} <= lanes:
                space = 2 * RADIUS + 4
            if last < 0:
                space = 20.0
            position += before + rows[r] + space
            self.y[r] = position
            before, last = rows[r], r
        self.height = position + max(before + 20.0, 26.0)
        self.y[0] = -OUTSIDE
        self.y[bottom] = self.height + OUTSIDE + TERMINAL / 2

    def point(self, cell: Cell) -> Point:
        """A grid point in points."""
        return self.x[cell[0]], self.y[cell[1]]

    def ends(self) -> tuple[dict[str, Point], dict[str, Point]]:
        """Where the states' lines begin, and where they end."""
        rows = {s: self.y[self.grid.at(0, row)[1]] for s, row in self.plan.state_row.items()}
        left, right = self.x[0], self.x[self.grid.width - 1]
        return {s: (left, y) for s, y in rows.items()}, {s: (right, y) for s, y in rows.items()}

    # --- everything -----------------------------------------------------------------------------
    def _draw(self) -> None:
        """Body, parts, lines, terminals and labels."""
        self.scene.shapes.append(ground("body", "body", (0.0, 0.0, self.width, self.height)))
        for key, part in self.anatomy.parts.items():
            at = self.point(self.grid.at(*self.plan.place[key]))
            self.scene.shapes += part_shapes(self.anatomy, part, *at)
        for name in self.anatomy.inputs:
            x, y = self.point(self.grid.at(*self.plan.place[name]))
            self.scene.shapes.append(self._input(name, x, y))
        for net in self.grid.nets.values():
            self._wires(net)
        self._borders()
        for part in self.anatomy.parts.values():
            if part.second:
                mark_second(self.scene, part)
        for key, part in self.anatomy.parts.items():
            for name in part.names:
                if name not in self.anatomy.states:
                    what = self.anatomy.name(name, self.names.time)
                    name_beside(self.scene, key, name, what)
        for part in self.anatomy.parts.values():
            others = (user.lengths for user in self.anatomy.users(part.key))
            if part.lengths and part.lengths not in others:  # once for a lane
                mark_lengths(self.scene, part)

    def _input(self, name: str, x: float, y: float) -> Shape:
        return terminal(f"in-{name}", name, self.anatomy.time(name, self.names.time), x, y)

    # --- lines ----------------------------------------------------------------------------------
    def _readers(self, net: Net, cell: Cell) -> set[str]:
        """The parts, next states and terminals that read what passes a point of a net."""
        found: set[str] = set()
        for k, end in net.ends.items():
            here: Cell | None = end
            while here is not None and here != cell:
                here = net.parent.get(here)
            if here is None:
                continue
            reader = net.sinks[k].part
            if reader in self.plan.buses:
                found |= set(self.plan.fed(reader))
            else:
                found.add(reader)
        return found

    def _wires(self, net: Net) -> None:
        children: dict[Cell, list[Cell]] = {}
        for b, a in net.parent.items():
            children.setdefault(a, []).append(b)
        stack: list[tuple[Cell, Cell | None]] = [(net.source, None)]
        count = 0
        while stack:
            start, first = stack.pop()
            here = [start]
            nexts = [first] if first else children.get(start, [])[:1]
            while len(nexts) == 1:
                here.append(nexts[0])
                nexts = children.get(here[-1], [])
            if len(here) > 1:
                self._stroke(net, here, bool(nexts), count)
                count += 1
            stack += [(here[-1], b) for b in reversed(nexts)]

    def _stroke(self, net: Net, cells: list[Cell], forks: bool, count: int) -> None:
        """One stroke from a source or fork to a fork or end."""
        parts, buses = self.anatomy.parts, self.plan.buses
        start, end = cells[0], cells[-1]
        points = [self.point(c) for c in _corners(cells)]
        part = f"part-{net.key}"
        tail = part if start == net.source and net.key in parts else f"j-{_id(net.key)}-{count}"
        head = f"{tail}-end"
        arrow = False
        if start == net.source:
            if net.key in parts:
                points[0] = self._edge_of(points[0], points[1], *self.sizes[net.key])
            elif net.key in buses:
                points[0] = step(points[0], points[1], RADIUS)
            elif net.key in self.anatomy.inputs:
                tail = f"in-{net.key}"
                points[0] = step(points[0], points[1], TERMINAL / 2)
        elif (origin := net.parent.get(start)) is not None:
            # a fork begins before its corner, so that the corner is round
            points.insert(0, step(points[0], _towards(start, origin, points[0]), RADIUS))
        if forks:
            points[-1] = step(points[-1], points[-2], RADIUS)
        else:
            sink = next(s for k, s in enumerate(net.sinks) if net.ends[k] == end)
            if sink.part in parts:
                points[-1] = self._edge_of(points[-1], points[-2], *self.sizes[sink.part])
                head = f"part-{sink.part}"
                arrow = True
            elif sink.part in buses:
                x, y = points[-1]
                points.append((x + RADIUS, y))
            else:
                arrow = True
                head = f"out-{sink.part}"
        names = parts[net.key].names if net.key in parts else [net.key]
        if net.key in buses:
            names = []
        readers = self._readers(net, cells[1])
        belts = [s for s, path in self.anatomy.belts.items() if self._on_belt(net, cells, s, path)]
        classes = (
            "wire",
            *prefixed(sorted(names), "val"),
            *prefixed(sorted({parts[r].equation for r in readers if r in parts}), "eq"),
            *prefixed(sorted(r for r in readers if r not in parts), "to"),
            *prefixed(belts, "belt"),
        )
        if net.key in parts and not names:
            classes += prefixed([parts[net.key].equation], "of")
        pieces = self._cut(self._clean(points), cells)
        for k, piece in enumerate(pieces):
            last = k == len(pieces) - 1
            own = f"wire-{_id(net.key)}-{count}" + (f"-{k}" if k else "")
            while own in self.links:  # C.1 beside the first stroke of C
                own += "-"
            self.links[own] = {(s, r) for s in self.plan.values(net.key) for r in readers}
            self.scene.wires.append(
                Wire(
                    own,
                    tuple(piece),
                    tail if not k else f"{tail}-cut{k}",
                    head if last else f"{tail}-cut{k + 1}",
                    net=net.key,
                    arrow=arrow and last,
                    radius=RADIUS,
                    width=2.4 if belts else 1.6,
                    classes=classes,
                )
            )

    def _on_belt(self, net: Net, cells: list[Cell], state: str, path: list[str]) -> bool:
        row = self.grid.at(0, self.plan.state_row[state])[1]
        return net.key in (f"prev.{state}", *path) and all(c[1] == row for c in cells)

    def _cut(self, points: list[Point], cells: list[Cell]) -> list[list[Point]]:
        """The line in pieces: where it passes another vertically, it leaves a gap."""
        gaps = [
            self.point(c)
            for before, c in pairwise(cells)
            if c in self.crossed and before[0] == c[0]
        ]
        pieces = [points]
        for x, y in gaps:
            last = pieces.pop()
            for k, (a, b) in enumerate(pairwise(last)):
                if a[0] == b[0] == x and min(a[1], b[1]) < y < max(a[1], b[1]):
                    s = 1 if b[1] > a[1] else -1
                    pieces += [
                        [*last[: k + 1], (x, y - s * GAP)],
                        [(x, y + s * GAP), *last[k + 1 :]],
                    ]
                    break
            else:
                pieces.append(last)
        return pieces

    def _edge_of(self, at: Point, towards: Point, w: float, h: float) -> Point:
        return step(at, towards, w / 2 if at[1] == towards[1] else h / 2)

    def _clean(self, points: list[Point]) -> list[Point]:
        """Without points in the middle of a straight line."""
        kept = points[:1]
        for k, p in enumerate(points[1:-1], 1):
            a, b = kept[-1], points[k + 1]
            if p != a and not (a[0] == p[0] == b[0] or a[1] == p[1] == b[1]):
                kept.append(p)
        return [*kept, points[-1]]

    # --- labels ---------------------------------------------------------------------------------
    def _borders(self) -> None:
        """Labels where states enter and leave, and the output above."""
        for state in self.anatomy.states:
            y = self.y[self.grid.at(0, self.plan.state_row[state])[1]]
            if self.names.left and self.names.outer and f"prev.{state}" in self.grid.nets:
                self._label(f"prev.{state}", -OUTSIDE - 7, y, -1)
            if self.names.right and self.names.outer:
                self._label(state, self.width + OUTSIDE + 7, y, 1)
        x = self.x[self.grid.at(self.plan.exit_column, 0)[0]]
        y = -OUTSIDE - TERMINAL / 2
        output = self.anatomy.cell.output
        self.scene.shapes.append(terminal(f"out-{OUTPUT}", output, self.names.time, x, y))

    def _label(self, name: str, x: float, y: float, side: int) -> None:
        what, classes = named(name, self.names.time), prefixed([name], "val")
        self.scene.shapes.append(label(f"label-{name}", what, x, y, LABEL, side, classes=classes))


def _corners(cells: list[Cell]) -> list[Cell]:
    """The ends and the points in which a way turns."""
    kept = cells[:1]
    for k, p in enumerate(cells[1:-1], 1):
        a, b = cells[k - 1], cells[k + 1]
        if not (a[0] == p[0] == b[0] or a[1] == p[1] == b[1]):
            kept.append(p)
    return [*kept, cells[-1]]


def _towards(cell: Cell, other: Cell, at: Point) -> Point:
    """A point from `at` in the direction in which `other` lies on the grid."""
    return at[0] + (other[0] - cell[0]) * 100.0, at[1] + (other[1] - cell[1]) * 100.0


def _id(key: str) -> str:
    return key.replace(".", "-").replace(":", "-")
