"""Networks of several cells over time: layers above one another, directions side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from equations import name_latex, name_unicode
from tinygrad_lstm.networks import Bidirectional, Stack, System
from tinygrad_lstm.step import Cell
from viz.figure import Figure, FigureError
from viz.glyphs import glyphs
from viz.layout.shapes import TERMINAL, terminal
from viz.scene import Point, Scene, Shape, Wire, prefixed

WIDTH, LOWEST, ROOM, BESIDE, BETWEEN = 72.0, 60.0, 46.0, 30.0, 62.0
PITCH, LETTER, SMALL, GAP, CORNER = 26.0, 22.0, 12.0, 4.5, 9.0

Part = Cell | System


@dataclass(frozen=True)
class _Box:
    """A cell at a step: its name in the network ("2.forward"), and which way it reads."""

    name: str
    cell: Cell
    x: float
    y: float
    key: str
    backward: bool


@dataclass
class _Column:
    """One step. Lines to the boxes are kept as corners until it is known what they cross."""

    time: str
    key: str
    scene: Scene = field(default_factory=Scene)
    boxes: list[_Box] = field(default_factory=list)
    lines: list[tuple[str, str, str, tuple[Point, ...]]] = field(default_factory=list)


def unrolled(network: System, steps: int) -> Figure:
    """A network over time: every cell a box A, x below, the output above.

    Of what the cells read, x alone is drawn; further inputs are not.
    """
    width = _width(network)
    columns = []
    for k in range(steps):
        column = _Column(str(k + 1), f"m{k + 1}")
        x = k * (width + BETWEEN)
        start = f"{column.key}-in-x"
        column.scene.shapes.append(terminal(start, "x", column.time, x, TERMINAL / 2))
        top, source, value = _place(network, "", column, (x, 0.0), start, "x", False)
        end = f"{column.key}-out"
        out = terminal(end, value, column.time, top[0], top[1] - ROOM - TERMINAL / 2)
        column.scene.shapes.append(out)
        column.lines.append((source, end, value, (top, (top[0], top[1] - ROOM))))
        columns.append(column)
    scene = Scene()
    for column in columns:
        scene.add(column.scene)
    passing = _passing(columns, scene, (-width / 2, x + width / 2))
    scene.wires += passing
    levels = [wire.points for wire in passing]
    for column in columns:
        for tail, head, value, points in column.lines:
            scene.wires += _with_gaps(tail, head, value, points, levels)
    several = f"{steps} step{'s' if steps > 1 else ''}"
    alt = f"The network {network.name} unrolled over {several}. {_told(network, '')}"
    title = f"The network {network.name} unrolled over {several}"
    return Figure(f"{network.name}-unrolled-{steps}", title, alt, scene)


def single(part: Part, figure: str) -> None:
    """Raise FigureError unless it is a cell: a network has no such figure."""
    if isinstance(part, System):
        raise FigureError(
            f"viz.{figure} draws one cell, and {part} has several parts.\n"
            f"  Draw the whole with viz.unrolled, or one part: viz.{figure}(network.parts"
            f"[{next(iter(part.parts))!r}])."
        )
    known(part, figure)


def known(part: Any, figure: str) -> None:
    """Raise FigureError unless it is a cell or a network."""
    if not hasattr(part, "state"):
        raise FigureError(
            f"viz.{figure} draws a cell, got {part!r:.60}; write cells.lstm, or cells.all()[name]."
        )


def _width(part: Part) -> float:
    if isinstance(part, Cell):
        return WIDTH
    widths = [_width(p) for p in part.parts.values()]
    if isinstance(part, Bidirectional):
        return sum(widths) + BESIDE
    return max(widths)


def _place(
    part: Part, name: str, column: _Column, at: Point, source: str, value: str, backward: bool
) -> tuple[Point, str, str]:
    """Put a part above the point where its input is; where its output is, whose, and its name."""
    x, y = at
    if isinstance(part, Cell):
        key = f"{column.key}-box-{name.replace('.', '-')}"
        label = f"{name}.A" if name else "A"
        height = max(LOWEST, PITCH * len(part.state) + 14.0)
        middle = y - ROOM - height / 2
        column.scene.shapes.append(
            Shape(
                key,
                "module",
                x,
                middle,
                WIDTH,
                height,
                name_latex(label, None),
                name_unicode(label, None),
                LETTER,
                title=str(part),
            )
        )
        column.lines.append((source, key, value, (at, (x, y - ROOM))))
        column.boxes.append(_Box(name, part, x, middle, key, backward))
        return (x, middle - height / 2), key, _within(name, part.output)
    if isinstance(part, Bidirectional):
        return _directions(part, name, column, at, source, value, backward)
    for own, inner in part.parts.items():
        turned = backward != (not isinstance(part, Stack))
        at, source, value = _place(inner, _within(name, own), column, at, source, value, turned)
    return at, source, value


def _directions(
    part: Bidirectional,
    name: str,
    column: _Column,
    at: Point,
    source: str,
    value: str,
    backward: bool,
) -> tuple[Point, str, str]:
    """The forward part below on the left, the backward one above on the right, joined on top."""
    x, y = at
    left, right = (_width(p) for p in part.parts.values())
    xs = x - (BESIDE + right) / 2, x + (BESIDE + left) / 2
    ends: list[tuple[Point, str, str]] = []
    low = y
    for (own, inner), side in zip(part.parts.items(), xs, strict=True):
        first = len(column.lines)
        at, end, given = _place(
            inner,
            _within(name, own),
            column,
            (side, low),
            source,
            value,
            backward != (own == "backward"),
        )
        tail, head, carried, points = column.lines[first]
        bend = ((x, y), (x, y - 20.0), (side, y - 20.0), points[-1])
        column.lines[first] = (tail, head, carried, bend)
        ends.append((at, end, given))
        low = at[1]
    top = min(point[1] for point, *_ in ends) - 30.0
    joined = f"{column.key}-join-{name.replace('.', '-')}"
    column.scene.shapes.append(
        Shape(joined, "op", x, top - 12.0, 34.0, 24.0, "[\\,,]", "[,]", 13.0, round=True)
    )
    for point, tail, carried in ends:
        points = (point, (point[0], top - 12.0), (x + (17.0 if point[0] > x else -17.0), top - 12))
        column.lines.append((tail, joined, carried, points))
    return (x, top - 24.0), joined, _within(name, part.output)


def _passing(columns: Sequence[_Column], scene: Scene, ends: tuple[float, float]) -> list[Wire]:
    """The states' lines from step to step, with the names of the first and the last."""
    wires = []
    for boxes in zip(*(column.boxes for column in columns), strict=True):
        order = boxes[::-1] if boxes[0].backward else boxes
        way = -1 if boxes[0].backward else 1
        for k, state in enumerate(order[0].cell.state):
            y = order[0].y + PITCH * ((len(order[0].cell.state) - 1) / 2 - k)
            own = _within(order[0].name, state)
            start, end = f"start-{own}", f"end-{own}"
            outer = (ends[0] - 34.0, ends[1] + 34.0)[::way]
            xs = [outer[0], *(b.x for b in order), outer[1]]
            keys = [start, *(b.key for b in order), end]
            for n, (a, b) in enumerate(pairwise(range(len(xs)))):
                x0 = xs[a] + (way * WIDTH / 2 if a else 0.0)
                x1 = xs[b] - (way * WIDTH / 2 if b < len(xs) - 1 else 0.0)
                wires.append(
                    Wire(
                        f"pass-{own.replace('.', '-')}-{n}",
                        ((x0, y), (x1, y)),
                        keys[a],
                        keys[b],
                        f"{own}-{n}",
                        True,
                        width=1.8,
                        classes=("wire", *prefixed([own], "val")),
                    )
                )
            first = len(columns) + 1 if way < 0 else 0
            last = 1 if way < 0 else len(columns)
            for edge, time, side in ((xs[0], first, -way), (xs[-1], last, way)):
                latex = name_latex(own, str(time))
                ink = glyphs(latex, SMALL)
                scene.shapes.append(
                    Shape(
                        f"label-{own.replace('.', '-')}-{time}",
                        "label",
                        edge + side * (7 + ink.width / 2),
                        y,
                        ink.width,
                        ink.height,
                        latex,
                        name_unicode(own, str(time)),
                        SMALL,
                        classes=prefixed([own], "val"),
                    )
                )
    return wires


