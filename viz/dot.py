"""A scene as a graph of the package graphviz: nodes carry their places, edges their splines.

Graphviz's layout `nop2` keeps both, so that every Graphviz draws it alike. A formula is a label of
plain text here; `viz.svg` puts its glyphs there.
"""

from __future__ import annotations

import graphviz

from viz.palette import DIM, SHAPES, light
from viz.scene import Point, Scene, Shape, Wire, number, rounded, state_of


def digraph(name: str, scene: Scene, title: str) -> graphviz.Digraph:
    """The graph of a scene, one node or edge a line; any engine draws it, as it names its own."""
    graph = graphviz.Digraph(
        name,
        comment=title,
        engine="neato",
        graph_attr={
            "layout": "nop2",
            "outputorder": "nodesfirst",
            "notranslate": "true",
            "pad": "0.3",
            "tooltip": graphviz.escape(title),
        },
        node_attr={"label": "", "fixedsize": "true", "fontname": "sans-serif"},
        edge_attr={"arrowhead": "none", "arrowsize": "0.8", "color": light("line")},
    )
    known = {shape.id for shape in scene.shapes}
    for shape in scene.shapes:
        graph.node(shape.id, **_node(shape))
    for wire in scene.wires:
        for end, place in ((wire.tail, wire.points[0]), (wire.head, wire.points[-1])):
            if end not in known:
                known.add(end)
                graph.node(end, shape="point", style="invis", width="0.01", pos=_place(place))
    for wire in scene.wires:
        graph.edge(wire.tail, wire.head, **_edge(wire))
    return graph


def _node(shape: Shape) -> dict[str, str]:
    fill, line, width = SHAPES[shape.kind]
    state = state_of(shape.classes)
    if line and state:
        line, width = state, 2.4
    attributes = {
        "id": shape.id,
        "class": " ".join((shape.kind, *shape.classes, *["dim"] * shape.dim)),
        "shape": "plaintext",
        "pos": _place((shape.x, shape.y)),
        "width": f"{shape.width / 72:.4f}",
        "height": f"{shape.height / 72:.4f}",
    }
    if shape.paint:
        role, share = shape.paint
        paint = f"{light(role)}{round(255 * share * (DIM if shape.dim else 1)):02x}"
        attributes |= {"shape": "box", "style": "filled", "fillcolor": paint}
        attributes |= {"color": "transparent", "penwidth": "0"}
    elif fill or line:
        circle = shape.round and abs(shape.width - shape.height) < 0.5
        rounded = not circle and shape.corner > 0
        attributes |= {
            "shape": "circle" if circle else "box",
            "style": "filled,rounded" if rounded else "filled",
            "fillcolor": _colour(fill, shape.dim) if fill else "transparent",
            "color": _colour(line, shape.dim) if line else "transparent",
            "penwidth": number(width),
        }
    if shape.text:
        colour = state or ("quiet" if shape.kind == "caption" else "ink")
        attributes |= {
            "label": graphviz.escape(shape.text),
            "fontsize": number(0.75 * shape.size),  # names are longer as plain text
            "fontcolor": _colour(colour, shape.dim),
        }
    if shape.title:
        attributes["tooltip"] = graphviz.escape(shape.title)
    return attributes


def _edge(wire: Wire) -> dict[str, str]:
    spline, tip = rounded(wire)
    state = state_of(wire.classes)
    attributes = {
        "id": wire.id,
        "class": " ".join((*wire.classes, *["dim"] * wire.dim)),
        "penwidth": number(2.4 if state else wire.width),
        "pos": " ".join([*([f"e,{_place(tip)}"] if tip else []), *map(_place, spline)]),
    }
    if state or wire.dim:
        attributes["color"] = _colour(state or "line", wire.dim)
    if wire.arrow:
        attributes["arrowhead"] = "normal"
    if wire.title:
        attributes["tooltip"] = graphviz.escape(wire.title)
    return attributes


def _place(point: Point) -> str:
    return f"{number(point[0])},{number(-point[1])}"


def _colour(role: str, dim: bool) -> str:
    return light(role) + (f"{round(255 * DIM):02x}" if dim else "")
