"""The legend: every sign of the cell figures, with its meaning."""

from __future__ import annotations

from equations.wording import Said, joined
from viz.figure import Figure
from viz.glyphs import glyphs
from viz.layout.shapes import CIRCLE, LAYER, SYMBOL, TERMINAL
from viz.scene import Point, Scene, Shape, Wire

CELL, SIGNS = 150.0, 44.0
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


def legend() -> Figure:
    """What the shapes and lines of the cell figures mean."""
    scene = Scene()
    for k, (key, words, _) in enumerate(MEANINGS):
        x, y = CELL * (k % 4) + CELL / 2, 92.0 * (k // 4)
        _sign(scene, key, x, y)
        latex = rf"\text{{{words}}}"
        ink = glyphs(latex, WORDS)
        scene.shapes.append(
            Shape(f"words-{key}", "label", x, y + SIGNS, ink.width, ink.height, latex, words, WORDS)
        )
    meanings = joined((Said(said) for _, _, said in MEANINGS), "{first}; {rest}")
    alt = Said("The notation of the figures: {meanings}.", meanings=meanings)
    return Figure("legend", "The notation of the figures", alt, scene)


def _sign(scene: Scene, key: str, x: float, y: float) -> None:
    def shape(kind: str, w: float, h: float, latex: str, text: str, round: bool = False) -> None:
        scene.shapes.append(
            Shape(f"sign-{key}", kind, x, y, w, h, latex, text, SYMBOL, round=round)
        )

    def wire(*points: Point, arrow: bool = True, width: float = 1.6, part: str = "") -> None:
        own = f"line-{key}{part}"
        scene.wires.append(
            Wire(own, points, f"{own}-a", f"{own}-b", key, arrow, width=width, classes=("wire",))
        )

    left, right = x - 44, x + 44
    if key == "layer":
        shape("layer", *LAYER, r"\sigma", "σ")
    elif key == "operation":
        shape("op", CIRCLE, CIRCLE, r"\times", "×", True)
    elif key == "terminal":
        shape("terminal", TERMINAL, TERMINAL, "x_t", "x_t", True)
    elif key == "value":
        wire((left, y), (right, y))
    elif key == "belt":
        wire((left, y), (right, y), width=2.4)
    elif key == "merge":
        wire((left, y - 14), (x - 12, y - 14), (x - 12, y), (x - 2, y), arrow=False, part="-1")
        wire((left, y + 14), (x - 12, y + 14), (x - 12, y), (x - 2, y), arrow=False, part="-2")
        wire((x - 2, y), (right, y), part="-3")
    elif key == "fork":
        wire((left, y), (x - 10, y), arrow=False, part="-1")
        wire((x - 10, y), (x, y), (x, y - 14), (right, y - 14), part="-2")
        wire((x - 10, y), (x, y), (x, y + 14), (right, y + 14), part="-3")
    else:
        wire((left, y), (right, y), part="-1")
        wire((x, y + 24), (x, y + 4.5), arrow=False, part="-2")
        wire((x, y - 4.5), (x, y - 24), part="-3")
