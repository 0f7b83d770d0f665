r"""Plain words among formulas: how LaTeX has them, how they are drawn, what no bundled font has.

Words are `\text{…}` with what TeX reads as a command escaped. Drawn they are glyphs as formulas
are; characters that the bundled font does not have, Korean and Chinese ones among them, are text
of the SVG in a font of the reader's, squeezed or stretched into the room that was left for them.
"""

from __future__ import annotations

import re
import unicodedata
from xml.sax.saxutils import escape

ESCAPES = {
    **{c: f"\\{c}" for c in "_&%#${}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
_LATEX = {latex: c for c, latex in ESCAPES.items()}
_ESCAPED = re.compile("|".join(map(re.escape, sorted(_LATEX, key=len, reverse=True))))
_FAMILY = "sans-serif"


def words(text: str) -> str:
    r"""Plain words as LaTeX: \text{…}, with what TeX reads as a command escaped."""
    return rf"\text{{{''.join(ESCAPES.get(c, c) for c in shown(text))}}}"


def spoken(latex: str) -> str | None:
    r"""The plain words that some LaTeX is, and nothing else; None of a formula."""
    if not latex.startswith(r"\text{") or not latex.endswith("}"):
        return None
    inner = latex[6:-1]
    bare = _ESCAPED.sub("", inner)
    return None if set(bare) & {"\\", "{", "}"} else _ESCAPED.sub(lambda m: _LATEX[m[0]], inner)


def shown(text: str) -> str:
    r"""A text without what cannot be seen: a lone blank is ␣, a line break \n."""
    if text.isspace() and text.strip(" ") == "":
        return "␣" * len(text)
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def typed(text: str, size: float) -> tuple[str, float, float, float]:
    """Words as text of the SVG: its markup, its width, how far it reaches up and down."""
    wide = sum(1.0 if unicodedata.east_asian_width(c) in "WF" else 0.58 for c in text)
    width = size * max(wide, 0.3)
    markup = (
        f'<text font-family="{_FAMILY}" font-size="{size:g}" textLength="{width:.2f}" '
        f'lengthAdjust="spacingAndGlyphs">{escape(text)}</text>'
    )
    return markup, width, 0.88 * size, 0.22 * size
