"""Line charts for the page, as SVG that takes its colours from the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from lesson.numbers import raised
from lesson.page import render

WIDTH, HEIGHT = 640.0, 300.0
Words = str | Mapping[str, str]
LEFT, RIGHT, TOP, BOTTOM = 72.0, 118.0, 16.0, 46.0


@dataclass(frozen=True)
class Curve:
    """A named line through points (x, y); `style` is its class in the page's CSS.

    The name is one for all languages, or a mapping from language to name.
    """

    name: Words
    points: Sequence[tuple[float, float]]
    style: str


def chart(
    curves: Sequence[Curve], x_label: Words, y_label: Words, caption: str, log: bool = False
) -> Markup:
    """Curves on common axes; `log` counts y in powers of ten. Each curve is named at its end.

    caption: the id of the element that names the chart.
    """
    points = [p for curve in curves for p in curve.points]
    xs = [x for x, _ in points]
    ys = [math.log10(y) if log else y for _, y in points]
    x_low, x_high = min(xs), max(xs)
    y_step = 1.0 if log else _step(max(ys) - min(ys), 5)
    y_low = math.floor(min(ys) / y_step) * y_step
    y_high = math.ceil(max(ys) / y_step) * y_step

    def place(x: float, y: float) -> tuple[float, float]:
        level = math.log10(y) if log else y
        across = (x - x_low) / ((x_high - x_low) or 1)
        up = (level - y_low) / ((y_high - y_low) or 1)
        return (
            LEFT + across * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM),
        )

    rows = round((y_high - y_low) / y_step)
    levels = []
    for k in range(rows + 1):
        level = y_low + k * y_step
        label = _power(round(level)) if log else f"{level:g}"
        y = place(x_low, 10**level if log else level)[1]
        levels.append((y, label if k % (1 + rows // 9) == 0 else ""))
    x_step = _step(x_high - x_low, 6)
    marks = range(math.ceil(x_low / x_step), math.floor(x_high / x_step) + 1)
    lines = [[place(*point) for point in curve.points] for curve in curves]
    ends = _apart([line[-1][1] for line in lines], 16, HEIGHT - BOTTOM - 4)
    return render(
        "lesson.page",
        "chart.html",
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH - RIGHT,
        top=TOP,
        bottom=HEIGHT - BOTTOM,
        caption=caption,
        levels=levels,
        ticks=[(place(k * x_step, points[0][1])[0], f"{k * x_step:g}") for k in marks],
        x_label=x_label,
        y_label=y_label,
        curves=list(zip(curves, lines, ends, strict=True)),
    )


def _step(span: float, wanted: int) -> float:
    """A round distance between ticks: 1, 2 or 5 times a power of ten."""
    raw = (span or 1) / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    return next(power * k for k in (1, 2, 5, 10) if power * k >= raw * 0.999)


def _power(exponent: int) -> str:
    return f"10{raised(exponent)}" if exponent else "1"


def _apart(heights: list[float], gap: float, lowest: float) -> list[float]:
    """Heights moved down where they would come closer than `gap`, then up from what is too low."""
    placed = list(heights)
    order = sorted(range(len(heights)), key=lambda k: heights[k])
    last = -math.inf
    for k in order:
        placed[k] = last = max(heights[k], last + gap)
    last = lowest + gap
    for k in reversed(order):
        placed[k] = last = min(placed[k], last - gap)
    return placed
