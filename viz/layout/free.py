"""Layout by Graphviz's `dot`, for what the grid does not serve: graphs, and unusual cells.

`placed` lets dot choose places and splines, and returns them as a scene, so that such figures are
drawn, coloured and labelled like all others and their DOT text keeps every coordinate too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import graphviz

from viz.anatomy import OUTPUT, Anatomy, Part
from viz.layout.drawing import Pairs
from viz.layout.labels import mark_second
from viz.layout.shapes import LABEL, SYMBOL, Names, part_shape, terminal, times
from viz.rendering import render
from viz.scene import Point, Scene, Shape, Wire, ground, label, prefixed
from viz.symbols import Written, named

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
    several, lines = list(shapes), list(links)
    node = {shape.id: f"n{k}" for k, shape in enumerate(several)}
    graph = graphviz.Digraph(
        graph_attr={"rankdir": direction, "nodesep": f"{gap[0]}", "ranksep": f"{gap[1]}"},
        node_attr={"shape": "box", "fixedsize": "true", "label": ""},
        edge_attr={"arrowsize": "0.7"},
    )
    if len(several) > MANY:
        graph.attr(nslimit="1", nslimit1="1", mclimit="0.1")
    for shape in several:
        graph.node(
            node[shape.id], width=f"{shape.width / 72:.4f}", height=f"{shape.height / 72:.4f}"
        )
    for rank, members in zip(("source", "sink"), ends, strict=True):
        with graph.subgraph(graph_attr={"rank": rank}) as side:
            for member in members:
                side.node(node[member])
    for k, link in enumerate(lines):
        graph.edge(node[link.tail], node[link.head], comment=str(k))
    found = json.loads(render(graph.source, format="json"))
    place = {o["name"]: _point(o["pos"]) for o in found.get("objects", []) if "pos" in o}
    wires = [_wire(item, lines[int(item["comment"])]) for item in found.get("edges", [])]
    return Scene([_at(s, *place[node[s.id]]) for s in several], wires)


def _at(shape: Shape, x: float, y: float) -> Shape:
    return replace(shape, x=x, y=y)


def _point(pair: str) -> Point:
    x, y = map(float, pair.split(","))
    return x, -y


def _wire(item: dict[str, str], link: Link) -> Wire:
    """A link along a spline of dot's, which names the tip of its arrow first."""
    words = item["pos"].split()
    points = tuple(_point(word) for word in words if word[:2] != "e,")
    tips = [_point(word[2:]) for word in words if word[:2] == "e,"]
    return Wire(
        f"line-{item['comment']}",
        points,
        link.tail,
        link.head,
        net=link.net or link.tail,
        arrow=True,
        curve=True,
        tip=[points[-1], *tips][-1],
        width=1.3,
        classes=link.classes,
    )


def lay_out_freely(a: Anatomy, names: Names) -> tuple[Scene, dict[str, Pairs]]:
    """A cell with the usual shapes, in dot's order, and what each line leads from and to.

    The states enter on the left and leave on the right; a value's name stands in the shape that
    computes it. Ids and classes are those of a figure on the grid.
    """
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
    before = [_end(key, names, names.left) for key in a.previous]
    before = [s for s in before if any(s.id == each.tail for each in links)]
    after = [_end(state, names, names.right) for state in a.states]
    ends = [s.id for s in before], [s.id for s in after]
    scene = placed([*before, *shapes, *after], links, ends=ends)
    inner = [s for s in scene.shapes if s.id not in (*ends[0], *ends[1])]
    left, _, right, _ = Scene(inner).bounds(18.0)
    _, top, _, bottom = scene.bounds(18.0)
    for shape in list(scene.shapes):
        scene.shapes += [_at(t, shape.x + t.x, shape.y) for t in texts.get(shape.id, ())]
    scene.shapes.insert(0, ground("body", "body", (left, top, right, bottom)))
    for part in a.parts.values():
        if part.second:
            mark_second(scene, part)
    return scene, {f"line-{k}": found for k, found in enumerate(pairs)}


def _end(name: str, names: Names, labelled: bool) -> Shape:
    """Where a state enters or leaves: its name, or the place where a neighbour's line goes on."""
    own, classes = f"label-{name}", prefixed([name], "val")
    if not (labelled and names.outer):
        return Shape(own, "label", 0, 0, 1.0, 1.0, classes=classes)
    shape = label(own, named(name, names.time), 0, 0, LABEL, classes=classes)
    return replace(shape, width=shape.width + 8, height=shape.height + 8)


def _part(a: Anatomy, part: Part, time: str) -> tuple[Shape, list[Shape]]:
    """A part's shape and, if it computes named values, the texts in it: `f_t = σ`."""
    shape = part_shape(a, part)
    texts: list[Shape] = []
    x = 0.0
    several = a.given(part)
    for name in part.names:
        if name not in a.states:
            what, classes = (
                a.name(name, time),
                (*prefixed([name], "val"), *prefixed([name], "name")),
            )
            if texts:
                between = "," if name in several else "="
                what = Written(rf"{{{between}}}\;{what.latex}", f"{between} {what.text}")
            texts.append(label(f"label-{name}", what, x, 0, LABEL, 1, classes=classes))
            x += texts[-1].width + 5
    if not texts:
        return shape, []
    made = Written(rf"{{=}}\;{part.sign.latex}", f"= {part.sign.text}")
    if part.lengths:
        often = times(part.lengths)
        made = Written(rf"{made.latex}\;\;({often.latex})", f"{made.text} ({often.text})")
    texts.append(label(f"sign-{part.key}", made, x, 0, SYMBOL, 1, classes=shape.classes))
    width = x + texts[-1].width
    height = max(shape.height, *(text.height + 10 for text in texts))
    texts = [_at(text, text.x - width / 2, 0) for text in texts]
    return replace(shape, latex="", text="", width=width + 20, height=height), texts
