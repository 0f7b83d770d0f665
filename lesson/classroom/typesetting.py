"""The sheets as PDF: their HTML is set by Typst, which needs neither a browser nor fonts.

Typst comes with `pip install` and brings its own typefaces for Latin; those of the formulas come
with ziamath, those for Korean and Chinese are `lesson/assets/*.otf`. What these lack is looked for
among the machine's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

from lesson import languages
from tinygrad_lstm.errors import TinygradError
from viz import Figure

PAPERS = {"a4": "a4", "letter": "us-letter"}
SIZES = (12.0, 11.5, 11.0, 10.5, 10.0, 9.5, 9.0, 8.5, 8.0, 7.5, 7.0, 6.5, 6.0)  # points
READABLE = 9.0  # of a sheet that fits in no size
SLIDE_SIZES = (20.0, 18.5, 17.0, 15.5, 14.0, 12.5, 11.0, 9.5, 8.0)
_VOID = {"br", "input", "meta", "hr", "mspace"}
_DROPPED = {"script", "style", "fieldset", "nav", "figcaption"}
_HIDDEN = {"unseen", "place", "glyphs"}  # classes of what only a screen shows


class TypesettingError(TinygradError):
    """A sheet that cannot be written as PDF."""


@dataclass
class Element:
    """An element of HTML: its tag, attributes, and what is in it."""

    tag: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    inside: list[Element | str] = field(default_factory=list)

    @property
    def classes(self) -> list[str]:
        """The words of its class."""
        return self.attributes.get("class", "").split()

    @property
    def elements(self) -> list[Element]:
        """The elements in it."""
        return [part for part in self.inside if isinstance(part, Element)]

    @property
    def text(self) -> str:
        """All text in it."""
        return "".join(part if isinstance(part, str) else part.text for part in self.inside)

    def every(self) -> Iterator[Element]:
        """All elements below it."""
        for part in self.elements:
            yield part
            yield from part.every()

    def find(self, tag: str) -> Iterator[Element]:
        """All elements of a tag below it."""
        return (part for part in self.every() if part.tag == tag)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("")
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        made = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].inside.append(made)
        if tag not in _VOID:
            self._open.append(made)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        made = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].inside.append(made)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        self._open[-1].inside.append(data)


def read_html(text: str) -> Element:
    """HTML that this project wrote as a tree."""
    reader = _Reader()
    reader.feed(text)
    return reader.root


def pdf(
    html: str,
    figures: Mapping[str, Figure],
    language: str,
    paper: str = "a4",
    pages: int | None = None,
    slides: bool = False,
    longer: str = "",
) -> bytes:
    """A sheet as PDF in one of its languages, in the largest letters that fit on `pages` pages.

    slides: each is a page, whatever `pages` says. figures: by the name of their place. longer: what
    stands at the foot of a sheet that does not fit in any size, and is set in readable letters.

    TypesettingError where Typst cannot be imported.
    """
    try:
        import typst
    except ImportError as error:
        raise TypesettingError(
            f"PDF needs the package typst, which cannot be imported: {error}\n"
            f"  Install it with `pip install typst`; the HTML needs no package and prints as well."
        ) from None
    writer = _Writer(language)
    tree = read_html(html)
    body = writer.write(tree)
    if slides:
        pages = sum("slide" in section.classes for section in tree.find("section"))
    images = {f"figure-{name}": figures[name].svg(css=False) for name in writer.figures}
    fonts = typst.Fonts(font_paths=[_assets(), _of_formulas()])

    def typeset(size: float, foot: str = "") -> bytes:
        text = _head(language, paper, size, slides) + body + foot
        try:
            return typst.compile(text.encode(), font_paths=fonts, sys_inputs=images)
        except RuntimeError as error:
            raise TypesettingError(f"Typst cannot set this sheet: {error}") from error

    if pages is None:
        return typeset(10.0)
    for size in SLIDE_SIZES if slides else SIZES:
        made = typeset(size)
        if count_pages(made) <= pages:
            return made
    return made if slides else typeset(READABLE, f"\n#par[#small[{escape(longer)}]]\n")


def count_pages(made: bytes) -> int:
    """How many pages a PDF of Typst's has."""
    return max(map(int, re.findall(rb"/Type\s*/Pages.*?/Count (\d+)", made, re.DOTALL)), default=0)


def _assets() -> Path:
    return Path(str(resources.files("lesson.assets")))


def _of_formulas() -> Path:
    return Path(str(resources.files("ziamath"))) / "fonts"


def _head(language: str, paper: str, size: float, slides: bool) -> str:
    own = languages.language(language).font
    page = (
        "#set page(width: 297mm, height: 167mm, margin: (x: 16mm, y: 11mm))"
        if slides
        else f'#set page(paper: "{PAPERS[paper]}", margin: 13mm)'
    )
    template = resources.files("lesson.classroom").joinpath("sheet.typ").read_text("utf-8")
    return (
        f"{page}\n#set document(date: none)\n"
        f'#set text(font: "{own}", lang: "{language}", size: {size}pt)\n'
        f"#let tall = {'0.42 * (167mm - 22mm)' if slides else '70mm'}\n{template}\n"
    )


