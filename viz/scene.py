"""What a picture consists of, before Graphviz: shapes, labels and wires at exact places.

Coordinates are points, y downwards. `viz.dot` and `viz.tikz` write a scene, keeping every place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from viz.glyphs import Glyphs, glyphs
from viz.palette import STATES
from viz.symbols import Written

Point = tuple[float, float]
Box = tuple[float, float, float, float]  # left, top, right, bottom

CORNERS = {
    "body": 24.0,
    "module": 14.0,
    "layer": 5.0,
    "card": 6.0,
    "given": 14.0,
    "step": 14.0,
    "band": 12.0,
}


@dataclass(frozen=True)
class Shape:
    """A box, circle or label. `latex` is drawn in its middle; `text` stands for it in the DOT.

    paint: a fill of its own: a role of the palette, or a colour of what is shown, and how much of
    it, from 0 to 1. turned: what is written in it reads upwards.
    """

    id: str
    kind: str
    x: float
    y: float
    width: float
    height: float
    latex: str = ""
    text: str = ""
    size: float = 16.0
    round: bool = False  # a circle, or a pill if it is wider than high
    classes: tuple[str, ...] = ()
    dim: bool = False
    title: str = ""
    paint: tuple[str, float] | None = None
    turned: bool = False

    @property
    def box(self) -> Box:
        """Left, top, right, bottom."""
        w, h = self.width / 2, self.height / 2
        return self.x - w, self.y - h, self.x + w, self.y + h

    @property
    def corner(self) -> float:
        """The radius of its corners."""
        own = CORNERS.get(self.kind, 0.0)
        return min(self.width, self.height) / 2 if self.round else own

    def glyphs(self) -> Glyphs | None:
        """What is drawn in its middle."""
        return glyphs(self.latex, self.size) if self.latex else None


@dataclass(frozen=True)
class Wire:
    """A stroke of a line: a polyline with rounded corners, or a given Bézier curve.

    `net` is the value that it carries; wires of one net may touch. A polyline's corners are
    quarter circles of `radius` where there is room.
    """

    id: str
    points: tuple[Point, ...]
    tail: str
    head: str
    net: str = ""
    arrow: bool = False
    radius: float = 10.0
    width: float = 1.5
    classes: tuple[str, ...] = ()
    dim: bool = False
    curve: bool = False  # the points are a Bézier spline already, the arrow's tip is apart
    tip: Point | None = None
    title: str = ""

    def turned(self, arrow: bool) -> Wire:
        """The line from its end to its start, with an arrow there or without."""
        points, tip = list(self.points), None
        if self.curve and self.tip:
            _straight(points, self.tip)
        points.reverse()
        if self.curve and arrow:
            tip = points[-1]
            points[-1] = step(tip, points[-2], HEAD)
        return replace(
            self, points=tuple(points), tail=self.head, head=self.tail, arrow=arrow, tip=tip
        )


@dataclass
class Scene:
    """Shapes, drawn in order, and wires, drawn above them."""

    shapes: list[Shape] = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)

    def shifted(self, dx: float, dy: float = 0.0, prefix: str = "") -> Scene:
        """A copy at another place, its ids prefixed."""
        return Scene(
            [replace(s, id=prefix + s.id, x=s.x + dx, y=s.y + dy) for s in self.shapes],
            [
                replace(
                    w,
                    id=prefix + w.id,
                    tail=prefix + w.tail,
                    head=prefix + w.head,
                    net=prefix + w.net,
                    points=tuple((x + dx, y + dy) for x, y in w.points),
                    tip=(w.tip[0] + dx, w.tip[1] + dy) if w.tip else None,
                )
                for w in self.wires
            ],
        )

    def add(self, other: Scene) -> None:
        """Draw another scene above this one."""
        self.shapes += other.shapes
        self.wires += other.wires

    def marked(self, state: str, wanted: Callable[[Shape | Wire], bool]) -> Scene:
        """A copy with a state such as "changed" on what is wanted."""

        def classes(part: Shape | Wire) -> tuple[str, ...]:
            return (*part.classes, state) if wanted(part) else part.classes

        return Scene(
            [replace(s, classes=classes(s)) for s in self.shapes],
            [replace(w, classes=classes(w)) for w in self.wires],
        )

    def bounds(self, margin: float = 10.0) -> Box:
        """Left, top, right and bottom of everything."""
        boxes = [s.box for s in self.shapes]
        points = [p for w in self.wires for p in w.points]
        xs = [v for b in boxes for v in (b[0], b[2])] + [p[0] for p in points]
        ys = [v for b in boxes for v in (b[1], b[3])] + [p[1] for p in points]
        return min(xs) - margin, min(ys) - margin, max(xs) + margin, max(ys) + margin


def label(
    own: str,
    what: Written,
    x: float,
    y: float,
    size: float,
    side: int = 0,
    kind: str = "label",
    classes: tuple[str, ...] = (),
    turned: bool = False,
) -> Shape:
    """A formula as large as its ink: x is its middle, its left end (side 1) or its right (-1).

    kind: "label", or "caption" for quieter words. turned: it reads upwards, and y is its lower end
    (side 1).
    """
    ink = glyphs(what.latex, size)
    width, height = (ink.height, ink.width) if turned else (ink.width, ink.height)
    x, y = (x, y - side * height / 2) if turned else (x + side * width / 2, y)
    shape = Shape(own, kind, x, y, width, height, what.latex, what.text, size, classes=classes)
    return replace(shape, turned=turned)


def ground(own: str, kind: str, box: Box, classes: tuple[str, ...] = ()) -> Shape:
    """A shape between these sides, for others to stand on: a body, a band."""
    left, top, right, bottom = box
    x, y = (left + right) / 2, (top + bottom) / 2
    return Shape(own, kind, x, y, right - left, bottom - top, classes=classes)


def band(
    own: str,
    box: Box,
    words: Iterable[tuple[Written, float]],
    at: Point,
    classes: tuple[str, ...] = (),
) -> list[Shape]:
    """A pale ground with words of these sizes on it, one line below the other from `at` on."""
    lines = [
        label(f"{own}-{k}", what, at[0], at[1] + 17 * k, size, 1, "caption", classes)
        for k, (what, size) in enumerate(words)
    ]
    return [ground(own, "band", box, classes), *lines]


HEAD = 8.0  # the length of an arrowhead


def rounded(wire: Wire) -> tuple[list[Point], Point | None]:
    """The wire as a Bézier spline, and the arrow's tip beyond its end."""
    points = list(wire.points)
    if wire.curve:
        return points, wire.tip
    tip = None
    if wire.arrow:
        tip = points[-1]
        points[-1] = step(tip, points[-2], HEAD)
    spline = [points[0]]
    for k in range(1, len(points) - 1):
        before, here, after = points[k - 1], points[k], points[k + 1]
        r = corner_radius(wire, k)
        start, end = step(here, before, r), step(here, after, r)
        c = 1 - 0.5523  # a quarter circle as a Bézier curve
        _straight(spline, start)
        spline += [step(here, before, r * c), step(here, after, r * c), end]
    _straight(spline, points[-1])
    return spline, tip


