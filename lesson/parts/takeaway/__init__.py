"""What a reader may take away: equations to copy, figures to download as SVG and as TikZ.

The LaTeX and Unicode of an equation stand in its element (`data-latex`, `data-unicode`), MathML and
SVG are the page's own. The TikZ of the figures is kept here, each written by `viz.tikz`: deflated,
since most readers never ask for it.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping

from markupsafe import Markup

from lesson.prose import Texts, data
from lesson.subject import Subject
from viz import Figure, tikz


def markup(subject: Subject) -> Markup:
    """The data of every figure that was drawn for the page: to be put after all of them."""
    return takeaway(subject.draw.figures)


def takeaway(figures: Mapping[str, Figure]) -> Markup:
    """Figures as TikZ by the name of their place, and the texts of the buttons."""
    before, _, after = tikz.document("|").partition("|")
    pictures = {name: tikz.body(figure.scene) for name, figure in figures.items()}
    packed = base64.b64encode(zlib.compress(json.dumps(pictures).encode(), 9)).decode()
    kept = {
        "before": before + tikz.opening(),
        "after": tikz.CLOSING + after,
        "names": list(pictures),
        "pictures": packed,
    }
    return Texts("takeaway").script() + data("takeaway", kept)