def _with_gaps(
    tail: str, head: str, value: str, points: tuple[Point, ...], levels: Sequence[tuple[Point, ...]]
) -> list[Wire]:
    """A line from below, open where it passes the line of a state."""
    runs: list[list[Point]] = [[points[0]]]
    for (x, y0), (x1, y1) in pairwise(points):
        if x == x1:
            for level in sorted(
                {a[1] for a, b in levels if min(a[0], b[0]) < x < max(a[0], b[0])}, reverse=True
            ):
                if y1 + GAP < level < y0 - GAP:
                    runs[-1].append((x, level + GAP))
                    runs.append([(x, level - GAP)])
        runs[-1].append((x1, y1))
    return [
        Wire(
            f"line-{tail}-{head}-{n}",
            tuple(run),
            tail,
            head,
            f"{tail}-{value}",
            run is runs[-1],
            radius=CORNER,
            width=1.6,
            classes=("wire", *prefixed([value], "val")),
        )
        for n, run in enumerate(runs)
    ]


def _within(name: str, own: str) -> str:
    return f"{name}.{own}" if name else own


def _told(part: Part, name: str) -> str:
    if isinstance(part, Cell):
        return f"{name or 'It'} is the cell {part.name}."
    inner = [_told(p, f"{name} {own}".strip()) for own, p in part.parts.items()]
    if isinstance(part, Bidirectional):
        said = (
            "A part that reads forward and one that reads backward see the same input, and "
            "their outputs are joined."
        )
    elif isinstance(part, Stack):
        said = (
            "Layers stand above one another: the lowest reads x_t, each further one the "
            "output of the one below."
        )
    else:
        said = "It reads backward."
    return " ".join([said, *inner])
