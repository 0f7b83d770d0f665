"""Labels beside lines: each takes the first place near its line where it touches nothing."""

from __future__ import annotations

from equations import name_latex, name_unicode
from viz.anatomy import Part
from viz.glyphs import glyphs
from viz.scene import Point, Scene, Shape, prefixed, step

LABEL = 17.0


def name_beside(scene: Scene, key: str, name: str, time: str) -> None:
    """A label beside the line that carries a value, where it touches nothing."""
    latex = name_latex(name, time)
    ink = glyphs(latex, LABEL)
    w, h = ink.width, ink.height
    places = _candidates(scene, key, w, h)
    x, y = next((p for p in places if _is_free(scene, *p, w, h)), places[-1])
    scene.shapes.append(
        Shape(
            f"label-{name}",
            "label",
            x,
            y,
            w,
            h,
            latex,
            name_unicode(name, time),
            LABEL,
            classes=(*prefixed([name], "val"), *prefixed([name], "name")),
        )
    )


def mark_second(scene: Scene, part: Part) -> None:
    """A small sign beside the line that is subtracted or divides."""
    latex = {"−": "-", "÷": r"\div"}.get(part.text, part.latex)
    ink = glyphs(latex, 13.0)
    for wire in scene.wires:
        if wire.head != f"part-{part.key}" or wire.net != part.second:
            continue
        (x0, y0), (x1, y1) = wire.points[-2:]
        far = min(abs(x1 - x0) + abs(y1 - y0), 26.0)
        places = []
        for back, side in ((b, s) for b in (4.0, far / 2, far) for s in (1, -1)):
            x, y = step((x1, y1), (x0, y0), back)
            beside = (8 + ink.width / 2, 0) if x0 == x1 else (0, -7 - ink.height / 2)
            places.append((x + side * beside[0], y + side * beside[1]))
        x, y = next(
            (p for p in places if _is_free(scene, *p, ink.width, ink.height, 1.0)), places[0]
        )
        scene.shapes.append(
            Shape(
                f"second-{part.key}",
                "label",
                x,
                y,
                ink.width,
                ink.height,
                latex,
                part.text,
                13.0,
                classes=prefixed([part.equation], "eq"),
            )
        )
        return


def _candidates(scene: Scene, key: str, w: float, h: float) -> list[Point]:
    """Places for a label of a value: beside its line, else beside the shape that computes it."""
    found: list[Point] = []
    for wire in scene.wires:
        if wire.net != key:
            continue
        for (x0, y0), (x1, y1) in zip(wire.points, wire.points[1:], strict=False):
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


def _is_free(scene: Scene, x: float, y: float, w: float, h: float, margin: float = 2.5) -> bool:
    left, right = x - w / 2 - margin, x + w / 2 + margin
    top, bottom = y - h / 2 - margin, y + h / 2 + margin
    for shape in scene.shapes:
        a, b, c, d = shape.box
        if shape.kind != "body" and left < c and a < right and top < d and b < bottom:
            return False
    for wire in scene.wires:
        for (x0, y0), (x1, y1) in zip(wire.points, wire.points[1:], strict=False):
            if (
                left < max(x0, x1)
                and min(x0, x1) < right
                and top < max(y0, y1)
                and min(y0, y1) < bottom
            ):
                return False
    return True
