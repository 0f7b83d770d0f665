"""Layout by Graphviz's `dot`, for what the grid does not serve: graphs, and unusual cells.

`placed` lets dot choose places and splines, and returns them as a scene, so that such figures are
drawn, coloured and labelled like all others and their DOT text keeps every coordinate too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from equations import name_latex, name_unicode
from viz.anatomy import OUTPUT, Anatomy, Part
from viz.drawing import SYMBOL, Names, Pairs, part_shape, terminal
from viz.glyphs import glyphs
from viz.labelling import LABEL, mark_second
from viz.rendering import layout
from viz.scene import Point, Scene, Shape, Wire, prefixed

MANY = 150  # shapes: dot is told to look less long for their best places


@dataclass(frozen=True)
class Link:
    """A directed line between two shapes, before it has a place."""

    tail: str
    head: str
    classes: tuple[str, ...] = ()
    net: str = ""


def placed(
    shapes: Iterable[Shape],
    links: Iterable[Link],
    direction: str = "LR",
    ends: tuple[Sequence[str], Sequence[str]] = ((), ()),
    gap: tuple[float, float] = (0.28, 0.5),
) -> Scene:
    """The shapes at the places that dot finds for them, and the links as smooth lines.

    ends: shapes that stand before, and after, all others. gap: inches between shapes of a rank, and
    between ranks.
    """
    several = list(shapes)
    lines = list(links)
    number = {shape.id: k for k, shape in enumerate(several)}
    text = [f"digraph {{ rankdir={direction}; nodesep={gap[0]}; ranksep={gap[1]}"]
    if len(several) > MANY:
        text.append("nslimit=1; nslimit1=1; mclimit=0.1")
    text.append('node [shape=box, fixedsize=true, label=""] edge [arrowsize=0.7]')
    for shape in several:
        size = f"width={shape.width / 72:.4f}, height={shape.height / 72:.4f}"
        text.append(f"n{number[shape.id]} [{size}]")
    for rank, members in zip(("source", "sink"), ends, strict=True):
        if members:
            text.append(f"{{ rank={rank}; {'; '.join(f'n{number[m]}' for m in members)} }}")
    for k, link in enumerate(lines):
        text.append(f'n{number[link.tail]} -> n{number[link.head]} [comment="{k}"]')
    found = json.loads(layout("\n".join([*text, "}"]), engine="dot", format="json"))
    place: dict[str, Point] = {}
    for item in found.get("objects", []):
        if "pos" in item:
            x, y = item["pos"].split(",")
            place[item["name"]] = (float(x), -float(y))
    wires = []
    for item in found.get("edges", []):
        link = lines[int(item["comment"])]
        points, tip = _spline(item["pos"])
        wires.append(
            Wire(
                f"line-{item['comment']}",
                tuple(points),
                link.tail,
                link.head,
                net=link.net or link.tail,
                arrow=True,
                curve=True,
                tip=tip,
                width=1.3,
                classes=link.classes,
            )
        )
    moved = [
        replace(s, x=place[f"n{number[s.id]}"][0], y=place[f"n{number[s.id]}"][1]) for s in several
    ]
    return Scene(moved, wires)


def _spline(pos: str) -> tuple[list[Point], Point]:
    """A spline of dot's, and the tip of its arrow."""
    tip: Point | None = None
    points = []
    for word in pos.split():
        pair = word.removeprefix("e,").removeprefix("s,").split(",")
        point = (float(pair[0]), -float(pair[1]))
        if word.startswith("e,"):
            tip = point
        else:
            points.append(point)
    return points, tip or points[-1]


