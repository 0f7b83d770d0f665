"""Two cells side by side, with what only one of them has highlighted."""

from __future__ import annotations

from equations.wording import Said, joined
from tinygrad_lstm.step import Cell
from viz import sentences
from viz.anatomy import Anatomy, anatomy
from viz.figure import Figure
from viz.glyphs import glyphs
from viz.kinds import check_drawable, figure
from viz.layout import Layout, lay_out
from viz.scene import Scene, Shape, Wire, label
from viz.symbols import Written
from viz.words import words

SPACE, NAME = 34.0, 17.0


@figure(against="the other cell, such as gru")
def difference(cell: Cell, against: Cell) -> Figure:
    """The figures of two cells, with what is only in one of them in the colour of changes.

    A part is common if both cells have it in the equation of the same name, with the same
    symbol; a line, if in both it leads from the same value to the same part.

    Raises FigureError for a network.
    """
    both = cell, against
    for own in both:
        check_drawable(own, "difference")
    pictures = [lay_out(anatomy(own)) for own in both]
    scenes = [
        _mark(drawn, anatomy(own), anatomy(other))
        for drawn, own, other in zip(pictures, both, both[::-1], strict=True)
    ]
    left, right = (scene.bounds(0.0) for scene in scenes)
    dx = left[2] + SPACE - right[0]
    scene = scenes[0].shifted(0, prefix="a-")
    scene.add(scenes[1].shifted(dx, prefix="b-"))
    for key, own, x in (("a", cell, 0.0), ("b", against, dx)):
        what = Written(words(own.name.replace("_", " ")), own.name)
        height = glyphs(what.latex, NAME).height
        scene.shapes.append(label(f"{key}-name", what, x + 8, -16 - height / 2, NAME, 1))
    shown = [
        sentences.of_cell(anatomy(own), drawn.scene)
        for own, drawn in zip(both, pictures, strict=True)
    ]
    title = f"The cells {cell.name} and {against.name}, their differences marked"
    alt = joined([_describe(cell, against), *shown])
    return Figure(f"{cell.name}-and-{against.name}", title, alt, scene)


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


def _mark(drawn: Layout, own: Anatomy, other: Anatomy) -> Scene:
    known = {_signature(other, key) for key in other.parts}
    links = _links(other)
    changed = {f"part-{key}" for key in own.parts if _signature(own, key) not in known}
    labels = {f"label-{name}" for part in other.parts.values() for name in part.names}

    def is_new(part: Shape | Wire) -> bool:
        if isinstance(part, Wire):
            pairs = drawn.links[part.id]
            return all((_signature(own, s), _signature(own, r)) not in links for s, r in pairs)
        named = any(c.startswith("name-") for c in part.classes)
        return part.id in changed or named and part.id not in labels

    return drawn.scene.marked("changed", is_new)


def _describe(a: Cell, b: Cell) -> str:
    """The equations that differ, in words."""
    lines = [{n: p.text(n) for n in p.equations} for p in (a.program(), b.program())]
    only = []
    for cell, own, other in zip((a, b), lines, lines[::-1], strict=True):
        new = [line for name, line in own.items() if other.get(name) != line]
        if new:
            only.append(Said("{cell} alone has {lines}", cell=cell.name, lines="; ".join(new)))
    if not only:
        return Said("{a} and {b} have the same equations.", a=a.name, b=b.name)
    return Said(
        "Two cells side by side, their differences highlighted: {differences}.",
        differences=joined(only, "{first}. {rest}"),
    )
