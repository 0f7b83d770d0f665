"""A finished figure: its DOT text, its SVG, files, notebook display and alternative text."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import graphviz

from tinygrad_lstm.errors import TinygradError
from viz import dot, svg, tikz
from viz.palette import COLOURS
from viz.rendering import RendererError, render, svg_to_pdf, svg_to_png
from viz.scene import Scene

ENDINGS = (".svg", ".png", ".pdf", ".dot", ".tex")
_shown = itertools.count(1)  # figures that a notebook has displayed


class FigureError(TinygradError, ValueError):
    """A figure that cannot be drawn or saved as asked."""


@dataclass(frozen=True)
class Figure:
    """A picture of a cell, a network or a computation.

    `name` is its title, `alt` says in sentences what it shows, `graph` is a `graphviz.Digraph` that
    keeps every coordinate: to be edited, combined and rendered as any other; `dot` is its source.
    `svg()` is what Graphviz draws of it, with formulas as glyphs, colours as CSS custom properties
    (`--viz-layer` and so on, light and dark) and a `class` and `id` on every node and edge.
    Notebooks show it, each time with ids of its own, or a PNG of it where SVG is not trusted.
    """

    name: str
    title: str
    alt: str
    scene: Scene

    @cached_property
    def prefix(self) -> str:
        """What the ids in the SVG begin with unless told."""
        return re.sub(r"[^A-Za-z0-9]+", "-", self.name).strip("-") or "figure"

    @property
    def graph(self) -> graphviz.Digraph:
        """The figure for Graphviz, a new object each time."""
        return dot.digraph(self.name, self.scene, self.title)

    @cached_property
    def dot(self) -> str:
        """The figure as DOT text."""
        return str(self.graph.source)

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
        words = self.title, self.alt
        return svg.finished(self.scene, self._rendered, prefix or self.prefix, words, css)

    @cached_property
    def _rendered(self) -> str:
        return render(self.dot)

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

    def _repr_png_(self) -> tuple[bytes, dict[str, int]] | None:
        width, height = (round(side * 4 / 3) for side in self.size)  # points to CSS pixels
        try:
            return self.png(), {"width": width, "height": height}
        except RendererError:  # for want of a font or a package: the SVG stands beside it
            return None

    def __repr__(self) -> str:
        return f"<figure {self.name!r}: {self.title}>"
