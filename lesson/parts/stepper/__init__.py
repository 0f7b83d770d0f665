"""The stepper on the page and in a frame: a trace forward and backward, one event at a time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

import viz
from lesson.commands.step import small_run
from lesson.figures import Drawer, backward
from lesson.languages import check_language, languages
from lesson.page import render
from lesson.parts import scripts, style
from lesson.parts.stepper.adjoints import choices
from lesson.parts.stepper.trace_data import compact, split, symbol
from lesson.prose import Texts, as_json
from lesson.subject import Subject
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.learning import CharacterModel, Text, Training
from tinygrad_lstm.notation import visible
from tinygrad_lstm.ops import log_softmax, matvec
from tinygrad_lstm.program import named
from tinygrad_lstm.running import unroll
from tinygrad_lstm.step import Cell
from tinygrad_lstm.stepper.trace import Trace, step_through
from tinygrad_lstm.stepper.written import leaf
from tinygrad_lstm.tensor import Tensor

SCRIPTS = ("trace", "stepper_view", "stepper", "predict")
LINE, READ, NEXT = "to be or not to be, ", "to be or", " "
_LETTER = r"[\w\u0300-\u036f\u20d0-\u20ff′](?<![ᵀ²])"
_NAME = re.compile(  # a label in a text: h, W_f, C̃_1, μ_{k,2}, C^(2)_1
    rf"([^\W\d_](?:(?!_{{){_LETTER})*(?:\^\([^)]*\))?(?:_(?:{{[^}}]*}}|{_LETTER}+))?′*)"
)


@dataclass(frozen=True)
class TinyRun:
    """A run that is small enough to be stepped through: its trace, and what was read in it."""

    trace: Trace
    read: str = ""
    next: str = ""

    @property
    def columns(self) -> list[str]:
        """The character read at each time step."""
        return list(visible(self.read))


@np.errstate(all="ignore")  # numbers that are none are part of the story
def tiny_run(
    cell: Cell, hidden: int = 4, training: int = 300, start: Mapping[str, Any] | None = None
) -> TinyRun:
    """A cell of `hidden` units, trained on one line of text, which reads eight characters of it.

    The loss is -log p of the character that comes next. Parameters are rounded to two decimals, so
    that what is shown can be checked by hand. A cell that text cannot be given to, or that does
    not learn, runs on random numbers instead, as in `tinygrad-lstm step`.
    """
    lengths: dict[str, Any] = {
        name: max(3 if name == "inputs" else hidden, cell.bounds.get(name, 1))
        for name in cell.sizes
    }
    try:
        text = Text(LINE * 160, "a line")
        model = CharacterModel(cell, text, seed=1, dtype=np.float64, start=start, **lengths)
        Training(model, text, batch=8, length=20, every=training + 1).run(steps=training)
    except TinygradError:
        return TinyRun(step_through(small_run(cell, len(READ), 0, lengths, start)[0]))
    p = {name: np.round(value, 2) for name, value in model.parameters.items()}
    xs = leaf(p["input.E"][model.vocabulary.encode(READ)], "x")
    run = unroll(cell, cell.bind({name: p[name] for name in cell.parameters}), xs)
    W_y, b_y = Tensor(p["output.W_y"], "W_y"), Tensor(p["output.b_y"], "b_y")
    scores = named(matvec(W_y, run.steps[-1][model.output]) + b_y, "scores")
    answer = int(model.vocabulary.encode(NEXT)[0])
    loss = named(-log_softmax(scores)[answer], "loss")
    return TinyRun(step_through(loss), READ, NEXT)


def markup(subject: Subject) -> Markup:
    """The stepper of a lesson's cell."""
    run = tiny_run(subject.cell, start=subject.model.start)
    return _markup(run, subject.cell, draw=subject.draw, start="tour")


def part(
    cell: Cell,
    run: TinyRun | None = None,
    ident: str = "stepper",
    draw: Drawer | None = None,
    choosing: bool = True,
) -> Markup:
    """The stepper of a cell for the page, of a tiny run of it unless one is given.

    ident: begins the ids of the markup. draw: makes figures that share what the page has already.
    choosing: adjoints may be chosen among wrong ones, which takes seconds to make.
    """
    return _markup(run or tiny_run(cell), cell, ident, draw=draw, choosing=choosing)


def document(trace: Trace | TinyRun, language: str = "en", cell: Cell | None = None) -> str:
    """The stepper of any trace as an HTML document of its own, for a notebook's frame.

    It needs nothing else and asks for nothing. cell: whose run it is, to show its figure. Raises
    UnknownNameError for a language there is no text in, TinygradError for too large a trace.
    """
    run = trace if isinstance(trace, TinyRun) else TinyRun(trace)
    check_language(language, "stepper")
    return render(
        __name__,
        "frame.html",
        language=language,
        title=Texts("stepper", tags=[language]).plain("title")[language],
        css=style("stepper"),
        body=_markup(run, cell, tags=[language], heading="h2"),
        script="\n".join(scripts("stepper")),
    )


@np.errstate(all="ignore")
def _markup(
    run: TinyRun,
    cell: Cell | None,
    ident: str = "stepper",
    tags: Sequence[str] | None = None,
    heading: str = "h3",
    draw: Drawer | None = None,
    start: str = "",
    choosing: bool = True,
) -> Markup:
    """start: "tour" begins at the first place of the tour, "" at the first event."""
    texts, svg, svg_back = Texts("stepper", tags=tags), Markup(""), Markup("")
    if cell is not None:
        name, figure = f"{ident}-figure", viz.cell(cell)
        names = [shape.id.partition("-")[2] for shape in figure.scene.shapes]
        back = backward(figure, names)
        svg = draw(name, figure).svg if draw else Markup(figure.svg(prefix=name))
        name += "-back"
        svg_back = draw(name, back).svg if draw else Markup(back.svg(prefix=name))
        svg_back = Markup(str(svg_back).replace(f"caption-{name}", f"caption-{ident}-figure"))
    # without a script: the events of the last time step, forward and backward, as a table
    data = compact(run.trace, cell, run.columns)
    data["adjoints"] = {}
    if cell is not None and choosing:
        data["adjoints"] = choices(cell, tags or languages())
    last = max((e.time for e in run.trace if e.time is not None), default=None)
    symbols = _symbols(run.trace)
    rows = []
    for event in run.trace:
        if event.time == last:
            label, _, result = event.value_text.partition(" = ")
            told = _written(event.rule, symbols), _written(label, symbols)
            rows.append((event.direction, *told, result))
    return render(
        __name__,
        t=texts,
        language=Texts("language", tags=tags),
        ident=ident,
        heading=heading,
        trace=as_json(data),
        read=run.read,
        next=visible(run.next),
        svg=svg,
        svg_back=svg_back,
        start=start,
        time=str(last or 1),
        title=next(iter(texts.plain("title").values())),
        rows=rows,
    )


def _symbols(trace: Trace) -> dict[str, str]:
    """Every label of the trace, and its bar, as a page sets it."""
    found = {}
    for node in (*trace.given, *trace.operations):
        label = trace.labels[node]
        if label[0].isalpha():
            found[label] = symbol(trace, node)
            found[trace.labels.bar(node)] = symbol(trace, node, bar=True)
    return found


def _written(text: str, symbols: dict[str, str]) -> Markup:
    """A rule with its names set as names."""
    made = Markup("")
    for piece in _NAME.split(text):
        if piece in symbols:
            base, below = split(symbols[piece])
            lower = Markup("<sub>{}</sub>").format(below) if below else ""
            made += Markup("<var>{}{}</var>").format(base, lower)
        else:
            made += piece
    return made
