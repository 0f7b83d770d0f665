"""The figure of one cell, with everything but some equations dimmed on request."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from equations.wording import Said, joined
from tinygrad_lstm.step import Cell
from viz import sentences
from viz.anatomy import Anatomy, anatomy
from viz.drawing import Drawing, Names, Pairs
from viz.figure import Figure, FigureError
from viz.free_layout import cell_scene
from viz.grid import NotPlaceable
from viz.kinds import check_drawable
from viz.placement import Placer, belts_of
from viz.routing import Effort, Grid, routed
from viz.scene import Point, Scene, Shape, Wire, prefixed

PERMUTED = 4  # belts, and lanes, of which every order is tried
PATIENCE = 300  # parts that are laid out in all before the best arrangement so far is taken
EFFORT = 400_000  # points looked at in all: two or three seconds
LARGEST = 200  # parts: a grid of more is wider than any page


@dataclass(frozen=True)
class Picture:
    """A cell's scene, what each line leads from and to, and where the states' lines begin and end.

    `belts` are the states with a straight line.
    """

    scene: Scene
    links: dict[str, Pairs]
    enter: dict[str, Point]
    leave: dict[str, Point]
    belts: frozenset[str] = frozenset()


def picture(cell: Cell, names: Names = Names()) -> Picture:  # noqa: B008
    """A cell on the grid, or, where that fails in any way, in the order that Graphviz finds."""
    a = anatomy(cell)
    try:
        grid = arranged(cell)
        drawing = Drawing(grid, names)
        scene = drawing.draw()
    except Exception:  # whatever a cell of a kind unknown to the grid runs into
        scene, links = cell_scene(a, names)
        at = {shape.id: (shape.x, shape.y) for shape in scene.shapes}
        enter = {s: at[f"label-{k}"] for k, s in a.previous.items() if f"label-{k}" in at}
        return Picture(scene, links, enter, {s: at[f"label-{s}"] for s in a.states})
    rows = {state: drawing.y[grid.at(0, row)[1]] for state, row in grid.plan.state_row.items()}
    return Picture(
        scene,
        drawing.links,
        {s: (drawing.x[0], y) for s, y in rows.items()},
        {s: (drawing.x[grid.width - 1], y) for s, y in rows.items()},
        frozenset(grid.plan.belts),
    )


def arranged(cell: Cell) -> Grid:
    """The best of several arrangements: orders of belts and of lanes, then wider tracks.

    Raises NotPlaceable where none can be drawn on the grid.
    """
    found = _arranged(cell)
    if isinstance(found, NotPlaceable):
        raise found
    return found


@lru_cache(maxsize=64)
def _arranged(cell: Cell) -> Grid | NotPlaceable:
    a = anatomy(cell)
    tries = max(2, PATIENCE // max(len(a.parts), 1))
    effort = Effort(EFFORT)
    found: list[tuple[float, int, Grid]] = []
    reason = f"it has {len(a.parts)} parts" if len(a.parts) > LARGEST else ""
    orders = iter(()) if reason else itertools.islice(_orders(a), tries)
    for k, (belts, lanes) in enumerate(orders):
        for spare in (1, 2) if k == 0 else (1,):
            try:
                grid, cost = routed(Placer(a, belts).plan(lanes), spare, effort)
                found.append((cost, len(found), grid))
            except NotPlaceable as error:
                reason = str(error)
    if not found:
        return NotPlaceable(
            f"the figure of cell '{cell.name}' cannot be laid out on the grid: {reason}.\n"
            f"  viz.cell draws it with Graphviz's own layout instead."
        )
    return min(found)[2]


def _orders(a: Anatomy) -> Iterator[tuple[tuple[str, ...], tuple[int, ...] | None]]:
    """Orders of the belts and of the lanes, the natural ones first."""
    belts = tuple(reversed(belts_of(a)))
    every = itertools.permutations(belts) if len(belts) <= PERMUTED else iter([belts])
    for order in list(every):
        try:
            lanes = len(Placer(a, order).plan().buses)
        except NotPlaceable:
            lanes = 0
        several = itertools.permutations(range(lanes)) if 1 < lanes <= PERMUTED else iter([None])
        yield from ((order, lane_order) for lane_order in several)


def drawn(cell: Cell, names: Names | None = None) -> tuple[Scene, Drawing]:
    """A cell's scene, and the drawing that it came from."""
    drawing = Drawing(arranged(cell), names or Names())
    return drawing.draw(), drawing


