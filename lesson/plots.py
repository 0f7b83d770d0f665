"""Plots of results as SVG that stands alone: strips of dots, dots over a number, bars, curves.

Each says in words what it shows (`<title>`, `<desc>`), from the numbers that are drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from statistics import median

Points = Sequence[tuple[float, float]]
COLOURS = ("#0072b2", "#d55e00", "#00806a", "#7e3f98", "#222222", "#3f9bd8", "#a07400", "#c2588f")
WIDTH, LEFT, RIGHT, TOP, BOTTOM, ROW = 680.0, 150.0, 24.0, 30.0, 52.0, 26.0
_STYLE = (
    "text{font:13px sans-serif;fill:#222}.axis{stroke:#888;stroke-width:1}"
    ".grid{stroke:#ddd;stroke-width:1}.name{font-weight:600}"
)


def strips(groups: Mapping[str, Sequence[float]], title: str, label: str, log: bool = False) -> str:
    """A row of dots for each group, with a line at its median: how its values are spread."""
    finite = {name: [v for v in vs if math.isfinite(v)] for name, vs in groups.items()}
    axis = _Axis([v for vs in finite.values() for v in vs], LEFT, WIDTH - RIGHT, log)
    height = TOP + ROW * len(groups) + BOTTOM
    parts = axis.across(TOP, height - BOTTOM, label)
    said = []
    for k, (name, values) in enumerate(groups.items()):
        y = TOP + ROW * (k + 0.5)
        colour = COLOURS[k % len(COLOURS)]
        parts.append(_text(LEFT - 10, y + 4, name, "end", "name"))
        for j, v in enumerate(finite[name]):
            shift = (j * 0.618034 % 1 - 0.5) * ROW * 0.55  # so that equal ones are seen apart
            parts.append(
                f'<circle cx="{axis(v):.1f}" cy="{y + shift:.1f}" r="3" fill="{colour}" '
                f'fill-opacity="0.6"/>'
            )
        if finite[name]:
            middle = axis(median(finite[name]))
            parts.append(
                f'<line x1="{middle:.1f}" x2="{middle:.1f}" y1="{y - ROW * 0.42:.1f}" '
                f'y2="{y + ROW * 0.42:.1f}" stroke="{colour}" stroke-width="3"/>'
            )
            lost = len(values) - len(finite[name])
            said.append(
                f"{name}: {len(values)} values, best {min(finite[name]):.3g}, median "
                f"{median(finite[name]):.3g}" + (f", {lost} not finite" if lost else "")
            )
        else:
            said.append(f"{name}: no finite value")
    return _svg(title, f"{label}. " + "; ".join(said) + ".", height, parts)


def scatter(
    groups: Mapping[str, Points], title: str, x_label: str, y_label: str, *, x_log: bool = False,
    y_log: bool = False,
) -> str:  # fmt: skip
    """A dot for each pair of numbers, in a colour for each group."""
    points = [(x, y) for ps in groups.values() for x, y in ps if math.isfinite(x + y)]
    height = 340.0
    left = 70.0
    across = _Axis([x for x, _ in points], left, WIDTH - 160, x_log)
    up = _Axis([y for _, y in points], height - BOTTOM, TOP, y_log)
    parts = across.across(TOP, height - BOTTOM, x_label) + up.upward(left, WIDTH - 160, y_label)
    for k, (name, ps) in enumerate(groups.items()):
        colour = COLOURS[k % len(COLOURS)]
        for x, y in ps:
            if math.isfinite(x + y):
                parts.append(
                    f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="3.2" fill="{colour}" '
                    f'fill-opacity="0.65"/>'
                )
        parts.append(f'<circle cx="{WIDTH - 145}" cy="{TOP + 18 * k + 6}" r="4" fill="{colour}"/>')
        parts.append(_text(WIDTH - 134, TOP + 18 * k + 10, name, "start"))
    said = f"{len(points)} dots: {y_label} over {x_label}"
    if points:
        x, y = min(points, key=lambda p: p[1])
        said += f"; the lowest is {y:.3g} at {x:.3g}"
    return _svg(title, said + ".", height, parts)


def curves(
    groups: Mapping[str, Points], title: str, x_label: str, y_label: str, *, x_log: bool = False,
    y_log: bool = False,
) -> str:  # fmt: skip
    """A line through the points of each group, named at its side."""
    points = [(x, y) for ps in groups.values() for x, y in ps if math.isfinite(x + y)]
    height, left, right = 340.0, 70.0, WIDTH - 160
    across = _Axis([x for x, _ in points], left, right, x_log)
    up = _Axis([y for _, y in points], height - BOTTOM, TOP, y_log)
    parts = across.across(TOP, height - BOTTOM, x_label) + up.upward(left, right, y_label)
    said = []
    dashes = ("", "7 3", "2 3", "9 3 2 3")
    for k, (name, ps) in enumerate(groups.items()):
        finite = [(x, y) for x, y in ps if math.isfinite(x + y) and (y > 0 or not y_log)]
        colour, dash = COLOURS[k % len(COLOURS)], dashes[k // 4 % len(dashes)]
        line = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in finite)
        look = f'stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"'
        parts.append(f'<polyline points="{line}" fill="none" {look}/>')
        y0 = TOP + 18 * k + 6
        parts.append(f'<line x1="{right + 10}" x2="{right + 32}" y1="{y0}" y2="{y0}" {look}/>')
        parts.append(_text(right + 38, y0 + 4, name, "start"))
        if finite:
            (x1, y1), (x2, y2) = finite[0], finite[-1]
            said.append(f"{name} goes from {y1:.3g} at {x1:.3g} to {y2:.3g} at {x2:.3g}")
    return _svg(title, f"{y_label} over {x_label}. " + "; ".join(said) + ".", height, parts)


def bars(values: Mapping[str, float], title: str, label: str, digits: int = 2) -> str:
    """A bar for each value, from the largest down."""
    ordered = sorted(values.items(), key=lambda item: -item[1])
    height = TOP + ROW * len(ordered) + BOTTOM
    axis = _Axis([0.0, *values.values()], LEFT, WIDTH - 90, False)
    parts = axis.across(TOP, height - BOTTOM, label)
    for k, (name, value) in enumerate(ordered):
        y = TOP + ROW * k
        parts.append(_text(LEFT - 10, y + 17, name, "end", "name"))
        parts.append(
            f'<rect x="{axis(0.0):.1f}" y="{y + 5:.1f}" width="{axis(value) - axis(0.0):.1f}" '
            f'height="{ROW - 10}" fill="{COLOURS[0]}"/>'
        )
        parts.append(_text(axis(value) + 6, y + 17, f"{value:.{digits}f}", "start"))
    said = "; ".join(f"{name} {value:.{digits}f}" for name, value in ordered)
    return _svg(title, f"{label}: {said}.", height, parts)


class _Axis:
    """Numbers as places: linear, or by their logarithm where all are above 0."""

    def __init__(self, values: Sequence[float], low: float, high: float, log: bool) -> None:
        self.log = log and all(v > 0 for v in values) and bool(values)
        levels = [self._level(v) for v in values] or [0.0]
        self.least, self.most = min(levels), max(levels)
        if self.least == self.most:
            self.least, self.most = self.least - 0.5, self.most + 0.5
        self.low, self.high = low, high

    def _level(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def __call__(self, value: float) -> float:
        share = (self._level(value) - self.least) / (self.most - self.least)
        return self.low + share * (self.high - self.low)

    def ticks(self) -> list[float]:
        """Round numbers within the axis."""
        if self.log:
            whole = range(math.ceil(self.least - 1e-9), math.floor(self.most + 1e-9) + 1)
            step = 1 + len(whole) // 8
            powers = [10.0**k for k in whole if k % step == 0]
            if len(powers) > 1:
                return powers
            between = (self.least + (self.most - self.least) * k / 3 for k in range(4))
            return [10**v for v in between]
        raw = (self.most - self.least) / 6
        power = 10.0 ** math.floor(math.log10(raw))
        step_ = next(power * k for k in (1, 2, 5, 10) if power * k >= raw * 0.999)
        first = math.ceil(self.least / step_ - 1e-9)
        last = math.floor(self.most / step_ + 1e-9)
        return [k * step_ for k in range(first, last + 1)]

    def across(self, top: float, bottom: float, label: str) -> list[str]:
        """The axis below the picture."""
        parts = []
        for tick in self.ticks():
            x = self(tick)
            parts.append(
                f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom:.1f}"/>'
            )
            parts.append(_text(x, bottom + 18, _number(tick), "middle"))
        middle = (self.low + self.high) / 2
        return [*parts, _text(middle, bottom + 40, label, "middle")]

    def upward(self, left: float, right: float, label: str) -> list[str]:
        """The axis at the left of the picture."""
        parts = []
        for tick in self.ticks():
            y = self(tick)
            parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(_text(left - 8, y + 4, _number(tick), "end"))
        return [*parts, _text(8, TOP - 12, label, "start")]


def _number(value: float) -> str:
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def _text(x: float, y: float, words: str, anchor: str, kind: str = "") -> str:
    own = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{own}>{escape(words)}</text>'


def _svg(title: str, said: str, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {height:g}" '
        f'width="{WIDTH:g}" height="{height:g}" role="img">'
        f"<title>{escape(title)}</title><desc>{escape(said)}</desc><style>{_STYLE}</style>"
        f'<rect width="100%" height="100%" fill="#fff"/>' + "".join(parts) + "</svg>\n"
    )
