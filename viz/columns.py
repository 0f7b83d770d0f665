"""The layout of time: a step is a column, and every cell in it a box above what it reads.

The input of a step stands at its foot, layers above one another, directions side by side; a cell is
a network of one part. Lines to the boxes are kept as corners until it is known which states' lines
they cross.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from types import MappingProxyType

from tinygrad_lstm.networks import Bidirectional, Stack, System
from tinygrad_lstm.step import Cell
from viz.anatomy import anatomy
from viz.glyphs import glyphs
from viz.layout.shapes import LABEL, TERMINAL, terminal
from viz.scene import Point, Scene, Shape, Wire, label, prefixed
from viz.symbols import Written, named

WIDTH, HEIGHT = 84.0, 84.0
PITCH = 14.0  # between the lines of two states, unless their names are higher
FOOT = 30.0  # the line into a box, and out of the last one
STEP, BESIDE = 52.0, 30.0  # between the boxes of two steps, and of two directions
BEND, OUTER = 16.0, 40.0
LETTER, GAP, CORNER, APART = 26.0, 4.5, 9.0, 8.0
JOIN = (34.0, 24.0)
ASIDE, GIVEN = 20.0, 11.0  # between lines of one layer to the next; size of their names

Part = Cell | System


@dataclass(frozen=True)
class Box:
    """A cell at a step: its name in the network ("2.forward"), its place, which way it reads."""

    name: str
    cell: Cell
    x: float
    y: float
    width: float
    key: str
    backward: bool


@dataclass(frozen=True)
class Strand:
    """A value on its way up: where it is from ("" is nowhere yet), its name, its corners so far."""

    tail: str
    value: str
    points: tuple[Point, ...]

    def on(self, *points: Point) -> Strand:
        """The strand, led on around further corners."""
        return Strand(self.tail, self.value, (*self.points, *points))


@dataclass
class Column:
    """One step: the size of its boxes, the room in them for each state, and what stands in it."""

    time: str
    key: str
    width: float = WIDTH
    height: float = HEIGHT
    each: float = PITCH
    loops: bool = False  # whether there is room beside a box for its loops
    shapes: list[Shape] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    lines: list[tuple[str, str, Strand]] = field(default_factory=list)  # id, head, from below

    def put(self, part: Part, x: float = 0.0, foot: float = HEIGHT) -> None:
        """A part whose lowest box stands on `foot`, with its output above."""
        out = self._put(part, "", Strand("", "x", ((x, foot + FOOT),)), False)
        x, y = out.points[-1]
        self._enter(terminal(self.id("out"), out.value, self.time, x, y - FOOT - TERMINAL / 2))
        self.lines.append((self.id("wire", "out"), self.id("out"), out.on((x, y - FOOT))))

    def room(self, part: Part, name: str = "") -> float:
        """The width of a part."""
        if isinstance(part, Cell):
            names = glyphs(names_of(part, name).latex, LABEL).width
            beside = 2 * (reach(len(part.state)) + 10 + names) * self.loops
            row = self._inputs(part, name)
            return max(self._wide(row) + beside, _span(row) * len(row) - STEP)
        inner = [self.room(p, within(name, own)) for own, p in part.parts.items()]
        return sum(inner) + BESIDE if isinstance(part, Bidirectional) else max(inner)

    def id(self, *words: str) -> str:
        """An id within this step."""
        return dashed(self.key, *words)

    def _enter(self, shape: Shape) -> str:
        self.shapes.append(shape)
        return shape.id

    def _put(self, part: Part, name: str, below: Strand, backward: bool) -> Strand:
        """A part above what it reads; its output."""
        if isinstance(part, Cell):
            return self._box(part, name, below, backward)
        if isinstance(part, Bidirectional):
            return self._directions(part, name, below, backward)
        for own, inner in part.parts.items():
            turned = backward != (not isinstance(part, Stack))
            if isinstance(inner, Cell):
                wires = {n: part.wires.get(f"{own}.{n}") for n in inner.sequences}
                given = {n: within(name, w) for n, w in wires.items() if isinstance(w, str)}
                below = self._box(inner, within(name, own), below, turned, given)
            else:
                below = self._put(inner, within(name, own), below, turned)
        return below

    def _inputs(self, cell: Cell, name: str) -> list[tuple[str, Shape]]:
        """The circles of what a cell reads."""
        a = anatomy(cell)
        ids = {own: self.id("in", own if own == "x" else within(name, own)) for own in a.inputs}
        return [(n, terminal(ids[n], n, a.time(n, self.time), 0, 0)) for n in a.inputs]

    def _wide(self, row: Sequence[tuple[str, Shape]]) -> float:
        """The width of the box above a row of circles: every arrow meets it."""
        return max(self.width, _span(row) * (len(row) - 1) + WIDTH / 3)

    def _box(
        self,
        cell: Cell,
        name: str,
        below: Strand,
        backward: bool,
        given: Mapping[str, str] = MappingProxyType({}),
    ) -> Strand:
        """The box A above a row of what it reads; what comes from below takes its place there.

        given: further inputs that are equations of the layer below, such as C_below.
        """
        lower = x, y = below.points[-1]
        every = self._inputs(cell, name)
        row = [each for each in every if each[0] not in given]
        if below.tail and len(row) > 1:
            below, y = below.on((x, y - BEND)), y - BEND - APART - TERMINAL
        key = self.id("box", name)
        for k, (own, shape) in enumerate(row):
            slot = x + (_span(every) * (k - (len(every) - 1) / 2) if len(row) > 1 else 0.0)
            if own == "x" and below.tail:
                strand = below.on((slot, below.points[-1][1])) if len(row) > 1 else below
            else:
                place = replace(shape, x=slot, y=y + TERMINAL / 2)
                strand = Strand(self._enter(place), own, ((slot, y),))
            wire = self.id("wire", name, own)
            self.lines.append((wire, key, strand.on((slot, y - FOOT))))
        self._given(given, key, below.tail, lower, y - FOOT, _span(every), len(row))
        height = max(self.height, self.each * len(cell.state) + 12)
        what, size = named(within(name, "A"), None), LETTER - 4.0 * bool(name)
        wide = self._wide(every if given and len(row) > 1 else row)
        box = Box(name, cell, x, y - FOOT - height / 2, wide, key, backward)
        self.boxes.append(box)
        self._enter(
            Shape(
                key,
                "module",
                x,
                box.y,
                box.width,
                height,
                what.latex,
                what.text,
                size,
                title=str(cell),
            )
        )
        return Strand(key, within(name, cell.output), ((x, box.y - height / 2),))

    def _given(
        self,
        given: Mapping[str, str],
        key: str,
        tail: str,
        lower: Point,
        top: float,
        span: float,
        count: int,
    ) -> None:
        """Lines of a layer's further equations beside that of its output, with their names."""
        x, y = lower
        names = [named(source, self.time) for source in given.values()]
        for k, (own, source) in enumerate(given.items()):
            n = len(given) - k
            start = end = x + (k + 1) * min(ASIDE, WIDTH / 2 / (len(given) + 1))
            strand = Strand(tail, source, ((start, y),))
            if count > 1:  # around the circles of what else is read
                end = x + span * ((count + len(given) - 1) / 2 - n + 1)
                turn = y - BEND * n / len(given)
                strand = strand.on((start, turn), (end, turn))
                self._beside(f"{key}-{own}", names[k], end, top + FOOT / 2)
            self.lines.append((self.id("wire", key, own), key, strand.on((end, top))))
        if given and count == 1:
            what = Written(",".join(n.latex for n in names), ", ".join(n.text for n in names))
            self._beside(key, what, start, top + FOOT / 2)

    def _beside(self, own: str, what: Written, x: float, y: float) -> None:
        self._enter(label(self.id("given", own), what, x + 5, y, GIVEN, 1))

    def _directions(self, part: Bidirectional, name: str, below: Strand, backward: bool) -> Strand:
        """The forward part below on the left, the backward one above on the right, then joined."""
        x, y = below.points[-1]
        if not below.tail:
            start = self._enter(terminal(self.id("in", "x"), "x", self.time, x, y + TERMINAL / 2))
            below = Strand(start, "x", below.points)
        left, right = (self.room(p, within(name, own)) for own, p in part.parts.items())
        ends, low = [], y - BEND
        for own, side in zip(part.parts, (-BESIDE - right, BESIDE + left), strict=True):
            strand = below.on((x, y - BEND), (x + side / 2, y - BEND))
            if low < y - BEND:
                strand = strand.on((x + side / 2, low))
            turned = backward != (own == "backward")
            ends.append(self._put(part.parts[own], within(name, own), strand, turned))
            low = ends[-1].points[-1][1]
        width, height = JOIN
        top = low - FOOT - height / 2
        key = self._enter(
            Shape(self.id("join", name), "op", x, top, *JOIN, r"[\,,]", "[,]", 13.0, round=True)
        )
        for end in ends:
            side, _ = end.points[-1]
            edge = x + (width / 2 if side > x else -width / 2)
            self.lines.append((dashed(key, end.tail), key, end.on((side, top), (edge, top))))
        return Strand(key, within(name, part.output), ((x, top - height / 2),))


