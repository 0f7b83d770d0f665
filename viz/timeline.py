"""Layout of a run: a row for each name, a band for each time step, lines on tracks between columns.

As every name has a row of its own, a line may follow the row of the value that it carries until it
stands before the column in which it is read, and meets no card on its way. It then takes a track of
its own up or down. Where it would meet the next card of its own row (a value that is read much
later), or leads back in time, it runs along a lane below everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from viz.scene import Point, Scene, Shape, Wire

TRACK, SIDE, BETWEEN, ROW, LANE = 11.0, 20.0, 34.0, 16.0, 14.0
PORT = 11.0  # between the lines into a card

Link = tuple[str, str]  # what is read, and the card that reads it


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
        self.links = [(i, key) for key, item in self.items.items() for i in item.inputs]
        times = sorted({item.time for item in items if item.time is not None})
        self.column, self.span = self._columns(times)
        self.last = 1 + len(times) * self.span  # the column of what follows the last step
        self.row = self._rows(rows)
        self.lanes = self._lanes()
        self._measure()

    # --- columns and rows ------------------------------------------------------------------------
    def _columns(self, times: Sequence[int]) -> tuple[dict[str, int], int]:
        """Left to right: what is there before the first step, the steps by depth, what follows.

        Also how many columns a step has.
        """
        depth: dict[str, int] = {}
        for key, item in self.items.items():
            inner = [depth[i] for i in item.inputs if self.items[i].time == item.time]
            least = item.time is not None and bool(item.inputs)
            depth[key] = max([least - 1, *inner]) + 1 if inner or not least else 1
        span = max(depth[k] for k, item in self.items.items() if item.time is not None) + 1
        column = {}
        for key, item in self.items.items():
            step = times.index(item.time) if item.time is not None else len(times)
            there = item.time is not None or item.inputs
            column[key] = 1 + step * span + depth[key] if there else 0
        return column, span

    def _rows(self, names: Sequence[str]) -> dict[str, int]:
        """The row of each name; of what has none, that of what it reads, or the next one free."""
        taken: set[tuple[int, int]] = set()
        found: dict[str, int] = {}
        for key, item in self.items.items():
            if item.row in names:
                row = names.index(item.row)
            else:
                row = found[item.inputs[0]] if item.inputs else 0
            while (self.column[key], row) in taken:
                row += 1
            taken.add((self.column[key], row))
            found[key] = row
        return found

    def _lanes(self) -> dict[Link, int]:
        """Lines that lead back, or would meet a card of their own row: each target has a lane."""
        lanes: dict[Link, int] = {}
        number: dict[str, int] = {}
        stops = {(self.row[key], self.column[key]) for key in self.items}
        for source, user in self.links:
            start, end = self.column[source], self.column[user]
            if end <= start or any((self.row[source], c) in stops for c in range(start + 1, end)):
                lanes[source, user] = number.setdefault(user, len(number))
        return lanes

    def _measure(self) -> None:
        """The places of columns, rows and tracks."""
        columns = range(max(self.column.values()) + 2)  # behind the last one a line may fall
        heights = [0.0] * (max(self.row.values()) + 1)
        widest: dict[int, float] = {}  # of the columns that are alike, one in each step
        for key, item in self.items.items():
            alike = self._alike(self.column[key])
            widest[alike] = max(widest.get(alike, 0.0), item.shape.width)
            heights[self.row[key]] = max(heights[self.row[key]], item.shape.height)
        self.width = [widest.get(self._alike(c), 0.0) for c in columns]
        self.left: list[float] = []
        self.track: dict[tuple[int, str], float] = {}
        x = 0.0
        for c in columns:
            tracks, edge = self._tracks(c), BETWEEN * (c > 0 and (c - 1) % self.span == 0)
            x += edge + SIDE + TRACK * max(len(tracks) - 1, 0) + SIDE if c else 0.0
            for k, name in enumerate(reversed(tracks)):
                self.track[c, name] = x - SIDE - edge / 4 - TRACK * k
            self.left.append(x)
            x += self.width[c]
        self.y = [sum(heights[:k]) + ROW * k + height / 2 for k, height in enumerate(heights)]
        self.bottom = sum(heights) + ROW * len(heights)

    def _alike(self, c: int) -> int:
        """The column of the first step that looks like this one; those outside the steps do not."""
        return 1 + (c - 1) % self.span if 0 < c < self.last else -c

    def _tracks(self, c: int) -> list[str]:
        """The tracks before a column: what falls to a lane, then what changes rows, uncrossed.

        Of two lines down the lower one turns first, of two lines up the higher one.
        """
        falling = [f"fall:{source}" for source, _ in self.lanes if self.column[source] == c - 1]
        turns: dict[str, int] = {}
        for source, user in self.links:
            way = self.row[user] - self.row[source]
            if self.column[user] == c and (way or (source, user) in self.lanes):
                turns[source] = turns.get(source, 0) + way
        order = sorted(turns, key=lambda n: self.row[n] if turns[n] < 0 else -self.row[n])
        return [*dict.fromkeys(falling), *order]

    # --- lines -----------------------------------------------------------------------------------
    def scene(self) -> Scene:
        """Everything at its place."""
        place = {
            key: replace(
                item.shape,
                x=self.left[self.column[key]] + self.width[self.column[key]] / 2,
                y=self.y[self.row[key]],
                width=self.width[self.column[key]],
            )
            for key, item in self.items.items()
        }
        ports = {key: self._ports(key) for key in self.items}
        wires = [
            Wire(
                f"line-{source}-{user}",
                self._corners(source, user, place[source], place[user], ports[user][source]),
                source,
                user,
                net=source,
                arrow=True,
                radius=8.0,
                width=1.4,
                classes=self.items[user].classes,
            )
            for source, user in self.links
        ]
        return Scene(list(place.values()), wires)

    def _ports(self, key: str) -> dict[str, float]:
        """At which height each input enters: a straight line in the middle, lanes lowest."""
        item, own = self.items[key], self.row[key]
        order = sorted(item.inputs, key=lambda i: ((i, key) in self.lanes, self.row[i]))
        straight = [i for i in order if self.row[i] == own and (i, key) not in self.lanes]
        middle = order.index(straight[0]) if straight else (len(order) - 1) / 2
        most = max(middle, len(order) - 1 - middle, 1.0)
        step = min(PORT, (item.shape.height / 2 - 8) / most)
        return {i: step * (k - middle) for k, i in enumerate(order)}

    def _corners(
        self, source: str, user: str, a: Shape, b: Shape, port: float
    ) -> tuple[Point, ...]:
        """The corners of a line from a card to another."""
        start, end = (a.box[2], a.y), (b.box[0], b.y + port)
        c = self.column[user]
        if (source, user) in self.lanes:
            fall = self.track[self.column[source] + 1, f"fall:{source}"]
            rise = min(self.track[c, i] for i, u in self.lanes if u == user)
            lane = self.bottom + LANE * self.lanes[source, user]
            return (start, (fall, start[1]), (fall, lane), (rise, lane), (rise, end[1]), end)
        if start[1] == end[1]:
            return (start, end)
        track = self.track.get((c, source), end[0] - SIDE)
        return (start, (track, start[1]), (track, end[1]), end)
