"""Pictures over time: canvases of a network that draws, and where it looks at each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from equations.wording import Said, joined
from tinygrad_lstm.tensor import Array, Tensor, TensorLike
from viz.data import array, check_room, level, mark, runs, word
from viz.figure import Figure, FigureError
from viz.glyphs import glyphs
from viz.kinds import figure
from viz.palette import STATES
from viz.scene import Box, Scene, Shape, ground
from viz.symbols import plain
from viz.words import shown

ROW = 8  # frames side by side
WIDE = 72.0  # a frame
BETWEEN, BELOW = 16.0, 26.0
WORD, NOTE = 12.0, 11.0
STRAY = 2.0  # how far a rectangle may leave its frame


@figure()
def frames(
    canvases: TensorLike,
    rectangles: TensorLike | Mapping[str, TensorLike] | None = None,
    captions: Sequence[object] | None = None,
) -> Figure:
    """Canvases over time, one frame a step, with the rectangles that were read or written.

        run = unroll(systems.draw_attention, p, noise, image=image)
        viz.frames(sigmoid(run["c"]), {"read": …, "write": …})

    canvases: (steps, height, width), the darker the larger; from 0 to 1, or else from the smallest
    of the numbers to the largest. (steps, height, width, 3) has colours of its own, from 0 to 1. A
    batch of one may stand behind the steps. rectangles: (steps, 4), or such an array by name: left,
    top, right and bottom in pixels from the upper left corner of the canvas; a line each. captions:
    what stands below each frame, the steps 1, 2, … unless given.

    Raises FigureError for other shapes, numbers that are not finite, and pictures without end.
    """
    values, dark, light = _pictures(canvases)
    steps, height, width = values.shape[:3]
    named = _rectangles(rectangles, steps)
    told = [shown(str(c)) for c in (range(1, steps + 1) if captions is None else captions)]
    if len(told) != steps:
        raise FigureError(f"viz.frames: {steps} canvases have {len(told)} captions.")
    unit = WIDE / width
    high = unit * height
    down = high + BELOW
    pitch = BETWEEN + max([WIDE, *(glyphs(plain(c).latex, WORD).width for c in told if c)])
    scene = Scene()
    for k in range(steps):
        left, top = (k % ROW) * pitch, (k // ROW) * down
        scene.shapes += _pixels(f"step-{k + 1}", values[k], left, top, unit)
        box = left, top, left + WIDE, top + high
        scene.shapes.append(ground(f"frame-{k + 1}", "frame", box))
        for own, state in zip(named, STATES, strict=False):
            scene.shapes += _outline(f"{own}-{k + 1}", named[own][k], box, unit, state)
        scene.shapes += word(f"caption-{k + 1}", plain(told[k]), left + WIDE / 2, box[3] + 11, WORD)
    check_room("frames", len(scene.shapes), "Show fewer steps: canvases[::4], or smaller pictures.")
    if isinstance(rectangles, Mapping):
        scene.shapes += _legend(named, ((steps - 1) // ROW + 1) * down + 6)
    title = f"{steps} canvases of {height} × {width}"
    return Figure("frames", title, _describe(values, (dark, light), named, told), scene)


def _pictures(given: TensorLike) -> tuple[Array, float, float]:
    """Canvases between 0 and 1, and the numbers that are 0 and 1 there."""
    found = given.numpy() if isinstance(given, Tensor) else given
    if not isinstance(found, np.ndarray):
        found = array("frames", "canvases", given, "steps, height, width", batched=1)
    if found.ndim >= 4 and found.shape[-1] == 3 and found.shape[1] != 1 or found.ndim == 5:
        colours = array("frames", "canvases", found, "steps, height, width, 3", batched=1)
        if colours.shape[-1] != 3 or colours.min() < 0 or colours.max() > 1:
            raise FigureError(
                "viz.frames: canvases with colours are (steps, height, width, 3) with numbers from "
                f"0 to 1, got {colours.shape} from {colours.min():.3g} to {colours.max():.3g}."
            )
        return colours, 0.0, 1.0
    values = array("frames", "canvases", found, "steps, height, width", batched=1)
    low, high = float(values.min()), float(values.max())
    if low >= 0.0 and high <= 1.0:
        return values, 0.0, 1.0
    return (values - low) / ((high - low) or 1.0), low, high


def _rectangles(
    given: TensorLike | Mapping[str, TensorLike] | None, steps: int
) -> dict[str, Array]:
    if given is None:
        return {}
    several: Mapping[str, Any] = given if isinstance(given, Mapping) else {"looked at": given}
    if len(several) > len(STATES):
        raise FigureError(f"viz.frames draws up to {len(STATES)} rectangles a step.")
    found = {}
    for name, each in several.items():
        own = array("frames", f"rectangles {name!r}", each, "steps, 4", batched=1)
        if own.shape != (steps, 4):
            raise FigureError(
                f"viz.frames: rectangles {name!r} are to be (steps={steps}, 4), left, top, right "
                f"and bottom of each step, got {own.shape}."
            )
        found[shown(str(name))] = own
    return found


def _pixels(own: str, picture: Array, left: float, top: float, unit: float) -> list[Shape]:
    """What is not blank, a rectangle for each run of equal pixels in a row."""
    shapes = []
    shades = level(picture)
    for j, row in enumerate(shades):
        for k, n, value in runs([tuple(np.atleast_1d(pixel)) for pixel in row]):
            if value == (0.0,):
                continue
            paint = ("ink", float(value[0])) if len(value) == 1 else (_colour(value), 1.0)
            place = left + unit * k, top + unit * j, unit * n, unit
            shapes.append(mark(f"{own}-{j + 1}-{k + 1}", *place, paint))
    return shapes


def _colour(value: Sequence[float]) -> str:
    return "#" + "".join(f"{round(255 * v):02x}" for v in value)


def _outline(own: str, corners: Array, frame: Box, unit: float, state: str) -> list[Shape]:
    """A rectangle on a frame, as far as it is there."""
    left, top, right, bottom = frame
    xs = np.clip(left + unit * corners[[0, 2]], left - STRAY, right + STRAY)
    ys = np.clip(top + unit * corners[[1, 3]], top - STRAY, bottom + STRAY)
    box = float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max())
    if box[2] - box[0] < 0.5 or box[3] - box[1] < 0.5:
        return []
    return [ground(own, "frame", box, (state,))]


def _legend(named: Mapping[str, Array], y: float) -> list[Shape]:
    """Which line is which."""
    shapes: list[Shape] = []
    x = 0.0
    for name, state in zip(named, STATES, strict=False):
        shapes.append(ground(f"key-{name}", "frame", (x, y - 6, x + 12, y + 6), (state,)))
        shapes += word(f"key-{name}-text", plain(name), x + 18, y, NOTE, 1, kind="caption")
        x = shapes[-1].box[2] + 20
    return shapes


def _describe(
    values: Array, ends: tuple[float, float], named: Mapping[str, Array], told: Sequence[str]
) -> str:
    steps, height, width = values.shape[:3]
    several = f"{{steps}} canvas{'es' if steps > 1 else ''} of {{height}} × {{width}} pixels"
    sizes = {"steps": str(steps), "height": str(height), "width": str(width)}
    said: list[str] = []
    if values.ndim == 4:
        said.append(Said(f"{several}, in colour.", **sizes))
    else:
        low, high = (f"{end:.3g}" for end in ends)
        shades = f"{several}, the darker the larger: {{low}} is blank, {{high}} is full."
        said.append(Said(shades, **sizes, low=low, high=high))
        said += [
            Said("{caption}: {share} of the canvas is dark.", caption=c, share=f"{v.mean():.0%}")
            for c, v in zip(told, values, strict=True)
        ]
    for name, corners in named.items():
        for caption, (left, top, right, bottom) in zip(told, corners, strict=True):
            said.append(
                Said(
                    "{caption}, {name}: columns {left} to {right}, rows {top} to {bottom}.",
                    caption=caption,
                    name=name,
                    left=f"{left:.1f}",
                    right=f"{right:.1f}",
                    top=f"{top:.1f}",
                    bottom=f"{bottom:.1f}",
                )
            )
    return joined(said)