def pass_states(
    columns: Sequence[Column], scene: Scene, ends: tuple[float, float], size: float
) -> None:
    """The states' lines from step to step, with the names of the first and the last."""
    for boxes in zip(*(column.boxes for column in columns), strict=True):
        way = -1 if boxes[0].backward else 1
        order, outer = boxes[::way], (ends[0] - OUTER, ends[1] + OUTER)[::way]
        states = list(order[0].cell.state)
        for k, state in enumerate(states):
            y = order[0].y + columns[0].each * ((len(states) - 1) / 2 - k)
            own = within(order[0].name, state)
            classes = prefixed([own], "val")
            stops = [
                (f"start-{own}", outer[0], outer[0]),
                *((b.key, b.x - way * b.width / 2, b.x + way * b.width / 2) for b in order),
                (f"end-{own}", outer[1], outer[1]),
            ]
            for n, ((tail, _, x0), (head, x1, _)) in enumerate(pairwise(stops)):
                key, points = dashed("pass", own, str(n)), ((x0, y), (x1, y))
                scene.wires.append(line(key, points, tail, head, own, f"{own}-{n}", width=1.8))
            times = (0, len(columns)) if way > 0 else (len(columns) + 1, 1)
            for time, x, side in zip(times, outer, (-way, way), strict=True):
                what = named(own, str(time))
                shape = dashed("label", own, str(time))
                scene.shapes.append(
                    label(shape, what, x + 7 * side, y, size, side, classes=classes)
                )


