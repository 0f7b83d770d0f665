"""The unrolled network, for as many steps as the reader chooses."""

from __future__ import annotations

from markupsafe import Markup

import viz
from lesson.page import render
from lesson.prose import Texts
from lesson.subject import Subject
from tinygrad_lstm.cells import rnn
from viz.columns import STEP, WIDTH

MOST, FIRST = 8, 4
PITCH = STEP + WIDTH  # from one copy to the next


def markup(subject: Subject) -> Markup:
    """One figure of all steps; a window on it shows the first few."""
    figure = viz.unrolled(rnn, MOST)
    left, top, right, bottom = figure.scene.bounds()
    ends = [PITCH * k - WIDTH / 2 - 1 - left for k in range(1, MOST)] + [right - left]
    window = f'viewBox="{left:g} {top:g} {ends[FIRST - 1]:g} {bottom - top:g}"'
    return render(
        __name__,
        t=Texts("unrolling"),
        page=Texts("page"),
        ends=" ".join(f"{end:g}" for end in ends),
        most=MOST,
        first=FIRST,
        svg=_cut(subject.draw("unrolled", figure).svg, window, ends[FIRST - 1]),
        alt=figure.alt,
    )


def _cut(svg: Markup, window: str, width: float) -> Markup:
    """The SVG with another view box, and as wide as that."""
    start, _, rest = str(svg).partition(">")
    kept = start.split(" width=")[0]
    return Markup(f'{kept} width="{width:g}pt" {window}>{rest}')