def cell_scene(a: Anatomy, names: Names) -> tuple[Scene, dict[str, Pairs]]:
    """A cell with the usual shapes, in dot's order, and what each line leads from and to.

    The states enter on the left and leave on the right; a value's name stands in the shape that
    computes it. Ids and classes are those of a figure on the grid.
    """
    before = [_end(f"label-{key}", key, names, names.left) for key in a.previous]
    after = [_end(f"label-{state}", state, names, names.right) for state in a.states]
    shapes = [terminal(f"in-{name}", name, a.time(name, names.time), 0, 0) for name in a.inputs]
    shapes.append(terminal(f"out-{OUTPUT}", a.cell.output, names.time, 0, 0))
    texts: dict[str, list[Shape]] = {}
    for part in a.parts.values():
        shape, texts[f"part-{part.key}"] = _part(a, part, names.time)
        shapes.append(shape)

    def link(source: str, head: str, *classes: str) -> Link:
        part = a.parts.get(source)
        own = prefixed(part.names if part else [source], "val")
        own = own or prefixed([part.equation] if part else [], "of")
        kind = "part" if part else "label" if source in a.previous else "in"
        return Link(f"{kind}-{source}", head, ("wire", *own, *classes), source)

    links, pairs = [], []
    for part in a.parts.values():
        for source in part.inputs:
            links.append(link(source, f"part-{part.key}", *prefixed([part.equation], "eq")))
            pairs.append({(source, part.key)})
    for end, source in a.leaving.items():
        head = f"out-{end}" if end == OUTPUT else f"label-{end.removeprefix('next.')}"
        links.append(link(source, head, *prefixed([end], "to")))
        pairs.append({(source, end)})
    before = [s for s in before if any(s.id == each.tail for each in links)]
    ends = [s.id for s in before], [s.id for s in after]
    scene = placed([*before, *shapes, *after], links, ends=ends)
    inner = Scene([s for s in scene.shapes if s.id not in {*ends[0], *ends[1]}]).bounds(18.0)
    _, top, _, bottom = scene.bounds(18.0)
    body = Shape(
        "body",
        "body",
        (inner[0] + inner[2]) / 2,
        (top + bottom) / 2,
        inner[2] - inner[0],
        bottom - top,
    )
    for shape in list(scene.shapes):
        scene.shapes += [
            replace(text, x=shape.x + text.x, y=shape.y) for text in texts.get(shape.id, ())
        ]
    scene.shapes.insert(0, body)
    for part in a.parts.values():
        if part.second:
            mark_second(scene, part)
    return scene, {f"line-{k}": found for k, found in enumerate(pairs)}


def _end(own: str, name: str, names: Names, labelled: bool) -> Shape:
    """Where a state enters or leaves: its name, or the place where a neighbour's line goes on."""
    classes = prefixed([name], "val")
    if not (labelled and names.outer):
        return Shape(own, "label", 0, 0, 1.0, 1.0, classes=classes)
    latex = name_latex(name, names.time)
    ink = glyphs(latex, LABEL)
    return Shape(
        own,
        "label",
        0,
        0,
        ink.width + 8,
        ink.height + 8,
        latex,
        name_unicode(name, names.time),
        LABEL,
        classes=classes,
    )


def _part(a: Anatomy, part: Part, time: str) -> tuple[Shape, list[Shape]]:
    """A part's shape and, if it computes named values, the texts in it: `f_t = σ`."""
    shape = part_shape(a, part)
    names = [name for name in part.names if name not in a.states]
    if not names:
        return shape, []
    written = [
        (f"label-{name}", name_latex(name, time), name_unicode(name, time), LABEL) for name in names
    ]
    written.append((f"sign-{part.key}", part.latex, part.text, SYMBOL))
    texts, x = [], 0.0
    for k, (own, latex, text, size) in enumerate(written):
        latex, text = (rf"{{=}}\;{latex}", f"= {text}") if k else (latex, text)
        ink = glyphs(latex, size)
        name = names[k : k + 1]
        classes = (*prefixed(name, "val"), *prefixed(name, "name")) or shape.classes
        texts.append(
            Shape(
                own,
                "label",
                x + ink.width / 2,
                0,
                ink.width,
                ink.height,
                latex,
                text,
                size,
                classes=classes,
            )
        )
        x += ink.width + 5
    width = x - 5
    texts = [replace(text, x=text.x - width / 2) for text in texts]
    height = max(shape.height, *(text.height + 10 for text in texts))
    return replace(shape, latex="", text="", width=width + 20, height=height), texts
