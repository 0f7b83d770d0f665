"""LaTeX to MathML Core: what latex2mathml writes, put right for browsers."""

from __future__ import annotations

import re
from functools import lru_cache
from xml.etree import ElementTree as xml

from latex2mathml.converter import convert

from tinygrad_lstm.text import COLOURS

_NAMESPACE = "{http://www.w3.org/1998/Math/MathML}"
_ACCENTS = {"¯", "~", "^", "˙", "ˇ", "→", "―", "⃗", "˜", "ˆ"}
_KINDS = {colour: kind for kind, colour in COLOURS.items()}


@lru_cache(maxsize=4096)
def mathml_row(latex: str) -> str:
    """The MathML elements of one piece of LaTeX, as one <mrow>."""
    root = xml.fromstring(convert(latex))
    _repaired(root)
    row = root[0]
    row.tag = "mrow"
    return xml.tostring(row, encoding="unicode")


def _repaired(element: xml.Element) -> None:
    element.tag = element.tag.removeprefix(_NAMESPACE)
    for child in element:
        _repaired(child)
    text = element.text or ""
    if element.tag in ("mover", "munder") and len(element) == 2:
        mark = element[1]
        if mark.tag == "mo" and mark.text in _ACCENTS:
            element.set("accent" if element.tag == "mover" else "accentunder", "true")
            mark.attrib.pop("accent", None)
            if mark.text in ("―", "¯"):
                mark.text = "¯" if element.tag == "mover" else "_"
                mark.set("stretchy", "true")
    if element.tag == "msub" and element[0].text == "∑":
        element.tag = "munder"
        element[0].set("movablelimits", "true")
    if element.tag == "mtext":
        element.text = text.replace(r"\_", "_")
    if element.tag == "mo" and re.fullmatch(r"[A-Za-z][A-Za-z-]+", text):
        element.tag = "mi"  # a function's name is no operator with space around it
    if element.get("mathvariant") == "italic":
        del element.attrib["mathvariant"]  # MathML Core has only "normal"; one letter is italic
    if (
        element.tag == "mrow"
        and len(element) > 1
        and all(child.tag == "mi" and child.get("mathvariant") == "normal" for child in element)
    ):
        word = "".join(child.text or "" for child in element)
        for child in list(element):
            element.remove(child)
        xml.SubElement(element, "mi").text = word
    if element.tag == "mstyle" and element.get("mathcolor") in _KINDS:
        element.tag = "mrow"
        element.set("class", _KINDS[element.attrib["mathcolor"]])
        element.set("style", "border-bottom: 0.08em solid")  # of the whole, below its subscripts
        line = next(element.iter("munder"))
        element[:] = [line[0]]


def math(content: str, display: bool = True) -> str:
    """A <math> element around MathML content."""
    return f'<math display="{"block" if display else "inline"}">{content}</math>'


def table(rows: list[list[str]]) -> str:
    """Rows of cells aligned at the equals sign: left-hand side, right-hand side, remark."""
    sides = [f"text-align: {side}; padding: 0.15em 0" for side in ("right", "left", "left")]
    sides[2] += " 0.15em 1.5em"
    body = "".join(
        "<mtr>"
        + "".join(f'<mtd style="{sides[k]}">{cell}</mtd>' for k, cell in enumerate(row))
        + "</mtr>"
        for row in rows
    )
    return f'<mtable displaystyle="true">{body}</mtable>'


def broken(left: str, *rows: str) -> list[list[str]]:
    """A line's pieces in LaTeX as table rows; one that continues a sum is set in."""
    first, *others = map(mathml_row, rows)
    indent = '<mspace width="1.4em"/>'
    # a sign that begins a row would stand close to its term, as in -1
    infix = [re.sub("^<mrow><mo>", '<mrow><mo form="infix">', row) for row in others]
    continued = [["<mrow/>", f"<mrow>{indent}{row}</mrow>"] for row in infix]
    return [[mathml_row(left), first], *continued]
