"""Helpers for notebooks: the stepper in a frame, charts, strips of values along a text, tables.

    from lesson import notebook
    notebook.stepper(step_through(loss))

What is returned shows itself at the end of a cell. Pictures are SVG, with a PNG for viewers that
do not trust SVG; they bring a light ground along, and contain no id and no script.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from markupsafe import Markup

import equations
from lesson import charts
from lesson.measurements import Line
from lesson.page import asset, render
from lesson.parts import stepper as stepper_part
from tinygrad_lstm import notebook_html
from tinygrad_lstm.errors import DataError, UnknownNameError
from tinygrad_lstm.notation import visible
from tinygrad_lstm.step import Cell
from tinygrad_lstm.stepper.trace import Trace
from viz.rendering import svg_to_png

_MOST = 6  # curves that the style tells apart


@dataclass(frozen=True)
class Picture:
    """An SVG picture of `size` CSS pixels, and all that it shows as text."""

    svg: str
    text: str
    size: tuple[int, int]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"image/svg+xml": self.svg, "text/plain": self.text}

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        width, height = self.size
        return svg_to_png(self.svg), {"width": width, "height": height}


@dataclass(frozen=True)
class Frame:
    """A trace in a stepper, in a frame of its own, and below it the same trace as a table."""

    trace: Trace
    cell: Cell | None
    language: str
    height: int

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        listed = self.trace._repr_mimebundle_()
        page = stepper_part.document(self.trace, self.language, self.cell)
        html = render(
            "lesson.page",
            "frame.html",
            page=Markup(escape(str(page))),
            title=Markup(escape(repr(self.trace))),
            table=Markup(listed["text/html"]),
            height=self.height,
        )
        return notebook_html.bundle(listed["text/plain"], str(html))


@dataclass(frozen=True)
class Table:
    """Rows of text and numbers."""

    rows: Sequence[Sequence[object]]
    header: Sequence[str]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return notebook_html.bundle(str(self), notebook_html.table(self.rows, self.header))

    def __str__(self) -> str:
        return _aligned([self.header, *self.rows])


def stepper(
    trace: Trace, cell: Cell | None = None, language: str = "en", height: int = 1000
) -> Frame:
    """A trace as a stepper: forward and back, breakpoints, watches, predictions.

    cell: whose run it is, to see where one is in its figure. height: of the frame, in CSS pixels.
    The frame has no access to the notebook. Where frames are not shown, as in GitHub's view, the
    table of events below it remains.
    """
    return Frame(trace, cell, language, height)


def table(rows: Sequence[Sequence[object]], header: Sequence[str]) -> Table:
    """A table; what is in it is shown as `str` writes it."""
    return Table(rows, header)


def chart(
    curves: Mapping[str, Sequence[tuple[float, float]]], x: str, y: str, log: bool = False
) -> Picture:
    """Named curves through points (x, y); x, y: what the axes show; log: y by powers of ten."""
    if not 0 < len(curves) <= _MOST:
        raise DataError(f"a chart shows 1 to {_MOST} curves, got {len(curves)}.")
    drawn = charts.chart(
        [charts.Curve(name, at, f"c{k}") for k, (name, at) in enumerate(curves.items())],
        x,
        y,
        "",
        log=log,
    )
    inside = Markup(str(drawn).split(">", 1)[1].strip().removesuffix("</svg>"))
    lines = [f"{y}, by {x}"]
    lines += [f"{name}: {', '.join(_point(*at) for at in _some(curves[name]))}" for name in curves]
    return _picture(inside, "\n".join(lines), charts.WIDTH, charts.HEIGHT)


def strip(line: Line, names: Sequence[str], unit: int) -> Picture:
    """One unit's values along a line of text: a row for each named equation, a bar a character.

    A bar's height is its share of the row's largest value, or of 1; below the row's line it hangs
    for negative values. unit: counted from 0.
    """
    for name in names:
        if name not in line.values:
            raise UnknownNameError(
                f"there are no values of {name!r}; there are {', '.join(line.values)}."
            )
    letters = list(visible(line.text))
    rows = {equations.name_unicode(n, None): line.values[n][:, unit] for n in names}
    left, wide, high = 56, 15, 58
    size = left + wide * len(letters) + 12, high * len(rows) + 34
    drawn = []
    for r, (name, values) in enumerate(rows.items()):
        scale = max(1.0, float(np.max(np.abs(values))))
        whole = float(np.min(values)) >= 0
        zero, most = (high * (r + 1), 46) if whole else (high * (r + 0.5) + 4, 23)
        span = f"0…{scale:.2g}" if whole else f"±{scale:.2g}"
        bars = (values / scale * most).tolist()
        drawn.append({"name": name, "span": span, "zero": zero, "bars": bars})
    numbers = [[name, *(f"{round(v, 1) + 0.0:g}" for v in values)] for name, values in rows.items()]
    text = f"unit {unit + 1}, along the text\n" + _aligned([["", *letters], *numbers])
    sizes = {"left": left, "wide": wide, "width": size[0], "height": size[1]}
    return _picture(
        render("lesson.page", "strip.html", letters=letters, rows=drawn, **sizes), text, *size
    )


def _picture(inside: Markup, text: str, width: float, height: float) -> Picture:
    label, style = text.splitlines()[0], asset("lesson.page", "notebook.css")
    about = {"label": label, "style": style, "inside": inside, "width": width, "height": height}
    svg = str(render("lesson.page", "picture.html", **about)).strip()
    return Picture(svg, text, (round(width), round(height)))


def _some(points: Sequence[tuple[float, float]], most: int = 8) -> list[tuple[float, float]]:
    """The first and the last point, and a few between them."""
    places = np.linspace(0, len(points) - 1, min(most, len(points))).round().astype(int)
    return [points[k] for k in places]


def _point(x: float, y: float) -> str:
    return f"{x:g} → {y:.2g}"


def _aligned(rows: Sequence[Sequence[object]]) -> str:
    texts = [[str(entry) for entry in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    lines = ["  ".join(t.ljust(w) for t, w in zip(row, widths, strict=True)) for row in texts]
    return "\n".join(line.rstrip() for line in lines)
