"""Attention as a matrix: how much each word that was written read of each word of the source."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from equations.wording import Said, joined
from tinygrad_lstm.tensor import Array, TensorLike
from viz import sentences
from viz.data import array, check_room, mark, word
from viz.figure import Figure, FigureError
from viz.glyphs import glyphs
from viz.kinds import figure
from viz.scene import Scene, Shape, ground
from viz.symbols import Written, plain
from viz.words import shown

SIDE, GAP = 20.0, 7.0
WORD, NOTE = 13.0, 10.0
SEEN = 0.1  # weights that the alternative text names
KEY = (0.0, 0.25, 0.5, 0.75, 1.0)


@figure()
def alignment(
    alpha: TensorLike,
    source: Sequence[object] | None = None,
    target: Sequence[object] | None = None,
) -> Figure:
    """Attention weights as a matrix: a row for each word of the target, a column for each it read.

        run = unroll(decoder, p, words, H=memory)
        viz.alignment(run["alpha"], "il a mangé".split(), "he has eaten".split())

    alpha: (target, source), numbers between 0 and 1, the darker the larger; a batch of one may
    stand between the axes. source, target: their words, whatever these are; numbers from 1 unless
    given. Every field says its weight when it is pointed at.

    Raises FigureError where alpha is no such array and where words and weights differ in number.
    """
    weights = array("alignment", "alpha", alpha, "target, source", batched=1)
    low, high = weights.min(), weights.max()
    if low < -1e-6 or high > 1 + 1e-6:
        raise FigureError(
            f"viz.alignment: alpha has {low if low < 0 else high:.4g}, and a weight lies between "
            "0 and 1.\n  Pass the weights, softmax(scores), not the scores."
        )
    check_room("alignment", weights.size, "Show a part: alpha[:100, :100].")
    rows = _words("target", target, weights.shape, 0)
    columns = _words("source", source, weights.shape, 1)
    title = f"Attention of {len(rows)} over {len(columns)} places"
    return Figure(
        "alignment", title, _describe(weights, rows, columns), _scene(weights, rows, columns)
    )


def _words(
    name: str, given: Sequence[object] | None, shape: tuple[int, ...], axis: int
) -> list[str]:
    """The words of an axis as they are written."""
    count = shape[axis]
    if given is None:
        return [str(k + 1) for k in range(count)]
    found = [shown(str(word)) for word in given]
    if len(found) != count:
        fix = f"Pass {count} words"
        if isinstance(given, str):
            fix += ", as a list: a text is taken letter by letter; text.split() gives its words"
        elif len(found) < count:
            part = f"alpha[:, :{len(found)}]" if axis else f"alpha[:{len(found)}]"
            fix += f", or leave padding out: {part}"
        raise FigureError(
            f"viz.alignment: alpha is (target={shape[0]}, source={shape[1]}), but {name} has "
            f"{len(found)} words.\n  {fix}."
        )
    return found


def _scene(weights: Array, rows: list[str], columns: list[str]) -> Scene:
    scene = Scene()
    width, height = SIDE * len(columns), SIDE * len(rows)
    heads = [plain(word) for word in columns]
    turned = any(_long(what) > SIDE - 2 for what in heads)
    for k, what in enumerate(heads):
        place = SIDE * (k + 0.5), -GAP if turned else -GAP - WORD / 2
        scene.shapes += word(f"source-{k + 1}", what, *place, WORD, int(turned), turned)
    for k, own in enumerate(rows):
        scene.shapes += word(f"target-{k + 1}", plain(own), -GAP, SIDE * (k + 0.5), WORD, -1)
    for j, row in enumerate(weights):
        for k, weight in enumerate(row):
            told = f"{rows[j]} ← {columns[k]}: {weight:.3g}"
            own = f"weight-{j + 1}-{k + 1}"
            at = SIDE * k + 0.5, SIDE * j + 0.5, SIDE - 1, SIDE - 1
            scene.shapes.append(mark(own, *at, ("ink", _cut(weight)), told))
    scene.shapes.append(ground("frame", "frame", (0, 0, width, height)))
    scene.shapes += _key(width + 2 * GAP, height)
    return scene


def _long(what: Written) -> float:
    return glyphs(what.latex, WORD).width if what.text else 0.0


def _cut(weight: float) -> float:
    return float(min(max(weight, 0.0), 1.0))


def _key(left: float, height: float) -> list[Shape]:
    """What how dark means, beside the matrix."""
    size = 12.0
    top = max(0.0, (height - size * len(KEY)) / 2)
    shapes: list[Shape] = []
    for k, weight in enumerate(KEY):
        y = top + size * k
        shapes.append(mark(f"key-{k}", left, y, size, size, ("ink", weight)))
        place = left + size + 5, y + size / 2
        shapes += word(f"key-{k}-text", plain(f"{weight:g}"), *place, NOTE, 1, kind="caption")
    shapes.append(ground("key", "frame", (left, top, left + size, top + size * len(KEY))))
    return shapes


def _describe(weights: Array, rows: list[str], columns: list[str]) -> str:
    said: list[str] = [
        Said(
            "Attention as a matrix of {rows} × {columns} weights: a row for each word that was "
            "written, a column for each that was read, the darker the larger the weight.",
            rows=str(len(rows)),
            columns=str(len(columns)),
        )
    ]
    for own, row in zip(rows, weights, strict=True):
        order = np.argsort(-row, kind="stable")[:3]
        seen = [k for k in order if row[k] >= SEEN] or [order[0]]
        read = sentences.listed(f"{columns[k]} ({row[k]:.2f})" for k in seen)
        said.append(Said("{word} reads {places}.", word=own, places=read))
    return joined(said)
