"""The gallery: a page of Markdown and a figure for every built-in cell, and a table of them all.

Everything in it is read off the cells; `tests/test_gallery.py` compares it with `docs/gallery`.
"""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import equations
import viz
from tinygrad_lstm import cells, sizes
from tinygrad_lstm.errors import DataError
from tinygrad_lstm.step import Cell
from viz.sentences import listed

LETTERS = {"hidden": "n", "inputs": "m"}  # any other size is written by its first letter
EXAMPLE = {"hidden": 128, "inputs": 64}

Polynomial = Counter[tuple[str, ...]]  # 4n² + n is {("hidden", "hidden"): 4, ("hidden",): 1}


def pages() -> dict[str, str]:
    """The gallery's Markdown by file name."""
    found = {"README.md": _contents(), "forms-of-the-gru.md": _gru_forms()}
    return found | {f"{name}.md": _page(cell) for name, cell in cells.all().items()}


def figures() -> dict[str, viz.Figure]:
    """The gallery's figures by file name."""
    return {f"{name}.svg": viz.cell(cell) for name, cell in cells.all().items()}


def write(folder: Path) -> list[Path]:
    """Write the gallery into a folder, which is made if need be; the files, in order.

    Raises DataError where the folder cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in pages().items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise DataError(
            f"cannot write the gallery to {folder}: {error.strerror or error}.\n"
            f"  Name a folder that you may write to."
        ) from error
    return [
        *(folder / name for name in pages()),
        *(figure.save(folder / name) for name, figure in figures().items()),
    ]


# --- pages ----------------------------------------------------------------------------------------
def _contents() -> str:
    example = ", ".join(f"{LETTERS[name]} = {n}" for name, n in EXAMPLE.items())
    lines = [
        "# Gallery of recurrent cells",
        "",
        "Every page is generated from the cell's program: its equations, the backward equations",
        "that SymPy derives from them, its figure and its number of parameters. Made by",
        "`tinygrad-lstm gallery`; do not edit it by hand.",
        "",
        f"n is the size `hidden`, m the size `inputs`; a number is given for {example}.",
        "",
        "| cell | what it is | parameters | number | from |",
        "|---|---|---|--:|---|",
    ]
    papers = cells.papers()
    for name, cell in cells.all().items():
        first = cell.doc.splitlines()[0]
        sources = "; ".join(_short(papers[key]) for key in cell.papers)
        row = (f"[{name}]({name}.md)", first, formula(count(cell)), _number(cell) or "", sources)
        lines.append(f"| {' | '.join(row)} |")
    lines += ["", "[Three forms of the GRU](forms-of-the-gru.md), compared line by line."]
    return "\n".join(lines) + "\n"


def _gru_forms() -> str:
    """The three forms of the GRU line by line: what people ask about its conventions."""
    parts = [
        "# Three forms of the GRU",
        "Papers and libraries write the same two gates in different ways, and weights of one form "
        "give wrong results in another without any error.",
        "| | `gru` | `gru_cho2014` | `gru_reset_after` |\n|---|---|---|---|\n"
        "| whose | Chung et al. 2014, Bahdanau et al. 2014 | Cho et al. 2014; Keras with "
        "`reset_after=False`, ONNX with `linear_before_reset=0` | PyTorch, cuDNN, Keras, ONNX with "
        "`linear_before_reset=1` |\n"
        "| z is the share of | the new state | the old state | the old state |\n"
        "| reset | before the matrix product | before the matrix product | after it |\n"
        "| biases | none | one a gate | two a gate |",
        "From one direction of z to the other: change the sign of all weights and biases of z, "
        "since 1 − σ(a) = σ(−a). From reset before the product to reset after it there is no way "
        "in general. How libraries order the gates: [weights](../weights.md).",
        "Below, a line of the first cell begins with −, one of the second with +; «…» is what "
        "changed.",
    ]
    for a, b in ((cells.gru, cells.gru_cho2014), (cells.gru_cho2014, cells.gru_reset_after)):
        lines = equations.difference(a, b).unicode()
        parts += [f"## `{a.name}` and `{b.name}`", f"```diff\n{lines}\n```"]
    parts.append("[All cells](README.md)")
    return "\n\n".join(parts) + "\n"


def _page(cell: Cell) -> str:
    figure = viz.cell(cell)
    forward, backward = equations.forward(cell), equations.backward(cell)
    legend = [f"- $`{note.latex}`$: {note.words}" for note in backward.legend]
    papers = cells.papers()
    parts = [
        f"# {cell.name}",
        inspect.cleandoc(cell.doc),
        f'<img src="{cell.name}.svg" alt="{escape(figure.alt)}">',
        "## Equations",
        _mathematics(forward.latex()),
        "## Backward",
        "The gradients of a loss L, derived by SymPy, from the last step to the first.",
        _mathematics(backward.latex()),
        "\n".join(legend),
        "## Parameters",
        _counted(cell),
        _shapes(cell),
        "## From",
        "\n".join(f"- {_long(papers[key])}" for key in cell.papers),
        "[All cells](README.md)",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _mathematics(latex: str) -> str:
    return f"```math\n{latex}\n```"


def _counted(cell: Cell) -> str:
    used = dict.fromkeys(size for words in cell.parameters.values() for size in _sizes(words))
    letters = listed(f"{_letter(size)} = {size}" for size in used)
    said = f"{formula(count(cell))}, where {letters}"
    number = _number(cell)
    if not number:
        return f"{said}."
    example = ", ".join(f"{size} = {EXAMPLE[size]}" for size in used)
    return f"{said}: {number} for {example}."


def _shapes(cell: Cell) -> str:
    """A table of the parameters, those of one shape in one row."""
    rows: dict[str, list[str]] = {}
    for name, words in cell.parameters.items():
        rows.setdefault(words, []).append(f"$`{equations.name_latex(name, None)}`$")
    lines = ["| parameters | shape |", "|---|---|"]
    return "\n".join([*lines, *(f"| {', '.join(n)} | {words} |" for words, n in rows.items())])


# --- counting -------------------------------------------------------------------------------------
def count(cell: Cell) -> Polynomial:
    """How many numbers the parameters of a cell have, as a polynomial in its sizes."""
    total: Polynomial = Counter()
    for words in cell.parameters.values():
        one: Polynomial = Counter({(): 1})
        for axis in sizes.parse(words):
            product: Polynomial = Counter()
            for factors, a in one.items():
                for size, b in axis.items():
                    product[tuple(sorted((*factors, *size)))] += a * b
            one = product
        total += one
    return total


def value(polynomial: Polynomial, lengths: Mapping[str, int]) -> int:
    """A polynomial's value when the sizes in it are known."""
    return sum(a * math.prod(lengths[s] for s in factors) for factors, a in polynomial.items())


def formula(polynomial: Polynomial) -> str:
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


def _sizes(words: str) -> Iterable[str]:
    return (size for axis in sizes.parse(words) for size in sizes.names_in(axis))


def _number(cell: Cell) -> str:
    """The number of parameters at the example's sizes, if the cell has no others."""
    if set(cell.sizes) - set(EXAMPLE):
        return ""
    return f"{value(count(cell), EXAMPLE):,}"


# --- sources --------------------------------------------------------------------------------------
def _short(paper: Mapping[str, Any]) -> str:
    """As one cites it: Hochreiter & Schmidhuber 1997, Greff et al. 2015."""
    first, *others = paper["authors"].removesuffix(" and others").split(", ")
    several = len(others) > 1 or paper["authors"].endswith(" and others")
    names = [author.split()[-1] for author in (first, *others)]
    return f"{names[0] + ' et al.' if several else ' & '.join(names)} {paper['year']}"


def _long(paper: Mapping[str, Any]) -> str:
    return f"{paper['authors']} ({paper['year']}): {paper['title']}. {paper['where']}"
