"""Layout of a run: a row for each name, a band for each time step, lines on tracks between columns.

As every name has a row of its own, a line may follow the row of the value that it carries until it
stands before the column in which it is read, and meets no card on its way. It then takes a track of
its own up or down. Where it would meet the next card of its own row (a value that is read much
later), or leads back in time, it runs along a lane below everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations

from viz.scene import Point, Scene, Shape, Wire

TRACK, SIDE, BETWEEN, ROW = 11.0, 20.0, 34.0, 16.0


@dataclass(frozen=True)
class Item:
    """A card to be placed: its shape, its row's name, its time step, what it reads."""

    shape: Shape
    row: str
    time: int | None
    inputs: tuple[str, ...]
    classes: tuple[str, ...]


def timed(items: Sequence[Item], rows: Sequence[str]) -> Scene:
    """The cards and lines of a run, at their places."""
    return _Timeline(items, rows).scene()


class _Timeline:
    def __init__(self, items: Sequence[Item], rows: Sequence[str]) -> None:
        self.items = {item.shape.id: item for item in items}
        self.rows = list(rows)
        self.column = self._columns()
        self.row = self._row_of_each()
        self.users: dict[str, list[str]] = {key: [] for key in self.items}
        for key, item in self.items.items():
            for i in item.inputs:
                self.users[i].append(key)
        self.lanes = self._lane_targets()
        self._measure()

    # --- columns and rows ------------------------------------------------------------------------
    def _columns(self) -> dict[str, int]:
        """Left to right: what is there before the first step, the steps by depth, what follows."""
        times = sorted({i.time for i in self.items.values() if i.time is not None})
        depth: dict[str, int] = {}
        for key, item in self.items.items():
            inner = [depth[i] for i in item.inputs if self.items[i].time == item.time]
            depth[key] = max(inner, default=-1) + 1
            if item.time is not None and item.inputs:
                depth[key] = max(depth[key], 1)
        span = max(depth[k] for k, i in self.items.items() if i.time is not None) + 1
        column = {}
        for key, item in self.items.items():
            if item.time is not None:
                column[key] = 1 + times.index(item.time) * span + depth[key]
            elif item.inputs:
                column[key] = 1 + len(times) * span + depth[key]
            else:
                column[key] = 0
        self.span = span
        self.steps = len(times)
        return column

    def _row_of_each(self) -> dict[str, int]:
        taken: set[tuple[int, int]] = set()
        found: dict[str, int] = {}
        for key, item in self.items.items():
            if item.row in self.rows:
                row = self.rows.index(item.row)
            else:
                row = found[item.inputs[0]] if item.inputs else 0
            while (self.column[key], row) in taken:
                row += 1
            taken.add((self.column[key], row))
            found[key] = row
        return found

    def _lane_targets(self) -> dict[tuple[str, str], int]:
        """Lines that lead back, or would meet a card of their own row: each target has a lane."""
        lanes: dict[tuple[str, str], int] = {}
        number: dict[str, int] = {}
        for key, users in self.users.items():
            for user in users:
                between = [
                    k
                    for k in self.items
                    if self.row[k] == self.row[key]
                    and self.column[key] < self.column[k] < self.column[user]
                ]
                if between or self.column[user] <= self.column[key]:
                    lanes[key, user] = number.setdefault(user, len(number))
        return lanes

    def _measure(self) -> None:
        count = max(self.column.values()) + 1
        width = [0.0] * count
        for key, item in self.items.items():
            width[self.column[key]] = max(width[self.column[key]], item.shape.width)
        last = 1 + self.steps * self.span
        for c in range(1, last):  # every step looks alike
            width[c] = max(width[c], *(width[d] for d in range(1, last) if self._alike(c, d)))
        width.append(0.0)  # what leads back out of the last column falls behind it
        count += 1
        tracks = [len(self._entering(c)) + len(self._falling(c)) for c in range(count)]
        self.left: list[float] = []
        x = 0.0
        for c in range(count):
            edge = BETWEEN if c and (c - 1) % self.span == 0 else 0.0
            x += edge + SIDE + TRACK * max(tracks[c] - 1, 0) + SIDE if c else 0.0
            self.left.append(x)
            x += width[c]
        self.width = width
        height = [0.0] * (max(self.row.values()) + 1)
        for key, item in self.items.items():
            height[self.row[key]] = max(height[self.row[key]], item.shape.height)
        self.y: list[float] = []
        y = 0.0
        for h in height:
            self.y.append(y + h / 2)
            y += h + ROW
        self.bottom = y
        self.track: dict[tuple[int, str], float] = {}
        for c in range(1, count):
            names = self._ordered(c)
            right = self.left[c] - SIDE
            if c == 1 + self.steps * self.span or (c - 1) % self.span == 0:
                right = self.left[c] - SIDE - BETWEEN / 4
            for k, name in enumerate(names):
                self.track[c, name] = right - TRACK * (len(names) - 1 - k)

    def _alike(self, c: int, d: int) -> bool:
        return (c - d) % self.span == 0

    def _entering(self, c: int) -> list[str]:
        """The values that change rows before column c."""
        return [
            key
            for key, users in self.users.items()
            if any(self.column[u] == c and self.row[u] != self.row[key] for u in users)
            or any((key, u) in self.lanes and self.column[u] == c for u in users)
        ]

    def _falling(self, c: int) -> list[str]:
        """The values that fall to a lane right of column c - 1."""
        return [f"fall:{key}" for key, user in self.lanes if self.column[key] == c - 1]

    def _ordered(self, c: int) -> list[str]:
        """The tracks before a column, in the order with the fewest crossings."""
        names = self._entering(c)
        if 1 < len(names) <= 6:
            orders = [list(order) for order in permutations(names)]
            names = min(orders, key=lambda order: self._crossed(order, c))
        return [*dict.fromkeys(self._falling(c)), *names]

    def _crossed(self, order: list[str], c: int) -> int:
        total = 0
        reach = {}
        for key in order:
            rows = [self.row[u] for u in self.users[key] if self.column[u] == c]
            reach[key] = (min([self.row[key], *rows]), max([self.row[key], *rows]), rows)
        for k, key in enumerate(order):
            low, high, _ = reach[key]
            for other in order[k + 1 :]:  # its row crosses this track on its way in
                total += low < self.row[other] < high
            for other in order[:k]:  # its lines cross this track on their way out
                total += sum(low < r < high for r in reach[other][2])
        return total

    # --- lines -----------------------------------------------------------------------------------
    def scene(self) -> Scene:
        place = {
            key: replace(
                item.shape,
                x=self.left[self.column[key]] + self.width[self.column[key]] / 2,
                y=self.y[self.row[key]],
                width=self.width[self.column[key]],
            )
            for key, item in self.items.items()
        }
        scene = Scene(list(place.values()))
        for key, item in self.items.items():
            for i, port in self._ports(key).items():
                scene.wires.append(self._wire(i, key, place, port, item))
        return scene

    def _ports(self, key: str) -> dict[str, float]:
        """At which height each input enters: the straight one in the middle."""
        item = self.items[key]
        own = self.row[key]
        laned = [i for i in item.inputs if (i, key) in self.lanes]
        rest = sorted((i for i in item.inputs if i not in laned), key=lambda i: self.row[i])
        straight = [i for i in rest if self.row[i] == own]
        half = item.shape.height / 2 - 8
        step = min(11.0, 2 * half / max(len(rest), 1))
        ports = {}
        if straight:
            above = [i for i in rest if self.row[i] < own]
            below = [i for i in rest if self.row[i] > own]
            step = min(11.0, half / max(len(above), len(below) + bool(laned), 1))
            ports[straight[0]] = 0.0
            ports |= {i: -step * (len(above) - k) for k, i in enumerate(above)}
            ports |= {i: step * (k + 1) for k, i in enumerate(below)}
            last = len(below)
        else:
            ports |= {i: step * (k - (len(rest) - 1) / 2) for k, i in enumerate(rest)}
            last = len(rest) // 2
        ports |= dict.fromkeys(laned, min(half, step * (last + 1)))
        return ports

    def _wire(
        self, source: str, user: str, place: dict[str, Shape], port: float, item: Item
    ) -> Wire:
        a, b = place[source], place[user]
        x0, y0, x1, y1 = a.box[2], a.y, b.box[0], b.y + port
        c = self.column[user]
        if (source, user) in self.lanes:
            fall = self.track[self.column[source] + 1, f"fall:{source}"]
            lane = self.bottom + 14.0 * self.lanes[source, user]
            rise = min(self.track[c, i] for i, u in self.lanes if u == user)
            points: tuple[Point, ...] = (
                (x0, y0),
                (fall, y0),
                (fall, lane),
                (rise, lane),
                (rise, y1),
                (x1, y1),
            )
        elif y0 == y1:
            points = ((x0, y0), (x1, y1))
        else:
            track = self.track.get((c, source), x1 - SIDE)
            points = ((x0, y0), (track, y0), (track, y1), (x1, y1))
        return Wire(
            f"line-{source}-{user}",
            points,
            source,
            user,
            net=source,
            arrow=True,
            radius=8.0,
            width=1.4,
            classes=item.classes,
        )