class _Writer:
    """HTML as Typst's markup, what is said in another language left out."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.figures: list[str] = []

    def write(self, element: Element | str) -> str:
        """An element, or text."""
        if isinstance(element, str):
            return escape(re.sub(r"\s+", " ", element))
        if element.tag in _DROPPED or _HIDDEN & {*element.classes}:
            return ""
        if element.attributes.get("lang", self.language) != self.language and element.tag != "html":
            return ""
        make: Callable[[Element], str] = getattr(self, f"_{element.tag}", self.inner)
        return make(element)

    def inner(self, element: Element) -> str:
        """What is in an element."""
        return "".join(map(self.write, element.inside))

    def _head(self, element: Element) -> str:
        (title,) = element.find("title")
        return f"#set document(title: [{escape(title.text)}])\n"

    def _h1(self, element: Element) -> str:
        return f"\n#title[{self.inner(element)}]\n"

    def _h2(self, element: Element) -> str:
        return f"\n#section[{self.inner(element)}]\n"

    def _p(self, element: Element) -> str:
        made = self.inner(element)
        if "write" in element.classes:
            return made
        for name in element.classes:
            if name in ("lead", "small", "answer", "question", "fill"):
                made = f"#{name}[{made}]"
        return f"\n#par[{made}]\n"

    def _div(self, element: Element) -> str:
        return f"\n{self.inner(element)}\n"

    def _section(self, element: Element) -> str:
        return f"\n#sheet[{self.inner(element)}]\n"

    def _aside(self, element: Element) -> str:
        return f"\n#aside[{self.inner(element)}]\n"

    def _figure(self, element: Element) -> str:
        name = element.attributes["data-figure"]
        self.figures.append(name)
        kind = "sign" if name.startswith("sign-") else "drawing"
        return f'#{kind}("figure-{name}")'

    def _ul(self, element: Element) -> str:
        return f"\n#list({self._items(element)})\n"

    def _ol(self, element: Element) -> str:
        return f"\n#enum({self._items(element)})\n"

    def _items(self, element: Element) -> str:
        return "".join(f"[{self.inner(item)}]," for item in element.find("li"))

    def _table(self, element: Element) -> str:
        rows = list(element.find("tr"))
        count = max(len(row.elements) for row in rows)
        kind = next(iter(element.classes), "equations")
        cells = []
        for row in rows:
            found = [f"[{self.inner(cell)}]" for cell in row.elements]
            cells += found + ["[]"] * (count - len(found))
        return f"\n#{kind}-table({count}, {','.join(cells)})\n"

    def _span(self, element: Element) -> str:
        made = self.inner(element)
        for name in element.classes:
            if name in ("line", "blank", "long", "full"):
                made = f"#{name}-gap"
            elif name in ("answer", "box"):
                name = "box-mark" if name == "box" else name
                made = f"#{name}[{made}]"
            elif name == "whole":
                made = f"#box[{made}]"
        return made

    def _b(self, element: Element) -> str:
        made = f"#strong[{self.inner(element)}]"
        return f"#answer[{made}]" if "answer" in element.classes else made

    _strong = _b

    def _em(self, element: Element) -> str:
        return f"#emph[{self.inner(element)}]"

    def _code(self, element: Element) -> str:
        quoted = element.text.replace("\\", "\\\\").replace('"', '\\"')
        return f'#raw("{quoted}")'

    def _br(self, element: Element) -> str:
        return "#linebreak()"

    def _math(self, element: Element) -> str:
        return f"${mathematics(element)}$"


def escape(text: str) -> str:
    """Text as Typst's markup that shows it as it is."""
    return re.sub(r"([\\#$*_`<>@\[\]~=+/-])", r"\\\1", text)


# --- mathematics ----------------------------------------------------------------------------------
_ACCENTS = {"¯": "overline", "~": "tilde", "˜": "tilde", "^": "hat", "ˆ": "hat", "˙": "dot"}


def mathematics(element: Element) -> str:
    """MathML as Typst's mathematics."""
    parts = [mathematics(part) for part in element.elements]
    make = _MATHEMATICS.get(element.tag)
    if make is not None:
        return make(element, parts)
    inside = " ".join(parts)
    return f'#gap("{element.text}")' if "gap" in element.classes else inside


def _identifier(element: Element, parts: list[str]) -> str:
    text = element.text.strip()
    if len(text) == 1:
        plain = element.attributes.get("mathvariant") == "normal"
        return f"upright({_sign(text)})" if plain else _sign(text)
    return f'op("{text}")'


def _sign(text: str) -> str:
    return "".join(f"\\{c}" if c in "\\#$*_^&/\"'()[]{},;:|~`<>@." else c for c in text)


def _over(element: Element, parts: list[str]) -> str:
    base, mark = parts
    name = _ACCENTS.get(element.elements[1].text.strip())
    return f"{name}({base})" if name else f"attach({base}, t: {mark})"


def _rows(element: Element, parts: list[str]) -> str:
    return r" \ ".join(parts)


def _scripts(*places: str) -> Callable[[Element, list[str]], str]:
    def write(element: Element, parts: list[str]) -> str:
        base, *others = (part or "zws" for part in parts)
        found = ", ".join(f"{place}: {part}" for place, part in zip(places, others, strict=True))
        return f"attach({base}, {found})"

    return write


def _row_of_table(element: Element, parts: list[str]) -> str:
    return f"{parts[0]} & {' '.join(parts[1:])}"


_MATHEMATICS: dict[str, Callable[[Element, list[str]], str]] = {
    "mi": _identifier,
    "mn": lambda element, parts: f'"{element.text.strip()}"',
    "mo": lambda element, parts: _sign(element.text.strip()),
    "mtext": lambda element, parts: f'"{element.text}"',
    "mspace": lambda element, parts: "quad",
    "msub": _scripts("b"),
    "msup": _scripts("t"),
    "msubsup": _scripts("b", "t"),
    "munder": _scripts("b"),
    "munderover": _scripts("b", "t"),
    "mover": _over,
    "mfrac": lambda element, parts: f"frac({parts[0]}, {parts[1]})",
    "msqrt": lambda element, parts: f"sqrt({' '.join(parts)})",
    "mtable": _rows,
    "mtr": _row_of_table,
}

__all__ = ["PAPERS", "TypesettingError", "count_pages", "pdf"]
