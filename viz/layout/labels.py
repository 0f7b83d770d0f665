"""Labels beside lines: each takes the first place near its line where it touches nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from viz.anatomy import Part
from viz.layout.shapes import LABEL, times
from viz.scene import Point, Scene, Shape, label, prefixed, step
from viz.symbols import Written


def name_beside(scene: Scene, key: str, name: str, what: Written) -> None:
    """A label beside the line that carries a value, where it touches nothing."""
    classes = (*prefixed([name], "val"), *prefixed([name], "name"))
    shape = label(f"label-{name}", what, 0, 0, LABEL, classes=classes)
    places = _candidates(scene, key, shape.width, shape.height)
    scene.shapes.append(_at_first_free(scene, shape, places, places[-1]))


def mark_lengths(scene: Scene, part: Part) -> None:
    """A small × length beside the line of what is computed at every place of an axis."""
    classes = (*prefixed([part.equation], "eq"), *prefixed(part.names, "val"))
    what = times(part.lengths)
    shape = label(f"times-{part.key}", what, 0, 0, 11.5, kind="caption", classes=classes)
    places = _candidates(scene, part.key, shape.width, shape.height)
    scene.shapes.append(_at_first_free(scene, shape, places, places[-1], 1.5))


def mark_second(scene: Scene, part: Part) -> None:
    """A small sign beside the line that is subtracted or divides."""
    latex = {"−": "-", "÷": r"\div"}.get(part.sign.text, part.sign.latex)
    what = Written(latex, part.sign.text)
    shape = label(f"second-{part.key}", what, 0, 0, 13.0, classes=prefixed([part.equation], "eq"))
    for wire in scene.wires:
        if wire.head != f"part-{part.key}" or wire.net != part.second:
            continue
        (x0, y0), (x1, y1) = wire.points[-2:]
        far = min(abs(x1 - x0) + abs(y1 - y0), 26.0)
        places = []
        for back, side in ((b, s) for b in (4.0, far / 2, far) for s in (1, -1)):
            x, y = step((x1, y1), (x0, y0), back)
            beside = (8 + shape.width / 2, 0) if x0 == x1 else (0, -7 - shape.height / 2)
            places.append((x + side * beside[0], y + side * beside[1]))
        scene.shapes.append(_at_first_free(scene, shape, places, places[0], 1.0))
        return


def _at_first_free(
    scene: Scene, shape: Shape, places: Sequence[Point], other: Point, margin: float = 2.5
) -> Shape:
    """The shape at the first place where it touches nothing; at another where all touch."""
    moved = (replace(shape, x=x, y=y) for x, y in places)
    free = (each for each in moved if _is_free(scene, each, margin))
    return next(free, replace(shape, x=other[0], y=other[1]))


def _candidates(scene: Scene, key: str, w: float, h: float) -> list[Point]:
    """Places for a label of a value: beside its line, else beside the shape that computes it."""
    found: list[Point] = []
    for wire in scene.wires:
        if wire.net != key:
            continue
        for (x0, y0), (x1, y1) in pairwise(wire.points):
            if x0 == x1:
                middle = (y0 + y1) / 2
                near = y0 + (5 + h / 2) * (1 if y1 > y0 else -1)
                for y in (near, middle, y1 - (y1 - y0) / 4):
                    found += [(x0 + 5 + w / 2, y), (x0 - 5 - w / 2, y)]
            else:
                for x in (x0 + (x1 - x0) * f for f in (0.5, 0.25, 0.75)):
                    found += [(x, y0 - 4 - h / 2), (x, y0 + 4 + h / 2)]
    own = next(s for s in scene.shapes if s.id == f"part-{key}")
    left, top, right, bottom = own.box
    for x in (right + 4 + w / 2, left - 4 - w / 2, own.x):
        found += [(x, top - 3 - h / 2), (x, own.y), (x, bottom + 3 + h / 2)]
    for k in range(2, 12):  # farther and farther away, where all is crowded
        for dx, dy in ((1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1)):
            found.append((own.x + dx * (own.width + w) * k / 4, own.y + dy * h * k / 2))
    return [*found, (right + 4 + w / 2, own.y)]


def _is_free(scene: Scene, shape: Shape, margin: float) -> bool:
    left, top, right, bottom = shape.box
    boxes = [other.box for other in scene.shapes if other.kind != "body"]
    boxes += [
        (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
        for wire in scene.wires
        for (x0, y0), (x1, y1) in pairwise(wire.points)
    ]
    return not any(
        left - margin < c and a < right + margin and top - margin < d and b < bottom + margin
        for a, b, c, d in boxes
    )
