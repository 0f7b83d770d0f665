"""Systems over time: a row of boxes for each part, memories drawn once, lines as thick as α.

Parts stand above what they read, each in a row of its own. What a part has made of all its steps is
a row of cards above it; every step of a reader has a line to every card, as wide as the weight that
its softmax gives the place, in a small run with random numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from equations import name_unicode
from equations.wording import Said, joined
from tinygrad_lstm.networks import System
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array
from tinygrad_lstm.testing.inputs import random_inputs
from tinygrad_lstm.wires import Read, each_of
from tinygrad_lstm.wiring import INITIAL, SEQUENCE, declared_of
from viz import sentences
from viz.layout.shapes import LABEL, terminal
from viz.scene import Point, Scene, Shape, Wire, label
from viz.symbols import named, plain

WIDTH, HEIGHT, STEP = 92.0, 56.0, 60.0
ROW, FOOT, CARD = 64.0, 64.0, 30.0  # between rows; for circles below; height of a memory's card
ASIDE = -38.0  # lines from other parts, where circles stand below a box too
THICK, THIN = 7.0, 0.35
SMALL, NAME = 12.0, 15.0


@dataclass
class _Row:
    """The boxes of a part: how high they stand, and the cards of what is made of all steps."""

    name: str
    y: float
    memory: float | None = None
    boxes: list[Shape] = field(default_factory=list)


class _Drawing:
    def __init__(self, network: System, steps: int) -> None:
        self.network, self.steps = network, steps
        self.wiring = network.wiring
        self.scene = Scene()
        self.rows: dict[str, _Row] = {}
        self.gathered = {
            read.part
            for reads in self.wiring.wired.values()
            for _, read in each_of(reads)
            if read.part and read.kind == "whole"
        }

    def draw(self) -> Scene:
        y = 0.0
        for name in (p for group in self.wiring.order for p in group):
            y -= FOOT if self._circles(name) or self._weighs(name) else 0.0
            y -= HEIGHT / 2
            self.rows[name] = row = _Row(name, y)
            count = 1 if name in self.wiring.once else self.steps
            for t in range(count):
                row.boxes.append(self._box(name, t, y))
            y -= HEIGHT / 2
            if name in self.gathered:
                row.memory = y - ROW / 2 - CARD / 2
                y = row.memory - CARD / 2
            y -= ROW + (FOOT if self._weighs(name) else 0.0)
        for name, row in self.rows.items():
            self._states(row)
            self._memory(row)
            self._reads(name, row)
        self._outputs()
        return self.scene

    def x(self, t: int) -> float:
        """Where the boxes of a step stand; a part without steps stands before the first."""
        return t * (WIDTH + STEP)

    def _box(self, name: str, t: int, y: float) -> Shape:
        once = name in self.wiring.once
        x, time = (self.x(-1), None) if once else (self.x(t), str(t + 1))
        key = f"box-{name}" + (f"-{time}" if time else "")
        what = plain(name)
        shape = Shape(
            *(key, "module", x, y, WIDTH, HEIGHT, what.latex, what.text, NAME),
            title=str(self.network.parts[name]),
        )
        self.scene.shapes.append(shape)
        return shape

    def _line(
        self, key: str, tail: str, head: str, net: str, *points: Point, width: float = 1.6
    ) -> None:
        arrow = width == 1.6
        classes = ("wire",) if arrow else ("wire", "alpha")
        self.scene.wires.append(
            Wire(key, tuple(points), tail, head, net, arrow, 10.0, width, classes)
        )

    # --- one row ----------------------------------------------------------------------------------
    def _directions(self, name: str) -> list[bool]:
        """The ways in which a part hands its states on: whether backward."""
        part = self.network.parts[name]
        if not part.state:
            return []
        if isinstance(part, Cell):
            return [name in self.network.turned]
        turned = {state.split(".").count("backward") % 2 == 1 for state in part.state}
        return sorted(turned)

    def _states(self, row: _Row) -> None:
        ways = self._directions(row.name)
        for k, backward in enumerate(ways):
            y = row.y + (k - (len(ways) - 1) / 2) * 20.0
            for n, (one, two) in enumerate(pairwise(row.boxes)):
                a, b = (two, one) if backward else (one, two)
                side = -WIDTH / 2 if backward else WIDTH / 2
                key = f"state-{row.name}-{k}-{n}"
                self._line(key, a.id, b.id, key, (a.x + side, y), (b.x - side, y))

    def _memory(self, row: _Row) -> None:
        if row.memory is None:
            return
        source = next(
            r.name
            for reads in self.wiring.wired.values()
            for _, r in each_of(reads)
            if r.part == row.name and r.kind == "whole"
        )
        for t, box in enumerate(row.boxes):
            what = named(f"{row.name}.{source}", str(t + 1))
            key = f"memory-{row.name}-{t + 1}"
            self.scene.shapes.append(
                Shape(key, "given", box.x, row.memory, WIDTH * 0.7, CARD, *what[:2], SMALL)
            )
            end = (box.x, row.memory + CARD / 2)
            self._line(f"to-{key}", box.id, key, key, (box.x, row.y - HEIGHT / 2), end)

    def _circles(self, name: str) -> list[Read]:
        """What a part reads of the system's inputs at each step."""
        declared = declared_of(self.network.parts[name])
        reads = [
            read
            for target, read in each_of(self.wiring.wired[name])
            if declared[target][0] == SEQUENCE and read.part is None
        ]
        return list(dict.fromkeys(reads))

    def _reads(self, name: str, row: _Row) -> None:
        circles = self._circles(name)
        for t, box in enumerate(row.boxes):
            weighs, left = self._weighs(name), box.x + ASIDE + 6.0
            for k, read in enumerate(circles):
                x = box.x + (k - (len(circles) - 1) / 2) * 50.0
                at = row.y + HEIGHT / 2 + FOOT - 18.0
                if weighs:  # lines from a memory come from below
                    x, at = box.x + (k // 2 * 60.0 + 38.0) * (-1) ** (k + 1), row.y - 2 * ROW + 38.0
                own = str(t + (read.kind != "before"))
                time = None if name in self.wiring.once else own
                shape = terminal(f"in-{name}-{read.kind}-{read.name}-{t}", read.name, time, x, at)
                if self._below(name) and not weighs:  # beside the lines from other parts
                    x = left + shape.width / 2
                    left, shape = x + shape.width / 2 + 8.0, replace(shape, x=x)
                self.scene.shapes.append(shape)
                side = 1 if weighs else -1
                x1 = min(max(x, box.x - WIDTH / 2 + 8), box.x + WIDTH / 2 - 8)
                ends = (x, at + side * shape.height / 2), (x1, row.y - side * HEIGHT / 2)
                self._line(f"wire-{shape.id}", shape.id, box.id, shape.id, *ends)
        for target, read in each_of(self.wiring.wired[name]):
            if read.part is not None and read.kind != "mask":
                self._from_part(row, target, read)

    def _below(self, name: str) -> bool:
        """Whether lines from another part's steps come from below."""
        return any(
            read.part and read.kind in ("each", "before") and read.part not in self.wiring.once
            for _, read in each_of(self.wiring.wired[name])
        )

    def _weighs(self, name: str) -> bool:
        """Whether a part reads a memory of another's."""
        return any(r.part and r.kind == "whole" for _, r in each_of(self.wiring.wired[name]))

    def _from_part(self, row: _Row, target: str, read: Read) -> None:
        source = self.rows[read.part or ""]
        key = f"wire-{row.name}-{target}-{read.part}-{read.kind}"
        first = row.boxes[0]
        if read.kind == "whole" and source.memory is not None:
            self._weighed(key, row, source)
        elif target.startswith(INITIAL) or read.kind == "final" or read.part in self.wiring.once:
            last = source.boxes[0]
            if read.kind == "final":
                backward = read.name.split(".").count("backward") % 2
                last = source.boxes[0 if backward else -1]
            x = first.x - WIDTH / 2 if last.x < first.x else first.x - WIDTH / 4
            if target.startswith(INITIAL) and last.x < first.x:
                bend = (last.x, row.y)
                ends = ((last.x, source.y - HEIGHT / 2), bend, (first.x - WIDTH / 2, row.y))
            elif last.x > first.x:
                out = last.x - WIDTH / 4
                ends = (
                    (out, source.y - HEIGHT / 2),
                    (x, row.y + HEIGHT / 2),
                    (x, row.y + HEIGHT / 2),
                )
            else:
                ends = ((last.x, source.y - HEIGHT / 2), (last.x, row.y), (x, row.y))
            self._line(key, last.id, first.id, key, *dict.fromkeys(ends))
        else:
            late = read.kind == "before"
            pairs = zip(source.boxes, row.boxes[late:], strict=False)
            for t, (one, two) in enumerate(pairs):
                above = row.y < source.y
                y0 = source.y - HEIGHT / 2 if above else source.y + HEIGHT / 2
                y1 = row.y + HEIGHT / 2 if above else row.y - HEIGHT / 2
                dx = ASIDE if self._circles(row.name) else 0.0
                x0, x1 = (one.x + 30.0, two.x + ASIDE) if late else (one.x + dx, two.x + dx)
                if row is source:
                    continue
                self._line(f"{key}-{t}", one.id, two.id, f"{key}-{t}", (x0, y0), (x1, y1))

    def _weighed(self, key: str, row: _Row, source: _Row) -> None:
        """Lines from every place of a memory to every step that reads it, as wide as its weight."""
        weights = weights_of(self.network, row.name, self.steps)
        memory = source.memory or 0.0
        for t, box in enumerate(row.boxes):
            for j, place in enumerate(source.boxes):
                a = (place.x, memory - CARD / 2)
                b = (box.x, row.y + HEIGHT / 2)
                name = f"memory-{source.name}-{j + 1}"
                own = f"{key}-{t + 1}-{j + 1}"
                width = THIN + THICK * float(weights[t, j])
                self._line(own, name, box.id, name, a, b, width=width)

    def _outputs(self) -> None:
        for output in self.network.joined:
            name, _, own = output.partition(".")
            row = self.rows[name]
            if row.memory is not None:
                continue
            for t, box in enumerate(row.boxes):
                at = row.y - HEIGHT / 2 - FOOT + 8.0 - (60.0 if self._weighs(name) else 0.0)
                time = None if name in self.wiring.once else str(t + 1)
                shape = terminal(f"out-{name}-{t}", output, time, box.x, at)
                self.scene.shapes.append(shape)
                ends = (box.x, row.y - HEIGHT / 2), (box.x, at + shape.height / 2)
                self._line(f"wire-{shape.id}", box.id, shape.id, f"{shape.id}-v", *ends)
        if self.gathered:
            row = next(r for r in self.rows.values() if r.memory is not None)
            words = plain("a memory, read at every step")
            x = row.boxes[-1].x + WIDTH / 2 + 14
            self.scene.shapes.append(
                label("memory-said", words, x, row.memory or 0.0, LABEL - 4, 1)
            )


def weights_of(network: System, reader: str, steps: int) -> Array:
    """The weights that a part gives the places of a memory in a small run: (steps, places)."""
    part = network.parts[reader]
    if isinstance(part, Cell):
        run = random_inputs(network, None, steps, rng=0, scale=1.2).unroll()
        for name, node in part.program().equations.items():
            if node.op == "softmax" and node.ndim == 1:
                found = run[f"{reader}.{name}"].data
                if found.shape == (steps, steps):
                    return found
    return np.full((steps, steps), 1.0 / steps)


def system_over_time(network: System, steps: int) -> tuple[Scene, str]:
    """The scene of a system over so many steps, and what it shows in words."""
    scene = _Drawing(network, steps).draw()
    return scene, joined([_told(network, steps), *_parts(network)])


def _told(network: System, steps: int) -> str:
    return Said(
        "The network {network} over {steps} steps: a row of boxes for each part, from below.",
        network=network.name,
        steps=str(steps),
    )


def _parts(network: System) -> Iterator[str]:
    for name, reads in network.wiring.wired.items():
        sources = sentences.listed(
            name_unicode(read.state, None) for _, read in each_of(reads) if read.kind != "mask"
        )
        yield Said("{part} reads {sources}.", part=name, sources=sources)
        if any(read.kind == "whole" for _, read in each_of(reads)):
            yield Said(
                "Lines lead from every place of the memory to every step of {part}, as wide as the "
                "weight of the place.",
                part=name,
            )
