"""Two cells side by side, with what only one of them has highlighted."""

from __future__ import annotations

from dataclasses import replace

from equations.wording import Said, joined
from tinygrad_lstm.step import Cell
from viz import sentences
from viz.anatomy import Anatomy, anatomy
from viz.figure import Figure
from viz.glyphs import glyphs
from viz.layers import single
from viz.layout import Layout, lay_out
from viz.scene import Scene, Shape

SPACE = 34.0


def difference(a: Cell, b: Cell) -> Figure:
    """The figures of two cells, with what is only in one of them in the colour of changes.

    A part is common if both cells have it in the equation of the same name, with the same
    symbol; a line, if in both it leads from the same value to the same part.
    """
    for own in (a, b):
        single(own, "difference")
    pictures = lay_out(anatomy(a)), lay_out(anatomy(b))
    scenes = [
        _marked(drawn, anatomy(own), anatomy(other))
        for drawn, own, other in zip(pictures, (a, b), (b, a), strict=True)
    ]
    left, right = (scene.bounds(0.0) for scene in scenes)
    dx = left[2] + SPACE - right[0]
    scene = scenes[0].shifted(0, prefix="a-")
    scene.add(scenes[1].shifted(dx, prefix="b-"))
    for key, cell, x in (("a", a, 0.0), ("b", b, dx)):
        latex = r"\text{" + cell.name.replace("_", " ") + "}"
        ink = glyphs(latex, 17.0)
        scene.shapes.append(
            Shape(
                f"{key}-name",
                "label",
                x + 8 + ink.width / 2,
                -16 - ink.height / 2,
                ink.width,
                ink.height,
                latex,
                cell.name,
                17.0,
            )
        )
    shown = [
        sentences.of_cell(anatomy(own), drawn.scene)
        for own, drawn in zip((a, b), pictures, strict=True)
    ]
    alt = joined([_told(a, b), *shown])
    title = f"The cells {a.name} and {b.name}, their differences marked"
    return Figure(f"{a.name}-and-{b.name}", title, alt, scene)


def _signature(own: Anatomy, key: str) -> tuple[str, ...]:
    """What a value is, whichever cell it stands in."""
    part = own.parts.get(key)
    if part is None:
        return (key,)
    return (part.equation, part.sign.latex, part.kind, *part.names)


def _links(own: Anatomy) -> set[tuple[tuple[str, ...], tuple[str, ...]]]:
    found = {
        (_signature(own, source), _signature(own, part.key))
        for part in own.parts.values()
        for source in part.inputs
    }
    return found | {(_signature(own, v), (end,)) for end, v in own.leaving.items()}


def _marked(drawn: Layout, own: Anatomy, other: Anatomy) -> Scene:
    known = {_signature(other, key) for key in other.parts}
    links = _links(other)
    changed_parts = {f"part-{key}" for key in own.parts if _signature(own, key) not in known}
    names = {n for p in other.parts.values() for n in p.names}

    def new_line(wire: str) -> bool:
        pairs = drawn.links[wire]
        return all((_signature(own, s), _signature(own, r)) not in links for s, r in pairs)

    shapes = []
    for shape in drawn.scene.shapes:
        new = shape.id in changed_parts or (
            any(c.startswith("name-") for c in shape.classes)
            and shape.id.removeprefix("label-") not in names
        )
        shapes.append(replace(shape, classes=(*shape.classes, "changed")) if new else shape)
    wires = [
        replace(w, classes=(*w.classes, "changed")) if new_line(w.id) else w
        for w in drawn.scene.wires
    ]
    return Scene(shapes, wires)


def _told(a: Cell, b: Cell) -> str:
    """The equations that differ, in words."""
    texts = {cell.name: cell.program() for cell in (a, b)}
    lines = {name: {n: p.text(n) for n in p.equations} for name, p in texts.items()}
    only = []
    for own, other in ((a, b), (b, a)):
        new = [n for n, line in lines[own.name].items() if lines[other.name].get(n) != line]
        if new:
            both = "; ".join(lines[own.name][n] for n in new)
            only.append(Said("{cell} alone has {lines}", cell=own.name, lines=both))
    if not only:
        return Said("{a} and {b} have the same equations.", a=a.name, b=b.name)
    return Said(
        "Two cells side by side, their differences highlighted: {differences}.",
        differences=joined(only, "{first}. {rest}"),
    )
