"""What Graphviz cannot say is added to the SVG that it draws.

Graphviz draws every shape, line and arrowhead at its place, with its colours, `id` and `class`. It
has no word for the rest, which is done here: formulas as glyphs, each drawn once and used where it
stands (its own labels need a font); corners with a radius (its `rounded` knows one); titles that
are not links; colours that follow the page's light or dark; ids that are the copy's own;
alternative text; and a view box in the scene's coordinates.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape

from viz.glyphs import Glyphs
from viz.palette import COLOURS, DIM, light, stylesheet
from viz.scene import Scene, Shape, Wire, number, state_of

MARKS = ("path", "polygon", "ellipse", "polyline")


def finished(scene: Scene, drawn: str, prefix: str, words: tuple[str, str], css: bool) -> str:
    """The figure's SVG from Graphviz's; words: its title and its alternative text."""
    title, alt = (escape(text) for text in words)
    elements: dict[str, Shape | Wire] = {s.id: s for s in scene.shapes}
    elements |= {w.id: w for w in scene.wires}
    inks: dict[tuple[str, float], tuple[str, Glyphs]] = {}
    body = []
    for drawing in ET.fromstring(drawn).iter():
        element = elements.get(drawing.get("id", "")) if drawing.get("class") else None
        if element is None:  # the whole, or an invisible junction
            continue
        group = _group(element, drawing, prefix, css)
        if isinstance(element, Shape) and (ink := element.glyphs()):
            key = (element.latex, element.size)
            name, ink = inks.setdefault(key, (f"{prefix}-m{len(inks)}", ink))
            group.append(_use(element, name, ink, css))
        body.append(ET.tostring(group, encoding="unicode").replace(" />", "/>"))
    definitions = "".join(f'<g id="{name}">{ink.content}</g>' for name, ink in inks.values())
    style = f"<style>{stylesheet(s.kind for s in scene.shapes)}</style>" if css else ""
    left, top, right, bottom = scene.bounds()
    size = number(right - left), number(bottom - top)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="viz" id="{prefix}" role="img" '
        f'aria-labelledby="{prefix}-title {prefix}-desc" width="{size[0]}pt" height="{size[1]}pt" '
        f'viewBox="{number(left)} {number(top)} {size[0]} {size[1]}">\n'
        f'<title id="{prefix}-title">{title}</title>\n<desc id="{prefix}-desc">{alt}</desc>\n'
        f"{style}<defs>{definitions}</defs>\n" + "\n".join(body) + "\n</svg>\n"
    )


def _group(element: Shape | Wire, drawn: ET.Element, prefix: str, css: bool) -> ET.Element:
    """A shape or line as Graphviz drew it, without the links that it makes of titles."""
    attributes = {"id": f"{prefix}-{element.id}", "class": drawn.get("class", "")}
    if element.dim and not css:
        attributes["opacity"] = f"{DIM}"
    group = ET.Element("g", attributes)
    if element.title:
        ET.SubElement(group, "title").text = element.title
    for mark in drawn.iter():
        tag = mark.tag.rpartition("}")[2]
        if tag not in MARKS:
            continue
        # dimming is the group's business
        kept = {k: v for k, v in mark.items() if not k.endswith("-opacity")}
        if isinstance(element, Wire):
            ET.SubElement(group, tag, kept)
        elif tag == "ellipse":
            ET.SubElement(group, tag, {**kept, "class": "shape"})
        else:
            paint = _paint(element, kept)
            first = {"class": paint["class"]} if "class" in paint else {}
            ET.SubElement(group, "rect", {**first, **_corners(element), **paint})
            break
    return group


def _corners(shape: Shape) -> dict[str, str]:
    left, top, _, _ = shape.box
    places = (left, top, shape.width, shape.height, shape.corner)
    return {
        key: number(value)
        for key, value in zip(("x", "y", "width", "height", "rx"), places, strict=True)
    }


def _paint(shape: Shape, kept: dict[str, str]) -> dict[str, str]:
    """The colours of a shape, and the class by which a page may change them."""
    if shape.paint:
        role, share = shape.paint
        own = {"class": role} if role in COLOURS else {}
        return {**own, "fill": light(role), "fill-opacity": number(share)}
    paint = {k: kept[k] for k in ("fill", "stroke", "stroke-width") if kept.get(k)}
    for k in ("fill", "stroke"):
        if paint.get(k) in (None, "transparent"):
            paint[k] = "none"
    return {"class": "shape", **paint}


def _use(shape: Shape, name: str, ink: Glyphs, css: bool) -> ET.Element:
    """A formula's glyphs in the middle of a shape."""
    x, y = shape.x - ink.x - ink.width / 2, shape.y - ink.y - ink.height / 2
    role = "quiet" if shape.kind == "caption" else "ink"
    if shape.kind == "label":
        role = state_of(shape.classes) or role
    paint = {} if css else {"fill": COLOURS[role][0]}
    place = {"class": "glyph", "href": f"#{name}", "x": number(x), "y": number(y)}
    if shape.turned:
        place["transform"] = f"rotate(-90 {number(shape.x)} {number(shape.y)})"
    return ET.Element("use", {**place, **paint})
