"""Charts of a comparison, as SVG that takes its colours from the page and says what it shows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from markupsafe import Markup

from lesson.numbers import raised
from tinygrad_lstm.comparing import wilson

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 640.0, 72.0, 32.0, 12.0, 46.0
HEIGHT, ROW, COLOURS = 300.0, 34.0, 8
DASHES = ("", "8 4", "2 4", "10 4 2 4")


@dataclass(frozen=True)
class Share:
    """So many of some seeds of a cell."""

    name: str
    solved: int
    count: int


@dataclass(frozen=True)
class Line:
    """A curve of a cell: `kind` is its place among the cells; thin: that of one seed."""

    name: str
    points: Sequence[tuple[float, float]]
    kind: int
    thin: bool = False


def shares(rows: Sequence[Share]) -> Markup:
    """For each cell the share that solved the task, with its interval."""
    left = 24.0 + 10.0 * min(28, max(len(one.name) for one in rows))
    right, height = WIDTH - 92.0, TOP + ROW * len(rows) + BOTTOM
    parts, said = [], []

    def across(share: float) -> float:
        return left + share * (right - left)

    for k in range(5):
        x = across(k / 4)
        parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{TOP}" y2="{height - BOTTOM}"/>')
        parts.append(_text(x, height - BOTTOM + 18, f"{25 * k} %", "middle"))
    parts.append(_text((left + right) / 2, height - 6, "of seeds solve it", "middle"))
    for k, one in enumerate(rows):
        y, (low, high) = TOP + ROW * (k + 0.5), wilson(one.solved, one.count)
        colour = f"c{k % COLOURS}"
        parts.append(_text(left - 12, y + 5, _short(one.name), "end"))
        parts.append(
            f'<line class="bar {colour}" x1="{across(low):.1f}" x2="{across(high):.1f}" '
            f'y1="{y}" y2="{y}"/><circle class="dot {colour}" '
            f'cx="{across(one.solved / one.count):.1f}" '
            f'cy="{y}" r="6"/>'
        )
        parts.append(_text(right + 16, y + 5, f"{one.solved} of {one.count}", "start"))
        said.append(
            f"{one.name}: {one.solved} of {one.count} seeds, interval {100 * low:.0f} to "
            f"{100 * high:.0f} %"
        )
    return _svg(height, parts, "Share of seeds that solve the task. " + "; ".join(said) + ".")


def lines(
    curves: Sequence[Line],
    x_label: str,
    y_label: str,
    *,
    log: bool = False,
    level: float | None = None,
    mark: float | None = None,
) -> Markup:
    """Curves over one axis; log: y by powers of ten. level, mark: lines across and upright."""
    finite = [
        Line(c.name, p, c.kind, c.thin)
        for c in curves
        if (p := [(x, y) for x, y in c.points if math.isfinite(y) and (y > 0 or not log)])
    ]
    if not finite:
        return Markup("")
    every = [point for curve in finite for point in curve.points]
    xs, ys = [x for x, _ in every], [math.log10(y) if log else y for _, y in every]
    if level is not None:
        ys.append(level)
    bottom, top = min(0.0, *ys), max(ys) * 1.05 or 1.0
    if log:
        bottom, top = math.floor(min(ys)), max(math.ceil(max(ys)), math.floor(min(ys)) + 1)
    first, last = min(xs), max(max(xs), min(xs) + 1)
    names = list(dict.fromkeys((c.kind, c.name) for c in finite))
    columns = max(1, int((WIDTH - LEFT) // (40 + 8.2 * max(len(_short(n)) for _, n in names))))
    head = TOP + 24.0 * math.ceil(len(names) / columns) + 36
    right, low = WIDTH - RIGHT, head + HEIGHT - TOP - BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        at = math.log10(y) if log else y
        up = (at - bottom) / (top - bottom)
        return LEFT + (x - first) / (last - first) * (right - LEFT), low - up * (low - head)

    parts = []
    for value, words in _levels(bottom, top, log):
        y = place(first, 10**value if log else value)[1]
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(LEFT - 8, y + 5, words, "end"))
    for value, words in _levels(first, last, False):
        parts.append(_text(place(value, 1.0 if log else bottom)[0], low + 18, words, "middle"))
    parts.append(_text((LEFT + right) / 2, low + 38, x_label, "middle"))
    parts.append(_text(0, head - 14, y_label, "start"))
    if level is not None:
        y = place(first, level)[1]
        parts.append(f'<line class="level" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(right - 4, y - 5, "without learning", "end"))
    if mark is not None and first <= mark <= last:
        x = place(mark, 1.0 if log else bottom)[0]
        parts.append(f'<line class="level" x1="{x:.1f}" x2="{x:.1f}" y1="{head}" y2="{low:.1f}"/>')
        parts.append(_text(x + 5, head + 12, f"the lag, {mark:g}", "start"))
    for curve in finite:
        points = " ".join("{:.1f},{:.1f}".format(*place(*p)) for p in curve.points)
        own = f"curve {'thin ' if curve.thin else ''}c{curve.kind % COLOURS}"
        parts.append(f'<polyline class="{own}" {_dash(curve.kind)}points="{points}"/>')
    for place_, (kind, name) in enumerate(names):
        x = LEFT + (WIDTH - LEFT) / columns * (place_ % columns)
        y = TOP + 24.0 * (place_ // columns) + 6
        own = f'class="curve c{kind % COLOURS}" {_dash(kind)}'
        parts.append(f'<line {own}x1="{x}" x2="{x + 26}" y1="{y}" y2="{y}"/>')
        parts.append(_text(x + 32, y + 5, _short(name), "start"))
    told = "; ".join(_told(c.name, *c.points[0], *c.points[-1]) for c in finite if not c.thin)
    return _svg(low + BOTTOM, parts, f"{y_label} over {x_label}: {told}.")


def _levels(low: float, high: float, log: bool) -> list[tuple[float, str]]:
    """Round numbers within an axis, and how they are written."""
    if log:
        step = 1 + round(high - low) // 7
        powers = [k for k in range(round(low), round(high) + 1) if k % step == 0]
        return [(k, f"10{raised(k)}" if k else "1") for k in powers]
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step_ = next(power * k for k in (1, 2, 5, 10) if power * k >= raw * 0.999)
    count = range(math.ceil(low / step_ - 1e-9), math.floor(high / step_ + 1e-9) + 1)
    words: Callable[[float], str] = "{:g}".format
    return [(k * step_, words(round(k * step_, 10))) for k in count]


def _told(name: str, x: float, y: float, last: float, end: float) -> str:
    return f"{name} goes from {y:.3g} at {x:g} to {end:.3g} at {last:g}"


def _dash(kind: int) -> str:
    dash = DASHES[kind % len(DASHES)]
    return f'stroke-dasharray="{dash}" ' if dash else ""


def _short(name: str) -> str:
    return name if len(name) <= 28 else f"…{name[-27:]}"


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _svg(height: float, parts: Sequence[str], said: str) -> Markup:
    return Markup(
        f'<svg viewBox="0 0 {WIDTH:g} {height:g}" role="img" aria-label="{escape(said)}">'
        + "".join(parts)
        + "</svg>"
    )
