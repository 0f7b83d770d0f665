"""Cards: boxes of graphs and plans with lines of formulas in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from viz.glyphs import glyphs
from viz.scene import Scene, Shape, label
from viz.symbols import Written


class Line(NamedTuple):
    """A formula on a card: its size, how far its middle is below the card's top, its classes."""

    what: Written
    size: float
    down: float
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Card:
    """A box as large as its lines want it, at no place yet."""

    shape: Shape
    lines: Sequence[Line]


def card(
    own: str,
    kind: str,
    lines: Sequence[Line],
    height: float,
    least: float,
    margin: float,
    classes: tuple[str, ...] = (),
    title: str = "",
) -> Card:
    """A card at least so wide, with so much room for both sides of its widest line."""
    width = max([least, *(glyphs(line.what.latex, line.size).width + margin for line in lines)])
    return Card(Shape(own, kind, 0, 0, width, height, classes=classes, title=title), lines)


def write(scene: Scene, cards: Iterable[Card]) -> None:
    """Put the lines onto the cards where they stand in the scene."""
    place = {shape.id: shape for shape in scene.shapes}
    for each in cards:
        box = place[each.shape.id]
        for k, line in enumerate(each.lines):
            classes = (*box.classes, *line.classes)
            y = box.box[1] + line.down
            scene.shapes.append(
                label(f"{box.id}-text{k}", line.what, box.x, y, line.size, classes=classes)
            )
