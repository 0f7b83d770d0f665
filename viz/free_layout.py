"""Layout by Graphviz's `dot`, for what the grid does not serve: graphs, and unusual cells.

`placed` lets dot choose places and splines, and returns them as a scene, so that such figures are
drawn, coloured and labelled like all others and their DOT text keeps every coordinate too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from equations import name_latex, name_unicode
from viz.anatomy import Anatomy, sentence
from viz.drawing import SYMBOL, part_size, terminal
from viz.glyphs import glyphs
from viz.labelling import LABEL
from viz.rendering import layout
from viz.scene import Point, Scene, Shape, Wire, prefixed


@dataclass(frozen=True)
class Link:
    """A directed line between two shapes, before it has a place."""

    tail: str
    head: str
    classes: tuple[str, ...] = ()
    label: str = ""


def placed(
    shapes: Iterable[Shape], links: Iterable[Link], direction: str = "LR",
    groups: Mapping[str, str] | None = None, gap: tuple[float, float] = (0.28, 0.5),
) -> Scene:  # fmt: skip
    """The shapes at the places that dot finds for them, and the links as smooth lines.

    groups: shapes of one group (a time step) stay together. gap: inches between shapes of a rank,
    and between ranks.
    """
    several = list(shapes)
    lines = list(links)
    number = {shape.id: k for k, shape in enumerate(several)}
    text = [f"digraph {{ rankdir={direction}; nodesep={gap[0]}; ranksep={gap[1]}"]
    text.append("node [shape=box, fixedsize=true, label=\"\"] edge [arrowsize=0.7]")
    for shape in several:
        size = f"width={shape.width / 72:.4f}, height={shape.height / 72:.4f}"
        text.append(f"n{number[shape.id]} [{size}]")
    by_group: dict[str, list[str]] = {}
    for name, group in (groups or {}).items():
        by_group.setdefault(group, []).append(name)
    for k, members in enumerate(by_group.values()):
        inside = "; ".join(f"n{number[m]}" for m in members)
        text.append(f"subgraph cluster{k} {{ margin=12; {inside} }}")
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
                f"line-{item['comment']}", tuple(points), link.tail, link.head,
                net=link.tail, arrow=True, curve=True, tip=tip, width=1.3, classes=link.classes,
            )
        )  # fmt: skip
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


def cell_scene(a: Anatomy) -> Scene:
    """A cell with the usual shapes, in dot's order: for cells that the grid cannot serve."""
    shapes = []
    for state in a.states:
        for own, name in ((f"prev.{state}", f"prev.{state}"), (f"next.{state}", state)):
            latex = name_latex(name)
            ink = glyphs(latex, LABEL)
            shapes.append(
                Shape(
                    f"label-{own}", "label", 0, 0, ink.width + 8, 24.0, latex, name_unicode(name),
                    LABEL, classes=prefixed([name], "val"),
                )
            )  # fmt: skip
    shapes += [terminal(f"label-{name}", name, a.time(name), 0, 0) for name in a.inputs]
    for key, part in a.parts.items():
        w, h = part_size(part)
        kind = "layer" if part.kind == "layer" else "op"
        shapes.append(
            Shape(
                f"part-{key}", kind, 0, 0, w, h, part.latex, part.text, SYMBOL, round=kind == "op",
                classes=(*prefixed([part.equation], "eq"), *prefixed(part.names, "val")),
                title=sentence(part, a.program),
            )
        )  # fmt: skip

    def origin(key: str) -> str:
        return f"part-{key}" if key in a.parts else f"label-{key}"

    links = [
        Link(
            origin(source), f"part-{part.key}",
            ("wire", *prefixed([part.equation], "eq"), *prefixed([source], "val")),
        )
        for part in a.parts.values() for source in part.inputs
    ]  # fmt: skip
    links += [
        Link(origin(v), f"label-next.{s}", ("wire", *prefixed([s], "val"), *prefixed([s], "to")))
        for s, v in a.states.items()
    ]
    used = {end for link in links for end in (link.tail, link.head)}
    scene = placed([s for s in shapes if s.id in used], links)
    left, top, right, bottom = scene.bounds(22.0)
    body = Shape("body", "body", (left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
    scene.shapes.insert(0, body)
    return scene
