"""What stands in a cell's figure however it is laid out: boxes, circles, terminals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from tinygrad_lstm.sizes import Size
from tinygrad_lstm.text import LATEX, UNICODE
from viz.anatomy import Anatomy, Part
from viz.glyphs import glyphs
from viz.scene import Shape, prefixed
from viz.symbols import Written, named

LAYER = (46.0, 30.0)
CIRCLE = 28.0
TERMINAL = 36.0
SYMBOL = 15.0
LABEL = 17.0
BEHIND = 3.0  # how far the shapes behind one another of what is computed at every place show
OUTSIDE = 30.0  # how far lines reach beyond the body
BETWEEN = 40.0  # between the bodies of neighbours


@dataclass(frozen=True)
class Names:
    """How a figure's borders are labelled: the time of this copy, and which labels it bears."""

    time: str = "t"
    left: bool = True  # states come from outside, with a label; otherwise from a neighbour
    right: bool = True  # states leave to a label; otherwise into a neighbour
    outer: bool = True  # labels stand where states enter and leave


def part_size(part: Part) -> tuple[float, float]:
    """Width and height of a part's shape; words make it wider."""
    ink = glyphs(part.sign.latex, SYMBOL)
    if part.kind == "layer":
        return max(LAYER[0], ink.width + 16), LAYER[1]
    return max(CIRCLE, ink.width + 12 if ink.width > CIRCLE - 7 else 0), CIRCLE


def part_shape(a: Anatomy, part: Part, x: float = 0.0, y: float = 0.0) -> Shape:
    """The box or circle of a part."""
    classes = (
        *prefixed([part.equation], "eq"),
        *prefixed(part.names, "val"),
        *prefixed([part.key], "part"),
    )
    return Shape(
        f"part-{part.key}",
        part.kind,
        x,
        y,
        *part_size(part),
        *part.sign[:2],
        SYMBOL,
        round=part.kind == "op",
        classes=classes,
        title=a.title(part),
    )


def part_shapes(a: Anatomy, part: Part, x: float, y: float) -> list[Shape]:
    """The box or circle of a part; what is computed at every place of an axis has others behind."""
    front = part_shape(a, part, x, y)
    if not part.lengths:
        return [front]
    blank = replace(front, latex="", text="", title="")
    behind = [
        replace(blank, id=f"behind-{k}-{part.key}", x=x + k * BEHIND, y=y - k * BEHIND)
        for k in (2, 1)
    ]
    return [*behind, front]


def times(lengths: Iterable[int]) -> Written:
    """How often something is computed: × length."""
    words = [n.words if isinstance(n, Size) else str(n) for n in lengths]
    latex = r"\times ".join(LATEX.length(w) for w in words)
    return Written(rf"{{\times}}\,{latex}", f"× {' × '.join(map(UNICODE.length, words))}")


def terminal(own: str, name: str, time: str | None, x: float, y: float) -> Shape:
    """The circle of an input or output."""
    what = named(name, time)
    size = LABEL if glyphs(what.latex, LABEL).width < TERMINAL * 0.7 else LABEL - 3.5
    width = max(TERMINAL, glyphs(what.latex, size).width + 14)
    classes = prefixed([name], "val")
    return Shape(
        own, "terminal", x, y, width, TERMINAL, *what[:2], size, round=True, classes=classes
    )
