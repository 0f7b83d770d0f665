"""The ratios as a picture: a bar for each goal, with the goal marked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from xml.sax.saxutils import escape

from speeds.contenders import called

LEFT, WIDTH, RIGHT, ROW, TOP = 410.0, 420.0, 150.0, 22.0, 64.0
MET, MISSED, OTHER = "#2f6f4f", "#b3541e", "#8a8f98"  # each bar says in words too what it is
STYLE = (
    "text{font:13px sans-serif;fill:#222}.small{font-size:12px;fill:#555}"
    ".title{font-size:15px;font-weight:bold}"
    ".on{paint-order:stroke;stroke:#fff;stroke-width:4px;stroke-linejoin:round}"
)


def svg(records: Iterable[dict[str, Any]], subtitle: str) -> str:
    """Bars of time here / time there, those with a goal first; one is drawn at 1, equal speed."""
    bars = [
        (record, goal)
        for record in records
        for goal in record["goals"]
        if goal["ratio"] and (goal["limit"] is not None or record["label"] == "own")
    ]
    most = max([1.0, *(goal["ratio"]["median"] for _, goal in bars)])
    scale = WIDTH / (1.05 * most)
    height = TOP + ROW * len(bars) + 40
    parts = [
        '<text class="title" x="16" y="26">Time here / time in PyTorch</text>',
        f'<text class="small" x="16" y="46">{escape(subtitle)}</text>',
    ]
    bottom = TOP + ROW * len(bars)
    for k in range(int(most * 4) + 1):
        x = LEFT + scale * k / 4
        line = "#777" if k == 4 else "#e3e3e3"
        parts.append(f'<path d="M{x:.1f} {TOP - 4:g}V{bottom:g}" stroke="{line}"/>')
        if k % 2 == 0:
            label = f"{k / 4:g}"
            place = f'x="{x:.1f}" y="{bottom + 17:g}" text-anchor="middle"'
            parts.append(f'<text class="small" {place}>{label}</text>')
    for k, (record, goal) in enumerate(bars):
        y, ratio, limit = TOP + ROW * k, goal["ratio"], goal["limit"]
        threads = f"{record['workload']['threads']} thr."
        ours, other = (called(goal[k], record["workload"]["cell"]) for k in ("ours", "against"))
        name = f"{record['label']}, {threads}: {ours} / {other}"
        colour = {None: OTHER, True: MET, False: MISSED}[goal["met"]]
        end = LEFT + scale * ratio["median"]
        place = f'x="{LEFT - 8:g}" y="{y + 15:g}" text-anchor="end"'
        parts.append(f"<text {place}>{escape(name)}</text>")
        parts.append(
            f'<rect x="{LEFT:g}" y="{y + 4:g}" width="{end - LEFT:.1f}" height="{ROW - 8:g}" '
            f'fill="{colour}"/>'
        )
        low, high = (LEFT + scale * ratio[q] for q in ("low", "high"))
        middle = y + ROW / 2
        parts.append(f'<path d="M{low:.1f} {middle:g}H{high:.1f}" stroke="#111"/>')
        says = f"{ratio['median']:.3f}"
        after = max(end, high)
        if limit is not None:
            x = LEFT + scale * limit
            after = max(after, x)
            mark = f"M{x:.1f} {y + 1:g}V{y + ROW - 1:g}"
            parts.append(f'<path d="{mark}" stroke="#111" stroke-width="2.5"/>')
            says += f" {'meets' if goal['met'] else 'misses'} {limit:.2f}"
        parts.append(f'<text class="on" x="{after + 7:.1f}" y="{y + 15:g}">{says}</text>')
    parts.append(
        f'<text class="small" x="{LEFT:g}" y="{bottom + 34:g}">'
        "black mark: the goal; thin line: quartiles; below 1 is faster than PyTorch</text>"
    )
    wide = LEFT + WIDTH + RIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:g} {height:g}" '
        f'width="{wide:g}" height="{height:g}" role="img">'
        f"<title>Time here divided by time in PyTorch, with goals</title><style>{STYLE}</style>"
        f'<rect width="{wide:g}" height="{height:g}" fill="#fff"/>{"".join(parts)}</svg>\n'
    )