def corner_radius(wire: Wire, k: int) -> float:
    """The radius of the corner at point k: the wire's own where there is room."""
    x, y = wire.points[k]
    last = len(wire.points) - 1
    r = wire.radius
    for n in (k - 1, k + 1):
        room = abs(wire.points[n][0] - x) + abs(wire.points[n][1] - y)
        if n == last and wire.arrow:
            room = abs(room - HEAD)
        r = min(r, room if n in (0, last) else room / 2)
    return r


def _straight(spline: list[Point], end: Point) -> None:
    (x0, y0), (x1, y1) = spline[-1], end
    spline += [
        (x0 + (x1 - x0) / 3, y0 + (y1 - y0) / 3),
        (x0 + 2 * (x1 - x0) / 3, y0 + 2 * (y1 - y0) / 3),
        end,
    ]


def step(here: Point, there: Point, far: float) -> Point:
    """The point `far` from one towards another."""
    dx, dy = there[0] - here[0], there[1] - here[1]
    length = (dx * dx + dy * dy) ** 0.5 or 1.0
    return here[0] + far * dx / length, here[1] + far * dy / length


def number(value: float) -> str:
    """A coordinate with at most two decimals."""
    return f"{round(value, 2) + 0.0:g}" if abs(value) < 1e5 else f"{value:.1f}"


def state_of(classes: Iterable[str]) -> str | None:
    """The state that changes a colour: forward, backward or changed."""
    return next((c for c in classes if c in STATES), None)


def prefixed(names: Iterable[str], prefix: str) -> tuple[str, ...]:
    """Class names for equations or values: eq-f, val-C."""
    return tuple(f"{prefix}-{name.replace('.', '-')}" for name in names)
