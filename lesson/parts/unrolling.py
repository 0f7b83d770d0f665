"""The unrolled network, for as many steps as the reader chooses."""

from __future__ import annotations

from markupsafe import Markup
from viz.networks import WIDTH

import viz
from lesson import prose
from lesson.subject import Subject
from tinygrad_lstm.cells import rnn

MOST, FIRST = 8, 4
PITCH = 52.0 + WIDTH  # from one copy to the next


def markup(subject: Subject) -> Markup:
    """One figure of all steps; a window on it shows the first few."""
    t = prose.Texts("unrolling")
    figure = viz.unrolled(rnn, MOST)
    left, top, right, bottom = figure.scene.bounds()
    ends = [PITCH * k - WIDTH / 2 - 1 - left for k in range(1, MOST)] + [right - left]
    drawn = subject.draw("unrolled", figure)
    window = f'viewBox="{left:g} {top:g} {ends[FIRST - 1]:g} {bottom - top:g}"'
    svg = _cut(drawn.svg, window, ends[FIRST - 1])
    return Markup(
        '<figure class="drawing wide unrolling" id="figure-unrolled" data-part="unrolling" '
        'data-figure="unrolled" data-ends="{}">{}<div class="controls" hidden><label>{} '
        '<input type="range" min="1" max="{}" value="{}"></label> <output></output></div>'
        '<div class="scroll" role="group" aria-labelledby="caption-unrolled">{}</div>'
        '<figcaption><span id="caption-unrolled">{}</span>'
        "<details><summary>{}</summary><p>{}</p></details></figcaption></figure>"
    ).format(
        " ".join(f"{end:g}" for end in ends),
        t.script("depth"),
        t.line("steps"),
        MOST,
        FIRST,
        svg,
        t.line("caption"),
        prose.Texts("page").line("text_version"),
        prose.translate_html(figure.alt),
    )


def _cut(svg: Markup, window: str, width: float) -> Markup:
    """The SVG with another view box, and as wide as that."""
    start, _, rest = str(svg).partition(">")
    kept = start.split(" width=")[0]
    return Markup(f'{kept} width="{width:g}pt" {window}>{rest}')
