"""What the page shows of a cell beside its text, in the order in which it is made."""

from __future__ import annotations

import base64
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from markupsafe import Markup

import viz
from lesson import figures, formulas, languages
from lesson.building import FONT
from lesson.cell_checks import check
from lesson.commands.step import small_run
from lesson.editing.errors import in_words
from lesson.models import check_suited
from lesson.page import render
from lesson.parts import checks, scripts, sliders, stepper, style
from lesson.prose import Texts
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.step import Cell
from tinygrad_lstm.stepper.trace import step_through

STEPS = 3  # of the unrolled figure and of the run that is stepped through
QUICK = 2  # drawn cases a property; then as many as the lesson has


@dataclass(frozen=True)
class Reading:
    """A piece of the page. frame: it has scripts of its own, so it gets a document of its own."""

    name: str
    html: str
    frame: bool = False


def readings(cell: Cell) -> Iterator[Reading]:
    """Every reading of a cell; one that cannot be made says why."""
    for name, make in _MAKERS.items():
        yield from _tried(name, make, cell)


def _tried(name: str, make: Callable[[Cell], Iterator[Reading]], cell: Cell) -> Iterator[Reading]:
    try:
        yield from make(cell)
    except Exception as error:  # a mistake of ours in one reading leaves the others
        if not isinstance(error, TinygradError):
            traceback.print_exc()
        yield Reading(name, _page("refused.html", words=in_words(error)))


def _equations(cell: Cell) -> Iterator[Reading]:
    shown = formulas.formula(formulas.forward(cell))
    yield Reading("equations", _page("formula.html", shown=shown))


def _backward(cell: Cell) -> Iterator[Reading]:
    lines = formulas.backward(cell)
    shown = formulas.formula(lines)
    yield Reading("backward", _page("formula.html", shown=shown, legend=lines.legend))


def _figure(cell: Cell) -> Iterator[Reading]:
    yield _drawn("figure", viz.cell(cell))


def _unrolled(cell: Cell) -> Iterator[Reading]:
    yield _drawn("unrolled", viz.unrolled(cell, STEPS))


def _drawn(name: str, figure: viz.Figure) -> Reading:
    draw = figures.Drawer()
    shown = draw(f"edit-{name}", figure)
    html = _page("figure.html", shown=shown, glyphs=draw.glyphs(), page=Texts("page"))
    return Reading(name, html)


def _sliders(cell: Cell) -> Iterator[Reading]:
    yield _framed("sliders", sliders.sliders(cell))


def _stepper(cell: Cell) -> Iterator[Reading]:
    trace = step_through(small_run(cell, STEPS, 0, {})[0])
    body = stepper.part(cell, stepper.TinyRun(trace), choosing=False)
    yield _framed("stepper", body)


def _further(cell: Cell) -> Iterator[Reading]:
    """The command that builds the lesson around the cell, or why there is none."""
    words: dict[str, str] = {}
    try:
        check_suited(cell)
    except TinygradError as error:
        words = in_words(error)
    file = cell.step.__code__.co_filename
    yield Reading("further", _page("further.html", cell=cell, file=file, words=words))


def _checks(cell: Cell) -> Iterator[Reading]:
    for examples in (QUICK, checks.EXAMPLES):
        table = checks.table(check(cell, examples), cell.name, examples)
        yield Reading("checks", str(table))


_MAKERS: dict[str, Callable[[Cell], Iterator[Reading]]] = {
    "equations": _equations,
    "figure": _figure,
    "backward": _backward,
    "sliders": _sliders,
    "unrolled": _unrolled,
    "stepper": _stepper,
    "further": _further,
    "checks": _checks,
}
NAMES = tuple(_MAKERS)


def _page(template: str, **context: object) -> str:
    return str(render("lesson.editing", template, t=Texts("editing"), **context))


def _framed(part: str, body: Markup) -> Reading:
    """A part with its scripts, as a document that can do nothing outside itself."""
    html = render(
        "lesson.editing",
        "frame.html",
        t=Texts("editing"),
        part=part,
        languages=languages.languages(),
        css=_style(part),
        body=body,
        scripts=scripts(part),
    )
    return Reading(part, str(html), frame=True)


@cache
def _style(part: str) -> str:
    font = base64.b64encode(FONT.read_bytes()).decode()
    face = (
        '@font-face{font-family:"STIX Two Math Subset";'
        f'src:url(data:font/woff2;base64,{font}) format("woff2")}}'
    )
    return f"{face}\n{figures.colours()}\n{style(part)}"
