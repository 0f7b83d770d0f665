"""Formulas and words as drawn glyphs: exact sizes before the layout, no fonts after it.

A label is LaTeX. ziamath draws it with STIX Two Math as plain paths, so that a picture looks the
same on every machine and in every converter. The size of the ink is known before anything is
placed, which is why labels never touch lines.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from functools import lru_cache

with warnings.catch_warnings():  # it finds its font by a call that Python 3.11 deprecates
    warnings.simplefilter("ignore", DeprecationWarning)
    from ziamath.config import config
    from ziamath.zmath import Latex


@dataclass(frozen=True)
class Glyphs:
    """A drawn label: SVG content whose ink fills (x, y, width, height), in points, y downwards."""

    content: str
    x: float
    y: float
    width: float
    height: float


@lru_cache(maxsize=4096)
def glyphs(latex: str, size: float) -> Glyphs:
    """The glyphs of a formula at a font size in points."""
    before = config.svg2, config.precision
    config.svg2, config.precision = False, 2
    try:
        svg = Latex(latex, size=size).svg()
    finally:
        config.svg2, config.precision = before
    found = re.search(r'viewBox="(\S+) (\S+) (\S+) (\S+)"', svg)
    x, y, width, height = map(float, found.groups()) if found else (0.0, 0.0, 0.0, 0.0)
    content = svg[svg.index(">") + 1 : svg.rindex("</svg>")]
    content = re.sub(r' (fill|stroke|stroke-width)="[^"]*"', "", content)
    # ziamath leaves a margin of one point around the ink
    return Glyphs(content, x + 1, y + 1, width - 2, height - 2)
