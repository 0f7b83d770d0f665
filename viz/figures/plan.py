"""The plan of a compiled cell: what is computed once, ahead, at each step, and after the loop."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from equations import name_latex
from equations.wording import Said, joined
from tinygrad_lstm import compiled
from tinygrad_lstm.kernels.explain import shape_text
from tinygrad_lstm.kernels.labels import CARRIED, Term
from tinygrad_lstm.kernels.loop import Multiply, Outer, Pack, Statement, Sweep, lower
from tinygrad_lstm.kernels.plan import Plan
from tinygrad_lstm.step import Cell
from tinygrad_lstm.text import LATEX
from viz import sentences
from viz.cards import Card, Line, card, write
from viz.figure import Figure, FigureError
from viz.glyphs import glyphs
from viz.kinds import figure
from viz.layout.free import Link, placed
from viz.scene import Box, Scene, band, prefixed
from viz.symbols import Written, plain

NAME, NOTE = 14.0, 10.5
LINE, TALL = 19.0, 23.0  # rows with bars over tildes are tall
ROW = 4  # names side by side in a pass
LOOKS = {Multiply: "layer", Outer: "layer", Sweep: "step", Pack: "given"}
HEADS = {
    "once": ("once", "weights packed"),
    "ahead": ("ahead", "all steps together"),
    "forward": ("forward", "at each step"),
    "backward": ("backward", "last step first"),
    "after": ("after", "all steps together"),
}
SIZES = (13.0, 10.0)
ORDER = "order"  # the class of links that are not drawn


@dataclass
class _Box:
    key: str
    section: str
    statement: Statement
    lines: list[tuple[str, str, float]]  # LaTeX, text, size


def small_plan(cell: Cell) -> Plan:
    """The plan of a cell at small sizes, all different."""
    found: Plan = compiled(cell).plan(**cell.small_sizes())
    return found


@figure(of=small_plan)
def plan(of: Plan) -> Figure:
    """The figure of a plan, such as `compiled(cells.lstm).plan(hidden=128, inputs=64)`.

    A band is a section of the plan, a square box a matrix product with the size of its matrix, a
    rounded one a pass over the units with the values that it computes; arrows are data. The packed
    weights, and what flows from step to step, stand in the formulas.
    """
    if not isinstance(of, Plan):
        raise FigureError(
            f"viz.plan draws the plan of a compiled cell, got {of!r:.60}; write "
            f"compiled(cell).plan(hidden=…, inputs=…)."
        )
    boxes = [
        _Box(f"{section}-{k}", section, statement, _lines(statement))
        for section, statements in lower(of).sections().items()
        for k, statement in enumerate(statements, 1)
    ]
    title = f"The plan of the compiled cell {of.name}"
    return Figure(f"{of.name}-plan", title, _describe(of, boxes), _scene(boxes))


def _drawn(term: Term) -> str:
    if not term.name:
        return rf"\text{{{term}}}"
    space, _, state = term.name.partition(".")
    if space in CARRIED:
        return rf"\text{{{space} }}{name_latex(f'bar.{state}')}"
    rows = "" if term.rows is None else f"[{term.rows[0]}:{term.rows[1]}]"
    return name_latex(term.name, term.time) + rows


def _lines(statement: Statement) -> list[tuple[str, str, float]]:
    text = shape_text(statement) or "1"
    shape = text.replace("×", r"\times")
    note = (rf"{{{shape}}}", text, NOTE)
    if isinstance(statement, Multiply | Outer):
        first, second = map(_drawn, statement.factors)
        sign = r"\;{+}{=}\;" if statement.onto else "="
        product = rf"\Sigma_t\,{first} \otimes {second}"
        if isinstance(statement, Multiply):
            first = LATEX.raised(first, LATEX.top) if statement.transposed else first
            product = rf"{first} \cdot {second}"
        formula = f"{_drawn(statement.writes[-1])} {sign} {product}"
        return [(formula, statement.lines[0], NAME), note]
    packs = isinstance(statement, Pack)
    several = statement.reads if packs else statement.writes
    groups = [
        (
            (r",\, " if packs else r",\; ").join(map(_drawn, several[k : k + ROW])),
            ", ".join(map(str, several[k : k + ROW])),
            NOTE if packs else NAME,
        )
        for k in range(0, len(several), ROW)
    ]
    if not isinstance(statement, Pack):
        return groups
    if statement.columns:
        note = (rf"{note[0]},\; \text{{columns {statement.columns}}}", note[1], NOTE)
    return [(_drawn(statement.writes[0]), statement.lines[0], NAME), *groups, note]


def _scene(boxes: list[_Box]) -> Scene:
    cards = [_card(box) for box in boxes]
    links: dict[tuple[str, str], Link] = {}
    written: dict[str, str] = {}
    for box in boxes:
        if box.section == "once":
            continue
        for term in box.statement.reads:
            tail = written.get(term.name)
            if tail is not None and tail != box.key:
                links[tail, box.key] = Link(tail, box.key, ("wire",))
        written |= {term.name: box.key for term in box.statement.writes}
    wanted = [*links.values(), *_one_below_the_other(boxes, links)]
    scene = placed([card.shape for card in cards], wanted, "TB", gap=(0.22, 0.36))
    scene.wires = [wire for wire in scene.wires if ORDER not in wire.classes]
    place = {shape.id: shape.box for shape in scene.shapes}
    write(scene, cards)
    _bands(scene, {box.key: box.section for box in boxes}, place)
    return scene


def _card(box: _Box) -> Card:
    row = TALL if isinstance(box.statement, Sweep) and len(box.lines) > 1 else LINE
    lines = [
        Line(Written(latex, text), size, 7 + row * (k + 0.5))
        for k, (latex, text, size) in enumerate(box.lines)
    ]
    names = [term.name for term in box.statement.writes if term.name.isidentifier()]
    classes = (f"section-{box.section}", *prefixed(names, "eq"))
    title = "; ".join(box.statement.lines)
    kind, height = LOOKS.get(type(box.statement), "module"), 14.0 + row * len(lines)
    return card(box.key, kind, lines, height, 40.0, 18.0, classes, title)


def _one_below_the_other(boxes: list[_Box], links: Collection[tuple[str, str]]) -> Iterator[Link]:
    """Links that keep each section below the one before."""
    section = {box.key: box.section for box in boxes}
    inner = [(tail, head) for tail, head in links if section[tail] == section[head]]
    order = list(dict.fromkeys(section.values()))
    for above, below in pairwise(order):
        lowest = [k for k, s in section.items() if s == above and all(k != t for t, _ in inner)]
        highest = [k for k, s in section.items() if s == below and all(k != h for _, h in inner)]
        for tail in lowest:
            yield from (Link(tail, head, (ORDER,)) for head in highest)


def _bands(scene: Scene, sections: Mapping[str, str], place: Mapping[str, Box]) -> None:
    """A pale ground for each section, with its name on the left."""
    heads = {
        section: list(zip(map(plain, HEADS[section]), SIZES, strict=True))
        for section in dict.fromkeys(sections.values())
    }
    column = max(glyphs(what.latex, size).width for head in heads.values() for what, size in head)
    start, _, end, _ = scene.bounds(12.0)
    left = start - column - 12
    bands = []
    for section, head in heads.items():
        own = [place[key] for key, its in sections.items() if its == section]
        box = left, min(b[1] for b in own) - 10, end, max(b[3] for b in own) + 10
        at = left + 10, (box[1] + box[3]) / 2 - 8
        bands += band(f"band-{section}", box, head, at, (f"section-{section}",))
    scene.shapes[:0] = bands


def _describe(of: Plan, boxes: list[_Box]) -> str:
    said: list[str] = [
        Said("The plan of the compiled cell {cell}, section by section.", cell=of.name)
    ]
    for section, (head, note) in HEADS.items():
        own = [box.statement for box in boxes if box.section == section]
        said.append(Said(f"{head.capitalize()}, {note}:"))
        for statement in own:
            if isinstance(statement, Sweep):
                values = sentences.listed([str(term) for term in statement.writes])
                said.append(Said("one pass computes {values}.", values=values))
            else:
                said.append(Said("{line}.", line=statement.lines[0]))
        if not own:
            said.append(Said("nothing."))
    return joined(said)
