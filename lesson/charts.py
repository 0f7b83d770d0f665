"""Line charts for the page, as SVG that takes its colours from the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

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

    parts = []
    rows = round((y_high - y_low) / y_step)
    for k in range(rows + 1):
        level = y_low + k * y_step
        _, y = place(x_low, 10**level if log else level)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        if k % (1 + rows // 9) == 0:
            label = _power(round(level)) if log else f"{level:g}"
            parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    x_step = _step(x_high - x_low, 6)
    for k in range(math.ceil(x_low / x_step), math.floor(x_high / x_step) + 1):
        x, _ = place(k * x_step, 10**y_low if log else y_low)
        label = f"{k * x_step:g}"
        parts.append(
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{label}</text>'
        )
    parts += _texts(
        x_label, f'x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle"', "axis"
    )
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts += _texts(
        y_label, f'transform="translate(14 {middle}) rotate(-90)" text-anchor="middle"', "axis"
    )
    ends = _apart([place(*curve.points[-1])[1] for curve in curves], 16, HEIGHT - BOTTOM - 4)
    for curve, end in zip(curves, ends, strict=True):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*p) for p in curve.points))
        parts.append(f'<polyline class="curve {curve.style}" points="{path}"/>')
        parts += _texts(curve.name, f'x="{WIDTH - RIGHT + 8}" y="{end + 4:.1f}"', curve.style)
    return Markup(
        f'<svg class="chart" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" '
        f'aria-labelledby="{caption}">' + "".join(parts) + "</svg>"
    )


def _texts(words: Words, place: str, style: str) -> list[str]:
    """A label, in each language where it is not the same in all."""
    if isinstance(words, str):
        return [f'<text {place} class="{style}">{escape(words)}</text>']
    return [
        f'<text {place} class="say {style}" lang="{language}">{escape(label)}</text>'
        for language, label in words.items()
    ]


def _step(span: float, wanted: int) -> float:
    """A round distance between ticks: 1, 2 or 5 times a power of ten."""
    raw = (span or 1) / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    return next(power * k for k in (1, 2, 5, 10) if power * k >= raw * 0.999)


def _power(exponent: int) -> str:
    if exponent == 0:
        return "1"
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


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
