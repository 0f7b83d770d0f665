"""Figures as they stand in the page."""

from __future__ import annotations

import re
from dataclasses import dataclass

from markupsafe import Markup

from viz import Figure

_NAMED = re.compile(r' aria-labelledby="[^"]*"')
_TOLD = re.compile(r'<(title|desc) id="[^"]*">.*?</\1>\n', re.S)


@dataclass(frozen=True)
class Embedded:
    """A figure in the page: its SVG, named by the caption `caption-NAME`, and its text version."""

    svg: Markup
    alt: str


def embedded(name: str, figure: Figure) -> Embedded:
    """A figure for the place `name` of the page, which its ids begin with."""
    svg = _TOLD.sub("", figure.svg(prefix=name))
    svg = _NAMED.sub(f' aria-labelledby="caption-{name}"', svg, count=1)
    return Embedded(Markup(svg), figure.alt)
