r"""A scene as TikZ: the same places, sizes and corners as in the DOT, formulas set by TeX itself.

A picture needs `\usepackage{tikz, amsmath}` and `\usetikzlibrary{arrows.meta}`; one unit is a
point of 1/72 inch, y downwards, so every number is the scene's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from viz.palette import COLOURS, DIM, SHAPES, STATES
from viz.scene import CORNERS, HEAD, Point, Scene, Shape, Wire, corner_radius, number, state_of

_POINT = 1.00375  # a point of 1/72 inch in TeX's points
_EM = 10.0  # the size of the surrounding text, of which labels are multiples
_DOCUMENT = r"""\documentclass[tikz, border=10bp]{standalone}
\usepackage{amsmath}
\usetikzlibrary{arrows.meta}
\begin{document}
%s\end{document}
"""
CLOSING = "\\end{tikzpicture}\n"


def document(picture: str) -> str:
    """A picture as a whole LaTeX file, which any TeX engine turns into a cropped page."""
    return _DOCUMENT % picture


def picture(scene: Scene, title: str) -> str:
    r"""A scene as one `tikzpicture`, one node or line a line.

    Every shape is a node named after its id, so that one can draw to it. Colours are the light
    ones, defined within the picture as viz-layer and so on; styles as `viz layer`.
    """
    kinds = {shape.kind for shape in scene.shapes}
    classes = [*(s.classes for s in scene.shapes), *(w.classes for w in scene.wires)]
    states = {state for own in classes if (state := state_of(own))}
    return f"% {' '.join(title.split())}\n{opening(kinds, states)}{body(scene)}{CLOSING}"


def opening(kinds: Iterable[str] = SHAPES, states: Iterable[str] = STATES) -> str:
    """The beginning of a picture: styles and colours for these kinds of shapes and states."""
    kinds, states = sorted(kinds), sorted(states)
    used = {"ink", "line", *states, *(["quiet"] if "caption" in kinds else [])}
    used |= {name for kind in kinds for name in SHAPES[kind][:2] if name}
    styles = ",\n".join(f"  {style}" for style in _styles(kinds, states))
    colours = [
        rf"  \definecolor{{viz-{name}}}{{HTML}}{{{COLOURS[name][0][1:].upper()}}}"
        for name in COLOURS
        if name in used
    ]
    return "\n".join([r"\begin{tikzpicture}[x=1bp, y=-1bp,", f"{styles}]", *colours, ""])


def body(scene: Scene) -> str:
    """The nodes and lines of a picture, between its `opening` and `CLOSING`."""
    lines = []
    names = _node_names(shape.id for shape in scene.shapes)
    for shape, name in zip(scene.shapes, names, strict=True):
        lines += _shape(shape, name)
    return "".join(f"{line}\n" for line in [*lines, *map(_wire, scene.wires)])


def _styles(kinds: Iterable[str], states: Iterable[str]) -> list[str]:
    found = ["viz box/.style 2 args={inner sep=0, minimum width=#1bp, minimum height=#2bp}"]
    for kind in kinds:
        fill, line, width = SHAPES[kind]
        if not fill and not line:
            continue
        parts = ["viz box={#1}{#2}"] + ([f"fill=viz-{fill}"] if fill else [])
        parts += [f"draw=viz-{line}", f"line width={number(width)}bp"] if line else []
        parts += [f"rounded corners={number(CORNERS[kind])}bp"] if kind in CORNERS else []
        found.append(f"viz {kind}/.style 2 args={{{', '.join(parts)}}}")
    found.append("viz text/.style={text=viz-ink, inner sep=0, scale=#1}")
    found.append("viz line/.style={draw=viz-line, line width=#1bp}")
    found.append(f"viz arrow/.style={{-{{Triangle[length={number(HEAD)}bp, width=5.6bp]}}}}")
    found += [f"viz {s}/.style={{draw=viz-{s}, line width=2.4bp}}" for s in states]
    return [*found, f"viz dim/.style={{opacity={DIM}}}"]


def _shape(shape: Shape, name: str) -> list[str]:
    """The node of a shape and, in its middle, the label."""
    fill, line, _ = SHAPES[shape.kind]
    dim = ["viz dim"] * shape.dim
    state = state_of(shape.classes)
    at = f"({number(shape.x)}, {number(shape.y)})"
    lines = []
    if shape.paint:
        role, share = shape.paint
        size = f"viz box={{{number(shape.width)}}}{{{number(shape.height)}}}"
        options = [size, *_filled(role, share), *dim]
        lines.append(rf"  \node[{', '.join(options)}] ({name}) at {at} {{}};")
        return lines
    if fill or line:
        circle = shape.round and abs(shape.width - shape.height) < 0.5
        options = [f"viz {shape.kind}={{{number(shape.width)}}}{{{number(shape.height)}}}"]
        if circle:
            options.append("circle")
        elif shape.round:
            options.append(f"rounded corners={number(shape.corner)}bp")
        options += [f"viz {state}"] * bool(line and state) + dim
        lines.append(rf"  \node[{', '.join(options)}] ({name}) at {at} {{}};")
        name, at = "", f"({name})"
    if shape.latex or not lines:
        options = [f"viz text={number(shape.size * _POINT / _EM)}"]
        if shape.kind == "caption":
            options.append("text=viz-quiet")
        elif shape.kind == "label" and state:
            options.append(f"text=viz-{state}")
        options += ["rotate=90"] * shape.turned
        own = f" ({name})" if name else ""
        inner = f"${shape.latex}$" if shape.latex else ""
        lines.append(rf"  \node[{', '.join(options + dim)}]{own} at {at} {{{inner}}};")
    return lines


def _filled(role: str, share: float) -> list[str]:
    """A fill of a role's colour, or of a colour of its own, so far covering."""
    cover = [f"fill opacity={number(share)}"] if share < 1 else []
    if role in COLOURS:
        return [f"fill=viz-{role}", *cover]
    red, green, blue = (int(role[k : k + 2], 16) for k in (1, 3, 5))
    return [f"fill={{rgb,255:red,{red};green,{green};blue,{blue}}}", *cover]


