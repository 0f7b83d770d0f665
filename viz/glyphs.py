"""Formulas and words as drawn glyphs: exact sizes before the layout, no fonts after it.

A label is LaTeX. ziamath draws it with STIX Two Math as plain paths, so that a picture looks the
same on every machine and in every converter. The size of the ink is known before anything is
placed, which is why labels never touch lines.
"""

from __future__ import annotations

import re
import warnings
import xml.etree.ElementTree as ET
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from viz.words import spoken, typed

with warnings.catch_warnings():  # it finds its font by a call that Python 3.11 deprecates
    warnings.simplefilter("ignore", DeprecationWarning)
    from ziamath.config import config
    from ziamath.zmath import Latex, Math


@dataclass(frozen=True)
class Glyphs:
    """A drawn label: SVG content whose ink fills (x, y, width, height), in points, y downwards."""

    content: str
    x: float
    y: float
    width: float
    height: float


_NUMBER = r"\{?-?\d[\d.]*( \\cdot 10\^\{-?\d+\})?\}?"
_NUMBERS = re.compile(rf"(\\nabla\\,)?\(?{_NUMBER}(,\\;{_NUMBER})*\)?")
_DIGIT = re.compile(r"10\^\{-?\d+\}|(\d)")
_PATH = re.compile(r'<path d="M (\S+) (\S+) .*?/>')


def glyphs(latex: str, size: float) -> Glyphs:
    """The glyphs of a formula at a font size in points.

    Digits are equally wide, and of all the values in a figure hardly two are alike: one layout
    serves all values with as many digits, whose shapes are then put in.
    """
    if len(latex) > 1 and _NUMBERS.fullmatch(latex):
        zeros = _DIGIT.sub(lambda found: "0" if found[1] else found[0], latex)
        digits = [own for own, zero in zip(latex, zeros, strict=True) if zero == "0"]
        return _with_digits(digits, _drawn(zeros, size), size)
    return _drawn(latex, size)


@lru_cache(maxsize=4096)
def _drawn(latex: str, size: float) -> Glyphs:
    text = spoken(latex)
    if text is not None and not all(map(is_drawn, text)):
        content, width, up, down = typed(text, size)
        return Glyphs(content, 0.0, -up, width, up + down)
    before = config.svg2, config.precision
    config.svg2, config.precision = False, 2
    try:
        svg = (Latex(latex, size=size) if text is None else _words(text, size)).svg()
    finally:
        config.svg2, config.precision = before
    found = re.search(r'viewBox="(\S+) (\S+) (\S+) (\S+)"', svg)
    x, y, width, height = map(float, found.groups()) if found else (0.0, 0.0, 0.0, 0.0)
    content = svg[svg.index(">") + 1 : svg.rindex("</svg>")]
    content = re.sub(r' (fill|stroke|stroke-width)="[^"]*"', "", content)
    # ziamath leaves a margin of one point around the ink
    return Glyphs(content, x + 1, y + 1, width - 2, height - 2)


@cache
def is_drawn(character: str) -> bool:
    """Whether the bundled font has a character."""
    font = Math(ET.Element("math")).font
    return character.isspace() or font.glyphindex(character) != 0


def _words(text: str, size: float) -> Math:
    """Words as they are, whatever LaTeX or MathML would read into them."""
    math = ET.Element("math")
    ET.SubElement(math, "mtext").text = text.replace(" ", "\u00a0")
    return Math(math, size=size)


def _with_digits(digits: list[str], layout: Glyphs, size: float) -> Glyphs:
    """A layout of zeros with other digits in their places."""
    zero = _PATH.search(_drawn("0", size).content)
    assert zero is not None
    form, x, y = _form(zero[0]), float(zero[1]), float(zero[2])
    left = iter(digits)

    def digit(found: re.Match[str]) -> str:
        if _form(found[0]) != form or (own := next(left)) == "0":
            return found[0]
        dx, dy = float(found[1]) - x, float(found[2]) - y
        return _drawn(own, size).content.replace(
            "<path ", f'<path transform="translate({dx:.2f} {dy:.2f})" '
        )

    return replace(layout, content=_PATH.sub(digit, layout.content))


def _form(path: str) -> str:
    """The commands of a path, without its coordinates."""
    return re.sub(r"[^A-Z]", "", path)
