"""The gallery: a page of Markdown and a figure for every built-in cell and every system.

Everything in it is read off the cells; a test compares it with `docs/gallery`.
"""

from __future__ import annotations

import inspect
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache, partial, reduce
from itertools import pairwise
from pathlib import Path
from typing import Any

import equations
import viz
from lesson.page import render
from tinygrad_lstm import cells, sizes, systems
from tinygrad_lstm.errors import DataError
from tinygrad_lstm.networks import Part, System
from tinygrad_lstm.step import Cell
from viz.sentences import listed

LETTERS = {"hidden": "n", "inputs": "m"}  # any other size is written by its first letter
EXAMPLE = {"hidden": 128, "inputs": 64}


def pages() -> dict[str, Callable[[], str]]:
    """The gallery's Markdown by file name, written when it is called."""
    found: dict[str, Callable[[], str]] = {
        "README.md": _contents,
        "forms-of-the-gru.md": _gru_forms,
    }
    found |= {f"{name}.md": partial(_page, cell) for name, cell in cells.all().items()}
    found |= {f"{name}.md": partial(_system, name, part) for name, part in systems.all().items()}
    return found


def figures() -> dict[str, Callable[[], viz.Figure]]:
    """The gallery's figures by file name, drawn when they are called."""
    found: dict[str, Callable[[], viz.Figure]] = {}
    found |= {f"{name}.svg": partial(viz.cell, cell) for name, cell in cells.all().items()}
    return found | {f"{name}.svg": partial(_figure, part) for name, part in systems.all().items()}


def write(folder: Path) -> list[Path]:
    """Write the gallery into a folder, which is made if need be; the files, in order.

    Raises DataError where the folder cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, page in pages().items():
            (folder / name).write_text(page(), encoding="utf-8", newline="\n")
    except OSError as error:
        raise DataError(
            f"cannot write the gallery to {folder}: {error.strerror or error}.\n"
            f"  Name a folder that you may write to."
        ) from error
    return [
        *(folder / name for name in pages()),
        *(figure().save(folder / name) for name, figure in figures().items()),
    ]


# --- pages ----------------------------------------------------------------------------------------
def _contents() -> str:
    return _filled(
        "contents",
        example=EXAMPLE,
        cells=cells.all().values(),
        formula=formula,
        count=count,
        number=_number,
        systems=systems.all(),
        about=about,
        sources=lambda part: "; ".join(_short(cells.papers()[key]) for key in _papers(part)),
    )


def _gru_forms() -> str:
    """The three forms of the GRU line by line: what people ask about its conventions."""
    forms = (cells.gru, cells.gru_cho2014, cells.gru_reset_after)
    pairs = [(a.name, b.name, equations.difference(a, b).unicode()) for a, b in pairwise(forms)]
    return _filled("gru_forms", pairs=pairs)


def _page(cell: Cell) -> str:
    shapes: dict[str, list[str]] = {}  # parameters of one shape stand in one row
    for name, words in cell.parameters.items():
        shapes.setdefault(words, []).append(equations.name_latex(name, None))
    return _filled(
        "cell",
        cell=cell,
        doc=inspect.cleandoc(cell.doc),
        alt=viz.cell(cell).alt,
        forward=equations.forward(cell),
        backward=equations.backward(cell),
        counted=_counted(cell),
        shapes=shapes,
        papers=[cells.papers()[key] for key in cell.papers],
    )


def _system(name: str, part: Part) -> str:
    """A system, or a cell that was written for one: what stands inside it closed, then opened."""
    shapes: dict[str, list[str]] = {}
    for own, words in part.parameters.items():
        shapes.setdefault(words, []).append(equations.name_latex(own, None))
    closed = None
    if isinstance(part, Cell) and part.program().calls:
        closed = equations.forward(part, folded=True)
    return _filled(
        "system",
        name=name,
        doc=about(part),
        alt=_figure(part).alt,
        closed=closed,
        forward=_forward(part),
        parts=part.parts if isinstance(part, System) else {},
        shapes=shapes,
        papers=[cells.papers()[key] for key in _papers(part)],
    )


def _forward(part: Part) -> Any:
    """All equations, of a network too."""
    forward: Any = equations.forward
    return forward(part)


@cache
def _figure(part: Part) -> viz.Figure:
    """A cell with the cells in it as boxes; a network over three steps."""
    return viz.cell(part, folded=True) if isinstance(part, Cell) else viz.unrolled(part, 3)


def about(part: Part) -> str:
    """What a part is, in its own words, or of what parts it consists."""
    if isinstance(part, Cell):
        return inspect.cleandoc(part.doc)
    inside = listed(f"{name} ({each.name})" for name, each in part.parts.items())
    return f"{len(part.parts)} networks with wires between them: {inside}."


def _papers(part: Part) -> list[str]:
    """The papers of a cell, or of all the cells in a network."""
    if isinstance(part, Cell):
        return list(part.papers)
    return list(dict.fromkeys(key for each in part.parts.values() for key in _papers(each)))


def _filled(template: str, **context: Any) -> str:
    text = str(render(__name__, f"{template}.md", **context))
    return re.sub("\n{3,}", "\n\n", text) + "\n"  # what has no entries leaves no gap


def _counted(cell: Cell) -> str:
    used = sizes.names(cell.parameters)
    letters = listed(f"{_letter(size)} = {size}" for size in used)
    said = f"{formula(count(cell))}, where {letters}"
    number = _number(cell)
    if not number:
        return f"{said}."
    example = ", ".join(f"{size} = {EXAMPLE[size]}" for size in used)
    return f"{said}: {number} for {example}."


# --- counting -------------------------------------------------------------------------------------
def count(cell: Cell) -> sizes.Axis:
    """How many numbers the parameters of a cell have, as a polynomial in its sizes."""
    total: sizes.Axis = {}
    for words in cell.parameters.values():
        for factors, n in reduce(sizes.times, sizes.parse(words)).items():
            total[factors] = total.get(factors, 0) + n
    return total


def formula(polynomial: sizes.Axis) -> str:
    """A polynomial as one writes it, a common factor before it: 4(n² + nm + n)."""
    common = math.gcd(*polynomial.values())
    terms = sorted(polynomial.items(), key=lambda term: (-len(term[0]), term[0]))
    written = " + ".join(_term(factors, a // common) for factors, a in terms)
    if common == 1:
        return written
    return f"{common}({written})" if len(terms) > 1 else _term(terms[0][0], common)


def _term(factors: tuple[str, ...], coefficient: int) -> str:
    powers = Counter(_letter(size) for size in factors)
    letters = "".join(letter + {1: "", 2: "²", 3: "³"}[n] for letter, n in powers.items())
    return letters if coefficient == 1 and letters else f"{coefficient}{letters}"


def _letter(size: str) -> str:
    return LETTERS.get(size, size[0])


def _number(cell: Cell) -> str:
    """The number of parameters at the example's sizes, if the cell has no others."""
    if set(cell.sizes) - set(EXAMPLE):
        return ""
    return f"{sizes.value(count(cell), EXAMPLE):,}"


# --- sources --------------------------------------------------------------------------------------
def _short(paper: Mapping[str, Any]) -> str:
    """As one cites it: Hochreiter & Schmidhuber 1997, Greff et al. 2015."""
    first, *others = paper["authors"].removesuffix(" and others").split(", ")
    several = len(others) > 1 or paper["authors"].endswith(" and others")
    names = [author.split()[-1] for author in (first, *others)]
    return f"{names[0] + ' et al.' if several else ' & '.join(names)} {paper['year']}"
