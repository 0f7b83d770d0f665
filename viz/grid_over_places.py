"""Grids: a block at each place, the states of one axis going right, those of another down or up.

An axis that the input has, such as the rows of a picture, leads down; one with a length of its own,
such as depth, leads up, as layers stand above one another. A third axis leads into the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

from equations import name_unicode
from equations.wording import Said, joined
from tinygrad_lstm.grids import Axis, Grid
from viz import sentences
from viz.anatomy import anatomy
from viz.columns import APART, FOOT, HEIGHT, LETTER, PITCH, STEP, WIDTH, line
from viz.layout.shapes import TERMINAL, terminal
from viz.scene import Point, Scene, Shape, label, prefixed
from viz.symbols import named

SMALL = 12.0
OUTER = 40.0  # lines at the edges
DEEP = 18.0  # lines into the picture
LEFT, RIGHT = -24.0, 24.0  # from the middle of a box: x, and what moves up or down


@dataclass(frozen=True)
class _Way:
    """How the states of an axis go: from which side of a box to which, and how far apart."""

    axis: Axis
    step: tuple[int, int]  # columns and rows, of which the first is on top
    width: float
    height: float

    def end(self, box: Shape, k: int, leaving: bool) -> Point:
        """Where the line of the k-th state enters or leaves a box."""
        aside = PITCH * (k - (len(self.axis.states) - 1) / 2)
        sign = 1 if leaving else -1
        dx, dy = self.step
        if not any(self.step):  # into the picture, from the upper left
            x = box.x + sign * (self.width / 2 - 14) + aside
            return x, box.y + sign * self.height / 2
        return (
            box.x + sign * dx * self.width / 2 + (RIGHT + aside if dy else 0.0),
            box.y + sign * dy * self.height / 2 - (aside if dx else 0.0),
        )

    def beyond(self, point: Point, sign: int) -> Point:
        """Where a line comes from, or leads to, at the edge of the grid."""
        dx, dy = self.step
        if not any(self.step):
            return point[0] + sign * DEEP, point[1] + sign * DEEP
        return point[0] + sign * dx * OUTER, point[1] + sign * dy * OUTER


class _Drawing:
    def __init__(self, grid: Grid, steps: int) -> None:
        self.grid, self.steps, self.scene = grid, steps, Scene()
        self.a = anatomy(grid.block)
        self.circles = [terminal("", n, "1,1", 0, 0) for n in self.a.inputs]
        self.span = max((shape.width for shape in self.circles), default=0.0) + APART
        most = max(len(axis.states) for axis in grid.axes_of_grid)
        self.deep = len(grid.axes_of_grid) > 2
        further = self.span * (len(self.circles) - 1)
        room = RIGHT + PITCH * most / 2 + 12 + further + 34 * self.deep
        self.width = max(WIDTH + 16, 2 * room - 24)
        self.height = max(HEIGHT, PITCH * most + 12)
        self.pitch = self.height + FOOT + TERMINAL + FOOT + (DEEP + 10) * self.deep
        self.ways = self._ways()
        self.boxes: dict[tuple[int, int], Shape] = {}

    def _ways(self) -> list[_Way]:
        """Across first, then down, or up where depth is an axis; what is left over goes deep."""
        ways: list[_Way] = []
        for axis in self.grid.axes_of_grid:
            wanted = [(1, 0), (0, 1)] if axis.length is None else [(0, -1), (1, 0)]
            taken = {bool(way.step[0]) for way in ways if any(way.step)}
            step = next((step for step in wanted if bool(step[0]) not in taken), (0, 0))
            ways.append(_Way(axis, step, self.width, self.height))
        return ways

    def count(self, across: bool) -> int:
        """How many columns there are, or how many rows."""
        way = next((w for w in self.ways if w.step[0 if across else 1]), None)
        return 1 if way is None else way.axis.length or self.steps

    def draw(self) -> Scene:
        columns, rows = self.count(True), self.count(False)
        upward = any(way.step == (0, -1) for way in self.ways)
        for row, column in product(range(rows), range(columns)):
            y = (rows - 1 - row if upward else row) * self.pitch
            self.boxes[row, column] = self._block(row, column, y, upward)
        for way in self.ways:
            self._lines(way, -1 if upward else 1)
        return self.scene

    def _block(self, row: int, column: int, y: float, upward: bool) -> Shape:
        x, key = column * (self.width + STEP), f"box-{row + 1}-{column + 1}"
        what = named(f"{row + 1}.A" if self.grid.layers else "A", None)
        shape = Shape(key, "module", x, y, self.width, self.height, *what[:2], LETTER)
        self.scene.shapes.append(shape)
        time = self._place(row, column)
        foot = y + self.height / 2
        for k, name in enumerate(self.a.inputs):
            own = f"in-{name}-{row + 1}-{column + 1}"
            shown = self.a.time(name, time) if time else None
            circle = terminal(own, name, shown, 0.0, foot + FOOT + TERMINAL / 2)
            across = sum(len(way.axis.states) for way in self.ways if way.step[1])
            beside = RIGHT + PITCH * across / 2 + self.span * (k - 0.5)
            aside = beside if k else LEFT
            circle = replace(circle, x=x + aside)
            self.scene.shapes.append(circle)
            points = ((circle.x, foot + FOOT), (circle.x, foot))
            self.scene.wires.append(line(f"wire-{own}", points, own, key, name, own))
        return shape

    def _place(self, row: int, column: int) -> str:
        """The numbers of a place along the axes that the input has, the outermost first."""
        seen = [way for way in reversed(self.ways) if way.axis.length is None]
        at = {True: column, False: row}
        return ",".join(str(at[bool(way.step[0])] + 1 if any(way.step) else 1) for way in seen)

    def _lines(self, way: _Way, down: int) -> None:
        """The lines of an axis' states, from box to box, and those at its edges."""
        dx, dy = way.step
        ahead = (dy * down, dx)  # in rows, counted along the axis, and columns
        for (row, column), box in self.boxes.items():
            after = self.boxes.get((row + ahead[0], column + ahead[1])) if any(ahead) else None
            first = not any(ahead) or (row - ahead[0], column - ahead[1]) not in self.boxes
            for k, state in enumerate(way.axis.states):
                own = f"{state}-{row + 1}-{column + 1}"
                out = way.end(box, k, True)
                if first:
                    enters = way.end(box, k, False)
                    self._edge(f"enter-{own}", way, state, (way.beyond(enters, -1), enters), box.id)
                if after is not None:
                    points = (out, way.end(after, k, False))
                    ends = box.id, after.id
                    self.scene.wires.append(
                        line(f"pass-{own}", points, *ends, state, f"{own}-out", width=1.8)
                    )
                else:
                    self._edge(f"leave-{own}", way, state, (out, way.beyond(out, 1)), box.id, True)

    def _edge(
        self,
        own: str,
        way: _Way,
        state: str,
        points: Sequence[Point],
        box: str,
        leaving: bool = False,
    ) -> None:
        """A line at the edge of the grid, with the name of its state."""
        name = f"label-{own}"
        ends = (box, name) if leaving else (name, box)
        self.scene.wires.append(line(own, points, *ends, state, own, width=1.8))
        x, y = points[-1] if leaving else points[0]
        what, classes = named(state, None), prefixed([state], "val")
        if way.step[0]:
            side = 1 if leaving else -1
            self.scene.shapes.append(
                label(name, what, x + 7 * side, y, SMALL, side, classes=classes)
            )
            return
        below = y > points[0][1] if leaving else y > points[-1][1]
        at = y + (11 if below else -11)
        k, several = way.axis.states.index(state), len(way.axis.states)
        aside = 0.0 if several == 1 else 3.0 * (2 * k - several + 1)
        self.scene.shapes.append(label(name, what, x + aside, at, SMALL, classes=classes))


def grid_over_places(grid: Grid, steps: int) -> tuple[Scene, str]:
    """The scene of a grid with so many places along each axis, and what it shows in words."""
    drawing = _Drawing(grid, steps)
    scene = drawing.draw()
    said: list[str] = [
        Said(
            "The grid of the block {cell}, {rows} × {columns} places (rows × columns): at each one "
            "a copy of a module A, which reads {inputs}.",
            cell=grid.block.name,
            rows=str(drawing.count(False)),
            columns=str(drawing.count(True)),
            inputs=sentences.inputs(drawing.a),
        )
    ]
    ways = {
        (1, 0): "{states} go along the axis {axis}, to the module on the right.",
        (0, 1): "{states} go along the axis {axis}, to the module below.",
        (0, -1): "{states} go along the axis {axis}, to the module above.",
        (0, 0): "{states} go along the axis {axis}, into the picture.",
    }
    for way in drawing.ways:
        states = sentences.listed(name_unicode(s, None) for s in way.axis.states)
        said.append(Said(ways[way.step], states=states, axis=way.axis.name))
    if grid.layers:
        said.append(Said("Each row has parameters of its own."))
    return scene, joined(said)
