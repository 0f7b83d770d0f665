"""A finished figure: its DOT text, its SVG, files, notebook display and alternative text."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from tinygrad_lstm.errors import TinygradError
from viz import tikz
from viz.glyphs import Glyphs
from viz.palette import COLOURS, DIM, STATES, stylesheet
from viz.rendering import layout, svg_to_pdf, svg_to_png
from viz.scene import Scene, Shape, dot_text, number

ENDINGS = (".svg", ".png", ".pdf", ".dot", ".tex")
_SVG = "{http://www.w3.org/2000/svg}"
_shown = itertools.count(1)  # figures that a notebook has displayed


class FigureError(TinygradError, ValueError):
    """A figure that cannot be drawn or saved as asked."""


@dataclass(frozen=True)
class Figure:
    """A picture of a cell, a network or a computation.

    `name` is its title, `alt` says in sentences what it shows, `dot` is its text for Graphviz
    (`neato -n2`), which keeps every coordinate. `svg()` is what Graphviz draws of it, with formulas
    as glyphs, colours as CSS custom properties (`--viz-layer` and so on, light and dark) and a
    `class` and `id` on every node and edge. Notebooks show it, each time with ids of its own, or
    a PNG of it where SVG is not trusted.
    """

    name: str
    title: str
    alt: str
    scene: Scene

    @cached_property
    def prefix(self) -> str:
        """What the ids in the SVG begin with unless told."""
        return re.sub(r"[^A-Za-z0-9]+", "-", self.name).strip("-") or "figure"

    @cached_property
    def dot(self) -> str:
        """The figure as DOT text."""
        return dot_text(self.name, self.scene, self.title)

    @cached_property
    def tikz(self) -> str:
        """The figure as a `tikzpicture`, every coordinate that of `dot`; see `viz.tikz`."""
        return tikz.picture(self.scene, self.title)

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in points."""
        left, top, right, bottom = self.scene.bounds()
        return right - left, bottom - top

    def svg(self, prefix: str | None = None, css: bool = True) -> str:
        """The figure as SVG text, ready to be saved or put into a page.

        prefix: what every id begins with; give each copy on one page its own. css: without it the
        light colours are plain attributes, for programs that do not know CSS.
        """
        return _finished(self, self._drawn, prefix or self.prefix, css)

    @cached_property
    def _drawn(self) -> str:
        return layout(self.dot, engine="neato", no_layout=True)

    def save(self, path: str | Path) -> Path:
        """Write the figure; the ending says how: .svg, .png, .pdf, .dot or .tex (TikZ)."""
        path = Path(path)
        ending = path.suffix.lower()
        if ending not in ENDINGS:
            raise FigureError(
                f"cannot save a figure as {path.name!r}: its ending must be one of "
                f"{', '.join(ENDINGS)}."
            )
        if ending == ".dot":
            data = self.dot.encode()
        elif ending == ".tex":
            data = tikz.document(self.tikz).encode()
        elif ending == ".svg":
            data = ('<?xml version="1.0" encoding="UTF-8"?>\n' + self.svg()).encode()
        elif ending == ".png":
            data = self.png()
        else:
            data = svg_to_pdf(self.svg(css=False))
        try:
            path.write_bytes(data)
        except OSError as error:
            raise FigureError(
                f"cannot write {path}: {error.strerror or error}.\n"
                f"  Choose a folder that exists and that you may write to."
            ) from error
        return path

    def png(self, scale: float = 2.0) -> bytes:
        """The figure as PNG on white, `scale` pixels a CSS pixel."""
        return svg_to_png(self.svg(css=False), scale, COLOURS["ground"][0])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        own = f"{self.prefix}-{next(_shown)}"  # notebooks put many figures into one page
        return {"image/svg+xml": self.svg(own), "text/plain": self.alt}

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        width, height = (round(side * 4 / 3) for side in self.size)  # points to CSS pixels
        return self.png(), {"width": width, "height": height}

    def __repr__(self) -> str:
        return f"<figure {self.name!r}: {self.title}>"


