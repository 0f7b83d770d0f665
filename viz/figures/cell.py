"""The figure of one cell, with everything but some equations dimmed on request."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from equations.wording import Said, joined
from tinygrad_lstm.step import Cell
from viz import sentences
from viz.anatomy import Anatomy, anatomy
from viz.figure import Figure, FigureError
from viz.kinds import check_drawable, figure
from viz.layout import Layout, lay_out
from viz.scene import Scene, Shape, Wire, prefixed


@figure(
    focus="dim all but equations (f,i), belts (belt:C) or gates (gate:f)",
    folded="draw each cell inside the cell as one box",
)
def cell(cell: Cell, focus: Iterable[str] = (), folded: bool = False) -> Figure:
    """The figure of a cell: belts on top, pointwise operations, learned layers, merging lines.

    focus: what stays bright; the rest is dimmed. The name of an equation stands for its shapes,
    the lines that they read and the line of its value; `"belt:C"` for the straight line of the
    state C with the operations on it; `"gate:f"` for the equation f with the operation that its
    value first reaches. folded: each cell inside the cell is one box.

    Raises FigureError where focus names something that the cell does not have, and for a network.
    """
    check_drawable(cell, "cell")
    a = anatomy(cell, folded)
    layout = lay_out(a)
    scene, alt = layout.scene, sentences.of_cell(a, layout.scene)
    wanted = (focus,) if isinstance(focus, str) else tuple(focus)
    name, title = f"{cell.name}-cell", f"The cell {cell.name}"
    if wanted:
        scene = focused(layout, a, wanted)
        name += "-" + "-".join(wanted).replace(":", "-")
        names = sentences.listed(map(_said, wanted))
        title += f", with {names} highlighted"
        told = Said("The cell {cell}, with {names} highlighted.", cell=cell.name, names=names)
        alt = joined([told, alt])
    return Figure(name, title, alt, scene)


def _said(name: str) -> str:
    """A word of `focus` as a sentence has it."""
    kind, _, rest = name.rpartition(":")
    if kind == "belt":
        return Said("the belt of {state}", state=rest)
    return Said("the gate {name}", name=rest) if kind == "gate" else name


def focused(layout: Layout, a: Anatomy, focus: tuple[str, ...]) -> Scene:
    """The scene with everything dimmed that does not belong to `focus`."""
    classes, carried = _bright(a, focus)
    belts = set(prefixed((f[5:] for f in focus if f.startswith("belt:")), "belt"))
    lit = {k for state, path in a.belts.items() if f"belt:{state}" in focus for k in path}
    lit |= {
        key
        for key, part in a.parts.items()
        if classes & {*prefixed([part.equation], "eq"), *prefixed([key], "part")}
    }
    nameless = {key for key in lit if not a.parts[key].names}
    states = set(prefixed(a.belts, "val"))

    def shines(wire: Wire) -> bool:
        own = set(wire.classes)
        if own & classes or any(s in nameless and r in lit for s, r in layout.links[wire.id]):
            return True
        outside = any(c.startswith(("belt-", "to-")) for c in own)
        return bool(own & carried) and (outside or not own & states)

    wires = [replace(w, dim=not shines(w)) for w in layout.scene.wires]
    bright = [w for w in wires if not w.dim]
    ends = {end for w in bright for end in (w.tail, w.head)}
    on_belts = {w.head for w in bright if set(w.classes) & belts}
    tips = [point for w in bright for point in (w.points[0], w.points[-1])]

    def shows(shape: Shape) -> bool:
        own = set(shape.classes)
        if shape.kind in ("layer", "op"):
            return bool(own & classes) or shape.id in on_belts
        if shape.kind == "body" or own & classes or shape.id in ends:
            return True
        left, top, right, bottom = shape.box
        near = any(left - 12 < x < right + 12 and top < y < bottom for x, y in tips)
        names = any(c.startswith("name-") for c in own) and any(
            own & set(w.classes) for w in bright
        )
        return shape.kind == "label" and (near or names)

    return Scene([replace(s, dim=not shows(s)) for s in layout.scene.shapes], wires)


def _bright(a: Anatomy, focus: tuple[str, ...]) -> tuple[set[str], set[str]]:
    """The classes of what shines, and those of lines that shine as values of it."""
    classes: set[str] = set()
    carried: set[str] = set()
    for name in focus:
        kind, _, rest = name.rpartition(":")
        if kind == "belt" and rest in a.belts:
            classes |= set(prefixed([rest], "belt"))
        elif kind in ("", "gate") and rest in a.alias:
            classes |= set(prefixed([rest], "eq"))
            carried |= set(prefixed([rest], "val"))
            users = [p for p in a.users(a.alias[rest]) if not p.merges] if kind else []
            classes |= set(prefixed((p.key for p in users[:1]), "part"))
        else:
            gates = [f"gate:{n}" for n in a.alias if n not in a.belts]
            belts = [f"belt:{s}" for s in a.belts]
            raise FigureError(
                f"cannot focus on {name!r} in cell '{a.cell.name}'. There are the equations "
                f"{', '.join(a.alias)}"
                + (f"; the belts {', '.join(belts)}" if belts else "")
                + (f"; the gates {', '.join(gates)}." if gates else ".")
            )
    return classes, carried