def cell(cell: Cell, focus: Iterable[str] = ()) -> Figure:
    """The figure of a cell: belts on top, pointwise operations, learned layers, merging lines.

    focus: what stays bright; the rest is dimmed. The name of an equation stands for its shapes,
    the lines that they read and the line of its value; `"belt:C"` for the straight line of the
    state C with the operations on it; `"gate:f"` for the equation f with the operation that its
    value first reaches.

    Raises FigureError where focus names something that the cell does not have, and for a network.
    """
    check_drawable(cell, "cell")
    drawn = picture(cell)
    scene = drawn.scene
    wanted = (focus,) if isinstance(focus, str) else tuple(focus)
    name, title = f"{cell.name}-cell", f"The cell {cell.name}"
    alt = sentences.of_cell(anatomy(cell), scene)
    if wanted:
        scene = focused(drawn, anatomy(cell), wanted)
        name += "-" + "-".join(wanted).replace(":", "-")
        title += f", with {sentences.listed(wanted)} highlighted"
        told = Said(
            "The cell {cell}, with {names} highlighted.",
            cell=cell.name,
            names=sentences.listed(wanted),
        )
        alt = joined([told, alt])
    return Figure(name, title, alt, scene)


def focused(drawn: Picture, a: Anatomy, focus: tuple[str, ...]) -> Scene:
    """The scene with everything dimmed that does not belong to `focus`."""
    scene = drawn.scene
    classes, carried = _bright(a, focus)
    carriers = {k for state, path in belts_of(a).items() if f"belt:{state}" in focus for k in path}
    lit = carriers | {
        key
        for key, part in a.parts.items()
        if classes & {*prefixed([part.equation], "eq"), *prefixed([key], "part")}
    }
    nameless = {key for key in lit if not a.parts[key].names}

    def shines(wire: Wire) -> bool:
        own = set(wire.classes)
        if own & classes or any(s in nameless and r in lit for s, r in drawn.links[wire.id]):
            return True
        if not own & carried:
            return False
        belts = {c for c in own if c.startswith("belt-")}
        leaves = any(c.startswith("to-") for c in own)
        state = own & set(prefixed(belts_of(a), "val"))
        return not state or bool(belts) or leaves

    wires = [replace(w, dim=not shines(w)) for w in scene.wires]
    bright = [w for w in wires if not w.dim]
    ends = {end for w in bright for end in (w.tail, w.head)}

    def shows(shape: Shape) -> bool:
        own = set(shape.classes)
        if shape.kind == "body" or own & classes or shape.id in ends:
            return True
        if shape.kind == "label":
            left, top, right, bottom = shape.box
            near = [
                x
                for w in bright
                for x, y in (w.points[0], w.points[-1])
                if left - 12 < x < right + 12 and top < y < bottom
            ]
            inside = any(c.startswith("name-") for c in own)
            return bool(near) or inside and any(own & set(w.classes) for w in bright)
        return False

    belts = {f"belt-{f[5:]}" for f in focus if f.startswith("belt:")}
    on_belts = {w.head for w in bright if set(w.classes) & belts}
    kinds = {"layer", "op"}
    shapes = [
        replace(
            s,
            dim=not (
                (s.kind in kinds and (bool(set(s.classes) & classes) or s.id in on_belts))
                or (s.kind not in kinds and shows(s))
            ),
        )
        for s in scene.shapes
    ]
    return Scene(shapes, wires)


def _bright(a: Anatomy, focus: tuple[str, ...]) -> tuple[set[str], set[str]]:
    """The classes of what shines, and those of lines that shine as values of it."""
    belts = belts_of(a)
    classes: set[str] = set()
    carried: set[str] = set()
    for name in focus:
        kind, _, rest = name.rpartition(":")
        if kind == "belt" and rest in belts:
            classes |= set(prefixed([rest], "belt"))
        elif kind == "gate" and rest in a.alias:
            classes |= set(prefixed([rest], "eq"))
            carried |= set(prefixed([rest], "val"))
            users = [p for p in a.users(a.alias[rest]) if not p.layer]
            classes |= {f"part-{p.key.replace('.', '-')}" for p in users[:1]}
        elif not kind and name in a.alias:
            classes |= set(prefixed([name], "eq"))
            carried |= set(prefixed([name], "val"))
        else:
            gates = [f"gate:{n}" for n in a.alias if n not in belts]
            raise FigureError(
                f"cannot focus on {name!r} in cell '{a.cell.name}'. There are the equations "
                f"{', '.join(a.alias)}"
                + (f"; the belts {', '.join(f'belt:{s}' for s in belts)}" if belts else "")
                + (f"; the gates {', '.join(gates)}." if gates else ".")
            )
    return classes, carried