def _finished(figure: Figure, drawn: str, prefix: str, css: bool) -> str:
    """Graphviz's SVG with our view box, ids, glyphs, colours and alternative text."""
    scene = figure.scene
    shapes = {shape.id: shape for shape in scene.shapes}
    titles = {wire.id: wire.title for wire in scene.wires}
    labels: dict[tuple[str, float], tuple[str, Glyphs]] = {}
    left, top, right, bottom = scene.bounds()
    width, height = right - left, bottom - top

    body = []
    for group in ET.fromstring(drawn).iter(f"{_SVG}g"):
        own = group.get("id", "")
        names = group.get("class", "").split()
        if "graph" in names or not names:
            continue
        shape = shapes.get(own)
        if shape is None and own not in titles:
            continue  # an invisible junction
        said = shape.title if shape else titles[own]
        parts = [f"<title>{escape(said)}</title>"] if said else []
        if shape and shape.kind not in ("label", "caption"):
            parts.append(_outline(shape, group, css))
        elif not shape:
            parts += [_plain(element) for element in group if _drawable(element)]
        if shape and (found := shape.glyphs()):
            key = (shape.latex, shape.size)
            label_id, ink = labels.setdefault(key, (f"{prefix}-m{len(labels)}", found))
            x = shape.x - ink.x - ink.width / 2
            y = shape.y - ink.y - ink.height / 2
            role = "quiet" if shape.kind == "caption" else "ink"
            if shape.kind == "label":
                role = next((c for c in shape.classes if c in STATES), role)
            colour = COLOURS[role][0]
            paint = "" if css else f' fill="{colour}"'
            parts.append(
                f'<use class="glyph" href="#{label_id}" x="{number(x)}" y="{number(y)}"{paint}/>'
            )
        dim = f' opacity="{DIM}"' if "dim" in names and not css else ""
        body.append(
            f"<g id={quoteattr(f'{prefix}-{own}')} class={quoteattr(' '.join(names))}{dim}>"
            + "".join(parts)
            + "</g>"
        )
    definitions = "".join(f'<g id="{i}">{ink.content}</g>' for i, ink in labels.values())
    style = f"<style>{stylesheet(s.kind for s in scene.shapes)}</style>" if css else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="viz" id="{prefix}" role="img" '
        f'aria-labelledby="{prefix}-title {prefix}-desc" '
        f'width="{number(width)}pt" height="{number(height)}pt" '
        f'viewBox="{number(left)} {number(top)} {number(width)} {number(height)}">\n'
        f'<title id="{prefix}-title">{escape(figure.title)}</title>\n'
        f'<desc id="{prefix}-desc">{escape(figure.alt)}</desc>\n'
        f"{style}<defs>{definitions}</defs>\n" + "\n".join(body) + "\n</svg>\n"
    )


def _outline(shape: Shape, group: ET.Element, css: bool) -> str:
    """A box with the scene's own corners, painted as Graphviz painted its box; circles as drawn."""
    for element in group.iter():
        if not _drawable(element):
            continue
        if element.tag == f"{_SVG}ellipse":
            return _plain(element, "shape")
        paint = {k: element.get(k, "") for k in ("fill", "stroke", "stroke-width")}
        if paint["stroke"] in ("transparent", ""):
            paint["stroke"] = "none"
        left, top, _, _ = shape.box
        numbers = {
            "x": left,
            "y": top,
            "width": shape.width,
            "height": shape.height,
            "rx": shape.corner,
        }
        return (
            '<rect class="shape"'
            + "".join(f' {k}="{number(v)}"' for k, v in numbers.items())
            + "".join(f' {k}="{v}"' for k, v in paint.items() if v)
            + "/>"
        )
    return ""


def _drawable(element: ET.Element) -> bool:
    return element.tag in {f"{_SVG}{kind}" for kind in ("path", "polygon", "ellipse", "polyline")}


def _plain(element: ET.Element, name: str = "") -> str:
    """The element without Graphviz's opacity attributes: dimming is the group's business."""
    kept = {k: v for k, v in element.attrib.items() if not k.endswith("-opacity")}
    if name:
        kept["class"] = name
    attributes = "".join(f" {k}={quoteattr(v)}" for k, v in kept.items())
    return f"<{element.tag.removeprefix(_SVG)}{attributes}/>"
