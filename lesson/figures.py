"""Figures as they stand in the page: drawn once, kept by content, marked and turned around."""

from __future__ import annotations

import contextlib
import hashlib
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from markupsafe import Markup

import viz
from equations import name_latex, name_unicode
from equations.wording import Said, joined
from tinygrad_lstm.atomic import replace_whole
from viz import Figure
from viz.figures.legend import MEANINGS
from viz.palette import SHAPES, stylesheet
from viz.scene import Scene, Shape, Wire

_SVG = "{http://www.w3.org/2000/svg}"
_OUT = [_SVG + name for name in ("title", "desc", "style", "defs")]  # the page has them elsewhere
ET.register_namespace("", _SVG[1:-1])
_BACKWARD = (
    "Backwards: highlighted lines lead from right to left, a bar over a name means the gradient "
    "at it."
)
_PREFIX = "figure-prefix"


@dataclass(frozen=True)
class Embedded:
    """A figure in the page: its SVG, named by the caption `caption-NAME`, and its text version."""

    name: str
    svg: Markup
    alt: str


class Drawer:
    """Draws figures for a page; with a folder, what was drawn before is read from there.

    Figures share their glyphs, which make up most of their size: `glyphs()` is the SVG that holds
    them, to be put into the page once. Their colours are `colours()`. `figures` are those drawn so
    far, by the name of their place.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.figures: dict[str, Figure] = {}
        self._glyphs: dict[str, ET.Element] = {}

    def __call__(self, name: str, figure: Figure) -> Embedded:
        """A figure for the place `name`, which its ids begin with."""
        self.figures[name] = figure
        svg = ET.fromstring(self._drawn(figure).replace(_PREFIX, name))
        svg.set("aria-labelledby", f"caption-{name}")
        glyphs = svg.findall(f"{_SVG}defs/*")
        keys = {f"#{glyph.attrib['id']}": self._kept(glyph) for glyph in glyphs}
        for part in [part for part in svg if part.tag in _OUT]:
            svg.remove(part)
        for mark in svg.iter():
            for paint in ("fill", "stroke"):  # the page's style sheet has the colours
                if mark.get(paint, "").startswith("#"):
                    del mark.attrib[paint]
            if mark.tag == f"{_SVG}use":
                mark.set("href", keys[mark.attrib["href"]])
        return Embedded(name, Markup(ET.tostring(svg, encoding="unicode")), figure.alt)

    def glyphs(self) -> Markup:
        """The glyphs of all figures drawn so far."""
        hidden = {"class": "glyphs", "width": "0", "height": "0", "aria-hidden": "true"}
        svg = ET.Element(f"{_SVG}svg", hidden)
        svg.extend(self._glyphs.values())
        return Markup(ET.tostring(svg, encoding="unicode"))

    def _kept(self, glyph: ET.Element) -> str:
        """The reference to a glyph, which the page has once."""
        ink = b"".join(map(ET.tostring, glyph))
        key = f"glyph-{hashlib.sha256(ink).hexdigest()[:10]}"
        glyph.set("id", key)
        self._glyphs.setdefault(key, glyph)
        return f"#{key}"

    def _drawn(self, figure: Figure) -> str:
        kept = None
        if self.folder:
            content = f"{_version()}\n{figure.title}\n{figure.alt}\n{figure.dot}"
            kept = self.folder / f"{hashlib.sha256(content.encode()).hexdigest()[:32]}.svg"
            if kept.is_file():
                return kept.read_text(encoding="utf-8")
        svg = figure.svg(prefix=_PREFIX)
        if kept:
            with contextlib.suppress(OSError):  # then it is drawn again the next time
                kept.parent.mkdir(parents=True, exist_ok=True)
                with replace_whole(kept) as file:  # another build sees all of a figure or nothing
                    file.write(svg.encode())
        return svg


@lru_cache(maxsize=1)
def _version() -> str:
    """What draws: a figure that was kept is drawn anew when this has changed."""
    files = sorted(Path(viz.__file__).parent.rglob("*.py"))
    text = b"".join(file.read_bytes() for file in files)
    return hashlib.sha256(text + Path(__file__).read_bytes()).hexdigest()


def colours() -> str:
    """The CSS of all figures."""
    return stylesheet(SHAPES)


def marked(
    figure: Figure, name: str, state: str, wanted: Callable[[str], bool], told: str
) -> Figure:
    """The figure with a state such as "forward" on the shapes and lines of wanted ids.

    told: says in the alternative text what is marked.
    """
    scene = figure.scene.marked(state, lambda part: wanted(part.id))
    alt = joined([figure.alt, told])
    return replace(figure, name=f"{figure.name}-{name}", alt=alt, scene=scene)


def without_key(figure: Figure) -> Figure:
    """A graph without the key to its cards, which a caption tells."""
    shapes = [shape for shape in figure.scene.shapes if shape.id != "key"]
    return replace(figure, scene=Scene(shapes, figure.scene.wires))


def signs() -> list[Figure]:
    """The signs of the legend, each a figure of its own whose `alt` says what it means."""
    whole = viz.legend().scene
    found = []
    for key, _, meaning in MEANINGS:
        shapes = [s for s in whole.shapes if s.id == f"sign-{key}"]
        wires = [w for w in whole.wires if w.id.startswith(f"line-{key}")]
        found.append(Figure(f"sign-{key}", key, Said(meaning), Scene(shapes, wires)))
    return found


def backward(figure: Figure, names: Iterable[str]) -> Figure:
    """A cell's focused figure, turned around: arrows lead back, and its names have bars.

    names: of the cell's equations and inputs. What is dimmed stays as it is.
    """
    bars = {f"label-{n}": n for n in names} | {f"in-{n}": n for n in names}
    for shape in figure.scene.shapes:
        if shape.id == "out-output" and shape.classes:
            bars[shape.id] = shape.classes[0].removeprefix("val-")
    scene = Scene(
        [_barred(s, bars.get(s.id, "")) for s in figure.scene.shapes],
        [w if w.dim else _turned(w) for w in figure.scene.wires],
    )
    alt = joined([Said(_BACKWARD), figure.alt])
    return replace(figure, name=f"{figure.name}-backward", alt=alt, scene=scene)


def _barred(shape: Shape, name: str) -> Shape:
    if shape.dim or not name:
        mine = not shape.dim and shape.kind in ("layer", "op")
        return replace(shape, classes=(*shape.classes, "backward")) if mine else shape
    latex, text = name_latex(f"bar.{name}"), name_unicode(f"bar.{name}")
    return replace(shape, latex=latex, text=text, classes=(*shape.classes, "backward"))


def _turned(wire: Wire) -> Wire:
    """A line from its end to its start, with an arrow where the value came from."""
    inside = wire.tail.startswith("j-") and not wire.tail.endswith("-0")
    starts = not inside and "-cut" not in wire.tail and not wire.net.startswith("bus:")
    return replace(wire.turned(starts), classes=(*wire.classes, "backward"))