def draw_lines(columns: Sequence[Column], scene: Scene) -> None:
    """The lines from below, open where they pass the line of a state."""
    levels = [wire.points for wire in scene.wires if wire.id.startswith("pass-")]
    for own, head, strand in (line for column in columns for line in column.lines):
        runs: list[list[Point]] = [[strand.points[0]]]
        for (x, y0), (x1, y1) in pairwise(strand.points):
            crossed = {a[1] for a, b in levels if min(a[0], b[0]) < x < max(a[0], b[0])}
            for level in sorted(crossed, reverse=True) if x == x1 else ():
                if y1 + GAP < level < y0 - GAP:
                    runs[-1].append((x, level + GAP))
                    runs.append([(x, level - GAP)])
            runs[-1].append((x1, y1))
        net = f"{strand.tail}-{strand.value}"
        for n, run in enumerate(runs):
            key, last = dashed(own, str(n) * bool(n)), run is runs[-1]
            wire = line(key, run, strand.tail, head, strand.value, net, last, radius=CORNER)
            scene.wires.append(wire)


def line(
    own: str,
    points: Iterable[Point],
    tail: str,
    head: str,
    value: str,
    net: str,
    arrow: bool = True,
    width: float = 1.6,
    radius: float = 10.0,
    classes: tuple[str, ...] = (),
) -> Wire:
    """A line that carries a named value."""
    classes = ("wire", *prefixed([value], "val"), *classes)
    return Wire(own, tuple(points), tail, head, net, arrow, radius, width, classes)


def dashed(*words: str) -> str:
    """An id made of words and names."""
    return "-".join(word.replace(".", "-") for word in words if word)


def within(name: str, own: str) -> str:
    """The name that something of a part has in the network."""
    return f"{name}.{own}" if name else own


def _span(row: Sequence[tuple[str, Shape]]) -> float:
    """How far the circles of a row stand apart, from middle to middle."""
    return max((shape.width for _, shape in row), default=0.0) + APART


def reach(count: int) -> float:
    """How far the loops of so many states lead away from their box."""
    return 14.0 + 16.0 * count


def names_of(cell: Cell, name: str) -> Written:
    """The states of a part, by name."""
    names = [named(within(name, state), None) for state in cell.state]
    return Written(",".join(n.latex for n in names), ", ".join(n.text for n in names))