def _wire(wire: Wire) -> str:
    options = [f"viz line={number(wire.width)}"]
    options += ["viz arrow"] * (wire.arrow or wire.tip is not None)
    if state := state_of(wire.classes):
        options.append(f"viz {state}")
    options += ["viz dim"] * wire.dim
    path = _curve(wire) if wire.curve else _polyline(wire)
    return rf"  \draw[{', '.join(options)}] {path};"


def _curve(wire: Wire) -> str:
    first, *rest = wire.points
    path = _at(first)
    for a, b, c in zip(*[iter(rest)] * 3, strict=True):
        path += f" .. controls {_at(a)} and {_at(b)} .. {_at(c)}"
    return path + (f" -- {_at(wire.tip)}" if wire.tip else "")


def _polyline(wire: Wire) -> str:
    """A line whose corners are rounded by what is in force where they are reached."""
    path, now = _at(wire.points[0]), 0.0
    for k, point in enumerate(wire.points[1:], 1):
        inner = k < len(wire.points) - 1
        radius = corner_radius(wire, k) if inner else now
        if radius != now:
            path += f" [rounded corners={number(radius)}bp]"
            now = radius
        path += f" -- {_at(point)}"
    return path


def _at(point: Point) -> str:
    return f"({number(point[0])}, {number(point[1])})"


def _node_names(ids: Iterable[str]) -> list[str]:
    """Ids as TikZ takes them: no dots, colons, commas or brackets, each once."""
    found: list[str] = []
    for own in ids:
        name = plain = re.sub(r"[^A-Za-z0-9_-]+", "-", own)
        count = 1
        while name in found:
            count += 1
            name = f"{plain}-{count}"
        found.append(name)
    return found
