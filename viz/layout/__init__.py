"""From what a cell is made of to where it stands: `lay_out(anatomy, names)`.

A cell stands on a grid: columns and rows (`placement`), merging lanes below (`lanes`), lines along
tracks (`routing`), the best of several such (`search`), in points and with labels (`drawing`,
`labels`). What the grid does not serve, Graphviz's own layout does (`free`).
"""

from __future__ import annotations

from dataclasses import dataclass

from viz.anatomy import Anatomy
from viz.layout.drawing import Drawing, Pairs
from viz.layout.free import lay_out_freely
from viz.layout.search import arranged
from viz.layout.shapes import Names
from viz.scene import Point, Scene


@dataclass(frozen=True)
class Layout:
    """A cell's scene, what each line leads from and to, and where the states' lines begin and end.

    `belts` are the states with a straight line.
    """

    scene: Scene
    links: dict[str, Pairs]
    enter: dict[str, Point]
    leave: dict[str, Point]
    belts: frozenset[str] = frozenset()


def lay_out(a: Anatomy, names: Names = Names()) -> Layout:  # noqa: B008
    """A cell on the grid, or, where that fails in any way, in the order that Graphviz finds."""
    try:
        grid = arranged(a)
        if grid is None:
            return _freely(a, names)
        drawing = Drawing(grid, names)
        return Layout(drawing.scene, drawing.links, *drawing.ends(), frozenset(a.belts))
    except Exception:  # whatever a cell of a kind unknown to the grid runs into
        return _freely(a, names)


def _freely(a: Anatomy, names: Names) -> Layout:
    scene, links = lay_out_freely(a, names)
    at = {shape.id: (shape.x, shape.y) for shape in scene.shapes}
    enter = {s: at[f"label-{k}"] for k, s in a.previous.items() if f"label-{k}" in at}
    return Layout(scene, links, enter, {s: at[f"label-{s}"] for s in a.states})
