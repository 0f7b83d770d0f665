"""The figure of one cell, with everything but some equations dimmed on request."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

from tinygrad_lstm.recurrent import Cell
from viz import sentences
from viz.anatomy import Anatomy, anatomy
from viz.drawing import Drawing, Names
from viz.figure import Figure, FigureError
from viz.placement import Placer, belts_of
from viz.plan import NotPlaceable
from viz.routing import Grid, routed
from viz.scene import Scene, Shape, Wire, prefixed

PERMUTED = 4  # belts, and lanes, of which every order is tried


@lru_cache(maxsize=64)
def arranged(cell: Cell) -> Grid:
    """The best of a few arrangements: orders of belts and of lanes, widths of the tracks."""
    a = anatomy(cell)
    belts = tuple(reversed(belts_of(a)))
    orders = [belts] if len(belts) > PERMUTED else list(itertools.permutations(belts))
    best: tuple[float, Grid] | None = None
    reason = ""
    for order in orders:
        try:
            count = len(Placer(a, order).plan().buses)
        except NotPlaceable as error:
            reason = str(error)
            continue
        lanes = itertools.permutations(range(count)) if count <= 3 else iter([tuple(range(count))])
        for lane_order, spare in itertools.product(list(lanes), (1, 2)):
            try:
                grid, cost = routed(Placer(a, order).plan(lane_order), spare)
            except NotPlaceable as error:
                reason = str(error)
                continue
            if best is None or cost < best[0] - 1e-9:
                best = cost, grid
    if best is None:
        raise NotPlaceable(reason)
    return best[1]


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

    Raises FigureError where focus names something that the cell does not have.
    """
    try:
        scene, _ = drawn(cell)
    except NotPlaceable:
        from viz.free_layout import cell_scene

        scene = cell_scene(anatomy(cell))
    wanted = (focus,) if isinstance(focus, str) else tuple(focus)
    name, title = f"{cell.name}-cell", f"The cell {cell.name}"
    alt = sentences.of_cell(cell)
    if wanted:
        scene = focused(scene, anatomy(cell), wanted)
        name += "-" + "-".join(wanted).replace(":", "-")
        title += f", with {sentences.listed(wanted)} highlighted"
        alt = f"{title}. {alt}"
    return Figure(name, title, alt, scene)


def focused(scene: Scene, a: Anatomy, focus: tuple[str, ...]) -> Scene:
    """The scene with everything dimmed that does not belong to `focus`."""
    classes, carried = _bright(a, focus)

    def shines(wire: Wire) -> bool:
        own = set(wire.classes)
        if own & classes:
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
                x for w in bright for x, y in (w.points[0], w.points[-1])
                if left - 12 < x < right + 12 and top < y < bottom
            ]  # fmt: skip
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
