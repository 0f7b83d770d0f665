"""A cell's figure with room between its parts, and with terms or numbers written on its lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from equations.wording import joined
from viz import Figure
from viz.scene import Scene, Shape, label
from viz.symbols import Written

ACROSS = 1.4  # how much wider than the plain figure
SIZE = 14.0


@dataclass(frozen=True)
class Note:
    """A formula on a line: at (x, y) is its middle, its left end (side 1) or its right (-1)."""

    latex: str
    x: float
    y: float
    side: int = 1


def stretched(figure: Figure, across: float = ACROSS) -> Figure:
    """The figure with everything farther apart from left to right; no shape is wider for it."""
    shapes = [
        replace(s, x=s.x * across, width=s.width * across if s.kind == "body" else s.width)
        for s in figure.scene.shapes
    ]
    wires = [
        replace(w, points=tuple((x * across, y) for x, y in w.points)) for w in figure.scene.wires
    ]
    return replace(figure, name=f"{figure.name}-wide", scene=Scene(shapes, wires))


def noted(
    figure: Figure, name: str, notes: Mapping[str, Note], state: str = "", told: str = ""
) -> Figure:
    """The figure with notes on its lines, each instead of the label of its id if there is one.

    state: their class, such as "backward". told: is added to the alternative text.
    """
    shapes = [s for s in figure.scene.shapes if s.id not in notes]
    shapes += [_label(own, note, state) for own, note in notes.items()]
    alt = joined([figure.alt, told]) if told else figure.alt
    scene = Scene(shapes, figure.scene.wires)
    return replace(figure, name=f"{figure.name}-{name}", alt=alt, scene=scene)


def _label(own: str, note: Note, state: str) -> Shape:
    classes = (state,) if state else ()
    written = Written(note.latex, note.latex)
    return label(own, written, note.x, note.y, SIZE, note.side, classes=classes)
