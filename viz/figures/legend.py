"""The legend: every sign of the cell figures, with its meaning."""

from __future__ import annotations

from dataclasses import replace

from equations.wording import Said, joined
from viz.figure import Figure
from viz.kinds import figure
from viz.layout.shapes import CIRCLE, LAYER, SYMBOL, TERMINAL
from viz.scene import Point, Scene, Shape, Wire, label
from viz.symbols import plain

CELL, DOWN = 150.0, 44.0
WORDS = 13.0
MEANINGS = (
    ("layer", "learned layer", "a yellow box is a learned layer with its activation"),
    ("operation", "pointwise operation", "a pink circle is a pointwise operation"),
    ("value", "vector", "a line with an arrowhead carries a vector"),
    ("belt", "state belt", "a thick straight line is the belt of a state"),
    ("merge", "concatenate", "merging lines are a concatenation"),
    ("fork", "copy", "a forking line is a copy"),
    ("pass", "no connection", "a line with a gap passes another without touching it"),
    ("terminal", "input, output", "a blue circle is an input or output"),
)
SHAPES = {  # kind, width, height, what stands in it
    "layer": ("layer", *LAYER, r"\sigma", "σ"),
    "operation": ("op", CIRCLE, CIRCLE, r"\times", "×"),
    "terminal": ("terminal", TERMINAL, TERMINAL, "x_t", "x_t"),
}
Stroke = tuple[bool, tuple[Point, ...]]  # whether an arrow ends it, its corners
STROKES: dict[str, list[Stroke]] = {
    "value": [(True, ((-44, 0), (44, 0)))],
    "belt": [(True, ((-44, 0), (44, 0)))],
    "merge": [
        (False, ((-44, -14), (-12, -14), (-12, 0), (-2, 0))),
        (False, ((-44, 14), (-12, 14), (-12, 0), (-2, 0))),
        (True, ((-2, 0), (44, 0))),
    ],
    "fork": [
        (False, ((-44, 0), (-10, 0))),
        (True, ((-10, 0), (0, 0), (0, -14), (44, -14))),
        (True, ((-10, 0), (0, 0), (0, 14), (44, 14))),
    ],
    "pass": [
        (True, ((-44, 0), (44, 0))),
        (False, ((0, 24), (0, 4.5))),
        (True, ((0, -4.5), (0, -24))),
    ],
}


@figure()
def legend() -> Figure:
    """What the shapes and lines of the cell figures mean."""
    scene = Scene()
    for k, (key, words, _) in enumerate(MEANINGS):
        x, y = CELL * (k % 4) + CELL / 2, 92.0 * (k // 4)
        _sign(scene, key, x, y)
        scene.shapes.append(label(f"words-{key}", plain(words), x, y + DOWN, WORDS))
    meanings = joined((Said(said) for _, _, said in MEANINGS), "{first}; {rest}")
    alt = Said("The notation of the figures: {meanings}.", meanings=meanings)
    return Figure("legend", "The notation of the figures", alt, scene)


def _sign(scene: Scene, key: str, x: float, y: float) -> None:
    """A shape or strokes around (x, y)."""
    if key in SHAPES:
        kind, width, height, latex, text = SHAPES[key]
        shape = Shape(f"sign-{key}", kind, x, y, width, height, latex, text, SYMBOL)
        scene.shapes.append(replace(shape, round=kind != "layer"))
    for k, (arrow, points) in enumerate(STROKES.get(key, ()), 1):
        own = f"line-{key}" + f"-{k}" * (len(STROKES[key]) > 1)
        moved = tuple((x + dx, y + dy) for dx, dy in points)
        wire = Wire(own, moved, f"{own}-a", f"{own}-b", key, arrow, classes=("wire",))
        scene.wires.append(replace(wire, width=2.4 if key == "belt" else 1.6))
